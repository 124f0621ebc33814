//! What would be lost with a right that is about to go (REPO-117).

use allod_access::Facts;

use crate::beside::Why;
use crate::error::RepoError;
use crate::ids::{BranchName, CommitId};
use crate::repo::{Author, Heads, Repo};
use crate::rights::Rights;

impl Repo {
    /// The branches of which a head would not be one any more if this were what is known of rights (REPO-117).
    ///
    /// Whoever takes a right away says here what the space will say, and commits on top of these first
    /// ([`vouch_before`](Self::vouch_before)).
    pub fn branches_at_stake(&self, after: &Facts) -> Result<Vec<BranchName>, RepoError> {
        let rights = self.rights_by(after.clone());
        let mut at_stake = Vec::new();
        for (branch, heads) in self.branches()? {
            if !self.losing(&rights, &branch, &heads)?.is_empty() {
                at_stake.push(branch);
            }
        }
        Ok(at_stake)
    }

    /// Those of the heads of a branch that would be none by these rights.
    pub(super) fn losing(
        &self,
        rights: &Rights,
        branch: &BranchName,
        heads: &Heads,
    ) -> Result<Heads, RepoError> {
        let mut losing = Heads::new();
        for head in heads {
            if !self.is_head(rights, branch, *head)? {
                losing.insert(*head);
            }
        }
        if losing.is_empty() {
            return Ok(losing);
        }
        let saved = self.saved(rights, &self.tips(branch.is_meta())?, &losing)?;
        for id in saved {
            if self.is_of(rights, branch, id)? {
                losing.remove(&id);
            }
        }
        Ok(losing)
    }

    /// Commits on top of a branch if one of its heads would be none any more if this were what is known of rights, so that what
    /// it has stays (REPO-117). `None` if none would.
    ///
    /// # Errors
    /// Those of a commit by `author`; [`Refusal::Rights`](crate::Refusal::Rights) if a commit by `author` does not help.
    pub fn vouch_before(
        &self,
        branch: &BranchName,
        after: &Facts,
        (author, message): (Author<'_>, &str),
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        let rights = self.rights_by(after.clone());
        self.build_on(branch, &Why::Lost(&rights), (author, message), now_ms)
    }
}
