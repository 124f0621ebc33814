//! Where a consumer stands (FEED-10 to FEED-13).

use std::fmt;
use std::str::FromStr;

use allod_blocks::Cid;
use allod_identity::canonical;
use allod_repo::{BranchName, CommitId, SpaceId};
use bytes::Bytes;
use multibase::Base;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};

use crate::error::FeedError;

/// The longest text of a cursor (FEED, "Limits"), in bytes: a key of 4,096 bytes, and what is around it.
pub const CURSOR_BYTES_MAX: usize = 8 * 1024;

/// The version of the layout.
const VERSION: u8 = 1;

/// The name of a log: 16 random bytes that a store is given once.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Epoch(pub(crate) [u8; 16]);

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base::Base16Lower.encode(self.0))
    }
}

/// The beginning of the SHA-256 of a log entry: that a log has another one in its place is noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Check(pub(crate) [u8; 8]);

impl Check {
    pub(crate) fn of(entry: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(entry).into();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }
}

/// Where a consumer stands: after some event of a log, or before all. Opaque to whoever keeps it; its text is
/// what is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cursor {
    pub(crate) epoch: Epoch,
    /// Of the next log entry.
    pub(crate) position: u64,
    /// Of the entry before, if there is one.
    pub(crate) check: Option<Check>,
    pub(crate) place: Place,
}

/// How far a consumer is within what a position stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// Before the move.
    Before,
    /// Within the move.
    In(Within),
    /// Within a snapshot that began at the position.
    At(Option<Shown>),
}

/// What was told of a move last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Within {
    /// The move itself.
    Move,
    /// A commit, and its changes up to a key.
    Commit(CommitId, Option<Bytes>),
    /// Its own changes up to a key.
    Change(Bytes),
}

/// What a snapshot showed last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Shown {
    pub(crate) space: SpaceId,
    pub(crate) branch: BranchName,
    /// `None` after all keys of the branch.
    pub(crate) key: Option<Bytes>,
}

impl Cursor {
    /// The position of the log that it is at: of the move that it is within, or of the next one.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The log that it is of.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether it is within a snapshot.
    #[must_use]
    pub const fn is_in_snapshot(&self) -> bool {
        matches!(self.place, Place::At(_))
    }

    /// Of a cursor within a snapshot, the key that was shown last. A snapshot shows keys in ascending order of these.
    #[must_use]
    pub fn shown(&self) -> Option<(SpaceId, &BranchName, &Bytes)> {
        match &self.place {
            Place::At(Some(shown)) => {
                let key = shown.key.as_ref()?;
                Some((shown.space, &shown.branch, key))
            }
            Place::At(None) | Place::Before | Place::In(_) => None,
        }
    }

    /// Before all of the move, or of the snapshot, that it is within.
    #[must_use]
    pub fn before_its_move(&self) -> Self {
        let place = match self.place {
            Place::At(_) => Place::At(None),
            Place::Before | Place::In(_) => Place::Before,
        };
        Self {
            place,
            ..self.clone()
        }
    }
}

/// The layout of a cursor, of bytes and texts that are borrowed where it is written.
#[derive(Serialize, Deserialize)]
struct Layout<B, S>(u8, B, u64, Option<B>, Option<PlaceLayout<B, S>>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PlaceLayout<B, S> {
    In(S, Option<Cid>, Option<B>),
    At(S, Cid, S, Option<B>),
}

impl Cursor {
    fn layout(&self) -> Layout<&serde_bytes::Bytes, &str> {
        let inside = |link: Option<Cid>, key| Some(PlaceLayout::In("in", link, key));
        let place = match &self.place {
            Place::Before => None,
            Place::In(Within::Move) => inside(None, None),
            Place::In(Within::Commit(id, key)) => {
                inside(Some(*id.cid()), key.as_deref().map(serde_bytes::Bytes::new))
            }
            Place::In(Within::Change(key)) => inside(None, Some(serde_bytes::Bytes::new(key))),
            Place::At(None) => Some(PlaceLayout::In("at", None, None)),
            Place::At(Some(shown)) => Some(PlaceLayout::At(
                "at",
                *shown.space.cid(),
                shown.branch.as_str(),
                shown.key.as_deref().map(serde_bytes::Bytes::new),
            )),
        };
        let check = self.check.as_ref();
        let check = check.map(|check| serde_bytes::Bytes::new(&check.0));
        let epoch = serde_bytes::Bytes::new(&self.epoch.0);
        Layout(VERSION, epoch, self.position, check, place)
    }

    fn of_layout(
        Layout(version, epoch, position, check, place): Layout<ByteBuf, String>,
    ) -> Option<Self> {
        let bytes = |key: ByteBuf| Bytes::from(key.into_vec());
        let place = match place {
            None => Place::Before,
            Some(PlaceLayout::In(kind, link, key)) => match (&kind[..], link, key.map(bytes)) {
                ("in", None, None) => Place::In(Within::Move),
                ("in", None, Some(key)) => Place::In(Within::Change(key)),
                ("in", Some(id), key) => Place::In(Within::Commit(CommitId::from_cid(id), key)),
                ("at", None, None) => Place::At(None),
                _ => return None,
            },
            Some(PlaceLayout::At(kind, space, branch, key)) => Place::At(Some(Shown {
                space: (kind == "at").then(|| SpaceId::from_cid(space))?,
                branch: branch.parse().ok()?,
                key: key.map(bytes),
            })),
        };
        let check = match (position, check) {
            (0, None) => None,
            (1.., Some(check)) => Some(Check(check.into_vec().try_into().ok()?)),
            _ => return None,
        };
        (version == VERSION).then_some(Self {
            epoch: Epoch(epoch.into_vec().try_into().ok()?),
            position,
            check,
            place,
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = canonical::encode(&self.layout()).map_err(|_error| fmt::Error)?;
        f.write_str(&Base::Base64Url.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = FeedError;

    fn from_str(text: &str) -> Result<Self, FeedError> {
        if text.len() > CURSOR_BYTES_MAX {
            return Err(FeedError::Cursor);
        }
        let bytes = Base::Base64Url
            .decode(text)
            .map_err(|_error| FeedError::Cursor)?;
        // One text for one cursor: the last character may have bits that say nothing.
        if Base::Base64Url.encode(&bytes) != text {
            return Err(FeedError::Cursor);
        }
        let layout = canonical::decode(&Bytes::from(bytes), CURSOR_BYTES_MAX)
            .map_err(|_error| FeedError::Cursor)?;
        Self::of_layout(layout).ok_or(FeedError::Cursor)
    }
}
