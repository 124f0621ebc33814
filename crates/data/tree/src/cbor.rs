//! The few heads of CBOR that a node is made of, in their shortest form (TREE-11).

use crate::error::NodeError;

/// Major type 0, an unsigned integer.
pub(crate) const UINT: u8 = 0;
/// Major type 2, a byte string.
pub(crate) const BYTES: u8 = 2;
/// Major type 4, an array.
pub(crate) const ARRAY: u8 = 4;

/// How many bytes the head of `value` takes.
pub(crate) const fn head_len(value: usize) -> usize {
    match value {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}

/// Appends the shortest head of `major` with `value`, which is less than 2^32.
pub(crate) fn write_head(out: &mut Vec<u8>, major: u8, value: usize) {
    let major = major << 5;
    match value {
        0..=23 => out.push(major + value as u8),
        24..=0xff => out.extend_from_slice(&[major + 24, value as u8]),
        0x100..=0xffff => {
            out.push(major + 25);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        _ => {
            out.push(major + 26);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
    }
}

/// Appends a byte string.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_head(out, BYTES, bytes.len());
    out.extend_from_slice(bytes);
}

/// Reads heads and strings from the front of a block.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next item begins.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], NodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest
            .get(..count)
            .ok_or(NodeError::Malformed { at: self.at })?;
        self.at += count;
        Ok(taken)
    }

    /// The next head: its major type and value.
    pub(crate) fn head(&mut self) -> Result<(u8, u64), NodeError> {
        let at = self.at;
        let malformed = NodeError::Malformed { at };
        let first = self.take(1)?[0];
        let (value, least) = match first & 0x1f {
            small @ 0..=23 => (u64::from(small), 0),
            24 => (self.big_endian(1)?, 24),
            25 => (self.big_endian(2)?, 0x100),
            26 => (self.big_endian(4)?, 0x1_0000),
            27 => (self.big_endian(8)?, 0x1_0000_0000),
            _ => return Err(malformed),
        };
        if value < least {
            return Err(malformed);
        }
        Ok((first >> 5, value))
    }

    /// The next head, which must be of type `major`.
    pub(crate) fn head_of(&mut self, major: u8) -> Result<u64, NodeError> {
        let at = self.at;
        match self.head()? {
            (found, value) if found == major => Ok(value),
            _ => Err(NodeError::Malformed { at }),
        }
    }

    /// The next item, a byte string: where it is in the block.
    pub(crate) fn byte_string(&mut self) -> Result<(usize, usize), NodeError> {
        let at = self.at;
        let len = self.head_of(BYTES)?;
        let len = usize::try_from(len).map_err(|_error| NodeError::Malformed { at })?;
        let start = self.at;
        self.take(len)?;
        Ok((start, start + len))
    }

    fn big_endian(&mut self, count: usize) -> Result<u64, NodeError> {
        Ok(self
            .take(count)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }
}
