//! Documents: changes of Automerge, each named by its hash (CRDT-16). What they mean is not looked at.

use sha2::{Digest as _, Sha256};

use crate::body::{At, Body};
use crate::error::{BadState, OpError};
use crate::item::Item;
use crate::kind::Kind;
use crate::lattice::{JoinMap, ascending};
use crate::op::Op;
use crate::value::Value;

/// What every chunk of Automerge begins with.
const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// The type of a chunk that is a change, not compressed.
const CHANGE: u8 = 1;

/// The name of a change.
pub(crate) type Hash = [u8; 32];

/// The hash of a change, if that is what the bytes are.
pub(crate) fn change_hash(chunk: &[u8]) -> Result<Hash, BadState> {
    let (magic, rest) = chunk.split_first_chunk().ok_or(BadState::Change)?;
    let (checksum, hashed) = rest.split_first_chunk::<4>().ok_or(BadState::Change)?;
    let (kind, rest) = hashed.split_first().ok_or(BadState::Change)?;
    let content = take_length(rest).ok_or(BadState::Change)?;
    let hash: Hash = Sha256::digest(hashed).into();
    let is_sound = *magic == MAGIC && *kind == CHANGE && hash.starts_with(checksum);
    match content {
        (length, content) if is_sound && length == content.len() as u64 => Ok(hash),
        _ => Err(BadState::Change),
    }
}

/// A number in LEB128, in the fewest bytes, and what follows it.
pub(crate) fn take_length(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let size = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let (digits, rest) = bytes.split_at_checked(size)?;
    let is_shortest = size == 1 || digits.last() != Some(&0);
    // Nine bytes have 63 bits, more than any length here.
    if size > 9 || !is_shortest {
        return None;
    }
    let digits = digits.iter().rev();
    let number = digits.fold(0, |number, byte| (number << 7) | u64::from(byte & 0x7f));
    Some((number, rest))
}

/// Changes by their hashes.
pub(crate) type Document = JoinMap<Hash, Item>;

impl Body for Document {
    type Wire = Vec<Item>;
    const KIND: Kind = Kind::Document;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn from_wire(wire: Self::Wire) -> Result<Self, BadState> {
        let changes = wire.into_iter();
        let named: Result<Vec<_>, BadState> = changes
            .map(|change| Ok((change_hash(change.as_slice())?, change)))
            .collect();
        ascending(named?).map(Self)
    }

    fn to_wire(&self) -> Self::Wire {
        self.0.values().cloned().collect()
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        if self == to {
            return Ok(Vec::new());
        }
        Err(OpError::NoOperation)
    }

    #[cfg(not(feature = "documents"))]
    fn compact(&self, _at: At) -> Result<Self, OpError> {
        Err(OpError::Document)
    }

    #[cfg(feature = "documents")]
    fn compact(&self, at: At) -> Result<Self, OpError> {
        crate::documents::compact(self, at.writer).map_err(|_error| OpError::Document)
    }

    fn value(&self) -> Value {
        let hex = |hash: &Hash| {
            hash.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        Value::List(
            self.0
                .keys()
                .map(|hash| Value::Bytes(hex(hash).into_bytes()))
                .collect(),
        )
    }
}
