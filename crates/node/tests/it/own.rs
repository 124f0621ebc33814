//! What the devices of an agent tell each other while they run (PAIR-12 to PAIR-17), with real processes.

use std::time::{Duration, Instant};

use allod_identity::pairing::OwnMessage;
use allod_quic::StreamKind;

use crate::home::Home;
use crate::identity::{paired, shown, text};
use crate::merging::open;

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_mins(2), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn spaces(home: &Home) -> Vec<String> {
    let rows = home.run(&["space", "list", "--json"]).rows();
    rows.iter().map(|row| text(row, "name")).collect()
}

fn has(home: &Home, space: &str, key: &str, value: &str) -> bool {
    let got = home.run(&["get", key, "-s", space]);
    got.code == Some(0) && got.out == format!("{value}\n")
}

fn put(home: &Home, space: &str, key: &str, value: &str) {
    home.run(&["put", "-s", space, key, value]).ok();
    home.run(&["commit", "-s", space, "-m", "a change"]).ok();
}

/// Neither had a space when they were paired.
#[test]
fn a_space_reaches_the_other_devices_by_itself_and_stays_away_where_it_was_left() {
    let laptop = Home::new();
    let up = laptop.up();
    let phone = paired(&laptop, &[], "code");
    let there = phone.up();
    laptop.run(&["space", "new", "notes"]).ok();
    laptop.commit("greeting", "hello");
    until("it reaches the phone", || {
        has(&phone, "notes", "greeting", "hello")
    });
    // The other way, and what the phone is about to do is not about another space from then on.
    phone.run(&["space", "new", "photos"]).ok();
    put(&phone, "photos", "one", "1");
    until("it reaches the laptop", || {
        has(&laptop, "photos", "one", "1")
    });
    let current = laptop.run(&["space", "list", "--json"]).rows();
    let current = current.iter().find(|row| row["current"] == true);
    assert_eq!(text(current.unwrap(), "name"), "notes");

    // What was left stays away, though the phone goes on to tell of it.
    until("the phone is known to have all", || {
        let left = laptop.run(&["space", "leave", "notes"]);
        left.code == Some(0)
    });
    laptop
        .run(&["get", "greeting", "-s", "notes"])
        .fails(1, &["notes"]);
    put(&phone, "notes", "later", "on");
    phone.run(&["space", "new", "music"]).ok();
    until("they go on to tell each other", || {
        spaces(&laptop).contains(&"music".to_owned())
    });
    drop(up);
    let up = laptop.up();
    phone.run(&["space", "new", "films"]).ok();
    until("also after a start", || {
        spaces(&laptop).contains(&"films".to_owned())
    });
    assert_eq!(spaces(&laptop), ["films", "music", "photos"]);
    assert_eq!(spaces(&phone), ["films", "music", "notes", "photos"]);
    assert!(has(&phone, "notes", "greeting", "hello"));

    // It is taken back on purpose, and what came meanwhile with it.
    laptop.run(&["space", "leave", "notes", "--undo"]).ok();
    until("it is back", || has(&laptop, "notes", "later", "on"));
    laptop
        .run(&["space", "leave", "nothing", "--undo"])
        .fails(1, &["nothing"]);
    drop((up, there));
}

#[test]
fn a_device_that_was_removed_is_told_nothing() {
    let laptop = Home::new();
    let up = laptop.up();
    let phone = paired(&laptop, &[], "code");
    let tablet = paired(&laptop, &[], "code");
    let [phone_up, tablet_up] = [&phone, &tablet].map(Home::up);
    laptop.run(&["space", "new", "notes"]).ok();
    laptop.commit("greeting", "hello");
    for device in [&phone, &tablet] {
        until("it reaches both", || {
            has(device, "notes", "greeting", "hello")
        });
    }
    let stolen = text(&shown(&tablet), "device");
    laptop
        .run(&["id", "device", "remove", &stolen, "--stolen"])
        .ok();
    laptop.run(&["space", "new", "diary"]).ok();
    until("the phone is told", || {
        spaces(&phone).contains(&"diary".to_owned())
    });
    // It asks anew, and neither of the others answers.
    drop(tablet_up);
    let tablet_up = tablet.up();
    tablet.run(&["space", "new", "bait"]).ok();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(spaces(&tablet), ["bait", "notes"]);
    for device in [&laptop, &phone] {
        assert_eq!(spaces(device), ["diary", "notes"]);
    }
    drop((up, phone_up, tablet_up));
}

/// Two spaces of one name are two, and the only copy is not left unasked.
#[test]
fn names_that_are_taken_are_told_apart() {
    let laptop = Home::with_space();
    let up = laptop.up();
    let phone = paired(&laptop, &[], "code");
    phone.run(&["space", "new", "list"]).ok();
    laptop.run(&["space", "new", "list"]).ok();
    let there = phone.up();
    for device in [&laptop, &phone] {
        until("each has both", || spaces(device).len() == 3);
        let names = spaces(device);
        assert!(names.contains(&"list".to_owned()), "{names:?}");
        assert!(
            names.iter().any(|name| name.starts_with("list-")),
            "{names:?}"
        );
    }
    drop((up, there));
    let alone = Home::with_space();
    alone.commit("only", "here");
    alone
        .run(&["space", "leave", "notes"])
        .fails(1, &["no other device", "--yes"]);
    assert_eq!(spaces(&alone), ["notes"]);
    alone.run(&["space", "leave", "notes", "--yes"]).ok();
    assert!(spaces(&alone).is_empty());
    alone.run(&["get", "only"]).fails(1, &["space"]);
    alone.run(&["space", "leave", "notes", "--undo"]).ok();
    assert!(has(&alone, "notes", "only", "here"));
}

/// Who is no device of the agent is told nothing, whatever it sends, and does no harm (PAIR-13).
#[test]
fn strangers_are_told_nothing() {
    let laptop = Home::with_space();
    let up = laptop.up();
    let log = laptop.run(&["id", "log"]).ok();
    let events = log.lines().skip(2).map(|line| {
        let bytes = (0..line.len()).step_by(2);
        let bytes = bytes.map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap());
        bytes.collect::<Vec<u8>>().into()
    });
    let events: Vec<serde_bytes::ByteBuf> = events.collect();
    assert_eq!(events.len(), 2);
    let device = text(&shown(&laptop), "device").parse().unwrap();
    let addr = up.addr.parse().unwrap();
    let stranger = Home::with_space();
    let node = open(&stranger);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let endpoint = node.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let connection = endpoint.connect(addr, device).await.unwrap();
        let spaces = OwnMessage::Spaces(Vec::new()).encode();
        for frame in [
            OwnMessage::Log(events).encode(),
            OwnMessage::Log(Vec::new()).encode(),
            OwnMessage::Log(vec![vec![7; 100].into()]).encode(),
            spaces,
            vec![0x82, 1].into(),
            Vec::new().into(),
        ] {
            let mut stream = connection.open(StreamKind::Own).await.unwrap();
            stream.send(frame.clone()).await.unwrap();
            let answer = stream.recv().await;
            assert!(matches!(answer, Ok(None) | Err(_)), "{frame:?}: {answer:?}");
        }
        endpoint.close().await;
    });
    assert_eq!(spaces(&laptop), ["notes"]);
    assert_eq!(up.stop(), Some(0));
}
