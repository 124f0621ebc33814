//! What can be wrong with a node, with a link between nodes, and with a call.

use allod_blocks::StoreError;
use cid::Cid;

use crate::limits::{KEY_BYTES_MAX, LEVEL_MAX, NODE_BYTES_MAX, VALUE_BYTES_MAX};

/// Why bytes are not a node. Blame: whoever made the block.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The block exceeds [`NODE_BYTES_MAX`] (TREE-10).
    #[error("a node of {got} bytes exceeds the limit of {NODE_BYTES_MAX}")]
    TooLarge {
        /// Its size in bytes.
        got: usize,
    },
    /// The bytes end early, or an item has the wrong type or not the shortest head (TREE-11).
    #[error("not the canonical DAG-CBOR of a node, at byte {at}")]
    Malformed {
        /// Where the item begins.
        at: usize,
    },
    /// Bytes follow the node (TREE-11).
    #[error("bytes follow the node")]
    Trailing,
    /// The array does not have eight items (TREE-11).
    #[error("a node is an array of 8 items")]
    Arity,
    /// The version is not 1 (TREE-11).
    #[error("version {got} is not supported")]
    Version {
        /// The version found.
        got: u64,
    },
    /// The level is above [`LEVEL_MAX`] (TREE-9).
    #[error("level {got} exceeds the limit of {LEVEL_MAX}")]
    Level {
        /// The level found.
        got: u64,
    },
    /// A node above level 0 has no entries (TREE-8).
    #[error("only the leaf of the empty map has no entries")]
    Empty,
    /// A column has the wrong form, or its ends do not ascend to its length (TREE-13).
    #[error("a column of lengths is not in its one form")]
    Column,
    /// The prefix is not the longest common prefix of the keys (TREE-12).
    #[error("the prefix is not the longest that the keys have in common")]
    Prefix,
    /// The keys do not ascend strictly (TREE-1).
    #[error("the keys do not ascend")]
    Order,
    /// A key exceeds [`KEY_BYTES_MAX`] (TREE-2).
    #[error("a key of {got} bytes exceeds the limit of {KEY_BYTES_MAX}")]
    KeyTooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// A value exceeds [`VALUE_BYTES_MAX`] (TREE-2).
    #[error("a value of {got} bytes exceeds the limit of {VALUE_BYTES_MAX}")]
    ValueTooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// A link is not a CIDv1 of DAG-CBOR under sha2-256 (TREE-14).
    #[error("a link is not a CIDv1 of DAG-CBOR under sha2-256")]
    Link,
    /// The counts do not ascend, or do not have the least width (TREE-15).
    #[error("the counts do not ascend, or not in the least width")]
    Counts,
    /// The node should have ended after an entry before its last (TREE-5).
    #[error("the node should have ended after entry {index}")]
    LateEnd {
        /// The entry after which it should have ended.
        index: usize,
    },
    /// The node ends where no boundary is and is not the last of its level (TREE-5).
    #[error("the node ends where no boundary is")]
    EarlyEnd,
}

impl NodeError {
    /// The registered code, as in the table of `specs/21-tree.md`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "E_NODE_SIZE",
            Self::Malformed { .. } => "E_NODE_CBOR",
            Self::Trailing => "E_NODE_TRAILING",
            Self::Arity => "E_NODE_ARITY",
            Self::Version { .. } => "E_NODE_VERSION",
            Self::Level { .. } => "E_NODE_LEVEL",
            Self::Empty => "E_NODE_EMPTY",
            Self::Column => "E_NODE_COLUMN",
            Self::Prefix => "E_NODE_PREFIX",
            Self::Order => "E_NODE_ORDER",
            Self::KeyTooLong { .. } => "E_TREE_KEY_SIZE",
            Self::ValueTooLong { .. } => "E_TREE_VALUE_SIZE",
            Self::Link => "E_NODE_LINK",
            Self::Counts => "E_NODE_COUNTS",
            Self::LateEnd { .. } | Self::EarlyEnd => "E_NODE_BOUNDARY",
        }
    }
}

/// How a node differs from what its parent says of it (TREE-16). Blame: whoever made the tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// Its level is not one below its parent's.
    #[error("its level is not one below its parent's")]
    Level,
    /// Its last key is not the key its parent has for it.
    #[error("its last key is not the key its parent has for it")]
    LastKey,
    /// Its first key is not greater than the key before it.
    #[error("its first key is not greater than the key before it")]
    FirstKey,
    /// The entries below it are not as many as its parent says.
    #[error("the entries below it are not as many as its parent says")]
    Count,
    /// It is a root above level 0 with one child (TREE-7).
    #[error("it is a root with one child")]
    LoneChild,
}

impl LinkFault {
    /// The registered code, as in the table of `specs/21-tree.md`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Level => "E_LINK_LEVEL",
            Self::LastKey => "E_LINK_LAST_KEY",
            Self::FirstKey => "E_LINK_FIRST_KEY",
            Self::Count => "E_LINK_COUNT",
            Self::LoneChild => "E_ROOT_LONE_CHILD",
        }
    }
}

/// Why a tree could not be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A node of the tree is not there. Blame: the store, or whoever promised the tree.
    #[error("node {cid} is missing")]
    Missing {
        /// The node's name.
        cid: Cid,
    },
    /// A block of the tree is not a node. Blame: whoever made the tree.
    #[error("node {cid}: {fault}")]
    Node {
        /// The block's name.
        cid: Cid,
        /// What is wrong with it.
        fault: NodeError,
    },
    /// A node is not what its parent says. Blame: whoever made the tree.
    #[error("node {cid}: {fault}")]
    Link {
        /// The node's name.
        cid: Cid,
        /// What does not fit.
        fault: LinkFault,
    },
    /// The name of a tree is not one that a node can have (TREE-14). Blame: the caller.
    #[error("{cid} cannot name a node")]
    Name {
        /// The name.
        cid: Cid,
    },
    /// A key exceeds [`KEY_BYTES_MAX`] (TREE-2). Blame: the caller.
    #[error("a key of {got} bytes exceeds the limit of {KEY_BYTES_MAX}")]
    KeyTooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// A value exceeds [`VALUE_BYTES_MAX`] (TREE-2). Blame: the caller.
    #[error("a value of {got} bytes exceeds the limit of {VALUE_BYTES_MAX}")]
    ValueTooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// The keys given do not ascend strictly. Blame: the caller.
    #[error("the keys given do not ascend strictly")]
    Unsorted,
    /// The map needs more levels than [`LEVEL_MAX`] (TREE-9). Blame: whoever chose the keys.
    #[error("the tree needs more than {LEVEL_MAX} levels")]
    TooDeep,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TreeError {
    /// The registered code, as in the table of `specs/21-tree.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "E_TREE_MISSING",
            Self::Node { fault, .. } => fault.code(),
            Self::Link { fault, .. } => fault.code(),
            Self::Name { .. } => "E_TREE_NAME",
            Self::KeyTooLong { .. } => "E_TREE_KEY_SIZE",
            Self::ValueTooLong { .. } => "E_TREE_VALUE_SIZE",
            Self::Unsorted => "E_TREE_UNSORTED",
            Self::TooDeep => "E_TREE_DEPTH",
            Self::Store(_) => "E_TREE_STORE",
        }
    }
}
