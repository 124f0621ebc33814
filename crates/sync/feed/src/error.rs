//! What can go wrong for a consumer, and whose fault it is.

use allod_blocks::StoreError;
use allod_repo::RepoError;

use crate::cursor::Cursor;

/// Why a consumer was told nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The text is no cursor. Blame: the consumer.
    #[error("this is no cursor")]
    Cursor,
    /// The log does not go on from the cursor (FEED-7, FEED-13, FEED-14). Blame: nobody.
    #[error("the cursor has expired: {why}; begin with a snapshot")]
    Expired {
        /// In words.
        why: &'static str,
        /// Where a snapshot begins.
        snapshot: Box<Cursor>,
    },
    /// The text is no filter. Blame: the consumer.
    #[error("this is no filter: {0}")]
    Filter(String),
    /// A space could not be read. Blame: the environment.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The store failed. Blame: the environment.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FeedError {
    /// The registered error code, of what a consumer is told.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Cursor => Some("E_CURSOR"),
            Self::Expired { .. } => Some("E_CURSOR_EXPIRED"),
            Self::Filter(_) => Some("E_FILTER"),
            Self::Repo(_) | Self::Store(_) => None,
        }
    }
}
