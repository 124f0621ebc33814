//! Where what may be done differs between branches, they stand at commits of their own (REPO-116).

use allod_repo::{FastForward, MergeOptions, Outcome, Resolving, Unstashed};

use super::*;
use crate::world::{heads, main, refusal, value_on};

/// `main` is for editors, all else for members; editors begin branches and merge.
fn with_rules() -> Town {
    let town = Town::new();
    let (editors, members): (&[&str], &[&str]) = (&["editor"], &["member"]);
    let all = [
        rule(
            On::Branch,
            "main",
            &[(Op::Write, editors), (Op::Merge, editors)],
            None,
        ),
        rule(
            On::Branch,
            "*",
            &[
                (Op::Write, members),
                (Op::Create, editors),
                (Op::Merge, members),
            ],
            None,
        ),
    ];
    for one in all {
        set_rule(&town.repo, &town.owner, &one, START);
    }
    town
}

/// A branch is begun with a commit by who may, and not by a move.
#[test]
fn a_branch_begins_with_a_commit() {
    let town = with_rules();
    let repo = &town.repo;
    let base = heads(repo);
    let created = repo.create_branch(&on("side"), &base);
    assert!(
        matches!(created, Err(RepoError::MadeElsewhere(_))),
        "{created:?}"
    );
    let begin = |who: &Person, name| {
        repo.begin_branch(&on(name), &base, (who.author(), "begin"), START + 1)
    };
    assert_eq!(refused(begin(&town.member, "side")), Refusal::Rights);
    let begun = begin(&town.editor, "side").unwrap().unwrap();
    assert_eq!(repo.heads(&on("side")).unwrap(), [begun].into());
    assert!(matches!(
        begin(&town.editor, "side"),
        Err(RepoError::BranchExists(_))
    ));
    assert_eq!(value_on(repo, "side", "docs/a").as_deref(), Some("0"));
    write(repo, &town.member, ("side", "docs/b", Some("1")), START + 2).unwrap();
    let made = write(repo, &town.member, ("main", "docs/b", Some("1")), START + 2);
    assert_eq!(refused(made), Refusal::Rights);
    // One that is empty is begun by writing there.
    let made = write(repo, &town.member, ("new", "a", Some("1")), START + 3);
    assert_eq!(refused(made), Refusal::Rights);
    write(repo, &town.editor, ("new", "a", Some("1")), START + 3).unwrap();
    // What stood there before is no less its own.
    let gone = repo.delete_branch(&on("new"), true).unwrap();
    repo.create_branch(&on("new"), &gone).unwrap();
    assert_agree(&[repo, &town.replica()]);

    // Where members may do all, branches begin as ever.
    let plain = space(&town.owner);
    set_member(
        &plain,
        &town.owner,
        (&town.member, None, &["member"]),
        START,
    );
    write(&plain, &town.owner, ("main", "a", Some("1")), START).unwrap();
    let author = (town.member.author(), "begin");
    let at = heads(&plain);
    let begun = plain.begin_branch(&on("side"), &at, author, START + 1);
    assert_eq!(begun.unwrap(), None);
    assert_eq!(plain.heads(&on("side")).unwrap(), at);
}

/// What was made on a branch that somebody may write is not shown on another one.
#[test]
fn a_commit_is_no_head_of_another_branch() {
    let town = with_rules();
    let repo = &town.repo;
    let base = heads(repo);
    let author = (town.editor.author(), "begin");
    repo.begin_branch(&on("side"), &base, author, START + 1)
        .unwrap();
    let apart = write(repo, &town.member, ("side", "docs/b", Some("1")), START + 2).unwrap();
    let other = town.replica();
    let before = heads(&other);
    other.join_branch(&main(), &[apart].into()).unwrap();
    assert_eq!(heads(&other), before);
    assert_eq!(other.beside(&main()).unwrap(), [apart].into());
    // Nor where a grant tells branches apart, or a rule that denies.
    for says in ["grant", "deny"] {
        let town = Town::new();
        let (repo, clerk) = (&town.repo, Person::new(9));
        if says == "grant" {
            let policy = Policy::branch("side");
            let with = With {
                policy,
                ..With::default()
            };
            give(repo, (&town.owner, &clerk), "/space", with, START);
            give(
                repo,
                (&town.owner, &clerk),
                "/branch/create",
                With {
                    nonce: 1,
                    ..With::default()
                },
                START,
            );
        } else {
            set_member(
                repo,
                &town.owner,
                (&clerk, None, &["guest", "member"]),
                START,
            );
            let mut deny = Roles::new();
            deny.insert(Op::Write, vec!["guest".to_owned()]);
            let draft = Draft {
                on: On::Branch,
                allow: Roles::new(),
                deny,
                owner: None,
                pattern: "main".parse().unwrap(),
            };
            set_rule(repo, &town.owner, &draft.try_into().unwrap(), START);
            set_rule(repo, &town.owner, &everywhere(), START);
        }
        let made = write(repo, &clerk, ("main", "x", Some("1")), START + 1);
        assert_eq!(refused(made), Refusal::Rights, "{says}");
        let made = write(repo, &clerk, ("side", "x", Some("1")), START + 1).unwrap();
        let other = town.replica();
        let before = heads(&other);
        other.join_branch(&main(), &[made].into()).unwrap();
        assert_eq!(heads(&other), before, "{says}");
        assert_eq!(other.heads(&on("side")).unwrap(), [made].into());
    }
}

/// What members may where no other rule is.
fn everywhere() -> Rule {
    let members: &[&str] = &["member"];
    let ops = [Op::Write, Op::Create, Op::Merge].map(|op| (op, members));
    rule(On::Branch, "*", &ops, None)
}

/// A merge never moves the branch to what was made elsewhere.
#[test]
fn a_merge_is_a_commit() {
    let town = with_rules();
    let repo = &town.repo;
    let author = (town.editor.author(), "begin");
    repo.begin_branch(&on("side"), &heads(repo), author, START + 1)
        .unwrap();
    write(repo, &town.member, ("side", "docs/b", Some("1")), START + 2).unwrap();
    let theirs = repo.heads(&on("side")).unwrap();
    let merge = |who: &Person, fast_forward| {
        let options = MergeOptions {
            fast_forward,
            ..MergeOptions::default()
        };
        repo.merge(&main(), &theirs, who.author(), &options, START + 3)
    };
    let only = merge(&town.editor, FastForward::Only);
    assert!(
        matches!(only, Err(RepoError::NotFastForward(_))),
        "{only:?}"
    );
    assert_eq!(
        refused(merge(&town.member, FastForward::Allowed)),
        Refusal::Rights
    );
    let done = merge(&town.editor, FastForward::Allowed).unwrap();
    let Outcome::Done(done) = done else {
        panic!("{done:?}")
    };
    assert_eq!(heads(repo), done.commits.iter().copied().collect());
    assert_eq!(value_on(repo, "main", "docs/b").as_deref(), Some("1"));
    let again = merge(&town.editor, FastForward::Allowed).unwrap();
    assert_eq!(again, Outcome::Nothing);
    // Into a branch that is not there it begins one; a branch of its own commits still moves to them.
    let into = repo.merge(
        &on("new"),
        &theirs,
        town.editor.author(),
        &MergeOptions::default(),
        START + 4,
    );
    assert!(matches!(into.unwrap(), Outcome::Done(_)));
    let (other, back) = (town.replica(), heads(repo));
    let ahead = write(
        &other,
        &town.editor,
        ("main", "docs/c", Some("1")),
        START + 5,
    )
    .unwrap();
    share_some((&other, repo), &on("side"), &Heads::new(), START + 5);
    for id in other.missing(&[ahead].into(), &back).unwrap() {
        let commit = other.commit(id).unwrap();
        let changes = other.changes_of(&commit, usize::MAX).unwrap().unwrap();
        let reviewed = repo.review(commit.bytes().clone(), START + 5).unwrap();
        let complete = repo.with_changes(reviewed, &changes).unwrap();
        repo.accept_apart(complete, &main()).unwrap();
    }
    let moved = repo.merge(
        &main(),
        &[ahead].into(),
        town.editor.author(),
        &MergeOptions::default(),
        START + 6,
    );
    assert!(matches!(moved.unwrap(), Outcome::FastForward { .. }));
    assert_agree(&[repo, &other]);
}

/// A pick and a stash are commits of who does them; what was undone does not stand where it may not.
#[test]
fn what_moves_a_branch_otherwise_is_asked_too() {
    let town = with_rules();
    let repo = &town.repo;
    let base = heads(repo);
    let author = (town.editor.author(), "begin");
    repo.begin_branch(&on("side"), &base, author, START + 1)
        .unwrap();
    let made = write(repo, &town.member, ("side", "docs/b", Some("1")), START + 2).unwrap();
    let pick = |who: &Person| {
        repo.cherry_pick(&main(), made, who.author(), Resolving::default(), START + 3)
    };
    assert_eq!(refused(pick(&town.member)), Refusal::Rights);
    assert!(matches!(pick(&town.editor).unwrap(), Outcome::Done(_)));

    // Edits that are staged are anybody's; the commit is not.
    let edit = [("docs/c".into(), allod_repo::Edit::Put("1".into()))];
    repo.stage(&main(), edit, START + 4).unwrap();
    let number = repo.stash(&main(), "later", START + 4).unwrap();
    let popped = repo.unstash(&main(), number, true, Resolving::default(), START + 5);
    assert!(matches!(popped.unwrap(), Unstashed::Staged { .. }));
    let by_member = repo.commit_staged(&main(), town.member.author(), "", START + 6);
    assert_eq!(refused(by_member), Refusal::Rights);
    repo.commit_staged(&main(), town.editor.author(), "", START + 6)
        .unwrap();

    // A replay is commits on the branch that it is for.
    write(repo, &town.member, ("side", "docs/d", Some("1")), START + 7).unwrap();
    let (onto, both) = (heads(repo), (town.member.author(), Resolving::default()));
    let replayed = repo.rebase(&on("side"), &onto, &on("side"), both, START + 7);
    assert_eq!(refused(replayed), Refusal::Rights);
    repo.abort(&on("side")).ok();
    let both = (town.owner.author(), Resolving::default());
    let replayed = repo.rebase(&on("side"), &onto, &on("side"), both, START + 8);
    assert!(matches!(replayed.unwrap(), Outcome::Done(_)));
    for head in repo.heads(&on("side")).unwrap() {
        assert_eq!(repo.commit(head).unwrap().payload().branch, on("side"));
    }
    assert_agree(&[repo, &town.replica()]);
}

/// A replay of which nothing is left would leave a branch at commits of another one.
#[test]
fn a_replay_of_nothing_is_no_move() {
    let town = with_rules();
    let repo = &town.repo;
    let author = (town.editor.author(), "begin");
    repo.begin_branch(&on("side"), &heads(repo), author, START + 1)
        .unwrap();
    for branch in ["main", "side"] {
        write(repo, &town.editor, (branch, "docs/b", Some("1")), START + 2).unwrap();
    }
    let before = repo.heads(&on("side")).unwrap();
    let both = (town.owner.author(), Resolving::default());
    let replayed = repo.rebase(&on("side"), &heads(repo), &on("side"), both, START + 3);
    assert!(
        matches!(replayed, Err(RepoError::MadeElsewhere(_))),
        "{replayed:?}"
    );
    assert_eq!(repo.heads(&on("side")).unwrap(), before);
}

/// Once rights differ between branches, a move is not undone to where the branch may not stand, and what stands elsewhere is
/// kept by a commit on top.
#[test]
fn what_stands_elsewhere_when_rules_come() {
    let town = Town::new();
    let repo = &town.repo;
    repo.create_branch(&on("side"), &heads(repo)).unwrap();
    let at = heads(repo);
    write(repo, &town.member, ("side", "docs/b", Some("1")), START + 1).unwrap();
    let (position, _) = repo.moves(1).unwrap()[0];
    repo.create_branch(&on("twin"), &at).unwrap();
    let editors: &[&str] = &["editor"];
    let on_main = rule(On::Branch, "main", &[(Op::Write, editors)], None);
    let mut after = repo.authorizer().unwrap().facts().clone();
    after.rules.insert("0".repeat(32), on_main.clone());
    after.rules.insert("1".repeat(32), everywhere());
    assert_eq!(repo.branches_at_stake(&after).unwrap(), [on("twin")]);
    let unkept = town.replica();
    let by_owner = |text| (town.owner.author(), text);
    let kept = repo.vouch_before(&on("twin"), &after, by_owner("keep"), START + 2);
    let kept = kept.unwrap().unwrap();
    assert!(repo.branches_at_stake(&after).unwrap().is_empty());
    for repo in [repo, &unkept] {
        set_rule(repo, &town.owner, &everywhere(), START + 3);
        set_rule(repo, &town.owner, &on_main, START + 3);
    }
    assert_eq!(repo.heads(&on("twin")).unwrap(), [kept].into());
    assert_eq!(unkept.heads(&on("twin")).unwrap(), Heads::new());
    assert_eq!(unkept.beside(&on("twin")).unwrap(), at);
    let undone = repo.undo(position);
    assert!(
        matches!(undone, Err(RepoError::MadeElsewhere(_))),
        "{undone:?}"
    );
    // What nobody kept is there to be taken in.
    let taken = unkept.take_in(&on("twin"), town.owner.author(), "take it in", START + 4);
    let taken = taken.unwrap().unwrap();
    assert_eq!(unkept.heads(&on("twin")).unwrap(), [taken].into());
    share(&unkept, repo, START + 5);
    share(repo, &unkept, START + 5);
    assert_agree(&[repo, &unkept]);
}

/// Who may not begin a branch, or write on one, cannot do so at another replica either.
#[test]
fn a_beginning_is_asked_of_who_receives_it() {
    let town = with_rules();
    let repo = &town.repo;
    let other = town.replica();
    let author = (town.owner.author(), "begin");
    let begun = repo.begin_branch(&on("side"), &heads(repo), author, START + 1);
    let begun = begun.unwrap().unwrap();
    let by_member = forged(repo, begun, &town.member, |_| {});
    let taken = offer((repo, &other), (by_member, begun), &on("side"), START + 1);
    assert_eq!(refusal(taken.map(drop)), Refusal::Rights);
    let by_editor = forged(repo, begun, &town.editor, |_| {});
    offer((repo, &other), (by_editor, begun), &on("side"), START + 1).unwrap();
}
