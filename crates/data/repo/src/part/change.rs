//! Keeping another part of a space than before (PART-12).

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Expect};
use bytes::Bytes;

use crate::error::{Refusal, Rejected, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::layout;
use crate::part::{Kept, Part};
use crate::repo::{Repo, lock};
use crate::write::TRIES;

/// Nodes asked for at a time.
const STEP: usize = 64;

impl Repo {
    /// Begins to keep another part of the space, or another than all of it: until
    /// [`finish_part`](Self::finish_part) the replica is what it was. Returns a handle on what it is going
    /// to be, to fetch by.
    pub fn begin_part(&self, next: Part) -> Result<Self, RepoError> {
        let mut kept = Kept::stored(self.store().as_ref(), self.id())?;
        kept.next = Some(next);
        let mut batch = Batch::new();
        kept.put(self.id(), &mut batch)?;
        let _outcome = self.store().commit(batch)?;
        self.next_part()?
            .ok_or(RepoError::Damaged("what part is to be kept of a space"))
    }

    /// Goes on to keep what is kept now, and nothing else; says whether something else was begun.
    pub fn give_up_part(&self) -> Result<bool, RepoError> {
        let mut kept = Kept::stored(self.store().as_ref(), self.id())?;
        let was_begun = kept.next.take().is_some();
        if was_begun {
            let mut batch = Batch::new();
            kept.put(self.id(), &mut batch)?;
            let _outcome = self.store().commit(batch)?;
        }
        Ok(was_begun)
    }

    /// A handle on what the replica is going to be, if that was begun and not finished.
    pub fn next_part(&self) -> Result<Option<Self>, RepoError> {
        let kept = Kept::stored(self.store().as_ref(), self.id())?;
        Ok(kept.next.map(|next| Self {
            as_part: Some(Arc::new(next)),
            ..self.clone()
        }))
    }

    /// Makes slices, from what is here, of the commits whose entries are to be kept (PART-6); returns those
    /// for which it is not enough.
    pub fn fill_heads(&self) -> Result<Vec<CommitId>, RepoError> {
        let _hold = self.store().uses().hold();
        let mut missing = Vec::new();
        for id in self.within_depth()? {
            if !self.is_held(id)? && !self.fill_from_here(id)? {
                missing.push(id);
            }
        }
        Ok(missing)
    }

    /// The heads of all branches but `meta`, and what is less than the depth of the part behind them.
    fn within_depth(&self) -> Result<Vec<CommitId>, RepoError> {
        let part = self.part();
        let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
        for (_, heads) in self
            .branches()?
            .into_iter()
            .filter(|(name, _)| !name.is_meta())
        {
            let mut newest = 0;
            for head in &heads {
                newest = newest.max(self.commit(*head)?.payload().generation);
            }
            let mut open: Vec<CommitId> = heads.iter().copied().collect();
            while let Some(id) = open.pop() {
                let commit = self.commit(id)?;
                let generation = commit.payload().generation;
                let is_within = part
                    .as_deref()
                    .is_none_or(|part| part.reaches(generation, newest));
                if (is_within || heads.contains(&id)) && seen.insert(id) {
                    all.push(id);
                    open.extend(commit.payload().parents.iter().copied());
                }
            }
        }
        // Parents first, as slices are checked against theirs.
        all.reverse();
        Ok(all)
    }

    /// Commits that are held here and that nobody else is known to have: heads, and what is behind them.
    fn only_here(
        &self,
        is_elsewhere: &dyn Fn(CommitId) -> bool,
    ) -> Result<Vec<CommitId>, RepoError> {
        let (mut seen, mut only) = (BTreeSet::new(), Vec::new());
        let branches = self
            .branches()?
            .into_iter()
            .filter(|(name, _)| !name.is_meta());
        let mut open: Vec<CommitId> = branches.flat_map(|(_, heads)| heads).collect();
        while let Some(id) = open.pop() {
            if !seen.insert(id) || is_elsewhere(id) || !self.is_held(id)? {
                continue;
            }
            only.push(id);
            open.extend(self.commit(id)?.payload().parents.iter().copied());
        }
        Ok(only)
    }

    fn fill_from_here(&self, id: CommitId) -> Result<bool, RepoError> {
        let reviewed = self.accepted(id)?;
        let branch = reviewed.commit().payload().branch.clone();
        let filled = (|| {
            let mut arriving = self.fetch_tree(reviewed)?;
            while !arriving.is_done() {
                for cid in arriving.want(STEP) {
                    let block = self.store().get(&cid)?.ok_or(Refusal::Missing)?;
                    arriving.feed(block)?;
                }
            }
            self.accept(arriving.finish(self)?, &branch)
        })();
        match filled {
            Ok(()) => Ok(true),
            Err(Rejected::Refused(_) | Rejected::Fault(RepoError::Missing(_))) => Ok(false),
            Err(Rejected::Fault(fault)) => Err(fault),
        }
    }

    /// Refuses a part that has not all of what is staged on any branch (PART-7).
    fn check_staged(&self, new: Option<&Part>) -> Result<(), RepoError> {
        let prefix = layout::works(self.id());
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.store().scan_refs(&prefix, after.as_deref(), STEP)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (name, _) in &page {
                let staged = name.get(prefix.len()..).unwrap_or_default();
                let mut parts = staged.splitn(2, |byte| *byte == 0);
                let (branch, key) = (parts.next(), parts.next().unwrap_or_default());
                let is_whole = branch == Some(BranchName::meta().as_str().as_bytes());
                if !is_whole && new.is_some_and(|new| !new.contains(key)) {
                    return Err(RepoError::OutOfPart { key: key.to_vec() });
                }
            }
        }
    }

    /// Keeps from now on what was begun with [`begin_part`](Self::begin_part), once all heads are held
    /// under it. `false` if they are not. What falls out of it is lost here, and what is not held under it is
    /// not sent any more, so a replica that has all of a commit must be known unless the new part has it too:
    /// `is_elsewhere` tells. What is staged could not be committed any more.
    ///
    /// # Errors
    /// [`RepoError::OnlyHere`]; [`RepoError::OutOfPart`] if something is staged that would fall out of it.
    pub fn finish_part(&self, is_elsewhere: &dyn Fn(CommitId) -> bool) -> Result<bool, RepoError> {
        for _ in 0..TRIES {
            let Some(next) = self.next_part()? else {
                return Ok(true);
            };
            let _missing = next.fill_heads()?;
            let new = next.part();
            let is_wider = new.as_deref().is_none_or(|new| self.is_within(new));
            self.check_staged(new.as_deref())?;
            let mut batch = Batch::new();
            let mut held = true;
            for (branch, _) in self.branches()? {
                let (raw, heads) = self.read_heads(&branch)?;
                held &= branch.is_meta() || next.held_of(&heads)? == heads;
                let name = layout::head(self.id(), &branch);
                batch.set_ref(name, Expect::read(raw.clone()), raw);
            }
            if !held {
                return Ok(false);
            }
            for id in self.only_here(is_elsewhere)? {
                let stays = is_wider && (next.is_held(id)? || next.fill_from_here(id)?);
                if !stays {
                    return Err(RepoError::OnlyHere(id));
                }
            }
            let kept = Kept {
                now: new.as_deref().cloned(),
                next: None,
            };
            kept.put(self.id(), &mut batch)?;
            // Whoever finds the new one stored asks for it here, and has it.
            let mut in_force = lock(&self.inner.part);
            // A branch that moved meanwhile has heads that are to be looked at.
            if let BatchOutcome::Done { .. } = self.store().commit(batch)? {
                *in_force = new;
                drop(in_force);
                // A branch that began just before is one that the batch knew nothing of; all of it is here.
                let _missing = next.fill_heads()?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
