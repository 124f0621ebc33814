//! REPO-40 to REPO-44: values that join.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Batch, Block, Codec, MemoryStore};
use allod_crdt::{Kind, Op, OpError, State as Joinable, Writer};
use allod_identity::Verified;
use allod_repo::{
    BranchName, Commit, CommitId, Edit, Entry, GcOptions, Heads, MergeOptions, Outcome, Patch,
    Refusal, Repo, RepoError, Resolving, Span, Stamp, State, collect_garbage, write_patch,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{
    Person, START, deliver, get, heads, main, on, put, refusal, scale, send, space, value_on,
};

/// A space whose keys join by what they begin with, on a device of its owner.
fn joining(ada: &Person) -> Repo {
    let repo = space(ada).on_device(ada.0.device_id());
    for kind in Kind::ALL {
        let pattern = format!("{kind}:*").parse().unwrap();
        repo.define_kind(&pattern, kind, ada.author(), START)
            .unwrap();
    }
    repo
}

/// An empty replica of it on another device, with what governs it.
fn elsewhere(of: &Repo, device: u8) -> Repo {
    let store = Arc::new(MemoryStore::new());
    let repo = Repo::adopt(store, of.genesis().bytes().clone()).unwrap();
    let repo = repo.on_device(Person::new(device).0.device_id());
    send(of, &repo, &BranchName::meta(), START).unwrap();
    repo
}

fn increment(repo: &Repo, key: &str, by: u64, now: u64) -> Result<Joinable, RepoError> {
    let ops = [Op::Increment(by)];
    repo.operate(&main(), key.as_bytes(), (Kind::PnCounter, &ops), now)
}

fn commit(repo: &Repo, who: &Person, now: u64) -> CommitId {
    repo.commit_staged(&main(), who.author(), "test", now)
        .unwrap()
}

fn add(repo: &Repo, key: &str, element: &str, now: u64) {
    let ops = [Op::Add(element.as_bytes().to_vec())];
    let done = repo.operate(&main(), key.as_bytes(), (Kind::OrSet, &ops), now);
    done.unwrap();
}

fn conflicts(repo: &Repo) -> usize {
    repo.conflicts(&main(), 1000).unwrap().len()
}

#[test]
fn what_two_devices_count_apart_is_counted_once_and_whole() {
    let ada = Person::new(1);
    let (one, two) = {
        let one = joining(&ada);
        let two = elsewhere(&one, 2);
        (one, two)
    };
    increment(&one, "pn-counter:likes", 3, START).unwrap();
    commit(&one, &ada, START);
    send(&one, &two, &main(), START).unwrap();
    // Both go on from 3, on the same heads and at the same time.
    for (repo, tag) in [(&one, "a"), (&two, "b")] {
        increment(repo, "pn-counter:likes", 1, START + 1).unwrap();
        increment(repo, "pn-counter:likes", 1, START + 1).unwrap();
        add(repo, "or-set:tags", tag, START + 1);
        commit(repo, &ada, START + 1);
        assert_eq!(get(repo, "pn-counter:likes").unwrap(), "5");
    }
    send(&one, &two, &main(), START + 2).unwrap();
    send(&two, &one, &main(), START + 2).unwrap();
    for repo in [&one, &two] {
        assert_eq!(heads(repo).len(), 2);
        assert_eq!(get(repo, "pn-counter:likes").unwrap(), "7");
        assert_eq!(get(repo, "or-set:tags").unwrap(), r#"["a","b"]"#);
        assert_eq!(conflicts(repo), 0, "nothing was put aside");
    }
    let roots = [&one, &two].map(|repo| repo.state(&main()).unwrap().tree().root());
    assert_eq!(roots[0], roots[1]);
    // The next commit goes onto both, and others take it.
    increment(&two, "pn-counter:likes", 10, START + 3).unwrap();
    commit(&two, &ada, START + 3);
    send(&two, &one, &main(), START + 3).unwrap();
    assert_eq!(heads(&one).len(), 1);
    assert_eq!(get(&one, "pn-counter:likes").unwrap(), "17");
    let report = one.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{report:?}");
}

/// What is staged when others' work arrives joins with it.
#[test]
fn a_staged_operation_joins_with_what_arrived_since() {
    let ada = Person::new(1);
    let one = joining(&ada);
    let two = elsewhere(&one, 2);
    increment(&one, "pn-counter:n", 1, START + 5).unwrap();
    increment(&two, "pn-counter:n", 10, START).unwrap();
    commit(&one, &ada, START + 5);
    send(&one, &two, &main(), START + 5).unwrap();
    commit(&two, &ada, START + 6);
    assert_eq!(get(&two, "pn-counter:n").unwrap(), "11");
    assert_eq!(heads(&two).len(), 1);
    assert_eq!(conflicts(&two), 0);
    send(&two, &one, &main(), START + 6).unwrap();
    assert_eq!(get(&one, "pn-counter:n").unwrap(), "11");
}

#[test]
fn branches_undo_and_other_lines_lose_no_increment() {
    let ada = Person::new(1);
    let repo = joining(&ada);
    let key = "pn-counter:n";
    increment(&repo, key, 1, START).unwrap();
    commit(&repo, &ada, START);
    let side = on("side");
    repo.create_branch(&side, &heads(&repo)).unwrap();
    // One device, two branches that fork: both count.
    increment(&repo, key, 10, START + 1).unwrap();
    commit(&repo, &ada, START + 1);
    let ops = [Op::Increment(100)];
    repo.operate(&side, key.as_bytes(), (Kind::PnCounter, &ops), START + 2)
        .unwrap();
    repo.commit_staged(&side, ada.author(), "side", START + 2)
        .unwrap();
    let merged = repo.merge(
        &main(),
        &repo.heads(&side).unwrap(),
        ada.author(),
        &MergeOptions::default(),
        START + 3,
    );
    assert!(matches!(merged.unwrap(), Outcome::Done(_)));
    assert_eq!(get(&repo, key).unwrap(), "111");
    assert_eq!(value_on(&repo, "side", key).unwrap(), "101");
    // A move that is taken back, after a peer got it: what is done instead counts besides.
    let peer = elsewhere(&repo, 2);
    let before = heads(&repo);
    increment(&repo, key, 1000, START + 4).unwrap();
    commit(&repo, &ada, START + 4);
    send(&repo, &peer, &main(), START + 4).unwrap();
    let (position, _) = repo.moves(1).unwrap().pop().unwrap();
    repo.undo(position).unwrap();
    assert_eq!(heads(&repo), before);
    assert_eq!(get(&repo, key).unwrap(), "111");
    increment(&repo, key, 5000, START + 5).unwrap();
    commit(&repo, &ada, START + 5);
    assert_eq!(get(&repo, key).unwrap(), "5111");
    send(&peer, &repo, &main(), START + 6).unwrap();
    assert_eq!(get(&repo, key).unwrap(), "6111");
}

#[test]
fn applying_and_undoing_commits_does_operations() {
    let ada = Person::new(1);
    let repo = joining(&ada);
    let key = "pn-counter:n";
    increment(&repo, key, 1, START).unwrap();
    add(&repo, "or-set:s", "kept", START);
    commit(&repo, &ada, START);
    increment(&repo, key, 10, START + 1).unwrap();
    add(&repo, "or-set:s", "added", START + 1);
    let second = commit(&repo, &ada, START + 1);
    increment(&repo, key, 100, START + 2).unwrap();
    commit(&repo, &ada, START + 2);
    let nothing = Resolving::default;
    repo.revert(&main(), second, ada.author(), nothing(), START + 3)
        .unwrap();
    assert_eq!(get(&repo, key).unwrap(), "101");
    assert_eq!(get(&repo, "or-set:s").unwrap(), r#"["kept"]"#);
    repo.cherry_pick(&main(), second, ada.author(), nothing(), START + 4)
        .unwrap();
    assert_eq!(get(&repo, key).unwrap(), "111");
    assert_eq!(get(&repo, "or-set:s").unwrap(), r#"["added","kept"]"#);
    // Put by, and taken back onto what was counted meanwhile.
    increment(&repo, key, 1000, START + 5).unwrap();
    let number = repo.stash(&main(), "later", START + 5).unwrap();
    increment(&repo, key, 7, START + 6).unwrap();
    commit(&repo, &ada, START + 6);
    repo.unstash(&main(), number, true, nothing(), START + 7)
        .unwrap();
    commit(&repo, &ada, START + 7);
    assert_eq!(get(&repo, key).unwrap(), "1118");
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{report:?}");
}

#[test]
fn nothing_is_put_over_and_a_deletion_begins_anew() {
    let ada = Person::new(1);
    let repo = joining(&ada);
    let stage = |key: &str, edit: Edit| {
        repo.stage(
            &main(),
            [(Bytes::copy_from_slice(key.as_bytes()), edit)],
            START,
        )
    };
    let refused = stage("pn-counter:n", Edit::Put("7".into()));
    assert!(matches!(
        refused,
        Err(RepoError::Joins {
            kind: Kind::PnCounter,
            ..
        })
    ));
    let refused = increment(&repo, "free", 1, START);
    assert!(matches!(
        refused,
        Err(RepoError::NoKind {
            asked: Kind::PnCounter,
            ..
        })
    ));
    let refused = increment(&repo, "or-set:s", 1, START);
    assert!(matches!(
        refused,
        Err(RepoError::OtherKind {
            has: Kind::OrSet,
            ..
        })
    ));
    let ops = [Op::Decrement(1)];
    let refused = repo.operate(&main(), b"g-counter:n", (Kind::GCounter, &ops), START);
    assert!(matches!(
        refused,
        Err(RepoError::Operation(OpError::NoSuchOperation { .. }))
    ));
    let plain = space(&ada);
    let pattern = "pn-counter:*".parse().unwrap();
    plain
        .define_kind(&pattern, Kind::PnCounter, ada.author(), START)
        .unwrap();
    let again = plain.define_kind(&pattern, Kind::OrSet, ada.author(), START);
    assert!(matches!(again, Err(RepoError::OtherKind { .. })));
    let refused = increment(&plain, "pn-counter:n", 1, START);
    assert!(matches!(refused, Err(RepoError::NoDevice)));
    // What changes nothing is no edit.
    let ops = [Op::Remove(b"nothing".to_vec())];
    repo.operate(&main(), b"or-set:s", (Kind::OrSet, &ops), START)
        .unwrap();
    assert!(repo.staged(&main()).unwrap().is_empty());
    // Deleted, it has no value, and is not listed; what comes then begins at nothing.
    increment(&repo, "pn-counter:n", 5, START).unwrap();
    commit(&repo, &ada, START);
    let two = elsewhere(&repo, 2);
    send(&repo, &two, &main(), START).unwrap();
    increment(&two, "pn-counter:n", 1, START + 1).unwrap();
    commit(&two, &ada, START + 1);
    stage("pn-counter:n", Edit::Delete).unwrap();
    commit(&repo, &ada, START + 2);
    assert_eq!(get(&repo, "pn-counter:n"), None);
    assert_eq!(
        repo.state(&main())
            .unwrap()
            .range(&Span::all(), false)
            .count(),
        0
    );
    increment(&repo, "pn-counter:n", 2, START + 3).unwrap();
    commit(&repo, &ada, START + 3);
    assert_eq!(get(&repo, "pn-counter:n").unwrap(), "2");
    // What was done to the old one meanwhile is put aside, and recorded.
    send(&two, &repo, &main(), START + 4).unwrap();
    assert_eq!(get(&repo, "pn-counter:n").unwrap(), "2");
    assert_eq!(conflicts(&repo), 1);
    let compact = repo
        .compact(&main(), b"pn-counter:n", Kind::PnCounter, START + 5)
        .unwrap();
    assert_eq!(compact.value().unwrap().to_string(), "2");
}

/// States too large for an entry are blocks of their own, and join before any commit has the result.
#[test]
fn large_states_are_blocks() {
    let ada = Person::new(1);
    let one = joining(&ada);
    let two = elsewhere(&one, 2);
    for (repo, name) in [(&one, "one"), (&two, "two")] {
        for n in 0..60 {
            add(repo, "or-set:large", &format!("{name} {n:030}"), START + n);
        }
        commit(repo, &ada, START + 60);
    }
    send(&one, &two, &main(), START + 61).unwrap();
    send(&two, &one, &main(), START + 61).unwrap();
    for repo in [&one, &two] {
        let shown: Vec<String> = serde_json::from_str(&get(repo, "or-set:large").unwrap()).unwrap();
        assert_eq!(shown.len(), 120);
        let entry = repo
            .state(&main())
            .unwrap()
            .entry(b"or-set:large")
            .unwrap()
            .unwrap();
        assert!(matches!(entry.state, State::JoiningLink(Kind::OrSet, _)));
        // A collection takes what no commit has; it is made again.
        let go_on = &mut |_, _| std::ops::ControlFlow::Continue(());
        collect_garbage(repo.store().as_ref(), GcOptions::default(), go_on).unwrap();
        assert_eq!(
            get(repo, "or-set:large").map(|text| text.len() > 120 * 30),
            Some(true)
        );
    }
    add(&one, "or-set:large", "last", START + 70);
    commit(&one, &ada, START + 70);
    send(&one, &two, &main(), START + 70).unwrap();
    let shown: Vec<String> = serde_json::from_str(&get(&two, "or-set:large").unwrap()).unwrap();
    assert_eq!(shown.len(), 121);
    for repo in [&one, &two] {
        let report = repo.check(&mut |_, _| {}).unwrap();
        assert_eq!(report.problem_count, 0, "{report:?}");
    }
}

/// A writer's line that was undone is over: whoever has it counts it, and what comes then counts besides.
#[test]
fn a_line_that_was_undone_is_never_written_to_again() {
    let ada = Person::new(1);
    let repo = joining(&ada);
    let (n, kept) = ("pn-counter:n", on("kept"));
    increment(&repo, n, 1, START).unwrap();
    add(&repo, "or-set:s", "x", START);
    commit(&repo, &ada, START);
    // This increment stays on a branch, while main goes back to before it.
    increment(&repo, n, 1, START + 1).unwrap();
    commit(&repo, &ada, START + 1);
    repo.create_branch(&kept, &heads(&repo)).unwrap();
    let (position, _) = repo
        .moves(2)
        .unwrap()
        .into_iter()
        .find(|(_, moved)| moved.branch == main())
        .unwrap();
    repo.undo(position).unwrap();
    assert_eq!(get(&repo, n).unwrap(), "1");
    // A commit with a state that joins, which the writer of the branch did not make.
    let name = Bytes::from_static(b"or-set:s");
    repo.stage(&main(), [(name, Edit::Delete)], START + 3)
        .unwrap();
    commit(&repo, &ada, START + 3);
    increment(&repo, n, 1, START + 4).unwrap();
    commit(&repo, &ada, START + 4);
    let from = repo.heads(&kept).unwrap();
    let options = MergeOptions::default();
    let merged = repo.merge(&main(), &from, ada.author(), &options, START + 5);
    assert!(matches!(merged.unwrap(), Outcome::Done(_)));
    assert_eq!(get(&repo, n).unwrap(), "3");
}

#[test]
fn a_stash_goes_on_from_what_arrived_before_it() {
    let ada = Person::new(1);
    let one = joining(&ada);
    let two = elsewhere(&one, 2);
    let n = "pn-counter:n";
    increment(&one, n, 1, START).unwrap();
    increment(&two, n, 10, START).unwrap();
    commit(&two, &ada, START);
    // Staged before, put by after.
    send(&two, &one, &main(), START + 1).unwrap();
    let number = one.stash(&main(), "", START + 2).unwrap();
    assert_eq!(get(&one, n).unwrap(), "10");
    // Staged before what arrives, when it is taken back.
    increment(&one, n, 100, START + 3).unwrap();
    increment(&two, n, 1000, START + 3).unwrap();
    commit(&two, &ada, START + 3);
    send(&two, &one, &main(), START + 4).unwrap();
    one.unstash(&main(), number, true, Resolving::default(), START + 5)
        .unwrap();
    commit(&one, &ada, START + 6);
    assert_eq!(get(&one, n).unwrap(), "1111");
}

/// Whoever reads a working set sees what is staged and what arrived, and a deletion takes both away.
#[test]
fn what_is_staged_is_read_with_what_arrived() {
    let ada = Person::new(1);
    let one = joining(&ada);
    let two = elsewhere(&one, 2);
    let n = "pn-counter:n";
    increment(&one, n, 1, START).unwrap();
    increment(&two, n, 10, START).unwrap();
    commit(&two, &ada, START);
    send(&two, &one, &main(), START + 1).unwrap();
    let shown = |repo: &Repo| {
        let working = repo.working(&main()).unwrap();
        let entry = working.entry(n.as_bytes()).unwrap().unwrap();
        let State::Joining(kind, bytes) = entry.state else {
            panic!("it joins")
        };
        Joinable::decode(kind, &bytes).unwrap().value()
    };
    assert_eq!(shown(&one).unwrap().to_string(), "11");
    let compact = one.compact(&main(), n.as_bytes(), Kind::PnCounter, START + 2);
    assert_eq!(compact.unwrap().value().unwrap().to_string(), "11");
    increment(&two, n, 100, START + 2).unwrap();
    commit(&two, &ada, START + 2);
    one.unstage(&main()).unwrap();
    increment(&one, n, 1000, START + 3).unwrap();
    send(&two, &one, &main(), START + 4).unwrap();
    let name = Bytes::copy_from_slice(n.as_bytes());
    one.stage(&main(), [(name, Edit::Delete)], START + 5)
        .unwrap();
    assert_eq!(shown(&one), None);
    commit(&one, &ada, START + 6);
    assert_eq!(get(&one, n), None);
}

/// Rules of kinds are for ever; a later one, however exact, changes no value that is there.
#[test]
fn rules_are_for_ever_and_values_keep_their_kinds() {
    let ada = Person::new(1);
    let repo = joining(&ada);
    let n = "pn-counter:n";
    increment(&repo, n, 5, START).unwrap();
    commit(&repo, &ada, START);
    for edit in [Edit::Delete, Edit::Put("or-set".into())] {
        let key = Bytes::from_static(b"joins/pn-counter:*");
        let meta = BranchName::meta();
        repo.stage(&meta, [(key, edit)], START + 1).unwrap();
        let refused = repo.commit_staged(&meta, ada.author(), "", START + 1);
        assert!(
            matches!(refused, Err(RepoError::Refused(Refusal::Rule))),
            "{refused:?}"
        );
        repo.unstage(&meta).unwrap();
    }
    let exact = n.parse().unwrap();
    repo.define_kind(&exact, Kind::OrSet, ada.author(), START + 2)
        .unwrap();
    increment(&repo, n, 2, START + 3).unwrap();
    commit(&repo, &ada, START + 3);
    assert_eq!(get(&repo, n).unwrap(), "7");
}

#[test]
fn no_operation_takes_the_place_of_a_value_that_does_not_join() {
    let ada = Person::new(1);
    let repo = space(&ada).on_device(ada.0.device_id());
    put(&repo, &ada, &[("likes", Some("many"))], START);
    let pattern = "likes".parse().unwrap();
    repo.define_kind(&pattern, Kind::PnCounter, ada.author(), START)
        .unwrap();
    let refused = increment(&repo, "likes", 1, START + 1);
    assert!(
        matches!(&refused, Err(RepoError::PlainValue { key }) if key == b"likes"),
        "{refused:?}"
    );
    put(&repo, &ada, &[("likes", None)], START + 2);
    increment(&repo, "likes", 1, START + 3).unwrap();
    commit(&repo, &ada, START + 3);
    assert_eq!(get(&repo, "likes").unwrap(), "1");
}

#[test]
fn patches_carry_values_that_join() {
    let ada = Person::new(1);
    let repo = joining(&ada);
    increment(&repo, "pn-counter:n", 1, START).unwrap();
    let first = commit(&repo, &ada, START);
    increment(&repo, "pn-counter:n", 41, START + 1).unwrap();
    for n in 0..60 {
        add(
            &repo,
            "or-set:large",
            &format!("element {n:030}"),
            START + 1,
        );
    }
    let second = commit(&repo, &ada, START + 1);
    let mut text = Vec::new();
    let (from, to) = (repo.at(first).unwrap(), repo.at(second).unwrap());
    write_patch(&from, &to, &Span::all(), &mut text).unwrap();
    let patch = Patch::read(&mut &text[..]).unwrap();
    assert_eq!(patch.to_text().as_bytes(), text);
    let again = on("again");
    repo.create_branch(&again, &Heads::from([first])).unwrap();
    repo.apply_patch(&again, &patch, START + 2).unwrap();
    repo.commit_staged(&again, ada.author(), "applied", START + 2)
        .unwrap();
    assert_eq!(value_on(&repo, "again", "pn-counter:n").unwrap(), "42");
    assert_eq!(
        value_on(&repo, "again", "or-set:large"),
        get(&repo, "or-set:large")
    );
    repo.apply_patch(&main(), &patch.reversed(), START + 3)
        .unwrap();
    commit(&repo, &ada, START + 3);
    assert_eq!(get(&repo, "pn-counter:n").unwrap(), "1");
}

/// A commit by `who` with these entries over what is there, whatever they are.
fn forged(
    repo: &Repo,
    who: &Person,
    key: &str,
    state: State,
    stamp: u64,
    blocks: Vec<Block>,
) -> CommitId {
    let parents = heads(repo);
    let entry = Entry {
        stamp: Stamp::at_millis(stamp),
        state,
    };
    let mut batch = Batch::new();
    for block in blocks {
        batch.put(block);
    }
    let view = repo.state(&main()).unwrap();
    let tree = view
        .tree()
        .edit([(key.as_bytes(), Some(entry.encode()))], &mut |block| {
            batch.put(block);
        })
        .unwrap();
    let newest = parents
        .iter()
        .map(|id| repo.commit(*id).unwrap().payload().generation)
        .max();
    let commit = Commit {
        author: who.author().agent,
        branch: main(),
        generation: newest.unwrap_or(0) + 1,
        message: String::new(),
        parents: parents.into_iter().collect(),
        parts: None,
        policy: None,
        space: repo.id(),
        stamp: Stamp::at_millis(START + 1000),
        tree: tree.root(),
    };
    let signed = Verified::sign(&who.0, commit).unwrap();
    let id = CommitId::from_cid(*signed.cid());
    batch.put(Block::new(Codec::DagCbor, signed.bytes().clone()).unwrap());
    let mark = [
        b"s/",
        &repo.id().cid().to_bytes()[..],
        b"/commit/",
        &id.cid().to_bytes(),
    ]
    .concat();
    batch.set_ref(mark, allod_blocks::Expect::Any, Some(Bytes::new()));
    drop(repo.store().commit(batch).unwrap());
    id
}

/// Entries that nobody takes, what they have to link to, and why they are refused.
fn hostile() -> Vec<(&'static str, &'static str, State, Vec<Block>, Refusal)> {
    let writer = Writer([7; 8]);
    let counter = |by: u64| {
        let mut state = Joinable::empty(Kind::PnCounter);
        state.apply(&Op::Increment(by), writer, 1).unwrap();
        Bytes::from(state.encode().unwrap())
    };
    let mut register = Joinable::empty(Kind::LwwRegister);
    let far = Stamp::at_millis(START + 60_000).bits();
    register
        .apply(&Op::Set(b"v".to_vec()), writer, far)
        .unwrap();
    let far = Bytes::from(register.encode().unwrap());
    let small = Block::new(Codec::Raw, counter(1)).unwrap();
    let linked = State::JoiningLink(Kind::PnCounter, *small.cid());
    let inline = |kind, bytes| State::Joining(kind, bytes);
    let pn = Kind::PnCounter;
    vec![
        (
            "loses an increment",
            "pn-counter:n",
            inline(pn, counter(9)),
            vec![],
            Refusal::EntryStamp,
        ),
        (
            "is plain",
            "pn-counter:n",
            State::Value("9".into()),
            vec![],
            Refusal::EntryStamp,
        ),
        (
            "deletes",
            "pn-counter:n",
            State::Tombstone,
            vec![],
            Refusal::EntryStamp,
        ),
        (
            "another kind in no later epoch",
            "pn-counter:n",
            inline(Kind::GCounter, Bytes::from_static(&[0x82, 0xf6, 0xf6])),
            vec![],
            Refusal::EntryStamp,
        ),
        (
            "no rule",
            "free",
            inline(pn, counter(1)),
            vec![],
            Refusal::Kind,
        ),
        (
            "small, and linked",
            "pn-counter:m",
            linked,
            vec![small],
            Refusal::StateSize,
        ),
        (
            "a stamp far ahead",
            "lww-register:r",
            inline(Kind::LwwRegister, far),
            vec![],
            Refusal::EntryStamp,
        ),
    ]
}

#[test]
fn states_that_are_none_or_have_lost_something_are_refused() {
    let ada = Person::new(1);
    let repo = joining(&ada);
    increment(&repo, "pn-counter:n", 5, START).unwrap();
    commit(&repo, &ada, START);
    let two = elsewhere(&repo, 2);
    send(&repo, &two, &main(), START).unwrap();
    for (what, key, state, blocks, expected) in hostile() {
        let id = forged(&repo, &ada, key, state, START + 500, blocks);
        let got = refusal(deliver(&repo, &two, id, &main(), START + 2000));
        assert_eq!(got, expected, "{what}");
    }
    let pn = Kind::PnCounter;
    let nonsense = State::Joining(pn, Bytes::from_static(b"\x82\xf6\x80"));
    let id = forged(&repo, &ada, "pn-counter:m", nonsense, START + 500, vec![]);
    let got = refusal(deliver(&repo, &two, id, &main(), START + 2000));
    assert!(
        matches!(got, Refusal::State(_)) && got.code() == "E_CRDT",
        "{got:?}"
    );
    // One that has all is taken.
    let there = repo
        .state(&main())
        .unwrap()
        .entry(b"pn-counter:n")
        .unwrap()
        .unwrap();
    let State::Joining(_, bytes) = there.state else {
        panic!("it is small")
    };
    let mut state = Joinable::decode(pn, &bytes).unwrap();
    state.apply(&Op::Increment(1), Writer([7; 8]), 1).unwrap();
    let state = State::Joining(pn, state.encode().unwrap().into());
    let id = forged(&repo, &ada, "pn-counter:n", state, START + 500, vec![]);
    deliver(&repo, &two, id, &main(), START + 2000).unwrap();
    assert_eq!(get(&two, "pn-counter:n").unwrap(), "6");
}

#[derive(Clone, Debug)]
enum Step {
    Count(usize, u8),
    Add(usize, u8),
    Remove(usize, u8),
    Write(usize, u8),
    Commit(usize),
    Send(usize, usize),
    Undo(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize, 1..9u8).prop_map(|(at, by)| Step::Count(at, by)),
        2 => (0..3usize, 0..4u8).prop_map(|(at, element)| Step::Add(at, element)),
        1 => (0..3usize, 0..4u8).prop_map(|(at, element)| Step::Remove(at, element)),
        1 => (0..3usize, 0..9u8).prop_map(|(at, value)| Step::Write(at, value)),
        4 => (0..3usize).prop_map(Step::Commit),
        4 => (0..3usize, 0..3usize).prop_map(|(from, to)| Step::Send(from, to)),
        1 => (0..3usize).prop_map(Step::Undo),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64 * scale(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Three devices count, add and write in any order, commit, take back, and exchange what they have: in
    /// the end all show the same, and every increment that any commit has counts once.
    #[test]
    fn replicas_that_exchanged_everything_are_one(steps in prop::collection::vec(step(), 1..60)) {
        let ada = Person::new(1);
        let first = joining(&ada);
        put(&first, &ada, &[("begin", Some("here"))], START);
        let (second, third) = (elsewhere(&first, 2), elsewhere(&first, 3));
        let repos = [first, second, third];
        for to in &repos[1..] {
            send(&repos[0], to, &main(), START).unwrap();
        }
        // What each commit counted, and what is staged.
        let mut counted: BTreeMap<CommitId, u64> = BTreeMap::new();
        let mut staged = [0u64; 3];
        let mut now = START + 10;
        let operate = |at: usize, key: &str, kind, op: Op, now| {
            repos[at].operate(&main(), key.as_bytes(), (kind, &[op]), now).map(drop)
        };
        for step in steps {
            now += 1;
            match step {
                Step::Count(at, by) => {
                    operate(at, "pn-counter:n", Kind::PnCounter, Op::Increment(by.into()), now).unwrap();
                    staged[at] += u64::from(by);
                }
                Step::Add(at, element) => operate(at, "or-set:s", Kind::OrSet, Op::Add(vec![element; 200]), now).unwrap(),
                Step::Remove(at, element) => operate(at, "or-set:s", Kind::OrSet, Op::Remove(vec![element; 200]), now).unwrap(),
                Step::Write(at, value) => operate(at, "mv-register:r", Kind::MvRegister, Op::Set(vec![value]), now).unwrap(),
                Step::Commit(at) => match repos[at].commit_staged(&main(), ada.author(), "step", now) {
                    Ok(id) => {
                        counted.insert(id, std::mem::take(&mut staged[at]));
                    }
                    Err(RepoError::NothingStaged) => {}
                    Err(error) => panic!("{error}"),
                },
                Step::Send(from, to) if from != to => send(&repos[from], &repos[to], &main(), now).unwrap(),
                Step::Send(..) => {}
                Step::Undo(at) => {
                    // Nothing staged, which belongs to the state before.
                    repos[at].unstage(&main()).unwrap();
                    staged[at] = 0;
                    if let Some((position, _)) = repos[at].moves(1).unwrap().pop() {
                        drop(repos[at].undo(position));
                    }
                }
            }
        }
        for at in 0..3 {
            if let Ok(id) = repos[at].commit_staged(&main(), ada.author(), "last", now + 1) {
                counted.insert(id, staged[at]);
            }
        }
        for _ in 0..2 {
            for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
                send(&repos[from], &repos[to], &main(), now + 2).unwrap();
            }
        }
        let states = [0, 1, 2].map(|at| repos[at].state(&main()).unwrap());
        prop_assert_eq!(states[0].tree().root(), states[1].tree().root());
        prop_assert_eq!(states[1].tree().root(), states[2].tree().root());
        let everywhere = repos[0].log(&heads(&repos[0])).unwrap();
        let total: u64 = everywhere
            .map(|item| counted.get(&item.unwrap().0).copied().unwrap_or(0))
            .sum();
        let shown = get(&repos[0], "pn-counter:n").unwrap_or_else(|| "0".to_owned());
        prop_assert_eq!(shown, total.to_string());
        for repo in &repos {
            let report = repo.check(&mut |_, _| {}).unwrap();
            prop_assert_eq!(report.problem_count, 0);
        }
    }
}
