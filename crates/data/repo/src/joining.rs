//! Values that join: states of CRDT in entries, and the join of any two entries (REPO-4).

mod trees;

use std::cmp::Ordering;

use allod_blocks::{Block, Codec};
use allod_crdt::{Document, JoinError, Kind, State as Joinable};
use bytes::Bytes;

use crate::entry::{Entry, State, StateRef, VALUE_INLINE_BYTES_MAX, joins, left_wins};
use crate::error::RepoError;
use crate::stamp::Stamp;
use crate::view::damaged;

pub use self::trees::join;
pub(crate) use self::trees::{Joins, Made, few_changes};

/// Reads a raw block.
pub type Load<'a> = &'a dyn Fn(&allod_blocks::Cid) -> Result<Bytes, RepoError>;

/// The join of two entries of one key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Joining {
    /// It is the left one.
    Left,
    /// It is the right one, or both are the same.
    Right,
    /// It is neither: another entry, and the block that it links to if it does.
    Made(Bytes, Option<Block>),
}

/// Joins two encoded entries of one key (REPO-4).
///
/// States that join are greater than all others, and among each other by epoch and kind; of one epoch and
/// kind they join. So the order in which replicas meet does not matter.
pub(crate) fn join_entries(
    left: &[u8],
    right: &[u8],
    load: Load<'_>,
) -> Result<Joining, RepoError> {
    if !joins(left) && !joins(right) {
        return Ok(if left_wins(left, right) {
            Joining::Left
        } else {
            Joining::Right
        });
    }
    let (ours, theirs) = (Side::read(left, load)?, Side::read(right, load)?);
    let stamp = ours.stamp.max(theirs.stamp);
    let kept = |side: &Side<'_>, joined| {
        if side.stamp == stamp {
            return joined;
        }
        let state = side.of.to_state();
        Joining::Made(Entry { stamp, state }.encode(), None)
    };
    let order = ours.class().cmp(&theirs.class());
    if order != Ordering::Equal {
        return Ok(if order == Ordering::Greater {
            kept(&ours, Joining::Left)
        } else {
            kept(&theirs, Joining::Right)
        });
    }
    let (Some(one), Some(two)) = (&ours.joinable, &theirs.joinable) else {
        return Err(RepoError::Damaged("a state that joins is none"));
    };
    match one.join(two) {
        Ok(joined) if joined == *two => Ok(kept(&theirs, Joining::Right)),
        Ok(joined) if joined == *one => Ok(kept(&ours, Joining::Left)),
        Ok(joined) => {
            let (state, block) = state_of_joinable(&joined)?;
            Ok(Joining::Made(Entry { stamp, state }.encode(), block))
        }
        // Too large for a block: one of them, whichever replica joins.
        Err(JoinError::TooLarge(_)) if left_wins(left, right) => Ok(Joining::Left),
        Err(_) => Ok(Joining::Right),
    }
}

/// Whether the join of two entries puts neither aside.
pub(crate) fn are_both_kept(left: &[u8], right: &[u8], load: Load<'_>) -> Result<bool, RepoError> {
    if !joins(left) || !joins(right) {
        return Ok(false);
    }
    let (ours, theirs) = (Side::read(left, load)?, Side::read(right, load)?);
    let fits = match (&ours.joinable, &theirs.joinable) {
        (Some(one), Some(two)) => one.join(two).is_ok(),
        _ => false,
    };
    Ok(fits && ours.class() == theirs.class())
}

/// An entry on its way into a join.
struct Side<'a> {
    stamp: Stamp,
    of: StateRef<'a>,
    joinable: Option<Joinable>,
}

impl<'a> Side<'a> {
    fn read(bytes: &'a [u8], load: Load<'_>) -> Result<Self, RepoError> {
        let (stamp, of) = StateRef::decode(bytes).map_err(damaged)?;
        let joinable = joinable_of(of, load)?;
        Ok(Self {
            stamp,
            of,
            joinable,
        })
    }

    /// What decides first: whether it joins, its epoch, its kind.
    fn class(&self) -> Option<(Option<allod_crdt::Epoch>, Kind)> {
        let joinable = self.joinable.as_ref()?;
        Some((joinable.epoch(), joinable.kind()))
    }
}

/// The state that joins which a state of an entry is, if it is one.
pub(crate) fn joinable_of(
    state: StateRef<'_>,
    load: Load<'_>,
) -> Result<Option<Joinable>, RepoError> {
    let decode = |kind, bytes: &[u8]| {
        Joinable::decode(kind, bytes).map_err(|_error| RepoError::Damaged("a state that joins"))
    };
    match state {
        StateRef::Joining(kind, bytes) => decode(kind, bytes).map(Some),
        StateRef::JoiningLink(kind, cid) => decode(kind, &load(&cid)?).map(Some),
        StateRef::Value(_) | StateRef::Link(_) | StateRef::Tombstone => Ok(None),
    }
}

/// A state that joins as an entry has it, and the block that it needs, if any (REPO-3).
pub(crate) fn state_of_joinable(joinable: &Joinable) -> Result<(State, Option<Block>), RepoError> {
    let bytes: Bytes = joinable.encode()?.into();
    let kind = joinable.kind();
    if bytes.len() <= VALUE_INLINE_BYTES_MAX {
        return Ok((State::Joining(kind, bytes), None));
    }
    let block = Block::new(Codec::Raw, bytes).map_err(|_error| RepoError::TooLong {
        what: "a state that joins",
        limit: allod_crdt::STATE_BYTES_MAX,
    })?;
    Ok((State::JoiningLink(kind, *block.cid()), Some(block)))
}

/// What a state that joins shows, as JSON; of a document its contents. None if it has no value.
///
/// # Errors
/// [`RepoError::Document`] if a document cannot be put together.
pub fn shown_text(joinable: &Joinable) -> Result<Option<String>, RepoError> {
    let Some(value) = joinable.value() else {
        return Ok(None);
    };
    Ok(Some(match joinable.kind() {
        Kind::Document => Document::open(joinable)?.value()?.to_string(),
        _ => value.to_string(),
    }))
}
