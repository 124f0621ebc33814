//! A node: one block of the tree, read in place.
#![expect(
    clippy::inline_always,
    reason = "measured: point reads and scans are loops over these few instructions"
)]

use std::cmp::Ordering;
use std::fmt;

use allod_blocks::Codec;
use bytes::Bytes;
use cid::Cid;
use multihash::Multihash;
use triomphe::{Arc, HeaderSlice};

use crate::chunking::Chunking;
use crate::error::NodeError;

/// A link as it stands in a node: tag 42, a byte string of 37, and the CID after its zero byte.
pub(crate) const LINK_HEAD: [u8; 9] = [0xd8, 0x2a, 0x58, 0x25, 0x00, 0x01, 0x71, 0x12, 0x20];
/// The length of a link in a node, in bytes.
pub(crate) const LINK_BYTES: usize = LINK_HEAD.len() + 32;

/// Marks a column whose items differ in length.
pub(crate) const VARIABLE: u16 = u16::MAX;

/// Where the items of a column are. Offsets fit 16 bits, since a node is at most 40 KiB (TREE-10);
/// small ones keep a loaded node within two cache lines.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    /// Where the table of ends begins; unused when `fixed` is a length.
    pub(crate) ends: u16,
    /// Where the items begin.
    pub(crate) data: u16,
    /// The length of every item, or [`VARIABLE`].
    pub(crate) fixed: u16,
}

impl Column {
    #[inline(always)]
    fn end(self, bytes: &[u8], index: usize) -> usize {
        let at = usize::from(self.ends) + 2 * index;
        usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
    }

    #[inline(always)]
    pub(crate) fn span(self, bytes: &[u8], index: usize) -> (usize, usize) {
        let data = usize::from(self.data);
        if self.fixed == VARIABLE {
            let start = if index == 0 {
                0
            } else {
                self.end(bytes, index - 1)
            };
            (data + start, data + self.end(bytes, index))
        } else {
            let width = usize::from(self.fixed);
            (data + index * width, data + (index + 1) * width)
        }
    }

    #[inline(always)]
    fn item(self, bytes: &[u8], index: usize) -> &[u8] {
        let (start, end) = self.span(bytes, index);
        &bytes[start..end]
    }
}

/// What stands beside the keys.
#[derive(Clone, Copy)]
pub(crate) enum Payload {
    Values(Column),
    Links {
        links: u16,
        counts: u16,
        /// Bytes per count: 1, 2, 4 or 8.
        width: u8,
    },
}

/// Where the parts of a block are.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) level: u8,
    pub(crate) len: u16,
    pub(crate) prefix: (u16, u16),
    pub(crate) keys: Column,
    pub(crate) payload: Payload,
}

/// One block of a tree, decoded strictly and read in place. Cheap to clone.
///
/// A leaf (level 0) holds keys and values; an inner node holds, for each child, the last key below
/// it, its link and the number of entries below it.
#[derive(Clone)]
pub struct Node {
    // One allocation: what a point read needs first stands right before the keys it compares, so
    // that a node costs it one cache miss and one page instead of two.
    inner: Arc<HeaderSlice<Layout, [u8]>>,
}

/// Bytes of a node, to be shared.
struct Part {
    node: Node,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.node.bytes()[self.start..self.end]
    }
}

impl AsRef<[u8]> for Node {
    fn as_ref(&self) -> &[u8] {
        &self.inner.slice
    }
}

/// A key in a node: the prefix that all keys of the node share, and the rest.
#[derive(Clone, Copy)]
pub(crate) struct KeyRef<'a> {
    pub(crate) prefix: &'a [u8],
    pub(crate) suffix: &'a [u8],
}

impl<'a> KeyRef<'a> {
    pub(crate) fn len(self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    pub(crate) fn to_bytes(self) -> Bytes {
        if self.prefix.is_empty() {
            return Bytes::copy_from_slice(self.suffix);
        }
        let mut key = Vec::with_capacity(self.len());
        key.extend_from_slice(self.prefix);
        key.extend_from_slice(self.suffix);
        key.into()
    }

    /// A key that shares nothing.
    pub(crate) const fn whole(suffix: &'a [u8]) -> Self {
        Self {
            prefix: &[],
            suffix,
        }
    }

    /// Replaces the content of `buffer` by the key.
    pub(crate) fn write(self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(self.prefix);
        buffer.extend_from_slice(self.suffix);
    }

    /// How this key compares with `other`.
    pub(crate) fn cmp_bytes(self, other: &[u8]) -> Ordering {
        compare(other, self.prefix, self.suffix).reverse()
    }

    /// How this key compares with a key of another node.
    pub(crate) fn cmp_key(self, other: Self) -> Ordering {
        if self.prefix.len() > other.prefix.len() {
            return other.cmp_key(self).reverse();
        }
        let (head, tail) = other.prefix.split_at(self.prefix.len());
        self.prefix
            .cmp(head)
            .then_with(|| compare(self.suffix, tail, other.suffix))
    }
}

/// How `whole` compares with `first` followed by `second`.
fn compare(whole: &[u8], first: &[u8], second: &[u8]) -> Ordering {
    match whole.split_at_checked(first.len()) {
        Some((head, tail)) => head.cmp(first).then_with(|| tail.cmp(second)),
        // Equal as far as `whole` reaches: then it is the shorter one.
        None => whole.cmp(&first[..whole.len()]).then(Ordering::Less),
    }
}

/// The first eight bytes as an integer in the order of the bytes, zeros where there are fewer.
/// Where two of these differ, the byte strings compare the same way.
#[inline]
pub(crate) fn head(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk::<8>() {
        u64::from_be_bytes(*first)
    } else {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        u64::from_be_bytes(padded)
    }
}

/// Copies a slice into one of the same length. Most keys have a length at which this is cheaper
/// than the call of a general copy.
#[inline(always)]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    if (8..=16).contains(&from.len())
        && let (Some(head), Some(tail)) = (from.first_chunk::<8>(), from.last_chunk::<8>())
    {
        to[..8].copy_from_slice(head);
        let end = to.len() - 8;
        to[end..].copy_from_slice(tail);
    } else {
        to.copy_from_slice(from);
    }
}

/// The first of the indices from `low` to `high` for which `is_before` does not hold.
fn partition(mut low: usize, mut high: usize, is_before: impl Fn(usize) -> bool) -> usize {
    while low < high {
        let middle = low.midpoint(high);
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// How many items of `width` bytes, at least 8, have a [`head`] less than `wanted`.
///
/// Counts by comparing every eighth item, then those in between. Unlike in a bisection no
/// comparison waits for the one before it, so that the cache misses of a cold node overlap and no
/// branch is mispredicted.
#[inline]
fn lower_head(items: &[u8], width: usize, len: usize, wanted: u64) -> usize {
    const STEP: usize = 8;
    let before = |index: usize| {
        let at = index * width;
        let head = items[at..at + 8].first_chunk();
        usize::from(head.map_or(0, |head| u64::from_be_bytes(*head)) < wanted)
    };
    let steps = len / STEP;
    let start = STEP
        * (1..=steps)
            .map(|step| before(STEP * step - 1))
            .sum::<usize>();
    // The last item of the stride is not less, or there is no such stride.
    let end = len.min(start + STEP - 1);
    start + (start..end).map(before).sum::<usize>()
}

/// The CID with this sha2-256 digest, as nodes are named (TREE-14).
pub(crate) fn node_cid(digest: &[u8]) -> Cid {
    #[expect(
        clippy::expect_used,
        reason = "callers pass the 32 bytes of a link, which fit a 64-byte multihash"
    )]
    let hash = Multihash::wrap(0x12, digest).expect("32 <= 64");
    Cid::new_v1(Codec::DagCbor.code(), hash)
}

/// Whether `cid` can name a node (TREE-14).
pub(crate) fn names_a_node(cid: &Cid) -> bool {
    cid.version() == cid::Version::V1
        && cid.codec() == Codec::DagCbor.code()
        && cid.hash().code() == 0x12
        && cid.hash().digest().len() == 32
}

impl Node {
    pub(crate) fn new(layout: Layout, block: &[u8]) -> Self {
        Self {
            inner: Arc::from_header_and_slice(layout, block),
        }
    }

    /// A copy of the node with some bytes replaced by others that mean the same layout.
    pub(crate) fn overwritten(&self, write: impl FnOnce(&mut [u8])) -> Self {
        let mut inner = Arc::from_header_and_slice(*self.layout(), self.bytes());
        if let Some(only) = Arc::get_mut(&mut inner) {
            write(&mut only.slice);
        }
        Self { inner }
    }

    #[inline]
    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.header
    }

    /// The node's block.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.inner.slice
    }

    /// The node's block, sharing the memory of the node.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// The distance from the leaves, which have level 0.
    #[must_use]
    #[inline]
    pub fn level(&self) -> u8 {
        self.layout().level
    }

    /// Whether the node holds values.
    #[must_use]
    #[inline]
    pub fn is_leaf(&self) -> bool {
        self.level() == 0
    }

    /// How many entries the node itself has: keys with values, or children.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.layout().len)
    }

    /// Whether this is the leaf of the empty map.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of the `index`th entry; of an inner node, the last key below the `index`th child.
    #[must_use]
    pub fn key(&self, index: usize) -> Option<Bytes> {
        (index < self.len()).then(|| self.key_ref(index).to_bytes())
    }

    /// The value of the `index`th entry of a leaf.
    #[must_use]
    pub fn value(&self, index: usize) -> Option<Bytes> {
        let Payload::Values(column) = self.layout().payload else {
            return None;
        };
        (index < self.len()).then(|| {
            let (start, end) = column.span(self.bytes(), index);
            Bytes::from_owner(Part {
                node: self.clone(),
                start,
                end,
            })
        })
    }

    /// Writes the key of the `index`th entry of a leaf in place of what `key` had, and lends its value.
    pub fn entry<'a>(&'a self, index: usize, key: &mut Vec<u8>) -> Option<&'a [u8]> {
        if !self.is_leaf() || index >= self.len() {
            return None;
        }
        self.key_ref(index).write(key);
        Some(self.value_ref(index))
    }

    /// The name of the `index`th child of an inner node.
    #[must_use]
    pub fn link(&self, index: usize) -> Option<Cid> {
        (!self.is_leaf() && index < self.len()).then(|| node_cid(self.digest(index)))
    }

    /// How many entries of the map are below the `index`th entry: 1 in a leaf.
    #[must_use]
    pub fn count(&self, index: usize) -> Option<u64> {
        (index < self.len()).then(|| self.count_until(index + 1) - self.count_until(index))
    }

    /// How many entries of the map are in this node and below it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.count_until(self.len())
    }

    /// The entries of a leaf, in order; nothing for an inner node.
    pub fn entries(&self) -> impl Iterator<Item = (Bytes, Bytes)> + '_ {
        (0..self.len()).map_while(|index| Some((self.key(index)?, self.value(index)?)))
    }

    /// Checks that the node ends where it must (TREE-5): after no entry but its last, and after
    /// that one unless the node is the last of its level.
    pub fn check_end(&self, last_of_level: bool) -> Result<(), NodeError> {
        self.check_end_with(Chunking::STANDARD, last_of_level)
    }

    pub(crate) fn check_end_with(
        &self,
        chunking: Chunking,
        last_of_level: bool,
    ) -> Result<(), NodeError> {
        let mut key = Vec::new();
        let mut weight = 0;
        let mut closed = true;
        for index in 0..self.len() {
            self.key_ref(index).write(&mut key);
            let before = weight;
            weight += match self.layout().payload {
                Payload::Values(_) => Chunking::leaf_weight(key.len(), self.value_ref(index).len()),
                Payload::Links { .. } => Chunking::link_weight(key.len()),
            };
            closed = chunking.closes(self.level(), &key, before, weight);
            if closed && index + 1 < self.len() {
                return Err(NodeError::LateEnd { index });
            }
        }
        if closed || last_of_level {
            Ok(())
        } else {
            Err(NodeError::EarlyEnd)
        }
    }

    #[inline]
    pub(crate) fn prefix(&self) -> &[u8] {
        let (start, end) = self.layout().prefix;
        &self.bytes()[usize::from(start)..usize::from(end)]
    }

    #[inline(always)]
    pub(crate) fn key_ref(&self, index: usize) -> KeyRef<'_> {
        KeyRef {
            prefix: self.prefix(),
            suffix: self.layout().keys.item(self.bytes(), index),
        }
    }

    /// The last key of a node that is not empty.
    pub(crate) fn last_key(&self) -> Option<KeyRef<'_>> {
        self.len().checked_sub(1).map(|last| self.key_ref(last))
    }

    /// The value of a leaf's entry; empty for an inner node.
    #[inline(always)]
    pub(crate) fn value_ref(&self, index: usize) -> &[u8] {
        match self.layout().payload {
            Payload::Values(column) => column.item(self.bytes(), index),
            Payload::Links { .. } => &[],
        }
    }

    /// Where the `index`th value (leaf) or digest (inner node) stands in the block.
    pub(crate) fn payload_span(&self, index: usize) -> (usize, usize) {
        match self.layout().payload {
            Payload::Values(column) => column.span(self.bytes(), index),
            Payload::Links { links, .. } => {
                let start = usize::from(links) + index * LINK_BYTES;
                (start + LINK_HEAD.len(), start + LINK_BYTES)
            }
        }
    }

    /// The digest in the `index`th link of an inner node.
    #[inline]
    pub(crate) fn digest(&self, index: usize) -> &[u8] {
        let (start, end) = self.payload_span(index);
        &self.bytes()[start..end]
    }

    /// How many entries of the map are below the first `index` entries.
    pub(crate) fn count_until(&self, index: usize) -> u64 {
        let Payload::Links { counts, width, .. } = self.layout().payload else {
            return index as u64;
        };
        if index == 0 {
            return 0;
        }
        read_count(self.bytes(), usize::from(counts), width, index - 1)
    }

    /// The child that holds the `rank`th entry, and that entry's rank among the child's. `rank`
    /// must be less than [`total`](Self::total).
    pub(crate) fn child_of_rank(&self, rank: u64) -> (usize, u64) {
        let (mut low, mut high) = (0, self.len() - 1);
        while low < high {
            let middle = low.midpoint(high);
            if self.count_until(middle + 1) > rank {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        (low, rank - self.count_until(low))
    }

    /// Reads a byte of each of the cache lines where a leaf of usual size has its keys, and its last
    /// byte, which may be on another page: a search then waits for memory once, not line by line.
    #[inline]
    pub(crate) fn touch(&self) {
        const LINE: usize = 64;
        const LINES: usize = 8;
        let bytes = self.bytes();
        let read = bytes.chunks(LINE).take(LINES).map(|line| line[0]);
        let last = bytes.last().copied().unwrap_or(0);
        std::hint::black_box(read.fold(last, |all, byte| all | byte));
    }

    /// Finds `key`: its index, or that of the first greater key.
    #[inline]
    pub(crate) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let prefix = self.prefix();
        let Some((start, rest)) = key.split_at_checked(prefix.len()) else {
            return Err(if key < prefix { 0 } else { self.len() });
        };
        match start.cmp(prefix) {
            Ordering::Less => return Err(0),
            Ordering::Greater => return Err(self.len()),
            Ordering::Equal => {}
        }
        let (bytes, keys, len) = (self.bytes(), self.layout().keys, self.len());
        let rest_head = head(rest);
        let width = usize::from(keys.fixed);
        let mut low = if keys.fixed != VARIABLE && width >= 8 {
            let data = usize::from(keys.data);
            lower_head(&bytes[data..data + width * len], width, len, rest_head)
        } else {
            partition(0, len, |index| head(keys.item(bytes, index)) < rest_head)
        };
        if low < len && head(keys.item(bytes, low)) == rest_head {
            // Of the keys with the same first bytes there is one, as a rule.
            match keys.item(bytes, low).cmp(rest) {
                Ordering::Equal => return Ok(low),
                Ordering::Greater => return Err(low),
                Ordering::Less => {}
            }
            low = partition(low + 1, len, |index| keys.item(bytes, index) < rest);
            if low < len && keys.item(bytes, low) == rest {
                return Ok(low);
            }
        }
        Err(low)
    }

    /// The first entry whose key is not less than `key`.
    #[must_use]
    #[inline]
    pub fn lower_bound(&self, key: &[u8]) -> usize {
        match self.search(key) {
            Ok(index) | Err(index) => index,
        }
    }

    /// The child to look for `key` in: keys after the last one belong to the last child (TREE-17).
    pub(crate) fn child_for(&self, key: &[u8]) -> usize {
        self.lower_bound(key).min(self.len().saturating_sub(1))
    }
}

/// The `index`th of the little-endian integers of `width` bytes that begin at `start`.
pub(crate) fn read_count(bytes: &[u8], start: usize, width: u8, index: usize) -> u64 {
    let width = usize::from(width);
    let at = start + index * width;
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(&bytes[at..at + width]);
    u64::from_le_bytes(wide)
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("level", &self.level())
            .field("len", &self.len())
            .field("total", &self.total())
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}
