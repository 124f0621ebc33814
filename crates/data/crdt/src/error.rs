//! What can be wrong with states, joins and operations.

use allod_identity::canonical::CanonicalError;

use crate::kind::{Epoch, Kind};

/// The most bytes of an encoded state: one block (CRDT-2).
pub const STATE_BYTES_MAX: usize = 1 << 20;

/// The most bytes of an element, a field or a value (CRDT-2).
pub const ITEM_BYTES_MAX: usize = 1 << 16;

/// Something that is larger than may be, or would be. Blame: whoever made it so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{got} bytes are more than {max}")]
#[non_exhaustive]
pub struct TooLarge {
    /// Its size in bytes.
    pub got: usize,
    /// The limit: [`STATE_BYTES_MAX`] or [`ITEM_BYTES_MAX`].
    pub max: usize,
}

impl TooLarge {
    /// The registered code (`specs/registry.md`).
    pub const CODE: &'static str = "E_CRDT_SIZE";

    /// Refuses more than `max` bytes.
    pub(crate) fn check(got: usize, max: usize) -> Result<(), Self> {
        if got > max {
            return Err(Self { got, max });
        }
        Ok(())
    }
}

/// Bytes that are no state of a kind. Blame: whoever made them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadState {
    /// Not canonical, or of another shape.
    #[error("no encoding of a state: {0}")]
    Encoding(#[from] CanonicalError),
    /// A list that does not strictly ascend.
    #[error("a list does not ascend")]
    Order,
    /// Something that says nothing and is left out: a slot of 0, an empty list.
    #[error("something is said that is left out")]
    Needless,
    /// A dot that the version vector does not have, or that is there twice.
    #[error("a dot is not seen, or there twice")]
    Dot,
    /// An element that is there and removed.
    #[error("an element is there, and removed")]
    Both,
    /// A node of a list whose parent is written in another way, or on the left of the root.
    #[error("a node of a list is not where one can be")]
    Parent,
    /// No chunk of a change, or its hash is another one.
    #[error("no change of a document, or not with that hash")]
    Change,
    /// The state, or an item in it.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl BadState {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge(_) => TooLarge::CODE,
            _ => "E_CRDT",
        }
    }
}

/// Why two states have no join.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// They are of different kinds. Blame: the caller.
    #[error("a {left} and a {right} do not join")]
    Kinds {
        /// The kind of one.
        left: Kind,
        /// The kind of the other.
        right: Kind,
    },
    /// The first one is no state. Blame: whoever made it.
    #[error("the left one is no state: {0}")]
    Left(#[source] BadState),
    /// The second one is no state. Blame: whoever made it.
    #[error("the right one is no state: {0}")]
    Right(#[source] BadState),
    /// Together they are too large for one state. Blame: whoever let them grow; compaction helps.
    #[error("the join is too large: {0}")]
    TooLarge(#[from] TooLarge),
}

/// Why an operation cannot be done. Blame: whoever asks for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// The kind does not have the operation.
    #[error("a {kind} has no {operation}; {}", those_of(*.kind))]
    NoSuchOperation {
        /// The kind of the state.
        kind: Kind,
        /// The name of the operation.
        operation: &'static str,
    },
    /// A number would not fit 64 bits.
    #[error("the number would be too large")]
    Overflow,
    /// What is there was written with a stamp that is not less.
    #[error("the stamp is not greater than {newest}, with which it was written last")]
    OldStamp {
        /// The stamp of what is there.
        newest: u64,
    },
    /// A new epoch has to be greater than that of the state.
    #[error("the epoch is not greater than that of stamp {}", .newest.stamp)]
    OldEpoch {
        /// The epoch of the state.
        newest: Epoch,
    },
    /// The element was removed from a 2p-set, and cannot be added again.
    #[error("the element was removed, and cannot be added again")]
    RemovedForEver,
    /// There is no such position.
    #[error("no position {index} in a list of {len}")]
    OutOfBounds {
        /// What was asked for.
        index: usize,
        /// How many values there are.
        len: usize,
    },
    /// The other state has no value, or several, and no operation leads there.
    #[error("no operation leads to no value, or to several at once")]
    NoOperation,
    /// Documents are edited and compacted with the feature `documents` only, and only if they can be read.
    #[error("the document cannot be compacted here")]
    Document,
    /// The item is too large, or the state would be.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

fn those_of(kind: Kind) -> String {
    match kind.operations() {
        [] => "it is edited as a document of Automerge".to_owned(),
        operations => format!("it has: {}", operations.join(", ")),
    }
}
