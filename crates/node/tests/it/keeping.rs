//! Garbage and pins, on the disk.

use crate::home::Home;

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
    fn below(path: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
        entries
            .map(|entry| match entry.file_type().unwrap().is_dir() {
                true => below(&entry.path()),
                false => entry.metadata().unwrap().len(),
            })
            .sum()
    }
    below(&home.path().join("store"))
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
