//! The log of a store: what it says about spaces, and where it begins.

use std::ops::{ControlFlow, Range};

use allod_blocks::{Batch, BatchOutcome, Expect, LOG_REMOVED_MAX, Store, StoreError};
use allod_identity::canonical;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::RepoError;
use crate::ids::{BranchName, CommitId, SpaceId};
use crate::layout::LOG_BEGIN;
use crate::repo::Heads;

/// Two lists of 256 heads and a branch name fit.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// A log entry: the heads of a branch moved. Written in the batch that moved them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefMove {
    /// The space.
    pub space: SpaceId,
    /// The branch.
    pub branch: BranchName,
    /// The heads before.
    pub from: Vec<CommitId>,
    /// The heads after; none if the branch was deleted.
    pub to: Vec<CommitId>,
    /// Whether all commits that the branch has now were here before, as it was made at them, or made again (FEED-5).
    #[serde(default, skip_serializing_if = "is_false")]
    pub here: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl RefMove {
    pub(crate) fn new(space: SpaceId, branch: &BranchName, from: &Heads, to: &Heads) -> Self {
        Self {
            space,
            branch: branch.clone(),
            from: from.iter().copied().collect(),
            to: to.iter().copied().collect(),
            here: false,
        }
    }

    /// The same, of commits that were here before.
    pub(crate) fn of_commits_here(mut self) -> Self {
        self.here = true;
        self
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, RepoError> {
        canonical::encode(self).map_err(|_error| RepoError::Damaged("a log entry does not encode"))
    }

    /// Reads a log entry.
    pub fn decode(bytes: &Bytes) -> Result<Self, RepoError> {
        canonical::decode(bytes, EVENT_BYTES_MAX)
            .map_err(|_error| RepoError::Damaged("a log entry does not decode"))
    }
}

/// The positions of the entries that the log of a store has.
pub fn log_range(store: &dyn Store) -> Result<Range<u64>, RepoError> {
    let stats = store.stats()?;
    Ok(stats.log_begin..stats.log_end)
}

/// Removes the entries of the log before a position, but for the last of all, some at a time (REPO-71); `progress` hears how
/// many went, and may end it. Returns how many went.
///
/// Whoever follows the log from before that position finds that it begins later. A move whose entry is gone cannot be
/// undone, and what it alone leads to is garbage.
pub fn trim_log(
    store: &dyn Store,
    before: u64,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<u64, RepoError> {
    let mut removed = 0;
    loop {
        // Before the range: who was faster has changed it, or both are as they are here.
        let said = store.get_ref(LOG_BEGIN)?;
        let there = log_range(store)?;
        let most = there.start.saturating_add(LOG_REMOVED_MAX);
        let begin = before.min(there.end.saturating_sub(1)).min(most);
        if begin <= there.start {
            return Ok(removed);
        }
        let mut batch = Batch::new();
        batch.begin_log_at(begin);
        let value = Bytes::copy_from_slice(&begin.to_be_bytes());
        batch.set_ref(LOG_BEGIN, Expect::read(said), Some(value));
        match store.commit(batch)? {
            BatchOutcome::Done { .. } => removed += begin - there.start,
            // Somebody else does the same.
            BatchOutcome::Moved { .. } => {}
        }
        if progress(removed).is_break() {
            return Ok(removed);
        }
    }
}

/// Where the log begins, as whoever removed its first entries said.
pub(crate) fn said_begin(store: &dyn Store) -> Result<Option<u64>, StoreError> {
    let said = store.get_ref(LOG_BEGIN)?;
    Ok(match said {
        None => Some(0),
        Some(value) => <[u8; 8]>::try_from(&value[..]).ok().map(u64::from_be_bytes),
    })
}
