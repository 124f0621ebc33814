//! MERGE-20 to MERGE-25: single commits are applied and undone, branches replayed.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Fault, FaultyStore, MemoryStore, Store};
use allod_repo::{
    Applied, CommitId, Done, Heads, MergeOptions, Outcome, Repo, RepoError, Resolution, Resolving,
};
use proptest::prelude::*;

use crate::world::{
    Person, START, all_of, fault, heads, main, on, put, put_on, replica, scale, send, space_in,
    two_branches, value_on,
};

fn pick(repo: &Repo, who: &Person, branch: &str, id: CommitId, now: u64) -> Outcome {
    repo.cherry_pick(&on(branch), id, who.author(), Resolving::default(), now)
        .unwrap()
}

fn revert(repo: &Repo, who: &Person, branch: &str, id: CommitId, now: u64) -> Outcome {
    repo.revert(&on(branch), id, who.author(), Resolving::default(), now)
        .unwrap()
}

fn rebase(
    repo: &Repo,
    who: &Person,
    (branch, onto, to): (&str, &str, &str),
    now: u64,
) -> Result<Outcome, RepoError> {
    let onto = repo.heads(&on(onto)).unwrap();
    let by = (who.author(), Resolving::default());
    repo.rebase(&on(branch), &onto, &on(to), by, now)
}

fn done(outcome: Outcome) -> Done {
    match outcome {
        Outcome::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

/// Another replica accepts the branch and has the same.
fn accepted(repo: &Repo, branch: &str) {
    let other = replica(repo);
    send(repo, &other, &on(branch), START + 100_000).unwrap();
    assert_eq!(all_of(&other, branch), all_of(repo, branch));
    assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
}

#[test]
fn a_commit_is_applied_and_undone() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    put_on(&repo, &ada, "side", &[("c", Some("other"))], START + 10);
    let edits = [("a", Some("picked")), ("b", None), ("new", Some("1"))];
    let wanted = put_on(&repo, &ada, "side", &edits, START + 20);
    put(&repo, &ada, &[("own", Some("1"))], START + 30);
    let made = done(pick(&repo, &ada, "main", wanted, START + 40));
    assert_eq!(made.merged.first, ["a", "b", "new"]);
    assert_eq!(
        value_on(&repo, "main", "c").as_deref(),
        Some("0"),
        "only what it changed"
    );
    let commit = repo.commit(made.commits[0]).unwrap();
    assert_eq!(commit.payload().parents.len(), 1);
    assert_eq!(
        commit.payload().message,
        format!("test\n\n(cherry picked from commit {wanted})")
    );
    let entry = |branch| {
        repo.state(&on(branch))
            .unwrap()
            .entry(b"a")
            .unwrap()
            .unwrap()
    };
    assert_ne!(
        entry("main").stamp,
        entry("side").stamp,
        "a change of its own"
    );
    assert_eq!(
        pick(&repo, &ada, "main", wanted, START + 50),
        Outcome::Nothing
    );

    let undone = done(revert(&repo, &ada, "main", made.commits[0], START + 60));
    let expected = [("a", "0"), ("b", "0"), ("c", "0"), ("own", "1")];
    assert_eq!(
        all_of(&repo, "main"),
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    let message = repo
        .commit(undone.commits[0])
        .unwrap()
        .payload()
        .message
        .clone();
    assert!(
        message.starts_with("Revert \"test\"\n\n(reverts commit "),
        "{message}"
    );
    done(revert(&repo, &ada, "main", undone.commits[0], START + 70));
    assert_eq!(value_on(&repo, "main", "a").as_deref(), Some("picked"));
    accepted(&repo, "main");
}

#[test]
fn a_pick_with_conflicts_waits_and_goes_on() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    let edits = [("a", Some("theirs")), ("b", Some("theirs"))];
    let wanted = put_on(&repo, &ada, "side", &edits, START + 10);
    put(&repo, &ada, &[("a", Some("ours"))], START + 20);
    let before = heads(&repo);
    let Outcome::Stopped(stop) = pick(&repo, &ada, "main", wanted, START + 30) else {
        panic!("a conflict");
    };
    assert_eq!((stop.at, stop.count), (Some(wanted), 1));
    assert_eq!(heads(&repo), before);
    repo.resolve(&main(), b"a", Resolution::Ours).unwrap();
    let resumed = repo.resume(&main(), ada.author(), Resolving::default(), START + 40);
    assert_eq!(done(resumed.unwrap()).merged.first, ["b"]);
    assert_eq!(value_on(&repo, "main", "a").as_deref(), Some("ours"));
    let Outcome::Stopped(_) = revert(&repo, &ada, "main", *before.first().unwrap(), START + 45)
    else {
        // The value that would be undone is there as it was.
        return accepted(&repo, "main");
    };
    panic!("nobody changed it since");
}

/// The difference of a merge is what its author decided.
#[test]
fn the_difference_of_a_merge_is_its_resolutions() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    put(
        &repo,
        &ada,
        &[("a", Some("ours")), ("b", Some("ours"))],
        START + 10,
    );
    put_on(
        &repo,
        &ada,
        "side",
        &[("a", Some("theirs")), ("c", Some("theirs"))],
        START + 20,
    );
    repo.create_branch(&on("third"), &heads(&repo)).unwrap();
    let theirs = repo.heads(&on("side")).unwrap();
    repo.merge(
        &main(),
        &theirs,
        ada.author(),
        &MergeOptions::default(),
        START + 30,
    )
    .unwrap();
    repo.resolve(&main(), b"a", Resolution::Ours).unwrap();
    let merged = repo.resume(&main(), ada.author(), Resolving::default(), START + 40);
    let merged = done(merged.unwrap()).commits[0];
    assert_eq!(value_on(&repo, "main", "a").as_deref(), Some("ours"));
    // Undone, the merge is the plain join again.
    done(revert(&repo, &ada, "main", merged, START + 50));
    assert_eq!(value_on(&repo, "main", "a").as_deref(), Some("theirs"));
    assert_eq!(value_on(&repo, "main", "c").as_deref(), Some("theirs"));
    accepted(&repo, "main");
}

/// With a main line a merge is undone whole, and applied elsewhere whole.
#[test]
fn a_merge_is_applied_and_undone_as_seen_from_a_parent() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    let first = *heads(&repo).first().unwrap();
    repo.create_branch(&on("third"), &heads(&repo)).unwrap();
    let ours = put(
        &repo,
        &ada,
        &[("a", Some("ours")), ("own", Some("1"))],
        START + 10,
    );
    let theirs = [("a", Some("theirs")), ("c", Some("theirs")), ("b", None)];
    let theirs = put_on(&repo, &ada, "side", &theirs, START + 20);
    let before = all_of(&repo, "main");
    let side = repo.heads(&on("side")).unwrap();
    let options = MergeOptions::default();
    repo.merge(&main(), &side, ada.author(), &options, START + 30)
        .unwrap();
    repo.resolve(&main(), b"a", Resolution::Theirs).unwrap();
    let resolving = Resolving::default();
    let merged = repo.resume(&main(), ada.author(), resolving, START + 40);
    let commit = done(merged.unwrap()).commits[0];
    let after = all_of(&repo, "main");
    let seen_from = |parent| Applied {
        commit,
        mainline: Some(parent),
    };
    let undo = |from, now| repo.revert(&main(), from, ada.author(), resolving, now);
    let wrong = fault(undo(seen_from(first), START + 50));
    assert!(matches!(wrong, RepoError::NotAParent(parent) if parent == first));
    done(undo(seen_from(ours), START + 50).unwrap());
    assert_eq!(all_of(&repo, "main"), before);
    // Seen from the other side it is what ours brought: nothing of that is left to undo but `own`.
    let applied = repo.cherry_pick(
        &main(),
        seen_from(ours),
        ada.author(),
        resolving,
        START + 60,
    );
    done(applied.unwrap());
    assert_eq!(all_of(&repo, "main"), after);
    let elsewhere = repo.cherry_pick(
        &on("third"),
        seen_from(theirs),
        ada.author(),
        resolving,
        START + 70,
    );
    done(elsewhere.unwrap());
    assert_eq!(value_on(&repo, "third", "own").as_deref(), Some("1"));
    assert_eq!(value_on(&repo, "third", "c").as_deref(), Some("0"));
    accepted(&repo, "main");
}

#[test]
fn a_branch_is_replayed_onto_another() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    let first = put_on(&repo, &ada, "side", &[("a", Some("1"))], START + 10);
    put_on(&repo, &ada, "side", &[("same", Some("s"))], START + 20);
    let third = put_on(&repo, &ada, "side", &[("a", Some("3"))], START + 30);
    put(
        &repo,
        &ada,
        &[("b", Some("main")), ("same", Some("s"))],
        START + 40,
    );
    let old = repo.heads(&on("side")).unwrap();
    let made = done(rebase(&repo, &ada, ("side", "main", "new"), START + 50).unwrap());
    assert_eq!((made.commits.len(), made.empty), (2, 1));
    assert_eq!(
        repo.heads(&on("side")).unwrap(),
        old,
        "the branch is untouched"
    );
    assert_eq!(repo.heads(&on("new")).unwrap(), [made.commits[1]].into());
    let log: Vec<CommitId> = repo
        .log(&repo.heads(&on("new")).unwrap())
        .unwrap()
        .map(|item| item.unwrap().0)
        .collect();
    assert_eq!(log[..2], [made.commits[1], made.commits[0]]);
    assert_eq!(log[2], *heads(&repo).first().unwrap());
    let message = |id| repo.commit(id).unwrap().payload().message.clone();
    assert!(message(made.commits[0]).ends_with(&format!("(rebased from commit {first})")));
    assert!(message(made.commits[1]).ends_with(&format!("(rebased from commit {third})")));
    let expected = [("a", "3"), ("b", "main"), ("c", "0"), ("same", "s")];
    assert_eq!(
        all_of(&repo, "new"),
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    accepted(&repo, "new");
    let taken = rebase(&repo, &ada, ("side", "main", "new"), START + 60);
    assert!(matches!(fault(taken), RepoError::BranchExists(_)));
    let there = rebase(&repo, &ada, ("new", "main", "newer"), START + 70);
    assert_eq!(there.unwrap(), Outcome::Nothing);

    // In its own place: the old heads are in the log.
    let log_end = repo.store().stats().unwrap().log_end;
    done(rebase(&repo, &ada, ("side", "main", "side"), START + 80).unwrap());
    assert_eq!(all_of(&repo, "side"), all_of(&repo, "new"));
    let moves = repo.store().read_log(log_end, 10).unwrap();
    assert_eq!(moves.len(), 1);
    let moved = allod_repo::RefMove::decode(&moves[0].bytes).unwrap();
    assert_eq!(moved.from.into_iter().collect::<Heads>(), old);
}

/// MERGE-23: no branch moves before the last commit is applied.
#[test]
fn a_replay_stops_at_a_conflict_and_goes_on_or_leaves_it_out() {
    let ada = Person::new(1);
    for skip in [false, true] {
        let repo = two_branches(&ada);
        put_on(&repo, &ada, "side", &[("c", Some("1"))], START + 10);
        let second = put_on(&repo, &ada, "side", &[("a", Some("theirs"))], START + 20);
        put_on(&repo, &ada, "side", &[("d", Some("1"))], START + 30);
        put(&repo, &ada, &[("a", Some("ours"))], START + 40);
        let old = repo.heads(&on("side")).unwrap();
        let stop = rebase(&repo, &ada, ("side", "main", "side"), START + 50).unwrap();
        let Outcome::Stopped(stop) = stop else {
            panic!()
        };
        assert_eq!((stop.at, stop.count), (Some(second), 1));
        assert_eq!(repo.heads(&on("side")).unwrap(), old);
        let again = rebase(&repo, &ada, ("side", "main", "other"), START + 55);
        assert!(matches!(fault(again), RepoError::UnderWay(_)));
        let side = on("side");
        let end = if skip {
            repo.skip(&side, ada.author(), Resolving::default(), START + 60)
        } else {
            repo.resolve(&side, b"a", Resolution::Theirs).unwrap();
            repo.resume(&side, ada.author(), Resolving::default(), START + 60)
        };
        assert_eq!(done(end.unwrap()).commits.len(), if skip { 1 } else { 2 });
        let a = if skip { "ours" } else { "theirs" };
        let expected = [("a", a), ("b", "0"), ("c", "1"), ("d", "1")];
        assert_eq!(
            all_of(&repo, "side"),
            expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        assert!(repo.under_way(&side).unwrap().is_none());
        accepted(&repo, "side");
    }
}

#[test]
fn a_replay_does_not_overwrite_what_came_meanwhile() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    put_on(&repo, &ada, "side", &[("a", Some("theirs"))], START + 10);
    put(&repo, &ada, &[("a", Some("ours"))], START + 20);
    rebase(&repo, &ada, ("side", "main", "side"), START + 30).unwrap();
    put_on(&repo, &ada, "side", &[("late", Some("1"))], START + 40);
    repo.resolve(&on("side"), b"a", Resolution::Ours).unwrap();
    let resumed = repo.resume(&on("side"), ada.author(), Resolving::default(), START + 50);
    assert!(matches!(fault(resumed), RepoError::MovedOn(_)));
    assert_eq!(value_on(&repo, "side", "late").as_deref(), Some("1"));
    repo.abort(&on("side")).unwrap();
}

/// MERGE-23: wherever the store fails, the branch is as it was or stands at the whole result.
#[test]
fn a_crash_anywhere_leaves_a_replay_undone_or_done() {
    let ada = Person::new(1);
    let mut ended = 0;
    for crash in 0..6 {
        for after in [false, true] {
            let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
            let store: Arc<dyn Store> = Arc::new(faulty.clone());
            let repo = space_in(&ada, Arc::clone(&store));
            put(&repo, &ada, &[("a", Some("0"))], START);
            repo.create_branch(&on("side"), &heads(&repo)).unwrap();
            for n in 0..3 {
                let key = format!("side{n}");
                put_on(&repo, &ada, "side", &[(&key, Some("1"))], START + 10 + n);
            }
            put(&repo, &ada, &[("own", Some("1"))], START + 20);
            let before = all_of(&repo, "side");
            faulty.inject(if after {
                Fault::CrashAfter(crash)
            } else {
                Fault::CrashBefore(crash)
            });
            let result = rebase(&repo, &ada, ("side", "main", "side"), START + 30);
            ended += usize::from(result.is_ok());
            faulty.restart();
            let repo = Repo::open(store, repo.id()).unwrap();
            let now = all_of(&repo, "side");
            assert_eq!(now != before, result.is_ok() || (crash, after) == (3, true));
            assert!(repo.under_way(&on("side")).unwrap().is_none());
            if now == before {
                done(rebase(&repo, &ada, ("side", "main", "side"), START + 40).unwrap());
            }
            assert_eq!(all_of(&repo, "side").len(), 5);
            accepted(&repo, "side");
        }
    }
    assert_eq!(ended, 4, "three commits and the move are four batches");
}

/// Several people change, merge and pick at once; the compare-and-swap lets nothing get lost.
#[test]
fn concurrent_writers_lose_nothing() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    for n in 0..20 {
        put_on(
            &repo,
            &ada,
            "side",
            &[(&format!("side{n}"), Some("1"))],
            START + n,
        );
    }
    let from = repo.heads(&on("side")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (repo, ada) = (&repo, &ada);
            scope.spawn(move || {
                for n in 0..10 {
                    let mut change = repo.begin(&main()).unwrap();
                    change.put(format!("t{thread}/{n}"), "1").unwrap();
                    change.commit(ada.author(), "write", START + 1000).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let options = MergeOptions::default();
            for _ in 0..5 {
                repo.merge(&main(), &from, ada.author(), &options, START + 1000)
                    .unwrap();
            }
        });
    });
    assert_eq!(all_of(&repo, "main").len(), 3 + 20 + 30);
    assert_eq!(heads(&repo).len(), 1);
    accepted(&repo, "main");
}

type Step = (bool, u8, Option<u8>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = proptest::option::weighted(0.8, 0..4u8);
    proptest::collection::vec((any::<bool>(), 0..6u8, value), 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48 * scale()))]

    /// A pick changes a key exactly where the commit did and the branch has the value from before,
    /// and stops exactly where the branch has a third value.
    #[test]
    fn picks_agree_with_the_naive_twin(steps in steps(), chosen in any::<prop::sample::Index>(), undo in any::<bool>()) {
        let ada = Person::new(1);
        let repo = two_branches(&ada);
        let mut changes = Vec::new();
        for (n, (on_side, key, value)) in steps.into_iter().enumerate() {
            let branch = if on_side { "side" } else { "main" };
            let (key, value) = (format!("k{key}"), value.map(|value| format!("v{value}")));
            let before = value_on(&repo, branch, &key);
            let now = START + 10 * (n as u64 + 1);
            let id = put_on(&repo, &ada, branch, &[(&key, value.as_deref())], now);
            changes.push((id, key, before, value));
        }
        let (id, key, before, after) = changes[chosen.index(changes.len())].clone();
        let (before, after) = if undo { (after, before) } else { (before, after) };
        let mut expected: BTreeMap<String, String> = all_of(&repo, "main").into_iter().collect();
        let ours = expected.get(&key).cloned();
        let outcome = if undo {
            revert(&repo, &ada, "main", id, START + 500)
        } else {
            pick(&repo, &ada, "main", id, START + 500)
        };
        if after == before || ours == after {
            prop_assert_eq!(outcome, Outcome::Nothing);
        } else if ours == before {
            match after {
                Some(after) => expected.insert(key, after),
                None => expected.remove(&key),
            };
            prop_assert_eq!(done(outcome).merged.count, 1);
        } else {
            prop_assert!(matches!(outcome, Outcome::Stopped(_)));
        }
        prop_assert_eq!(all_of(&repo, "main"), expected.into_iter().collect::<Vec<_>>());
        accepted(&repo, "main");
    }

    /// A replay is one pick after the other, and stops where the first of them does.
    #[test]
    fn replays_agree_with_the_naive_twin(steps in steps()) {
        let ada = Person::new(1);
        let repo = two_branches(&ada);
        let mut changes = Vec::new();
        for (n, (on_side, key, value)) in steps.into_iter().enumerate() {
            let branch = if on_side { "side" } else { "main" };
            let (key, value) = (format!("k{key}"), value.map(|value| format!("v{value}")));
            let before = value_on(&repo, branch, &key);
            let now = START + 10 * (n as u64 + 1);
            let id = put_on(&repo, &ada, branch, &[(&key, value.as_deref())], now);
            if on_side {
                changes.push((id, key, before, value));
            }
        }
        let side = *repo.heads(&on("side")).unwrap().first().unwrap();
        let main = *heads(&repo).first().unwrap();
        let in_line = repo.is_ancestor(main, side).unwrap() || repo.is_ancestor(side, main).unwrap();
        let mut expected: BTreeMap<String, String> = all_of(&repo, "main").into_iter().collect();
        let mut stop = None;
        for (id, key, before, after) in changes {
            let ours = expected.get(&key).cloned();
            if after == before || ours == after {
                continue;
            }
            if ours != before {
                stop = Some(id);
                break;
            }
            match after {
                Some(after) => expected.insert(key, after),
                None => expected.remove(&key),
            };
        }
        match rebase(&repo, &ada, ("side", "main", "new"), START + 500).unwrap() {
            Outcome::Stopped(stopped) => prop_assert_eq!(stopped.at, stop),
            Outcome::Nothing => prop_assert!(in_line),
            _ => {
                prop_assert!(!in_line);
                prop_assert_eq!(stop, None);
                prop_assert_eq!(all_of(&repo, "new"), expected.into_iter().collect::<Vec<_>>());
                accepted(&repo, "new");
            }
        }
    }
}
