//! The strict decoder of nodes (TREE-1, TREE-2, TREE-8 to TREE-15).

use crate::cbor::{ARRAY, BYTES, Reader, UINT};
use crate::error::NodeError;
use crate::limits::{KEY_BYTES_MAX, LEVEL_MAX, NODE_BYTES_MAX, VALUE_BYTES_MAX};
use crate::node::{Column, LINK_BYTES, LINK_HEAD, Layout, Node, Payload, VARIABLE, read_count};

/// The version of the format (TREE-11).
pub(crate) const VERSION: u64 = 1;
/// How many items the array of a node has (TREE-11).
pub(crate) const ARITY: u64 = 8;

impl Node {
    /// Reads a block as a node. Accepts exactly the canonical encoding of a node; whether the node
    /// ends at a boundary is asked by [`check_end`](Self::check_end).
    pub fn decode(bytes: &[u8]) -> Result<Self, NodeError> {
        if bytes.len() > NODE_BYTES_MAX {
            return Err(NodeError::TooLarge { got: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        if reader.head_of(ARRAY)? != ARITY {
            return Err(NodeError::Arity);
        }
        let version = reader.head_of(UINT)?;
        if version != VERSION {
            return Err(NodeError::Version { got: version });
        }
        let level = reader.head_of(UINT)?;
        let level = u8::try_from(level)
            .ok()
            .filter(|level| *level <= LEVEL_MAX)
            .ok_or(NodeError::Level { got: level })?;
        let at = reader.position();
        let len = reader.head_of(UINT)?;
        // Every entry takes a byte at least, but for the one entry whose key is the prefix.
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len <= bytes.len())
            .ok_or(NodeError::Malformed { at })?;
        if len == 0 && level > 0 {
            return Err(NodeError::Empty);
        }
        let prefix = reader.byte_string()?;
        let keys = read_column(&mut reader, bytes, len)?;
        let payload = if level == 0 {
            Payload::Values(read_column(&mut reader, bytes, len)?)
        } else {
            read_links(&mut reader, bytes, len)?
        };
        if !reader.is_at_end() {
            return Err(NodeError::Trailing);
        }
        let layout = Layout {
            level,
            len: len as u16,
            prefix: (prefix.0 as u16, prefix.1 as u16),
            keys,
            payload,
        };
        let node = Self::new(layout, bytes);
        node.check_keys()?;
        node.check_values()?;
        Ok(node)
    }

    /// Order, lengths and the prefix (TREE-1, TREE-2, TREE-12).
    fn check_keys(&self) -> Result<(), NodeError> {
        let prefix = self.prefix().len();
        let mut before: Option<&[u8]> = None;
        for index in 0..self.len() {
            let suffix = self.key_ref(index).suffix;
            let got = prefix + suffix.len();
            if got > KEY_BYTES_MAX {
                return Err(NodeError::KeyTooLong { got });
            }
            if before.is_some_and(|before| before >= suffix) {
                return Err(NodeError::Order);
            }
            before = Some(suffix);
        }
        let first = (!self.is_empty()).then(|| self.key_ref(0).suffix);
        let maximal = match (first, before) {
            (Some(first), Some(last)) if self.len() > 1 => first.is_empty() || first[0] != last[0],
            // One key is all prefix; no key leaves it empty.
            (Some(first), _) => first.is_empty(),
            (None, _) => prefix == 0,
        };
        if maximal {
            Ok(())
        } else {
            Err(NodeError::Prefix)
        }
    }

    fn check_values(&self) -> Result<(), NodeError> {
        for index in 0..self.len() {
            let got = self.value_ref(index).len();
            if got > VALUE_BYTES_MAX {
                return Err(NodeError::ValueTooLong { got });
            }
        }
        Ok(())
    }
}

/// Reads lengths and items (TREE-13). What it returns spans no byte outside the block.
fn read_column(reader: &mut Reader<'_>, bytes: &[u8], len: usize) -> Result<Column, NodeError> {
    let at = reader.position();
    match reader.head()? {
        (UINT, fixed) => {
            let (data, end) = reader.byte_string()?;
            let fixed = usize::try_from(fixed).map_err(|_error| NodeError::Column)?;
            if fixed.checked_mul(len) != Some(end - data) || (len == 0 && fixed != 0) {
                return Err(NodeError::Column);
            }
            Ok(Column {
                ends: 0,
                data: data as u16,
                fixed: fixed as u16,
            })
        }
        (BYTES, table) => {
            if len < 2 || table != 2 * len as u64 {
                return Err(NodeError::Column);
            }
            let ends = reader.position();
            reader.take(2 * len)?;
            let (data, end) = reader.byte_string()?;
            let (mut before, mut width, mut uniform) = (0, None, true);
            for index in 0..len {
                let item_end = read_count(bytes, ends, 2, index) as usize;
                let item = item_end.checked_sub(before).ok_or(NodeError::Column)?;
                uniform &= *width.get_or_insert(item) == item;
                before = item_end;
            }
            if before != end - data || uniform {
                return Err(NodeError::Column);
            }
            Ok(Column {
                ends: ends as u16,
                data: data as u16,
                fixed: VARIABLE,
            })
        }
        _ => Err(NodeError::Malformed { at }),
    }
}

/// Reads links and counts (TREE-14, TREE-15).
fn read_links(reader: &mut Reader<'_>, bytes: &[u8], len: usize) -> Result<Payload, NodeError> {
    let at = reader.position();
    if reader.head_of(ARRAY)? != len as u64 {
        return Err(NodeError::Malformed { at });
    }
    let links = reader.position();
    for _ in 0..len {
        if reader.take(LINK_BYTES)?[..LINK_HEAD.len()] != LINK_HEAD {
            return Err(NodeError::Link);
        }
    }
    let (counts, end) = reader.byte_string()?;
    let width = match (end - counts) / len {
        width @ (1 | 2 | 4 | 8) if width * len == end - counts => width as u8,
        _ => return Err(NodeError::Counts),
    };
    let mut before = 0;
    for index in 0..len {
        let count = read_count(bytes, counts, width, index);
        if count <= before {
            return Err(NodeError::Counts);
        }
        before = count;
    }
    if count_width(before) != width {
        return Err(NodeError::Counts);
    }
    Ok(Payload::Links {
        links: links as u16,
        counts: counts as u16,
        width,
    })
}

/// The least width that holds `total` (TREE-15).
pub(crate) const fn count_width(total: u64) -> u8 {
    match total {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}
