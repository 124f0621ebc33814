//! What can go wrong with types and projections.

use allod_blocks::{Cid, StoreError};
use allod_repo::RepoError;
use allod_tree::TreeError;

use crate::definition::BadProjection;
use crate::types::{BadName, BadType, Name};

/// Why a type or projection could not be defined, computed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// What was given is no name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A definition of a type is none, or may not take the place of the one before.
    #[error("the type {name}: {source}")]
    Type {
        /// The type.
        name: Name,
        /// What is wrong.
        source: BadType,
    },
    /// A definition of a projection is none.
    #[error("the projection {name}: {source}")]
    Projection {
        /// The projection.
        name: Name,
        /// What is wrong.
        source: BadProjection,
    },
    /// There is no type of this name.
    #[error("no type named {0}; `allod type list` shows them")]
    NoType(Name),
    /// There is no projection of this name.
    #[error("no projection named {0}; `allod projection list` shows them")]
    NoProjection(Name),
    /// There is one of this name already.
    #[error("there is a projection named {0} already; drop it first, or choose another name")]
    Exists(Name),
    /// The projection of the state was not computed yet, and that was not to be waited for.
    #[error("the projection {0} is not computed yet for this state")]
    Stale(Name),
    /// It took too long, or somebody said to stop.
    #[error("stopped before the projection was computed")]
    Cancelled,
    /// What is asked for does not fit the projection.
    #[error("{0}")]
    Query(String),
    /// A projection of groups is not taken from others (PROJ-27). Blame: the caller.
    #[error(
        "what the groups of {0} add up cannot be compared in part, so it is not fetched; `allod projection \
         query {0}` computes it here (E_PROJ_GROUP)"
    )]
    OfGroups(Name),
    /// A tree that a peer told of is larger than that of a projection of these records can be. Blame: the
    /// peer.
    #[error("the tree that was told of as {0} is larger than its records can make it (E_LIMIT)")]
    TooLarge(Name),
    /// A node of a tree that a peer told of did not come. Blame: the peer.
    #[error("not all of {name} came: {node} is missing (E_PROJ_INCOMPLETE)")]
    Incomplete {
        /// The projection.
        name: Name,
        /// The name of the node; boxed, as errors are small.
        node: Box<Cid>,
    },
    /// A tree that somebody else computed is not what the records make of the projection. Blame: whoever
    /// said that it is.
    #[error(
        "the projection {name} that was fetched is not what its records make of it{} (E_PROJ_UNTRUE)",
        at(.key)
    )]
    Untrue {
        /// The projection.
        name: Name,
        /// The entry that is not, or is missing; nothing if it is no tree.
        key: Vec<u8>,
    },
    /// A projection that was kept does not read: the store is damaged.
    #[error("a projection that is kept here is damaged; `allod projection check` puts it right")]
    Damaged,
    /// The space could not be read or written.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

fn at(key: &[u8]) -> String {
    match key {
        [] => String::new(),
        key => format!(", at {}", key.escape_ascii()),
    }
}

impl From<StoreError> for ViewError {
    fn from(error: StoreError) -> Self {
        Self::Repo(error.into())
    }
}

impl From<TreeError> for ViewError {
    fn from(error: TreeError) -> Self {
        Self::Repo(error.into())
    }
}
