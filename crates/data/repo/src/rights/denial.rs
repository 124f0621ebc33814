//! Why a commit is not allowed, or does not count for want of a right; and who hears of it (ACCESS-25, REPO-112).

use std::sync::Arc;

use allod_access::{Op, Verdict};
use allod_identity::AgentId;
use bytes::Bytes;

use crate::beside::BESIDE_MAX;
use crate::error::RepoError;
use crate::ids::{BranchName, CommitId};
use crate::repo::{Heads, Repo};
use crate::rights::Deed;
use crate::rights::vouching::Unvouched;

/// What of a commit somebody may not do, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// Who may not: the author of the commit.
    pub who: AgentId,
    /// When, in milliseconds since 1970: the time of the commit's stamp.
    pub at: u64,
    /// The operation: on the branch as such, or on the key; `admin` on `meta`.
    pub op: Op,
    /// The branch that the commit was made on.
    pub branch: BranchName,
    /// The first key that may not be changed; none if it is the branch.
    pub key: Option<Bytes>,
    /// The answer of ACCESS-20, with the rule, or the grant, that was nearest.
    pub verdict: Verdict,
}

impl Denial {
    /// For people, in words that go on after whose act it is: `write "docs/b" on main: no rule and no grant allows it`.
    #[must_use]
    pub fn words(&self) -> String {
        let (op, branch, why) = (self.op, &self.branch, self.verdict.words());
        match &self.key {
            Some(key) => format!("{op} \"{}\" on {branch}: {why}", key.escape_ascii()),
            None => format!("{op} on {branch}: {why}"),
        }
    }
}

/// Hears of a commit whose author may not do what it does: of one that arrives by the `meta` that it names, and of one that is here by
/// what is known. It is called between the steps of a change, and changes nothing of the space.
pub type OnDenial = dyn Fn(&Repo, CommitId, &Denial) + Send + Sync;

impl Repo {
    /// The same space with somebody who hears of commits that are refused, or that come to be beside a branch, because of what their
    /// authors may not do, through this handle and its clones.
    #[must_use]
    pub fn telling_denials(mut self, on_denial: Arc<OnDenial>) -> Self {
        self.on_denial = Some(on_denial);
        self
    }

    /// What the author of a commit that is here may not do of it, by what is known now; `None` if all of it may be done.
    ///
    /// # Errors
    /// [`RepoError::NoCommit`] if it is not here.
    pub fn denial_of(&self, id: CommitId) -> Result<Option<Denial>, RepoError> {
        let commit = self.commit(id)?;
        let said = commit.payload();
        if self.is_owner(&said.author) {
            return Ok(None);
        }
        Deed::stored(self, id, said)?.wrong(&self.rights()?.authorizer)
    }

    /// The commits that one rests on, itself too, that do not stand and that nobody stands for (REPO-112); `None` if there are more than
    /// 1,024.
    pub fn unvouched_of(&self, id: CommitId) -> Result<Option<Heads>, RepoError> {
        Ok(match self.unvouched(&*self.rights()?, id)? {
            Unvouched::These(these) => Some(Heads::clone(&these)),
            Unvouched::Many => None,
        })
    }

    /// Tells of a commit that is refused.
    pub(super) fn tell_refused(&self, id: CommitId, denial: &Denial) -> Result<(), RepoError> {
        if let Some(on_denial) = &self.on_denial
            && !self.has_commit(id)?
        {
            on_denial(self, id, denial);
        }
        Ok(())
    }

    /// Tells of commits that came to be beside a branch, and of those that they rest on, as far as that is for want of a right: of as many
    /// at a time as may be beside a branch. [`Repo::denial_of`] says it of each.
    pub(crate) fn tell_beside(&self, before: &Heads, beside: &Heads) -> Result<(), RepoError> {
        let Some(on_denial) = &self.on_denial else {
            return Ok(());
        };
        let mut room = BESIDE_MAX;
        for id in beside.difference(before) {
            let of = self.unvouched_of(*id)?;
            for id in of.unwrap_or_else(|| Heads::from([*id])) {
                if room == 0 {
                    return Ok(());
                }
                if let Some(denial) = self.denial_of(id)? {
                    on_denial(self, id, &denial);
                    room -= 1;
                }
            }
        }
        Ok(())
    }
}
