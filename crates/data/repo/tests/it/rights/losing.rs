//! What becomes of commits when somebody's right goes (REPO-100, REPO-112, REPO-115, REPO-117).

use std::collections::BTreeSet;

use allod_access::Facts;
use allod_repo::MergeOptions;

use super::*;
use crate::world::{get, heads, main, value_on};

/// Whatever comes first to whom: who has heard of both has the same heads.
#[test]
fn a_revocation_and_a_commit_come_in_either_order() {
    let town = Town::new();
    let before = heads(&town.repo);
    let (one, two) = (town.replica(), town.replica());
    let late = write(&one, &town.writer, ("main", "docs/b", Some("1")), START + 1).unwrap();
    take_back(&two, &town.owner, &town.to_writer, START + 1).unwrap();
    let (first, then) = (town.replica(), town.replica());
    share(&one, &first, START + 2);
    assert_eq!(heads(&first), [late].into());
    share(&two, &first, START + 2);
    share(&two, &then, START + 2);
    share(&one, &then, START + 2);
    share(&one, &two, START + 2);
    share(&two, &one, START + 2);
    for repo in [&one, &two, &first, &then] {
        assert_eq!(heads(repo), before);
        assert_eq!(repo.beside(&main()).unwrap(), [late].into());
        assert_eq!(get(repo, "docs/b"), None);
    }
    assert_agree(&[&one, &two, &first, &then]);
    // It counts again with the right.
    give(
        &one,
        (&town.owner, &town.writer),
        "/space/write",
        With {
            nonce: 9,
            ..keys("docs/")
        },
        START + 3,
    );
    share(&one, &first, START + 3);
    for repo in [&one, &first] {
        assert_eq!(heads(repo), [late].into());
        assert_eq!(repo.beside(&main()).unwrap(), Heads::new());
    }
}

/// Who names the `meta` of before has a commit that is kept, and is no head.
#[test]
fn what_is_dated_back_is_kept_beside() {
    let town = Town::new();
    let repo = &town.repo;
    let old = repo.heads(&BranchName::meta()).unwrap();
    let made = write(repo, &town.owner, ("main", "docs/b", Some("1")), START + 1).unwrap();
    take_back(repo, &town.owner, &town.to_writer, START + 5).unwrap();
    let other = town.replica();
    let base = heads(&other);
    let back = forged(repo, made, &town.writer, |said| {
        said.policy = old.first().copied();
    });
    let id = offer((repo, &other), (back, made), &main(), START + 6).unwrap();
    assert_eq!(heads(&other), base);
    assert_eq!(other.beside(&main()).unwrap(), [id].into());
    assert!(!other.counts(id).unwrap());
    // Nothing is begun at it, nor merged by who has not the right.
    let begun = other.create_branch(&on("mine"), &[id].into());
    assert!(matches!(begun, Err(RepoError::NotCounting(_))), "{begun:?}");
    let clerk = Person::new(9);
    give(
        &other,
        (&town.owner, &clerk),
        "/space",
        keys("notes/"),
        START + 6,
    );
    let taken = other.take_in(&main(), clerk.author(), "take it in", START + 7);
    assert_eq!(refused(taken), Refusal::Rights);
    assert_eq!(heads(&other), base);
    // The admin may, as may who has the same right.
    let taken = other.take_in(&main(), town.admin.author(), "take it in", START + 7);
    assert_eq!(heads(&other), [taken.unwrap().unwrap()].into());
    share(&other, repo, START + 7);
    assert_agree(&[repo, &other]);
}

/// A commit on top of one that counts no more is with it beside, until somebody stands for that one.
#[test]
fn an_innocent_commit_waits_for_who_may_vouch() {
    for who in ["nobody", "member", "peer", "admin", "owner"] {
        let town = Town::new();
        let repo = &town.repo;
        let other = &Person::new(9);
        give(repo, (&town.owner, other), "/space", keys("notes/"), START);
        let peer = &Person::new(10);
        give(repo, (&town.owner, peer), "/space", keys("docs/"), START);
        let base = heads(repo);
        let lost = write(repo, &town.writer, ("main", "docs/b", Some("1")), START + 1).unwrap();
        let innocent = write(repo, other, ("main", "notes/b", Some("1")), START + 2).unwrap();
        let by = match who {
            "member" => Some(&town.member),
            "peer" => Some(peer),
            "admin" => Some(&town.admin),
            "owner" => Some(&town.owner),
            _ => None,
        };
        let vouched = by.map(|by| {
            let key = if who == "peer" { "docs/c" } else { "any" };
            write(repo, by, ("main", key, Some("1")), START + 3).unwrap()
        });
        take_back(repo, &town.owner, &town.to_writer, START + 4).unwrap();
        let expected = vouched.map_or_else(|| base.clone(), |id| [id].into());
        assert_eq!(heads(repo), expected, "{who}");
        let beside = repo.beside(&main()).unwrap();
        let waits = vouched.is_none();
        assert_eq!(!beside.is_empty(), waits, "{who}");
        assert_eq!(repo.counts(innocent).unwrap(), !waits);
        assert_eq!(repo.counts(lost).unwrap(), !waits);
        assert!(!repo.stands(lost).unwrap());
        assert_agree(&[repo, &town.replica()]);
    }
}

/// What somebody vouched for counts, and so what others built on it apart from that.
#[test]
fn what_counts_elsewhere_counts_below_others() {
    let town = Town::new();
    let repo = &town.repo;
    let other = &Person::new(9);
    give(repo, (&town.owner, other), "/space", keys("notes/"), START);
    let lost = write(repo, &town.writer, ("main", "docs/b", Some("1")), START + 1).unwrap();
    let (one, two) = (town.replica(), town.replica());
    let apart = write(&one, other, ("main", "notes/b", Some("1")), START + 2).unwrap();
    let vouched = write(&two, &town.owner, ("main", "any", Some("1")), START + 2).unwrap();
    take_back(&two, &town.owner, &town.to_writer, START + 3).unwrap();
    let (first, then) = (town.replica(), town.replica());
    for (from, to) in [(&one, &first), (&two, &first), (&two, &then), (&one, &then)] {
        share(from, to, START + 4);
    }
    for repo in [&first, &then] {
        assert_eq!(heads(repo), [apart, vouched].into());
        assert!(repo.counts(lost).unwrap());
    }
    // One who hears of the vouching last has had it beside.
    let last = town.replica();
    let meta = BranchName::meta();
    share_some((&two, &last), &meta, &two.heads(&meta).unwrap(), START + 4);
    share_some((&one, &last), &main(), &[apart].into(), START + 4);
    assert_eq!(last.beside(&main()).unwrap(), [apart].into());
    share(&two, &last, START + 4);
    assert_agree(&[&first, &then, &last]);
}

/// What comes to a branch that it was not made on is beside that, and counts; and so what it vouches for elsewhere.
#[test]
fn what_is_beside_one_branch_vouches_on_another() {
    let town = Town::new();
    let repo = &town.repo;
    let other = &Person::new(9);
    let side = With {
        policy: Policy::branch("side"),
        ..With::default()
    };
    give(repo, (&town.owner, other), "/", side, START);
    let base = heads(repo);
    let lost = write(repo, &town.writer, ("main", "docs/b", Some("1")), START + 1).unwrap();
    let begun = (town.owner.author(), "begin");
    let vouched = repo.begin_branch(&on("side"), &[lost].into(), begun, START + 2);
    let vouched = vouched.unwrap().unwrap();
    take_back(repo, &town.owner, &town.to_writer, START + 3).unwrap();
    assert_eq!(heads(repo), [lost].into());
    let apart = crate::world::replica(repo);
    let meta = BranchName::meta();
    share_some(
        (repo, &apart),
        &meta,
        &repo.heads(&meta).unwrap(),
        START + 4,
    );
    share_some((repo, &apart), &main(), &[lost].into(), START + 4);
    assert_eq!(heads(&apart), base);
    share_some((repo, &apart), &on("news"), &[vouched].into(), START + 4);
    assert_eq!(apart.beside(&on("news")).unwrap(), [vouched].into());
    assert_eq!(heads(&apart), [lost].into());
}

/// A right is not lent: that somebody with another right merged it, on another branch, makes it count on neither.
#[test]
fn who_has_other_rights_lends_none() {
    let town = Town::new();
    let repo = &town.repo;
    let other = &Person::new(9);
    let branch = Policy::branch("side");
    let all = With {
        policy: branch.clone(),
        ..With::default()
    };
    give(repo, (&town.owner, other), "/", all, START);
    let base = heads(repo);
    let begun = repo.begin_branch(&on("side"), &base, (town.owner.author(), "begin"), START);
    assert!(begun.unwrap().is_some(), "by a commit, as branches differ");
    let old = repo.clone();
    let lost = write(repo, &town.writer, ("main", "docs/b", Some("1")), START + 1).unwrap();
    let theirs = heads(repo);
    let merged = old.merge(
        &on("side"),
        &theirs,
        other.author(),
        &MergeOptions::default(),
        START + 2,
    );
    merged.unwrap();
    let side = repo.heads(&on("side")).unwrap();
    take_back(repo, &town.owner, &town.to_writer, START + 3).unwrap();
    assert_eq!(heads(repo), base);
    assert_eq!(repo.beside(&main()).unwrap(), [lost].into());
    // There it is what they wrote themselves.
    assert_eq!(repo.heads(&on("side")).unwrap(), side);
    assert_eq!(value_on(repo, "side", "docs/b").as_deref(), Some("1"));
    assert_agree(&[repo, &town.replica()]);
    // The owner has all rights, and what they merge they take in wherever it was made.
    let theirs = [lost].into();
    let by_owner = repo.merge(
        &on("side"),
        &theirs,
        town.owner.author(),
        &MergeOptions::default(),
        START + 4,
    );
    by_owner.unwrap();
    let none = write(repo, &town.owner, ("side", "x", Some("1")), START + 5);
    none.unwrap();
    assert_eq!(heads(repo), [lost].into());
    assert_eq!(repo.beside(&main()).unwrap(), Heads::new());
    assert_agree(&[repo, &town.replica()]);
}

/// A member who was removed is none, and what others built on stays; one who comes back has all again.
#[test]
fn a_removed_member_writes_no_more() {
    let town = Town::new();
    let repo = &town.repo;
    let kept = write(repo, &town.member, ("main", "a", Some("1")), START + 1).unwrap();
    let on_top = write(repo, &town.editor, ("main", "b", Some("1")), START + 2).unwrap();
    let lost = write(repo, &town.member, ("main", "c", Some("1")), START + 3).unwrap();
    set_member(repo, &town.admin, (&town.member, None, &[]), START + 4);
    assert_eq!(heads(repo), [on_top].into());
    assert!(repo.counts(kept).unwrap() && !repo.counts(lost).unwrap());
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
    assert!(report.commits >= 2);
    let made = write(repo, &town.member, ("main", "d", Some("1")), START + 5);
    assert_eq!(refused(made), Refusal::NotMember);
    assert_agree(&[repo, &town.replica()]);
    set_member(
        repo,
        &town.admin,
        (&town.member, None, &["member"]),
        START + 6,
    );
    assert_eq!(heads(repo), [lost].into());
    assert_agree(&[repo, &town.replica()]);
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
}

/// An admin whose right went says nothing more of the space; what the owner built on holds.
#[test]
fn what_an_admin_said_goes_with_the_right() {
    let town = Town::new();
    let repo = &town.repo;
    let friends = [Person::new(9), Person::new(10)];
    let is_member = |repo: &Repo| {
        let is = |who: &Person| repo.is_member(&who.author().agent).unwrap();
        friends.each_ref().map(is)
    };
    set_member(
        repo,
        &town.admin,
        (&friends[0], None, &["member"]),
        START + 1,
    );
    write(repo, &town.owner, ("meta", "note", Some("1")), START + 2).unwrap();
    let apart = town.replica();
    take_back(repo, &town.owner, &town.to_admin, START + 3).unwrap();
    set_member(
        &apart,
        &town.admin,
        (&friends[1], None, &["member"]),
        START + 3,
    );
    let by_friend = write(&apart, &friends[1], ("main", "x", Some("1")), START + 4).unwrap();
    assert_eq!(is_member(&apart), [true, true]);
    let late = town.replica();
    for (from, to) in [
        (&apart, repo),
        (&apart, &late),
        (repo, &apart),
        (repo, &late),
    ] {
        share(from, to, START + 5);
    }
    for repo in [repo, &apart, &late] {
        assert_eq!(is_member(repo), [true, false]);
        assert!(!repo.heads(&main()).unwrap().contains(&by_friend));
    }
    assert_agree(&[repo, &apart, &late]);
}

/// What the space will say without the grants of one.
fn without(repo: &Repo, who: &Person) -> Facts {
    let mut facts = repo.authorizer().unwrap().facts().clone();
    let agent = who.author().agent;
    facts.grants.retain(|_, grant| grant.audience != agent);
    facts.members.remove(&agent);
    facts
}

/// Who takes a right away keeps what was there, if they say so first.
#[test]
fn branches_at_stake_are_kept_by_a_commit_on_top() {
    let town = Town::new();
    let repo = &town.repo;
    for name in ["side", "calm"] {
        let begun = repo.begin_branch(&on(name), &heads(repo), (town.owner.author(), ""), START);
        assert!(begun.unwrap().is_some());
    }
    write(repo, &town.owner, ("calm", "x", Some("1")), START + 1).unwrap();
    write(repo, &town.writer, ("main", "docs/b", Some("1")), START + 1).unwrap();
    repo.create_branch(&on("twin"), &heads(repo)).unwrap();
    write(repo, &town.writer, ("side", "docs/c", Some("1")), START + 1).unwrap();
    write(repo, &town.editor, ("side", "docs/d", Some("1")), START + 2).unwrap();
    let after = without(repo, &town.writer);
    let at_stake = repo.branches_at_stake(&after).unwrap();
    assert_eq!(at_stake, [main(), on("twin")]);
    assert!(
        repo.branches_at_stake(&without(repo, &town.stranger))
            .unwrap()
            .is_empty()
    );
    // A commit of somebody who could not vouch does not help.
    let clerk = Person::new(9);
    give(
        repo,
        (&town.owner, &clerk),
        "/space",
        keys("notes/"),
        START + 2,
    );
    let after = without(repo, &town.writer);
    let tried = repo.vouch_before(&main(), &after, (clerk.author(), "keep"), START + 3);
    assert_eq!(refused(tried), Refusal::Rights);
    let mut made = BTreeSet::new();
    for branch in repo.branches_at_stake(&after).unwrap() {
        let author = (town.admin.author(), "keep");
        made.extend(
            repo.vouch_before(&branch, &after, author, START + 4)
                .unwrap(),
        );
    }
    assert_eq!(made.len(), 1, "what counts on one branch does on the other");
    assert!(repo.branches_at_stake(&after).unwrap().is_empty());
    let before: Vec<_> = repo.branches().unwrap();
    take_back(repo, &town.owner, &town.to_writer, START + 5).unwrap();
    let after: Vec<_> = repo.branches().unwrap();
    assert_eq!(before[..2], after[..2]);
    assert_eq!(value_on(repo, "twin", "docs/b").as_deref(), Some("1"));
    assert_eq!(get(repo, "docs/b").as_deref(), Some("1"));
    assert_agree(&[repo, &town.replica()]);
}
