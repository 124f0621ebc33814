//! What a commit does, as rights are asked about it (REPO-113, REPO-114).

use allod_access::{Authorizer, Grant, Op, Principal, Request, Target, Ungrant};
use allod_tree::Tree;
use bytes::Bytes;

use crate::accept::parents;
use crate::entry::Entry;
use crate::error::{Refusal, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::repo::{Heads, Repo};
use crate::rights::facts::{GRANT_PREFIX, UNGRANT_PREFIX, verified};
use crate::statements::Commit;
use crate::view::{Content, decode};

/// Grants that one agent who does not own the space may have put into `meta`: so many people are few.
const GRANTS_OF_ONE_MAX: usize = 256;

/// What a commit does.
pub(crate) struct Deed<'a> {
    repo: &'a Repo,
    said: &'a Commit,
    /// Its parents on its own branch.
    own: Heads,
    /// The state after it; none where no more than its statement is here.
    tree: Option<Tree>,
}

impl<'a> Deed<'a> {
    /// What a commit does that led to a state.
    pub(crate) fn new(repo: &'a Repo, said: &'a Commit, tree: Tree) -> Result<Self, RepoError> {
        Self::of(repo, said, Some(tree))
    }

    /// What a commit does that is here.
    pub(crate) fn stored(
        repo: &'a Repo,
        id: CommitId,
        said: &'a Commit,
    ) -> Result<Self, RepoError> {
        let tree = match repo.held_tree(id) {
            Ok(tree) => Some(tree),
            Err(RepoError::Bare(_)) => None,
            Err(error) => return Err(error),
        };
        Self::of(repo, said, tree)
    }

    /// What a commit does, as far as its statement says.
    pub(crate) fn stated(repo: &'a Repo, said: &'a Commit) -> Result<Self, RepoError> {
        Self::of(repo, said, None)
    }

    fn of(repo: &'a Repo, said: &'a Commit, tree: Option<Tree>) -> Result<Self, RepoError> {
        let mut own = Heads::new();
        for parent in &said.parents {
            if repo.commit(*parent)?.payload().branch == said.branch {
                own.insert(*parent);
            }
        }
        Ok(Self {
            repo,
            said,
            own,
            tree,
        })
    }

    /// Whether somebody may do it.
    pub(crate) fn is_allowed(
        &self,
        rights: &Authorizer,
        who: &Principal,
    ) -> Result<bool, RepoError> {
        if self.said.branch.is_meta() {
            return self.is_allowed_on_meta(rights, who);
        }
        if rights.is_plain() {
            return Ok(who.agent_id().is_some_and(|agent| rights.is_member(agent)));
        }
        let as_branch = |op| {
            rights
                .check(&self.request(who, op, Target::Branch))
                .is_allowed()
        };
        let joins = !self.own.is_empty() && self.own.len() < self.said.parents.len();
        let is_ordinary = !self.own.is_empty() && !joins;
        let op = if joins {
            Op::Merge
        } else if is_ordinary {
            Op::Write
        } else {
            Op::Create
        };
        if !as_branch(op) {
            return Ok(false);
        }
        let all = Target::Prefix(b"");
        let may_all = [Op::Write, Op::Delete]
            .into_iter()
            .all(|op| rights.check_key(&self.request(who, op, all)).is_allowed());
        if may_all {
            return Ok(true);
        }
        let mut may = true;
        self.each_change(&mut |key, entry, _before| {
            let op = if entry.is_live() {
                Op::Write
            } else {
                Op::Delete
            };
            let request = self.request(who, op, Target::Key(key));
            may = rights.check_key(&request).is_allowed();
            Ok(may)
        })?;
        Ok(may)
    }

    fn request<'r>(&'r self, who: &'r Principal, op: Op, target: Target<'r>) -> Request<'r> {
        Request {
            who,
            op,
            branch: self.said.branch.as_str(),
            target,
            at: self.said.stamp.millis(),
        }
    }

    /// REPO-114: who may not administer the space can still pass on what it has, and take that back.
    fn is_allowed_on_meta(&self, rights: &Authorizer, who: &Principal) -> Result<bool, RepoError> {
        if rights
            .check(&self.request(who, Op::Admin, Target::Branch))
            .is_allowed()
        {
            return Ok(true);
        }
        let (Some(agent), true) = (who.agent_id(), self.tree.is_some()) else {
            return Ok(false);
        };
        let space = *self.repo.id().cid();
        let at = self.said.stamp.millis();
        let (mut may, mut any) = (true, false);
        self.each_change(&mut |key, entry, before| {
            any = true;
            let key = std::str::from_utf8(key).unwrap_or_default();
            let Some(Content::Bytes(bytes)) = self.repo.content(entry)? else {
                may = false;
                return Ok(false);
            };
            may = !before
                && if let Some(name) = key.strip_prefix(GRANT_PREFIX) {
                    verified::<Grant>(name, bytes).is_some_and(|grant| {
                        let grant = grant.payload();
                        grant.issuer == *agent
                            && grant.space == space
                            && grant.proof.is_some_and(|of| rights.holds(agent, &of, at))
                            && rights.issued_by(agent) < GRANTS_OF_ONE_MAX
                    })
                } else if let Some(name) = key.strip_prefix(UNGRANT_PREFIX) {
                    verified::<Ungrant>(name, bytes).is_some_and(|ungrant| {
                        let ungrant = ungrant.payload();
                        ungrant.by == *agent && rights.may_take_back(agent, &ungrant.of)
                    })
                } else {
                    false
                };
            Ok(may)
        })?;
        Ok(may && any)
    }

    /// Hands on each entry that it changed, with whether there was one before, until that says false.
    fn each_change(&self, each: &mut EachChange<'_>) -> Result<(), RepoError> {
        let Some(tree) = &self.tree else {
            return Ok(());
        };
        // What a merge changes, it changes in what its own branch had.
        let before = if self.own.is_empty() {
            parents(self.said)
        } else {
            self.own.clone()
        };
        let (base, _) = self.repo.joined(&self.repo.held_of(&before)?)?;
        for change in base.diff(tree) {
            let change = change?;
            let Some(entry) = change.right else {
                continue;
            };
            if !each(&change.key, &decode(&entry)?, change.left.is_some())? {
                break;
            }
        }
        Ok(())
    }
}

type EachChange<'a> = dyn FnMut(&Bytes, &Entry, bool) -> Result<bool, RepoError> + 'a;

/// REPO-111 for one changed entry: what gives a right or takes it back stays in `meta`.
pub(crate) fn check_kept(
    branch: &BranchName,
    key: &[u8],
    before: Option<&Bytes>,
    entry: &Entry,
) -> Result<(), Refusal> {
    let kept = [GRANT_PREFIX, UNGRANT_PREFIX];
    let Some(before) = before else { return Ok(()) };
    if !branch.is_meta() || !kept.iter().any(|prefix| key.starts_with(prefix.as_bytes())) {
        return Ok(());
    }
    let before = Entry::decode(before).map_err(Refusal::Entry)?;
    if before.state == entry.state {
        return Ok(());
    }
    Err(Refusal::Kept)
}
