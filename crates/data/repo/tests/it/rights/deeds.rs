//! What may be committed, by whom, here and as it is received (REPO-113, REPO-114).

use allod_repo::{MergeOptions, Outcome};

use super::*;
use crate::world::{get, heads, main, refusal};

/// Who may write what: a writer what the grant says, a member all while no rule is on it.
#[test]
fn a_commit_does_what_its_author_may() {
    let town = Town::new();
    let repo = &town.repo;
    let put = |who, key| write(repo, who, ("main", key, Some("1")), START + 1);
    put(&town.owner, "a").unwrap();
    put(&town.admin, "b").unwrap();
    put(&town.member, "c").unwrap();
    put(&town.editor, "d").unwrap();
    put(&town.writer, "docs/b").unwrap();
    assert_eq!(refused(put(&town.writer, "notes/b")), Refusal::Rights);
    assert_eq!(refused(put(&town.stranger, "docs/b")), Refusal::NotMember);
    let delete = |who, key| write(repo, who, ("main", key, None), START + 2);
    delete(&town.writer, "docs/a").unwrap();
    assert_eq!(refused(delete(&town.writer, "notes/a")), Refusal::Rights);
    let other = town.replica();
    assert_agree(&[repo, &other]);
    assert_eq!(get(&other, "docs/b").as_deref(), Some("1"));
}

/// To write does not allow to delete, nor the other way round.
#[test]
fn to_delete_is_another_right() {
    let town = Town::new();
    let (repo, clerk) = (&town.repo, Person::new(9));
    give(
        repo,
        (&town.owner, &clerk),
        "/space/write",
        keys("docs/"),
        START,
    );
    write(repo, &clerk, ("main", "docs/b", Some("1")), START + 1).unwrap();
    let deleted = write(repo, &clerk, ("main", "docs/b", None), START + 2);
    assert_eq!(refused(deleted), Refusal::NotMember);
}

/// One grant has to allow the key and the branch; rules that allow the one leave the other to grants.
#[test]
fn key_and_branch_are_allowed_together() {
    let town = Town::new();
    let (repo, clerk) = (&town.repo, Person::new(9));
    let anybody: &[&str] = &["anyone"];
    let open = rule(
        On::Key,
        "open/*",
        &[(Op::Write, anybody), (Op::Delete, anybody)],
        None,
    );
    set_rule(repo, &town.owner, &open, START);
    give(
        repo,
        (&town.owner, &clerk),
        "/space/write",
        keys("docs/"),
        START,
    );
    write(repo, &clerk, ("main", "docs/b", Some("1")), START + 1).unwrap();
    // Of the branch only the grant of docs/ says anything.
    let apart = write(repo, &clerk, ("main", "open/a", Some("1")), START + 1);
    assert_eq!(refused(apart), Refusal::NotMember, "who reads nothing here");
    write(repo, &town.member, ("main", "open/a", Some("1")), START + 1).unwrap();
}

/// What a replica would not make it does not take: everything that is asked here is asked of what arrives.
#[test]
fn what_arrives_is_asked_the_same() {
    let town = Town::new();
    let repo = &town.repo;
    let other = town.replica();
    let made = write(repo, &town.owner, ("main", "notes/b", Some("1")), START + 1).unwrap();
    let also = write(repo, &town.owner, ("main", "docs/b", Some("1")), START + 2).unwrap();
    let send = |statement, of| offer((repo, &other), (statement, of), &main(), START + 3);
    let by_writer = forged(repo, made, &town.writer, |_| {});
    assert_eq!(refusal(send(by_writer, made).map(drop)), Refusal::Rights);
    let by_stranger = forged(repo, made, &town.stranger, |_| {});
    let answer = send(by_stranger, made).map(drop);
    assert_eq!(refusal(answer), Refusal::NotMember);
    // The key that it may write, and a head of meta that nobody has.
    share_some((repo, &other), &main(), &[made].into(), START + 3);
    let unknown: Cid = *repo.commit(made).unwrap().cid();
    let foreign = forged(repo, also, &town.writer, |said| {
        said.policy = Some(CommitId::from_cid(unknown));
    });
    assert_eq!(refusal(send(foreign, also).map(drop)), Refusal::Policy);
    let nothing = forged(repo, also, &town.writer, |said| said.policy = None);
    assert_eq!(refusal(send(nothing, also).map(drop)), Refusal::NotMember);
    let right = forged(repo, also, &town.writer, |_| {});
    let id = send(right, also).unwrap();
    assert_eq!(heads(&other), [id].into());
}

/// Only who administers the space changes `meta`.
#[test]
fn meta_is_for_who_administers() {
    let town = Town::new();
    let repo = &town.repo;
    for who in [&town.writer, &town.member, &town.editor, &town.stranger] {
        let made = write(repo, who, ("meta", "anything", Some("1")), START + 1);
        assert_eq!(refused(made), Refusal::NotOwner);
        let member = Person::new(20).author().agent;
        let made = repo.add_member(&member, who.author(), START + 1);
        assert_eq!(refused(made), Refusal::NotOwner);
    }
    let anybody: &[&str] = &["anyone"];
    set_rule(
        repo,
        &town.admin,
        &rule(On::Key, "wall/*", &[(Op::Write, anybody)], None),
        START + 1,
    );
    set_member(
        repo,
        &town.admin,
        (&town.stranger, None, &["member"]),
        START + 1,
    );
    write(
        repo,
        &town.stranger,
        ("main", "wall/a", Some("1")),
        START + 2,
    )
    .unwrap();
    // A grant with a condition is none of the space.
    let clerk = Person::new(9);
    give(repo, (&town.owner, &clerk), "/", keys("docs/"), START + 2);
    let made = write(repo, &clerk, ("meta", "anything", Some("1")), START + 3);
    assert_eq!(refused(made), Refusal::NotOwner);
}

/// A key of its own each, and roles: the spaces of a chat and of a wiki.
#[test]
fn rules_say_who_writes_which_keys() {
    let town = Town::new();
    let repo = &town.repo;
    let (members, editors): (&[&str], &[&str]) = (&["member"], &["editor"]);
    for one in [
        rule(On::Key, "user:{id}:*", &[], Some("{id}")),
        rule(
            On::Key,
            "pages/*",
            &[(Op::Write, editors), (Op::Delete, editors)],
            None,
        ),
        rule(
            On::Key,
            "chat/*",
            &[(Op::Write, members), (Op::Delete, &[])],
            None,
        ),
    ] {
        set_rule(repo, &town.owner, &one, START);
    }
    let put = |who, key: &str| write(repo, who, ("main", key, Some("1")), START + 1);
    put(&town.member, "user:mia:name").unwrap();
    let did = town.member.author().agent.to_string();
    let short = did.strip_prefix("did:key:").unwrap();
    put(&town.member, &format!("user:{short}:name")).unwrap();
    assert_eq!(refused(put(&town.member, "user:eve:name")), Refusal::Rights);
    put(&town.editor, "pages/a").unwrap();
    assert_eq!(refused(put(&town.member, "pages/a")), Refusal::Rights);
    put(&town.member, "chat/1").unwrap();
    for who in [&town.member, &town.editor, &town.owner] {
        let gone = write(repo, who, ("main", "chat/1", None), START + 2);
        assert_eq!(refused(gone), Refusal::Rights, "nobody may");
    }
    // What no rule names is for grants, once rules name the operation at all.
    assert_eq!(refused(put(&town.member, "elsewhere")), Refusal::Rights);
    assert_agree(&[repo, &town.replica()]);
}

/// A handle that two have is nobody's.
#[test]
fn what_two_are_called_nobody_is() {
    let town = Town::new();
    let repo = &town.repo;
    let own = rule(On::Key, "user:{id}:*", &[], Some("{id}"));
    set_rule(repo, &town.owner, &own, START);
    let mine = |at| write(repo, &town.member, ("main", "user:mia:name", Some("1")), at);
    mine(START + 1).unwrap();
    set_member(
        repo,
        &town.admin,
        (&town.stranger, Some("mia"), &["member"]),
        START + 2,
    );
    assert_eq!(refused(mine(START + 3)), Refusal::Rights);
    set_member(
        repo,
        &town.admin,
        (&town.stranger, Some("max"), &["member"]),
        START + 4,
    );
    mine(START + 5).unwrap();
    // Removed, and there again under another name.
    set_member(repo, &town.admin, (&town.member, None, &[]), START + 6);
    assert_eq!(refused(mine(START + 7)), Refusal::NotMember);
    set_member(
        repo,
        &town.admin,
        (&town.member, Some("mim"), &["member"]),
        START + 8,
    );
    assert_eq!(refused(mine(START + 9)), Refusal::Rights);
    write(
        repo,
        &town.member,
        ("main", "user:mim:name", Some("1")),
        START + 9,
    )
    .unwrap();
}

/// A grant counts at the time of the commit's stamp.
#[test]
fn a_grant_holds_from_and_until() {
    let town = Town::new();
    let (repo, clerk) = (&town.repo, Person::new(9));
    let with = With {
        times: (Some(START + 10), Some(START + 20)),
        ..keys("docs/")
    };
    give(repo, (&town.owner, &clerk), "/space/write", with, START);
    let put = |at| write(repo, &clerk, ("main", "docs/c", Some("1")), at);
    assert_eq!(refused(put(START + 9)), Refusal::NotMember);
    let made = put(START + 10).unwrap();
    put(START + 19).unwrap();
    assert_eq!(refused(put(START + 20)), Refusal::NotMember);
    // What was made in time stays, however late somebody looks.
    let other = town.replica();
    repo.reconsider().unwrap();
    assert_agree(&[repo, &other]);
    assert!(repo.stands(made).unwrap());
}

/// A merge is asked for the branch, and for all that it brings there.
#[test]
fn a_merge_brings_what_its_author_may_write() {
    let town = Town::new();
    let (repo, clerk) = (&town.repo, Person::new(9));
    repo.create_branch(&on("side"), &heads(repo)).unwrap();
    write(repo, &town.owner, ("side", "docs/b", Some("1")), START + 1).unwrap();
    write(repo, &town.owner, ("main", "docs/c", Some("1")), START + 1).unwrap();
    give(
        repo,
        (&town.owner, &clerk),
        "/space",
        keys("docs/"),
        START + 2,
    );
    let merge = |who: &Person, at| {
        let theirs = repo.heads(&on("side")).unwrap();
        repo.merge(&main(), &theirs, who.author(), &MergeOptions::default(), at)
    };
    // Nothing lets the clerk merge.
    assert_eq!(refused(merge(&clerk, START + 3)), Refusal::Rights);
    give(
        repo,
        (&town.owner, &clerk),
        "/branch/merge",
        With::default(),
        START + 3,
    );
    let done = merge(&clerk, START + 4).unwrap();
    assert!(matches!(done, Outcome::Done(_)), "{done:?}");
    write(repo, &town.owner, ("side", "notes/b", Some("1")), START + 5).unwrap();
    write(repo, &town.owner, ("main", "docs/d", Some("1")), START + 5).unwrap();
    assert_eq!(refused(merge(&clerk, START + 6)), Refusal::Rights);
    let done = merge(&town.member, START + 6).unwrap();
    assert!(matches!(done, Outcome::Done(_)), "{done:?}");
    assert_agree(&[repo, &town.replica()]);
}

/// A commit names a head of `meta` that allows it alone.
#[test]
fn one_head_of_meta_allows_it() {
    let town = Town::new();
    let (repo, clerk) = (&town.repo, Person::new(9));
    let forks: Vec<Repo> = (0..6).map(|_| town.replica()).collect();
    for (number, fork) in (0_u8..).zip(&forks) {
        let to = if number == 3 {
            &clerk
        } else {
            &Person::new(30 + number)
        };
        give(
            fork,
            (&town.owner, to),
            "/space/write",
            keys("docs/"),
            START + 1,
        );
    }
    for fork in &forks {
        share(fork, repo, START + 1);
    }
    assert_eq!(repo.heads(&BranchName::meta()).unwrap().len(), 6);
    let made = write(repo, &clerk, ("main", "docs/b", Some("1")), START + 2).unwrap();
    let other = town.replica();
    assert_eq!(heads(&other), [made].into());

    // What two say together, one of them has to say.
    let (one, two) = (town.replica(), town.replica());
    let nobody: &[&str] = &[];
    give(
        &one,
        (&town.owner, &town.stranger),
        "/space/write",
        keys("x/"),
        START + 3,
    );
    let also = With {
        nonce: 1,
        policy: Policy::prefix("y/"),
        ..With::default()
    };
    give(
        &two,
        (&town.owner, &town.stranger),
        "/space/write",
        also,
        START + 3,
    );
    for fork in [&one, &two] {
        share(fork, repo, START + 3);
    }
    let mut change = repo.begin(&main()).unwrap();
    change.put("x/a", "1").unwrap();
    change.put("y/a", "1").unwrap();
    let apart = change.commit(town.stranger.author(), "both", START + 4);
    assert!(matches!(apart, Err(RepoError::RightsApart)), "{apart:?}");
    set_rule(
        repo,
        &town.admin,
        &rule(On::Key, "z/*", &[(Op::Read, nobody)], None),
        START + 4,
    );
    let mut change = repo.begin(&main()).unwrap();
    change.put("x/a", "1").unwrap();
    change.put("y/a", "1").unwrap();
    change
        .commit(town.stranger.author(), "both", START + 5)
        .unwrap();
    assert_agree(&[repo, &town.replica()]);
}

/// Many keys at once are asked about as one by one: one that is not allowed is found wherever it is.
#[test]
fn one_of_many_keys_is_found() {
    let town = Town::new();
    let repo = &town.repo;
    let many = |other: Option<&str>, deleted: bool, at| {
        let mut change = repo.begin(&main()).unwrap();
        for number in 0..40 {
            change
                .put(format!("docs/{number:02}"), format!("{at}"))
                .unwrap();
        }
        match other {
            Some(key) if deleted => change.delete(key.to_owned()).unwrap(),
            Some(key) => change.put(key.to_owned(), "1").unwrap(),
            None => {}
        }
        change.commit(town.writer.author(), "many", at)
    };
    many(None, false, START + 1).unwrap();
    many(Some("docs/03"), true, START + 2).unwrap();
    for other in ["a", "docs", "docs.", "docs0", "z"] {
        for deleted in [false, true] {
            let made = many(Some(other), deleted, START + 3);
            assert_eq!(refused(made), Refusal::Rights, "{other}");
        }
    }
    let other = town.replica();
    assert_agree(&[repo, &other]);
    assert_eq!(heads(&other).len(), 1);
}
