//! What is not in the redo log yet, and goes into the next record of it (BLOCKS-87).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::engine::{Table, Write, bytes_of};
use crate::store::LATER_BYTES_MAX;

/// What writing takes in memory beside its key and value.
const WRITE_BYTES: usize = 64;

/// The writes of batches that were given to the engine, and are in no record. The last one under each key counts.
#[derive(Debug)]
pub(crate) struct Deferred {
    writes: BTreeMap<(u8, Bytes), (Table, Option<Bytes>)>,
    bytes: usize,
    bytes_max: usize,
}

impl Deferred {
    /// Nothing yet. All of it has to fit a record of so many bytes.
    pub(crate) fn new(record_bytes_max: u64) -> Self {
        let record = usize::try_from(record_bytes_max).unwrap_or(usize::MAX);
        Self {
            writes: BTreeMap::new(),
            bytes: 0,
            bytes_max: record.min(LATER_BYTES_MAX),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Whether there is room for these writes.
    pub(crate) fn has_room(&self, writes: &[Write]) -> bool {
        self.bytes + bytes_of(writes, WRITE_BYTES) <= self.bytes_max
    }

    pub(crate) fn put(&mut self, writes: &[Write]) {
        self.bytes += bytes_of(writes, WRITE_BYTES);
        for (table, key, value) in writes {
            let place = (*table as u8, key.clone());
            self.writes.insert(place, (*table, value.clone()));
        }
    }

    /// All of them, in the order of their keys.
    pub(crate) fn take(&mut self) -> Vec<Write> {
        self.bytes = 0;
        let writes = std::mem::take(&mut self.writes).into_iter();
        writes
            .map(|((_, key), (table, value))| (table, key, value))
            .collect()
    }
}
