//! One replica: staging, committing, branches, history, checking.

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_blocks::{Fault, FaultyStore, MemoryStore, Store};
use allod_repo::{BranchName, Content, Edit, Heads, Refusal, Repo, RepoError, Span};
use bytes::Bytes;

use crate::world::{
    Person, START, all, fault, get, heads, main, on, put, put_on, replica, send, space, space_in,
};

#[test]
fn staged_edits_show_in_the_working_view_only() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(
        &repo,
        &ada,
        &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))],
        START,
    );
    let edits = [
        (Bytes::from("b"), Edit::Delete),
        (Bytes::from("bb"), Edit::Put("new".into())),
        (Bytes::from("c"), Edit::Put("changed".into())),
    ];
    repo.stage(&main(), edits, START).unwrap();
    let keys = |reverse| -> Vec<String> {
        let view = repo.working(&main()).unwrap();
        let items = view.range(&Span::all(), reverse);
        items
            .map(|item| String::from_utf8(item.unwrap().0.to_vec()).unwrap())
            .collect()
    };
    assert_eq!(keys(false), ["a", "bb", "c"]);
    assert_eq!(keys(true), ["c", "bb", "a"]);
    assert_eq!(
        get(&repo, "c").as_deref(),
        Some("3"),
        "the committed state is untouched"
    );
    let working = repo.working(&main()).unwrap();
    assert_eq!(
        working.get(b"c").unwrap(),
        Some(Content::Bytes("changed".into()))
    );
    assert_eq!(working.get(b"b").unwrap(), None);

    let some = ["bb", "nothing"].map(Bytes::from).into();
    assert!(matches!(
        fault(repo.unstage_keys(&main(), &some)),
        RepoError::NotStaged { key } if key == b"nothing"
    ));
    assert_eq!(keys(false), ["a", "bb", "c"], "all of them or none");
    let some = [Bytes::from("bb")].into();
    assert_eq!(repo.unstage_keys(&main(), &some).unwrap(), 1);
    assert_eq!(keys(false), ["a", "c"]);
    assert_eq!(repo.unstage(&main()).unwrap(), 2);
    assert_eq!(keys(false), ["a", "b", "c"]);
    assert!(matches!(
        fault(repo.commit_staged(&main(), ada.author(), "nothing", START)),
        RepoError::NothingStaged
    ));
}

/// REPO-20: staged edits are there again when the space is opened anew.
#[test]
fn staged_edits_survive_reopening() {
    let ada = Person::new(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space_in(&ada, Arc::clone(&store));
    repo.stage(&main(), [(Bytes::from("k"), Edit::Put("v".into()))], START)
        .unwrap();
    let again = Repo::open(store, repo.id()).unwrap();
    assert_eq!(again.staged(&main()).unwrap().len(), 1);
    again
        .commit_staged(&main(), ada.author(), "later", START + 1)
        .unwrap();
    assert!(again.staged(&main()).unwrap().is_empty());
    assert_eq!(get(&again, "k").as_deref(), Some("v"));
}

#[test]
fn large_values_live_outside_the_tree() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let large = "x".repeat(100_000);
    put(&repo, &ada, &[("large", Some(&large))], START);
    assert_eq!(get(&repo, "large"), Some(large.clone()));
    let other = replica(&repo);
    send(&repo, &other, &main(), START).unwrap();
    assert_eq!(get(&other, "large"), Some(large));
    let too_large = vec![0; 1024 * 1024 + 1];
    let staged = repo.stage(
        &main(),
        [(Bytes::from("k"), Edit::Put(too_large.into()))],
        START,
    );
    assert!(matches!(fault(staged), RepoError::TooLong { .. }));
}

#[test]
fn keys_have_their_limits() {
    let repo = space(&Person::new(1));
    for key in [Bytes::new(), Bytes::from(vec![b'k'; 4097])] {
        let got = key.len();
        let staged = repo.stage(&main(), [(key, Edit::Delete)], START);
        assert!(matches!(fault(staged), RepoError::BadKey { got: length } if length == got));
    }
    let longest = Bytes::from(vec![0xff; 4096]);
    repo.stage(&main(), [(longest, Edit::Put("v".into()))], START)
        .unwrap();
}

#[test]
fn history_is_walked_newest_first() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let first = put(&repo, &ada, &[("a", Some("1"))], START);
    let second = put(&repo, &ada, &[("a", Some("2"))], START + 1);
    let third = put(&repo, &ada, &[("a", None)], START + 2);
    let log: Vec<_> = repo
        .log(&heads(&repo))
        .unwrap()
        .map(|item| item.unwrap().0)
        .collect();
    assert_eq!(log, [third, second, first]);
    assert_eq!(
        repo.at(first).unwrap().get(b"a").unwrap(),
        Some(Content::Bytes("1".into()))
    );
    assert_eq!(repo.at(third).unwrap().get(b"a").unwrap(), None);
    assert!(repo.is_ancestor(first, third).unwrap());
    assert!(!repo.is_ancestor(third, first).unwrap());
    let known = BTreeSet::from([first]);
    assert_eq!(
        repo.missing(&heads(&repo), &known).unwrap(),
        [second, third]
    );
    assert_eq!(repo.find(&third.short()).unwrap(), [third]);
    assert_eq!(repo.find("main").unwrap(), [third]);
}

#[test]
fn branches_are_separate_and_share_history() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let first = put(&repo, &ada, &[("a", Some("1"))], START);
    let side: BranchName = "side/one".parse().unwrap();
    repo.create_branch(&side, &Heads::from([first])).unwrap();
    assert!(matches!(
        fault(repo.create_branch(&side, &Heads::from([first]))),
        RepoError::BranchExists(_)
    ));
    put(&repo, &ada, &[("a", Some("2"))], START + 1);
    assert_eq!(
        repo.state(&side).unwrap().get(b"a").unwrap(),
        Some(Content::Bytes("1".into()))
    );
    let names: Vec<String> = repo
        .branches()
        .unwrap()
        .into_iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["main", "side/one"]);
    assert!(matches!(
        fault(repo.create_branch(&BranchName::meta(), &Heads::from([first]))),
        RepoError::BranchExists(_)
    ));
}

#[test]
fn only_members_write() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let repo = space(&ada);
    repo.stage(&main(), [(Bytes::from("k"), Edit::Put("v".into()))], START)
        .unwrap();
    assert!(matches!(
        fault(repo.commit_staged(&main(), bob.author(), "mine", START)),
        RepoError::Denied {
            refusal: Refusal::NotMember,
            ..
        }
    ));
    assert!(
        repo.add_member(&bob.author().agent, ada.author(), START)
            .unwrap()
            .is_some()
    );
    assert!(
        repo.add_member(&bob.author().agent, ada.author(), START)
            .unwrap()
            .is_none()
    );
    assert_eq!(repo.members().unwrap(), [bob.author().agent]);
    repo.commit_staged(&main(), bob.author(), "mine", START)
        .unwrap();
    assert!(matches!(
        fault(repo.add_member(&Person::new(3).author().agent, bob.author(), START)),
        RepoError::Denied {
            refusal: Refusal::NotOwner,
            ..
        }
    ));
}

#[test]
fn a_check_finds_nothing_in_a_sound_space_and_damage_in_a_damaged_one() {
    let ada = Person::new(1);
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let faulty = FaultyStore::new(memory);
    let repo = space_in(&ada, Arc::new(faulty.clone()));
    for n in 0..5 {
        let value = format!("{n}").repeat(2000);
        put(
            &repo,
            &ada,
            &[(&format!("key {n}"), Some(&value))],
            START + n,
        );
    }
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
    assert_eq!(
        (report.commits, report.entries, report.files, report.live),
        (5, 5, 5, 5)
    );
    let reads = {
        faulty.inject(Fault::FlipBit(u64::MAX));
        let again = Repo::open(Arc::new(faulty.clone()), repo.id()).unwrap();
        faulty.inject(Fault::FlipBit(2));
        again.check(&mut |_, _| {})
    };
    assert!(faulty.struck());
    assert!(
        reads.unwrap().problem_count > 0,
        "a flipped bit is reported"
    );
}

/// Each store call of a write is failed once: the state is then that of before or after, never
/// another, and the space can be used.
#[test]
fn a_write_that_fails_anywhere_leaves_one_of_two_states() {
    let ada = Person::new(1);
    let mut struck = 0;
    for call in 0..200 {
        for fault in [
            Fault::FailCall(call),
            Fault::CrashBefore(call),
            Fault::CrashAfter(call),
        ] {
            let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
            let repo = space_in(&ada, Arc::new(faulty.clone()));
            put(&repo, &ada, &[("a", Some("1"))], START);
            faulty.inject(fault);
            let staged = repo.stage(&main(), [(Bytes::from("a"), Edit::Put("2".into()))], START);
            let committed = staged.is_ok()
                && repo
                    .commit_staged(&main(), ada.author(), "second", START)
                    .is_ok();
            if !faulty.struck() {
                continue;
            }
            struck += 1;
            faulty.restart();
            let again = Repo::open(Arc::new(faulty.clone()), repo.id()).unwrap();
            let value = get(&again, "a").unwrap();
            assert!(value == "1" || value == "2", "{fault:?}");
            assert!(
                !committed || value == "2",
                "{fault:?}: acknowledged and lost"
            );
            assert_eq!(
                again.check(&mut |_, _| {}).unwrap().problem_count,
                0,
                "{fault:?}"
            );
            put(&again, &ada, &[("a", Some("3"))], START + 1);
            assert_eq!(all(&again), [("a".to_owned(), "3".to_owned())]);
        }
    }
    assert!(struck > 5, "only {struck} faults struck");
}

/// MERGE-40.
#[test]
fn a_branch_is_deleted_only_if_nothing_is_lost() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let first = put(&repo, &ada, &[("a", Some("1"))], START);
    let side = on("side");
    let made = || repo.create_branch(&side, &Heads::from([first])).unwrap();
    made();
    assert_eq!(repo.delete_branch(&side, false).unwrap(), [first].into());
    assert!(matches!(
        fault(repo.delete_branch(&side, false)),
        RepoError::NoBranch(_)
    ));
    made();
    let own = put_on(&repo, &ada, "side", &[("a", Some("2"))], START + 10);
    assert!(matches!(
        fault(repo.delete_branch(&side, false)),
        RepoError::Unmerged(_)
    ));
    repo.create_branch(&on("copy"), &Heads::from([own]))
        .unwrap();
    repo.stage(
        &side,
        [("b".into(), Edit::Put("staged".into()))],
        START + 20,
    )
    .unwrap();
    assert!(matches!(
        fault(repo.delete_branch(&side, false)),
        RepoError::InTheWay { .. }
    ));
    assert_eq!(repo.staged(&side).unwrap().len(), 1);
    let log_end = repo.store().stats().unwrap().log_end;
    assert_eq!(repo.delete_branch(&side, true).unwrap(), [own].into());
    assert!(repo.staged(&side).unwrap().is_empty());
    let moves = repo.store().read_log(log_end, 10).unwrap();
    let moved = allod_repo::RefMove::decode(&moves[0].bytes).unwrap();
    assert_eq!((moved.from, moved.to), (vec![own], vec![]));
    assert_eq!(repo.branches().unwrap().len(), 2);
    for kept in [main(), BranchName::meta()] {
        assert!(matches!(
            fault(repo.delete_branch(&kept, true)),
            RepoError::BranchKept(_)
        ));
    }
    let again = Repo::open(Arc::clone(repo.store()), repo.id()).unwrap();
    assert!(again.heads(&side).unwrap().is_empty());
    assert!(again.staged(&side).unwrap().is_empty());
}

#[test]
fn entries_of_a_range_are_counted_and_found_by_rank() {
    let me = Person::new(1);
    let repo = space(&me);
    let keys: Vec<String> = (0..500).map(|n| format!("k{n:03}")).collect();
    let edits: Vec<(&str, Option<&str>)> = keys
        .iter()
        .enumerate()
        // Every third is a tombstone, which is an entry too.
        .map(|(n, key)| (key.as_str(), (n % 3 > 0).then_some("v")))
        .collect();
    put(&repo, &me, &edits, START);
    let edit = (Bytes::from("k0"), Edit::Put("staged".into()));
    repo.stage(&main(), [edit], START).unwrap();
    let view = repo.working(&main()).unwrap();
    let bound = |n: usize| (n < 7).then(|| format!("k{:02}", n * 9).into_bytes());
    for (from, to) in (0..8).flat_map(|from| (0..8).map(move |to| (from, to))) {
        let span = Span {
            from: bound(from),
            to: bound(to),
        };
        let within: Vec<&String> = keys
            .iter()
            .filter(|key| span.contains(key.as_bytes()))
            .collect();
        assert_eq!(view.count(&span).unwrap(), within.len() as u64, "{span:?}");
        for (n, key) in within.iter().enumerate() {
            let (found, entry) = view.nth(&span, n as u64).unwrap().unwrap();
            assert_eq!(found, key.as_bytes());
            assert_eq!(entry.is_live(), key[1..].parse::<u32>().unwrap() % 3 > 0);
        }
        assert!(view.nth(&span, within.len() as u64).unwrap().is_none());
        assert!(view.nth(&span, u64::MAX).unwrap().is_none());
    }
}

/// What is asked of a space is timed by the clock that it was given, and by verb.
#[test]
fn verbs_are_timed() {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use allod_repo::{Timings, Verb};

    let ada = Person::new(1);
    let now = AtomicU64::new(0);
    // Time passes when somebody looks at the clock.
    let ticks = move || Duration::from_millis(now.fetch_add(1, Ordering::Relaxed));
    let timings = Timings::new(Arc::new(ticks));
    let repo = space(&ada).timed(timings.clone());
    put(&repo, &ada, &[("a", Some("1"))], START);
    assert_eq!(get(&repo, "a").as_deref(), Some("1"));
    assert_eq!(get(&repo, "b"), None);
    for (verb, count) in [
        (Verb::Read, 2),
        (Verb::Stage, 1),
        (Verb::Commit, 1),
        (Verb::Merge, 0),
        (Verb::Accept, 0),
    ] {
        let latency = timings.latency(verb);
        assert_eq!(latency.count, count, "{}", verb.name());
        assert_eq!(latency.mean, Duration::from_millis(count.min(1)));
    }
}
