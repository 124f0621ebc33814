//! The changefeed on the command line.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::home::Home;

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

/// FEED-10: what was printed is gone on with, in pieces, after each event.
#[test]
fn a_log_is_read_in_pieces() {
    let home = Home::with_space();
    for number in 0..3 {
        home.commit("k", &number.to_string());
    }
    let tail = |args: &[&str]| {
        let args = [&["events", "tail", "--once", "--json", "--from"], args].concat();
        home.run(&args).rows()
    };
    let all = tail(&["beginning"]);
    assert_eq!(all.len(), 6);
    let mut pieces: Vec<Value> = Vec::new();
    let mut from = "beginning".to_owned();
    loop {
        let piece = tail(&[&from, "--limit", "1"]);
        let Some(last) = piece.last() else { break };
        from = last["allodcursor"].as_str().unwrap().to_owned();
        pieces.extend(piece);
    }
    assert_eq!(pieces, all);
    // What comes later is told to who waits at the end.
    let last = home.commit("later", "x");
    assert_eq!(ids(&tail(&[&from])), [&last, &format!("{last}/later")]);
    // The same by what `events cursor` prints.
    let cursor = home.json(&["events", "cursor"]);
    assert_eq!(
        tail(&[cursor["cursor"].as_str().unwrap()]),
        [] as [Value; 0]
    );
    // A snapshot has what is there, and no more.
    let snapshot = tail(&["snapshot"]);
    let keys: Vec<&Value> = snapshot.iter().map(|row| &row["data"]["key"]).collect();
    assert_eq!(keys, ["k", "later"]);
}

/// What is asked for, and nothing else; and what makes no sense is refused.
#[test]
fn a_tail_tells_what_was_asked_for() {
    let home = Home::with_space();
    home.commit("person:1", r#"{"name":"Ada"}"#);
    home.commit("notes/a", "hello");
    home.run(&["switch", "-c", "side"]).ok();
    home.commit("notes/b", "there");
    home.run(&["space", "new", "other"]).ok();
    home.commit("person:2", "{}");
    let count = |args: &[&str]| {
        let args = [
            &["events", "tail", "--once", "--json", "--from", "beginning"],
            args,
        ]
        .concat();
        home.run(&args).rows().len()
    };
    // Four commits, four changes, and a branch that was made.
    assert_eq!(count(&[]), 9);
    assert_eq!(count(&["--kind", "commit", "--kind", "move"]), 5);
    assert_eq!(count(&["--type", "person", "--kind", "change"]), 2);
    assert_eq!(
        count(&["--prefix", "notes/"]),
        5,
        "with the commits, and the branch"
    );
    assert_eq!(count(&["--space", "other"]), 2);
    assert_eq!(count(&["--branch", "si*"]), 3);
    assert_eq!(count(&["--filter", r#"{"kinds":[]}"#]), 0);
    let text = home
        .run(&["events", "tail", "--once", "--from", "beginning"])
        .ok();
    assert!(text.contains("put      main  notes/a = hello"), "{text}");
    assert!(text.contains("made     side  at "), "{text}");
    let tail = |args: &[&str]| home.run(&[&["events", "tail", "--once"], args].concat());
    tail(&["--from", "yesterday"]).fails(1, &["no cursor", "beginning"]);
    tail(&["--filter", "{}", "--branch", "main"]).fails(2, &["cannot be used with"]);
    tail(&["--filter", r#"{"branch":["main"]}"#]).fails(1, &["no filter", "branch"]);
    tail(&["--kind", "changes"]).fails(1, &["no filter", "changes"]);
    home.run(&["events", "tail"])
        .fails(1, &["allod up", "--once"]);
    // A cursor of another node is of another log.
    let stranger = Home::with_space();
    stranger.commit("a", "b");
    let cursor = stranger.run(&["events", "cursor"]).ok();
    tail(&["--from", cursor.trim()]).fails(1, &["expired", "snapshot"]);
}

/// REPO-95: a consumer, and a sink, that ask for what is public get that and nothing else.
#[test]
fn a_space_says_whom_it_is_meant_for() {
    let home = Home::with_space();
    let reach = |args: &[&str]| home.json(&[&["space", "reach"], args].concat())["reach"].clone();
    assert_eq!(reach(&[]), "private");
    home.commit("a", "1");
    let file = home.file("public.json");
    let sink = ["sink", "add", "web", "--file", file.to_str().unwrap()];
    let options = ["--reach", "public", "--from", "beginning"];
    home.run(&[&sink[..], &options[..]].concat()).ok();
    home.run(&["space", "new", "open"]).ok();
    assert_eq!(reach(&["public"]), "public");
    home.commit("b", "1");
    home.run(&["sink", "run", "web"]).ok();
    let carried = std::fs::read_to_string(&file).unwrap();
    let subjects = carried.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["subject"].as_str().unwrap().to_owned()
    });
    assert_eq!(subjects.filter(|of| of.starts_with("main")).count(), 2);
    assert!(!carried.contains("main/a"), "{carried}");
    let tail = |reach: &str| {
        let args = [
            "events", "tail", "--once", "--json", "--from", "snapshot", "--branch", "main",
        ];
        home.run(&[&args[..], &["--reach", reach]].concat())
    };
    assert_eq!(tail("private").rows().len(), 1);
    assert_eq!(tail("circle").rows().len(), 0);
    tail("far").fails(1, &["no filter", "private"]);
    home.run(&["space", "reach", "far"]).fails(2, &["private"]);
}

/// FEED-40: a consumer of a running node hears of each commit as it is made, and ends with the node.
#[test]
fn a_running_node_tells_what_happens() {
    let home = Home::with_space();
    let up = home.up();
    let args = [
        "events",
        "tail",
        "--json",
        "--kind",
        "change",
        "--from",
        "beginning",
    ];
    let mut tail = home.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    for number in 0..5 {
        let value = number.to_string();
        let id = home.commit("k", &value);
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["data"]["value"], json!({ "text": value }));
        assert_eq!(line["id"], format!("{id}/k"));
    }
    drop(up);
    assert!(tail.wait().unwrap().code().is_some());
}

/// FEED-50 to FEED-52: the log is kept as its owner says; who is behind holds it back, up to a limit, and whoever comes
/// too late hears so.
#[test]
fn a_log_is_kept_as_its_owner_says() {
    let home = Home::with_space();
    let log = |args: &[&str]| home.json(&[&["events", "log"], args].concat());
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap();
    home.commit("k", "0");
    let early = home.json(&["events", "cursor"]);
    let file = home.file("out.json");
    home.run(&["sink", "add", "out", "--file", file.to_str().unwrap()])
        .ok();
    for value in 1..20 {
        home.commit("k", &value.to_string());
    }
    let at_first = log(&[]);
    let end = number(&at_first, "end");
    assert_eq!(
        (number(&at_first, "begin"), number(&at_first, "keep")),
        (0, 1_000_000)
    );
    assert_eq!(at_first["readers"][0]["behind"], 19);

    // The sink has not read them.
    let held = log(&["--keep", "5", "--max", "30", "--trim"]);
    let held_at = end - 19 - 1;
    assert_eq!(
        (number(&held, "begin"), number(&held, "removed")),
        (held_at, held_at)
    );
    let limited = log(&["--max", "10", "--trim"]);
    assert_eq!(number(&limited, "begin"), end - 10);
    assert_eq!(limited["readers"][0]["missed"], true);
    let shown = home.run(&["events", "log"]).ok();
    assert!(
        shown.contains("10 moves") && shown.contains("sink out"),
        "{shown}"
    );

    let tail = |from: &str| home.run(&["events", "tail", "--once", "--json", "--from", from]);
    tail("beginning").fails(1, &["expired", "begins after", "snapshot"]);
    tail(early["cursor"].as_str().unwrap()).fails(1, &["expired", "begins after"]);
    assert_eq!(tail("snapshot").rows().len(), 1);
    let late = home.json(&["events", "cursor"]);
    home.commit("k", "last");
    assert_eq!(tail(late["cursor"].as_str().unwrap()).rows().len(), 2);
    home.run(&["sink", "run", "out"])
        .fails(1, &["expired", "cursor"]);
    home.run(&["sink", "remove", "out"]).ok();

    // What is not to be kept goes by itself while the node runs, and with the garbage.
    assert_eq!(home.json(&["gc", "--dry-run"])["removed_moves"], 6);
    let up = home.up();
    let began = std::time::Instant::now();
    while number(&log(&[]), "begin") < end - 4 {
        assert!(began.elapsed().as_secs() < 30, "{}", log(&[]));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drop(up);
    home.commit("k", "more");
    assert_eq!(home.json(&["gc"])["removed_moves"], 1);
    assert_eq!(home.json(&["check"])["problem_count"], 0);
    log(&["--keep", "9"]);
    home.run(&["events", "log", "--keep", "0"])
        .fails(2, &["--keep"]);
    home.run(&["events", "log", "--keep", "50", "--max", "20"])
        .fails(2, &["--max"]);
}
