//! What a consumer is told.

use std::sync::Arc;

use allod_identity::Verified;
use allod_repo::{BranchName, Commit, CommitId, SpaceId, Stamp, State};
use bytes::Bytes;

use crate::filter::Kind;

/// One fact about a branch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The space.
    pub space: SpaceId,
    /// The branch.
    pub branch: BranchName,
    /// Where it stands among all events of the log.
    pub order: Order,
    /// What is told.
    pub told: Told,
}

/// Where an event stands: events are told in ascending order. The same event has the same one whenever it is told,
/// as long as no commit of its move is collected.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Order {
    /// The position of the move in the log; of a snapshot, where it began.
    pub position: u64,
    /// The place of the commit in the move, from 1; 0 for the move itself, and one after all commits for changes that
    /// are its own.
    pub commit: u64,
    /// The place of the change in the commit or the move, from 1; 0 for what is none. Of a snapshot, the place since
    /// its reader began.
    pub change: u64,
}

/// What is told of a branch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Told {
    /// That it has a commit which it had not.
    Commit {
        /// The commit.
        id: CommitId,
        /// What it says.
        commit: Arc<Verified<Commit>>,
        /// Whether only its statement is here (FEED-6).
        is_bare: bool,
    },
    /// That the value of a key was written, or became another one.
    Change {
        /// The key.
        key: Bytes,
        /// What it holds now.
        state: State,
        /// When that was written; `None` where the key has no entry any more.
        stamp: Option<Stamp>,
        /// Why.
        by: ChangedBy,
    },
    /// That it was made, deleted, or went elsewhere than forward.
    Move {
        /// The heads before; none if it was made.
        from: Vec<CommitId>,
        /// The heads after; none if it was deleted.
        to: Vec<CommitId>,
    },
}

/// Why a consumer is told of a key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChangedBy {
    /// A commit wrote it.
    Commit {
        /// The commit.
        id: CommitId,
        /// What it says.
        commit: Arc<Verified<Commit>>,
    },
    /// A move that was not forward.
    Move,
    /// It is so in a snapshot.
    Snapshot,
}

impl Event {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match &self.told {
            Told::Commit { .. } => Kind::Commit,
            Told::Change { .. } => Kind::Change,
            Told::Move { .. } => Kind::Move,
        }
    }

    /// What it takes in memory, nearly, in bytes: commits are shared.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of = match &self.told {
            Told::Commit { .. } => 0,
            Told::Change { key, state, .. } => {
                let value = match state {
                    State::Value(value) | State::Joining(_, value) => value.len(),
                    State::Link(_) | State::Tombstone | State::JoiningLink(..) => 0,
                };
                key.len() + value
            }
            Told::Move { from, to, .. } => (from.len() + to.len()) * size_of::<CommitId>(),
        };
        size_of::<Self>() + of
    }
}
