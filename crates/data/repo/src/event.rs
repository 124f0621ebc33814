//! What the log of a store says about a space.

use allod_identity::canonical;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::RepoError;
use crate::ids::{BranchName, CommitId, SpaceId};
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
