//! WORK-1 to WORK-6: stashes.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Fault, FaultyStore, MemoryStore, Store};
use allod_repo::{
    Edit, Heads, Keys, Refusal, Repo, RepoError, Resolving, Rule, STASHES_MAX, Span, State,
    Strategy as Decide, Unstashed,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{Person, START, fault, heads, main, on, put, scale, send, space, space_in};

type Values = BTreeMap<String, String>;

fn stage(repo: &Repo, branch: &str, edits: &[(&str, Option<&str>)], now: u64) {
    let edits = edits.iter().map(|(key, value)| {
        let edit = value.map_or(Edit::Delete, |value| Edit::Put(value.to_owned().into()));
        (Bytes::copy_from_slice(key.as_bytes()), edit)
    });
    repo.stage(&on(branch), edits, now).unwrap();
}

/// What readers of the working set see.
fn working(repo: &Repo, branch: &str) -> Values {
    let view = repo.working(&on(branch)).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    view.range(&Span::all(), false)
        .map(|item| {
            let (key, entry) = item.unwrap();
            let State::Value(value) = entry.state else {
                panic!("a value")
            };
            (text(&key), text(&value))
        })
        .collect()
}

fn pop(repo: &Repo, number: u64, now: u64) -> Unstashed {
    repo.unstash(&main(), number, true, Resolving::default(), now)
        .unwrap()
}

fn staged(outcome: Unstashed) -> (Keys, u64) {
    match outcome {
        Unstashed::Staged { keys, decided } => (keys, decided),
        conflicts @ Unstashed::Conflicts { .. } => panic!("{conflicts:?}"),
    }
}

#[test]
fn a_stash_waits_and_comes_back_to_what_the_branch_is_then() {
    let ada = Person::new(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space_in(&ada, Arc::clone(&store));
    put(&repo, &ada, &[("a", Some("0")), ("b", Some("0"))], START);
    let none = repo.stash(&main(), "", START);
    assert!(matches!(fault(none), RepoError::NothingStaged));
    let long = "x".repeat(2000);
    stage(
        &repo,
        "main",
        &[("a", Some(&long)), ("b", None), ("c", Some("1"))],
        START + 1,
    );
    assert_eq!(repo.stash(&main(), "later", START + 2).unwrap(), 1);
    assert!(repo.staged(&main()).unwrap().is_empty());

    let repo = Repo::open(store, repo.id()).unwrap();
    assert!(repo.staged(&main()).unwrap().is_empty());
    let stashes = repo.stashes().unwrap();
    assert_eq!((stashes.len(), stashes[0].0, stashes[0].1.keys), (1, 1, 3));
    assert_eq!(
        (&stashes[0].1.message[..], stashes[0].1.at),
        ("later", START + 2)
    );
    assert_eq!(
        stashes[0].1.heads,
        heads(&repo).into_iter().collect::<Vec<_>>()
    );
    put(&repo, &ada, &[("own", Some("1"))], START + 3);
    stage(&repo, "main", &[("d", Some("1"))], START + 4);
    let (keys, _) = staged(pop(&repo, 1, START + 5));
    assert_eq!(keys.first, ["a", "b", "c"]);
    assert_eq!(repo.staged(&main()).unwrap().len(), 4);
    assert!(repo.stashes().unwrap().is_empty());
    assert!(matches!(fault(repo.stash_edits(1)), RepoError::NoStash(1)));
    repo.commit_staged(&main(), ada.author(), "all", START + 6)
        .unwrap();
    let other = crate::world::replica(&repo);
    send(&repo, &other, &main(), START + 7).unwrap();
    assert_eq!(crate::world::get(&other, "a"), Some(long));
}

#[test]
fn conflicts_keep_the_stash_and_change_nothing() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("a", Some("0")), ("b", Some("0"))], START);
    stage(
        &repo,
        "main",
        &[
            ("a", Some("mine")),
            ("b", Some("mine")),
            ("c", Some("mine")),
        ],
        START,
    );
    let number = repo.stash(&main(), "", START).unwrap();
    put(&repo, &ada, &[("a", Some("other"))], START + 1);
    stage(&repo, "main", &[("b", None)], START + 2);
    let before = working(&repo, "main");
    let Unstashed::Conflicts { conflicts, count } = pop(&repo, number, START + 3) else {
        panic!("conflicts")
    };
    let keys: Vec<&[u8]> = conflicts.iter().map(|conflict| &conflict.key[..]).collect();
    assert_eq!((count, keys), (2, vec![&b"a"[..], &b"b"[..]]));
    assert_eq!(working(&repo, "main"), before);
    assert_eq!(repo.stash_edits(number).unwrap().len(), 3);

    let rules: [Rule; 2] = [
        ("a".parse().unwrap(), Decide::Theirs),
        ("*".parse().unwrap(), Decide::Ours),
    ];
    let resolving = Resolving {
        rules: &rules,
        ..Resolving::default()
    };
    let apply = |pop| {
        repo.unstash(&main(), number, pop, resolving, START + 4)
            .unwrap()
    };
    let (keys, decided) = staged(apply(false));
    assert_eq!(
        (&keys.first[..], decided),
        (&[Bytes::from("a"), "c".into()][..], 2)
    );
    assert_eq!(repo.stashes().unwrap().len(), 1, "applied, and kept");
    let (keys, _) = staged(apply(true));
    assert_eq!(keys.count, 0, "it is all there");
    assert_eq!(repo.stashes().unwrap().len(), 0);
    let now = working(&repo, "main");
    assert_eq!(
        (&now["a"][..], now.get("b"), &now["c"][..]),
        ("mine", None, "mine")
    );
}

#[test]
fn stashes_are_numbered_dropped_and_bounded() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("a", Some("0"))], START);
    repo.create_branch(&on("side"), &heads(&repo)).unwrap();
    for number in 1..=STASHES_MAX as u64 {
        stage(&repo, "side", &[("k", Some("1"))], START);
        assert_eq!(repo.stash(&on("side"), "", START).unwrap(), number);
    }
    stage(&repo, "side", &[("k", Some("1"))], START);
    let more = repo.stash(&on("side"), "", START);
    assert!(matches!(
        fault(more),
        RepoError::TooMany {
            what: "stashes",
            ..
        }
    ));
    assert_eq!(repo.staged(&on("side")).unwrap().len(), 1);
    assert_eq!(repo.drop_stash(7).unwrap().branch, on("side"));
    assert!(matches!(fault(repo.drop_stash(7)), RepoError::NoStash(7)));
    assert_eq!(repo.stash(&on("side"), "", START).unwrap(), 257);
    // What was staged on one branch may go to another, but for what governs the space.
    staged(pop(&repo, 8, START + 1));
    let meta = repo.unstash(
        &"meta".parse().unwrap(),
        9,
        true,
        Resolving::default(),
        START,
    );
    assert!(matches!(fault(meta), RepoError::Refused(Refusal::Branch)));
}

/// WORK-1, WORK-4: a crash leaves the edits staged or stashed, never both and never neither.
#[test]
fn a_crash_leaves_edits_in_one_place() {
    let ada = Person::new(1);
    for popping in [false, true] {
        for crash in [Fault::CrashBefore(0), Fault::CrashAfter(0)] {
            let store = FaultyStore::new(Arc::new(MemoryStore::new()));
            let repo = space_in(&ada, Arc::new(store.clone()));
            put(&repo, &ada, &[("a", Some("0"))], START);
            stage(&repo, "main", &[("a", Some("1")), ("b", Some("1"))], START);
            if popping {
                repo.stash(&main(), "", START).unwrap();
            }
            store.inject(crash);
            let failed = if popping {
                let done = repo.unstash(&main(), 1, true, Resolving::default(), START);
                done.is_err()
            } else {
                repo.stash(&main(), "", START).is_err()
            };
            assert!(failed && store.struck());
            store.restart();
            let repo = Repo::open(Arc::new(store), repo.id()).unwrap();
            let is_stashed = popping == (crash == Fault::CrashBefore(0));
            assert_eq!(repo.stashes().unwrap().len(), usize::from(is_stashed));
            let count = if is_stashed { 0 } else { 2 };
            assert_eq!(repo.staged(&main()).unwrap().len(), count);
        }
    }
}

type Change = BTreeMap<u8, Option<u8>>;

fn change() -> impl Strategy<Value = Change> {
    let value = proptest::option::weighted(0.7, 0..3u8);
    prop::collection::btree_map(0..6u8, value, 1..5)
}

fn over(values: &Values, change: &Change) -> Values {
    let mut values = values.clone();
    for (key, value) in change {
        let key = format!("k{key}");
        match value {
            Some(value) => drop(values.insert(key, value.to_string())),
            None => drop(values.remove(&key)),
        }
    }
    values
}

fn stage_change(repo: &Repo, change: &Change, now: u64) {
    let edits = change.iter().map(|(key, value)| {
        let edit = value.map_or(Edit::Delete, |value| Edit::Put(value.to_string().into()));
        (Bytes::from(format!("k{key}")), edit)
    });
    repo.stage(&main(), edits, now).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64 * scale(), ..ProptestConfig::default() })]

    /// WORK-3 against three whole maps, each key looked at.
    #[test]
    fn pops_agree_with_the_naive_twin(
        start in change(), mine in change(), since in proptest::option::of(change()),
        dirty in proptest::option::of(change()), decide in 0..3u8,
    ) {
        let ada = Person::new(1);
        let repo = space(&ada);
        let commit = |change: &Change, now| {
            stage_change(&repo, change, now);
            repo.commit_staged(&main(), ada.author(), "", now).unwrap();
        };
        commit(&start, START);
        let base = over(&Values::new(), &start);
        stage_change(&repo, &mine, START + 1);
        let number = repo.stash(&main(), "", START + 2).unwrap();
        prop_assert_eq!(working(&repo, "main"), base.clone());
        let mut ours = base.clone();
        if let Some(since) = &since {
            commit(since, START + 3);
            ours = over(&ours, since);
        }
        if let Some(dirty) = &dirty {
            stage_change(&repo, dirty, START + 4);
            ours = over(&ours, dirty);
        }
        let theirs = over(&base, &mine);

        let mut expected = ours.clone();
        let mut conflicts = Vec::new();
        for key in (0..6).map(|key| format!("k{key}")) {
            let (b, o, t) = (base.get(&key), ours.get(&key), theirs.get(&key));
            let conflict = t != b && t != o && o != b;
            if conflict {
                conflicts.push(key.clone());
            }
            if (o == b || (conflict && decide == 1)) && t != o {
                match t {
                    Some(value) => drop(expected.insert(key, value.clone())),
                    None => drop(expected.remove(&key)),
                }
            }
        }
        let rules: Vec<Rule> = match decide {
            0 => vec![],
            1 => vec![("*".parse().unwrap(), Decide::Theirs)],
            _ => vec![("*".parse().unwrap(), Decide::Ours)],
        };
        let resolving = Resolving { rules: &rules, ..Resolving::default() };
        let before: Heads = heads(&repo);
        match repo.unstash(&main(), number, true, resolving, START + 5).unwrap() {
            Unstashed::Staged { decided, .. } => {
                prop_assert!(decide > 0 || conflicts.is_empty());
                prop_assert_eq!(decided, conflicts.len() as u64);
                prop_assert_eq!(working(&repo, "main"), expected.clone());
                prop_assert_eq!(repo.stashes().unwrap().len(), 0);
            }
            Unstashed::Conflicts { conflicts: found, .. } => {
                prop_assert!(decide == 0);
                let found: Vec<String> = found
                    .iter()
                    .map(|conflict| String::from_utf8(conflict.key.to_vec()).unwrap())
                    .collect();
                prop_assert_eq!(found, conflicts);
                prop_assert_eq!(working(&repo, "main"), ours);
                prop_assert_eq!(repo.stash_edits(number).unwrap().len(), mine.len());
            }
        }
        prop_assert_eq!(heads(&repo), before);
        // Memory and disk agree on what is staged.
        let again = Repo::open(Arc::clone(repo.store()), repo.id()).unwrap();
        prop_assert_eq!(working(&again, "main"), working(&repo, "main"));
    }
}
