//! MERGE-1 to MERGE-13: branches are brought together, and nothing is lost or half done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_blocks::{Fault, FaultyStore, MemoryStore, Store};
use allod_repo::{
    BadValue, CommitId, Edit, FastForward, Heads, MergeConflict, MergeOptions, MergeType,
    MergeTypes, Outcome, Refusal, Repo, RepoError, Resolution, Resolving, Rule, State, Stopped,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{
    Person, START, all_of, fault, heads, main, on, put, put_on, replica, scale, send, space,
    space_in, two_branches, value_on,
};

/// Merges `theirs` into `ours`.
fn merge(repo: &Repo, who: &Person, ours: &str, theirs: &str, now: u64) -> Outcome {
    try_merge(repo, who, ours, theirs, &MergeOptions::default(), now).unwrap()
}

fn try_merge(
    repo: &Repo,
    who: &Person,
    ours: &str,
    theirs: &str,
    options: &MergeOptions<'_>,
    now: u64,
) -> Result<Outcome, RepoError> {
    let theirs = repo.heads(&on(theirs)).unwrap();
    repo.merge(&on(ours), &theirs, who.author(), options, now)
}

fn rules(rules: &[(&str, &str)]) -> Vec<Rule> {
    rules
        .iter()
        .map(|(pattern, strategy)| (pattern.parse().unwrap(), strategy.parse().unwrap()))
        .collect()
}

fn with_rules(rules: &[Rule]) -> MergeOptions<'_> {
    MergeOptions {
        resolving: Resolving {
            rules,
            ..Resolving::default()
        },
        ..MergeOptions::default()
    }
}

fn stopped(outcome: Outcome) -> Stopped {
    match outcome {
        Outcome::Stopped(stopped) => stopped,
        other => panic!("expected conflicts, got {other:?}"),
    }
}

fn commit_of(outcome: &Outcome) -> CommitId {
    match outcome {
        Outcome::Done(done) => done.commits[0],
        other => panic!("expected a commit, got {other:?}"),
    }
}

/// `main` and `side` that changed `a` to two values, `b` on one side and `c` on the other.
fn conflicting(ada: &Person) -> Repo {
    let repo = two_branches(ada);
    let ours = [("a", Some("ours")), ("b", Some("ours"))];
    put(&repo, ada, &ours, START + 10);
    let theirs = [
        ("a", Some("theirs")),
        ("c", Some("theirs")),
        ("d", Some("new")),
    ];
    put_on(&repo, ada, "side", &theirs, START + 20);
    repo
}

#[test]
fn one_sided_changes_are_merged_and_others_accept_them() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    let ours = put(&repo, &ada, &[("a", Some("1")), ("b", None)], START + 10);
    let edits = [("c", Some("2")), ("d", Some("2")), ("same", Some("s"))];
    let theirs = put_on(&repo, &ada, "side", &edits, START + 20);
    put(&repo, &ada, &[("same", Some("s"))], START + 30);
    let head = *heads(&repo).first().unwrap();
    let outcome = merge(&repo, &ada, "main", "side", START + 40);
    let Outcome::Done(done) = &outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(done.merged.first, ["c", "d"]);
    assert_eq!((done.merged.count, done.decided), (2, 0));
    let id = commit_of(&outcome);
    let parents: Heads = repo
        .commit(id)
        .unwrap()
        .payload()
        .parents
        .iter()
        .copied()
        .collect();
    assert_eq!(parents, [head, theirs].into());
    assert!(!parents.contains(&ours), "only the newest of each side");
    let expected = [("a", "1"), ("c", "2"), ("d", "2"), ("same", "s")];
    assert_eq!(
        all_of(&repo, "main"),
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    assert_eq!(
        value_on(&repo, "side", "a").as_deref(),
        Some("0"),
        "the other branch is untouched"
    );
    let other = replica(&repo);
    send(&repo, &other, &main(), START + 50).unwrap();
    assert_eq!(all_of(&other, "main"), all_of(&repo, "main"));
    assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
    assert_eq!(
        merge(&repo, &ada, "main", "side", START + 60),
        Outcome::Nothing
    );
}

/// MERGE-4.
#[test]
fn a_branch_without_commits_of_its_own_moves() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    let theirs = put_on(
        &repo,
        &ada,
        "side",
        &[("d", Some("1")), ("a", None)],
        START + 10,
    );
    let options = |fast_forward| MergeOptions {
        fast_forward,
        ..MergeOptions::default()
    };
    repo.create_branch(&on("kept"), &heads(&repo)).unwrap();
    let outcome = try_merge(
        &repo,
        &ada,
        "main",
        "side",
        &options(FastForward::Only),
        START + 20,
    );
    let Outcome::FastForward { heads: now, merged } = outcome.unwrap() else {
        panic!("no commit is needed");
    };
    assert_eq!(now, [theirs].into());
    assert_eq!(merged.first, ["a", "d"]);
    assert_eq!(heads(&repo), now);

    let never = try_merge(
        &repo,
        &ada,
        "kept",
        "side",
        &options(FastForward::Never),
        START + 30,
    );
    let id = commit_of(&never.unwrap());
    assert_eq!(repo.commit(id).unwrap().payload().parents.len(), 2);
    assert_eq!(all_of(&repo, "kept"), all_of(&repo, "side"));

    put(&repo, &ada, &[("own", Some("1"))], START + 40);
    put_on(&repo, &ada, "side", &[("e", Some("1"))], START + 50);
    let only = try_merge(
        &repo,
        &ada,
        "main",
        "side",
        &options(FastForward::Only),
        START + 60,
    );
    assert!(matches!(fault(only), RepoError::NotFastForward(_)));
}

/// MERGE-3: the heads of ours that theirs has already are no parents, and no heads any more.
#[test]
fn a_branch_with_several_heads_is_merged_whole() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    let other = replica(&repo);
    send(&repo, &other, &main(), START).unwrap();
    let here = put(&repo, &ada, &[("a", Some("here"))], START + 10);
    let there = put(&other, &ada, &[("b", Some("there"))], START + 20);
    send(&other, &repo, &main(), START + 30).unwrap();
    assert_eq!(heads(&repo), [here, there].into());
    repo.create_branch(&on("next"), &[here].into()).unwrap();
    let next = put_on(&repo, &ada, "next", &[("c", Some("next"))], START + 40);
    repo.create_branch(&on("moved"), &heads(&repo)).unwrap();
    let id = commit_of(&merge(&repo, &ada, "main", "next", START + 50));
    assert_eq!(heads(&repo), [id].into());
    let merged = repo.commit(id).unwrap();
    let parents = &merged.payload().parents;
    assert_eq!(
        parents.iter().copied().collect::<Heads>(),
        [there, next].into()
    );
    let expected = [("a", "here"), ("b", "there"), ("c", "next")];
    let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(all_of(&repo, "main"), expected);
    let moved = merge(&repo, &ada, "moved", "main", START + 60);
    assert!(matches!(moved, Outcome::FastForward { heads, .. } if heads == [id].into()));
    send(&repo, &other, &main(), START + 70).unwrap();
    assert_eq!(all_of(&other, "main"), expected);
    assert_eq!(heads(&other), [id].into());
}

/// MERGE-2, MERGE-7: every kind of conflict, each once, and nothing moves.
#[test]
fn an_unresolved_merge_leaves_everything_as_it_was() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    let ours = [
        ("a", Some("ours")),
        ("b", None),
        ("new", Some("1")),
        ("mine", Some("1")),
    ];
    put(&repo, &ada, &ours, START + 10);
    let theirs = [
        ("a", Some("theirs")),
        ("b", Some("9")),
        ("new", Some("2")),
        ("c", None),
    ];
    put_on(&repo, &ada, "side", &theirs, START + 20);
    repo.stage(
        &main(),
        [("z".into(), Edit::Put("staged".into()))],
        START + 30,
    )
    .unwrap();
    let before = (heads(&repo), all_of(&repo, "main"), all_of(&repo, "side"));
    let log_end = repo.store().stats().unwrap().log_end;
    let stop = stopped(merge(&repo, &ada, "main", "side", START + 40));
    let keys: Vec<&[u8]> = stop
        .conflicts
        .iter()
        .map(|conflict| &conflict.key[..])
        .collect();
    assert_eq!(keys, [&b"a"[..], b"b", b"new"]);
    assert_eq!(
        (stop.count, &stop.merged.first[..]),
        (3, &[Bytes::from("c")][..])
    );
    let state = |entry: &Option<allod_repo::Entry>| entry.clone().map(|entry| entry.state);
    let value = |text: &'static str| Some(State::Value(text.into()));
    let [changed, deleted, added] = &stop.conflicts[..] else {
        panic!()
    };
    assert_eq!(state(&changed.base), value("0"));
    assert_eq!(
        (state(&changed.ours), state(&changed.theirs)),
        (value("ours"), value("theirs"))
    );
    assert_eq!(
        (state(&deleted.ours), state(&deleted.theirs)),
        (Some(State::Tombstone), value("9"))
    );
    assert_eq!((state(&added.base), state(&added.ours)), (None, value("1")));
    assert_eq!(
        before,
        (heads(&repo), all_of(&repo, "main"), all_of(&repo, "side"))
    );
    assert_eq!(repo.staged(&main()).unwrap().len(), 1);
    assert_eq!(
        repo.store().stats().unwrap().log_end,
        log_end,
        "no head moved"
    );
    repo.abort(&main()).unwrap();
    assert_eq!(
        before,
        (heads(&repo), all_of(&repo, "main"), all_of(&repo, "side"))
    );
}

#[test]
fn an_aborted_merge_leaves_nothing_behind() {
    let ada = Person::new(1);
    let repo = conflicting(&ada);
    stopped(merge(&repo, &ada, "main", "side", START + 30));
    repo.resolve(&main(), b"a", Resolution::Ours).unwrap();
    let options = MergeOptions::default();
    let again = try_merge(&repo, &ada, "main", "side", &options, START + 50);
    assert!(matches!(fault(again), RepoError::UnderWay(_)));
    repo.abort(&main()).unwrap();
    assert!(matches!(
        fault(repo.abort(&main())),
        RepoError::NothingUnderWay(_)
    ));
    let refs = repo.store().scan_refs(b"s/", None, 1000).unwrap();
    let is_merge = |name: &Bytes| name.windows(7).any(|part| part == b"/merge/");
    assert!(!refs.iter().any(|(name, _)| is_merge(name)));
}

#[test]
fn a_merge_is_resolved_key_by_key_and_survives_reopening() {
    let ada = Person::new(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space_in(&ada, Arc::clone(&store));
    let keys = ["k1", "k2", "k3", "k4"];
    put(&repo, &ada, &keys.map(|key| (key, Some("0"))), START);
    repo.create_branch(&on("side"), &heads(&repo)).unwrap();
    put(
        &repo,
        &ada,
        &keys.map(|key| (key, Some("ours"))),
        START + 10,
    );
    put_on(
        &repo,
        &ada,
        "side",
        &keys.map(|key| (key, Some("theirs"))),
        START + 20,
    );
    stopped(merge(&repo, &ada, "main", "side", START + 30));
    repo.resolve(&main(), b"k1", Resolution::Ours).unwrap();
    repo.resolve(&main(), b"k2", Resolution::Theirs).unwrap();
    let long = "x".repeat(5000);
    let edit = Edit::Put(long.clone().into());
    repo.resolve(&main(), b"k3", Resolution::Edit(edit))
        .unwrap();
    let none = repo.resolve(&main(), b"k9", Resolution::Ours);
    assert!(matches!(fault(none), RepoError::NoConflict { .. }));

    let repo = Repo::open(store, repo.id()).unwrap();
    let resume = |now| {
        repo.resume(&main(), ada.author(), Resolving::default(), now)
            .unwrap()
    };
    assert_eq!(stopped(resume(START + 40)).conflicts[0].key, "k4");
    let open = repo
        .open_conflicts(&main(), Resolving::default(), Some(b"k1"), 2)
        .unwrap();
    assert_eq!(open[0].1, Some(State::Value("theirs".into())));
    assert_eq!(open.len(), 2);
    repo.resolve(&main(), b"k4", Resolution::Edit(Edit::Delete))
        .unwrap();
    let Outcome::Done(done) = resume(START + 50) else {
        panic!()
    };
    assert_eq!((done.decided, done.merged.count, done.moved), (4, 3, false));
    let value = |key| value_on(&repo, "main", key);
    assert_eq!(value("k1").as_deref(), Some("ours"));
    assert_eq!(value("k2").as_deref(), Some("theirs"));
    assert_eq!(value("k3"), Some(long));
    assert_eq!(value("k4"), None);
    assert!(repo.under_way(&main()).unwrap().is_none());
    let other = replica(&repo);
    send(&repo, &other, &main(), START + 60).unwrap();
    assert_eq!(all_of(&other, "main"), all_of(&repo, "main"));
    assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
}

/// MERGE-8, MERGE-9.
#[test]
fn a_resolution_is_for_the_values_that_were_seen() {
    let ada = Person::new(1);
    let repo = conflicting(&ada);
    stopped(merge(&repo, &ada, "main", "side", START + 30));
    repo.resolve(&main(), b"a", Resolution::Theirs).unwrap();
    put(
        &repo,
        &ada,
        &[("unrelated", Some("1")), ("a", Some("later"))],
        START + 40,
    );
    let resume = |now| {
        repo.resume(&main(), ada.author(), Resolving::default(), now)
            .unwrap()
    };
    let stop = stopped(resume(START + 50));
    assert!(stop.moved && stop.count == 1);
    repo.resolve(&main(), b"a", Resolution::Theirs).unwrap();
    let Outcome::Done(done) = resume(START + 60) else {
        panic!()
    };
    assert!(done.moved);
    assert_eq!(value_on(&repo, "main", "a").as_deref(), Some("theirs"));
    assert_eq!(value_on(&repo, "main", "unrelated").as_deref(), Some("1"));
}

/// MERGE-10.
/// A resolution that comes while the merge is continued counts, or is refused; none outlives it.
#[test]
fn a_resolution_beside_the_end_of_a_merge_is_part_of_it() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    repo.create_branch(&on("other"), &heads(&repo)).unwrap();
    let both = |value| [("a", Some(value)), ("b", Some(value))];
    put_on(&repo, &ada, "main", &both("m"), START + 1);
    put_on(&repo, &ada, "side", &both("s"), START + 2);
    put_on(&repo, &ada, "other", &[("b", Some("s"))], START + 3);
    stopped(merge(&repo, &ada, "main", "side", START + 4));
    repo.resolve(&main(), b"a", Resolution::Ours).unwrap();
    let ask = |_: &MergeConflict| {
        repo.resolve(&main(), b"b", Resolution::Theirs).unwrap();
        Some(Resolution::Ours)
    };
    let resolving = Resolving {
        callback: Some(&ask),
        ..Resolving::default()
    };
    let done = repo.resume(&main(), ada.author(), resolving, START + 5);
    assert!(matches!(done, Ok(Outcome::Done(_))), "{done:?}");
    assert_eq!(value_on(&repo, "main", "a").unwrap(), "m");
    assert_eq!(value_on(&repo, "main", "b").unwrap(), "s");
    // The next merge with the same two values asks anew.
    put(&repo, &ada, &[("b", Some("m"))], START + 6);
    put_on(&repo, &ada, "other", &[("b", Some("t"))], START + 6);
    put_on(&repo, &ada, "other", &[("b", Some("s"))], START + 7);
    let waits = stopped(merge(&repo, &ada, "main", "other", START + 8));
    assert_eq!(waits.count, 1);
    let still = repo.resume(&main(), ada.author(), Resolving::default(), START + 9);
    stopped(still.unwrap());
}

#[test]
fn a_staged_edit_is_carried_or_in_the_way() {
    let ada = Person::new(1);
    for (key, free) in [("a", false), ("c", false), ("b", true), ("z", true)] {
        let repo = conflicting(&ada);
        let edit = Edit::Put("staged".into());
        repo.stage(&main(), [(Bytes::from(key), edit)], START + 30)
            .unwrap();
        let rules = rules(&[("*", "theirs")]);
        let result = try_merge(&repo, &ada, "main", "side", &with_rules(&rules), START + 40);
        assert_eq!(result.is_ok(), free, "{key}");
        if let Err(error) = result {
            assert!(matches!(error, RepoError::InTheWay { key: at } if at == key.as_bytes()));
        }
        assert_eq!(repo.staged(&main()).unwrap().len(), 1);
        if free {
            let now = START + 50;
            repo.commit_staged(&main(), ada.author(), "after", now)
                .unwrap();
            assert_eq!(value_on(&repo, "main", key).as_deref(), Some("staged"));
        }
    }
}

/// MERGE-10 holds for a branch that just moves, too.
#[test]
fn a_fast_forward_carries_staged_edits_or_is_refused() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    put_on(&repo, &ada, "side", &[("a", Some("theirs"))], START + 10);
    let before = heads(&repo);
    for key in ["a", "b"] {
        let edit = Edit::Put("staged".into());
        repo.stage(&main(), [(Bytes::from(key), edit)], START + 20)
            .unwrap();
        let options = MergeOptions::default();
        let result = try_merge(&repo, &ada, "main", "side", &options, START + 30);
        if key == "a" {
            assert!(matches!(fault(result), RepoError::InTheWay { .. }));
            assert_eq!(heads(&repo), before);
            repo.unstage(&main()).unwrap();
        } else {
            assert!(matches!(result, Ok(Outcome::FastForward { .. })));
        }
    }
    assert_eq!(repo.staged(&main()).unwrap().len(), 1);
}

/// MERGE-5, MERGE-6.
#[test]
fn unrelated_histories_and_meta_are_kept_apart() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let other = replica(&repo);
    put(&repo, &ada, &[("a", Some("1"))], START);
    put_on(&other, &ada, "side", &[("b", Some("1"))], START + 10);
    send(&other, &repo, &on("side"), START + 20).unwrap();
    let plain = try_merge(
        &repo,
        &ada,
        "main",
        "side",
        &MergeOptions::default(),
        START + 30,
    );
    assert!(matches!(fault(plain), RepoError::Unrelated));
    let options = MergeOptions {
        allow_unrelated: true,
        ..MergeOptions::default()
    };
    try_merge(&repo, &ada, "main", "side", &options, START + 40).unwrap();
    assert_eq!(all_of(&repo, "main").len(), 2);
    repo.add_member(&Person::new(2).author().agent, ada.author(), START + 50)
        .unwrap();
    for (ours, theirs) in [("main", "meta"), ("meta", "main")] {
        let result = try_merge(&repo, &ada, ours, theirs, &options, START + 60);
        assert!(matches!(fault(result), RepoError::Refused(Refusal::Branch)));
    }
}

/// What a merge costs is what changed, and not what is there: the larger tree has some 1,300
/// nodes, and the one that would be read after the 110th is damaged.
#[test]
fn the_cost_of_a_merge_is_that_of_the_changes() {
    const READS_MAX: u64 = 110;
    let ada = Person::new(1);
    for size in [2_000, 40_000] {
        let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
        let store: Arc<dyn Store> = Arc::new(faulty.clone());
        let repo = space_in(&ada, Arc::clone(&store));
        let edits = (0..size).map(|n| {
            let key = Bytes::from(format!("key/{n:08}"));
            (key, Edit::Put(Bytes::from(vec![b'v'; 100])))
        });
        repo.stage(&main(), edits, START).unwrap();
        repo.commit_staged(&main(), ada.author(), "all", START)
            .unwrap();
        repo.create_branch(&on("side"), &heads(&repo)).unwrap();
        for n in 0..5 {
            let key = |side: usize| format!("key/{:08}", (2 * n + side) * size / 10);
            put(&repo, &ada, &[(&key(0), Some("ours"))], START + 10);
            put_on(
                &repo,
                &ada,
                "side",
                &[(&key(1), Some("theirs"))],
                START + 20,
            );
        }
        let again = || Repo::open(Arc::clone(&store), repo.id()).unwrap();
        let cold = again();
        faulty.inject(Fault::FlipBit(READS_MAX));
        merge(&cold, &ada, "main", "side", START + 30);
        assert!(!faulty.struck(), "more than {READS_MAX} reads");
    }
}

struct Sum;

impl MergeType for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn merge(
        &self,
        base: Option<&[u8]>,
        ours: &[u8],
        theirs: &[u8],
    ) -> Result<Option<Bytes>, BadValue> {
        let number = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok();
            text.and_then(|text| text.parse::<i64>().ok())
                .ok_or_else(|| BadValue("no number".to_owned()))
        };
        let base = base.map_or(Ok(0), number)?;
        Ok(Some(
            (number(ours)? + number(theirs)? - base).to_string().into(),
        ))
    }
}

/// A key for each way in which a conflict is decided, and the rules of the space for them.
fn one_of_each(ada: &Person) -> Repo {
    let repo = space(ada);
    let rows = [
        ("call", "10", "15", "12"),
        ("count:1", "10", "15", "12"),
        ("count:bad", "10", "15", "many"),
        (
            "json",
            r#"{"x":1,"y":1}"#,
            r#"{"x":2,"y":1}"#,
            r#"{"x":1,"y":3}"#,
        ),
        ("newest", "10", "15", "12"),
        ("prefix:1", "10", "15", "12"),
        ("rest", "10", "15", "12"),
    ];
    put(&repo, ada, &rows.map(|row| (row.0, Some(row.1))), START);
    repo.create_branch(&on("side"), &heads(&repo)).unwrap();
    put(
        &repo,
        ada,
        &rows.map(|row| (row.0, Some(row.2))),
        START + 10,
    );
    let theirs = rows.map(|row| (row.0, Some(row.3)));
    put_on(&repo, ada, "side", &theirs, START + 20);
    for (pattern, strategy) in rules(&[("count:*", "sum"), ("*", "json"), ("call", "sum")]) {
        repo.set_merge_rule(&pattern, Some(&strategy), ada.author(), START + 30)
            .unwrap();
    }
    repo
}

/// MERGE-11 to MERGE-13.
#[test]
fn conflicts_are_decided_by_rules_in_their_order() {
    let ada = Person::new(1);
    let repo = one_of_each(&ada);
    let mut types = MergeTypes::new();
    types.register(Arc::new(Sum));
    let rules = rules(&[
        ("newest", "newest"),
        ("call", "ours"),
        ("prefix:*", "theirs"),
    ]);
    let callback = |conflict: &MergeConflict| {
        (conflict.key == "rest").then(|| Resolution::Edit(Edit::Put("asked".into())))
    };
    let resolving = Resolving {
        rules: &rules,
        types: Some(&types),
        callback: Some(&callback),
    };
    let options = MergeOptions {
        resolving,
        ..MergeOptions::default()
    };
    let outcome = try_merge(&repo, &ada, "main", "side", &options, START + 40).unwrap();
    let stop = stopped(outcome);
    assert_eq!(
        (stop.count, &stop.conflicts[0].key[..]),
        (1, &b"count:bad"[..])
    );
    assert!(
        stop.conflicts[0]
            .note
            .as_ref()
            .unwrap()
            .contains("no number")
    );
    let by_rules = Resolving {
        callback: None,
        ..resolving
    };
    let open = repo.open_conflicts(&main(), by_rules, None, 100).unwrap();
    let left: Vec<&[u8]> = open
        .iter()
        .filter(|(_, state)| state.is_none())
        .map(|(conflict, _)| &conflict.key[..])
        .collect();
    assert_eq!((open.len(), left), (7, vec![&b"count:bad"[..], b"rest"]));
    repo.resolve(&main(), b"count:bad", Resolution::Ours)
        .unwrap();
    let resume = Resolving {
        rules: &[],
        ..resolving
    };
    let outcome = repo
        .resume(&main(), ada.author(), resume, START + 50)
        .unwrap();
    let Outcome::Done(done) = outcome else {
        panic!()
    };
    assert_eq!(done.decided, 7);
    let expected = [
        ("call", "15"),
        ("count:1", "17"),
        ("count:bad", "15"),
        ("json", r#"{"x":2,"y":3}"#),
        ("newest", "12"),
        ("prefix:1", "12"),
        ("rest", "asked"),
    ];
    assert_eq!(
        all_of(&repo, "main"),
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn rules_of_the_space_are_on_meta() {
    let ada = Person::new(1);
    let repo = one_of_each(&ada);
    let left: Vec<String> = repo
        .merge_rules()
        .unwrap()
        .iter()
        .map(|(at, by)| format!("{at}={by}"))
        .collect();
    assert_eq!(left, ["call=sum", "count:*=sum", "*=json"]);
    repo.set_merge_rule(&"*".parse().unwrap(), None, ada.author(), START + 60)
        .unwrap();
    assert_eq!(repo.merge_rules().unwrap().len(), 2);
    let ours = "ours".parse().unwrap();
    let refused = repo.set_merge_rule(&"*".parse().unwrap(), Some(&ours), ada.author(), START + 70);
    assert!(matches!(fault(refused), RepoError::Strategy(_)));
}

/// MERGE-1: with merges in both directions there are two bases, and their join has no change twice.
#[test]
fn a_criss_cross_has_a_base_that_knows_both_sides() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    put(
        &repo,
        &ada,
        &[("m1", Some("m")), ("a", Some("m"))],
        START + 10,
    );
    put_on(
        &repo,
        &ada,
        "side",
        &[("s1", Some("s")), ("b", Some("s"))],
        START + 20,
    );
    let (m1, s1) = (heads(&repo), repo.heads(&on("side")).unwrap());
    let into = |branch: &str, theirs: &Heads, now| {
        repo.merge(
            &on(branch),
            theirs,
            ada.author(),
            &MergeOptions::default(),
            now,
        )
        .unwrap()
    };
    into("main", &s1, START + 30);
    into("side", &m1, START + 40);
    let (m2, s2) = (heads(&repo), repo.heads(&on("side")).unwrap());
    let bases: Heads = m1.union(&s1).copied().collect();
    assert_eq!(repo.merge_bases(&m2, &s2).unwrap(), bases);
    // Each side changes again what the other side had brought.
    put(&repo, &ada, &[("b", Some("m2"))], START + 50);
    put_on(&repo, &ada, "side", &[("a", Some("s2"))], START + 60);
    let outcome = merge(&repo, &ada, "main", "side", START + 70);
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(value_on(&repo, "main", "a").as_deref(), Some("s2"));
    assert_eq!(value_on(&repo, "main", "b").as_deref(), Some("m2"));
}

/// A value that was written again is no change; the other side's change stands, whatever the stamps.
#[test]
fn writing_the_same_value_again_is_no_change() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    put_on(&repo, &ada, "side", &[("a", Some("theirs"))], START + 10);
    put(
        &repo,
        &ada,
        &[("a", Some("0")), ("b", Some("ours"))],
        START + 20,
    );
    put_on(&repo, &ada, "side", &[("b", Some("0"))], START + 30);
    merge(&repo, &ada, "main", "side", START + 40);
    assert_eq!(value_on(&repo, "main", "a").as_deref(), Some("theirs"));
    assert_eq!(value_on(&repo, "main", "b").as_deref(), Some("ours"));
    let other = replica(&repo);
    send(&repo, &other, &main(), START + 50).unwrap();
    assert_eq!(all_of(&other, "main"), all_of(&repo, "main"));
}

/// MERGE-7: wherever the store fails, a merge is as it was or done, and can be gone on with.
#[test]
fn a_crash_anywhere_leaves_the_merge_before_or_after_a_step() {
    let ada = Person::new(1);
    for crash in 0..3 {
        for after in [false, true] {
            let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
            let store: Arc<dyn Store> = Arc::new(faulty.clone());
            let repo = space_in(&ada, Arc::clone(&store));
            put(&repo, &ada, &[("a", Some("0"))], START);
            repo.create_branch(&on("side"), &heads(&repo)).unwrap();
            put(&repo, &ada, &[("a", Some("ours"))], START + 10);
            put_on(&repo, &ada, "side", &[("a", Some("theirs"))], START + 20);
            let before = heads(&repo);
            let inject = if after {
                Fault::CrashAfter(crash)
            } else {
                Fault::CrashBefore(crash)
            };
            faulty.inject(inject);
            let steps = || -> Result<(), RepoError> {
                try_merge(
                    &repo,
                    &ada,
                    "main",
                    "side",
                    &MergeOptions::default(),
                    START + 30,
                )?;
                repo.resolve(&main(), b"a", Resolution::Theirs)?;
                repo.resume(&main(), ada.author(), Resolving::default(), START + 40)?;
                Ok(())
            };
            assert!(steps().is_err());
            faulty.restart();
            let repo = Repo::open(store, repo.id()).unwrap();
            let merged = (crash, after) == (2, true);
            assert_eq!(heads(&repo) == before, !merged);
            assert_eq!(
                repo.under_way(&main()).unwrap().is_some(),
                !merged && (crash, after) > (0, false)
            );
            if repo.under_way(&main()).unwrap().is_none() && !merged {
                stopped(merge(&repo, &ada, "main", "side", START + 50));
            }
            if !merged {
                repo.resolve(&main(), b"a", Resolution::Theirs).unwrap();
                let done = repo.resume(&main(), ada.author(), Resolving::default(), START + 60);
                assert!(matches!(done.unwrap(), Outcome::Done(_)));
            }
            assert_eq!(value_on(&repo, "main", "a").as_deref(), Some("theirs"));
            assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
        }
    }
}

type Values = BTreeMap<String, String>;

/// The naive twin of MERGE-2: a loop over all keys of three maps.
fn naive(base: &Values, ours: &Values, theirs: &Values) -> (Values, Vec<String>) {
    let keys: BTreeSet<&String> = base
        .keys()
        .chain(ours.keys())
        .chain(theirs.keys())
        .collect();
    let (mut merged, mut conflicts) = (Values::new(), Vec::new());
    for key in keys {
        let (base, ours, theirs) = (base.get(key), ours.get(key), theirs.get(key));
        let value = match () {
            () if ours == theirs || theirs == base => ours,
            () if ours == base => theirs,
            () => {
                conflicts.push(key.clone());
                continue;
            }
        };
        if let Some(value) = value {
            merged.insert(key.clone(), value.clone());
        }
    }
    (merged, conflicts)
}

fn values(repo: &Repo, branch: &str) -> Values {
    all_of(repo, branch).into_iter().collect()
}

type Writes = Vec<(u8, Option<u8>)>;

fn writes() -> impl Strategy<Value = Writes> {
    proptest::collection::vec((0..10u8, proptest::option::weighted(0.7, 0..4u8)), 0..8)
}

fn write(repo: &Repo, who: &Person, branch: &str, writes: &Writes, now: u64) {
    for (n, (key, value)) in writes.iter().enumerate() {
        let (key, value) = (format!("k{key}"), value.map(|value| format!("v{value}")));
        put_on(
            repo,
            who,
            branch,
            &[(&key, value.as_deref())],
            now + n as u64,
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48 * scale()))]

    /// A merge is what a loop over three maps says it is, in both directions; conflicts leave
    /// everything as it was, and each is told once.
    #[test]
    fn merges_agree_with_the_naive_twin(
        base in writes(), ours in writes(), theirs in writes(), interleaved in any::<bool>()
    ) {
        let ada = Person::new(1);
        let repo = space(&ada);
        put(&repo, &ada, &[("k", Some("v"))], START);
        write(&repo, &ada, "main", &base, START + 1);
        repo.create_branch(&on("side"), &heads(&repo)).unwrap();
        let base = values(&repo, "main");
        write(&repo, &ada, "main", &ours, START + 100);
        write(&repo, &ada, "side", &theirs, if interleaved { START + 50 } else { START + 200 });
        repo.create_branch(&on("back"), &repo.heads(&on("side")).unwrap()).unwrap();
        repo.create_branch(&on("kept"), &heads(&repo)).unwrap();
        let (merged, conflicts) = naive(&base, &values(&repo, "main"), &values(&repo, "side"));
        for (ours, theirs) in [("main", "side"), ("back", "kept")] {
            let (before, root) = (repo.heads(&on(ours)).unwrap(), repo.state(&on(ours)).unwrap().tree().root());
            match merge(&repo, &ada, ours, theirs, START + 300) {
                Outcome::Stopped(stop) => {
                    let told: Vec<String> = stop.conflicts.iter()
                        .map(|conflict| String::from_utf8(conflict.key.to_vec()).unwrap()).collect();
                    prop_assert_eq!(&told, &conflicts);
                    prop_assert!(!told.is_empty());
                    prop_assert_eq!(repo.heads(&on(ours)).unwrap(), before);
                    prop_assert_eq!(repo.state(&on(ours)).unwrap().tree().root(), root);
                    for key in &told {
                        repo.resolve(&on(ours), key.as_bytes(), Resolution::Ours).unwrap();
                    }
                    let mut expected = merged.clone();
                    let mine = values(&repo, ours);
                    expected.extend(mine.into_iter().filter(|(key, _)| told.contains(key)));
                    let done = repo.resume(&on(ours), ada.author(), Resolving::default(), START + 400);
                    prop_assert!(matches!(done.unwrap(), Outcome::Done(_)));
                    prop_assert_eq!(values(&repo, ours), expected);
                }
                _ => {
                    prop_assert!(conflicts.is_empty());
                    prop_assert_eq!(values(&repo, ours), merged.clone());
                }
            }
            let other = replica(&repo);
            send(&repo, &other, &on(ours), START + 500).unwrap();
            prop_assert_eq!(values(&other, ours), values(&repo, ours));
        }
        prop_assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
    }

    /// The merge bases of any two commits are the common ancestors that no other one descends to.
    #[test]
    fn merge_bases_agree_with_the_naive_twin(shape in proptest::collection::vec((0..4usize, 0..4usize, any::<bool>()), 1..25)) {
        let ada = Person::new(1);
        let repo = space(&ada);
        let names = ["main", "b1", "b2", "b3"];
        let first = put(&repo, &ada, &[("start", Some("0"))], START);
        for name in &names[1..3] {
            repo.create_branch(&on(name), &Heads::from([first])).unwrap();
        }
        let mut commits = vec![first];
        for (n, (ours, theirs, is_merge)) in shape.into_iter().enumerate() {
            let now = START + 10 * (n as u64 + 1);
            let (ours, theirs) = (names[ours], names[theirs]);
            if is_merge {
                let options = MergeOptions { allow_unrelated: true, fast_forward: FastForward::Never, ..MergeOptions::default() };
                if let Outcome::Done(done) = try_merge(&repo, &ada, ours, theirs, &options, now).unwrap() {
                    commits.extend(done.commits);
                }
            } else {
                commits.push(put_on(&repo, &ada, ours, &[(&format!("k{n}"), Some("v"))], now));
            }
        }
        let ancestors = |id: CommitId| -> BTreeSet<CommitId> {
            repo.log(&Heads::from([id])).unwrap().map(|item| item.unwrap().0).collect()
        };
        let all: BTreeMap<CommitId, BTreeSet<CommitId>> = commits.iter().map(|id| (*id, ancestors(*id))).collect();
        for left in commits.iter().rev().take(8) {
            for right in commits.iter().rev().take(8) {
                let common: BTreeSet<CommitId> = all[left].intersection(&all[right]).copied().collect();
                let best: Heads = common.iter().copied()
                    .filter(|id| !common.iter().any(|other| other != id && all[other].contains(id)))
                    .collect();
                prop_assert_eq!(repo.merge_bases(&[*left].into(), &[*right].into()).unwrap(), best);
            }
        }
    }
}

#[test]
fn rules_have_their_limits() {
    let limit: Vec<Rule> = vec![rules(&[("*", "ours")]).remove(0); 17];
    let ada = Person::new(1);
    let repo = conflicting(&ada);
    let result = try_merge(&repo, &ada, "main", "side", &with_rules(&limit), START + 30);
    assert!(matches!(
        fault(result),
        RepoError::TooMany { limit: 16, .. }
    ));
    for bad in ["", "Ours", "a b", &"x".repeat(65)] {
        assert!(bad.parse::<allod_repo::Strategy>().is_err(), "{bad}");
    }
}
