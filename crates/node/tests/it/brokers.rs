//! Sinks and a real broker, read by what others wrote.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::{Home, scale};
use crate::tools::{Nats, lines_of, python, skipped};

/// Adds a sink that carries all from the beginning to the stream `allod` of a broker.
fn add_broker(home: &Home, nats: &Nats) {
    let args = [
        "sink",
        "add",
        "broker",
        "--nats",
        &nats.url(),
        "--from",
        "beginning",
    ];
    home.run(&args).ok();
}

/// What the stream `allod` has.
fn read_stream(python: &Path, nats: &Nats) -> Vec<Value> {
    lines_of(python, "read_stream.py", &[&nats.url(), "allod", "allod"])
}

fn log(home: &Home) -> Vec<Value> {
    let args = ["events", "tail", "--once", "--json", "--from", "beginning"];
    home.run(&args).rows()
}

fn names(rows: &[Value]) -> Vec<(String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(row, "source"), text(row, "id")))
        .collect()
}

/// The next of some numbers by chance (xorshift64).
fn chance(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// What nats-py and the SDK of CloudEvents read of both modes is what the log has.
#[test]
fn others_read_a_stream_as_what_the_log_has() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = Home::with_space();
    home.commit("notes/a", "hello");
    home.commit("person:1", r#"{"name":"Ada","born":1815}"#);
    home.run(&["switch", "-c", "side/x"]).ok();
    home.commit("spaces and \u{e9}", "100 %");
    let nats = Nats::new(&python, &home.file("nats"));
    let expected = log(&home);
    for mode in ["structured", "binary"] {
        let args = ["sink", "add", mode, "--nats", &nats.url(), "--stream", mode];
        home.run(&[&args[..], &["--mode", mode, "--from", "beginning"]].concat())
            .ok();
        home.run(&["sink", "run", mode]).ok();
        let read = lines_of(&python, "read_stream.py", &[&nats.url(), mode, mode]);
        assert_eq!(names(&read), names(&expected), "{mode}");
        for (read, told) in read.iter().zip(&expected) {
            for name in ["type", "subject", "sequence", "partitionkey", "data"] {
                assert_eq!(read[name], told[name], "{mode} {name}");
            }
            let kind = told["type"].as_str().unwrap();
            let on = read["on"].as_str().unwrap();
            let end = if kind.contains("commit") {
                ".commit"
            } else {
                "."
            };
            assert!(
                on.starts_with(&format!("{mode}.bafy")) && on.contains(end),
                "{on}"
            );
        }
        let on = read.last().unwrap()["on"].as_str().unwrap();
        assert!(on.contains(".side=2Fx."), "{on}");
    }
}

/// SINK-1, SINK-2: the node, the broker, or both are killed at random; in the end the stream is the log, each event
/// once and in order.
#[test]
fn a_stream_is_the_log_whatever_is_killed() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = Home::with_space();
    let mut nats = Nats::new(&python, &home.file("nats"));
    add_broker(&home, &nats);
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut up = Some(home.up());
    let mut number = 0;
    // Nightly more often.
    for round in 0..6 * scale() {
        for _ in 0..=chance(&mut state) % 3 {
            number += 1;
            home.commit(&format!("k{}", number % 7), &number.to_string());
        }
        // At any moment of what is under way.
        std::thread::sleep(Duration::from_millis(chance(&mut state) % 120));
        let act = chance(&mut state) % 3;
        if act != 0 {
            nats.kill();
        }
        if act != 1
            && let Some(up) = up.take()
        {
            up.kill();
        }
        number += 1;
        home.commit("while something is away", &number.to_string());
        if chance(&mut state).is_multiple_of(2) {
            nats.start();
        }
        if up.is_none() {
            up = Some(home.up());
        }
        nats.start();
        // Now and then it is waited for, so that what is killed is not always what is far behind.
        if round % 3 == 2 {
            until_carried(&home);
        }
    }
    until_carried(&home);
    let read = read_stream(&python, &nats);
    assert_eq!(names(&read), names(&log(&home)));
    let order: Vec<&Value> = read.iter().map(|row| &row["at"]).collect();
    assert_eq!(order, (1..=read.len()).collect::<Vec<_>>());
}

/// A broker that lost all that it had gets it again; and one that somebody else publishes to is left alone.
#[test]
fn a_broker_that_lost_all_gets_it_again() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = Home::with_space();
    home.commit("a", "1");
    let mut nats = Nats::new(&python, &home.file("nats"));
    let url = nats.url();
    add_broker(&home, &nats);
    home.run(&["sink", "run", "broker"]).ok();
    nats.kill();
    std::fs::remove_dir_all(home.file("nats")).unwrap();
    nats.start();
    home.commit("a", "2");
    home.run(&["sink", "run", "broker"]).ok();
    let read = read_stream(&python, &nats);
    assert_eq!(names(&read), names(&log(&home)));
    lines_of(&python, "publish.py", &[&url, "allod.stranger", "hello"]);
    home.commit("a", "3");
    home.run(&["sink", "run", "broker"])
        .fails(1, &["somebody else"]);
    assert_eq!(
        home.json(&["sink", "status", "broker"])["status"],
        "stopped"
    );
}

/// SINK-5: a message that the stream takes in no case holds up nothing.
#[test]
fn what_a_stream_does_not_take_is_a_dead_letter() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = Home::with_space();
    home.commit("a", "small");
    home.commit("b", &"x".repeat(5000));
    home.commit("c", "small");
    let nats = Nats::new(&python, &home.file("nats"));
    let url = nats.url();
    lines_of(&python, "make_stream.py", &[&url, "allod", "allod", "4000"]);
    let args = [
        "sink",
        "add",
        "broker",
        "--nats",
        &url,
        "--from",
        "beginning",
    ];
    home.run(&[&args[..], &["--kind", "change"]].concat()).ok();
    let standing = home.json(&["sink", "run", "broker"]);
    assert_eq!(
        (&standing["delivered"], &standing["dead"]),
        (&2.into(), &1.into()),
        "{standing}"
    );
    let dead = home.run(&["sink", "dead", "broker", "--json"]).rows();
    assert!(dead[0]["id"].as_str().unwrap().ends_with("/b"), "{dead:?}");
    let read = read_stream(&python, &nats);
    assert_eq!(read.len(), 2);
}

/// SINK-5, SINK-11: among many messages of which few ask for an answer, those that the stream does not take are found, and
/// all others are there, in order.
#[test]
fn what_a_stream_does_not_take_is_found_among_many() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = Home::with_space();
    let nats = Nats::new(&python, &home.file("nats"));
    let url = nats.url();
    lines_of(&python, "make_stream.py", &[&url, "allod", "allod", "4000"]);
    let large = "x".repeat(5000);
    let mut expected = Vec::new();
    let mut rows = "id,v\n".to_owned();
    for number in 0..600 {
        let is_large = [0, 127, 128, 130, 599].contains(&number);
        let key = format!("k{number:03}");
        let value = if is_large { &large[..] } else { "small" };
        rows += &format!("{key},{value}\n");
        if !is_large {
            expected.push(key);
        }
    }
    let rows = home.write("rows.csv", rows);
    home.run(&["import", &rows, "--key", "id"]).ok();
    home.run(&["commit", "-m", "many"]).ok();
    let args = ["sink", "add", "broker", "--nats", &url];
    home.run(&[&args[..], &["--kind", "change", "--from", "beginning"]].concat())
        .ok();
    let standing = home.json(&["sink", "run", "broker"]);
    assert_eq!(
        (&standing["delivered"], &standing["dead"]),
        (&595.into(), &5.into()),
        "{standing}"
    );
    let read = read_stream(&python, &nats);
    let keys: Vec<&str> = read
        .iter()
        .map(|row| row["data"]["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, expected);
}

/// SINK-11: what somebody else publishes between messages that are under way takes the place of none of them unseen.
#[test]
fn a_stranger_among_messages_hides_none() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = Home::with_space();
    let nats = Nats::new(&python, &home.file("nats"));
    let url = nats.url();
    let mut rows = "id,v\n".to_owned();
    for number in 0..20_000 {
        rows += &format!("k{number:05},small\n");
    }
    let rows = home.write("rows.csv", rows);
    home.run(&["import", &rows, "--key", "id"]).ok();
    home.run(&["commit", "-m", "many"]).ok();
    lines_of(&python, "make_stream.py", &[&url, "allod", "allod", "4000"]);
    let args = ["sink", "add", "broker", "--nats", &url];
    home.run(&[&args[..], &["--kind", "change", "--from", "beginning"]].concat())
        .ok();
    // Where it comes in between is chance: what is asserted holds wherever it comes.
    let stranger = |times: &str| {
        let args = [&url, "allod", "allod.stranger", times];
        lines_of(&python, "stranger.py", &args)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| stranger("200"));
        std::thread::sleep(Duration::from_secs(1));
        home.run(&["sink", "run", "broker"]);
    });
    let standing = home.json(&["sink", "status", "broker"]);
    let own = stranger("0")
        .into_iter()
        .filter(|row| row["subject"] != "allod.stranger");
    let own: u64 = own.map(|row| row["messages"].as_u64().unwrap()).sum();
    let delivered = standing["delivered"].as_u64().unwrap();
    assert!(delivered <= own, "{delivered} of {own}: {standing}");
}

fn until_carried(home: &Home) {
    let began = Instant::now();
    loop {
        let standing = home.json(&["sink", "status", "broker"]);
        if standing["behind"] == 0 && standing["failures"] == 0 {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(90), "{standing}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
