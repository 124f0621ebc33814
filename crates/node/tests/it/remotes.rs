//! Remotes, and what is pushed to them and pulled from them.

use serde_json::json;

use crate::home::Home;

#[test]
fn branches_are_pushed_and_pulled_by_name() {
    let (ada, bob) = (Home::with_space(), Home::new());
    ada.commit("from", "ada");
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    let remotes = bob.run(&["remote", "--json"]).rows();
    assert_eq!(remotes[0]["remote"], "origin");
    assert_eq!(remotes[0]["device"], up.device.as_str());

    // What is pushed arrives there, and only that.
    bob.commit("from", "bob");
    bob.run(&["switch", "-c", "draft"]).ok();
    let draft = bob.commit("idea", "a book");
    ada.commit("more", "of ada");
    let report = bob.json(&["push"]);
    assert_eq!(report["commits_out"], 2, "the draft and what it stands on");
    assert_eq!(report["commits_in"], 0);
    assert_eq!(ada.run(&["get", "idea", "--at", "draft"]).ok(), "a book\n");
    assert_eq!(
        ada.run(&["get", "from"]).ok(),
        "ada\n",
        "main was not pushed"
    );
    bob.run(&["get", "more", "--at", "main"])
        .fails(1, &["more"]);
    assert_eq!(bob.json(&["push", "origin", "draft"])["commits_out"], 0);
    let heads = ada.run(&["branch", "--json"]).rows();
    let pushed = heads.iter().find(|row| row["branch"] == "draft").unwrap();
    assert_eq!(pushed["heads"], json!([draft]));

    // What is pulled joins what is here, and nothing goes out.
    let report = bob.json(&["pull", "origin", "main"]);
    assert_eq!(
        (&report["commits_in"], &report["commits_out"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(bob.run(&["get", "more", "--at", "main"]).ok(), "of ada\n");
    assert_eq!(bob.run(&["get", "from", "--at", "main"]).ok(), "bob\n");
    assert_eq!(ada.run(&["get", "from"]).ok(), "ada\n");
    let all = bob.json(&["push", "--all"]);
    assert_eq!(all["commits_in"], 0);
    assert_eq!(ada.run(&["get", "from"]).ok(), "bob\n");
    let peers = bob.run(&["peers", "--json"]).rows();
    assert_eq!(peers[0]["remote"], "origin");
    assert_eq!(peers[0]["current"], true);
    // From a running node as well, whose only peer needs no name.
    bob.commit("late", "x");
    let there = bob.up();
    ada.run(&[
        "remote",
        "add",
        "bob",
        &format!("{}@{}", there.device, there.addr),
    ])
    .ok();
    ada.run(&["pull", "bob", "draft"]).ok();
    assert_eq!(ada.run(&["get", "late", "--at", "draft"]).ok(), "x\n");
    assert_eq!(there.stop(), Some(0));
    assert_eq!(up.stop(), Some(0));
    for home in [&ada, &bob] {
        assert_eq!(home.json(&["check"])["problem_count"], 0);
    }
}

#[test]
fn remotes_are_named_renamed_and_refused() {
    let (ada, bob) = (Home::with_space(), Home::new());
    ada.commit("k", "v");
    ada.run(&["push"]).fails(1, &["no peer is known"]);
    ada.run(&["pull", "nobody"])
        .fails(1, &["nobody", "allod peers"]);
    let device = bob.json(&["id"])["device"].as_str().unwrap().to_owned();
    let own = ada.json(&["id"])["device"].as_str().unwrap().to_owned();
    let at = |addr: &str| format!("{device}@{addr}");
    ada.run(&["remote", "add", "home", &at("127.0.0.1:1")]).ok();
    ada.run(&["remote", "add", "home", &at("127.0.0.1:2")]).ok();
    let rows = ada.run(&["remote", "list", "--json"]).rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["addrs"], json!(["127.0.0.1:2", "127.0.0.1:1"]));
    for (name, word) in [
        ("a/b", "a/b"),
        ("..", ".."),
        ("", "no name"),
        (&"n".repeat(65), "nnn"),
    ] {
        ada.run(&["remote", "add", name, &at("127.0.0.1:1")])
            .fails(1, &[word, "1 to 64"]);
    }
    ada.run(&["remote", "add", "x", &at("nowhere")])
        .fails(2, &["DEVICE@ADDRESS:PORT"]);
    ada.run(&["remote", "add", "x", "nobody"])
        .fails(1, &["nobody"]);
    ada.run(&["remote", "add", "me", &own])
        .fails(1, &["this very node"]);
    ada.run(&["remote", "rename", "nothing", "x"])
        .fails(1, &["nothing", "allod remote"]);
    ada.run(&["remote", "rename", "home", "cellar"]).ok();
    // The end of its device names it as well. It has one name at a time.
    ada.run(&["remote", "add", "home", &device[device.len() - 8..]])
        .ok();
    ada.run(&[
        "remote",
        "add",
        "other",
        &format!(
            "{}@127.0.0.1:9",
            Home::new().json(&["id"])["device"].as_str().unwrap()
        ),
    ])
    .ok();
    ada.run(&["remote", "rename", "other", "home"])
        .fails(1, &["home", "already"]);
    ada.run(&["push"])
        .fails(1, &["more than one peer", "remote add origin"]);
    ada.run(&["push", "home", "no/branch"])
        .fails(1, &["no/branch"]);
    ada.run(&["push", "home", "a//b"]).fails(2, &["a//b"]);
    ada.run(&["push", "home", "main", "--all"])
        .fails(2, &["--all"]);
    ada.run(&["push", "other"]).fails(1, &["cannot reach"]);
    ada.run(&["remote", "remove", "home"]).ok();
    ada.run(&["remote", "remove", "home"])
        .fails(1, &["no remote named"]);
    assert_eq!(ada.run(&["peers"]).ok().lines().count(), 2);
    // A branch that the remote does not have.
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    bob.run(&["pull", "origin", "main", "nothing"])
        .fails(1, &["no branch nothing"]);
    assert_eq!(up.stop(), Some(0));
}
