//! Parts of a branch that somebody may read, and nothing else of it (PART-20 to PART-25, SYNC-64), by processes.

use crate::home::{Home, Up};

fn agent(home: &Home) -> String {
    home.json(&["id"])["agent"].as_str().unwrap().to_owned()
}

/// Ada's space with notes and a diary, her running node, and a home that joined with a ticket of these options.
fn joined(ticket: &[&str]) -> (Home, Up, Home) {
    let ada = Home::with_space();
    ada.commit("notes/1", "milk and bread");
    ada.commit("diary/1", "nobody's business");
    ada.commit("notes/2", "call Bob");
    let (up, bob) = (ada.up(), Home::new());
    let ticket = ada.run(&[&["space", "ticket"], ticket].concat()).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    (ada, up, bob)
}

#[test]
fn a_ticket_for_a_prefix_brings_that_prefix_alone() {
    let (ada, up, bob) = joined(&["--can", "read", "--prefix", "notes/"]);
    assert_eq!(ada.run(&["space", "parts"]).ok().trim(), "notes/*  of main");
    let part = bob.run(&["space", "part"]).ok();
    assert!(part.contains("notes/*"), "{part}");
    assert_eq!(bob.run(&["get", "notes/1"]).ok().trim(), "milk and bread");
    let listed = bob.run(&["ls"]).ok();
    assert!(
        listed.contains("notes/2") && !listed.contains("diary"),
        "{listed}"
    );
    bob.run(&["get", "diary/1"]).fails(1, &["denied"]);
    bob.run(&["get", "diary/1", "--ask"]).fails(1, &["denied"]);
    bob.run(&["check"]).ok();
    // Nothing of the diary is in any file of his home.
    let grep = std::process::Command::new("grep")
        .args(["-r", "-l", "-a", "nobody's business"])
        .arg(bob.path())
        .output()
        .unwrap();
    assert!(grep.stdout.is_empty(), "{grep:?}");
    // He may not write, and what comes later comes.
    bob.run(&["put", "notes/1", "mine"])
        .fails(1, &["put is denied"]);
    ada.commit("diary/2", "still nobody's");
    ada.commit("notes/1", "milk alone");
    bob.run(&["sync"]).ok();
    assert_eq!(bob.run(&["get", "notes/1"]).ok().trim(), "milk alone");
    // Until the right goes.
    let granted = ada.run(&["grants", "--json"]).rows();
    ada.run(&["revoke", granted[0]["grant"].as_str().unwrap()])
        .ok();
    ada.commit("notes/1", "unseen");
    let synced = bob.run(&["sync"]);
    assert!(synced.out.contains("E_NOT_MEMBER"), "{}", synced.out);
    up.stop();
}

#[test]
fn who_has_a_part_writes_there_and_both_go_on() {
    let (ada, up, bob) = joined(&["--can", "read,write", "--prefix", "notes/"]);
    bob.commit("notes/1", "of bob");
    bob.commit("notes/4", "of bob too");
    bob.run(&["put", "diary/1", "mine"]).fails(1, &["denied"]);
    bob.run(&["sync"]).ok();
    assert_eq!(ada.run(&["get", "notes/1"]).ok().trim(), "of bob");
    ada.commit("notes/4", "of ada now");
    bob.run(&["sync"]).ok();
    assert_eq!(bob.run(&["get", "notes/4"]).ok().trim(), "of ada now");
    assert_eq!(bob.run(&["get", "notes/1"]).ok().trim(), "of bob");
    for home in [&ada, &bob] {
        home.run(&["check"]).ok();
    }
    up.stop();
}

#[test]
fn parts_are_listed_declared_and_removed() {
    let ada = Home::with_space();
    let none = ada.run(&["space", "parts"]);
    assert!(none.err.contains("no part is declared"), "{}", none.err);
    ada.commit("notes/1", "x");
    ada.run(&[
        "space",
        "parts",
        "--declare",
        "notes/",
        "--branch",
        "side",
        "--branch",
        "main",
    ])
    .ok();
    let rows = ada.run(&["space", "parts", "--json"]).rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["prefix"], "notes/");
    assert_eq!(rows[0]["branches"], serde_json::json!(["main", "side"]));
    ada.run(&["space", "parts", "--declare", "x/", "--branch", "meta"])
        .fails(1, &["other than meta"]);
    // A grant declares what it lets somebody read, of the branches that it names.
    let (bob, eve) = (Home::with_space(), Home::with_space());
    ada.run(&[
        "grant",
        &agent(&bob),
        "--can",
        "read",
        "--prefix",
        "team/",
        "--branch",
        "side",
    ])
    .ok();
    ada.run(&["grant", &agent(&eve), "--can", "write", "--prefix", "drop/"])
        .ok();
    let listed = ada.run(&["space", "parts"]).ok();
    assert!(
        listed.contains("team/*  of side") && !listed.contains("drop/"),
        "{listed}"
    );
    let vague = ada.run(&[
        "grant",
        &agent(&bob),
        "--can",
        "read",
        "--prefix",
        "y/",
        "--branch",
        "s*",
    ]);
    assert!(vague.err.contains("no declared part"), "{}", vague.err);
    ada.run(&["space", "parts", "--remove", "notes/", "--remove", "team/"])
        .ok();
    let none = ada.run(&["space", "parts"]);
    assert!(none.err.contains("no part is declared"), "{}", none.err);
}
