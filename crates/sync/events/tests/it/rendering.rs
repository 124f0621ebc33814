//! Which CloudEvent stands for what.

use std::collections::{BTreeMap, BTreeSet};

use allod_blocks::{Batch, Store as _};
use allod_events::{CloudEvent, Extension};
use allod_feed::Feed;
use allod_repo::BranchName;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Node, START, main_branch};

fn send(from: &Node, to: &Node) {
    let branch = main_branch();
    let heads = from.repo.heads(&branch).unwrap();
    for id in from.repo.missing(&heads, &BTreeSet::new()).unwrap() {
        let commit = from.repo.commit(id).unwrap();
        let changes = from.repo.changes_of(&commit, usize::MAX).unwrap().unwrap();
        let reviewed = to.repo.review(commit.bytes().clone(), START).unwrap();
        let complete = to.repo.with_changes(reviewed, &changes).unwrap();
        for cid in to
            .repo
            .missing_blocks(complete.links(), 100)
            .unwrap()
            .blocks
        {
            let mut batch = Batch::new();
            batch.put(from.store.get(&cid).unwrap().unwrap());
            let _outcome = to.store.commit(batch).unwrap();
        }
        to.repo.accept(complete, &branch).unwrap();
    }
    to.repo.join_branch(&branch, &heads).unwrap();
    to.store.sync().unwrap();
}

fn text(event: &CloudEvent, name: &str) -> String {
    match &event.extensions[name] {
        Extension::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn data(event: &CloudEvent) -> Value {
    serde_json::from_slice(&event.data_bytes().unwrap()).unwrap()
}

/// EVENT-2, EVENT-3, EVENT-4: two nodes that have the same commits tell of them alike, also after they have told before; and one
/// node's texts ascend.
#[test]
fn two_nodes_tell_of_a_commit_alike() {
    let one = Node::new();
    let two = one.replica();
    one.put(&main_branch(), &[(b"a", b"1"), (b"b", b"2")]);
    one.put(&main_branch(), &[(b"a", b"3")]);
    send(&one, &two);
    let (first, second) = (one.tell(Feed::beginning), two.tell(Feed::beginning));
    assert_eq!(first.len(), 5);
    let alike = |events: &[CloudEvent]| -> Vec<String> {
        let events = events.iter().map(|event| {
            let mut event = event.clone();
            event.extensions.remove("sequence");
            event.to_json().unwrap()
        });
        events.collect()
    };
    assert_eq!(alike(&first), alike(&second));
    let whole = |events: &[CloudEvent]| -> Vec<String> {
        events
            .iter()
            .map(|event| event.to_json().unwrap())
            .collect()
    };
    assert_eq!(whole(&first), whole(&one.tell(Feed::beginning)));
    let order: Vec<String> = first.iter().map(|event| text(event, "sequence")).collect();
    assert!(order.is_sorted_by(|left, right| left < right), "{order:?}");
    // A snapshot is this node's own.
    let (first, second) = (
        one.tell(|feed| feed.snapshot().unwrap()),
        two.tell(|feed| feed.snapshot().unwrap()),
    );
    assert_eq!(first.len(), 2);
    assert_ne!(first[0].source, second[0].source);
    assert_eq!(data(&first[0])["snapshot"], json!(true));
}

/// A commit on two branches is two events, and all events of a node have names of their own.
#[test]
fn no_two_events_have_one_name() {
    let node = Node::new();
    let side: BranchName = "side/x".parse().unwrap();
    let head = node.put(&main_branch(), &[(b"a", b"1")]);
    node.repo.create_branch(&side, &[head].into()).unwrap();
    let made = node.put(&side, &[(b"a", b"2"), (b"side/a", b"3")]);
    // `main` goes forward to what the other branch has, and back.
    node.repo
        .join_branch(&main_branch(), &[made].into())
        .unwrap();
    let (position, _) = node.repo.moves(1).unwrap()[0];
    node.repo.undo(position).unwrap();
    let told = node.tell(Feed::beginning);
    let mut names = BTreeMap::new();
    for event in &told {
        let before = names.insert((event.source.clone(), event.id.clone()), event);
        assert!(before.is_none(), "{before:?} {event:?}");
    }
    let kinds: Vec<&str> = told.iter().map(|event| &event.kind[..]).collect();
    let (commit, put, deleted, moved) = (
        "org.allod.commit.v1",
        "org.allod.entry.put.v1",
        "org.allod.entry.deleted.v1",
        "org.allod.branch.moved.v1",
    );
    assert_eq!(
        kinds,
        [
            commit, put, moved, commit, put, put, commit, put, put, moved, put, deleted
        ]
    );
    assert_eq!(data(&told[2])["from"], json!([]));
    assert_eq!(told[5].subject.as_deref(), Some("side/x/side/a"));
    assert!(told[5].source.contains("/side%2Fx/"));
    assert_eq!(data(&told[11])["value"], Value::Null);
}

/// EVENT-10: what a key holds, in the form that keeps it.
#[test]
fn a_value_is_told_as_what_it_is() {
    let node = Node::new();
    let large = vec![b'x'; 70_000];
    let long_key = [b'k'; 300];
    node.put(
        &main_branch(),
        &[
            (b"base64", &[0xff, 0]),
            (
                b"json",
                b" { \"n\": 1.500000000000000000001,\n \"t\": \" a\\\" { \" } ",
            ),
            (b"large", &large),
            (b"no json", b"{\"n\": }"),
            (b"number", b"12"),
            (b"\xff", b"key"),
            (&long_key, b"long"),
        ],
    );
    let told = node.tell(Feed::beginning);
    let by_id: BTreeMap<&str, &CloudEvent> = told
        .iter()
        .map(|event| (event.id.split_once('/').map_or("", |(_, key)| key), event))
        .collect();
    let value = |key: &str| data(by_id[key])["value"].clone();
    assert_eq!(value("base64"), json!({ "base64": "/wA=" }));
    assert_eq!(value("no%20json"), json!({ "text": "{\"n\": }" }));
    assert_eq!(value("number"), json!({ "text": "12" }));
    let raw = by_id["json"].to_json().unwrap();
    assert!(
        raw.contains(r#""value":{"json":{"n":1.500000000000000000001,"t":" a\" { "}}"#),
        "{raw}"
    );
    assert_eq!(value("large")["bytes"], json!(70_000));
    assert!(value("large")["link"].as_str().unwrap().starts_with("bafk"));
    assert_eq!(data(by_id["%FF"])["key_base64"], json!("/w=="));
    let hashed = by_id
        .keys()
        .find(|key| key.starts_with("~sha256-"))
        .unwrap();
    assert_eq!(data(by_id[hashed])["key"], json!("k".repeat(300)));
    assert!(
        told.iter()
            .all(|event| event.id.len() < 500 && event.source.len() < 500)
    );
    let changes = data(&told[0])["changes"].as_array().unwrap().len();
    assert_eq!((changes, data(&told[0])["more"].clone()), (7, Value::Null));
    // More than a commit tells of itself.
    let keys: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    let edits: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (key.as_bytes(), &b"v"[..])).collect();
    node.put(&main_branch(), &edits);
    let told = node.tell(Feed::beginning);
    let last = told
        .iter()
        .rfind(|event| event.kind == "org.allod.commit.v1")
        .unwrap();
    assert_eq!(data(last)["changes"].as_array().unwrap().len(), 256);
    assert_eq!(data(last)["more"], json!(true));
}

proptest! {
    /// EVENT-1: keys that are not the same are not spelled the same, and all spellings are what headers and URIs take.
    #[test]
    fn keys_are_told_apart(keys in prop::collection::btree_set(prop::collection::vec(prop_oneof![any::<u8>(), Just(b'%'), Just(b'/')], 1..6), 2..5)) {
        let node = Node::new();
        let edits: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (&key[..], &b"v"[..])).collect();
        node.put(&main_branch(), &edits);
        let told = node.tell(Feed::beginning);
        let ids: BTreeSet<String> = told.iter().map(|event| event.id.clone()).collect();
        prop_assert_eq!(ids.len(), keys.len() + 1);
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/:%~".contains(&byte));
        prop_assert!(told.iter().all(|event| is_plain(&event.id) && is_plain(&event.source) && is_plain(event.subject.as_ref().unwrap())));
    }
}
