//! MERGE-30 to MERGE-32: who wrote what, and which commit made it bad.

use std::collections::{BTreeMap, BTreeSet};

use allod_identity::DeviceId;
use allod_repo::{
    CommitId, Content, Entry, FastForward, Heads, MergeOptions, Outcome, Repo, RepoError,
    Resolution, Resolving, Span, Verdict,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{
    Person, START, fault, heads, main, on, put, put_on, replica, scale, send, space, two_branches,
    value_on,
};

/// Every commit of a history with its entry of a key, and the entries of its parents.
type Entries = BTreeMap<CommitId, (Option<Entry>, Vec<Option<Entry>>)>;

fn entries(repo: &Repo, heads: &Heads, key: &str) -> Entries {
    let entry = |id| repo.at(id).unwrap().entry(key.as_bytes()).unwrap();
    repo.log(heads)
        .unwrap()
        .map(|item| {
            let (id, commit) = item.unwrap();
            let parents = commit.payload().parents.iter();
            (
                id,
                (entry(id), parents.map(|parent| entry(*parent)).collect()),
            )
        })
        .collect()
}

/// The naive twin: all commits are looked at.
fn introduced(repo: &Repo, heads: &Heads, key: &str) -> BTreeMap<CommitId, Entry> {
    entries(repo, heads, key)
        .into_iter()
        .filter(|(_, (entry, parents))| !parents.contains(entry))
        .filter_map(|(id, (entry, _))| Some((id, entry?)))
        .collect()
}

#[test]
fn blame_names_who_wrote_it() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let repo = space(&ada);
    repo.add_member(&bob.author().agent, ada.author(), START)
        .unwrap();
    let first = put(
        &repo,
        &ada,
        &[("a", Some("1")), ("b", Some("1"))],
        START + 10,
    );
    let second = put(&repo, &bob, &[("b", Some("2"))], START + 20);
    let third = put(&repo, &ada, &[("c", Some("1")), ("a", None)], START + 30);
    let who = |key: &str| repo.blame(&heads(&repo), key.as_bytes()).unwrap();
    assert_eq!(who("b").unwrap().id, second);
    assert_eq!(who("b").unwrap().author(), bob.author().agent);
    assert_eq!(who("b").unwrap().device(), DeviceId::from(bob.0.public()));
    assert_eq!(who("a").unwrap().id, third, "who deleted it");
    assert!(who("nothing").is_none());
    let all = repo.blame_range(&heads(&repo), &Span::all(), 10).unwrap();
    let all: Vec<_> = all.iter().map(|blame| (&blame.key[..], blame.id)).collect();
    assert_eq!(all, [(&b"b"[..], second), (&b"c"[..], third)]);
    let history = repo.key_history(&heads(&repo), b"a").unwrap();
    let history: Vec<_> = history.map(|blame| blame.unwrap().id).collect();
    assert_eq!(history, [third, first]);
    assert_eq!(
        repo.blame_range(&heads(&repo), &Span::all(), 1)
            .unwrap()
            .len(),
        1
    );
}

/// A merge did not write what it brought; it did write what it decided.
#[test]
fn blame_goes_through_merges_to_the_writer() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("a", Some("0"))], START);
    repo.create_branch(&on("side"), &heads(&repo)).unwrap();
    let theirs = [("a", Some("theirs")), ("s", Some("1"))];
    let side = put_on(&repo, &ada, "side", &theirs, START + 10);
    let ours = put(&repo, &ada, &[("a", Some("ours"))], START + 20);
    let from = repo.heads(&on("side")).unwrap();
    repo.merge(
        &main(),
        &from,
        ada.author(),
        &MergeOptions::default(),
        START + 30,
    )
    .unwrap();
    repo.resolve(&main(), b"a", Resolution::Theirs).unwrap();
    let outcome = repo
        .resume(&main(), ada.author(), Resolving::default(), START + 40)
        .unwrap();
    let Outcome::Done(done) = outcome else {
        panic!()
    };
    let who = |key: &str| {
        repo.blame(&heads(&repo), key.as_bytes())
            .unwrap()
            .unwrap()
            .id
    };
    assert_eq!(who("s"), side);
    assert_eq!(who("a"), done.commits[0]);
    let history: BTreeSet<CommitId> = repo
        .key_history(&heads(&repo), b"a")
        .unwrap()
        .map(|blame| blame.unwrap().id)
        .collect();
    assert!(history.is_superset(&[side, ours, done.commits[0]].into()));
    assert_eq!(history.len(), 4);
}

type Shape = Vec<(usize, usize, u8, bool)>;

fn shape() -> impl Strategy<Value = Shape> {
    proptest::collection::vec((0..3usize, 0..3usize, 0..5u8, any::<bool>()), 1..24)
}

/// A history of three branches with merges; returns the commits on them.
fn grow(repo: &Repo, who: &Person, shape: Shape) {
    let names = ["main", "one", "two"];
    let first = put(repo, who, &[("start", Some("0"))], START);
    for name in &names[1..] {
        repo.create_branch(&on(name), &Heads::from([first]))
            .unwrap();
    }
    let newest = [("*".parse().unwrap(), "newest".parse().unwrap())];
    for (n, (ours, theirs, key, is_merge)) in shape.into_iter().enumerate() {
        let now = START + 10 * (n as u64 + 1);
        if is_merge && ours != theirs {
            let options = MergeOptions {
                resolving: Resolving {
                    rules: &newest,
                    ..Resolving::default()
                },
                fast_forward: FastForward::Never,
                ..MergeOptions::default()
            };
            let from = repo.heads(&on(names[theirs])).unwrap();
            repo.merge(&on(names[ours]), &from, who.author(), &options, now)
                .unwrap();
        } else {
            let value = format!("{n}");
            let value = (n % 5 > 0).then_some(&value[..]);
            put_on(repo, who, names[ours], &[(&format!("k{key}"), value)], now);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32 * scale()))]

    /// Blame and history of a key are what looking at every commit finds.
    #[test]
    fn blame_agrees_with_the_naive_twin(shape in shape(), concurrent in any::<bool>()) {
        let ada = Person::new(1);
        let repo = space(&ada);
        grow(&repo, &ada, shape);
        if concurrent {
            let other = replica(&repo);
            send(&repo, &other, &main(), START + 5_000).unwrap();
            put(&other, &ada, &[("k0", Some("elsewhere"))], START + 6_000);
            put(&repo, &ada, &[("k1", Some("here"))], START + 7_000);
            send(&other, &repo, &main(), START + 8_000).unwrap();
            prop_assert_eq!(heads(&repo).len(), 2);
        }
        let heads = heads(&repo);
        let state = repo.state(&main()).unwrap();
        let mut live = Vec::new();
        for key in (0..5).map(|key| format!("k{key}")) {
            let twin = introduced(&repo, &heads, &key);
            let history: Vec<(CommitId, Entry)> = repo.key_history(&heads, key.as_bytes()).unwrap()
                .map(|blame| blame.unwrap()).map(|blame| (blame.id, blame.entry)).collect();
            let generations: Vec<u64> = history.iter()
                .map(|(id, _)| repo.commit(*id).unwrap().payload().generation).collect();
            prop_assert!(generations.is_sorted_by(|a, b| a >= b));
            prop_assert_eq!(history.len(), twin.len());
            prop_assert_eq!(history.into_iter().collect::<BTreeMap<_, _>>(), twin.clone());
            let now = state.entry(key.as_bytes()).unwrap();
            let writer = now.as_ref()
                .map(|now| twin.iter().find(|(_, entry)| *entry == now).map(|(id, _)| *id).unwrap());
            let found = repo.blame(&heads, key.as_bytes()).unwrap();
            prop_assert_eq!(found.as_ref().map(|blame| blame.id), writer);
            if now.is_some_and(|now| now.is_live()) {
                live.push((Bytes::from(key), writer.unwrap()));
            }
        }
        let all: Vec<_> = repo.blame_range(&heads, &Span::prefix(b"k"), 100).unwrap()
            .into_iter().map(|blame| (blame.key, blame.id)).collect();
        prop_assert_eq!(all, live);
    }

    /// The search names a commit that made it bad, with as few tests as halving needs in a line.
    #[test]
    fn bisect_finds_what_made_it_bad(length in 1..120usize, at in any::<prop::sample::Index>(), skip in any::<bool>()) {
        let ada = Person::new(1);
        let repo = space(&ada);
        let good = put(&repo, &ada, &[("k", Some("good"))], START);
        let culprit = at.index(length);
        let mut commits = Vec::new();
        for n in 0..length {
            let edit = if n == culprit { ("k", Some("bad")) } else { ("other", Some("x")) };
            commits.push(put(&repo, &ada, &[edit], START + 1 + n as u64));
        }
        let skipped = if skip { vec![commits[culprit]] } else { Vec::new() };
        let mut tests = 0;
        let search = repo.bisect_by(good, commits[length - 1], &mut |id, view| {
            tests += 1;
            Ok(match view.get(b"k")? {
                _ if skipped.contains(&id) => Verdict::Skip,
                Some(Content::Bytes(value)) if value == "good" => Verdict::Good,
                _ => Verdict::Bad,
            })
        }).unwrap();
        let suspects: Vec<CommitId> = search.suspects().collect();
        if skip && culprit + 1 < length {
            prop_assert_eq!(suspects, &commits[culprit..=culprit + 1]);
        } else {
            prop_assert_eq!(suspects, [commits[culprit]]);
        }
        prop_assert!(tests <= length.ilog2() + 2 + u32::from(skip), "{} tests of {}", tests, length);
    }

    /// In a history with merges the commit that is found is bad, and its parents are good.
    #[test]
    fn bisect_agrees_with_the_naive_twin(shape in shape()) {
        let ada = Person::new(1);
        let repo = space(&ada);
        grow(&repo, &ada, shape);
        let bad = *heads(&repo).first().unwrap();
        let log: Vec<_> = repo.log(&heads(&repo)).unwrap().map(|item| item.unwrap()).collect();
        let good = log.last().unwrap().0;
        if good == bad {
            return Ok(());
        }
        // Bad is what has a certain commit behind it: once bad, always bad.
        for (cause, _) in &log {
            if *cause == good {
                continue;
            }
            let is_bad = |id| repo.is_ancestor(*cause, id).unwrap();
            let search = repo.bisect_by(good, bad, &mut |id, _| {
                Ok(if is_bad(id) { Verdict::Bad } else { Verdict::Good })
            }).unwrap();
            prop_assert_eq!(search.suspects().collect::<Vec<_>>(), [*cause]);
        }
    }
}

#[test]
fn bisect_needs_a_good_commit_before_the_bad_one() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let good = put(&repo, &ada, &[("k", Some("1"))], START);
    let bad = put(&repo, &ada, &[("k", Some("2"))], START + 10);
    assert!(matches!(
        fault(repo.bisect(bad, good)),
        RepoError::NotBefore
    ));
    let mut search = repo.bisect(good, bad).unwrap();
    assert_eq!((search.next(), search.len()), (None, 1));
    search.tell(good, Verdict::Bad);
    assert_eq!(search.suspects().collect::<Vec<_>>(), [bad]);
    search.tell(bad, Verdict::Good);
    assert!(search.is_empty(), "the verdicts contradict each other");
    assert_eq!(value_on(&repo, "main", "k").as_deref(), Some("2"));
}

#[test]
fn a_walk_goes_on_from_where_it_rests_and_finds_the_newest_by_a_time() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    let mut all = Heads::new();
    for (_, heads) in repo.branches().unwrap() {
        all.extend(heads);
    }
    let ids = |heads: &Heads| -> Vec<_> {
        let log = repo.log(heads).unwrap();
        log.map(|item| item.unwrap().0).collect()
    };
    let whole = ids(&all);
    for taken in 0..=whole.len() {
        let mut log = repo.log(&all).unwrap();
        let mut paged: Vec<_> = log.by_ref().take(taken).map(|it| it.unwrap().0).collect();
        paged.extend(ids(&log.rest()));
        assert_eq!(paged, whole, "after {taken}");
    }
    let made = |id| {
        let commit = repo.commit(id).unwrap();
        i64::try_from(commit.payload().stamp.millis()).unwrap()
    };
    let (first, last) = (*whole.last().unwrap(), whole[0]);
    let newest = |time| repo.newest_by(&all, time).unwrap();
    assert_eq!(newest(i64::MAX), Some(last));
    assert_eq!(newest(i64::MIN), None);
    assert_eq!(newest(made(first) - 1), None);
    assert!(newest(made(first)).is_some_and(|id| made(id) == made(first)));
}
