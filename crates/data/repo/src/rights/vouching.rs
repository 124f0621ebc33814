//! Who stands for what in the history of a commit (REPO-112).

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_access::{Op, Principal, Request, Target};
use allod_identity::AgentId;

use crate::error::RepoError;
use crate::ids::{BranchName, CommitId};
use crate::repo::{Repo, lock};
use crate::rights::{ANSWERS_KEPT, Deed, Rights};
use crate::statements::Commit;

/// Commits that nobody stands for which are told apart; of more only somebody can stand for all who may do everything.
const TOLD_APART: usize = 1024;

/// Commits below another one that do not stand by themselves, and that nobody stands for.
#[derive(Clone, Debug)]
pub(crate) enum Unvouched {
    /// These.
    These(Arc<BTreeSet<CommitId>>),
    /// More than are told apart.
    Many,
}

impl Unvouched {
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::These(these) if these.is_empty())
    }

    fn none() -> Self {
        Self::These(Arc::default())
    }

    /// Those of all together, but for those that somebody stands for.
    fn together(
        of: &[Self],
        vouches: &mut dyn FnMut(CommitId) -> Result<bool, RepoError>,
    ) -> Result<Self, RepoError> {
        let mut all = BTreeSet::new();
        for one in of {
            match one {
                Self::Many => return Ok(Self::Many),
                Self::These(these) => all.extend(these.iter().copied()),
            }
        }
        let mut left = BTreeSet::new();
        for id in all {
            if !vouches(id)? {
                left.insert(id);
            }
        }
        Ok(Self::These(Arc::new(left)))
    }

    fn with(self, id: CommitId) -> Self {
        match self {
            Self::These(these) if these.len() < TOLD_APART => {
                let mut these = BTreeSet::clone(&these);
                these.insert(id);
                Self::These(Arc::new(these))
            }
            _ => Self::Many,
        }
    }
}

impl Repo {
    /// Whether a commit counts by its own history: it stands, and for each commit that it rests on and that does not,
    /// somebody stands on each way to it who may do the same (REPO-112).
    pub(crate) fn is_clean(&self, rights: &Rights, id: CommitId) -> Result<bool, RepoError> {
        if !self.stands_by(rights, id)? {
            return Ok(false);
        }
        if rights.are_plain() && !self.commit(id)?.payload().branch.is_meta() {
            // Any member may do what any other does.
            return Ok(true);
        }
        Ok(self.unvouched(rights, id)?.is_none())
    }

    /// Whether somebody may take a commit in, with what it rests on: for what stands there by nobody, they may do the same.
    pub(crate) fn may_take_in(
        &self,
        rights: &Rights,
        (author, at): (&AgentId, u64),
        id: CommitId,
    ) -> Result<bool, RepoError> {
        if rights.may_everything(author, &self.commit(id)?.payload().branch, at) {
            return Ok(true);
        }
        let Unvouched::These(these) = self.unvouched(rights, id)? else {
            return Ok(false);
        };
        for of in &*these {
            if !self.may_as_well(rights, (author, at), *of)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn unvouched(&self, rights: &Rights, id: CommitId) -> Result<Unvouched, RepoError> {
        {
            let mut known = lock(&rights.unvouched);
            if known.len() > ANSWERS_KEPT {
                known.clear();
            }
        }
        let mut open = vec![id];
        while let Some(id) = open.last().copied() {
            if lock(&rights.unvouched).contains_key(&id) {
                open.pop();
                continue;
            }
            let commit = self.commit(id)?;
            let said = commit.payload();
            let stands = self.stands_by(rights, id)?;
            let below = self.rests_on(said)?;
            let found = if stands && rights.answers_for_all(said) {
                Unvouched::none()
            } else {
                let known: Vec<Option<Unvouched>> = {
                    let unvouched = lock(&rights.unvouched);
                    below.iter().map(|it| unvouched.get(it).cloned()).collect()
                };
                let missing = below.iter().zip(&known);
                let missing = missing.filter(|(_, known)| known.is_none());
                let missing: Vec<CommitId> = missing.map(|(id, _)| *id).collect();
                if !missing.is_empty() {
                    open.extend(missing);
                    continue;
                }
                let known: Vec<Unvouched> = known.into_iter().flatten().collect();
                let who = (&said.author, said.stamp.millis());
                let found = Unvouched::together(&known, &mut |of| {
                    Ok(stands && self.may_as_well(rights, who, of)?)
                })?;
                if stands { found } else { found.with(id) }
            };
            lock(&rights.unvouched).insert(id, found);
            open.pop();
        }
        let found = lock(&rights.unvouched).get(&id).cloned();
        Ok(found.unwrap_or(Unvouched::Many))
    }

    /// Whether somebody may do at a time what a commit does.
    pub(super) fn may_as_well(
        &self,
        rights: &Rights,
        (agent, at): (&AgentId, u64),
        of: CommitId,
    ) -> Result<bool, RepoError> {
        if self.is_owner(agent) {
            return Ok(true);
        }
        let commit = self.commit(of)?;
        let deed = Deed::stored(self, of, commit.payload())?;
        deed.is_allowed(&rights.authorizer, agent, at)
    }

    /// The parents of a commit for which nobody answers by the commit itself: of a merge those on its own branch, as what
    /// it brings in from others is what it does.
    pub(crate) fn rests_on(&self, said: &Commit) -> Result<Vec<CommitId>, RepoError> {
        let (mut own, mut all) = (Vec::new(), Vec::new());
        for parent in &said.parents {
            match self.commit(*parent) {
                Ok(commit) => {
                    all.push(*parent);
                    if commit.payload().branch == said.branch {
                        own.push(*parent);
                    }
                }
                Err(RepoError::NoCommit(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(if own.is_empty() { all } else { own })
    }
}

impl Rights {
    /// Whether the author of a commit answers for all that is below it, whatever that is.
    pub(crate) fn answers_for_all(&self, said: &Commit) -> bool {
        self.may_everything(&said.author, &said.branch, said.stamp.millis())
    }

    /// Whether an agent may do everything on a branch and, where branches differ, administers the space, so that nothing is out of
    /// their reach on others.
    fn may_everything(&self, agent: &AgentId, branch: &BranchName, at: u64) -> bool {
        if agent == self.authorizer.owner() {
            return true;
        }
        if self.are_plain() && !branch.is_meta() {
            return self.authorizer.is_member(agent);
        }
        let who = &Principal::agent(*agent);
        let may = |op, target| {
            let request = Request {
                who,
                op,
                branch: branch.as_str(),
                target,
                at,
            };
            self.authorizer.check(&request).is_allowed()
        };
        let all = Target::Prefix(b"");
        may(Op::Write, all)
            && may(Op::Delete, all)
            && may(Op::Create, Target::Branch)
            && may(Op::Merge, Target::Branch)
            && (!self.authorizer.rules_moves() || may(Op::Admin, Target::Branch))
    }
}
