//! Garbage, pins, compression, damage and figures, on the disk.

use crate::home::{Home, copy_dir, files};

/// Stages a file of 8 MiB under `k` without ever committing it, then drops it by another value.
fn leave_garbage(home: &Home) {
    let mut state = 7u64;
    let noise: Vec<u8> = (0..8 << 20)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    home.feed(&["put", "k"], &noise).ok();
    home.commit("k", "small");
}

fn number(value: &serde_json::Value, name: &str) -> u64 {
    value[name].as_u64().unwrap()
}

fn disk(home: &Home) -> u64 {
    let files = files(&home.path().join("store"));
    files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum()
}

#[test]
fn garbage_goes_and_the_disk_gets_its_room_back() {
    let home = Home::with_space();
    let blob = home.write("blob", "kept by its pin");
    let cid = home.run(&["add", &blob]).ok();
    leave_garbage(&home);
    let counted = home.json(&["gc", "--dry-run"]);
    assert!(number(&counted, "removed_bytes") > 8 << 20);
    let before = disk(&home);
    let done = home.json(&["gc"]);
    assert_eq!(done["removed_blocks"], counted["removed_blocks"]);
    assert_eq!(done["removed_bytes"], counted["removed_bytes"]);
    let given_back = number(&done, "disk_before") - number(&done, "disk_after");
    assert!(given_back > 7 << 20, "{done}");
    assert_eq!(home.json(&["gc"])["removed_blocks"], 0);
    let after = disk(&home);
    assert!(after + (7 << 20) <= before, "{before} bytes, then {after}");
    assert_eq!(home.run(&["get", "k"]).ok(), "small\n");
    assert_eq!(home.run(&["pin"]).ok(), cid);
    assert_eq!(home.run(&["cat", cid.trim()]).ok(), "kept by its pin");
    home.run(&["pin", "--remove", cid.trim()]).ok();
    home.run(&["pin", "--remove", cid.trim()])
        .fails(1, &["not pinned"]);
    home.run(&["gc"]).ok();
    home.run(&["cat", cid.trim()]).fails(1, &["is missing"]);
    home.run(&["pin", cid.trim()]).fails(1, &["missing"]);
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

#[test]
fn a_running_node_collects_beside_its_work() {
    let home = Home::with_space();
    let up = home.up();
    leave_garbage(&home);
    let done = home.json(&["gc"]);
    assert!(number(&done, "removed_bytes") > 8 << 20);
    home.commit("another", "value");
    let asked = &home.json(&["stats", "--fast"])["latency_us"]["space"];
    assert!(number(&asked["commit"], "count") >= 2, "{asked}");
    assert_eq!(home.json(&["check"])["problem_count"], 0);
    assert_eq!(up.stop(), Some(0));
    assert_eq!(home.run(&["get", "another"]).ok(), "value\n");
}

#[test]
fn the_compression_is_chosen_and_changed_later() {
    let home = Home::empty();
    let key = home.file("key");
    let key = key.to_str().unwrap();
    let init = ["init", "--key-file", key, "--compression"];
    home.run(&[&init[..], &["zstd:99"]].concat())
        .fails(2, &["zstd:LEVEL"]);
    home.run(&[&init[..], &["snappy"]].concat()).ok();
    home.run(&["space", "new", "notes"]).ok();
    assert_eq!(home.run(&["store", "compression"]).ok(), "snappy\n");
    let text = "much the same, again and again. ".repeat(10_000);
    home.feed(&["put", "a"], text.as_bytes()).ok();
    let up = home.up();
    home.run(&["store", "compression", "zstd:19"]).ok();
    home.feed(&["put", "b"], text.replace("same", "like").as_bytes())
        .ok();
    assert_eq!(up.stop(), Some(0));
    assert_eq!(home.run(&["store", "compression"]).ok(), "zstd:19\n");
    home.run(&["store", "compression", "none"]).ok();
    home.run(&["commit", "-m", "both"]).ok();
    assert_eq!(home.run(&["get", "a", "--raw"]).ok(), text);
    assert_eq!(
        home.run(&["get", "b", "--raw"]).ok(),
        text.replace("same", "like")
    );
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

/// Bytes all over the files of a store are changed, one at a time. Each is noticed or does no harm,
/// and nothing panics.
#[test]
fn damage_on_the_disk_is_noticed_and_mended_from_another_home() {
    let home = Home::with_space();
    for n in 0..4 {
        home.feed(
            &["put", &format!("large {n}")],
            format!("{n} value ").repeat(400).as_bytes(),
        )
        .ok();
        home.commit("k", &format!("{n}"));
    }
    home.run(&["gc"]).ok();
    let exported = home.run(&["export"]).ok();
    let whole = home.file("whole");
    copy_dir(&home.path(), &whole);
    let (mut noticed, mut mended, mut harmless) = (0, 0, 0);
    for file in files(&home.path().join("store")) {
        let name = file.strip_prefix(home.path()).unwrap().to_owned();
        let bytes = std::fs::read(&file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        for part in 0..5 {
            let at = used * part / 5;
            if bytes.is_empty() {
                continue;
            }
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            std::fs::write(&file, &damaged).unwrap();
            let check = home.run(&["check"]);
            assert!(
                !check.err.contains("panicked"),
                "{name:?} {at}: {}",
                check.err
            );
            if check.code == Some(0) {
                assert_eq!(home.run(&["export"]).ok(), exported, "{name:?} {at}");
                harmless += 1;
            } else {
                noticed += 1;
                let whole = whole.to_str().unwrap();
                if home.run(&["check", "--heal", whole]).code == Some(0) {
                    assert_eq!(home.run(&["export"]).ok(), exported);
                    mended += 1;
                }
            }
            std::fs::remove_dir_all(home.path().join("store")).unwrap();
            copy_dir(&whole.join("store"), &home.path().join("store"));
        }
    }
    println!("{noticed} noticed, {mended} of them mended, {harmless} did no harm");
    assert!(noticed > 0 && mended > 0);
}

#[test]
fn a_home_is_mended_from_an_archive() {
    let home = Home::with_space();
    home.commit("k", "v");
    home.run(&["check", "--heal", "nowhere.car"])
        .fails(1, &["nowhere.car"]);
    home.run(&["export", "--format", "car", "-o", "all.car"])
        .ok();
    let mended = home.run(&["check", "--heal", "all.car", "--json"]).rows();
    assert_eq!(mended[0]["fetched"], serde_json::json!([]));
    assert_eq!(mended[1]["problem_count"], 0);
    assert!(number(&mended[1], "blocks") > 3);
    let repaired = home.run(&["check", "--repair", "--json"]).rows();
    assert_eq!(repaired[0]["lost"], serde_json::json!([]));
}

#[test]
fn figures_and_what_is_inside() {
    let home = Home::with_space();
    home.run(&["store", "compression", "zstd"]).ok();
    let long = "a long value. ".repeat(200);
    home.feed(&["put", "long"], long.as_bytes()).ok();
    home.run(&["put", "gone", "soon"]).ok();
    let first = home.commit("k", "v");
    home.run(&["del", "gone"]).ok();
    let second = home.commit("k", "w");
    home.run(&["put", "later", "on"]).ok();

    let stats = home.json(&["stats"]);
    let names = ["keys", "tombstones", "staged", "commits", "branches"];
    assert_eq!(names.map(|name| number(&stats, name)), [2, 1, 1, 2, 1]);
    assert!(
        stats["compression_ratio"].as_f64().unwrap() < 0.9,
        "{stats}"
    );
    assert!(number(&stats, "content_bytes") > number(&stats, "stored_bytes"));
    assert!(number(&stats, "disk_bytes") > 0);
    let latency = &stats["latency_us"]["store"]["get"];
    assert!(number(latency, "count") > 0);
    let [p50, p99] = ["p50", "p99"].map(|name| latency[name].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99);
    assert!(home.json(&["stats", "--fast"])["blocks"].is_null());
    assert!(home.run(&["stats"]).ok().contains("p99"));

    let commit = home.json(&["inspect", "commit", &second]);
    assert_eq!(commit["parents"], serde_json::json!([first]));
    assert_eq!(commit["message"], "a change");
    let root = commit["tree"].as_str().unwrap();
    let tree = home.json(&["inspect", "tree", root]);
    let names = ["depth", "nodes", "leaves", "entries"];
    assert_eq!(names.map(|name| number(&tree, name)), [1, 1, 1, 3]);
    assert_eq!(home.json(&["inspect", "tree", "main"]), tree);
    assert_eq!(home.json(&["inspect", "tree", &second]), tree);

    let leaf = home.json(&["inspect", "block", root]);
    assert_eq!(
        (&leaf["kind"], &leaf["rows"][0]["deleted"]),
        (&"leaf".into(), &true.into())
    );
    let value = leaf["rows"][2]["link"].as_str().unwrap();
    let value = home.json(&["inspect", "block", value]);
    assert_eq!(number(&value, "bytes"), long.len() as u64);
    assert!(number(&value, "stored_bytes") < 100);
    let value = value["cid"].as_str().unwrap();
    assert_eq!(home.run(&["dump", value, "--raw"]).ok(), long);
    assert!(
        home.run(&["dump", value])
            .ok()
            .starts_with("00000000  61206c")
    );
    assert!(home.run(&["dump", &second]).ok().contains("a change"));
    home.run(&["inspect", "block", root, "--space", "notes"])
        .ok();
    home.run(&["inspect", "commit", "nothing"])
        .fails(1, &["nothing"]);
    home.run(&["dump", "nothing"]).fails(1, &["names nothing"]);
    let absent = "sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    home.run(&["inspect", "block", absent])
        .fails(1, &["not here"]);
    home.run(&["inspect", "tree", value]).fails(1, &["no tree"]);
}
