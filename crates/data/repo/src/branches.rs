//! Deleting branches (MERGE-40).

use allod_blocks::{Batch, BatchOutcome, Expect};
use bytes::Bytes;

use crate::error::RepoError;
use crate::ids::BranchName;
use crate::layout;
use crate::repo::{Heads, Repo, lock};
use crate::work::forget;
use crate::write::TRIES;

/// References read at a time.
const PAGE: usize = 4096;

impl Repo {
    /// Deletes a branch here and returns the heads it had; the log keeps them.
    ///
    /// Without `force`, fails if the branch has commits that no other branch has
    /// ([`RepoError::Unmerged`]), staged edits ([`RepoError::InTheWay`]) or something under way
    /// ([`RepoError::UnderWay`]); with it, all of that goes. `main` and `meta` stay
    /// ([`RepoError::BranchKept`]).
    pub fn delete_branch(&self, branch: &BranchName, force: bool) -> Result<Heads, RepoError> {
        if branch.is_meta() || *branch == BranchName::main() {
            return Err(RepoError::BranchKept(branch.clone()));
        }
        for _ in 0..TRIES {
            let (raw, heads) = self.read_heads(branch)?;
            if raw.is_none() {
                return Err(RepoError::NoBranch(branch.clone()));
            }
            let staged = self.staged(branch)?;
            let task = self.stored_task(branch)?;
            if !force {
                self.check_merged(branch, &heads)?;
                self.check_idle(branch)?;
            }
            let mut batch = Batch::new();
            self.move_heads(branch, (raw, &heads), &Heads::new(), &mut batch)?;
            let beside = layout::beside(self.id(), branch);
            batch.set_ref(beside, Expect::Any, None::<Bytes>);
            self.consume(branch, &staged, &mut batch);
            if let Some((_, stored)) = &task {
                self.end_task(branch, stored, &mut batch);
            }
            self.forget_conflicts(branch, &mut batch)?;
            let mut all = lock(&self.inner.staged);
            if let BatchOutcome::Done { .. } = self.store().commit(batch)? {
                forget(all.entry(branch.clone()).or_default(), &staged);
                return Ok(heads);
            }
        }
        Err(RepoError::Contended(branch.clone()))
    }

    /// Refuses a branch with staged edits or something under way.
    pub(crate) fn check_idle(&self, branch: &BranchName) -> Result<(), RepoError> {
        if let Some((key, _)) = self.staged(branch)?.iter().next() {
            return Err(RepoError::InTheWay { key: key.to_vec() });
        }
        if self.under_way(branch)?.is_some() {
            return Err(RepoError::UnderWay(branch.clone()));
        }
        Ok(())
    }

    fn check_merged(&self, branch: &BranchName, heads: &Heads) -> Result<(), RepoError> {
        let mut others = Heads::new();
        for (name, theirs) in self.branches()? {
            if name != *branch {
                others.extend(theirs);
            }
        }
        if self.has_all(&others, heads)? {
            Ok(())
        } else {
            Err(RepoError::Unmerged(branch.clone()))
        }
    }

    /// Adds to `batch` the removal of the conflict records of a branch: they are about nothing
    /// when another branch of its name is made.
    fn forget_conflicts(&self, branch: &BranchName, batch: &mut Batch) -> Result<(), RepoError> {
        let prefix = layout::clashes(self.id(), branch);
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.store().scan_refs(&prefix, after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (name, _) in page {
                batch.set_ref(name, Expect::Any, None::<Bytes>);
            }
        }
    }
}
