//! What is said of rights in `meta`, by whom, and what two say apart (REPO-110, REPO-111, ACCESS-5, ACCESS-14).

use allod_repo::Edit;

use super::*;
use crate::world::{main, refusal};

/// Who has a grant passes on what it allows, by themselves, and nothing else on `meta`.
#[test]
fn who_has_a_grant_passes_it_on() {
    let town = Town::new();
    let (repo, friend) = (&town.repo, Person::new(9));
    let of = Some(&town.to_writer);
    let with = || With {
        proof: of,
        ..keys("docs/x")
    };
    let passed = give(
        repo,
        (&town.writer, &friend),
        "/space/write",
        with(),
        START + 1,
    );
    write(repo, &friend, ("main", "docs/x1", Some("1")), START + 2).unwrap();
    let outside = write(repo, &friend, ("main", "docs/y1", Some("1")), START + 2);
    assert_eq!(refused(outside), Refusal::NotMember);
    // More than one has is passed on in vain.
    let all = With {
        proof: of,
        ..With::default()
    };
    let wide = Person::new(10);
    give(repo, (&town.writer, &wide), "/space/write", all, START + 3);
    let outside = write(repo, &wide, ("main", "notes/b", Some("1")), START + 4);
    assert_eq!(refused(outside), Refusal::NotMember);
    // What one does not have is not.
    let put = |by: &Person, grants: &[Verified<Grant>]| {
        repo.put_rights(grants, &[], (by.author(), "grant"), START + 5)
    };
    let with = || With {
        proof: Some(&town.to_admin),
        ..With::default()
    };
    let foreign = grant(repo, (&town.writer, &wide), "/space/read", with());
    assert_eq!(refused(put(&town.writer, &[foreign])), Refusal::NotOwner);
    let nowhere = grant(repo, (&town.member, &wide), "/space/read", With::default());
    assert_eq!(refused(put(&town.member, &[nowhere])), Refusal::NotOwner);
    let with = || With {
        proof: of,
        nonce: 7,
        ..With::default()
    };
    let of_another = grant(repo, (&town.writer, &wide), "/space/read", with());
    assert_eq!(refused(put(&town.member, &[of_another])), Refusal::NotOwner);
    // Nor together with something else.
    let mut change = repo.begin(&BranchName::meta()).unwrap();
    let good = grant(repo, (&town.writer, &wide), "/space/read", with());
    let name = format!("grant/{}", good.cid());
    change.put(name, good.bytes().clone()).unwrap();
    change.put("reach", "public").unwrap();
    let made = change.commit(town.writer.author(), "both", START + 6);
    assert_eq!(refused(made), Refusal::NotOwner);
    let other = town.replica();
    assert_agree(&[repo, &other]);
    let facts = other.authorizer().unwrap().facts().clone();
    assert!(facts.grants.contains_key(passed.cid()));
}

/// Who issued a grant of the chain takes it back, or who has it; nobody else.
#[test]
fn a_grant_is_taken_back_by_whom_it_concerns() {
    let town = Town::new();
    let (repo, friend) = (&town.repo, Person::new(9));
    let pass = |nonce| {
        let with = With {
            proof: Some(&town.to_writer),
            nonce,
            ..keys("docs/")
        };
        give(
            repo,
            (&town.writer, &friend),
            "/space/write",
            with,
            START + 1,
        )
    };
    let can = |at| {
        let who = friend.author().agent;
        let rights = repo.authorizer().unwrap();
        rights.has_grants(&who, at)
    };
    let first = pass(1);
    for who in [&town.member, &town.stranger] {
        let taken = take_back(repo, who, &first, START + 2);
        assert_eq!(refused(taken), Refusal::NotOwner);
    }
    // Who administers the space may put it there, and it does nothing.
    take_back(repo, &town.admin, &first, START + 2).unwrap();
    assert!(can(START + 2));
    take_back(repo, &friend, &first, START + 3).unwrap();
    assert!(!can(START + 3));
    let second = pass(2);
    assert!(can(START + 4));
    take_back(repo, &town.writer, &second, START + 4).unwrap();
    assert!(!can(START + 4));
    pass(3);
    take_back(repo, &town.owner, &town.to_writer, START + 5).unwrap();
    assert!(!can(START + 5), "what it rests on is gone");
    let late = write(repo, &town.writer, ("main", "docs/z", Some("1")), START + 6);
    assert_eq!(refused(late), Refusal::NotMember);
}

/// What stands under `grant/` stays as it is, whoever would change it.
#[test]
fn a_grant_does_not_change() {
    let town = Town::new();
    let repo = &town.repo;
    let key = format!("grant/{}", town.to_writer.cid());
    let meta = BranchName::meta();
    for value in [None, Some("other")] {
        let made = write(repo, &town.owner, ("meta", &key, value), START + 1);
        assert_eq!(refused(made), Refusal::Kept);
    }
    repo.stage(&meta, [(key.clone().into(), Edit::Delete)], START + 1)
        .unwrap();
    let made = repo.commit_staged(&meta, town.owner.author(), "", START + 1);
    assert_eq!(refused(made), Refusal::Kept);
    // It may say anything under a name that is none, and that stays too.
    write(
        repo,
        &town.owner,
        ("meta", "grant/none", Some("1")),
        START + 2,
    )
    .unwrap();
    let made = write(
        repo,
        &town.owner,
        ("meta", "grant/none", Some("2")),
        START + 3,
    );
    assert_eq!(refused(made), Refusal::Kept);

    // As it arrives from a replica whose rules are others.
    let other = town.replica();
    let honest = write(repo, &town.owner, ("meta", "a", Some("1")), START + 4).unwrap();
    let commit = repo.commit(honest).unwrap();
    let mut changes = repo.changes_of(&commit, usize::MAX).unwrap().unwrap();
    let (_, entry) = changes.pop_first().unwrap();
    changes.insert(key.into(), entry);
    let reviewed = other.review(commit.bytes().clone(), START + 4).unwrap();
    let taken = other.with_changes(reviewed, &changes).map(drop);
    assert_eq!(refusal(taken), Refusal::Kept);
}

/// An agent passes on to so many, and what it has passed on stays.
#[test]
fn grants_of_one_are_few() {
    let town = Town::new();
    let repo = &town.repo;
    let many = |range: std::ops::Range<u8>, nonce| -> Vec<Verified<Grant>> {
        range
            .map(|number| {
                let with = With {
                    proof: Some(&town.to_writer),
                    nonce,
                    ..keys("docs/")
                };
                let friend = Person::new(number);
                grant(repo, (&town.writer, &friend), "/space/write", with)
            })
            .collect()
    };
    let author = (town.writer.author(), "grants");
    let put = |grants: &[_], at| repo.put_rights(grants, &[], author, at);
    let first = put(&many(10..210, 1), START + 1).unwrap().unwrap();
    assert_eq!(refused(put(&many(10..67, 2), START + 2)), Refusal::NotOwner);
    put(&many(10..66, 2), START + 3).unwrap();
    assert_eq!(refused(put(&many(10..11, 3), START + 4)), Refusal::NotOwner);
    assert!(repo.stands(first).unwrap());
    let other = town.replica();
    assert_agree(&[repo, &other]);
    // Nor from who does not count them.
    let made = repo
        .put_rights(
            &many(10..11, 3),
            &[],
            (town.owner.author(), "for them"),
            START + 5,
        )
        .unwrap()
        .unwrap();
    let by_writer = forged(repo, made, &town.writer, |_| {});
    let taken = offer(
        (repo, &other),
        (by_writer, made),
        &BranchName::meta(),
        START + 5,
    );
    assert_eq!(refusal(taken.map(drop)), Refusal::NotOwner);
}

/// Of two rules that two admins made apart the stricter holds everywhere, and still when they are merged.
#[test]
fn the_stricter_of_two_rules_holds() {
    let town = Town::new();
    let repo = &town.repo;
    let (editors, members): (&[&str], &[&str]) = (&["editor"], &["member"]);
    let pages = |roles| rule(On::Key, "pages/*", &[(Op::Write, roles)], None);
    let (one, two) = (town.replica(), town.replica());
    set_rule(&one, &town.admin, &pages(editors), START + 1);
    set_rule(&two, &town.owner, &pages(members), START + 1);
    let late = write(
        &two,
        &town.member,
        ("main", "pages/a", Some("1")),
        START + 2,
    )
    .unwrap();
    for _ in 0..2 {
        for (from, to) in [(&one, &two), (&two, &one), (&one, repo), (&two, repo)] {
            share(from, to, START + 3);
        }
    }
    assert_agree(&[repo, &one, &two, &town.replica()]);
    for repo in [repo, &one, &two] {
        assert_eq!(repo.heads(&BranchName::meta()).unwrap().len(), 2);
        assert!(!repo.stands(late).unwrap());
        let made = write(
            repo,
            &town.member,
            ("main", "pages/b", Some("1")),
            START + 4,
        );
        assert_eq!(refused(made), Refusal::Rights);
    }
    // A merge of meta changes nothing of that.
    write(repo, &town.admin, ("meta", "note", Some("1")), START + 5).unwrap();
    assert_eq!(repo.heads(&BranchName::meta()).unwrap().len(), 1);
    let made = write(
        repo,
        &town.member,
        ("main", "pages/b", Some("1")),
        START + 6,
    );
    assert_eq!(refused(made), Refusal::Rights);
    write(
        repo,
        &town.editor,
        ("main", "pages/b", Some("1")),
        START + 6,
    )
    .unwrap();
    // Who says it anew takes the place of both.
    set_rule(repo, &town.admin, &pages(members), START + 7);
    assert!(
        repo.stands(late).unwrap(),
        "and so what it was about counts"
    );
    write(
        repo,
        &town.member,
        ("main", "pages/c", Some("1")),
        START + 8,
    )
    .unwrap();
    let taken = repo.set_rule(
        &Rule::removed(On::Key, "pages/*".parse().unwrap()),
        (town.admin.author(), "none"),
        START + 9,
    );
    assert!(taken.unwrap().is_some());
    assert_agree(&[repo, &town.replica()]);
    assert!(repo.authorizer().unwrap().facts().rules.len() == 1);
}

/// What a removed device granted counts if the owner has committed on top of it, and not if it came to be known later.
#[test]
fn what_a_removed_device_granted_is_for_the_owner_to_stand_for() {
    use crate::beside::{Agent, tell};
    let mut ada = Agent::new(40, 2);
    let repo = ada.space();
    let author = |device: usize| ada.by(device);
    let friends = [Person::new(9), Person::new(10)];
    let by_laptop = |to: &Person| {
        let said = Grant {
            issuer: author(1).agent,
            audience: to.author().agent,
            space: *repo.id().cid(),
            command: "/space/write".parse().unwrap(),
            policy: Policy::default(),
            proof: None,
            not_before: None,
            expires: None,
            nonce: [0; 16],
        };
        Verified::sign(author(1).key, said).unwrap()
    };
    let seen = by_laptop(&friends[0]);
    repo.put_rights(&[seen], &[], (author(1), "grant"), START)
        .unwrap();
    write_as(&repo, author(0), ("meta", "note", Some("1")), START + 1).unwrap();
    let unseen = by_laptop(&friends[1]);
    repo.put_rights(&[unseen], &[], (author(1), "grant"), START + 2)
        .unwrap();
    let agents = friends.each_ref().map(|who| who.author().agent);
    let have = |repo: &Repo| {
        let rights = repo.authorizer().unwrap();
        agents.map(|agent| rights.has_grants(&agent, START + 3))
    };
    assert_eq!(have(&repo), [true, true]);
    let early = ada.replica(&repo);
    tell(&early, &ada.log);
    share(&repo, &early, START + 3);
    assert_eq!(have(&early), [true, true]);
    ada.remove(1);
    let late = ada.replica(&repo);
    tell(&late, &ada.log);
    share(&repo, &late, START + 3);
    for repo in [&repo, &early, &late] {
        tell(repo, &ada.log);
        assert_eq!(have(repo), [true, false]);
    }
    assert_agree(&[&repo, &early, &late]);
    // What the owner takes in counts again.
    let meta = BranchName::meta();
    let taken = repo
        .take_in(&meta, ada.by(0), "take it in", START + 4)
        .unwrap();
    assert!(taken.is_some());
    assert_eq!(have(&repo), [true, true]);
    assert_eq!(repo.heads(&main()).unwrap(), Heads::new());
}
