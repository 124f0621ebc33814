//! Damage on the disk, mended from a peer over the network.

use std::path::PathBuf;

use crate::home::{Home, Up, copy_dir, files};

/// A running node, and a home that shares its space and was stopped, its values in files of their
/// own.
fn two() -> (Home, Up, Home) {
    let (ada, bob) = (Home::with_space(), Home::empty());
    let key = bob.file("key");
    let init = ["init", "--compression", "none", "--key-file"];
    bob.run(&[&init[..], &[key.to_str().unwrap()]].concat())
        .ok();
    for n in 0..4 {
        let value = format!("{n} value ").repeat(400);
        ada.feed(&["put", &format!("large {n}")], value.as_bytes())
            .ok();
        ada.commit("k", &format!("{n}"));
    }
    let film: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    ada.feed(&["put", "film"], &film).ok();
    ada.commit("k", "with a film");
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    bob.run(&["gc"]).ok();
    (ada, up, bob)
}

/// The files that hold the values of a store.
fn values(home: &Home) -> Vec<PathBuf> {
    let mut files = files(&home.path().join("store"));
    files.retain(|file| file.iter().any(|part| part == "packs"));
    files
}

/// Changes a byte in the middle of `text`, wherever a file of values has it.
fn damage(home: &Home, text: &str) {
    let mut damaged = 0;
    for file in values(home) {
        let mut bytes = std::fs::read(&file).unwrap();
        let found = bytes
            .windows(text.len())
            .position(|part| part == text.as_bytes());
        if let Some(at) = found {
            bytes[at + text.len() / 2] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "{text:?} is on the disk");
}

#[test]
fn damage_is_healed_from_a_peer_by_check_and_by_sync() {
    let (ada, up, bob) = two();
    let exported = bob.run(&["export"]).ok();
    let tail = up.device[up.device.len() - 8..].to_owned();
    bob.run(&["check", "--heal", "nobody"])
        .fails(1, &["nobody", "no known peer"]);
    let rows = bob.run(&["check", "--heal", &tail, "--json"]).rows();
    assert_eq!(
        rows[0]["fetched"],
        serde_json::json!([]),
        "nothing is damaged"
    );

    // Whole values, a part of a file, and all of them by the address of the peer.
    damage(&bob, &"1 value ".repeat(100));
    damage(&bob, &"2 value ".repeat(100));
    let check = bob.run(&["check"]);
    assert_eq!(check.code, Some(1), "{}", check.out);
    assert_eq!(check.out.matches("corrupt").count(), 2, "{}", check.out);
    let rows = bob.run(&["check", "--heal", &up.addr, "--json"]).rows();
    assert_eq!(rows[0]["fetched"].as_array().unwrap().len(), 2, "{rows:?}");
    assert_eq!(
        rows[0]["set_aside"].as_array().unwrap().len(),
        2,
        "{rows:?}"
    );
    assert_eq!(rows[0]["unreadable"], serde_json::json!([]));
    assert_eq!(rows[0]["lost"], serde_json::json!([]));
    assert_eq!(rows[1]["problem_count"], 0);
    assert_eq!(bob.run(&["export"]).ok(), exported);

    // A sync with nothing to exchange asks for what a check found.
    bob.run(&["gc"]).ok();
    damage(&bob, &"3 value ".repeat(100));
    bob.run(&["check"]).fails(1, &["--heal PEER"]);
    let rows = bob.run(&["sync", "--json"]).rows();
    assert_eq!(rows[0]["healed"].as_array().unwrap().len(), 1, "{rows:?}");
    assert_eq!(rows[1]["commits_in"], 0);
    assert_eq!(
        bob.run(&["sync", "--json"]).rows().len(),
        1,
        "nothing is lost any more"
    );
    assert_eq!(bob.json(&["check"])["problem_count"], 0);
    assert_eq!(bob.run(&["export"]).ok(), exported);

    // Nobody answers: what is lost stays so, and is said.
    bob.run(&["gc"]).ok();
    damage(&bob, &"0 value ".repeat(100));
    assert_eq!(up.stop(), Some(0));
    let check = bob.run(&["check", "--heal", &tail, "--json"]);
    assert_eq!(check.code, Some(1));
    assert!(check.out.contains("cannot reach"), "{}", check.out);
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim(), "--as", "again"])
        .fails(1, &["is here already", "\"notes\""]);
    bob.run(&["space", "join", ticket.trim()]).ok();
    bob.run(&["sync"]).ok();
    assert_eq!(bob.json(&["check"])["problem_count"], 0);
    assert_eq!(bob.run(&["export"]).ok(), exported);
    assert_eq!(up.stop(), Some(0));
}

/// An archive that anybody kept serves as a cache: what it has of another content than its name
/// says is not taken, and what it has truly mends the home.
#[test]
fn a_cache_needs_no_trust() {
    let (_ada, up, bob) = two();
    assert_eq!(up.stop(), Some(0));
    let exported = bob.run(&["export"]).ok();
    bob.run(&["export", "--format", "car", "-o", "true.car"])
        .ok();
    let mut archive = std::fs::read(bob.file("true.car")).unwrap();
    let part = "1 value ".repeat(100);
    let at = archive
        .windows(part.len())
        .position(|found| found == part.as_bytes());
    archive[at.unwrap()] ^= 1;
    bob.write("lying.car", &archive);
    damage(&bob, &part);
    bob.run(&["check", "--heal", "lying.car"])
        .fails(1, &["lying.car", "hash"]);
    assert_eq!(bob.run(&["check"]).code, Some(1));
    let rows = bob.run(&["check", "--heal", "true.car", "--json"]).rows();
    assert_eq!(rows[0]["fetched"].as_array().unwrap().len(), 1, "{rows:?}");
    assert_eq!(rows[1]["problem_count"], 0);
    assert_eq!(bob.run(&["export"]).ok(), exported);
}

/// The table of names is damaged: its names cannot be listed any more. That is said,
/// and what references need of it is fetched all the same.
#[test]
fn what_cannot_be_listed_is_fetched_around() {
    let (_ada, up, bob) = two();
    let exported = bob.run(&["export"]).ok();
    // The engine made that of blocks first.
    let tables = files(&bob.path().join("store/keyspaces/1/tables"));
    let largest = tables
        .iter()
        .max_by_key(|file| file.metadata().unwrap().len());
    let mut bytes = std::fs::read(largest.unwrap()).unwrap();
    let at = bytes.len() / 4;
    bytes[at] ^= 0x55;
    std::fs::write(largest.unwrap(), bytes).unwrap();
    let check = bob.run(&["check"]);
    assert_eq!(check.code, Some(1));
    assert!(
        check.out.contains("not all names of blocks can be listed"),
        "{}",
        check.out
    );
    bob.run(&["export"]).fails(1, &["damaged"]);
    let check = bob.run(&["check", "--heal", &up.addr, "--json"]);
    assert_eq!(check.code, Some(1), "{}", check.out);
    let mut rows = check
        .out
        .lines()
        .map(serde_json::from_str::<serde_json::Value>);
    let mended = rows.next().unwrap().unwrap();
    assert_eq!(mended["lost"], serde_json::json!([]), "{mended}");
    // What the engine cannot list it never will; a copy can.
    bob.run(&["gc"]).fails(1, &[]);
    let before = bob.run(&["log", "--json"]).ok();
    // A copy that was cut off is in nobody's way, and what was exchanged already is kept.
    std::fs::create_dir_all(bob.path().join("store.copy/tables")).unwrap();
    std::fs::create_dir_all(bob.path().join("store.new/kept")).unwrap();
    let copied = bob.json(&["store", "rebuild"]);
    assert_eq!(copied["unreadable"], 0, "{copied}");
    let former = copied["former"].as_str().unwrap();
    assert!(
        std::path::Path::new(former).join("version").is_file(),
        "{former}"
    );
    assert!(!bob.path().join("store.copy").exists());
    assert!(!bob.path().join("store.new").exists());
    assert!(bob.path().join("store.former-1/kept").is_dir());
    assert_eq!(bob.json(&["check"])["problem_count"], 0);
    bob.run(&["gc"]).ok();
    assert_eq!(bob.run(&["log", "--json"]).ok(), before);
    assert!(mended["fetched"].as_array().unwrap().len() > 2, "{mended}");
    let problem = rows.next().unwrap().unwrap();
    assert_eq!(problem["problem"], "corrupt");
    assert!(
        rows.next().is_none(),
        "nothing else is wrong: {}",
        check.out
    );
    assert_eq!(bob.run(&["export"]).ok(), exported);
    assert_eq!(up.stop(), Some(0));
}

/// Bytes all over the files of values are changed, one at a time; each is noticed and healed.
#[test]
fn bytes_all_over_the_values_are_healed_from_a_peer() {
    const SAMPLES: usize = 24;
    let (_ada, up, bob) = two();
    let exported = bob.run(&["export"]).ok();
    let store = bob.path().join("store");
    let whole = bob.file("whole");
    copy_dir(&store, &whole);
    let (mut healed, mut harmless) = (0, 0);
    for file in values(&bob) {
        let bytes = std::fs::read(&file).unwrap();
        for sample in 0..SAMPLES {
            let at = bytes.len() * sample / SAMPLES;
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            std::fs::write(&file, damaged).unwrap();
            let check = bob.run(&["check", "--heal", &up.addr]);
            assert_eq!(
                check.code,
                Some(0),
                "byte {at}: {} {}",
                check.out,
                check.err
            );
            assert_eq!(bob.run(&["export"]).ok(), exported, "byte {at}");
            if check.out.contains(" 1 fetched") {
                healed += 1;
            } else {
                harmless += 1;
            }
            std::fs::remove_dir_all(&store).unwrap();
            copy_dir(&whole, &store);
        }
    }
    println!("{healed} healed, {harmless} did no harm");
    assert!(
        healed > SAMPLES / 2,
        "{healed} healed, {harmless} did no harm"
    );
    assert_eq!(up.stop(), Some(0));
}
