//! The two statements a space consists of: its genesis and its commits.

use allod_blocks::Cid;
use allod_identity::{AgentId, CheckError, Payload, PublicKey};
use serde::{Deserialize, Serialize};

use crate::ids::{BranchName, CommitId, SpaceId};
use crate::stamp::Stamp;

/// The longest commit message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// The most parents of a commit.
pub const PARENTS_MAX: usize = 64;

/// The longest name of a space, in bytes.
const SPACE_NAME_BYTES_MAX: usize = 128;

/// The class of a space.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SpaceClass {
    /// Always writable, merges by itself.
    Convergent,
}

/// How a space begins. Its CID is the [`SpaceId`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// When it was made, in milliseconds since 1970.
    pub at: u64,
    /// Its class.
    pub class: SpaceClass,
    /// What people call it: 1 to 128 bytes.
    pub name: String,
    /// Makes two spaces of one name two spaces.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 16],
    /// Who owns it.
    pub owner: AgentId,
}

impl Payload for Genesis {
    const DOMAIN: &'static str = "space";

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        let fits = (1..=SPACE_NAME_BYTES_MAX).contains(&self.name.len());
        if !fits || self.name.chars().any(char::is_control) {
            return Err(CheckError::new(
                "E_GENESIS",
                "its name has 1 to 128 printable bytes",
            ));
        }
        Ok(())
    }
}

/// A signed state of a branch. Its CID is the [`CommitId`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// The agent whose change it is.
    pub author: AgentId,
    /// The branch it was made on.
    pub branch: BranchName,
    /// 1 + the greatest generation of its parents; 1 without parents.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// What the author says of it: at most [`MESSAGE_BYTES_MAX`].
    pub message: String,
    /// Its parents, strictly ascending, at most [`PARENTS_MAX`].
    pub parents: Vec<CommitId>,
    /// The root of its tree of parts (PART-21), if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Cid>,
    /// The head of `meta` in force when it was made.
    pub policy: Option<CommitId>,
    /// The space it belongs to.
    pub space: SpaceId,
    /// Greater than that of every parent, not less than that of any entry it changes.
    pub stamp: Stamp,
    /// The root of its tree.
    pub tree: Cid,
}

impl Payload for Commit {
    const DOMAIN: &'static str = "commit";

    /// What can be judged of a commit alone (REPO-10).
    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        let ascending = |pair: &[CommitId]| pair[0].cid().to_bytes() < pair[1].cid().to_bytes();
        let fault = if self.message.len() > MESSAGE_BYTES_MAX {
            "its message is longer than 4,096 bytes"
        } else if self.parents.len() > PARENTS_MAX {
            "it has more than 64 parents"
        } else if !self.parents.windows(2).all(ascending) {
            "its parents are not strictly ascending"
        } else if (self.generation == 1) != self.parents.is_empty() || self.generation == 0 {
            "its generation does not fit its parents"
        } else {
            return Ok(());
        };
        Err(CheckError::new("E_COMMIT", fault))
    }
}
