//! A node: one block of the tree, read in place.

use std::cmp::Ordering;
use std::fmt;

use allod_blocks::Codec;
use bytes::Bytes;
use cid::Cid;
use multihash::Multihash;

use crate::chunking::Chunking;
use crate::error::NodeError;

/// A link as it stands in a node: tag 42, a byte string of 37, and the CID after its zero byte.
pub(crate) const LINK_HEAD: [u8; 9] = [0xd8, 0x2a, 0x58, 0x25, 0x00, 0x01, 0x71, 0x12, 0x20];
/// The length of a link in a node, in bytes.
pub(crate) const LINK_BYTES: usize = LINK_HEAD.len() + 32;

/// Marks a column whose items differ in length.
pub(crate) const VARIABLE: u16 = u16::MAX;

/// Where the items of a column are. Offsets fit 16 bits, since a node is at most 36 KiB (TREE-10);
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
    #[inline]
    fn end(self, bytes: &[u8], index: usize) -> usize {
        let at = usize::from(self.ends) + 2 * index;
        usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
    }

    #[inline]
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

    #[inline]
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

/// One block of a tree, decoded strictly and read in place. Cheap to clone.
///
/// A leaf (level 0) holds keys and values; an inner node holds, for each child, the last key below
/// it, its link and the number of entries below it.
#[derive(Clone)]
pub struct Node {
    pub(crate) bytes: Bytes,
    pub(crate) level: u8,
    pub(crate) len: u16,
    pub(crate) prefix: (u16, u16),
    pub(crate) keys: Column,
    pub(crate) payload: Payload,
}

/// A key in a node: the prefix that all keys of the node share, and the rest.
#[derive(Clone, Copy)]
pub(crate) struct KeyRef<'a> {
    pub(crate) prefix: &'a [u8],
    pub(crate) suffix: &'a [u8],
}

impl KeyRef<'_> {
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
    /// The node's block.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The distance from the leaves, which have level 0.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Whether the node holds values.
    #[must_use]
    pub const fn is_leaf(&self) -> bool {
        self.level == 0
    }

    /// How many entries the node itself has: keys with values, or children.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether this is the leaf of the empty map.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The key of the `index`th entry; of an inner node, the last key below the `index`th child.
    #[must_use]
    pub fn key(&self, index: usize) -> Option<Bytes> {
        (index < self.len()).then(|| self.key_ref(index).to_bytes())
    }

    /// The value of the `index`th entry of a leaf.
    #[must_use]
    pub fn value(&self, index: usize) -> Option<Bytes> {
        let Payload::Values(column) = self.payload else {
            return None;
        };
        (index < self.len()).then(|| {
            let (start, end) = column.span(&self.bytes, index);
            self.bytes.slice(start..end)
        })
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
            weight += match self.payload {
                Payload::Values(_) => Chunking::leaf_weight(key.len(), self.value_ref(index).len()),
                Payload::Links { .. } => Chunking::link_weight(key.len()),
            };
            closed = chunking.closes(self.level, &key, before, weight);
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
        &self.bytes[usize::from(self.prefix.0)..usize::from(self.prefix.1)]
    }

    #[inline]
    pub(crate) fn key_ref(&self, index: usize) -> KeyRef<'_> {
        KeyRef {
            prefix: self.prefix(),
            suffix: self.keys.item(&self.bytes, index),
        }
    }

    /// The last key of a node that is not empty.
    pub(crate) fn last_key(&self) -> Option<KeyRef<'_>> {
        self.len().checked_sub(1).map(|last| self.key_ref(last))
    }

    /// The value of a leaf's entry; empty for an inner node.
    #[inline]
    pub(crate) fn value_ref(&self, index: usize) -> &[u8] {
        match self.payload {
            Payload::Values(column) => column.item(&self.bytes, index),
            Payload::Links { .. } => &[],
        }
    }

    /// Where the `index`th value (leaf) or digest (inner node) stands in the block.
    pub(crate) fn payload_span(&self, index: usize) -> (usize, usize) {
        match self.payload {
            Payload::Values(column) => column.span(&self.bytes, index),
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
        &self.bytes[start..end]
    }

    /// How many entries of the map are below the first `index` entries.
    pub(crate) fn count_until(&self, index: usize) -> u64 {
        let Payload::Links { counts, width, .. } = self.payload else {
            return index as u64;
        };
        if index == 0 {
            return 0;
        }
        read_count(&self.bytes, usize::from(counts), width, index - 1)
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

    /// Finds `key`: its index, or that of the first greater key.
    #[inline]
    pub(crate) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let bytes: &[u8] = &self.bytes;
        let prefix = &bytes[usize::from(self.prefix.0)..usize::from(self.prefix.1)];
        let Some((start, rest)) = key.split_at_checked(prefix.len()) else {
            return Err(if key < prefix { 0 } else { self.len() });
        };
        match start.cmp(prefix) {
            Ordering::Less => return Err(0),
            Ordering::Greater => return Err(self.len()),
            Ordering::Equal => {}
        }
        let rest_head = head(rest);
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let item = self.keys.item(bytes, middle);
            let order = head(item).cmp(&rest_head).then_with(|| item.cmp(rest));
            match order {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// The first entry whose key is not less than `key`.
    #[inline]
    pub(crate) fn lower_bound(&self, key: &[u8]) -> usize {
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
            .field("level", &self.level)
            .field("len", &self.len)
            .field("total", &self.total())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
