//! The history asked by commands.

use crate::home::Home;

#[test]
fn blame_and_the_history_of_a_key() {
    let home = Home::with_space();
    let first = home.commit("notes/a", "1");
    let second = home.commit("notes/b", "1");
    let third = home.commit("notes/a", "2");
    let blame = home.json(&["blame", "notes/a"]);
    assert_eq!(
        (&blame["commit"], &blame["value"]),
        (&third.clone().into(), &"2".into())
    );
    assert_eq!(blame["message"], "a change");
    assert!(blame["author"].as_str().unwrap().starts_with("did:key:"));
    assert_eq!(
        home.json(&["blame", "notes/a", "--at", &second])["commit"],
        first.as_str()
    );
    let rows = home.run(&["blame", "notes/", "--prefix", "--json"]).rows();
    let commits: Vec<&str> = rows
        .iter()
        .map(|row| row["commit"].as_str().unwrap())
        .collect();
    assert_eq!(commits, [third.as_str(), second.as_str()]);
    let log = home.run(&["log", "--key", "notes/a", "--json"]).rows();
    let commits: Vec<&str> = log
        .iter()
        .map(|row| row["commit"].as_str().unwrap())
        .collect();
    assert_eq!(commits, [third.as_str(), first.as_str()]);
    home.run(&["blame", "nothing"]).fails(1, &["nobody wrote"]);
}

#[test]
fn bisect_by_a_key_by_a_command_and_by_hand() {
    let home = Home::with_space();
    let good = home.commit("k", "good");
    let mut culprit = String::new();
    for n in 0..9 {
        if n == 5 {
            culprit = home.commit("k", "bad");
        } else {
            home.commit("other", &n.to_string());
        }
    }
    let found = home.json(&["bisect", &good, "main", "--key", "k", "--equals", "good"]);
    assert_eq!(found["first_bad"][0], culprit.as_str());
    assert!(found["tests"].as_u64().unwrap() <= 4, "{found}");
    // The command uses the same home.
    let binary = env!("CARGO_BIN_EXE_allod");
    let script = format!("test \"$({binary} get k --at $ALLOD_COMMIT)\" = good");
    let args = ["bisect", &good, "main", "--", "/bin/sh", "-c", &script];
    let found = home.run(&[&["--json"][..], &args].concat()).json();
    assert_eq!(found["first_bad"][0], culprit.as_str());
    let skipped = home
        .run(&[
            "--json", "bisect", &good, "main", "--", "/bin/sh", "-c", "exit 125",
        ])
        .json();
    assert_eq!(skipped["first_bad"].as_array().unwrap().len(), 9);
    home.run(&["bisect", &good, "main", "--", "/bin/sh", "-c", "kill -9 $$"])
        .fails(1, &["ended with"]);
    let next = home.json(&["bisect", &good, "main"]);
    let next = next["next"].as_str().unwrap();
    let after = home.json(&["bisect", &good, "main", "--is-bad", next]);
    assert!(after["open"].as_u64().unwrap() < 9);
    home.run(&["bisect", "main", &good]).fails(1, &["descend"]);
    // The same with a node that holds the home.
    let up = home.up();
    let found = home.run(&[&["--json"][..], &args].concat()).json();
    assert_eq!(found["first_bad"][0], culprit.as_str());
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn the_history_is_drawn() {
    let home = Home::with_space();
    home.commit("a", "1");
    home.run(&["switch", "-c", "draft"]).ok();
    home.commit("b", "1");
    home.run(&["switch", "main"]).ok();
    home.commit("c", "1");
    home.run(&["merge", "draft"]).ok();
    let drawn = home.run(&["log", "--graph"]).ok();
    let lines: Vec<&str> = drawn.lines().collect();
    assert_eq!(lines.len(), 6, "{drawn}");
    assert!(
        lines[0].starts_with("* ") && lines[0].contains("(joins)"),
        "{drawn}"
    );
    assert_eq!((lines[1], lines[4]), ("|\\", "|/"), "{drawn}");
    assert!(lines[5].starts_with("* "), "{drawn}");
    let rows = home.run(&["log", "--graph", "--json"]).rows();
    assert_eq!(rows.len(), 4);
}
