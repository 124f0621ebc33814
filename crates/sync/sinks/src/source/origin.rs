//! What events come from.

use std::collections::BTreeMap;

use bytes::Bytes;
use multibase::Base;
use sha2::{Digest as _, Sha256};

use crate::source::position::{Mark, Position};
use crate::target::Fault;

/// Records that are read at a time, at most (SRC, "Limits").
pub(crate) const RECORDS_MAX: usize = 1024;

/// Bytes of records that are read at a time, about: one record more at most.
pub(crate) const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest record that is read, in bytes (SRC, "Limits"): an event has 1 MiB at most.
pub(crate) const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// A record of a stream, a topic, or a file.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "origins of others make them")]
pub struct Record {
    /// The part that it is in.
    pub part: u32,
    /// Where it is there.
    pub at: u64,
    /// Where the next one is.
    pub next: u64,
    /// What it is called where it is: a subject of NATS, a key of Kafka.
    pub subject: Option<String>,
    /// Its headers, those that are text.
    pub headers: Vec<(String, String)>,
    /// What it says; nothing if it is too large.
    pub payload: Option<Bytes>,
    /// The first bytes of the SHA-256 of what it says.
    pub check: String,
}

impl Record {
    /// The position of its part after it.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            next: self.next,
            check: self.check.clone(),
            passed: None,
        }
    }

    /// What dead letters and keys call it.
    pub(crate) fn place(&self) -> String {
        format!("{}-{}", self.part, self.at)
    }
}

/// A digest that is a check of a position.
pub(crate) fn check(digest: Sha256) -> String {
    let digest: [u8; 32] = digest.finalize().into();
    Base::Base16Lower.encode(digest.get(..8).unwrap_or_default())
}

/// The check of some bytes.
#[cfg(any(feature = "kafka", feature = "nats"))]
pub(crate) fn check_of(bytes: &[u8]) -> String {
    check(Sha256::new_with_prefix(bytes))
}

/// From where it is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Seek<'a> {
    /// From a position on.
    At(&'a Position),
    /// All that is there.
    Beginning,
    /// What comes from now on.
    End,
}

/// Records that come next.
#[derive(Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "origins of others make them")]
pub struct Batch {
    /// The records, those of a part in order.
    pub records: Vec<Record>,
    /// Whether there are no more now.
    pub is_end: bool,
    /// Of parts, up to where the origin has nothing else for the source, these records aside (SRC-17).
    pub passed: BTreeMap<u32, u64>,
}

/// What events come from.
pub trait Origin: Send {
    /// Goes to where it is read from, and says where that is.
    ///
    /// # Errors
    /// [`Fault::Stopped`] if it does not go on from there (SRC-12).
    fn seek(&mut self, to: Seek<'_>) -> Result<Position, Fault>;

    /// The records that come next; it waits a moment for the first one.
    fn next(&mut self) -> Result<Batch, Fault>;
}

/// That what a position says is not there any more, or not what it was (SRC-12).
pub(crate) fn gone(why: &str) -> Fault {
    Fault::Stopped(format!(
        "E_SOURCE_GAP: {why}; `allod source resume NAME --from beginning` or `--from end` goes on"
    ))
}
