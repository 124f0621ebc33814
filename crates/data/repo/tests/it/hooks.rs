//! Hooks before and after commits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use allod_blocks::{Fault, FaultyStore, MemoryStore, Store};
use allod_repo::Strategy as Rule;
use allod_repo::{
    Act, BranchName, CommitId, Content, Edit, FOLLOW_TRIES, FastForward, Heads, MergeOptions,
    Objection, Outcome, Proposal, RefMove, Refusal, Repo, RepoError, Resolving, State,
    begin_to_follow, follow, follower,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{
    Person, START, all_of, fault, heads, main, on, put, put_on, refusal, replica, scale, send,
    space, space_in, two_branches,
};

type Values = BTreeMap<String, (Option<String>, Option<String>)>;

/// What a hook was shown of one proposal.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Seen {
    act: Act,
    branch: String,
    message: String,
    parents: Heads,
    changes: Values,
}

fn text(proposal: &Proposal<'_>, state: &State) -> Option<String> {
    match proposal.content(state).unwrap()? {
        Content::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Content::File(cid) => Some(cid.to_string()),
    }
}

fn seen(proposal: &Proposal<'_>) -> Seen {
    let changes = proposal.changes().unwrap().map(|change| {
        let change = change.unwrap();
        let key = String::from_utf8(change.key.to_vec()).unwrap();
        let values = (
            text(proposal, &change.before),
            text(proposal, &change.after),
        );
        (key, values)
    });
    Seen {
        act: proposal.act,
        branch: proposal.branch.to_string(),
        message: proposal.message.to_owned(),
        parents: proposal.parents.clone(),
        changes: changes.collect(),
    }
}

/// The space with a hook that remembers what it is shown, and takes all but the message `no` and
/// keys that begin with `forbidden`.
fn watched(repo: &Repo) -> (Repo, Arc<Mutex<Vec<Seen>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&log);
    let hook = move |proposal: &Proposal<'_>| {
        let seen = seen(proposal);
        told.lock().unwrap().push(seen.clone());
        match seen.changes.keys().find(|key| key.starts_with("forbidden")) {
            Some(key) => Err(format!("{key} is not for you").into()),
            None if seen.message == "no" => Err("no".to_owned().into()),
            None => Ok(()),
        }
    };
    (repo.clone().hooked(Arc::new(hook)), log)
}

fn changes(pairs: &[(&str, Option<&str>, Option<&str>)]) -> Values {
    let owned = |value: Option<&str>| value.map(str::to_owned);
    pairs
        .iter()
        .map(|(key, before, after)| ((*key).to_owned(), (owned(*before), owned(*after))))
        .collect()
}

fn last(log: &Mutex<Vec<Seen>>) -> Seen {
    log.lock().unwrap().last().unwrap().clone()
}

#[test]
fn every_way_to_a_commit_is_put_to_the_hook() {
    let ada = Person::new(1);
    let (repo, log) = watched(&two_branches(&ada));
    let options = MergeOptions::default();

    put_on(
        &repo,
        &ada,
        "side",
        &[("a", Some("1")), ("d", Some("1"))],
        START + 1,
    );
    let seen = last(&log);
    assert_eq!((seen.act, &seen.branch[..]), (Act::Commit, "side"));
    let edits = [("a", Some("0"), Some("1")), ("d", None, Some("1"))];
    assert_eq!(seen.changes, changes(&edits));

    // A value that is not in the store yet is readable all the same.
    let large = "x".repeat(50_000);
    let mut transaction = repo.begin(&main()).unwrap();
    transaction.put("large", large.clone()).unwrap();
    transaction.delete("c").unwrap();
    transaction.commit(ada.author(), "both", START + 2).unwrap();
    let edits = [("c", Some("0"), None), ("large", None, Some(&large[..]))];
    assert_eq!(last(&log).changes, changes(&edits));

    let side = repo.heads(&on("side")).unwrap();
    let at = heads(&repo);
    let merged = repo.merge(&main(), &side, ada.author(), &options, START + 3);
    assert!(matches!(merged, Ok(Outcome::Done(_))), "{merged:?}");
    let seen = last(&log);
    assert_eq!(seen.act, Act::Merge);
    assert_eq!(seen.parents, at.union(&side).copied().collect());
    let brought = [("a", Some("0"), Some("1")), ("d", None, Some("1"))];
    assert_eq!(seen.changes, changes(&brought));

    repo.create_branch(&on("behind"), &at).unwrap();
    let outcome = repo.merge(&on("behind"), &heads(&repo), ada.author(), &options, START);
    assert!(matches!(outcome, Ok(Outcome::FastForward { .. })));
    let seen = last(&log);
    assert_eq!((seen.act, &seen.branch[..]), (Act::FastForward, "behind"));
    let edits = [("a", Some("0"), Some("1")), ("d", None, Some("1"))];
    assert_eq!(seen.changes, changes(&edits));

    let picked = *side.first().unwrap();
    repo.create_branch(&on("picks"), &at).unwrap();
    let resolving = Resolving::default();
    repo.cherry_pick(&on("picks"), picked, ada.author(), resolving, START + 4)
        .unwrap();
    assert_eq!(last(&log).act, Act::Pick);
    assert_eq!(last(&log).changes, changes(&edits));
    let own = *repo.heads(&on("picks")).unwrap().first().unwrap();
    repo.revert(&on("picks"), own, ada.author(), resolving, START + 5)
        .unwrap();
    assert_eq!(last(&log).act, Act::Revert);

    let before = log.lock().unwrap().len();
    put_on(&repo, &ada, "side", &[("e", Some("2"))], START + 6);
    let by = (ada.author(), resolving);
    repo.rebase(&on("side"), &at, &on("moved"), by, START + 7)
        .unwrap();
    let acts: Vec<Act> = log.lock().unwrap()[before..]
        .iter()
        .map(|seen| seen.act)
        .collect();
    assert_eq!(acts, [Act::Commit, Act::Replay, Act::Replay]);

    // A branch that is put onto another gets what that one has as well.
    repo.create_branch(&on("stays"), &repo.heads(&on("picks")).unwrap())
        .unwrap();
    put_on(&repo, &ada, "stays", &[("z", Some("1"))], START + 7);
    put_on(&repo, &ada, "picks", &[("y", Some("1"))], START + 7);
    let onto = repo.heads(&on("stays")).unwrap();
    repo.rebase(&on("picks"), &onto, &on("picks"), by, START + 8)
        .unwrap();
    let seen = last(&log);
    assert_eq!((seen.act, &seen.branch[..]), (Act::Replay, "picks"));
    assert_eq!(seen.parents, repo.heads(&on("picks")).unwrap());
    assert_eq!(seen.changes, changes(&[("z", None, Some("1"))]));

    let name = "v1".parse().unwrap();
    let commit = *heads(&repo).first().unwrap();
    repo.create_tag(&name, commit, "a tag", ada.author(), START + 8)
        .unwrap();
    assert_eq!(last(&log).branch, "meta");
}

#[test]
fn commits_from_elsewhere_are_refused_with_their_descendants() {
    let ada = Person::new(1);
    let here = space(&ada);
    put(&here, &ada, &[("a", Some("1"))], START);
    let (there, log) = watched(&replica(&here));
    send(&here, &there, &main(), START).unwrap();
    assert_eq!(last(&log).act, Act::Receive);
    assert_eq!(last(&log).changes, changes(&[("a", None, Some("1"))]));
    let before = heads(&there);
    put(&here, &ada, &[("forbidden", Some("x"))], START + 1);
    let refused = put(&here, &ada, &[("b", Some("2"))], START + 2);
    assert_eq!(
        refusal(send(&here, &there, &main(), START + 2)),
        Refusal::Hook
    );
    assert_eq!(Refusal::Hook.code(), "E_HOOK");
    assert_eq!(heads(&there), before);
    let child = crate::world::deliver(&here, &there, refused, &main(), START + 2);
    assert_eq!(refusal(child), Refusal::Parent);
    // Without the hook it is taken after all.
    send(&here, &there.unhooked(), &main(), START + 2).unwrap();
    assert_eq!(heads(&there), heads(&here));
}

#[test]
fn what_arrives_is_seen_against_the_branch_that_it_moves() {
    let ada = Person::new(1);
    let here = two_branches(&ada);
    let (there, log) = watched(&replica(&here));
    let side = on("side");
    send(&here, &there, &main(), START).unwrap();
    send(&here, &there, &side, START).unwrap();
    put(&here, &ada, &[("m", Some("1"))], START + 1);
    put_on(&here, &ada, "side", &[("s", Some("1"))], START + 1);
    send(&here, &there, &main(), START + 1).unwrap();
    send(&here, &there, &side, START + 1).unwrap();

    // A merge: what it brings to the branch, though its parents had it all.
    let theirs = here.heads(&side).unwrap();
    let options = MergeOptions::default();
    here.merge(&main(), &theirs, ada.author(), &options, START + 2)
        .unwrap();
    send(&here, &there, &main(), START + 2).unwrap();
    let seen = last(&log);
    assert_eq!((seen.act, &seen.branch[..]), (Act::Receive, "main"));
    assert_eq!(seen.changes, changes(&[("s", None, Some("1"))]));

    // A move to a commit that is here: no commit arrives, and the branch changes all the same.
    let merged = heads(&here);
    here.merge(&side, &merged, ada.author(), &options, START + 3)
        .unwrap();
    assert_eq!(here.heads(&side).unwrap(), merged);
    send(&here, &there, &side, START + 3).unwrap();
    let seen = last(&log);
    assert_eq!((seen.act, &seen.branch[..]), (Act::Receive, "side"));
    assert_eq!((&seen.parents, &seen.message[..]), (&merged, ""));
    assert_eq!(seen.changes, changes(&[("m", None, Some("1"))]));

    // Concurrent commits: each by itself, and then what they make of the branch.
    let asked = log.lock().unwrap().len();
    put(&here, &ada, &[("x", Some("1"))], START + 4);
    put(&there, &ada, &[("y", Some("1"))], START + 4);
    send(&here, &there, &main(), START + 5).unwrap();
    let seen: Vec<Seen> = log.lock().unwrap()[asked..].to_vec();
    let acts: Vec<Act> = seen.iter().map(|seen| seen.act).collect();
    assert_eq!(acts, [Act::Commit, Act::Receive, Act::Receive]);
    assert_eq!(seen[1].changes, changes(&[("x", None, Some("1"))]));
    assert_eq!(seen[2].changes, changes(&[("x", None, Some("1"))]));
    assert_eq!(seen[2].parents, heads(&there));
}

#[test]
fn a_branch_does_not_move_to_known_commits_that_the_hook_refuses() {
    let ada = Person::new(1);
    let plain = two_branches(&ada);
    let replica = replica(&plain);
    send(&plain, &replica, &main(), START).unwrap();
    put_on(&plain, &ada, "side", &[("forbidden", Some("1"))], START + 1);
    send(&plain, &replica, &on("side"), START + 1).unwrap();
    let (there, log) = watched(&replica);
    let before = heads(&there);
    let side = plain.heads(&on("side")).unwrap();
    let options = MergeOptions::default();
    plain
        .merge(&main(), &side, ada.author(), &options, START + 2)
        .unwrap();
    let refused = send(&plain, &there, &main(), START + 2);
    assert_eq!(refusal(refused), Refusal::Hook);
    assert_eq!(heads(&there), before);
    assert_eq!(
        last(&log).changes,
        changes(&[("forbidden", None, Some("1"))])
    );

    // So with a merge, and with a branch that is put onto what it must not have.
    let refused = there.merge(&main(), &side, ada.author(), &options, START + 3);
    assert!(matches!(refused, Err(RepoError::Hook(_))), "{refused:?}");
    put(&there, &ada, &[("own", Some("1"))], START + 3);
    let before = heads(&there);
    let refused = there.merge(&main(), &side, ada.author(), &options, START + 4);
    assert!(matches!(refused, Err(RepoError::Hook(_))), "{refused:?}");
    let by = (ada.author(), Resolving::default());
    let refused = there.rebase(&main(), &side, &main(), by, START + 5);
    assert!(matches!(refused, Err(RepoError::Hook(_))), "{refused:?}");
    assert_eq!(heads(&there), before);
    assert_eq!(there.under_way(&main()).unwrap(), None);
}

#[test]
fn a_refusal_leaves_everything_as_it_was() {
    let ada = Person::new(1);
    let plain = two_branches(&ada);
    let (repo, _) = watched(&plain);
    repo.stage(
        &main(),
        [("forbidden/1".into(), Edit::Put("x".into()))],
        START,
    )
    .unwrap();
    let (before, staged) = (heads(&repo), repo.staged(&main()).unwrap());
    let refused = repo.commit_staged(&main(), ada.author(), "try", START + 1);
    assert!(
        matches!(&refused, Err(RepoError::Hook(words)) if words == "forbidden/1 is not for you")
    );
    assert_eq!(heads(&repo), before);
    assert_eq!(repo.staged(&main()).unwrap().len(), staged.len());
    repo.unstage(&main()).unwrap();

    // A merge that was refused was not begun; one that waits goes on waiting.
    put_on(&plain, &ada, "side", &[("a", Some("theirs"))], START + 2);
    put(&plain, &ada, &[("a", Some("ours"))], START + 3);
    let side = repo.heads(&on("side")).unwrap();
    let pattern = "*".parse().unwrap();
    let rules = [(pattern, Rule::Theirs)];
    let options = MergeOptions {
        resolving: Resolving {
            rules: &rules,
            ..Resolving::default()
        },
        message: Some("no".to_owned()),
        ..MergeOptions::default()
    };
    let before = repo.branches().unwrap();
    let refused = repo.merge(&main(), &side, ada.author(), &options, START + 4);
    assert!(matches!(refused, Err(RepoError::Hook(_))), "{refused:?}");
    assert_eq!(repo.under_way(&main()).unwrap(), None);
    assert_eq!(repo.branches().unwrap(), before);

    let undecided = MergeOptions {
        message: Some("no".to_owned()),
        ..MergeOptions::default()
    };
    let stopped = repo.merge(&main(), &side, ada.author(), &undecided, START + 5);
    assert!(matches!(stopped, Ok(Outcome::Stopped(_))), "{stopped:?}");
    let edit = allod_repo::Resolution::Theirs;
    repo.resolve(&main(), b"a", edit).unwrap();
    let waits = repo.under_way(&main()).unwrap();
    let refused = repo.resume(&main(), ada.author(), Resolving::default(), START + 6);
    assert!(matches!(refused, Err(RepoError::Hook(_))), "{refused:?}");
    assert_eq!(repo.under_way(&main()).unwrap(), waits);
    let outcome = plain.resume(&main(), ada.author(), Resolving::default(), START + 7);
    assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");

    let forward = MergeOptions {
        fast_forward: FastForward::Only,
        ..MergeOptions::default()
    };
    put_on(
        &plain,
        &ada,
        "side",
        &[("forbidden/2", Some("x"))],
        START + 8,
    );
    repo.create_branch(&on("old"), &side).unwrap();
    let new = repo.heads(&on("side")).unwrap();
    let refused = repo.merge(&on("old"), &new, ada.author(), &forward, START + 9);
    assert!(matches!(refused, Err(RepoError::Hook(_))), "{refused:?}");
    assert_eq!(repo.heads(&on("old")).unwrap(), side);
    assert_eq!(plain.check(&mut |_, _| {}).unwrap().problem_count, 0);
}

#[test]
fn a_hook_that_panics_refuses_and_one_that_writes_is_not_asked_again() {
    let ada = Person::new(1);
    let repo = two_branches(&ada);
    let panics = repo
        .clone()
        .hooked(Arc::new(|_: &Proposal<'_>| panic!("a hook fell over")));
    let edit = [("k".into(), Edit::Put("v".into()))];
    panics.stage(&main(), edit, START).unwrap();
    let refused = fault(panics.commit_staged(&main(), ada.author(), "x", START));
    assert!(matches!(refused, RepoError::HookFailed(words) if words == "it panicked"));

    let writes = repo.clone().hooked(Arc::new(|proposal: &Proposal<'_>| {
        let ada = Person::new(1);
        let edit = [("seen".into(), Edit::Put("yes".into()))];
        let space = proposal.space();
        space.stage(&on("side"), edit, START).unwrap();
        let made = space.commit_staged(&on("side"), ada.author(), "from a hook", START);
        made.map(|_| ())
            .map_err(|error| Objection::Failed(error.to_string()))
    }));
    writes
        .commit_staged(&main(), ada.author(), "x", START)
        .unwrap();
    let side = all_of(&repo, "side");
    assert!(
        side.contains(&("seen".to_owned(), "yes".to_owned())),
        "{side:?}"
    );
}

/// The state that a branch with these heads has.
fn state_at(repo: &Repo, heads: &[CommitId]) -> BTreeMap<String, String> {
    let branch = on("looked-at");
    repo.create_branch(&branch, &heads.iter().copied().collect())
        .unwrap();
    let state = all_of(repo, "looked-at").into_iter().collect();
    repo.delete_branch(&branch, true).unwrap();
    state
}

fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Values {
    let keys = before.keys().chain(after.keys());
    keys.filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            (
                key.clone(),
                (before.get(key).cloned(), after.get(key).cloned()),
            )
        })
        .collect()
}

fn edits() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    prop::collection::vec(("[a-e]{1,2}", prop::option::of("[xyz]{0,2}")), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32 * scale(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// HOOK-2: what a hook sees is what the states before and after differ in.
    #[test]
    fn a_hook_sees_the_whole_change_set(history in prop::collection::vec(edits(), 1..5)) {
        let ada = Person::new(1);
        let (repo, log) = watched(&space(&ada));
        let state = || -> BTreeMap<String, String> { all_of(&repo, "main").into_iter().collect() };
        for (step, now) in history.iter().zip(START..) {
            let before = state();
            let edits: Vec<_> = step
                .iter()
                .map(|(key, value)| (&key[..], value.as_deref()))
                .collect();
            put(&repo, &ada, &edits, now);
            prop_assert_eq!(last(&log).changes, differences(&before, &state()));
        }
    }

    /// HOOK-1: whatever moves a branch, the hook has seen what that changes on the branch.
    #[test]
    fn no_branch_moves_unseen(steps in prop::collection::vec((0u8..9, "[a-c]", "[xyz]"), 1..16)) {
        let ada = Person::new(1);
        let here = two_branches(&ada);
        let plain = replica(&here);
        send(&here, &plain, &main(), START).unwrap();
        send(&here, &plain, &on("side"), START).unwrap();
        let (there, log) = watched(&plain);
        let rules = [("*".parse().unwrap(), Rule::Theirs)];
        let resolving = Resolving { rules: &rules, ..Resolving::default() };
        let options = MergeOptions { resolving, ..MergeOptions::default() };
        let merge = |repo: &Repo, branch: &str, from: &str, now| {
            let theirs = repo.heads(&on(from)).unwrap();
            repo.merge(&on(branch), &theirs, ada.author(), &options, now).unwrap();
        };
        for ((step, key, value), now) in steps.iter().zip(START + 1..) {
            let (asked, end) = (log.lock().unwrap().len(), there.store().stats().unwrap().log_end);
            let edits = [(&key[..], Some(&value[..]))];
            match *step {
                0 => drop(put_on(&here, &ada, "main", &edits, now)),
                1 => drop(put_on(&here, &ada, "side", &edits, now)),
                2 => drop(put_on(&there, &ada, "main", &edits, now)),
                3 => drop(put_on(&there, &ada, "side", &edits, now)),
                4 => merge(&here, "main", "side", now),
                5 => merge(&there, "side", "main", now),
                6 => send(&here, &there, &main(), now).unwrap(),
                7 => send(&here, &there, &on("side"), now).unwrap(),
                _ => {
                    let onto = there.heads(&main()).unwrap();
                    there.rebase(&on("side"), &onto, &on("side"), (ada.author(), resolving), now).unwrap();
                }
            }
            let seen = log.lock().unwrap()[asked..].to_vec();
            for entry in there.store().read_log(end, 100).unwrap() {
                let moved = RefMove::decode(&entry.bytes).unwrap();
                let from = state_at(&plain, &moved.from);
                let expected = differences(&from, &state_at(&plain, &moved.to));
                let shown = seen.iter().any(|seen| {
                    seen.branch == moved.branch.as_str() && seen.changes == expected
                });
                prop_assert!(shown, "{moved:?} changes {expected:?}, seen {seen:?}");
            }
        }
    }

    /// HOOK-10, HOOK-11: over crashes at any point a follower hears of every move in order, and of
    /// none again but the one at which it was cut off.
    #[test]
    fn a_follower_hears_of_every_move(
        commits in 1usize..8,
        faults in prop::collection::vec((0u64..4, 0usize..3), 1..12),
        refusals in prop::collection::vec(any::<bool>(), 20),
    ) {
        let ada = Person::new(1);
        let memory = Arc::new(MemoryStore::new());
        let plain: Arc<dyn Store> = memory.clone();
        let repo = space_in(&ada, Arc::clone(&plain));
        begin_to_follow(plain.as_ref(), "test").unwrap();
        for (number, now) in (0..commits).zip(START..) {
            put(&repo, &ada, &[("k", Some(&number.to_string()))], now);
        }
        let mut heard: Vec<u64> = Vec::new();
        let mut refusals = refusals.into_iter();
        let mut run = |store: &dyn Store, heard: &mut Vec<u64>| {
            follow(store, "test", &mut |position, _: &RefMove| {
                heard.push(position);
                if refusals.next().unwrap_or(false) { Err("not now".to_owned()) } else { Ok(()) }
            })
        };
        for (number, kind) in faults {
            let faulty = FaultyStore::new(memory.clone());
            let kinds = [Fault::FailCall, Fault::CrashBefore, Fault::CrashAfter];
            faulty.inject(kinds[kind](number));
            drop(run(&faulty, &mut heard));
        }
        while run(plain.as_ref(), &mut heard).unwrap().failure.is_some() {}
        let end = plain.stats().unwrap().log_end;
        let begun = end - commits as u64;
        prop_assert_eq!(follower(plain.as_ref(), "test").unwrap().unwrap().next, end);
        prop_assert!(heard.is_sorted(), "{heard:?}");
        let mut all = heard.clone();
        all.dedup();
        prop_assert_eq!(all, (begun..end).collect::<Vec<_>>());
    }
}

#[test]
fn a_move_that_fails_too_often_is_passed_over() {
    let ada = Person::new(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space_in(&ada, Arc::clone(&store));
    put(&repo, &ada, &[("before", Some("1"))], START);
    begin_to_follow(store.as_ref(), "test").unwrap();
    put(&repo, &ada, &[("a", Some("1"))], START + 1);
    put(&repo, &ada, &[("b", Some("1"))], START + 2);
    let mut told = Vec::new();
    let mut calls = 0;
    loop {
        let heard = follow(store.as_ref(), "test", &mut |position, moved| {
            calls += 1;
            told.push((position, moved.branch.clone()));
            assert!(told.len() as u64 > FOLLOW_TRIES, "a panic is a failure");
            Ok(())
        });
        if heard.unwrap().failure.is_none() {
            break;
        }
    }
    assert_eq!(calls, FOLLOW_TRIES + 1);
    let record = follower(store.as_ref(), "test").unwrap().unwrap();
    assert_eq!((record.given_up, record.failed, record.missed), (1, 0, 0));
    assert!(told.iter().all(|(_, branch)| *branch == BranchName::main()));
    assert_eq!(follower(store.as_ref(), "other").unwrap(), None);
}

#[test]
fn a_change_set_is_written_as_a_patch() {
    let ada = Person::new(1);
    let written = Arc::new(Mutex::new(Vec::new()));
    let out = Arc::clone(&written);
    let repo = two_branches(&ada).hooked(Arc::new(move |proposal: &Proposal<'_>| {
        let mut text = Vec::new();
        let changes = proposal
            .write_patch(&mut text)
            .map_err(|error| error.to_string())?;
        assert_eq!(changes, 2);
        *out.lock().unwrap() = text;
        Ok(())
    }));
    let mut transaction = repo.begin(&main()).unwrap();
    transaction.put("a", "new").unwrap();
    let large = Bytes::from("x".repeat(5000));
    transaction.put("large", large.clone()).unwrap();
    transaction.commit(ada.author(), "x", START + 1).unwrap();
    let text = written.lock().unwrap().clone();
    let patch = allod_repo::Patch::read(&mut &text[..]).unwrap();
    assert_eq!(patch.changes().len(), 2);
    assert!(patch.blocks().values().any(|block| *block == large));
}
