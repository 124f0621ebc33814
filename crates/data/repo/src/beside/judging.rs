//! Commits that are kept apart though their signer speaks: quarantine (REPO-106 to REPO-108).

use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Expect, Store, StoreError};
use allod_identity::Verified;
use bytes::Bytes;

use crate::error::{Refusal, Rejected, RepoError};
use crate::ids::{CommitId, SpaceId};
use crate::layout;
use crate::repo::{Heads, Repo};
use crate::statements::Commit;

/// The longest note on a commit in quarantine, in bytes: as the words of a decision.
const NOTE_BYTES_MAX: usize = 1024;

/// Commits in quarantine that are listed.
const LISTED: usize = 10_000;

/// What is done with a commit that arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Judgement {
    /// It counts as any other.
    Accept,
    /// It is kept, and does not count by itself until it is released. Why, in words.
    Quarantine(String),
    /// It is not kept.
    Refuse,
}

/// Judges a commit that is in order otherwise (REPO-106).
pub type Judge = dyn Fn(&Repo, &Verified<Commit>) -> Result<Judgement, RepoError> + Send + Sync;

/// Removes notes on commits that are no longer here.
pub(crate) fn sweep_notes(store: &dyn Store, space: SpaceId) -> Result<(), StoreError> {
    let prefix = layout::quarantine(space);
    let mut after: Option<Bytes> = None;
    loop {
        let page = store.scan_refs(&prefix, after.as_deref(), LISTED)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (name, _) in page {
            let Some(id) = layout::commit_of_digest(&name[prefix.len()..]) else {
                continue;
            };
            let mark = layout::commit(space, id);
            if store.get_ref(&mark)?.is_some() {
                continue;
            }
            // Unless it comes again just now.
            let mut batch = Batch::new();
            batch.set_ref(mark, Expect::Absent, None::<Bytes>);
            batch.set_ref(name, Expect::Any, None::<Bytes>);
            let _outcome = store.commit(batch)?;
        }
    }
}

impl Repo {
    /// The same space with a judge that is asked about commits that arrive through this handle and its clones.
    #[must_use]
    pub fn judged_by(mut self, judge: Arc<Judge>) -> Self {
        self.judge = Some(judge);
        self
    }

    /// Asks the judge; the note for a commit that is to be in quarantine.
    pub(crate) fn judge(&self, commit: &Verified<Commit>) -> Result<Option<Bytes>, Rejected> {
        let Some(judge) = self
            .judge
            .as_ref()
            .filter(|_| !commit.payload().branch.is_meta())
        else {
            return Ok(None);
        };
        match judge(self, commit)? {
            Judgement::Accept => Ok(None),
            Judgement::Quarantine(mut words) => {
                words.truncate(words.floor_char_boundary(NOTE_BYTES_MAX));
                Ok(Some(words.into()))
            }
            Judgement::Refuse => Err(Refusal::Untrusted.into()),
        }
    }

    /// Adds to `batch` that a commit is in quarantine, if there is a note on it.
    pub(crate) fn put_note(&self, id: CommitId, note: Option<&Bytes>, batch: &mut Batch) {
        if let Some(note) = note {
            let name = layout::quarantined(self.id(), id);
            batch.set_ref(name, Expect::Any, Some(note.clone()));
        }
    }

    /// Why a commit is in quarantine, if it is.
    pub fn quarantined(&self, id: CommitId) -> Result<Option<String>, RepoError> {
        let note = self.store().get_ref(&layout::quarantined(self.id(), id))?;
        Ok(note.map(|note| String::from_utf8_lossy(&note).into_owned()))
    }

    /// The commits in quarantine that are here, with the reason of each; 10,000 of them at most.
    pub fn quarantine(&self) -> Result<Vec<(CommitId, String)>, RepoError> {
        let prefix = layout::quarantine(self.id());
        let mut all = Vec::new();
        for (name, note) in self.store().scan_refs(&prefix, None, LISTED)? {
            let id = layout::commit_of_digest(&name[prefix.len()..]);
            let id = id.ok_or(RepoError::Damaged("a note on a commit has no digest"))?;
            if self.has_commit(id)? {
                all.push((id, String::from_utf8_lossy(&note).into_owned()));
            }
        }
        Ok(all)
    }

    /// Lets a commit out of quarantine, with those before it that are there too (REPO-108). How many.
    ///
    /// # Errors
    /// [`RepoError::NoCommit`] if it is none here.
    pub fn release(&self, id: CommitId) -> Result<usize, RepoError> {
        let branch = self.commit(id)?.payload().branch.clone();
        let (mut released, mut seen, mut open) = (0, Heads::new(), vec![id]);
        let mut batch = Batch::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let name = layout::quarantined(self.id(), id);
            let is_here = self.store().get_ref(&name)?.is_some();
            if is_here {
                batch.set_ref(name, Expect::Any, None::<Bytes>);
                released += 1;
            }
            let goes_on = is_here || !self.stands(id)?;
            if goes_on && seen.len() < LISTED {
                open.extend(&self.commit(id)?.payload().parents);
            }
        }
        match self.store().commit(batch)? {
            BatchOutcome::Done { .. } => {}
            BatchOutcome::Moved { .. } => return Err(RepoError::Contended(branch)),
        }
        self.forget_answers()?;
        let _moved = self.reconsider()?;
        Ok(released)
    }

    /// Asks the judge anew about all commits in quarantine, and releases those that it accepts now. How many.
    pub fn judge_again(&self) -> Result<usize, RepoError> {
        let Some(judge) = &self.judge else {
            return Ok(0);
        };
        let mut released = 0;
        for (id, _) in self.quarantine()? {
            if judge(self, &*self.commit(id)?)? == Judgement::Accept {
                let mut batch = Batch::new();
                let name = layout::quarantined(self.id(), id);
                batch.set_ref(name, Expect::Any, None::<Bytes>);
                let _outcome = self.store().commit(batch)?;
                released += 1;
            }
        }
        if released > 0 {
            self.forget_answers()?;
            let _moved = self.reconsider()?;
        }
        Ok(released)
    }
}
