//! Sinks of a real node.

use std::path::Path;
use std::time::{Duration, Instant};

use allod_events::CloudEvent;

use crate::home::Home;

fn ids(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let events = whole
        .lines()
        .map(|line| CloudEvent::from_json(line.as_bytes()).unwrap());
    events.map(|event| event.id).collect()
}

fn log(home: &Home) -> Vec<String> {
    let args = ["events", "tail", "--once", "--json", "--from", "beginning"];
    let rows = home.run(&args).rows();
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until a file has what the log has.
fn until_same(home: &Home, path: &Path) {
    let expected = log(home);
    let began = Instant::now();
    while ids(path) != expected {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{:?} {expected:?}",
            ids(path)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running node carries what happens, also to sinks that are added, rest and go on meanwhile.
#[test]
fn a_running_node_carries_to_its_sinks() {
    let home = Home::with_space();
    home.commit("before", "1");
    let path = home.file("events.ndjson");
    let up = home.up();
    let file = path.to_str().unwrap();
    home.run(&[
        "sink",
        "add",
        "audit",
        "--file",
        file,
        "--from",
        "beginning",
    ])
    .ok();
    home.commit("after", "2");
    until_same(&home, &path);
    home.run(&["sink", "pause", "audit"]).ok();
    assert_eq!(home.json(&["sink", "status", "audit"])["status"], "paused");
    // Longer than a sink takes to see that it rests, and than one that does not rest takes to carry.
    let rest = || std::thread::sleep(Duration::from_millis(600));
    rest();
    let before = ids(&path);
    home.commit("while it rests", "3");
    rest();
    assert_eq!(ids(&path), before);
    home.run(&["sink", "resume", "audit"]).ok();
    until_same(&home, &path);
    // Killed and started again, it goes on where it was.
    up.kill();
    home.commit("while nothing runs", "4");
    let up = home.up();
    until_same(&home, &path);
    let standing = home.json(&["sink", "status", "audit"]);
    assert_eq!(standing["status"], "carrying");
    assert_eq!(standing["behind"], 0);
    home.run(&["sink", "run", "audit"])
        .fails(1, &["running node"]);
    home.run(&["sink", "remove", "audit"]).ok();
    assert_eq!(home.run(&["sink", "list"]).ok(), "");
    assert_eq!(up.stop(), Some(0));
}

/// Without a running node a sink is carried when somebody says so; and what makes no sense is refused.
#[test]
fn a_sink_is_carried_by_hand() {
    let home = Home::with_space();
    home.commit("a", "1");
    home.run(&["space", "new", "other"]).ok();
    home.commit("b", "2");
    let path = home.file("events.ndjson");
    let file = path.to_str().unwrap();
    let add = |args: &[&str]| home.run(&[&["sink", "add"], args].concat());
    add(&[
        "some",
        "--file",
        file,
        "--space",
        "other",
        "--kind",
        "change",
        "--from",
        "beginning",
    ])
    .ok();
    let done = home.json(&["sink", "run", "some"]);
    assert_eq!(done["delivered"], 1);
    assert!(ids(&path)[0].ends_with("/b"));
    add(&["some", "--stdout"]).fails(1, &["there is a sink some"]);
    add(&["x y", "--stdout"]).fails(1, &["no sink", "a-z"]);
    add(&["x"]).fails(2, &["--nats"]);
    add(&["x", "--stdout", "--mode", "batch"]).fails(1, &["webhooks"]);
    add(&["x", "--stdout", "--stream", "y"]).fails(2, &["cannot be used with"]);
    home.run(&["sink", "status", "x"]).fails(1, &["no sink x"]);
    // A broker that is not there says so, and nothing is lost.
    add(&[
        "broker",
        "--nats",
        "nats://127.0.0.1:1",
        "--from",
        "beginning",
    ])
    .ok();
    home.run(&["sink", "run", "broker"])
        .fails(1, &["broker", "refused"]);
    let standing = home.json(&["sink", "status", "broker"]);
    assert_eq!(standing["status"], "failing");
    assert_eq!(standing["failures"], 1);
    assert_eq!(standing["behind"], 2);
    // To standard output, events are the data.
    add(&["out", "--stdout", "--from", "beginning", "--kind", "commit"]).ok();
    let out = home.run(&["sink", "run", "out", "--quiet"]).ok();
    let first = CloudEvent::from_json(out.lines().next().unwrap().as_bytes()).unwrap();
    assert_eq!(first.kind, "org.allod.commit.v1");
}
