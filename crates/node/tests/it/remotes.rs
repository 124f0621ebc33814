//! Remotes, and what is pushed to them and pulled from them.

use std::time::{Duration, Instant};

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
    let is_current = || {
        let peers = bob.run(&["peers", "--json"]).rows();
        assert_eq!(peers[0]["remote"], "origin");
        peers[0]["current"].as_bool().unwrap()
    };
    assert!(!is_current(), "what it has was not asked for");
    bob.run(&["sync"]).ok();
    assert!(is_current());
    // A branch that has the same head as one that was pushed is still to be exchanged: a running
    // node does it.
    bob.run(&["switch", "main"]).ok();
    bob.commit("shown", "later");
    bob.run(&["branch", "copy"]).ok();
    ada.run(&["branch", "only", "main"]).ok();
    bob.run(&["push", "origin", "copy"]).ok();
    assert!(!is_current());
    ada.run(&["get", "shown"]).fails(1, &["shown"]);
    let there = bob.up();
    let started = Instant::now();
    while ada.run(&["get", "shown"]).code != Some(0) || bob.run(&["log", "only"]).code != Some(0) {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "nothing arrived"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(there.stop(), Some(0));
    bob.run(&["switch", "draft"]).ok();
    // From a running node as well.
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

/// REPO-80 to REPO-83.
#[test]
fn what_is_fetched_moves_no_branch_and_can_be_read() {
    let (ada, bob) = (Home::with_space(), Home::new());
    ada.commit("k", "begin");
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    let mine = bob.commit("mine", "1");
    ada.commit("theirs", "2");
    let theirs = ada.commit("theirs", "3");
    ada.run(&["branch", "draft"]).ok();
    ada.run(&["tag", "v1"]).ok();
    let rows = bob.run(&["fetch", "--json"]).rows();
    assert_eq!(
        (&rows[0]["commits_in"], &rows[0]["commits_out"]),
        (&json!(3), &json!(0))
    );
    let tracked = |name: &str| json!({ "tracking": name, "was": [], "heads": [theirs] });
    assert_eq!(rows[1..], [tracked("origin/draft"), tracked("origin/main")]);
    // Only meta has moved.
    let heads = bob.run(&["branch", "--json"]).rows();
    assert_eq!(heads.len(), 2, "{heads:?}");
    assert_eq!(heads[0]["heads"], json!([mine]));
    bob.run(&["get", "theirs"]).fails(1, &["theirs"]);
    assert_eq!(bob.run(&["tag"]).ok().lines().count(), 1);
    let listed = bob.run(&["branch", "--remotes", "--json"]).rows();
    assert_eq!(listed[1]["tracking"], "origin/main");
    assert_eq!(listed[1]["heads"], json!([theirs]));
    // A second time nothing comes, also after what nothing refers to is gone.
    assert_eq!(bob.json(&["gc"])["removed_commits"], json!(0));
    assert_eq!(bob.json(&["fetch"])["commits_in"], 0);
    // It is read wherever a commit is.
    assert_eq!(
        bob.run(&["get", "theirs", "--at", "origin/main"]).ok(),
        "3\n"
    );
    assert_eq!(
        bob.run(&["log", "origin/main", "--json"]).rows()[0]["commit"],
        theirs.as_str()
    );
    assert!(
        bob.run(&["diff", "main", "origin/main"])
            .ok()
            .contains("theirs")
    );
    assert_eq!(
        bob.json(&["show", &theirs[theirs.len() - 8..]])["commit"],
        theirs.as_str()
    );
    let sql = "SELECT count(*) AS n FROM allod_entries AS OF 'origin/main'";
    assert_eq!(bob.json(&["sql", sql])["n"], 2);
    bob.run(&["get", "theirs", "--at", "origin/nothing"])
        .fails(1, &["origin/nothing"]);
    // It is nobody else's: ada is not told of it, and has no such branch after all is exchanged.
    bob.run(&["merge", "origin/main", "-m", "both"]).ok();
    assert_eq!(bob.run(&["get", "theirs"]).ok(), "3\n");
    bob.run(&["push"]).ok();
    let names = ada.run(&["branch", "--json"]).rows();
    let names: Vec<&serde_json::Value> = names.iter().map(|row| &row["branch"]).collect();
    assert_eq!(names, ["draft", "main", "meta"]);
    assert_eq!(ada.run(&["get", "mine"]).ok(), "1\n");
    assert_eq!(bob.json(&["check"])["problem_count"], 0);
    // It goes with the name of its remote, and with the branch there if that is asked for.
    bob.run(&["remote", "rename", "origin", "home"]).ok();
    assert_eq!(bob.run(&["get", "theirs", "--at", "home/main"]).ok(), "3\n");
    bob.run(&["get", "theirs", "--at", "origin/main"])
        .fails(1, &["origin/main"]);
    ada.run(&["branch", "-d", "draft"]).ok();
    bob.run(&["fetch", "home"]).ok();
    assert_eq!(bob.run(&["branch", "-r"]).ok().lines().count(), 2);
    let pruned = bob.run(&["fetch", "home", "--prune", "--json"]).rows();
    assert_eq!(
        pruned[1],
        json!({ "tracking": "home/draft", "was": [theirs], "heads": [] })
    );
    bob.run(&["fetch", "home", "nothing"])
        .fails(1, &["no branch nothing"]);
    bob.run(&["remote", "remove", "home"]).ok();
    assert_eq!(bob.run(&["branch", "-r"]).ok(), "");
    bob.run(&["fetch", &up.device])
        .fails(1, &["has no name here", "allod remote add NAME"]);
    assert_eq!(up.stop(), Some(0));
}

/// REPO-90 to REPO-93, between nodes.
#[test]
fn a_protected_branch_takes_what_goes_on() {
    let (ada, bob) = (Home::with_space(), Home::new());
    ada.commit("k", "begin");
    let made = ada.json(&["branch", "--protect", "main"]);
    assert!(made["commit"].is_string(), "{made}");
    assert_eq!(
        ada.json(&["branch", "--protect", "main"])["commit"],
        json!(null)
    );
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    let row = &bob.run(&["branch", "--json"]).rows()[0];
    assert_eq!(
        (&row["branch"], &row["protected"]),
        (&json!("main"), &json!(true))
    );
    bob.run(&["branch", "--unprotect", "main"])
        .fails(1, &["only who administers the space"]);
    // What goes on from where it stands goes through.
    bob.commit("bob", "1");
    bob.run(&["push"]).ok();
    let theirs = ada.commit("ada", "1");
    let mine = bob.commit("bob", "2");
    let words = ["1 commits were refused there"];
    let refused = bob.run(&["push", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&refused.out).unwrap();
    let told = &report["refused_by_peer"][0];
    assert_eq!(
        (&told["commit"], &told["code"]),
        (&json!(mine), &json!("E_PROTECTED"))
    );
    refused.fails(1, &words);
    let head = |home: &Home| home.run(&["branch", "--json"]).rows()[0]["heads"].clone();
    bob.run(&["pull"]).fails(1, &["refused here"]);
    assert_eq!((head(&ada), head(&bob)), (json!([theirs]), json!([mine])));
    // Nobody claims that it is there.
    let reached = bob.json(&["show", &mine])["reached"].clone();
    assert_eq!(reached["kept_by"], 0, "{reached}");
    // Whoever has seen both makes one of them.
    bob.run(&["fetch"]).ok();
    assert_eq!(head(&bob), json!([mine]));
    bob.run(&["merge", "origin/main", "-m", "both"]).ok();
    bob.run(&["push"]).ok();
    assert_eq!(head(&ada), head(&bob));
    assert_eq!(ada.run(&["get", "bob"]).ok(), "2\n");
    ada.run(&["undo"]).fails(1, &["protected"]);
    assert_eq!(
        ada.json(&["branch", "--unprotect", "main"])["protected"],
        false
    );
    ada.run(&["undo"]).ok();
    bob.run(&["branch", "--protect", "meta"])
        .fails(1, &["meta is written by the owner", "is not protected"]);
    bob.run(&["branch", "--protect", "a//b"])
        .fails(2, &["a//b"]);
    assert_eq!(up.stop(), Some(0));
    assert_eq!(bob.json(&["check"])["problem_count"], 0);
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
    // There never was a session with it: nothing is left.
    assert_eq!(ada.run(&["peers"]).ok().lines().count(), 1);
    // A branch that the remote does not have.
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    ada.commit("k", "w");
    let pulled = bob.run(&["pull", "origin", "main", "nothing", "--json"]);
    assert_eq!(pulled.code, Some(1));
    assert!(pulled.err.contains("no branch nothing"), "{}", pulled.err);
    assert!(pulled.out.contains("\"commits_in\":1"), "{}", pulled.out);
    bob.run(&["push", "main"])
        .fails(2, &["allod push origin main"]);
    assert_eq!(up.stop(), Some(0));
}
