//! Lists by place and by chance, page by page, keys of every kind; and pictures.

use std::collections::BTreeSet;

use crate::home::Home;

fn keys(rows: &[serde_json::Value]) -> Vec<String> {
    let key = |row: &serde_json::Value| row["key"].as_str().unwrap().to_owned();
    rows.iter().map(key).collect()
}

/// A space with `k/000` to `k/199` and one key beside.
fn filled() -> Home {
    let home = Home::with_space();
    let rows: String = (0..200)
        .map(|n| format!("{{\"id\":\"k/{n:03}\",\"n\":{n}}}\n"))
        .collect();
    let file = home.write("rows.ndjson", rows);
    home.run(&["import", &file]).ok();
    home.run(&["put", "other", "x"]).ok();
    home.run(&["commit", "-m", "many"]).ok();
    home
}

#[test]
fn pages_follow_each_other_in_both_directions() {
    let home = filled();
    for reverse in [false, true] {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut args = vec!["ls", "k/", "--limit", "37", "--json"];
            args.extend(reverse.then_some("--reverse"));
            if let Some(after) = &after {
                args.extend(["--after", after]);
            }
            let page = keys(&home.run(&args).rows());
            assert!(page.len() <= 37);
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            all.extend(page);
        }
        if reverse {
            all.reverse();
        }
        let expected: Vec<_> = (0..200).map(|n| format!("k/{n:03}")).collect();
        assert_eq!(all, expected);
    }
}

#[test]
fn entries_are_found_by_place_and_by_chance() {
    let home = filled();
    assert_eq!(home.run(&["ls", "--nth", "42"]).ok(), "k/042\n");
    assert_eq!(home.run(&["ls", "k/1", "--nth", "0"]).ok(), "k/100\n");
    home.run(&["ls", "k/", "--nth", "200"])
        .fails(1, &["there are 200 keys"]);
    let sample = |seed: &str| {
        let args = ["ls", "k/", "--sample", "20", "--seed", seed, "--json"];
        keys(&home.run(&args).rows())
    };
    let first = sample("1");
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 20);
    assert!(first.is_sorted() && first.iter().all(|key| key.starts_with("k/")));
    assert_eq!(first, sample("1"));
    assert_ne!(first, sample("2"));
    let all = home.run(&["ls", "--sample", "1000", "--json"]).rows();
    assert_eq!(all.len(), 201);
    home.run(&["ls", "--sample", "1", "--nth", "1"])
        .fails(2, &[]);
}

#[test]
fn keys_that_are_no_text_and_long_ones() {
    let home = Home::with_space();
    let long = "k".repeat(4096);
    for key in ["hex:ff00", "hex:6865783a", &long] {
        home.run(&["put", key, "v"]).ok();
    }
    home.run(&["commit", "-m", "keys"]).ok();
    assert_eq!(home.run(&["get", "hex:ff00"]).ok(), "v\n");
    let listed = keys(&home.run(&["ls", "--json"]).rows());
    assert_eq!(listed, ["hex:6865783a", &long, "hex:ff00"]);
    for key in &listed {
        home.run(&["blame", key]).ok();
        home.run(&["del", key]).ok();
    }
    home.run(&["put", &"k".repeat(4097), "v"])
        .fails(1, &["1 to 4,096 bytes"]);
    home.run(&["get", "hex:f"]).fails(2, &["hexadecimal"]);
}

#[test]
fn histories_and_trees_are_drawn() {
    let home = filled();
    home.run(&["branch", "side"]).ok();
    home.run(&["put", "k/007", "<&>"]).ok();
    home.run(&["commit", "-m", "less < \"more\" & so on"]).ok();
    home.run(&["switch", "side"]).ok();
    home.run(&["put", "k/150", "y"]).ok();
    home.run(&["commit", "-m", "beside"]).ok();
    home.run(&["tag", "v1"]).ok();
    let file = home.file("history.svg");
    home.run(&["log", "--all", "--svg", file.to_str().unwrap()])
        .ok();
    let svg = std::fs::read_to_string(&file).unwrap();
    assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
    assert!(svg.contains("less &lt; &quot;more&quot; &amp; so on"));
    for name in [">main<", ">side<", ">tag v1<"] {
        assert!(svg.contains(name), "{svg}");
    }
    let one = home.run(&["log", "main", "--svg", "-"]).ok();
    assert_eq!(one.matches("<circle").count(), 2);
    let tree = home.run(&["inspect", "tree", "main", "--svg", "-", "--beside", "side"]);
    let tree = tree.ok();
    assert!(tree.contains("class=\"own\"") && tree.contains("class=\"same\""));
    home.run(&["log", "--svg", "-", "--graph"]).fails(2, &[]);
}
