//! REPO-90 to REPO-93: protected branches go forward, and nothing else.

use allod_repo::{
    BranchName, CommitId, Heads, MergeOptions, Outcome, RefMove, Refusal, Repo, RepoError,
};
use proptest::prelude::*;

use crate::world::{
    Person, START, deliver, fault, get, heads, main, on, put, put_on, refusal, replica, scale,
    send, space,
};

/// A space whose main is protected, and a replica of it.
fn two(ada: &Person) -> (Repo, Repo) {
    let left = space(ada);
    put(&left, ada, &[("a", Some("0"))], START);
    left.protect(&main(), true, ada.author(), START).unwrap();
    let right = replica(&left);
    send(&left, &right, &BranchName::meta(), START).unwrap();
    send(&left, &right, &main(), START).unwrap();
    (left, right)
}

/// Brings into main what the other replica has, by a commit of a person.
fn merge(into: &Repo, who: &Person, theirs: &Heads) -> Result<Outcome, RepoError> {
    let options = MergeOptions::default();
    into.merge(&main(), theirs, who.author(), &options, START)
}

#[test]
fn what_does_not_go_on_is_refused_until_somebody_merges_it() {
    let ada = Person::new(1);
    let (left, right) = two(&ada);
    let first = put(&left, &ada, &[("a", Some("left"))], START);
    put(&right, &ada, &[("b", Some("1"))], START);
    let second = put(&right, &ada, &[("b", Some("2"))], START);
    assert_eq!(
        refusal(send(&right, &left, &main(), START)),
        Refusal::Protected
    );
    assert_eq!(
        refusal(send(&left, &right, &main(), START)),
        Refusal::Protected
    );
    // The commits are here, and the branches stand where they stood.
    assert_eq!(heads(&left), Heads::from([first]));
    assert_eq!(heads(&right), Heads::from([second]));
    assert!(left.has_commit(second).unwrap() && right.has_commit(first).unwrap());
    // A branch that is not protected has both.
    right
        .create_branch(&on("side"), &Heads::from([second]))
        .unwrap();
    right
        .join_branch(&on("side"), &Heads::from([first]))
        .unwrap();
    assert_eq!(right.heads(&on("side")).unwrap().len(), 2);
    // What merges both is taken by both, with what it stands on.
    merge(&right, &ada, &Heads::from([first])).unwrap();
    send(&right, &left, &main(), START).unwrap();
    assert_eq!(heads(&left), heads(&right));
    assert_eq!(get(&left, "b").as_deref(), Some("2"));
    assert_eq!(get(&left, "a").as_deref(), Some("left"));
}

#[test]
fn nobody_takes_back_or_deletes_what_is_protected() {
    let ada = Person::new(1);
    let (left, _) = two(&ada);
    let refused = |result: RepoError| match result {
        RepoError::Refused(refusal) | RepoError::Denied { refusal, .. } => refusal,
        other => panic!("{other}"),
    };
    put(&left, &ada, &[("a", Some("1"))], START);
    let end = left.store().stats().unwrap().log_end;
    assert_eq!(refused(fault(left.undo(end - 1))), Refusal::Protected);
    // main is never deleted, and other names are.
    let side = on("side");
    left.create_branch(&side, &heads(&left)).unwrap();
    left.protect(&side, true, ada.author(), START).unwrap();
    assert_eq!(
        refused(fault(left.delete_branch(&side, true))),
        Refusal::Protected
    );
    assert_eq!(left.protected().unwrap(), [main(), side.clone()]);
    // Only the owner says so, once, and not of meta.
    assert_eq!(
        left.protect(&side, true, ada.author(), START).unwrap(),
        None
    );
    let eve = Person::new(2);
    left.add_member(&eve.author().agent, ada.author(), START)
        .unwrap();
    let by_eve = left.protect(&side, false, eve.author(), START);
    assert_eq!(refused(fault(by_eve)), Refusal::NotOwner);
    let meta = BranchName::meta();
    let of_meta = left.protect(&meta, true, ada.author(), START);
    assert!(matches!(fault(of_meta), RepoError::BranchKept(_)));
    assert!(
        left.protect(&side, false, ada.author(), START)
            .unwrap()
            .is_some()
    );
    left.delete_branch(&side, true).unwrap();
    // A name that is protected before there is a branch begins with one head.
    let other = put_on(&left, &ada, "other", &[("a", Some("2"))], START);
    left.protect(&on("new"), true, ada.author(), START).unwrap();
    let mut both = heads(&left);
    both.insert(other);
    assert_eq!(
        refused(fault(left.create_branch(&on("new"), &both))),
        Refusal::Protected
    );
    left.create_branch(&on("new"), &Heads::from([other]))
        .unwrap();
}

/// A branch that had several heads when it was protected is read as before, and goes on from all of them.
#[test]
fn several_heads_become_one() {
    let ada = Person::new(1);
    let left = space(&ada);
    put(&left, &ada, &[("a", Some("0"))], START);
    let right = replica(&left);
    send(&left, &right, &main(), START).unwrap();
    put(&left, &ada, &[("a", Some("1"))], START);
    let theirs = put(&right, &ada, &[("b", Some("1"))], START);
    send(&right, &left, &main(), START).unwrap();
    assert_eq!(heads(&left).len(), 2);
    left.protect(&main(), true, ada.author(), START).unwrap();
    assert_eq!(get(&left, "b").as_deref(), Some("1"));
    // What goes on from one of them alone does not.
    let next = put(&right, &ada, &[("b", Some("2"))], START);
    assert_eq!(right.commit(next).unwrap().payload().parents, [theirs]);
    assert_eq!(
        refusal(
            deliver(&right, &left, next, &main(), START)
                .and_then(|()| { left.join_branch(&main(), &Heads::from([next])).map(drop) })
        ),
        Refusal::Protected
    );
    put(&left, &ada, &[("c", Some("1"))], START);
    assert_eq!(heads(&left).len(), 1);
}

/// MERGE-4: several heads, of which the branch has one or is behind all, are merged by a commit over them. To move
/// to them would leave a protected branch with as many.
#[test]
fn several_heads_of_others_are_merged_by_a_commit() {
    for is_behind in [false, true] {
        let ada = Person::new(1);
        let (left, right) = two(&ada);
        let third = replica(&left);
        send(&left, &third, &BranchName::meta(), START).unwrap();
        send(&left, &third, &main(), START).unwrap();
        let one = put(&right, &ada, &[("b", Some("1"))], START);
        let other = put(&left, &ada, &[("a", Some("1"))], START);
        // What is on another branch is here, and does not move this one.
        let at = if is_behind { on("side") } else { main() };
        deliver(&left, &third, other, &at, START).unwrap();
        deliver(&right, &third, one, &on("side"), START).unwrap();
        let theirs = Heads::from([one, other]);
        let done = merge(&third, &ada, &theirs).unwrap();
        assert!(matches!(done, Outcome::Done(_)), "{done:?}");
        let [made] = heads(&third).into_iter().collect::<Vec<_>>()[..] else {
            panic!("a protected branch has one head");
        };
        let parents = third.commit(made).unwrap().payload().parents.clone();
        assert_eq!(parents.into_iter().collect::<Heads>(), theirs);
    }
}

/// What happens to replicas.
#[derive(Clone, Debug)]
enum Happening {
    Commit(usize),
    Send(usize, usize),
    Merge(usize, usize),
    Undo(usize, u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..3usize).prop_map(Happening::Commit),
        5 => (0..3usize, 0..3usize).prop_map(|(from, to)| Happening::Send(from, to)),
        2 => (0..3usize, 0..3usize).prop_map(|(into, of)| Happening::Merge(into, of)),
        1 => (0..3usize, 0..3u64).prop_map(|(at, back)| Happening::Undo(at, back)),
    ]
}

/// Each move of main in the log of a replica.
fn moves(repo: &Repo) -> Vec<RefMove> {
    let log = repo.store().read_log(0, 10_000).unwrap().into_iter();
    let moves = log.map(|entry| RefMove::decode(&entry.bytes).unwrap());
    moves.filter(|moved| moved.branch == main()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48 * scale(), ..ProptestConfig::default() })]

    /// REPO-91, and that merging makes one of what went apart (REPO-93).
    #[test]
    fn every_move_is_forward(happenings in prop::collection::vec(happening(), 1..40)) {
        let ada = Person::new(1);
        let (left, right) = two(&ada);
        let third = replica(&left);
        send(&left, &third, &BranchName::meta(), START).unwrap();
        send(&left, &third, &main(), START).unwrap();
        let repos = [left, right, third];
        let mut now = START;
        for happening in happenings {
            now += 1000;
            match happening {
                Happening::Commit(at) => {
                    let (key, value) = (at.to_string(), now.to_string());
                    put(&repos[at], &ada, &[(&key, Some(&value))], now);
                }
                Happening::Send(from, to) => {
                    let goes_on = repos[to].heads(&main()).unwrap().iter().all(|head| {
                        let there = heads(&repos[from]);
                        repos[from].has_commit(*head).unwrap()
                            && repos[from].is_ancestor(*head, *there.first().unwrap()).unwrap()
                    });
                    let before = heads(&repos[to]);
                    let sent = send(&repos[from], &repos[to], &main(), now);
                    if goes_on {
                        prop_assert_eq!(heads(&repos[to]), heads(&repos[from]));
                    } else {
                        prop_assert_eq!(heads(&repos[to]), before.clone());
                    }
                    // What is behind is no news, and no fault.
                    let theirs = *heads(&repos[from]).first().unwrap();
                    let is_behind = repos[to].is_ancestor(theirs, *before.first().unwrap()).unwrap();
                    prop_assert_eq!(sent.is_ok(), goes_on || is_behind);
                }
                Happening::Merge(into, of) => {
                    let theirs = heads(&repos[of]);
                    // As by a fetch: the commits are here, and the branch has not moved.
                    drop(send(&repos[of], &repos[into], &main(), now));
                    merge(&repos[into], &ada, &theirs).unwrap();
                }
                Happening::Undo(at, back) => {
                    let end = repos[at].store().stats().unwrap().log_end;
                    prop_assert!(repos[at].undo(end.saturating_sub(1 + back)).is_err());
                }
            }
        }
        for repo in &repos {
            for moved in moves(repo).windows(2) {
                let (from, to): (&[CommitId], &[CommitId]) = (&moved[0].to, &moved[1].to);
                prop_assert_eq!(to.len(), 1);
                prop_assert!(from.iter().all(|id| repo.is_ancestor(*id, to[0]).unwrap()));
            }
        }
        // One after the other, and all have one head that all of them go on from.
        for [of, into] in [[0, 1], [1, 2], [2, 1], [1, 0]] {
            if send(&repos[of], &repos[into], &main(), now).is_err() {
                merge(&repos[into], &ada, &heads(&repos[of])).unwrap();
            }
        }
        prop_assert_eq!(heads(&repos[0]), heads(&repos[2]));
        prop_assert_eq!(heads(&repos[0]), heads(&repos[1]));
    }
}
