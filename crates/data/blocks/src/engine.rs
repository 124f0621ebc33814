//! fjall, as the store uses it: keyspaces, batches of writes, and how its faults are told.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use fjall::config::PinningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use crate::store::{StoreError, StoreErrorKind, position_of};

/// A memtable: the unit in which blocks leave memory. Two may exist while one is flushed, so that
/// a stream of large blocks stays below 64 MiB in all.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// The part of a file of large values that may be garbage before it is written anew. With a
/// smaller part files are written anew in the middle of a collection, and fjall 3.1 loses count
/// of what dies in the copies: at a twentieth, 1.4 times what lives stayed on the disk, at a
/// quarter 1.07 times.
const STALE_RATIO: f32 = 0.25;

/// What makes a batch durable: fdatasync of the journal, which also writes the length of the file, and
/// spares the time of its last change.
const DURABLE: PersistMode = PersistMode::SyncData;

/// Compactions that give room back: the first finds what is garbage, the next write the files anew
/// that had too much of it.
const COMPACTIONS: u32 = 3;

/// The only key of the keyspace of its name.
const APPLIED: &[u8] = b"applied";

/// A keyspace, by its number in the redo log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Table {
    Blocks = 0,
    Refs = 1,
    Log = 2,
    /// Damaged blocks (BLOCKS-70).
    Aside = 3,
}

impl Table {
    pub(crate) const ALL: [Self; 4] = [Self::Blocks, Self::Refs, Self::Log, Self::Aside];
}

/// A value put under a key of a table, or with `None` a removal.
pub(crate) type Write = (Table, Bytes, Option<Bytes>);

/// The engine. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Engine {
    db: Database,
    pub(crate) blocks: Keyspace,
    pub(crate) refs: Keyspace,
    pub(crate) log: Keyspace,
    pub(crate) aside: Keyspace,
    /// The number of the last logged batch that it was given.
    applied: Keyspace,
}

impl Engine {
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let db = Database::builder(path).cache_size(cache_bytes).open();
        let db = db.map_err(fault)?;
        let keyspace =
            |name, options: KeyspaceCreateOptions| db.keyspace(name, || options).map_err(fault);
        let separated = KvSeparationOptions::default()
            .staleness_threshold(STALE_RATIO)
            .age_cutoff(1.0);
        let blocks = pinned()
            .max_memtable_size(MEMTABLE_BYTES)
            .with_kv_separation(Some(separated));
        let aside = KeyspaceCreateOptions::default()
            .with_kv_separation(Some(KvSeparationOptions::default()));
        Ok(Self {
            blocks: keyspace("blocks", blocks)?,
            refs: keyspace("refs", pinned())?,
            log: keyspace("log", KeyspaceCreateOptions::default())?,
            aside: keyspace("aside", aside)?,
            applied: keyspace("applied", KeyspaceCreateOptions::default())?,
            db,
        })
    }

    pub(crate) const fn keyspace(&self, table: Table) -> &Keyspace {
        match table {
            Table::Blocks => &self.blocks,
            Table::Refs => &self.refs,
            Table::Log => &self.log,
            Table::Aside => &self.aside,
        }
    }

    /// The number of the last logged batch that it has.
    pub(crate) fn applied(&self) -> Result<u64, StoreError> {
        let number = self.applied.get(APPLIED).map_err(fault)?;
        number.map_or(Ok(0), |number| position_of(&number))
    }

    /// Writes a batch as a whole, with the number that it has in the redo log.
    pub(crate) fn apply(
        &self,
        writes: &[Write],
        number: Option<u64>,
        sync: bool,
    ) -> Result<(), StoreError> {
        let mode = if sync { DURABLE } else { PersistMode::Buffer };
        let mut batch = self.db.batch().durability(Some(mode));
        for (table, key, value) in writes {
            let keyspace = self.keyspace(*table);
            match value {
                Some(value) => batch.insert(keyspace, key.clone(), value.clone()),
                None => batch.remove(keyspace, key.clone()),
            }
        }
        if let Some(number) = number {
            batch.insert(&self.applied, APPLIED, number.to_be_bytes());
        }
        batch.commit().map_err(fault)
    }

    /// Makes durable all that was applied. Batches wait while the engine syncs its journal, so that is
    /// synced here before, beside them.
    pub(crate) fn sync(&self, dir: &Path) -> Result<(), StoreError> {
        for file in std::fs::read_dir(dir).map_err(StoreError::io)? {
            let path = file.map_err(StoreError::io)?.path();
            if path.extension().is_some_and(|name| name == "jnl") {
                // One that is gone meanwhile is not needed any more.
                File::open(path).and_then(|file| file.sync_data()).ok();
            }
        }
        self.db.persist(DURABLE).map_err(fault)
    }

    /// Gives the room of what was removed back. The journal that is being written stays: up to 64 MiB,
    /// until that is full.
    pub(crate) fn reclaim(&self) -> Result<(), StoreError> {
        for _ in 0..COMPACTIONS {
            let before = self.blocks.disk_space();
            compact(&self.blocks)?;
            if self.blocks.disk_space() == before {
                break;
            }
        }
        // Until all are flushed, none of their old journals can go.
        [&self.refs, &self.log, &self.applied]
            .into_iter()
            .try_for_each(compact)
    }

    pub(crate) fn bytes(&self) -> Result<u64, StoreError> {
        self.db.disk_space().map_err(fault)
    }
}

fn compact(keyspace: &Keyspace) -> Result<(), StoreError> {
    keyspace.rotate_memtable_and_wait().map_err(fault)?;
    keyspace.major_compact().map_err(fault)
}

/// Filters and indexes stay in memory. They are as large as their tables have names, and larger than
/// what the cache takes: each read would read and check a megabyte of them.
fn pinned() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .filter_block_pinning_policy(PinningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(true))
}

pub(crate) fn fault(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            StoreError::io(error)
        }
        fjall::Error::Locked => StoreError::new(StoreErrorKind::Locked, "its lock is held"),
        fjall::Error::Poisoned => StoreError::new(
            StoreErrorKind::Io,
            "an earlier write failed, so nothing more is written until the store is opened again",
        ),
        fjall::Error::JournalRecovery(_)
        | fjall::Error::InvalidTrailer
        | fjall::Error::InvalidTag(_)
        | fjall::Error::InvalidVersion(_)
        | fjall::Error::Decompress(_)
        | fjall::Error::Storage(_)
        | fjall::Error::Unrecoverable => StoreError::caused(StoreErrorKind::Corrupt, error),
        _ => StoreError::caused(StoreErrorKind::Io, error),
    }
}
