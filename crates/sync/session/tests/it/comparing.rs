//! Trees that are compared by sketches (SKETCH-8 to SKETCH-11).

use std::collections::{BTreeMap, BTreeSet};

use allod_identity::Verified;
use allod_repo::{BranchName, Commit, CommitId, Entry, Heads, Repo, Span, Stamp, State};
use allod_sync::{Branches, Input, Message, Outcome, Output, Scope, Session};
use allod_tree::Tree;
use bytes::Bytes;
use proptest::prelude::*;

use crate::pair::{Person, Run, START, put, replica, run, space, talk};

type Entries = BTreeMap<Bytes, Bytes>;

fn entry(value: &str) -> Bytes {
    let state = State::Value(Bytes::copy_from_slice(value.as_bytes()));
    let stamp = Stamp::at_millis(START);
    Entry { stamp, state }.encode()
}

fn key(n: u32) -> Bytes {
    format!("key {n:08}").into()
}

/// Entries of some 900 bytes: more than 4 MiB of them are never sent as changes.
fn entries(count: u32) -> Entries {
    let value = |n: u32| entry(&format!("{n:0>880}"));
    (0..count).map(|n| (key(n), value(n))).collect()
}

/// A commit without parents that says these entries, on `main`.
fn rooted(repo: &Repo, who: &Person, entries: &Entries, message: &str) -> CommitId {
    let main = BranchName::main();
    let tree = Tree::build(entries, &mut |_block| {}).unwrap();
    let commit = Commit {
        author: who.author().agent,
        branch: main.clone(),
        generation: 1,
        message: message.into(),
        parents: Vec::new(),
        parts: None,
        policy: repo.heads(&BranchName::meta()).unwrap().first().copied(),
        space: repo.id(),
        stamp: Stamp::at_millis(START + 1),
        tree: tree.root(),
    };
    let statement = Verified::sign(&who.0, commit).unwrap().bytes().clone();
    let reviewed = repo.review(statement, START + 2).unwrap();
    let id = reviewed.id();
    let complete = repo.with_changes(reviewed, entries).unwrap();
    repo.accept(complete, &main).unwrap();
    repo.join_branch(&main, &Heads::from([id])).unwrap();
    id
}

/// Two replicas, each with its own first commit, of which the one has `theirs` and the other `ours`.
fn unrelated(ada: &Person, theirs: &Entries, ours: &Entries) -> (Repo, Repo) {
    let full = space(ada, &[]);
    let other = replica(&full);
    assert!(talk((&full, ada), (&other, ada)).is_complete());
    rooted(&full, ada, theirs, "theirs");
    rooted(&other, ada, ours, "ours");
    (full, other)
}

/// What the right side pulls from the left.
fn pull(ada: &Person, full: &Repo, other: &Repo) -> Run {
    let scopes = [Scope::push(Branches::All), Scope::pull(Branches::All)];
    let pass = &mut |_, frame| Some(frame);
    let done = crate::pair::run_about(scopes, (full, ada), (other, ada), usize::MAX, pass);
    assert!(done.is_complete(), "{:?} {:?}", done.left, done.right);
    assert_eq!(done.right_stats.refused, []);
    done
}

/// How often each side asked for something, besides nodes.
fn asked(done: &Run) -> (usize, usize) {
    let names = done.messages.iter().map(|(_, message)| match message {
        Message::Want { names, .. } => (0, names.len()),
        Message::Compare { .. } | Message::Pick { .. } => (1, 0),
        _ => (0, 0),
    });
    names.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn holds(repo: &Repo, theirs: &Entries, ours: &Entries) {
    let view = repo.state(&BranchName::main()).unwrap();
    let items = view.range(&Span::all(), true);
    let keys: BTreeSet<Bytes> = items.map(|item| item.unwrap().0).collect();
    let expected: BTreeSet<Bytes> = theirs.keys().chain(ours.keys()).cloned().collect();
    assert!(keys == expected);
    for head in repo.heads(&BranchName::main()).unwrap() {
        let root = repo.commit(head).unwrap().payload().tree;
        let tree = repo.tree(root).unwrap();
        assert!([theirs, ours].iter().any(|entries| {
            tree.iter().map(Result::unwrap).eq(entries
                .iter()
                .map(|(key, entry)| (key.clone(), entry.clone())))
        }));
    }
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{report:?}");
}

#[test]
fn scattered_differences_cost_what_they_are() {
    let ada = Person::new(1);
    let ours = entries(8_000);
    for differing in [0u32, 1, 10, 100, 1000] {
        let mut theirs = ours.clone();
        let mut content = 0;
        for n in 0..differing {
            let (key, value) = (key(n * 7), entry(&format!("{n:0>880} new")));
            content += key.len() + value.len();
            theirs.insert(key, value);
        }
        let (full, other) = unrelated(&ada, &theirs, &ours);
        let before = talk((&full, &ada), (&replica(&full), &ada));
        let done = pull(&ada, &full, &other);
        let (questions, nodes) = asked(&done);
        assert_eq!(nodes, 0, "no node is asked for");
        assert!(questions <= 2, "two round trips");
        assert_eq!(done.right_stats.commits_in, 1);
        // What any session costs, the statement, the estimates and the least symbols; then each entry.
        let most = content as u64 + 100 * u64::from(differing) + 4_000;
        assert!(
            done.bytes() <= most,
            "{differing}: {} of {most}",
            done.bytes()
        );
        assert!(before.bytes() > 1_000_000);
        holds(&other, &theirs, &ours);
    }
}

#[test]
fn differences_side_by_side_are_walked() {
    let ada = Person::new(1);
    let small = |n: u32, what: &str| (key(n), entry(&format!("{what} {n:0>70}")));
    let ours: Entries = (0..50_000).map(|n| small(n, "old")).collect();
    let mut theirs = ours.clone();
    theirs.extend((5000..5400).map(|n| small(n, "new")));
    let (full, other) = unrelated(&ada, &theirs, &ours);
    let done = pull(&ada, &full, &other);
    let (questions, nodes) = asked(&done);
    assert!(
        questions == 1 && nodes > 10 && nodes < 60,
        "{questions} {nodes}"
    );
    holds(&other, &theirs, &ours);
    // Trees of quite different sizes are not even read for it, and small ones not compared.
    for (own, walked) in [(3000, 1), (1000, 0)] {
        let ours = entries(own);
        let (full, other) = unrelated(&ada, &theirs, &ours);
        let done = pull(&ada, &full, &other);
        assert_eq!(asked(&done).0, walked);
        holds(&other, &theirs, &ours);
    }
}

#[test]
fn files_of_picked_entries_come_along() {
    let ada = Person::new(1);
    let ours = entries(5000);
    let large = Bytes::from(vec![7; 5000]);
    let file = allod_blocks::Block::new(allod_blocks::Codec::Raw, large).unwrap();
    let full = space(&ada, &[]);
    let other = replica(&full);
    assert!(talk((&full, &ada), (&other, &ada)).is_complete());
    let mut batch = allod_blocks::Batch::new();
    batch.put(file.clone());
    drop(full.store().commit(batch).unwrap());
    let mut theirs = ours.clone();
    let linked = Entry {
        stamp: Stamp::at_millis(START),
        state: State::Link(*file.cid()),
    };
    theirs.insert(key(77), linked.encode());
    rooted(&full, &ada, &theirs, "theirs");
    rooted(&other, &ada, &ours, "ours");
    let done = pull(&ada, &full, &other);
    assert_eq!(asked(&done), (2, 1), "the file alone");
    assert!(other.store().has(file.cid()).unwrap());
    holds(&other, &theirs, &ours);
}

/// What a liar says of symbols and entries costs a walk, and nothing else.
#[test]
fn a_sketch_is_not_believed() {
    let ada = Person::new(1);
    let ours = entries(5000);
    let mut theirs = ours.clone();
    for n in 0..40 {
        theirs.insert(key(n * 97), entry(&format!("{n:0>880} new")));
    }
    let tricks: [fn(Message) -> Message; 4] = [
        |message| match message {
            Message::Sketch {
                total,
                first,
                symbols,
                last,
            } => {
                let mut symbols = symbols.to_vec();
                symbols
                    .iter_mut()
                    .skip(3)
                    .step_by(13)
                    .for_each(|byte| *byte ^= 1);
                let symbols = symbols.into();
                Message::Sketch {
                    total,
                    first,
                    symbols,
                    last,
                }
            }
            other => other,
        },
        |message| match message {
            Message::Entries { mut entries, last } => {
                entries.pop();
                Message::Entries { entries, last }
            }
            other => other,
        },
        |message| match message {
            Message::Entries { mut entries, last } => {
                entries[0].1 = entry("forged");
                Message::Entries { entries, last }
            }
            other => other,
        },
        |message| match message {
            Message::Entries { mut entries, last } => {
                entries[0].0 = Bytes::from_static(b"a key of nobody");
                Message::Entries { entries, last }
            }
            other => other,
        },
    ];
    for trick in tricks {
        let (full, other) = unrelated(&ada, &theirs, &ours);
        let bend = &mut |left: bool, frame: Bytes| {
            let message = Message::decode(&frame).unwrap();
            Some(if left { trick(message).encode() } else { frame })
        };
        let done = run((&full, &ada), (&other, &ada), usize::MAX, bend);
        assert!(done.is_complete(), "{:?} {:?}", done.left, done.right);
        assert!(asked(&done).1 > 10, "nodes were asked for");
        holds(&other, &theirs, &ours);
        holds(&full, &theirs, &ours);
    }
}

/// A session of `other` with a peer that says hello, its first commit, and then these messages.
fn answers(full: &Repo, other: &Repo, ada: &Person, then: &[Message]) -> Option<Outcome> {
    let mut sessions = [
        Session::new(full.clone(), ada.me(true), ada.0.device_id(), START),
        Session::new(other.clone(), ada.me(false), ada.0.device_id(), START),
    ];
    let mut outcome = None;
    let mut to_other = Vec::new();
    for _ in 0..200 {
        for side in 0..2 {
            let frames: Vec<Bytes> = if side == 1 {
                std::mem::take(&mut to_other)
            } else {
                Vec::new()
            };
            for frame in frames {
                sessions[1].handle(START, Input::Frame(frame));
            }
            if sessions[side].is_busy() {
                sessions[side].handle(START, Input::Tick);
            }
            while let Some(output) = sessions[side].poll() {
                match output {
                    Output::Send(frame) if side == 0 => to_other.push(frame),
                    // Only the hello of the other side comes through.
                    Output::Send(frame)
                        if matches!(Message::decode(&frame), Ok(Message::Hello(_))) =>
                    {
                        sessions[0].handle(START, Input::Frame(frame));
                    }
                    Output::Close(closed) if side == 1 => outcome = Some(closed),
                    _ => {}
                }
            }
        }
    }
    for message in then {
        sessions[1].handle(START, Input::Frame(message.encode()));
        while sessions[1].is_busy() {
            sessions[1].handle(START, Input::Tick);
        }
    }
    while let Some(output) = sessions[1].poll() {
        if let Output::Close(closed) = output {
            outcome = Some(closed);
        }
    }
    outcome
}

#[test]
fn what_is_out_of_order_or_malformed_ends_the_session() {
    let ada = Person::new(1);
    let ours = entries(5000);
    let mut theirs = ours.clone();
    theirs.insert(key(5), entry("new"));
    let (full, other) = unrelated(&ada, &theirs, &ours);
    let sketch = |first, symbols: &[u8], last| Message::Sketch {
        total: 5000,
        first,
        symbols: Bytes::copy_from_slice(symbols),
        last,
    };
    let entries = |entries| Message::Entries {
        entries,
        last: true,
    };
    let pick = |elements| Message::Pick {
        elements,
        last: true,
    };
    let compare = |tree, counters| Message::Compare {
        tree,
        size: 5000,
        leaves: Bytes::from_static(&[0; 16]),
        entries: vec![0; counters].into(),
        have: 0,
    };
    let main = BranchName::main();
    let own = other.heads(&main).unwrap().first().copied().unwrap();
    let own = other.commit(own).unwrap().payload().tree;
    let foreign =
        *allod_blocks::Block::new(allod_blocks::Codec::DagCbor, Bytes::from_static(&[0xa0]))
            .unwrap()
            .cid();
    let again = [compare(own, 128), compare(own, 128)];
    let cases: [(&str, &[Message]); 9] = [
        ("E_ORDER", &[entries(Vec::new())]),
        ("E_ORDER", &[sketch(1, &[0; 13], true)]),
        ("E_ORDER", &[pick(vec![1])]),
        ("E_ORDER", &[compare(foreign, 128)]),
        ("E_ORDER", &again),
        ("E_SKETCH", &[compare(own, 127)]),
        ("E_SKETCH", &[sketch(0, &[0; 12], true)]),
        ("E_SKETCH", &[sketch(0, &[], false)]),
        ("E_SKETCH", &[sketch(0, &vec![0; 13 * 32_769], true)]),
    ];
    for (code, messages) in cases {
        match answers(&full, &other, &ada, messages) {
            Some(Outcome::Ended { code: ended, .. }) => assert_eq!(ended, code, "{messages:?}"),
            outcome => panic!("{outcome:?} for {messages:?}"),
        }
    }
}

/// Of several commits with one tree the first is compared, and the others have their nodes then.
#[test]
fn commits_of_one_tree_come_in_one_session() {
    let ada = Person::new(1);
    let ours = entries(6_000);
    let mut theirs = ours.clone();
    for n in 0..100u32 {
        theirs.insert(key(n * 7), entry(&format!("{n:0>880} new")));
    }
    let (full, other) = unrelated(&ada, &theirs, &ours);
    for message in ["a", "b", "c"] {
        rooted(&full, &ada, &theirs, message);
    }
    let done = pull(&ada, &full, &other);
    assert_eq!(done.right_stats.commits_in, 4);
    assert_eq!(asked(&done), (2, 0));
}

/// A depth-limited replica that was away compares what it has with what is new.
#[test]
fn a_replica_without_history_compares() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    let first: Vec<(String, String)> = (0..20_000)
        .map(|n| (format!("key {n:08}"), format!("value {n:0>60}")))
        .collect();
    put(&full, &ada, &first, START);
    let part = allod_repo::Part::new([""], Some(1)).unwrap();
    let store = std::sync::Arc::new(allod_blocks::MemoryStore::new());
    let genesis = full.genesis().bytes().clone();
    let shallow = Repo::adopt_part(store, genesis, Some(&part)).unwrap();
    talk((&full, &ada), (&shallow, &ada));
    for n in 0..30u32 {
        let changed = (0..5).map(|k| (format!("key {:08}", (n * 5 + k) * 113), format!("new {n}")));
        put(
            &full,
            &ada,
            &changed.collect::<Vec<_>>(),
            START + 10 + u64::from(n),
        );
    }
    let done = talk((&full, &ada), (&shallow, &ada));
    assert!(done.is_complete(), "{:?} {:?}", done.left, done.right);
    assert_eq!(asked(&done), (2, 0));
    assert!(done.bytes() < 60_000, "{}", done.bytes());
    assert_eq!(
        shallow.state(&BranchName::main()).unwrap().tree().root(),
        full.state(&BranchName::main()).unwrap().tree().root()
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever two trees have, in the end both sides have both.
    #[test]
    fn any_two_trees_come_together(
        shared in 4900..5100u32,
        theirs in prop::collection::btree_map(0..6000u32, 0..4u8, 0..400),
        ours in prop::collection::btree_map(0..6000u32, 0..4u8, 0..400),
    ) {
        let ada = Person::new(1);
        let changed = |changes: &BTreeMap<u32, u8>| {
            let mut all = entries(shared);
            for (n, what) in changes {
                match what {
                    0 => drop(all.remove(&key(*n))),
                    _ => drop(all.insert(key(*n), entry(&format!("{n} {what}")))),
                }
            }
            all
        };
        let (theirs, ours) = (changed(&theirs), changed(&ours));
        prop_assume!(theirs != ours);
        let (full, other) = unrelated(&ada, &theirs, &ours);
        let done = talk((&full, &ada), (&other, &ada));
        prop_assert!(done.is_complete());
        holds(&full, &theirs, &ours);
        holds(&other, &theirs, &ours);
        let heads = |repo: &Repo| repo.heads(&BranchName::main()).unwrap();
        prop_assert_eq!(heads(&full), heads(&other));
    }
}
