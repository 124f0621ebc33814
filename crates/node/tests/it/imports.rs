//! Sources of a real node.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::{Home, scale};
use crate::tools::{Nats, lines_of, python, skipped};

fn append(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The keys that the log says were written, each as often as it says it.
fn written(home: &Home, prefix: &str) -> Vec<String> {
    let args = ["events", "tail", "--once", "--json", "--from", "beginning"];
    let args = [&args[..], &["--kind", "change", "--prefix", prefix]].concat();
    let rows = home.run(&args).rows();
    rows.iter()
        .map(|row| row["data"]["key"].as_str().unwrap().to_owned())
        .collect()
}

/// The entries of the space that begin so.
fn entries(home: &Home, prefix: &str) -> BTreeMap<String, String> {
    let rows = home.run(&["ls", prefix, "--json"]).rows();
    let found = rows.iter().map(|row| {
        let key = row["key"].as_str().unwrap();
        let value = home.run(&["get", key, "--raw"]).ok();
        (key.strip_prefix(prefix).unwrap().to_owned(), value)
    });
    found.collect()
}

/// The next of some numbers by chance (xorshift64).
fn chance(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// SRC-10: the node is killed at random; in the end each line was written once.
#[test]
fn a_file_is_imported_once_whatever_is_killed() {
    let home = Home::with_space();
    let path = home.file("app.log");
    append(&path, "");
    home.run(&["source", "add", "app", "--file", path.to_str().unwrap()])
        .ok();
    let (mut state, mut offset, mut number) = (0x9e37_79b9_7f4a_7c15, 0, 0);
    let mut expected = Vec::new();
    for _ in 0..6 * scale() {
        let up = home.up();
        for _ in 0..=chance(&mut state) % 3 {
            let mut text = String::new();
            for _ in 0..=chance(&mut state) % 400 {
                let line = format!("line {number}\n");
                number += 1;
                expected.push(format!("events/app/0-{offset}"));
                offset += line.len();
                text += &line;
            }
            append(&path, &text);
            std::thread::sleep(Duration::from_millis(chance(&mut state) % 300));
        }
        up.kill();
    }
    home.run(&["source", "run", "app"]).ok();
    let mut written = written(&home, "events/");
    written.sort();
    expected.sort();
    assert_eq!(written, expected);
    let standing = home.json(&["source", "status", "app"]);
    assert_eq!(
        (&standing["status"], &standing["dead"]),
        (&"importing".into(), &0.into())
    );
    // A source of the same name goes on from where the space says that it came.
    home.run(&["source", "remove", "app"]).ok();
    home.run(&["source", "add", "app", "--file", path.to_str().unwrap()])
        .ok();
    append(&path, "last\n");
    assert_eq!(home.json(&["source", "run", "app"])["imported"], 1);
}

/// SRC-20, SRC-24, SRC-30: what one node's sink puts into a stream, another's source has as the same entries; and what
/// a node reads of its own is passed over.
#[test]
fn a_stream_brings_what_another_node_has() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let (here, there) = (Home::with_space(), Home::with_space());
    let mut nats = Nats::new(&python, &here.file("nats"));
    here.commit("notes/a", "hello");
    here.commit("person:1", r#"{"name":"Ada","born":1815}"#);
    let url = nats.url();
    let sink = ["sink", "add", "out", "--nats", &url, "--from", "beginning"];
    here.run(&[&sink[..], &["--mode", "binary"]].concat()).ok();
    here.run(&["sink", "run", "out"]).ok();
    let add = |home: &Home| home.run(&["source", "add", "in", "--nats", &url]).ok();
    add(&here);
    add(&there);
    let (up_here, up_there) = (here.up(), there.up());
    here.commit("notes/a", "hello again");
    here.run(&["del", "person:1"]).ok();
    here.run(&["commit", "-m", "gone"]).ok();
    nats.kill();
    here.commit("notes/b", "100 % \u{e9}");
    nats.start();
    let expected: BTreeMap<String, String> = [("a", "hello again"), ("b", "100 % \u{e9}")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    until("the entries come", || {
        entries(&there, "notes/") == expected && entries(&there, "person:").is_empty()
    });
    // Its own, it passes over: what it wrote is what it was told to.
    until("the echo is passed over", || {
        let standing = here.json(&["source", "status", "in"]);
        standing["passed"].as_u64().unwrap() >= 8 && standing["imported"] == 0
    });
    assert_eq!(written(&here, "notes/").len(), 3);
    up_here.kill();
    up_there.kill();
    // A stream that was made anew is not the one that was read.
    nats.kill();
    std::fs::remove_dir_all(here.file("nats")).unwrap();
    nats.start();
    lines_of(&python, "make_stream.py", &[&url, "allod", "allod", "4000"]);
    lines_of(&python, "publish.py", &[&url, "allod.stranger", "hello"]);
    there
        .run(&["source", "run", "in"])
        .fails(1, &["E_SOURCE_GAP", "not the one that was read"]);
    there
        .run(&["source", "resume", "in", "--from", "beginning"])
        .ok();
    there.run(&["source", "run", "in"]).ok();
    assert_eq!(
        entries(&there, "events/in/"),
        [("0-1".to_owned(), "hello".to_owned())].into()
    );
}

/// SRC-12, SRC-22: a stream that lost what was not read stops its source; what was read may go.
#[test]
fn a_stream_that_was_purged_stops_its_source() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = Home::with_space();
    let nats = Nats::new(&python, &home.file("nats"));
    let url = nats.url();
    lines_of(&python, "make_stream.py", &[&url, "jobs", "jobs", "4000"]);
    let publish = |text: &str| lines_of(&python, "publish.py", &[&url, "jobs.new", text]);
    let purge = || lines_of(&python, "purge.py", &[&url, "jobs"]);
    let args = ["source", "add", "jobs", "--nats", &url, "--stream", "jobs"];
    home.run(&[&args[..], &["--key", "{subject}/{id}"]].concat())
        .ok();
    publish("one");
    publish("two");
    assert_eq!(home.json(&["source", "run", "jobs"])["imported"], 2);
    purge();
    publish("three");
    assert_eq!(home.json(&["source", "run", "jobs"])["imported"], 3);
    publish("four");
    purge();
    publish("five");
    home.run(&["source", "run", "jobs"])
        .fails(1, &["E_SOURCE_GAP", "were not read"]);
    // It stays so until somebody says from where it goes on.
    home.run(&["source", "run", "jobs"])
        .fails(1, &["E_SOURCE_GAP"]);
    home.run(&["source", "resume", "jobs", "--from", "beginning"])
        .ok();
    assert_eq!(home.json(&["source", "run", "jobs"])["imported"], 4);
    let has: Vec<String> = entries(&home, "jobs.new/").into_values().collect();
    assert_eq!(has, ["one", "two", "three", "five"]);
}

/// SRC-17: what a stream lost that was not for the source is no gap, as far as the source has seen that it was not; what
/// came and went while nobody looked may have been for it.
#[test]
fn what_a_stream_loses_of_others_is_no_gap() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = Home::with_space();
    let nats = Nats::new(&python, &home.file("nats"));
    let url = nats.url();
    lines_of(&python, "make_stream.py", &[&url, "jobs", "jobs", "4000"]);
    let publish = |kind: &str, text: &str| {
        lines_of(
            &python,
            "publish.py",
            &[&url, &format!("jobs.{kind}"), text],
        )
    };
    let purge = || lines_of(&python, "purge.py", &[&url, "jobs"]);
    let args = ["source", "add", "jobs", "--nats", &url, "--stream", "jobs"];
    home.run(&[&args[..], &["--subject", "jobs.mine"]].concat())
        .ok();
    let imported = || home.json(&["source", "run", "jobs"])["imported"].clone();
    publish("mine", "one");
    assert_eq!(imported(), 1);
    publish("other", "two");
    publish("other", "three");
    assert_eq!(imported(), 1);
    purge();
    publish("mine", "four");
    assert_eq!(imported(), 2);
    // Nobody has seen whose these were.
    publish("other", "five");
    purge();
    publish("mine", "six");
    home.run(&["source", "run", "jobs"])
        .fails(1, &["E_SOURCE_GAP", "were not read"]);
}

/// SRC-26, SRC-30: a message that is larger than all that is read at a time holds up nothing; and neither do many that
/// are together.
#[test]
fn a_message_that_is_too_large_is_a_dead_letter() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = Home::with_space();
    let nats = Nats::with(&python, &home.file("nats"), "max_payload: 8388608");
    let url = nats.url();
    let size = (8 * 1024 * 1024).to_string();
    lines_of(&python, "make_stream.py", &[&url, "jobs", "jobs", &size]);
    let publish = |text: &str, times: usize| {
        let times = times.to_string();
        lines_of(&python, "publish.py", &[&url, "jobs.new", text, &times])
    };
    publish("small", 1);
    for _ in 0..7 {
        publish("x", 700 * 1024);
    }
    publish("y", 5 * 1024 * 1024);
    publish("last", 1);
    home.run(&["source", "add", "jobs", "--nats", &url, "--stream", "jobs"])
        .ok();
    let standing = home.json(&["source", "run", "jobs"]);
    assert_eq!(
        (&standing["imported"], &standing["dead"]),
        (&9.into(), &1.into()),
        "{standing}"
    );
    let dead = home.run(&["source", "dead", "jobs", "--json"]).rows();
    assert_eq!(dead[0]["id"], "0-9");
    // From there it goes on, and nothing comes again.
    publish("after", 1);
    assert_eq!(home.json(&["source", "run", "jobs"])["imported"], 10);
}

/// SRC-26, and what makes no sense is refused.
#[test]
fn what_cannot_be_imported_is_listed() {
    let home = Home::with_space();
    home.run(&["type", "define", "person", "--field", "name:string!"])
        .ok();
    let event = |id: &str, data: &str| {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t","data":{data}}}"#)
            + "\n"
    };
    let text = event("1", r#"{"name":"Ada"}"#)
        + &event("2", r#"{"born":1815}"#)
        + "{\"specversion\":\n"
        + &event("3", r#"{"name":"Bo"}"#);
    let path = home.write("events.ndjson", text);
    let add = |args: &[&str]| home.run(&[&["source", "add"], args].concat());
    add(&["x", "--file", &path, "--key", "person:{id"]).fails(1, &["no source", "brace"]);
    add(&["x"]).fails(2, &["--nats"]);
    add(&["x", "--file", &path, "--topic", "y"]).fails(2, &["cannot be used with"]);
    add(&["x", "--file", &path, "--branch", "other"]).fails(1, &["no branch", "other"]);
    add(&["in", "--file", &path, "--key", "person:{id}"]).ok();
    add(&["in", "--file", &path]).fails(1, &["there is a source in"]);
    let standing = home.json(&["source", "run", "in"]);
    assert_eq!(
        (&standing["imported"], &standing["dead"]),
        (&2.into(), &2.into()),
        "{standing}"
    );
    let dead: Vec<Value> = home
        .run(&["source", "dead", "in", "--drop", "--json"])
        .rows();
    let named = |letter: &Value| (letter["id"].clone(), letter["source"].clone());
    assert_eq!(named(&dead[0]), ("2".into(), "/s".into()));
    assert_eq!(named(&dead[1]).1, "");
    let why = dead[0]["why"].as_str().unwrap();
    assert!(why.contains("name"), "{why}");
    let value = home.run(&["get", "person:3", "--raw"]).ok();
    assert_eq!(value, r#"{"name":"Bo"}"#);
    assert_eq!(home.json(&["source", "status", "in"])["dead"], 0);
    home.run(&["source", "pause", "in"]).ok();
    assert_eq!(home.json(&["source", "status", "in"])["status"], "paused");
    home.run(&["source", "resume", "in"]).ok();
    let up = home.up();
    home.run(&["source", "run", "in"])
        .fails(1, &["running node"]);
    assert_eq!(up.stop(), Some(0));
}
