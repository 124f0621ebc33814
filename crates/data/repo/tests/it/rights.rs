//! REPO-110 to REPO-117: who may do what, and which commits count by it.

mod branches;
mod deeds;
mod denials;
mod losing;
mod red_team;
mod saying;
mod twin;
mod worlds;

use allod_access::{Draft, Grant, Member, On, Op, Policy, Roles, Rule, Ungrant};
use allod_blocks::Cid;
use allod_identity::{SecretKey, Verified};
use allod_repo::{Author, BranchName, Commit, CommitId, Heads, Refusal, Rejected, Repo, RepoError};
use bytes::Bytes;

use crate::world::{Person, START, deliver, on, space};

/// How a grant differs from one of the owner without conditions and end.
#[derive(Default)]
pub(crate) struct With<'a> {
    pub(crate) policy: Policy,
    pub(crate) proof: Option<&'a Verified<Grant>>,
    pub(crate) times: (Option<u64>, Option<u64>),
    pub(crate) nonce: u8,
}

pub(crate) fn keys(prefix: &str) -> With<'static> {
    With {
        policy: Policy::prefix(prefix),
        ..With::default()
    }
}

pub(crate) fn grant(
    repo: &Repo,
    (by, to): (&Person, &Person),
    command: &str,
    with: With<'_>,
) -> Verified<Grant> {
    let said = Grant {
        issuer: by.author().agent,
        audience: to.author().agent,
        space: *repo.id().cid(),
        command: command.parse().unwrap(),
        policy: with.policy,
        proof: with.proof.map(|proof| *proof.cid()),
        not_before: with.times.0,
        expires: with.times.1,
        nonce: [with.nonce; 16],
    };
    Verified::sign(&by.0, said).unwrap()
}

pub(crate) fn ungrant(by: (&Person, &SecretKey), of: Cid) -> Verified<Ungrant> {
    let said = Ungrant {
        at: START,
        by: by.0.author().agent,
        of,
        reason: None,
    };
    Verified::sign(by.1, said).unwrap()
}

/// Puts a grant into `meta`, as who issued it.
pub(crate) fn give(
    repo: &Repo,
    between: (&Person, &Person),
    command: &str,
    with: With<'_>,
    now: u64,
) -> Verified<Grant> {
    let grant = grant(repo, between, command, with);
    let author = (between.0.author(), "grant");
    repo.put_rights(std::slice::from_ref(&grant), &[], author, now)
        .unwrap();
    grant
}

pub(crate) fn take_back(
    repo: &Repo,
    by: &Person,
    of: &Verified<Grant>,
    now: u64,
) -> Result<Option<CommitId>, RepoError> {
    let ungrant = ungrant((by, &by.0), *of.cid());
    repo.put_rights(&[], &[ungrant], (by.author(), "ungrant"), now)
}

/// A rule of what may be done to keys or branches by whom.
pub(crate) fn rule(on: On, pattern: &str, allow: &[(Op, &[&str])], owner: Option<&str>) -> Rule {
    let roles = |list: &&[&str]| list.iter().map(|role| (*role).to_owned()).collect();
    let allow: Roles = allow.iter().map(|(op, list)| (*op, roles(list))).collect();
    let draft = Draft {
        on,
        allow,
        deny: Roles::new(),
        owner: owner.map(ToOwned::to_owned),
        pattern: pattern.parse().unwrap(),
    };
    draft.try_into().unwrap()
}

pub(crate) fn set_rule(repo: &Repo, by: &Person, rule: &Rule, now: u64) {
    let made = repo.set_rule(rule, (by.author(), "rule"), now).unwrap();
    assert!(made.is_some(), "the rule is there already");
}

pub(crate) fn set_member(
    repo: &Repo,
    by: &Person,
    (who, name, roles): (&Person, Option<&str>, &[&str]),
    now: u64,
) {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let member = Member::new(name.map(ToOwned::to_owned), roles).unwrap();
    let (agent, author) = (who.author().agent, (by.author(), "member"));
    repo.set_member((&agent, &member), author, now).unwrap();
}

/// Puts a value, or deletes a key, in one commit; nothing is left behind where that is refused.
pub(crate) fn write(
    repo: &Repo,
    who: &Person,
    (branch, key, value): (&str, &str, Option<&str>),
    now: u64,
) -> Result<CommitId, RepoError> {
    write_as(repo, who.author(), (branch, key, value), now)
}

pub(crate) fn write_as(
    repo: &Repo,
    author: Author<'_>,
    (branch, key, value): (&str, &str, Option<&str>),
    now: u64,
) -> Result<CommitId, RepoError> {
    let made = repo.transact(&on(branch), author, "write", (2, now), |tx| match value {
        Some(value) => tx.put(key.to_owned(), value.to_owned()),
        None => tx.delete(key.to_owned()),
    });
    made.map(|(id, ())| id)
}

pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, RepoError>) -> Refusal {
    match result {
        Err(RepoError::Refused(refusal) | RepoError::Denied { refusal, .. }) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// A commit as another one, with what is told changed, signed by somebody.
pub(crate) fn forged(
    repo: &Repo,
    of: CommitId,
    by: &Person,
    change: impl FnOnce(&mut Commit),
) -> Bytes {
    let mut said = repo.commit(of).unwrap().payload().clone();
    said.author = by.author().agent;
    change(&mut said);
    Verified::sign(&by.0, said).unwrap().bytes().clone()
}

/// Offers a statement to a replica, with what another commit changed and `from` has.
pub(crate) fn offer(
    (from, to): (&Repo, &Repo),
    (statement, changes_of): (Bytes, CommitId),
    branch: &BranchName,
    now: u64,
) -> Result<CommitId, Rejected> {
    let reviewed = to.review(statement, now)?;
    let id = reviewed.id();
    let commit = from.commit(changes_of).unwrap();
    let changes = from.changes_of(&commit, usize::MAX).unwrap().unwrap();
    let complete = to.with_changes(reviewed, &changes)?;
    to.accept(complete, branch)?;
    to.join_branch(branch, &Heads::from([id]))?;
    Ok(id)
}

/// Brings all that `from` offers to `to`, `meta` first, as a session does. What is refused stays away, and what was built on it.
pub(crate) fn share(from: &Repo, to: &Repo, now: u64) {
    let mut all = from.offered().unwrap();
    all.sort_by_key(|(name, _)| !name.is_meta());
    for (branch, offered) in all {
        share_some((from, to), &branch, &offered, now);
    }
}

/// Brings commits of a branch and all before them.
pub(crate) fn share_some(
    (from, to): (&Repo, &Repo),
    branch: &BranchName,
    commits: &Heads,
    now: u64,
) {
    let mut here = Heads::new();
    for id in from.missing(commits, &Heads::new()).unwrap() {
        if !to.has_commit(id).unwrap() {
            let _refused = deliver(from, to, id, branch, now);
        }
        here.extend(to.has_commit(id).unwrap().then_some(id));
    }
    to.join_branch(branch, &here).unwrap();
}

/// A space with an owner, an admin, a writer of `docs/`, and two members of whom one is an editor.
pub(crate) struct Town {
    pub(crate) owner: Person,
    pub(crate) admin: Person,
    pub(crate) writer: Person,
    pub(crate) member: Person,
    pub(crate) editor: Person,
    pub(crate) stranger: Person,
    pub(crate) repo: Repo,
    pub(crate) to_admin: Verified<Grant>,
    pub(crate) to_writer: Verified<Grant>,
}

impl Town {
    /// It begins with `docs/a` and `notes/a` on `main`, by the owner, at [`START`].
    pub(crate) fn new() -> Self {
        let people = [1, 2, 3, 4, 5, 6].map(Person::new);
        let [owner, admin, writer, member, editor, stranger] = people;
        let repo = space(&owner);
        for key in ["docs/a", "notes/a"] {
            write(&repo, &owner, ("main", key, Some("0")), START).unwrap();
        }
        let to_admin = give(&repo, (&owner, &admin), "/", With::default(), START);
        let writing = ("/space", keys("docs/"));
        let to_writer = give(&repo, (&owner, &writer), writing.0, writing.1, START);
        set_member(&repo, &owner, (&member, Some("mia"), &["member"]), START);
        let roles = &["editor", "member"];
        set_member(&repo, &owner, (&editor, Some("eve"), roles), START);
        Self {
            owner,
            admin,
            writer,
            member,
            editor,
            stranger,
            repo,
            to_admin,
            to_writer,
        }
    }

    pub(crate) fn replica(&self) -> Repo {
        let replica = crate::world::replica(&self.repo);
        share(&self.repo, &replica, START);
        replica
    }
}

/// Whether all replicas have the same heads and the same beside, of all branches.
pub(crate) fn assert_agree(repos: &[&Repo]) {
    let stand = |repo: &Repo| -> Vec<(BranchName, Heads, Heads)> {
        let offered = repo.offered().unwrap().into_iter();
        offered
            .map(|(name, _)| {
                let (heads, beside) = (repo.heads(&name).unwrap(), repo.beside(&name).unwrap());
                (name, heads, beside)
            })
            .collect()
    };
    for repo in &repos[1..] {
        assert_eq!(stand(repo), stand(repos[0]));
    }
}
