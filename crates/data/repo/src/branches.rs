//! Beginning and deleting branches (REPO-116, MERGE-40).

use allod_blocks::{Batch, BatchOutcome, Expect};
use bytes::Bytes;

use crate::beside::Raw;
use crate::error::RepoError;
use crate::hooks::Act;
use crate::ids::{BranchName, CommitId};
use crate::layout;
use crate::repo::{Author, Heads, Repo, lock};
use crate::stamp::Stamp;
use crate::statements::PARENTS_MAX;
use crate::work::forget;
use crate::write::{Draft, Entries, TRIES};

/// References read at a time.
const PAGE: usize = 4096;

impl Repo {
    /// Begins a branch at commits of this space. Where rules or grants say who may do what that is a commit on it, which is
    /// returned: others may then write there who may not begin a branch (REPO-114). Elsewhere it is what
    /// [`create_branch`](Self::create_branch) does.
    ///
    /// # Errors
    /// Those of [`create_branch`](Self::create_branch), and those of a commit by `author`.
    pub fn begin_branch(
        &self,
        name: &BranchName,
        heads: &Heads,
        (author, message): (Author<'_>, &str),
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        if self.rights()?.are_plain() {
            return self.create_branch(name, heads).map(|()| None);
        }
        if name.is_meta() || self.read_heads(name)?.0.is_some() {
            return Err(RepoError::BranchExists(name.clone()));
        }
        self.check_name(name.as_str())?;
        self.check_counting(heads)?;
        let heads = self.newest_of(heads)?;
        if heads.len() > PARENTS_MAX {
            return Err(RepoError::TooManyParents);
        }
        let draft = Draft {
            act: Act::Commit,
            branch: name,
            author,
            message,
            entries: &Entries::new(),
            newest: Stamp::default(),
            blocks: &[],
            merges: Some(&heads),
        };
        let made = self.write(&draft, (None, &Heads::new()), None, now_ms, Batch::new())?;
        made.map(Some)
            .ok_or_else(|| RepoError::BranchExists(name.clone()))
    }

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
            let (Raw { heads: raw, .. }, stand) = self.read_stand(branch)?;
            let heads = stand.heads.clone();
            if raw.is_none() && stand.beside.is_empty() {
                return Err(RepoError::NoBranch(branch.clone()));
            }
            let staged = self.staged(branch)?;
            let task = self.stored_task(branch)?;
            if !force {
                self.check_merged(branch, &stand.all())?;
                self.check_idle(branch)?;
            }
            let mut batch = Batch::new();
            if raw.is_some() {
                self.move_heads(branch, (raw, &heads), &Heads::new(), &mut batch)?;
            }
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
                drop(all);
                // What counted as this branch led to it does no more.
                let _moved = self.reconsider()?;
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
