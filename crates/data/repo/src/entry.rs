//! What a space keeps under a key: a stamp and a state.

use allod_blocks::{BLOCK_BYTES_MAX, Cid, Codec};
use allod_crdt::Kind;
use bytes::Bytes;

use crate::stamp::Stamp;

/// The longest key, in bytes (REPO-2).
pub const KEY_BYTES_MAX: usize = 4096;

/// The largest value kept inside the tree, in bytes (REPO-3).
pub const VALUE_INLINE_BYTES_MAX: usize = 1024;

/// What a state that joins begins with: an array of two, its kind and the state.
const JOINING: u8 = 0x82;

/// The bytes of a tag-42 link to a CIDv1 with a one-byte codec and a 32-byte digest.
const LINK_BYTES: usize = 41;

/// A stamped state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// When it was written, in the writer's hybrid time.
    pub stamp: Stamp,
    /// What was written.
    pub state: State,
}

/// What an entry says about its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// The value itself, at most [`VALUE_INLINE_BYTES_MAX`].
    Value(Bytes),
    /// The value is the content of this block or file.
    Link(Cid),
    /// The key was deleted.
    Tombstone,
    /// A state that joins, at most [`VALUE_INLINE_BYTES_MAX`].
    Joining(Kind, Bytes),
    /// A state that joins, in this raw block.
    JoiningLink(Kind, Cid),
}

/// A [`State`] where it stands in an encoded entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StateRef<'a> {
    /// The value itself.
    Value(&'a [u8]),
    /// The value is the content of this block or file.
    Link(Cid),
    /// The key was deleted.
    Tombstone,
    /// A state that joins.
    Joining(Kind, &'a [u8]),
    /// A state that joins, in this raw block.
    JoiningLink(Kind, Cid),
}

/// Why bytes are not an entry (REPO-1). Blame: whoever made the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The bytes end too early.
    #[error("the entry is cut off")]
    Truncated,
    /// Bytes follow the entry.
    #[error("bytes follow the entry")]
    Trailing,
    /// Not an array of two, or a head that is not the shortest.
    #[error("not the canonical form of an entry")]
    NotCanonical,
    /// The state is none of value, link, tombstone, state that joins; or joins by a kind that is not known.
    #[error("the state is of an unknown kind")]
    UnknownState,
    /// The value is longer than fits the tree (REPO-3).
    #[error("an inline value of {got} bytes exceeds {VALUE_INLINE_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        got: u64,
    },
    /// The link is not the name of a raw block or a file.
    #[error("the link is not the name of a raw block or a file")]
    BadLink,
}

impl Entry {
    /// The entry's canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64);
        out.push(0x82);
        put_head(&mut out, 0, self.stamp.bits());
        match &self.state {
            State::Value(value) => {
                put_head(&mut out, 2, value.len() as u64);
                out.extend_from_slice(value);
            }
            State::Link(cid) => put_link(&mut out, cid),
            State::Tombstone => out.push(0xf6),
            State::Joining(kind, state) => {
                out.extend_from_slice(&[JOINING, kind.code()]);
                put_head(&mut out, 2, state.len() as u64);
                out.extend_from_slice(state);
            }
            State::JoiningLink(kind, cid) => {
                out.extend_from_slice(&[JOINING, kind.code()]);
                put_link(&mut out, cid);
            }
        }
        out.into()
    }

    /// Reads an entry; only its canonical encoding is one.
    pub fn decode(bytes: &Bytes) -> Result<Self, EntryError> {
        let (stamp, state) = StateRef::decode(bytes)?;
        let state = match state {
            StateRef::Value(value) => State::Value(bytes.slice_ref(value)),
            StateRef::Link(cid) => State::Link(cid),
            StateRef::Tombstone => State::Tombstone,
            StateRef::Joining(kind, state) => State::Joining(kind, bytes.slice_ref(state)),
            StateRef::JoiningLink(kind, cid) => State::JoiningLink(kind, cid),
        };
        Ok(Self { stamp, state })
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match &self.state {
            State::Tombstone => false,
            State::Joining(_, state) => allod_crdt::has_value(state),
            State::Value(_) | State::Link(_) | State::JoiningLink(..) => true,
        }
    }
}

impl State {
    /// The block or file that the key has its value from.
    #[must_use]
    pub const fn link(&self) -> Option<&Cid> {
        match self {
            Self::Link(cid) | Self::JoiningLink(_, cid) => Some(cid),
            Self::Value(_) | Self::Tombstone | Self::Joining(..) => None,
        }
    }
}

impl<'a> StateRef<'a> {
    /// Reads an entry; only its canonical encoding is one.
    pub fn decode(bytes: &'a [u8]) -> Result<(Stamp, Self), EntryError> {
        let (&first, mut rest) = bytes.split_first().ok_or(EntryError::Truncated)?;
        if first != 0x82 {
            return Err(EntryError::NotCanonical);
        }
        let (major, stamp) = take_head(&mut rest)?;
        if major != 0 {
            return Err(EntryError::NotCanonical);
        }
        let stamp = Stamp::from_bits(stamp);
        let state = match rest.first() {
            Some(0xf6) if rest.len() == 1 => Self::Tombstone,
            Some(0xd8) => Self::Link(decode_link(rest)?),
            Some(&JOINING) => {
                let (&[_, code], rest) = rest.split_first_chunk().ok_or(EntryError::Truncated)?;
                let kind = Kind::from_code(code).ok_or(EntryError::UnknownState)?;
                match rest.first() {
                    Some(0xd8) => Self::JoiningLink(kind, raw_only(decode_link(rest)?)?),
                    _ => Self::Joining(kind, decode_bytes(rest)?),
                }
            }
            _ => Self::Value(decode_bytes(rest)?),
        };
        Ok((stamp, state))
    }

    /// Whether it is a state that joins.
    #[must_use]
    pub const fn joins(&self) -> bool {
        matches!(self, Self::Joining(..) | Self::JoiningLink(..))
    }

    /// It as a state of its own.
    #[must_use]
    pub fn to_state(self) -> State {
        match self {
            Self::Value(value) => State::Value(Bytes::copy_from_slice(value)),
            Self::Link(cid) => State::Link(cid),
            Self::Tombstone => State::Tombstone,
            Self::Joining(kind, state) => State::Joining(kind, Bytes::copy_from_slice(state)),
            Self::JoiningLink(kind, cid) => State::JoiningLink(kind, cid),
        }
    }
}

impl<'a> From<&'a State> for StateRef<'a> {
    fn from(state: &'a State) -> Self {
        match state {
            State::Value(value) => Self::Value(value),
            State::Link(cid) => Self::Link(*cid),
            State::Tombstone => Self::Tombstone,
            State::Joining(kind, state) => Self::Joining(*kind, state),
            State::JoiningLink(kind, cid) => Self::JoiningLink(*kind, *cid),
        }
    }
}

/// Which of two encoded entries of one key without a state that joins is kept (REPO-4): the one with the
/// greater stamp, then with the greater encoding. `true` for the left one, also when both are equal.
#[must_use]
pub fn left_wins(left: &[u8], right: &[u8]) -> bool {
    (stamp_of(left), left) >= (stamp_of(right), right)
}

/// Whether an encoded entry has a state that joins.
pub(crate) fn joins(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(1..).unwrap_or_default();
    take_head(&mut rest).is_ok() && rest.first() == Some(&JOINING)
}

/// The stamp of an encoded entry; 0 for bytes that are none, so that any entry beats them.
fn stamp_of(bytes: &[u8]) -> u64 {
    let mut rest = bytes.get(1..).unwrap_or_default();
    match take_head(&mut rest) {
        Ok((0, stamp)) => stamp,
        _ => 0,
    }
}

/// A byte string of at most [`VALUE_INLINE_BYTES_MAX`], and nothing behind it.
fn decode_bytes(mut rest: &[u8]) -> Result<&[u8], EntryError> {
    let (major, length) = take_head(&mut rest)?;
    if major != 2 {
        return Err(EntryError::UnknownState);
    }
    if length > VALUE_INLINE_BYTES_MAX as u64 {
        return Err(EntryError::TooLong { got: length });
    }
    match (rest.len() as u64).cmp(&length) {
        std::cmp::Ordering::Less => Err(EntryError::Truncated),
        std::cmp::Ordering::Greater => Err(EntryError::Trailing),
        std::cmp::Ordering::Equal => Ok(rest),
    }
}

/// A state that joins is one raw block.
fn raw_only(cid: Cid) -> Result<Cid, EntryError> {
    let is_raw = cid.codec() == Codec::Raw.code() && cid.hash().code() == 0x12;
    is_raw.then_some(cid).ok_or(EntryError::BadLink)
}

fn put_link(out: &mut Vec<u8>, cid: &Cid) {
    out.extend_from_slice(&[0xd8, 0x2a, 0x58, 37, 0]);
    out.extend_from_slice(&cid.to_bytes());
}

fn decode_link(bytes: &[u8]) -> Result<Cid, EntryError> {
    if bytes.len() < LINK_BYTES {
        return Err(EntryError::Truncated);
    }
    if bytes.len() > LINK_BYTES {
        return Err(EntryError::Trailing);
    }
    let cid = bytes
        .strip_prefix(&[0xd8, 0x2a, 0x58, 37, 0])
        .ok_or(EntryError::NotCanonical)?;
    // The parser passes over what follows a CID with a shorter digest.
    let cid = Cid::try_from(cid)
        .ok()
        .filter(|parsed| parsed.to_bytes() == cid)
        .ok_or(EntryError::BadLink)?;
    if is_value_link(&cid) {
        Ok(cid)
    } else {
        Err(EntryError::BadLink)
    }
}

/// Only raw blocks and files: a statement or a node must not enter a store as somebody's value.
pub(crate) fn is_value_link(cid: &Cid) -> bool {
    let codec = matches!(
        Codec::from_code(cid.codec()),
        Some(Codec::Raw | Codec::DagPb)
    );
    let hash = matches!(cid.hash().code(), 0x12 | 0x1e) && cid.hash().digest().len() == 32;
    codec && hash
}

fn put_head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    let bytes = value.to_be_bytes();
    match value {
        0..24 => out.push(major | bytes[7]),
        24..0x100 => out.extend_from_slice(&[major | 0x18, bytes[7]]),
        0x100..0x1_0000 => {
            out.push(major | 0x19);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 0x1a);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 0x1b);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Takes a head in its shortest form off `rest`: major type and argument.
fn take_head(rest: &mut &[u8]) -> Result<(u8, u64), EntryError> {
    let (&first, after) = rest.split_first().ok_or(EntryError::Truncated)?;
    let width = match first & 0x1f {
        small @ 0..24 => {
            *rest = after;
            return Ok((first >> 5, u64::from(small)));
        }
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return Err(EntryError::NotCanonical),
    };
    let (argument, after) = after.split_at_checked(width).ok_or(EntryError::Truncated)?;
    let value = argument
        .iter()
        .fold(0u64, |value, &byte| (value << 8) | u64::from(byte));
    let shortest = match width {
        1 => value >= 24,
        2 => value > 0xff,
        4 => value > 0xffff,
        _ => value > 0xffff_ffff,
    };
    if !shortest {
        return Err(EntryError::NotCanonical);
    }
    *rest = after;
    Ok((first >> 5, value))
}

/// The largest value that is one block; larger ones are files (REPO-3).
pub const VALUE_BLOCK_BYTES_MAX: usize = 1024 * 1024;
const _: () = assert!(
    VALUE_BLOCK_BYTES_MAX <= BLOCK_BYTES_MAX,
    "such a value is one block"
);
