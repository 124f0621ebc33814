//! Sessions about some of the branches, or in one direction (SYNC-16).

use std::collections::BTreeMap;

use allod_repo::{BranchName, Edit, Heads, Repo};
use allod_sync::{Branches, Message, Outcome, Scope};
use proptest::prelude::*;

use crate::hostile::scale;
use crate::pair::{Person, START, replica, run_about, space, talk};

fn branch(name: &str) -> BranchName {
    name.parse().unwrap()
}

fn commit(repo: &Repo, who: &Person, on: &BranchName, value: u64) {
    let (key, now) = (format!("{on} {value}"), START + value);
    let edit = Edit::Put(value.to_string().into());
    repo.stage(on, [(key.into(), edit)], now).unwrap();
    repo.commit_staged(on, who.author(), "test", now).unwrap();
}

fn all_heads(repo: &Repo) -> BTreeMap<BranchName, Heads> {
    repo.branches().unwrap().into_iter().collect()
}

fn exchange(scope: Scope, left: (&Repo, &Person), right: (&Repo, &Person)) {
    let scopes = [scope, Scope::default()];
    let done = run_about(scopes, left, right, usize::MAX, &mut |_, frame| Some(frame));
    assert!(done.is_complete(), "{:?} {:?}", done.left, done.right);
}

#[test]
fn a_push_gives_one_branch_and_takes_nothing() {
    let ada = Person::new(1);
    let left = space(&ada, &[]);
    let (main, side) = (BranchName::main(), branch("side"));
    commit(&left, &ada, &main, 1);
    let right = replica(&left);
    assert!(talk((&left, &ada), (&right, &ada)).is_complete());
    commit(&left, &ada, &main, 2);
    left.create_branch(&side, &left.heads(&main).unwrap())
        .unwrap();
    commit(&left, &ada, &side, 3);
    commit(&right, &ada, &main, 4);
    let before = all_heads(&left);
    let behind = right.heads(&main).unwrap();
    let push = Scope::push(Branches::Only(vec![side.clone()]));
    exchange(push, (&left, &ada), (&right, &ada));
    assert_eq!(all_heads(&left), before, "nothing was taken");
    assert_eq!(right.heads(&side).unwrap(), left.heads(&side).unwrap());
    // What main leads to came along, and main stands where it stood.
    assert_eq!(right.heads(&main).unwrap(), behind);
    let came = left.heads(&main).unwrap();
    assert!(right.has_commit(*came.first().unwrap()).unwrap());
    // Nor does a pull of another branch move it, with nothing left to send.
    let pull = Scope::pull(Branches::Only(vec![side]));
    exchange(pull, (&right, &ada), (&left, &ada));
    assert_eq!(right.heads(&main).unwrap(), behind);
    let pull = Scope::pull(Branches::Only(vec![main.clone()]));
    exchange(pull, (&right, &ada), (&left, &ada));
    assert_eq!(right.heads(&main).unwrap().len(), 2, "both have changed it");
    assert_eq!(all_heads(&left), before, "nothing was given");
}

/// REPO-81: what is fetched is all there, and no branch but meta has moved.
#[test]
fn a_fetch_brings_commits_and_moves_no_branch() {
    let ada = Person::new(1);
    let left = space(&ada, &[]);
    let (main, side) = (BranchName::main(), branch("side"));
    commit(&left, &ada, &main, 1);
    let right = replica(&left);
    assert!(talk((&left, &ada), (&right, &ada)).is_complete());
    commit(&left, &ada, &main, 2);
    left.create_branch(&side, &left.heads(&main).unwrap())
        .unwrap();
    commit(&left, &ada, &side, 3);
    left.create_tag(
        &"v1".parse().unwrap(),
        *left.heads(&main).unwrap().first().unwrap(),
        "",
        ada.author(),
        START,
    )
    .unwrap();
    let before = all_heads(&right);
    let mut tracked = Heads::new();
    for came in [3, 0] {
        let scopes = [
            Scope::fetch(Branches::All, tracked.clone()),
            Scope::default(),
        ];
        let sides = ((&right, &ada), (&left, &ada));
        let mut commits = 0;
        let mut look = |_, frame: bytes::Bytes| {
            let message = Message::decode(&frame).unwrap();
            commits += usize::from(matches!(message, Message::Commit { .. }));
            Some(frame)
        };
        let done = run_about(scopes, sides.0, sides.1, usize::MAX, &mut look);
        assert!(done.is_complete());
        // Two, and that of the tag on meta.
        assert_eq!(commits, came);
        let without_meta = |heads: &BTreeMap<BranchName, Heads>| {
            let mut heads = heads.clone();
            heads.remove(&BranchName::meta());
            heads
        };
        let after = all_heads(&right);
        assert_eq!(without_meta(&after), without_meta(&before));
        let meta = left.heads(&BranchName::meta()).unwrap();
        assert_eq!(after.get(&BranchName::meta()), Some(&meta));
        for heads in [left.heads(&main).unwrap(), left.heads(&side).unwrap()] {
            assert!(right.is_held(*heads.first().unwrap()).unwrap());
            tracked.extend(heads);
        }
    }
    // A session that moves branches finds them here.
    assert!(talk((&left, &ada), (&right, &ada)).is_complete());
    assert_eq!(all_heads(&right), all_heads(&left));
}

/// A hello tells nothing of branches that are neither given nor taken, so that nobody can show them
/// under another name.
#[test]
fn a_pull_does_not_tell_of_drafts() {
    let ada = Person::new(1);
    let left = space(&ada, &[]);
    let (main, draft) = (BranchName::main(), branch("draft"));
    commit(&left, &ada, &main, 1);
    let right = replica(&left);
    assert!(talk((&left, &ada), (&right, &ada)).is_complete());
    left.create_branch(&draft, &left.heads(&main).unwrap())
        .unwrap();
    commit(&left, &ada, &draft, 2);
    let secret = left.heads(&draft).unwrap();
    for scope in [
        Scope::pull(Branches::Only(vec![main.clone()])),
        Scope::push(Branches::Only(vec![main.clone()])),
    ] {
        let scopes = [scope, Scope::default()];
        let mut told = false;
        let mut look = |_, frame: bytes::Bytes| {
            let text = format!("{:?}", Message::decode(&frame).unwrap());
            told |= secret
                .iter()
                .any(|head| text.contains(&format!("{head:?}")));
            Some(frame)
        };
        let sides = ((&left, &ada), (&right, &ada));
        assert!(run_about(scopes, sides.0, sides.1, usize::MAX, &mut look).is_complete());
        assert!(!told);
    }
    let mut told = false;
    let mut look = |_, frame: bytes::Bytes| {
        let text = format!("{:?}", Message::decode(&frame).unwrap());
        told |= secret
            .iter()
            .any(|head| text.contains(&format!("{head:?}")));
        Some(frame)
    };
    let scopes = [Scope::default(), Scope::default()];
    run_about(scopes, (&left, &ada), (&right, &ada), usize::MAX, &mut look);
    assert!(told, "and it would have been seen");
}

#[test]
fn a_commit_of_a_branch_that_was_not_wanted_ends_the_session() {
    let ada = Person::new(1);
    let left = space(&ada, &[]);
    commit(&left, &ada, &BranchName::main(), 1);
    let right = replica(&left);
    let scopes = [
        Scope::default(),
        Scope::pull(Branches::Only(vec![branch("side")])),
    ];
    // The right side's hello does not arrive as it was: it seems to want all.
    let mut bend = |from_left: bool, frame| match Message::decode(&frame).unwrap() {
        Message::Hello(mut hello) if !from_left => {
            hello.wants = None;
            Some(Message::Hello(hello).encode())
        }
        _ => Some(frame),
    };
    let sides = ((&left, &ada), (&right, &ada));
    let done = run_about(scopes, sides.0, sides.1, usize::MAX, &mut bend);
    let Some(Outcome::Ended { code, .. }) = done.right else {
        panic!("{:?}", done.right);
    };
    assert_eq!(code, "E_ORDER");
    assert!(right.heads(&BranchName::main()).unwrap().is_empty());
}

fn some_branches() -> impl Strategy<Value = Branches> {
    let names = prop::sample::subsequence(vec!["main", "a", "b", "meta"], 0..=4);
    prop_oneof![
        Just(Branches::All),
        names.prop_map(|names| Branches::Only(names.into_iter().map(branch).collect())),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    (some_branches(), some_branches()).prop_map(|(gives, wants)| Scope {
        gives,
        wants,
        anew: false,
        apart: None,
    })
}

/// Commits on either side: which side, which branch, and the branch it begins at if it is new.
fn steps() -> impl Strategy<Value = Vec<(bool, usize, usize)>> {
    prop::collection::vec((any::<bool>(), 0usize..3, 0usize..3), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48 * scale()))]

    /// Whatever the scopes are, exactly the branches that one side gives and the other wants take in
    /// the heads of the first, and all others stay as they were.
    #[test]
    fn exactly_what_is_given_and_wanted_moves(
        before in steps(), after in steps(), left_scope in scope(), right_scope in scope(),
    ) {
        let ada = Person::new(1);
        let left = space(&ada, &[]);
        let right = replica(&left);
        let names = [BranchName::main(), branch("a"), branch("b")];
        let mut now = 0;
        for (part, list) in [before, after].into_iter().enumerate() {
            for (on_left, index, start) in list {
                now += 1;
                let repo = if on_left { &left } else { &right };
                let (on, start) = (&names[index], repo.heads(&names[start]).unwrap());
                if repo.heads(on).unwrap().is_empty() && !start.is_empty() {
                    repo.create_branch(on, &start).unwrap();
                }
                commit(repo, &ada, on, now);
            }
            // What governs the space changes as well, on both sides.
            for (repo, member) in [(&left, 2), (&right, 3)] {
                let member = Person::new(2 * part as u8 + member).author().agent;
                repo.add_member(&member, ada.author(), START + now).unwrap();
            }
            if part == 0 {
                assert!(talk((&left, &ada), (&right, &ada)).is_complete());
            }
        }
        let (ours, theirs) = (all_heads(&left), all_heads(&right));
        let scopes = [left_scope.clone(), right_scope.clone()];
        let done = run_about(scopes, (&left, &ada), (&right, &ada), usize::MAX, &mut |_, f| Some(f));
        prop_assert!(done.is_complete(), "{:?} {:?}", done.left, done.right);
        for (repo, from, to, before, others) in [
            (&left, &right_scope, &left_scope, &ours, &theirs),
            (&right, &left_scope, &right_scope, &theirs, &ours),
        ] {
            for name in names.iter().chain([&BranchName::meta()]) {
                let mut expected = before.get(name).cloned().unwrap_or_default();
                if from.gives.include(name) && to.wants.include(name) {
                    expected.extend(others.get(name).into_iter().flatten());
                }
                let maximal: Heads = expected.iter().copied().filter(|head| {
                    let mut rest = expected.iter().filter(|other| *other != head);
                    !rest.any(|other| repo.is_ancestor(*head, *other).unwrap())
                }).collect();
                prop_assert_eq!(repo.heads(name).unwrap(), maximal, "{}", name);
            }
        }
    }
}

/// SYNC-51: a side is about all only where both offer and want everything, and who takes all anew whatever it has
/// tells nothing of that.
#[test]
fn who_only_takes_tells_nothing_of_what_it_has() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let left = space(&ada, &[&bob]);
    commit(&left, &ada, &BranchName::main(), 1);
    let right = replica(&left);
    let told = |scope: Scope| {
        let scopes = [scope, Scope::default()];
        let (left, right) = ((&left, &ada), (&right, &ada));
        let run = run_about(scopes, left, right, usize::MAX, &mut |_, frame| Some(frame));
        assert!(run.is_complete());
        run.told[1]
    };
    assert_eq!(told(Scope::default()), (true, true));
    assert!(!told(Scope::pull(Branches::All)).0);
    assert!(!told(Scope::fetch(Branches::All, Heads::new())).0);
    assert!(!told(Scope::push(Branches::All)).0);
    assert_eq!(told(Scope::anew()), (true, false));
}
