//! The log of a store as a changefeed.

use std::fmt;
use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Expect, Store};
use allod_repo::{Repo, RepoError, SpaceId};
use bytes::Bytes;

use crate::announce::{AnnouncingStore, LogEnd};
use crate::cursor::{Check, Cursor, Epoch, Place};
use crate::error::FeedError;
use crate::filter::Filter;
use crate::moves::Moves;
use crate::reader::Reader;

/// Where the name of the log is kept.
const EPOCH: &[u8] = b"feed/epoch";

/// Whoever has handles on the spaces of a store.
pub trait Spaces {
    /// A handle on a space; `None` if it is not here.
    fn repo(&self, id: SpaceId) -> Result<Option<Repo>, RepoError>;
}

/// The log of a store, to be read from any place on. Clones are handles to the same one.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<AnnouncingStore>,
    end: LogEnd,
    epoch: Epoch,
    moves: Moves,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("epoch", &self.inner.epoch)
            .field("end", &self.inner.end)
            .finish_non_exhaustive()
    }
}

impl Feed {
    /// The log of a store, which is given the name `random` if it has none.
    pub fn open(store: Arc<AnnouncingStore>, random: [u8; 16]) -> Result<Self, FeedError> {
        let mut batch = Batch::new();
        let name = Bytes::copy_from_slice(&random);
        batch.set_ref(EPOCH, Expect::Absent, Some(name.clone()));
        let name = match store.get_ref(EPOCH)? {
            Some(name) => name,
            None => match store.commit(batch)? {
                BatchOutcome::Done { .. } => name,
                BatchOutcome::Moved { current, .. } => current.unwrap_or_default(),
            },
        };
        let epoch = <[u8; 16]>::try_from(&name[..])
            .map_err(|_error| RepoError::Damaged("the name of the log has not 16 bytes"))?;
        Ok(Self {
            inner: Arc::new(Inner {
                end: store.log_end(),
                store,
                epoch: Epoch(epoch),
                moves: Moves::default(),
            }),
        })
    }

    /// The name of the log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// How far the log is durable, and so may be told.
    #[must_use]
    pub fn log_end(&self) -> &LogEnd {
        &self.inner.end
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    pub(crate) fn moves(&self) -> &Moves {
        &self.inner.moves
    }

    /// The cursor before all that the log ever had.
    #[must_use]
    pub fn beginning(&self) -> Cursor {
        Cursor {
            epoch: self.inner.epoch,
            position: 0,
            check: None,
            place: Place::Before,
        }
    }

    /// The cursor after all that the log has now.
    pub fn now(&self) -> Result<Cursor, FeedError> {
        let position = self.inner.end.get();
        let check = match position.checked_sub(1) {
            None => None,
            Some(last) => {
                let damaged = RepoError::Damaged("the last entry of the log is missing");
                Some(self.check_of(last)?.ok_or(damaged)?)
            }
        };
        Ok(Cursor {
            epoch: self.inner.epoch,
            position,
            check,
            place: Place::Before,
        })
    }

    /// The cursor before a snapshot that begins now (FEED-20).
    pub fn snapshot(&self) -> Result<Cursor, FeedError> {
        Ok(Cursor {
            place: Place::At(None),
            ..self.now()?
        })
    }

    /// Reads from a cursor on what a filter lets pass.
    ///
    /// # Errors
    /// [`FeedError::Expired`] if the log does not go on from there.
    pub fn read(&self, from: Cursor, filter: Arc<Filter>) -> Result<Reader, FeedError> {
        let before = match from.position.checked_sub(1) {
            _ if from.epoch != self.inner.epoch => {
                return Err(self.expired("it is of another log")?);
            }
            _ if from.position > self.inner.end.get() => {
                return Err(self.expired("the log is shorter than it was")?);
            }
            None => {
                let first = self.store().read_log(0, 1)?.into_iter().next();
                if first.is_some_and(|first| first.position > 0) {
                    return Err(self.expired("the log begins after it")?);
                }
                None
            }
            Some(last) => match self.check_of(last)? {
                None => return Err(self.expired("the log begins after it")?),
                check => check,
            },
        };
        if before != from.check {
            return Err(self.expired("the log is another one before it")?);
        }
        Ok(Reader::new(self.clone(), from, filter))
    }

    /// What tells an entry from another in its place.
    fn check_of(&self, position: u64) -> Result<Option<Check>, FeedError> {
        let entry = self.store().read_log(position, 1)?.into_iter().next();
        let entry = entry.filter(|entry| entry.position == position);
        Ok(entry.map(|entry| Check::of(&entry.bytes)))
    }

    /// That a cursor has expired, and where to begin instead (FEED-14).
    pub(crate) fn expired(&self, why: &'static str) -> Result<FeedError, FeedError> {
        let snapshot = Box::new(self.snapshot()?);
        Ok(FeedError::Expired { why, snapshot })
    }
}
