//! A sorted map from bytes to bytes as a Merkle tree: the prolly tree.
//!
//! Spec: `specs/21-tree.md` (TREE).
//!
//! # What this crate is
//! A [`Tree`] is an ordered map whose name is the hash of its root node. Its shape depends on its
//! entries alone, so that two maps with the same entries have the same name, and two maps that are
//! nearly the same share nearly all nodes. That makes [`Tree::edit`] cheap, lets [`Tree::diff`]
//! and [`Tree::join`] skip what is equal, and lets a [`Walk`] fetch from a stranger just what is
//! new, checking every node as it comes.
//!
//! # What it is not
//! No history, no meaning of keys and values, no network. Blocks come from a [`BlockSource`] and
//! go to a callback; who stores them, and when, is for the caller to say.
//!
//! # The flow
//! ```text
//! entries --Tree::build--> Tree --edit / join--> Tree     blocks go out as they are made
//! Forest::open(root) ----> Tree --get / range / diff-->   nodes come in as they are needed
//! Walk::want --names--> peer --blocks--> Walk::feed --> checked nodes
//! ```
//!
//! # Example
//! ```
//! use allod_tree::Tree;
//!
//! let mut blocks = Vec::new();
//! let tree = Tree::build([("apple", "red"), ("pear", "green")], &mut |block| blocks.push(block))?;
//! let edited = tree.edit([("pear", Some("yellow"))], &mut |block| blocks.push(block))?;
//! assert_eq!(edited.get(b"pear")?.as_deref(), Some(&b"yellow"[..]));
//! let changes: Vec<_> = tree.diff(&edited).collect::<Result<_, _>>()?;
//! assert_eq!(changes.len(), 1);
//! # Ok::<(), allod_tree::TreeError>(())
//! ```
//!
//! # Invariants
//! - The same entries give the same root, whatever the order of the edits (TREE-3).
//! - A node that is read was decoded strictly and is what its parent says (TREE-11, TREE-16).
//! - Loaded nodes take no more memory than the budget of their [`Forest`]; nodes made here and not
//!   [settled](Forest::settle) stay as long as a tree needs them.
//! - No bytes from outside cause a panic, or an allocation larger than a block.

mod build;
mod cbor;
mod chunking;
mod cursor;
mod cut;
mod decode;
mod diff;
mod edit;
mod encode;
mod error;
mod join;
mod leaves;
mod level;
mod limits;
mod loaded;
mod node;
mod sort;
mod spans;
mod tree;
mod verify;
mod walk;

#[cfg(test)]
mod tests;

// The public interface, all of it:
pub use crate::cursor::{Cursor, Entry, Range};
pub use crate::diff::{Change, ChangeRef, Diff};
pub use crate::error::{LinkFault, NodeError, TreeError};
pub use crate::join::{Resolve, Resolver};
pub use crate::leaves::{Leaf, Leaves};
pub use crate::limits::{
    CACHE_BYTES_DEFAULT, KEY_BYTES_MAX, LEVEL_MAX, NODE_BYTES_MAX, VALUE_BYTES_MAX,
    WALK_OUTSTANDING_MAX,
};
pub use crate::loaded::{BlockSource, Forest};
pub use crate::node::Node;
pub use crate::spans::KeySpans;
pub use crate::tree::Tree;
pub use crate::verify::TreeStats;
pub use crate::walk::{Walk, WalkError, WalkProgress};
pub use allod_blocks::prefix_end;

/// The examples of the README, compiled.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
