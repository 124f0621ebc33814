//! Collects entries until a node ends, then writes its block (TREE-4 to TREE-15).

use std::sync::OnceLock;

use allod_blocks::{Block, Codec};
use bytes::Bytes;

use crate::cbor::{ARRAY, UINT, head_len, write_bytes, write_head};
use crate::chunking::Chunking;
use crate::decode::{ARITY, VERSION, count_width};
use crate::error::TreeError;
use crate::limits::{KEY_BYTES_MAX, LEVEL_MAX, VALUE_BYTES_MAX};
use crate::loaded::{Loaded, Slot};
use crate::node::{Column, KeyRef, LINK_BYTES, LINK_HEAD, Layout, Node, Payload, VARIABLE};

/// A node as its parent names it.
#[derive(Clone)]
pub(crate) struct Link {
    /// The last key below the node.
    pub(crate) key: Bytes,
    /// The sha2-256 digest of its block.
    pub(crate) digest: [u8; 32],
    /// How many entries are below it.
    pub(crate) count: u64,
    /// The node, if it is in memory.
    pub(crate) node: Option<Loaded>,
    /// Its block, if it was made just now. Boxed, since links are moved often and few have one.
    pub(crate) block: Option<Box<Block>>,
}

impl Link {
    /// The `index`th child of an inner node.
    pub(crate) fn child(parent: &Loaded, index: usize) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(parent.node.digest(index));
        Self {
            key: parent.node.key_ref(index).to_bytes(),
            digest,
            count: parent.node.count_until(index + 1) - parent.node.count_until(index),
            node: parent.slot(index).cloned(),
            block: None,
        }
    }
}

/// Items of a column while a node is open.
#[derive(Default)]
struct Items {
    data: Vec<u8>,
    ends: Vec<u32>,
    varies: bool,
}

impl Items {
    fn push(&mut self, item: &[u8]) {
        self.push_parts(KeyRef::whole(item));
    }

    fn push_parts(&mut self, item: KeyRef<'_>) {
        if let Some(&first) = self.ends.first() {
            self.varies |= first as usize != item.len();
        }
        self.data.extend_from_slice(item.prefix);
        self.data.extend_from_slice(item.suffix);
        self.ends.push(self.data.len() as u32);
    }

    fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
        self.varies = false;
    }

    fn first(&self) -> &[u8] {
        &self.data[..self.ends.first().map_or(0, |end| *end as usize)]
    }

    fn last(&self) -> &[u8] {
        let start = match self.ends.len() {
            0 | 1 => 0,
            len => self.ends[len - 2] as usize,
        };
        &self.data[start..]
    }

    /// How many bytes the column takes when `skip` bytes of every item are left out.
    fn encoded_len(&self, skip: usize) -> usize {
        let len = self.ends.len();
        let data = self.data.len() - skip * len;
        let lengths = if self.varies {
            head_len(2 * len) + 2 * len
        } else {
            head_len(self.first().len().saturating_sub(skip))
        };
        lengths + head_len(data) + data
    }

    fn write(&self, out: &mut Vec<u8>, skip: usize) -> Column {
        let len = self.ends.len();
        let mut column = Column {
            ends: 0,
            data: 0,
            fixed: VARIABLE,
        };
        if self.varies {
            write_head(out, crate::cbor::BYTES, 2 * len);
            column.ends = out.len() as u16;
            let mut skipped = 0;
            for end in &self.ends {
                skipped += skip;
                // A node is at most 40 KiB, so every end fits 16 bits (TREE-10).
                out.extend_from_slice(&((*end as usize - skipped) as u16).to_le_bytes());
            }
        } else {
            column.fixed = self.first().len().saturating_sub(skip) as u16;
            write_head(out, UINT, usize::from(column.fixed));
        }
        write_head(out, crate::cbor::BYTES, self.data.len() - skip * len);
        column.data = out.len() as u16;
        if skip == 0 {
            out.extend_from_slice(&self.data);
        } else {
            let mut start = 0;
            for end in &self.ends {
                let end = *end as usize;
                out.extend_from_slice(&self.data[start + skip..end]);
                start = end;
            }
        }
        column
    }
}

/// The open node of one level.
pub(crate) struct Chunker {
    chunking: Chunking,
    level: u8,
    weight: u64,
    keys: Items,
    values: Items,
    digests: Vec<[u8; 32]>,
    counts: Vec<u64>,
    slots: Vec<Slot>,
    /// Where blocks are written, one after the other.
    block: Vec<u8>,
}

impl Chunker {
    pub(crate) fn new(chunking: Chunking, level: u8) -> Result<Self, TreeError> {
        if level > LEVEL_MAX {
            return Err(TreeError::TooDeep);
        }
        Ok(Self {
            chunking,
            level,
            weight: 0,
            keys: Items::default(),
            values: Items::default(),
            digests: Vec::new(),
            counts: Vec::new(),
            slots: Vec::new(),
            block: Vec::new(),
        })
    }

    /// The level of the node.
    pub(crate) fn level(&self) -> u8 {
        self.level
    }

    /// Whether no entry is waiting: the next one begins a node.
    pub(crate) fn is_empty(&self) -> bool {
        self.weight == 0
    }

    /// Takes memory for entries to come, of that many bytes in all.
    pub(crate) fn reserve(&mut self, entries: usize, bytes: usize) {
        self.keys.ends.reserve(entries);
        self.keys.data.reserve(bytes);
        if self.level == 0 {
            self.values.ends.reserve(entries);
            self.values.data.reserve(bytes);
        } else {
            self.digests.reserve(entries);
            self.counts.reserve(entries);
            self.slots.reserve(entries);
        }
    }

    /// Adds an entry of a leaf; returns the leaf if it ends there.
    pub(crate) fn push_value(
        &mut self,
        key: KeyRef<'_>,
        value: &[u8],
    ) -> Result<Option<Link>, TreeError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(TreeError::KeyTooLong { got: key.len() });
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(TreeError::ValueTooLong { got: value.len() });
        }
        self.keys.push_parts(key);
        self.values.push(value);
        self.weigh(Chunking::leaf_weight(key.len(), value.len()))
    }

    /// Adds an entry of an inner node; returns the node if it ends there.
    pub(crate) fn push_link(
        &mut self,
        key: KeyRef<'_>,
        digest: [u8; 32],
        count: u64,
        node: Option<Loaded>,
    ) -> Result<Option<Link>, TreeError> {
        self.keys.push_parts(key);
        self.digests.push(digest);
        self.counts.push(self.counts.last().unwrap_or(&0) + count);
        self.slots
            .push(node.map_or_else(OnceLock::new, OnceLock::from));
        self.weigh(Chunking::link_weight(key.len()))
    }

    /// Ends the level: the open node, if it has entries (TREE-8).
    pub(crate) fn flush(&mut self) -> Result<Option<Link>, TreeError> {
        if self.is_empty() {
            Ok(None)
        } else {
            self.close().map(Some)
        }
    }

    /// Adds the weight of the entry that was added last; returns the node if it ends there.
    fn weigh(&mut self, weight: u64) -> Result<Option<Link>, TreeError> {
        let before = self.weight;
        self.weight += weight;
        let key = self.keys.last();
        if self.chunking.closes(self.level, key, before, self.weight) {
            self.close().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Writes the open node, empty or not, and starts the next one.
    pub(crate) fn close(&mut self) -> Result<Link, TreeError> {
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        let layout = self.encode(&mut block);
        let node = Node::new(layout, &block);
        self.block = block;
        let key = Bytes::copy_from_slice(self.keys.last());
        let slots = std::mem::take(&mut self.slots);
        self.weight = 0;
        self.keys.clear();
        self.values.clear();
        self.digests.clear();
        self.counts.clear();
        made(node, slots.into_boxed_slice(), key)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Layout {
        let len = self.keys.ends.len();
        let prefix = if len == 1 {
            self.keys.first()
        } else {
            let (first, last) = (self.keys.first(), self.keys.last());
            let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
            &first[..common]
        };
        let total = self.counts.last().copied().unwrap_or(0);
        let width = count_width(total);
        let payload_len = if self.level == 0 {
            self.values.encoded_len(0)
        } else {
            let counts = len * usize::from(width);
            head_len(len) + len * LINK_BYTES + head_len(counts) + counts
        };
        let size = 3
            + usize::from(self.level > 23)
            + head_len(len)
            + head_len(prefix.len())
            + prefix.len()
            + self.keys.encoded_len(prefix.len())
            + payload_len;
        out.reserve(size);
        write_head(out, ARRAY, ARITY as usize);
        write_head(out, UINT, VERSION as usize);
        write_head(out, UINT, usize::from(self.level));
        write_head(out, UINT, len);
        write_bytes(out, prefix);
        let prefix_end = out.len();
        let keys = self.keys.write(out, prefix.len());
        let payload = if self.level == 0 {
            Payload::Values(self.values.write(out, 0))
        } else {
            self.write_links(out, width)
        };
        debug_assert_eq!(
            out.len(),
            size,
            "the size of a block is known before it is written"
        );
        Layout {
            level: self.level,
            len: len as u16,
            prefix: ((prefix_end - prefix.len()) as u16, prefix_end as u16),
            keys,
            payload,
        }
    }

    fn write_links(&self, out: &mut Vec<u8>, width: u8) -> Payload {
        write_head(out, ARRAY, self.digests.len());
        let links = out.len() as u16;
        for digest in &self.digests {
            out.extend_from_slice(&LINK_HEAD);
            out.extend_from_slice(digest);
        }
        write_head(
            out,
            crate::cbor::BYTES,
            self.counts.len() * usize::from(width),
        );
        let counts = out.len() as u16;
        for count in &self.counts {
            out.extend_from_slice(&count.to_le_bytes()[..usize::from(width)]);
        }
        Payload::Links {
            links,
            counts,
            width,
        }
    }
}

/// Names a node made just now.
pub(crate) fn made(node: Node, slots: Box<[Slot]>, key: Bytes) -> Result<Link, TreeError> {
    let block = Block::new(Codec::DagCbor, node.to_bytes()).map_err(|_error| {
        // A node that obeys the limits on keys and values is far below those on blocks.
        TreeError::TooDeep
    })?;
    let mut digest = [0; 32];
    digest.copy_from_slice(block.cid().hash().digest());
    Ok(Link {
        key,
        digest,
        count: node.total(),
        node: Some(Loaded::made(node, slots)),
        block: Some(Box::new(block)),
    })
}
