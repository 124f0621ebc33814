//! What a block is, and how large things are.

use std::ops::ControlFlow;

use allod_blocks::{Block, Cid, Codec, Store, block_links};
use allod_identity::{KeyEvent, Signed, Verified};
use allod_tree::Node;

use crate::error::RepoError;
use crate::ids::BranchName;
use crate::repo::{Heads, Repo};
use crate::statements::{Commit, Genesis};
use crate::view::Span;

/// Names of blocks read at a time.
const PAGE: usize = 1024;

/// A block as what it says it is. A statement is one only if its signature verifies.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Parsed {
    /// A commit.
    Commit(Box<Verified<Commit>>),
    /// The beginning of a space.
    Genesis(Box<Verified<Genesis>>),
    /// An event of a key log.
    KeyEvent(Box<Verified<KeyEvent>>),
    /// A node of a tree.
    Node(Node),
    /// The index of a file, with its parts.
    Index(Vec<Cid>),
    /// Bytes: a value, or a part of a file.
    Raw,
    /// None of these.
    Unknown,
}

/// Reads a block as whatever it is.
#[must_use]
pub fn parse(block: &Block) -> Parsed {
    match Codec::from_code(block.cid().codec()) {
        Some(Codec::Raw) => Parsed::Raw,
        Some(Codec::DagPb) => block_links(block).map_or(Parsed::Unknown, Parsed::Index),
        _ => {
            let bytes = block.bytes();
            if let Ok(node) = Node::decode(bytes) {
                return Parsed::Node(node);
            }
            if let Some(commit) = verified(block) {
                return Parsed::Commit(commit);
            }
            if let Some(genesis) = verified(block) {
                return Parsed::Genesis(genesis);
            }
            verified(block).map_or(Parsed::Unknown, Parsed::KeyEvent)
        }
    }
}

fn verified<T: allod_identity::Payload>(block: &Block) -> Option<Box<Verified<T>>> {
    let signed = Signed::<T>::decode(block.bytes().clone()).ok()?;
    signed.verify().ok().map(Box::new)
}

/// How much a space holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SpaceStats {
    /// Branches, `meta` among them if something was committed to it.
    pub branches: u64,
    /// Commits that the branches reach.
    pub commits: u64,
    /// Keys of the branch that have a value.
    pub keys: u64,
    /// Keys of the branch that were deleted.
    pub tombstones: u64,
    /// Keys that are staged on the branch.
    pub staged: u64,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreSizes {
    /// Blocks.
    pub blocks: u64,
    /// Their contents, in bytes.
    pub content_bytes: u64,
    /// What they take in the store, in bytes, compressed if they are.
    pub stored_bytes: u64,
    /// What the store takes on the disk, in bytes: blocks, references, log, and the engine's own.
    pub disk_bytes: u64,
    /// Entries of the log.
    pub log_entries: u64,
}

impl StoreSizes {
    /// What blocks take as part of their contents; 1 for a store without any.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.content_bytes == 0 {
            return 1.0;
        }
        self.stored_bytes as f64 / self.content_bytes as f64
    }
}

impl Repo {
    /// Counts what the space and one of its branches hold. Reads every commit and every key.
    pub fn stats(&self, branch: &BranchName) -> Result<SpaceStats, RepoError> {
        let branches = self.branches()?;
        let mut stats = SpaceStats {
            branches: branches.len() as u64,
            staged: self.staged(branch)?.len() as u64,
            ..SpaceStats::default()
        };
        let heads: Heads = branches.into_iter().flat_map(|(_, heads)| heads).collect();
        for commit in self.log(&heads)? {
            commit?;
            stats.commits += 1;
        }
        let state = self.state(branch)?;
        for item in state.range(&Span::all(), false) {
            item?;
            stats.keys += 1;
        }
        stats.tombstones = state.tree().len() - stats.keys;
        Ok(stats)
    }
}

/// Adds up the blocks of a store. Reads every one of them; `progress` hears how many, and may end it
/// early.
pub fn store_sizes(
    store: &dyn Store,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<StoreSizes, RepoError> {
    let stats = store.stats()?;
    let mut sizes = StoreSizes {
        disk_bytes: stats.bytes,
        log_entries: stats.log_end - stats.log_begin,
        ..StoreSizes::default()
    };
    let mut after: Option<Cid> = None;
    loop {
        let page = store.scan_blocks(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(sizes);
        };
        after = Some(*last);
        for cid in &page {
            // One that was removed since it was listed is not there.
            let Some(block) = store.get(cid)? else {
                continue;
            };
            sizes.blocks += 1;
            sizes.content_bytes += block.bytes().len() as u64;
            sizes.stored_bytes += store.size(cid)?.unwrap_or_default();
        }
        if progress(sizes.blocks).is_break() {
            return Ok(sizes);
        }
    }
}
