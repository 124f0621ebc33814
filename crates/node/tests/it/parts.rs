//! Replicas of a part, from the command line.

use std::fmt::Write as _;

use serde_json::json;

use crate::home::{Home, Up};

const EACH: usize = 2000;

/// A space of three kinds of keys, in three commits, served, and a ticket for it.
fn library() -> (Home, Up, String) {
    let ada = Home::with_space();
    for kind in ["book", "note", "user"] {
        let mut rows = String::from("id,text\n");
        for n in 0..EACH {
            writeln!(rows, "{n:05},the {kind} of number {n}").unwrap();
        }
        let file = ada.write(&format!("{kind}.csv"), rows);
        ada.run(&["import", &file, "--prefix", &format!("{kind}:")])
            .ok();
        ada.run(&["commit", "-m", kind]).ok();
    }
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok().trim().to_owned();
    (ada, up, ticket)
}

#[test]
fn a_part_is_cloned_and_written() {
    let (ada, up, ticket) = library();
    let (whole, phone) = (Home::new(), Home::new());
    let all = whole.json(&["space", "join", &ticket]);
    let joined = phone.json(&[
        "space", "clone", &ticket, "--prefix", "note:", "--depth", "1",
    ]);
    assert_eq!(joined["entries"], EACH);
    assert_eq!(
        joined["part"],
        json!({ "prefixes": ["note:"], "depth": 1, "value_max": null })
    );
    let bytes = |value: &serde_json::Value| value["bytes_in"].as_u64().unwrap();
    assert!(
        bytes(&joined) * 2 < bytes(&all),
        "{} of {}",
        bytes(&joined),
        bytes(&all)
    );
    let text = phone.run(&["get", "note:00007"]).ok();
    assert!(text.contains("the note of number 7"), "{text}");
    // What is not kept is said to be so, and is no absence.
    let outside = ["not in the part of the space that is kept here"];
    // Who is asked for it has it, of any state.
    let alone = phone.run(&["get", "user:00007"]);
    alone.fails(1, &[outside[0], "get --ask"]);
    let there = phone.run(&["get", "user:00007", "--ask"]);
    assert!(there.err.contains("not kept here"), "{}", there.err);
    assert!(there.ok().contains("the user of number 7"));
    phone
        .run(&["get", "user:99999", "--ask"])
        .fails(1, &["no value under"]);
    phone.run(&["put", "user:00007", "x"]).fails(1, &outside);
    let listed = phone.run(&["ls", "user:"]);
    let kept = "only a part is kept here: note:*, of the newest commits";
    assert!(listed.err.contains(kept), "{}", listed.err);
    assert!(!phone.run(&["ls", "note:0001"]).err.contains("part"));
    let first = ada.run(&["log", "--json"]).rows().pop().unwrap();
    let first = first["commit"].as_str().unwrap();
    let note = phone
        .run(&["get", "book:00007", "--ask", "--at", first])
        .ok();
    assert!(note.contains("the book of number 7"), "{note}");
    phone
        .run(&["ls", "--at", first])
        .fails(1, &["only the statement is kept here"]);
    // It writes in its part, and others have that.
    phone.commit("note:00007", "of the phone");
    let sent = &phone.run(&["sync", "--json"]).rows()[0];
    assert_eq!(
        (&sent["commits_out"], &sent["left_out"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(ada.run(&["get", "note:00007"]).ok(), "of the phone\n");
    assert_eq!(ada.run(&["ls", "--json"]).rows().len(), 3 * EACH);
    ada.commit("user:00003", "changed");
    let came = &phone.run(&["sync", "--json"]).rows()[0];
    assert!(bytes(came) < 60_000, "{came}");
    let peers = ada.run(&["peers", "--json"]).rows();
    let is_part = |peer: &&serde_json::Value| peer["part"] == true;
    assert_eq!(peers.iter().filter(is_part).count(), 1);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_part_is_widened_and_narrowed() {
    let (ada, up, ticket) = library();
    ada.commit("user:00003", "changed");
    let phone = Home::new();
    phone
        .run(&[
            "space", "clone", &ticket, "--prefix", "note:", "--depth", "1",
        ])
        .ok();
    // Widened, with what was written apart before.
    phone.commit("note:00008", "before");
    let wide = phone.json(&[
        "space", "part", "--prefix", "note:", "--prefix", "user:", "--depth", "1",
    ]);
    assert_eq!(wide["entries"], 2 * EACH);
    assert_eq!(phone.run(&["get", "user:00003"]).ok(), "changed\n");
    assert_eq!(phone.run(&["get", "note:00008"]).ok(), "before\n");
    phone.commit("user:00004", "wide");
    phone.run(&["sync"]).ok();
    assert_eq!(ada.run(&["get", "user:00004"]).ok(), "wide\n");
    let up_addr = up.addr.clone();
    // Nobody is there: the old part stays until somebody is.
    assert_eq!(up.stop(), Some(0));
    phone
        .run(&["space", "part", "--prefix", "book:"])
        .fails(1, &["no peer could be asked", "cannot reach"]);
    let shown = phone.json(&["space", "part"]);
    assert_eq!(shown["part"]["prefixes"], json!(["note:", "user:"]));
    assert_eq!(shown["next"]["prefixes"], json!(["book:"]));
    phone.commit("user:00005", "alone");
    // What was written alone is not let go of.
    let narrower = ["space", "part", "--prefix", "note:000", "--depth", "1"];
    let offline = [&narrower[..], &["--offline"]].concat();
    phone.run(&offline).fails(1, &["run `allod sync` first"]);
    let up = ada.up_at(&up_addr);
    phone.run(&["sync"]).ok();
    assert_eq!(ada.run(&["get", "user:00005"]).ok(), "alone\n");
    assert_eq!(up.stop(), Some(0));
    phone
        .run(&["get", "book:00001", "--ask"])
        .fails(1, &["it is not kept here", "cannot reach"]);
    // Nobody can be asked just now, and who wants it goes by what was told.
    phone
        .run(&narrower)
        .fails(1, &["no peer could be asked", "--offline"]);
    let narrow = phone.json(&offline);
    assert_eq!(narrow["entries"], 100);
    phone
        .run(&["get", "user:00005", "--ask"])
        .fails(1, &["it is not kept here", "cannot reach"]);
    let gone = phone.json(&["gc"]);
    assert!(gone["removed_blocks"].as_u64().unwrap() > 20, "{gone}");
    phone.run(&["check"]).ok();
}

#[test]
fn parts_that_are_none_are_refused() {
    let (ada, up, ticket) = library();
    let phone = Home::new();
    phone
        .run(&["space", "join", &ticket, "--depth", "0"])
        .fails(2, &["a depth of 1 or more"]);
    phone.run(&["space", "join", &ticket]).ok();
    phone
        .run(&["space", "join", &ticket, "--prefix", "note:"])
        .fails(1, &["is here already", "space part"]);
    assert_eq!(phone.json(&["space", "part"])["part"], json!(null));
    // A whole replica becomes one of a part by itself.
    let part = phone.json(&["space", "part", "--depth", "2"]);
    assert_eq!(part["entries"], 3 * EACH);
    phone.run(&["space", "part", "--prefix", "book:"]).ok();
    phone.run(&["gc"]).ok();
    phone.run(&["check"]).ok();
    ada.commit("book:00001", "new");
    phone.run(&["sync"]).ok();
    assert_eq!(phone.run(&["get", "book:00001"]).ok(), "new\n");
    assert_eq!(up.stop(), Some(0));
}

/// Photos leave a phone for the house, and are looked at from there.
#[test]
fn large_files_are_somewhere_else() {
    const PHOTO: usize = 3 << 20;
    let photo = |seed: u32| -> String {
        let noise = |n: u32| n.wrapping_add(seed << 24).wrapping_mul(2_654_435_761);
        (0..PHOTO as u32)
            .map(|n| char::from(b'a' + ((noise(n) >> 13) % 26) as u8))
            .collect()
    };
    let ada = Home::with_space();
    let put = |home: &Home, key: &str, content: &str| {
        home.feed(&["put", key, "-"], content.as_bytes()).ok();
        home.run(&["commit", "-m", key]).ok();
    };
    put(&ada, "photo/1", &photo(1));
    ada.commit("note", "small");
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok().trim().to_owned();
    let phone = Home::new();
    phone
        .run(&["space", "clone", &ticket, "--max-value", "1023K"])
        .fails(2, &["1048576 bytes or more"]);
    phone
        .run(&["space", "clone", &ticket, "--max-value", "many"])
        .fails(2, &["a number of bytes, or of K, M, G or T"]);
    let joined = phone.json(&["space", "clone", &ticket, "--max-value", "2M"]);
    assert_eq!(joined["part"]["value_max"], 2 << 20);
    assert!(joined["bytes_in"].as_u64().unwrap() < 100_000, "{joined}");
    assert!(
        phone
            .run(&["space", "part"])
            .ok()
            .contains("files of up to 2.0 MiB")
    );
    assert_eq!(phone.run(&["get", "note"]).ok(), "small\n");
    let shown = phone.json(&["get", "photo/1"]);
    assert_eq!(
        (&shown["size"], &shown["here"]),
        (&json!(PHOTO), &json!(false))
    );
    phone
        .run(&["get", "photo/1", "--raw"])
        .fails(1, &["is larger than what is kept here", "get --ask"]);
    let dir = phone.file("out");
    let dir = dir.to_str().unwrap();
    phone
        .run(&["export", "--format", "dir", "--out", dir])
        .fails(1, &["is larger than what is kept here"]);
    assert!(phone.run(&["get", "photo/1", "--raw", "--ask"]).ok() == photo(1));
    // What is made here is here until it is there.
    put(&phone, "photo/2", &photo(2));
    phone.json(&["gc"]);
    assert!(phone.run(&["get", "photo/2", "--raw"]).ok() == photo(2));
    phone.run(&["check"]).ok();
    phone.run(&["sync"]).ok();
    assert!(ada.run(&["get", "photo/2", "--raw"]).ok() == photo(2));
    let gone = phone.json(&["gc"]);
    assert!(
        gone["removed_bytes"].as_u64().unwrap() > PHOTO as u64 / 2,
        "{gone}"
    );
    phone
        .run(&["get", "photo/2", "--raw"])
        .fails(1, &["larger"]);
    phone.run(&["check"]).ok();
    // And it can keep more again.
    let raised = phone.json(&["space", "part", "--max-value", "1G"]);
    assert!(
        raised["bytes_in"].as_u64().unwrap() > 2 * PHOTO as u64,
        "{raised}"
    );
    assert!(phone.run(&["get", "photo/1", "--raw"]).ok() == photo(1));
    phone.run(&["check"]).ok();
    assert_eq!(up.stop(), Some(0));
}
