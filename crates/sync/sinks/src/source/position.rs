//! How far a source has come (SRC-10 to SRC-12).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest text of a position, in bytes: 1,024 partitions of a topic, and room.
pub const POSITION_BYTES_MAX: usize = 128 * 1024;

/// How far a source has come.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "the page says what it has")]
pub struct Position {
    /// What it is a position in: another one in its place has another name where that can be told.
    pub of: String,
    /// For each part what comes next; a part that is not here is read from its beginning.
    pub parts: BTreeMap<u32, Mark>,
}

/// How far a source has come in a part.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "the page says what it has")]
pub struct Mark {
    /// Where the next record is, or will be.
    pub next: u64,
    /// The first 8 bytes of the SHA-256 of the record before, in hexadecimal digits; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub check: String,
    /// Up to here the origin has nothing else for the source, where it goes further than that (SRC-17).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<u64>,
}

impl Mark {
    /// From where on there may be records.
    #[cfg(any(feature = "kafka", feature = "nats"))]
    pub(crate) fn from(&self) -> u64 {
        self.passed.unwrap_or_default().max(self.next)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_error| fmt::Error)?;
        f.write_str(&text)
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        if text.len() > POSITION_BYTES_MAX {
            return Err(NoPosition);
        }
        serde_json::from_str(text).map_err(|_error| NoPosition)
    }
}

/// A text is no position. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is no position of a source")]
pub struct NoPosition;
