//! Taking moves of branches back, by what the log says of them (WORK-10 to WORK-14).

use std::ops::Range;

use allod_blocks::{Batch, BatchOutcome};

use crate::error::RepoError;
use crate::event::{RefMove, log_range};
use crate::ids::BranchName;
use crate::repo::{Heads, Repo};

/// Log entries read at a time.
const PAGE: u64 = 256;

impl Repo {
    /// The last `limit` moves of the space's branches with their positions in the log, the newest
    /// first. Other spaces of the store have theirs in the same log.
    pub fn moves(&self, limit: usize) -> Result<Vec<(u64, RefMove)>, RepoError> {
        let mut found = Vec::new();
        let Range { start, mut end } = log_range(self.store().as_ref())?;
        while end > start && found.len() < limit {
            let from = end.saturating_sub(PAGE).max(start);
            let page = self.store().read_log(from, (end - from) as usize)?;
            // If entries went meanwhile, the page has later ones.
            for entry in page.iter().rev().filter(|entry| entry.position < end) {
                let said = RefMove::decode(&entry.bytes)?;
                if said.space == self.id() && found.len() < limit {
                    found.push((entry.position, said));
                }
            }
            end = from;
        }
        Ok(found)
    }

    /// Takes the move at a position of the log back: the branch stands again at the heads that it
    /// had before. Returns the move that did it, which is logged and can be undone like any other.
    ///
    /// Fails, and changes nothing, with
    /// - [`RepoError::NoMove`] if the log has no move of this space there;
    /// - [`RepoError::MovedSince`] if the branch stands elsewhere by now;
    /// - [`RepoError::NotUndone`] for `meta`;
    /// - [`RepoError::InTheWay`] or [`RepoError::UnderWay`] if the branch would be gone and has
    ///   staged edits or something under way;
    /// - [`RepoError::NoCommit`] if a commit is no longer here;
    /// - [`RepoError::MadeElsewhere`] if rights have come to differ between branches since (REPO-116).
    pub fn undo(&self, position: u64) -> Result<RefMove, RepoError> {
        let entry = self.store().read_log(position, 1)?.into_iter().next();
        let entry = entry.filter(|entry| entry.position == position);
        let entry = entry.ok_or(RepoError::NoMove(position))?;
        let undone = RefMove::decode(&entry.bytes)?;
        if undone.space != self.id() {
            return Err(RepoError::NoMove(position));
        }
        let branch = &undone.branch;
        if branch.is_meta() {
            return Err(RepoError::NotUndone(branch.clone()));
        }
        let (from, to): (Heads, Heads) = (
            undone.from.iter().copied().collect(),
            undone.to.iter().copied().collect(),
        );
        let _hold = self.store().uses().hold();
        let (raw, heads) = self.read_heads(branch)?;
        if heads != to {
            return Err(self.moved_since(branch, position)?);
        }
        if from.is_empty() && *branch != BranchName::main() {
            self.check_idle(branch)?;
        }
        for head in &from {
            self.observe(self.commit(*head)?.payload().stamp);
        }
        let mut batch = Batch::new();
        self.set_heads(branch, (raw, &heads), &from, &mut batch)?;
        let back = RefMove::new(self.id(), branch, &to, &from).of_commits_here();
        batch.append(back.encode()?);
        match self.store().commit(batch)? {
            BatchOutcome::Done { .. } => {
                let _moved = self.settle(branch)?;
                Ok(back)
            }
            BatchOutcome::Moved { .. } => Err(self.moved_since(branch, position)?),
        }
    }

    /// The error that names the last move of a branch after `position`.
    fn moved_since(&self, branch: &BranchName, position: u64) -> Result<RepoError, RepoError> {
        let end = self.store().stats()?.log_end;
        let mut last = position;
        let mut from = position + 1;
        while from < end {
            let page = self.store().read_log(from, PAGE as usize)?;
            let Some(read) = page.last().map(|entry| entry.position) else {
                break;
            };
            for entry in page {
                let said = RefMove::decode(&entry.bytes)?;
                if said.space == self.id() && said.branch == *branch {
                    last = entry.position;
                }
            }
            from = read + 1;
        }
        Ok(RepoError::MovedSince {
            branch: branch.clone(),
            last,
        })
    }
}
