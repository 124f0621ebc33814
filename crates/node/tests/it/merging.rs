//! Branches brought together by commands.

use crate::home::Home;

/// A home whose branches `main` and `side` changed `k` to two values.
fn conflicting() -> Home {
    let home = Home::with_space();
    home.commit("k", "base");
    home.run(&["switch", "-c", "side"]).ok();
    home.run(&["put", "s", "1"]).ok();
    home.commit("k", "theirs");
    home.run(&["switch", "main"]).ok();
    home.commit("k", "ours");
    home
}

#[test]
fn a_branch_is_merged_and_moves_if_it_can() {
    let home = Home::with_space();
    home.commit("a", "1");
    home.run(&["switch", "-c", "side"]).ok();
    let side = home.commit("b", "2");
    home.run(&["switch", "main"]).ok();
    let moved = home.json(&["merge", "side"]);
    assert_eq!(moved["outcome"], "fast-forward");
    assert_eq!(moved["heads"][0], side.as_str());
    assert_eq!(home.json(&["merge", "side"])["outcome"], "nothing");
    home.commit("c", "3");
    home.run(&["switch", "side"]).ok();
    home.commit("d", "4");
    home.run(&["merge", "main", "--ff-only"])
        .fails(1, &["fast-forward"]);
    let done = home.json(&["merge", "main", "-m", "Together"]);
    assert_eq!(done["merged"], 1);
    assert_eq!(done["keys"][0], "c");
    assert_eq!(home.json(&["show", "side"])["message"], "Together");
    assert_eq!(home.run(&["ls"]).ok(), "a\nb\nc\nd\n");
    home.run(&["merge"]).fails(2, &[]);
    home.run(&["merge", "nowhere"]).fails(1, &["nowhere"]);
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

#[test]
fn conflicts_wait_until_they_are_resolved() {
    let home = conflicting();
    home.run(&["merge", "side"])
        .fails(1, &["1 conflicts", "allod resolve"]);
    assert_eq!(home.run(&["get", "k"]).ok(), "ours\n");
    let rows = home.run(&["conflicts", "--json"]).rows();
    assert_eq!(
        (&rows[0]["base"], &rows[0]["ours"], &rows[0]["theirs"]),
        (&"base".into(), &"ours".into(), &"theirs".into())
    );
    let status = home.json(&["status"])["under_way"].to_string();
    assert!(status.contains("merge of"), "{status}");
    home.run(&["merge", "side"]).fails(1, &["under way"]);
    home.run(&["resolve", "nothing", "--ours"])
        .fails(1, &["no conflict"]);
    home.run(&["resolve", "k"]).fails(2, &[]);
    let left = home.json(&["resolve", "k", "--value", "both"]);
    assert_eq!(left["left"], 0);
    let done = home.json(&["merge", "--continue"]);
    assert_eq!(
        (&done["outcome"], &done["decided"]),
        (&"done".into(), &1.into())
    );
    assert_eq!(home.run(&["get", "k"]).ok(), "both\n");
    assert_eq!(home.run(&["get", "s"]).ok(), "1\n");
    home.run(&["merge", "--continue"])
        .fails(1, &["nothing is under way"]);
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

#[test]
fn a_merge_is_given_up_or_decided_at_once() {
    let home = conflicting();
    let done = home.run(&["merge", "side", "--json"]);
    assert_eq!(done.code, Some(1));
    let value: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        (&value["outcome"], &value["conflicts"]),
        (&"stopped".into(), &1.into())
    );
    home.run(&["merge", "--abort"]).ok();
    home.run(&["put", "k", "staged"]).ok();
    home.run(&["merge", "side", "--theirs"])
        .fails(1, &["staged"]);
    home.run(&["commit", "-m", "mine"]).ok();
    home.run(&["merge", "side", "--strategy", "k"])
        .fails(2, &["PATTERN=NAME"]);
    home.run(&["merge", "side", "--strategy", "k=theirs", "--ours"])
        .ok();
    assert_eq!(home.run(&["get", "k"]).ok(), "theirs\n");
}

#[test]
fn rules_of_the_space_decide() {
    let home = Home::with_space();
    home.commit("doc/1", r#"{"a":1,"b":1}"#);
    home.run(&["switch", "-c", "side"]).ok();
    home.commit("doc/1", r#"{"a":2,"b":1}"#);
    home.run(&["switch", "main"]).ok();
    home.commit("doc/1", r#"{"a":1,"b":2}"#);
    home.run(&["merge-type", "set", "doc/*", "theirs"])
        .fails(1, &["whole space"]);
    home.run(&["merge-type", "set", "doc/*", "json"]).ok();
    assert_eq!(home.run(&["merge-type", "list"]).ok(), "doc/*  json\n");
    assert_eq!(home.json(&["merge", "side"])["decided"], 1);
    assert_eq!(home.run(&["get", "doc/1"]).ok(), "{\"a\":2,\"b\":2}\n");
    home.run(&["merge-type", "remove", "doc/*"]).ok();
    home.run(&["merge-type", "remove", "doc/*"])
        .fails(1, &["no rule"]);
}

#[test]
fn commits_are_picked_undone_and_replayed() {
    let home = conflicting();
    let side = home.json(&["show", "side"])["commit"]
        .as_str()
        .unwrap()
        .to_owned();
    home.run(&["cherry-pick", &side])
        .fails(1, &["cherry-pick of"]);
    home.run(&["resolve", "k", "--ours"]).ok();
    for other in [["revert", "--abort"], ["merge", "--continue"]] {
        home.run(&other).fails(2, &["`allod cherry-pick` goes on"]);
    }
    let picked = home.json(&["cherry-pick", "--continue"]);
    assert_eq!(picked["keys"][0], "s");
    let picked = picked["commits"][0].as_str().unwrap().to_owned();
    home.run(&["revert", &picked]).ok();
    home.run(&["get", "s"]).fails(1, &[]);
    // Onto main, first as a branch of its own.
    home.run(&["rebase", "side", "--onto", "main", "--as", "new"])
        .fails(1, &["rebase with 1"]);
    home.run(&["resolve", "k", "--theirs", "--on", "side"]).ok();
    home.run(&["rebase", "side", "--continue"]).ok();
    assert_eq!(home.run(&["get", "k", "--at", "new"]).ok(), "theirs\n");
    assert_eq!(home.json(&["show", "side"])["commit"], side.as_str());
    let skipped = home.run(&["rebase", "side", "--onto", "main"]);
    assert_eq!(skipped.code, Some(1));
    home.run(&["rebase", "side", "--skip"]).ok();
    assert_eq!(home.run(&["get", "k", "--at", "side"]).ok(), "ours\n");
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

#[test]
fn branches_are_deleted_with_care() {
    let home = conflicting();
    home.run(&["branch", "-d", "main"])
        .fails(1, &["current branch"]);
    home.run(&["branch", "-d", "side"])
        .fails(1, &["no other branch"]);
    let deleted = home.json(&["branch", "-d", "side", "--force"]);
    assert_eq!(deleted["deleted"], "side");
    home.run(&["branch", "-d", "side"])
        .fails(1, &["no branch side"]);
    home.run(&["branch", "-d"]).fails(2, &[]);
    assert_eq!(home.run(&["branch", "--json"]).rows().len(), 1);
    // What it had is still there to be found.
    let head = deleted["heads"][0].as_str().unwrap();
    home.run(&["branch", "again", head]).ok();
    assert_eq!(home.run(&["get", "k", "--at", "again"]).ok(), "theirs\n");
}

/// MERGE-24: what a peer may have is not replaced, unless somebody insists.
#[test]
fn a_shared_branch_is_replayed_elsewhere() {
    let (ada, bob) = (conflicting(), Home::new());
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    let args = ["rebase", "side", "--onto", "main", "--theirs"];
    ada.run(&args).fails(1, &["--as NAME", "--force"]);
    bob.run(&args).fails(1, &["--as NAME"]);
    let side = ada.json(&["show", "side"])["commit"].clone();
    bob.run(&[&args[..], &["--as", "mine"]].concat()).ok();
    // Bob is no owner, and the merge is his all the same; Ada accepts it.
    bob.run(&["switch", "main"]).ok();
    bob.run(&["merge", "mine"]).ok();
    bob.run(&["sync"]).ok();
    assert_eq!(ada.run(&["get", "k"]).ok(), "theirs\n");
    assert_eq!(
        ada.json(&["blame", "s"])["author"],
        bob.json(&["id"])["agent"]
    );
    assert_eq!(ada.json(&["show", "side"])["commit"], side);
    assert_eq!(
        ada.json(&["status"])["heads"],
        bob.json(&["status"])["heads"]
    );
    assert_eq!(ada.json(&["check"])["problem_count"], 0);
    assert_eq!(up.stop(), Some(0));
}

/// A session that is cut after a commit went out: the peer may have it (MERGE-24).
#[test]
fn what_was_sent_in_a_session_that_was_cut_is_not_replaced() {
    let (ada, bob) = (Home::with_space(), Home::new());
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    // As a member whose session never comes to an end: what it joins with is all it notes.
    let node = open(&bob);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let endpoint = node.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let ticket: allod_sync::Ticket = ticket.trim().parse().unwrap();
        let repo = node.join(&endpoint, &ticket, None, None).await.unwrap();
        ada.commit("k", "base");
        ada.run(&["switch", "-c", "side"]).ok();
        ada.commit("k", "side");
        ada.run(&["switch", "main"]).ok();
        ada.commit("other", "main");
        let addr = ticket.addrs[0].parse().unwrap();
        let connection = endpoint.connect(addr, ticket.device).await.unwrap();
        let mut stream = connection.open(allod_quic::StreamKind::Sync).await.unwrap();
        let me = allod_sync::Me {
            agent: node.agent().unwrap(),
            initiator: true,
            introduce: true,
            scope: allod_sync::Scope::default(),
        };
        let mut session = allod_sync::Session::new(repo, me, ticket.device, allod::now_ms());
        session.handle(allod::now_ms(), allod_sync::Input::Tick);
        let Some(allod_sync::Output::Send(hello)) = session.poll() else {
            panic!("no hello");
        };
        stream.send(hello).await.unwrap();
        loop {
            let frame = stream.recv().await.unwrap().unwrap();
            if let Ok(allod_sync::Message::Commit { .. }) = allod_sync::Message::decode(&frame) {
                break;
            }
        }
        endpoint.close().await;
    });
    ada.run(&["rebase", "side", "--onto", "main"])
        .fails(1, &["a peer may have"]);
    assert_eq!(up.stop(), Some(0));
}

pub(crate) fn open(home: &Home) -> allod::Node {
    let home_of = allod::Home::at(home.path());
    let secret = allod::read_key_file(&home.file("key")).unwrap();
    let keys = home_of.unlock(&secret).unwrap();
    allod::Node::open(home_of, Some(keys)).unwrap()
}

#[test]
fn a_merge_is_reverted_as_seen_from_a_parent() {
    let home = Home::with_space();
    home.commit("a", "1");
    home.run(&["branch", "side"]).ok();
    let main = home.commit("b", "1");
    home.run(&["switch", "side"]).ok();
    home.commit("c", "1");
    home.commit("a", "2");
    home.run(&["switch", "main"]).ok();
    let merged = home.json(&["merge", "side"]);
    let commit = merged["commits"][0].as_str().unwrap();
    home.run(&["revert", commit])
        .fails(2, &["is a merge", "--mainline", "  main  ", "  side  "]);
    let first = home.run(&["log", "side", "--json"]).rows();
    let first = first.last().unwrap()["commit"].as_str().unwrap();
    home.run(&["revert", commit, "--mainline", first])
        .fails(1, &["is no parent of"]);
    home.run(&["revert", commit, "--mainline", &main]).ok();
    home.run(&["get", "c"]).fails(1, &["no value"]);
    assert_eq!(home.run(&["get", "a"]).ok(), "1\n");
    assert_eq!(home.run(&["get", "b"]).ok(), "1\n");
}
