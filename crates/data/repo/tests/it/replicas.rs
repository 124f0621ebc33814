//! REPO-4 to REPO-9: replicas that hold the same commits hold the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_repo::{BranchName, Edit, PARENTS_MAX, Repo, State};
use proptest::prelude::*;

use crate::world::{
    Person, START, all, deliver, get, heads, main, put, replica, scale, send, space,
};

fn members(ada: &Person, others: &[&Person]) -> Repo {
    let repo = space(ada);
    for (n, other) in others.iter().enumerate() {
        repo.add_member(&other.author().agent, ada.author(), START + n as u64)
            .unwrap();
    }
    repo
}

fn exchange(a: &Repo, b: &Repo, now: u64) {
    for branch in [BranchName::meta(), main()] {
        send(a, b, &branch, now).unwrap();
        send(b, a, &branch, now).unwrap();
    }
}

#[test]
fn concurrent_edits_converge_and_what_lost_is_recorded() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let left = members(&ada, &[&bob]);
    let base = put(
        &left,
        &ada,
        &[("both", Some("base")), ("only", Some("base"))],
        START + 10,
    );
    let right = replica(&left);
    exchange(&left, &right, START + 10);
    let a = put(
        &left,
        &ada,
        &[("both", Some("ada")), ("a", Some("1"))],
        START + 20,
    );
    let b = put(
        &right,
        &bob,
        &[("both", Some("bob")), ("b", Some("2"))],
        START + 30,
    );
    exchange(&left, &right, START + 30);
    assert_eq!(heads(&left), [a, b].into());
    assert_eq!(heads(&left), heads(&right));
    let left_root = left.state(&main()).unwrap().tree().root();
    assert_eq!(left_root, right.state(&main()).unwrap().tree().root());
    assert_eq!(
        get(&left, "both").as_deref(),
        Some("bob"),
        "the later one is kept"
    );
    assert_eq!(
        left.merge_bases(&[a].into(), &[b].into()).unwrap(),
        [base].into()
    );
    for repo in [&left, &right] {
        let conflicts = repo.conflicts(&main(), 10).unwrap();
        assert_eq!(conflicts.len(), 1);
        assert_eq!(conflicts[0].key, "both");
        assert_eq!(conflicts[0].aside.state, State::Value("ada".into()));
        assert_eq!(conflicts[0].kept.state, State::Value("bob".into()));
    }

    // The next commit of a user names both heads, and nobody else makes one.
    let next = put(&right, &bob, &[("c", Some("3"))], START + 40);
    assert_eq!(right.commit(next).unwrap().payload().parents.len(), 2);
    exchange(&left, &right, START + 40);
    exchange(&left, &right, START + 50);
    assert_eq!(heads(&left), [next].into());
    assert_eq!(heads(&right), [next].into());
    assert_eq!(all(&left), all(&right));
}

#[test]
fn a_line_of_commits_meets_other_heads_with_its_last_one_only() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let left = members(&ada, &[&bob]);
    put(&left, &ada, &[("k", Some("base"))], START + 10);
    let right = replica(&left);
    exchange(&left, &right, START + 10);
    put(&left, &ada, &[("k", Some("mine"))], START + 20);
    for n in 0..5 {
        put(
            &right,
            &bob,
            &[("k", Some(&format!("draft {n}")))],
            START + 30 + n,
        );
    }
    send(&right, &left, &main(), START + 40).unwrap();
    let conflicts = left.conflicts(&main(), 10).unwrap();
    assert_eq!(conflicts.len(), 1, "the drafts in between are no conflicts");
}

#[derive(Clone, Debug)]
enum Step {
    Put { replica: usize, key: u8, value: u8 },
    Delete { replica: usize, key: u8 },
    Exchange { from: usize, to: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize, 0..12u8, any::<u8>())
            .prop_map(|(replica, key, value)| Step::Put { replica, key, value }),
        1 => (0..3usize, 0..12u8).prop_map(|(replica, key)| Step::Delete { replica, key }),
        2 => (0..3usize, 0..3usize).prop_map(|(from, to)| Step::Exchange { from, to }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24 * scale()))]

    /// Any order of writes and deliveries ends in one state, that of the last writers by stamp.
    #[test]
    fn convergence(steps in proptest::collection::vec(step(), 1..40)) {
        let mut model: BTreeMap<String, Option<String>> = BTreeMap::new();
        for step in &steps {
            match step {
                Step::Put { key, value, .. } => {
                    model.insert(format!("k{key}"), Some(format!("v{value}")));
                }
                Step::Delete { key, .. } => {
                    model.insert(format!("k{key}"), None);
                }
                Step::Exchange { .. } => {}
            }
        }
        let replicas = walked(steps);
        let now = START + 100_000;
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1), (1, 2)] {
            send(&replicas[from], &replicas[to], &main(), now).unwrap();
        }
        let expected: Vec<(String, String)> =
            model.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        for replica in &replicas {
            prop_assert_eq!(&all(replica), &expected);
            prop_assert_eq!(heads(replica), heads(&replicas[0]));
            prop_assert_eq!(replica.check(&mut |_, _| {}).unwrap().problem_count, 0);
        }
    }
}

/// Three replicas to which was done what the steps say.
fn walked(steps: Vec<Step>) -> [Repo; 3] {
    let people = [Person::new(1), Person::new(2), Person::new(3)];
    let first = members(&people[0], &[&people[1], &people[2]]);
    let replicas = [replica(&first), replica(&first), first];
    for to in [&replicas[0], &replicas[1]] {
        send(&replicas[2], to, &BranchName::meta(), START).unwrap();
    }
    for (now, step) in (START + 2000..).step_by(1000).zip(steps) {
        match step {
            Step::Put {
                replica,
                key,
                value,
            } => {
                let (key, value) = (format!("k{key}"), format!("v{value}"));
                put(
                    &replicas[replica],
                    &people[replica],
                    &[(&key, Some(&value))],
                    now,
                );
            }
            Step::Delete { replica, key } => {
                let key = format!("k{key}");
                put(&replicas[replica], &people[replica], &[(&key, None)], now);
            }
            Step::Exchange { from, to } => {
                send(&replicas[from], &replicas[to], &main(), now).unwrap();
            }
        }
    }
    replicas
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48 * scale()))]

    /// REPO-9: what heads that come together put aside is the same for whoever has at hand what each commit changed,
    /// and for whoever has to look at their trees.
    #[test]
    fn many_heads_put_aside_the_same_however_it_is_found(steps in proptest::collection::vec(step(), 1..30)) {
        let replicas = walked(steps);
        let now = START + 100_000;
        let mut found = Vec::new();
        for is_at_hand in [true, false] {
            let mut gathered = replica(&replicas[2]);
            send(&replicas[2], &gathered, &BranchName::meta(), START).unwrap();
            send(&replicas[0], &gathered, &main(), now).unwrap();
            let mut come = BTreeSet::new();
            for from in &replicas[1..] {
                let heads = heads(from);
                for id in from.missing(&heads, &BTreeSet::new()).unwrap() {
                    if !gathered.has_commit(id).unwrap() {
                        deliver(from, &gathered, id, &main(), now).unwrap();
                    }
                }
                come.extend(heads);
            }
            if !is_at_hand {
                gathered = Repo::open(Arc::clone(gathered.store()), gathered.id()).unwrap();
            }
            gathered.join_branch(&main(), &come).unwrap();
            found.push((heads(&gathered), gathered.conflicts(&main(), 99).unwrap()));
        }
        prop_assert_eq!(&found[0], &found[1]);
    }
}

/// An edit that was staged before a later one arrived is committed under a new stamp, and what it
/// replaces is put on record (REPO-23).
#[test]
fn a_staged_edit_that_was_overtaken_is_accepted_elsewhere() {
    let ada = Person::new(1);
    let left = space(&ada);
    let right = replica(&left);
    left.stage(&main(), [("k".into(), Edit::Put("early".into()))], START)
        .unwrap();
    put(&right, &ada, &[("k", Some("late"))], START + 1000);
    send(&right, &left, &main(), START + 2000).unwrap();
    assert_eq!(get(&left, "k").as_deref(), Some("late"));
    left.commit_staged(&main(), ada.author(), "mine", START + 3000)
        .unwrap();
    assert_eq!(get(&left, "k").as_deref(), Some("early"));
    send(&left, &right, &main(), START + 4000).unwrap();
    assert_eq!(get(&right, "k").as_deref(), Some("early"));
    let conflicts = left.conflicts(&main(), 10).unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].aside.state, State::Value("late".into()));
}

/// A branch with more heads than a commit may name can still be written.
#[test]
fn more_heads_than_parents_are_joined_in_turn() {
    let ada = Person::new(1);
    let all = space(&ada);
    for n in 0..PARENTS_MAX + 3 {
        let one = replica(&all);
        put(&one, &ada, &[("k", Some(&n.to_string()))], START + n as u64);
        send(&one, &all, &main(), START + 1000).unwrap();
    }
    assert_eq!(heads(&all).len(), PARENTS_MAX + 3);
    put(&all, &ada, &[("k", Some("last"))], START + 2000);
    assert_eq!(heads(&all).len(), 4);
    assert_eq!(get(&all, "k").as_deref(), Some("last"));
    put(&all, &ada, &[("l", Some("more"))], START + 3000);
    assert_eq!(heads(&all).len(), 1);
    let other = replica(&all);
    send(&all, &other, &main(), START + 4000).unwrap();
    assert_eq!(get(&other, "k").as_deref(), Some("last"));
}

/// Those who write at a time name different heads of many, so that few commits name all of them.
#[test]
fn devices_name_different_heads_of_many() {
    let ada = Person::new(1);
    let all = space(&ada);
    for n in 0..2 * PARENTS_MAX {
        let one = replica(&all);
        put(&one, &ada, &[("k", Some(&n.to_string()))], START + n as u64);
        send(&one, &all, &main(), START + 1000).unwrap();
    }
    let before = heads(&all);
    assert_eq!(before.len(), 2 * PARENTS_MAX);
    let mut named = BTreeSet::new();
    for n in 0..16u16 {
        let one = replica(&all);
        send(&all, &one, &main(), START + 1500).unwrap();
        let device = allod_identity::SecretKey::from_seed([n as u8 + 50; 32]).device_id();
        let one = one.on_device(device);
        put(&one, &ada, &[("l", Some("x"))], START + 2000 + u64::from(n));
        let left = heads(&one);
        assert_eq!(left.len(), PARENTS_MAX + 1);
        named.extend(before.difference(&left).copied());
    }
    assert!(named.len() > PARENTS_MAX * 3 / 2, "{}", named.len());
}
