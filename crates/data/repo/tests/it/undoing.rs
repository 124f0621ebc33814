//! WORK-10 to WORK-13: moves of branches are taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Fault, FaultyStore, MemoryStore};
use allod_repo::{BranchName, Edit, Heads, Repo, RepoError};
use proptest::prelude::*;

use crate::world::{
    Person, START, fault, get, heads, main, on, put, put_on, replica, scale, send, space, space_in,
};

fn last(repo: &Repo) -> u64 {
    repo.moves(1).unwrap()[0].0
}

#[test]
fn a_move_is_taken_back_and_done_again() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("k", Some("1"))], START);
    let one = (last(&repo), heads(&repo));
    put(&repo, &ada, &[("k", Some("2"))], START + 1);
    let two = (last(&repo), heads(&repo));
    let early = repo.undo(one.0);
    assert!(matches!(fault(early), RepoError::MovedSince { last, .. } if last == two.0));
    let made = repo.undo(two.0).unwrap();
    assert_eq!(made.to.into_iter().collect::<Heads>(), one.1);
    assert_eq!(get(&repo, "k").as_deref(), Some("1"));
    repo.undo(last(&repo)).unwrap();
    assert_eq!(heads(&repo), two.1, "an undo is undone");
    repo.undo(last(&repo)).unwrap();
    repo.undo(one.0).unwrap();
    assert!(heads(&repo).is_empty(), "before the first commit");
    assert!(matches!(fault(repo.undo(99)), RepoError::NoMove(99)));
    assert!(
        !put(&repo, &ada, &[("k", Some("3"))], START + 2)
            .short()
            .is_empty()
    );
}

#[test]
fn a_branch_with_staged_edits_stays_and_meta_is_not_undone() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("k", Some("1"))], START);
    repo.create_branch(&on("side"), &heads(&repo)).unwrap();
    let made = last(&repo);
    repo.stage(&on("side"), [("a".into(), Edit::Put("1".into()))], START)
        .unwrap();
    let busy = repo.undo(made);
    assert!(matches!(fault(busy), RepoError::InTheWay { key } if key == b"a"));
    repo.unstage(&on("side")).unwrap();
    repo.undo(made).unwrap();
    assert_eq!(repo.branches().unwrap().len(), 1);
    repo.undo(last(&repo)).unwrap();
    assert_eq!(repo.heads(&on("side")).unwrap(), heads(&repo));

    repo.add_member(&Person::new(2).author().agent, ada.author(), START)
        .unwrap();
    let meta = repo.undo(last(&repo));
    assert!(matches!(fault(meta), RepoError::NotUndone(branch) if branch.is_meta()));
}

/// WORK-14: what is undone here returns from whoever has it.
#[test]
fn what_a_peer_has_comes_back() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("k", Some("1"))], START);
    put(&repo, &ada, &[("k", Some("2"))], START + 1);
    let other = replica(&repo);
    send(&repo, &other, &main(), START + 2).unwrap();
    repo.undo(last(&repo)).unwrap();
    put(&repo, &ada, &[("own", Some("1"))], START + 3);
    send(&other, &repo, &main(), START + 4).unwrap();
    assert_eq!(heads(&repo).len(), 2);
    assert_eq!(get(&repo, "k").as_deref(), Some("2"));
    assert_eq!(get(&repo, "own").as_deref(), Some("1"));
}

#[test]
fn a_crash_leaves_an_undo_done_or_not() {
    let ada = Person::new(1);
    for (crash, expected) in [(Fault::CrashBefore(0), "2"), (Fault::CrashAfter(0), "1")] {
        let store = FaultyStore::new(Arc::new(MemoryStore::new()));
        let repo = space_in(&ada, Arc::new(store.clone()));
        put(&repo, &ada, &[("k", Some("1"))], START);
        put(&repo, &ada, &[("k", Some("2"))], START);
        let position = last(&repo);
        store.inject(crash);
        assert!(repo.undo(position).is_err() && store.struck());
        store.restart();
        let repo = Repo::open(Arc::new(store), repo.id()).unwrap();
        assert_eq!(get(&repo, "k").as_deref(), Some(expected));
        let logged = if expected == "1" {
            position + 1
        } else {
            position
        };
        assert_eq!(last(&repo), logged, "moved and logged, or neither");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Commit(usize),
    Create(usize, usize),
    Delete(usize),
    Undo(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..3usize).prop_map(Op::Commit),
        1 => (1..3usize, 0..3usize).prop_map(|(name, from)| Op::Create(name, from)),
        1 => (1..3usize).prop_map(Op::Delete),
        4 => any::<prop::sample::Index>().prop_map(Op::Undo),
    ]
}

const NAMES: [&str; 3] = ["main", "one", "two"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64 * scale(), ..ProptestConfig::default() })]

    /// A model that keeps the heads of each branch and the list of all moves.
    #[test]
    fn undos_agree_with_a_list_of_moves(ops in prop::collection::vec(op(), 1..40)) {
        let ada = Person::new(1);
        let repo = space(&ada);
        let mut model: BTreeMap<BranchName, Heads> = BTreeMap::new();
        let mut moves: Vec<(BranchName, Heads, Heads)> = Vec::new();
        let at = |model: &BTreeMap<BranchName, Heads>, name: &BranchName| {
            model.get(name).cloned().unwrap_or_default()
        };
        for (step, op) in ops.into_iter().enumerate() {
            let now = START + step as u64;
            let (name, to) = match op {
                Op::Commit(name) => {
                    let value = step.to_string();
                    let made = put_on(&repo, &ada, NAMES[name], &[("k", Some(&value))], now);
                    (on(NAMES[name]), Heads::from([made]))
                }
                Op::Create(name, from) => {
                    let heads = at(&model, &on(NAMES[from]));
                    if heads.is_empty() || model.contains_key(&on(NAMES[name])) {
                        continue;
                    }
                    repo.create_branch(&on(NAMES[name]), &heads).unwrap();
                    (on(NAMES[name]), heads)
                }
                Op::Delete(name) => {
                    if repo.delete_branch(&on(NAMES[name]), true).is_err() {
                        prop_assert!(!model.contains_key(&on(NAMES[name])));
                        continue;
                    }
                    (on(NAMES[name]), Heads::new())
                }
                Op::Undo(index) => {
                    if moves.is_empty() {
                        continue;
                    }
                    let position = index.index(moves.len());
                    let (name, from, to) = moves[position].clone();
                    match repo.undo(position as u64) {
                        Ok(_) => {
                            prop_assert_eq!(at(&model, &name), to);
                            (name, from)
                        }
                        Err(RepoError::MovedSince { last, .. }) => {
                            prop_assert_ne!(at(&model, &name), to);
                            let known = moves.iter().rposition(|(branch, ..)| *branch == name);
                            prop_assert_eq!(Some(last as usize), known);
                            continue;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            };
            moves.push((name.clone(), at(&model, &name), to.clone()));
            if to.is_empty() {
                model.remove(&name);
            } else {
                model.insert(name, to);
            }
            prop_assert_eq!(&repo.branches().unwrap().into_iter().collect::<BTreeMap<_, _>>(), &model);
        }
        let logged = repo.moves(usize::MAX).unwrap();
        prop_assert_eq!(logged.len(), moves.len());
        for ((position, said), (at, (name, from, to))) in
            logged.into_iter().rev().zip(moves.into_iter().enumerate())
        {
            prop_assert_eq!((position, said.branch), (at as u64, name));
            prop_assert_eq!(said.from.into_iter().collect::<Heads>(), from);
            prop_assert_eq!(said.to.into_iter().collect::<Heads>(), to);
        }
    }
}
