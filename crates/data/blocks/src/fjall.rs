//! The default store on disk: an LSM tree with key-value separation.

use std::ops::Bound;
use std::path::Path;
use std::sync::MutexGuard;

use bytes::Bytes;
use cid::Cid;
use fjall::config::PinningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use crate::block::Block;
use crate::packed::Packing;
use crate::prefix;
use crate::store::{
    Aside, Batch, BatchOutcome, Decide, LogEntry, Store, StoreError, StoreErrorKind, StoreStats,
    Swept, position_of, unpacked,
};
use crate::turns::Turns;
use crate::uses::Uses;

/// Bytes of blocks and indexes kept in memory by default: trees keep their nodes themselves, so
/// this serves the indexes of the tables.
const CACHE_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;

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

/// Compactions in one [`Store::reclaim`]: the first finds what is garbage, the next write the
/// files anew that had too much of it.
const COMPACTIONS: u32 = 3;

/// A [`Store`] over fjall. Every batch is synced before it is acknowledged (BLOCKS-20).
pub struct FjallStore {
    db: Database,
    blocks: Keyspace,
    refs: Keyspace,
    log: Keyspace,
    /// Damaged blocks (BLOCKS-70).
    aside: Keyspace,
    /// The position of the next log entry. Its lock makes expectation and commit one step.
    log_end: Turns<u64>,
    uses: Uses,
    packing: Packing,
}

impl std::fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FjallStore")
            .field("path", &self.blocks.path())
            .finish_non_exhaustive()
    }
}

impl FjallStore {
    /// Opens or creates the store in the directory `path`.
    ///
    /// Memory: a block cache of 16 MiB, up to two memtables of 8 MiB for blocks, and the filters and
    /// indexes of the tables (about 2 bytes a block).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, CACHE_BYTES_DEFAULT, Packing::default())
    }

    /// Opens the store, compressing new blocks as `packing` says.
    pub fn open_packed(path: impl AsRef<Path>, packing: Packing) -> Result<Self, StoreError> {
        Self::open_with(path, CACHE_BYTES_DEFAULT, packing)
    }

    /// Opens the store with a block cache of `cache_bytes`, compressing new blocks as `packing`
    /// says.
    pub fn open_with(
        path: impl AsRef<Path>,
        cache_bytes: u64,
        packing: Packing,
    ) -> Result<Self, StoreError> {
        let db = Database::builder(path)
            .cache_size(cache_bytes)
            .open()
            .map_err(fault)?;
        let blocks = db
            .keyspace("blocks", || {
                pinned()
                    .max_memtable_size(MEMTABLE_BYTES)
                    .with_kv_separation(Some(
                        KvSeparationOptions::default()
                            .staleness_threshold(STALE_RATIO)
                            .age_cutoff(1.0),
                    ))
            })
            .map_err(fault)?;
        let refs = db.keyspace("refs", pinned).map_err(fault)?;
        let log = db
            .keyspace("log", KeyspaceCreateOptions::default)
            .map_err(fault)?;
        let aside = db
            .keyspace("aside", || {
                KeyspaceCreateOptions::default()
                    .with_kv_separation(Some(KvSeparationOptions::default()))
            })
            .map_err(fault)?;
        let log_end = match log.last_key_value() {
            Some(last) => position_of(&last.key().map_err(fault)?)? + 1,
            None => 0,
        };
        Ok(Self {
            db,
            blocks,
            refs,
            log,
            aside,
            log_end: Turns::new(log_end),
            uses: Uses::new(),
            packing,
        })
    }

    /// The position of the next log entry, which changes only after a successful commit.
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.log_end.lock()
    }
}

impl Store for FjallStore {
    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        let read = || self.blocks.get(cid.to_bytes()).map_err(fault);
        let Some(bytes) = self.uses.reading(cid, read)? else {
            return Ok(None);
        };
        unpacked(&self.packing, cid, bytes.into()).map(Some)
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        let read = || self.blocks.contains_key(cid.to_bytes()).map_err(fault);
        self.uses.reading(cid, read)
    }

    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.refs.get(name).map_err(fault)?.map(Bytes::from))
    }

    fn scan_refs(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let Some(bounds) = prefix::names(prefix, after) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for item in self.refs.range(bounds).take(limit) {
            let (name, value) = item.into_inner().map_err(fault)?;
            found.push((name.into(), value.into()));
        }
        Ok(found)
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        let mut found = Vec::new();
        for item in self.log.range(from.to_be_bytes()..).take(limit) {
            let (key, value) = item.into_inner().map_err(fault)?;
            found.push(LogEntry {
                position: position_of(&key)?,
                bytes: value.into(),
            });
        }
        Ok(found)
    }

    fn scan_blocks(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let after = after.map(Cid::to_bytes);
        let lower = after
            .as_ref()
            .map_or(Bound::Unbounded, |after| Bound::Excluded(&after[..]));
        self.blocks
            .range::<&[u8], _>((lower, Bound::Unbounded))
            .take(limit)
            .map(|item| {
                let key = item.key().map_err(fault)?;
                Cid::try_from(&key[..])
                    .map_err(|error| StoreError::caused(StoreErrorKind::Corrupt, error))
            })
            .collect()
    }

    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        batch.check()?;
        let packed: Vec<_> = batch
            .blocks()
            .iter()
            .map(|block| (block.cid().to_bytes(), self.packing.pack(block.bytes())))
            .collect();
        let mut log_end = self.lock();
        if let Some(moved) = batch.unmet(|name| self.get_ref(name))? {
            return Ok(moved);
        }
        self.uses.writing(&batch);
        let mut writes = self.db.batch().durability(Some(DURABLE));
        for (name, content) in packed {
            writes.insert(&self.blocks, name, content);
        }
        for edit in batch.refs() {
            match &edit.value {
                Some(value) => writes.insert(&self.refs, edit.name.clone(), value.clone()),
                None => writes.remove(&self.refs, edit.name.clone()),
            }
        }
        let mut end = *log_end;
        for entry in batch.log() {
            writes.insert(&self.log, end.to_be_bytes(), entry.clone());
            end += 1;
        }
        let written = writes.commit().map_err(fault);
        self.uses
            .wrote(batch.refs().iter().map(|edit| edit.name.clone()));
        written?;
        *log_end = end;
        Ok(BatchOutcome::Done { log_end: end })
    }

    fn uses(&self) -> &Uses {
        &self.uses
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let size = self.blocks.size_of(cid.to_bytes()).map_err(fault)?;
        Ok(size.map(u64::from))
    }

    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError> {
        let _writer = self.lock();
        let garbage = decide()?;
        let asked = garbage.blocks.len();
        let removing = self.uses.removing(garbage.blocks);
        // The journal is one file in order: references that went before are gone for good before
        // any block is, though only they wait for the disk.
        let durability = (!garbage.refs.is_empty()).then_some(DURABLE);
        let mut writes = self.db.batch().durability(durability);
        for cid in &removing.blocks {
            writes.remove(&self.blocks, cid.to_bytes());
        }
        for name in &garbage.refs {
            writes.remove(&self.refs, name.clone());
        }
        writes.commit().map_err(fault)?;
        if !garbage.refs.is_empty() {
            self.uses.swept();
        }
        Ok(Swept {
            in_use: (asked - removing.blocks.len()) as u64,
            blocks: removing.blocks,
        })
    }

    fn set_aside(&self, cid: &Cid) -> Result<Aside, StoreError> {
        let _writer = self.lock();
        let name = cid.to_bytes();
        let stored = match self.blocks.get(&name).map_err(fault) {
            Ok(None) => return Ok(Aside::Nothing),
            Ok(Some(stored)) => Some(stored),
            Err(error) if error.is_unreadable() => None,
            Err(error) => return Err(error),
        };
        let mut writes = self.db.batch().durability(Some(DURABLE));
        let became = match stored {
            Some(stored) if unpacked(&self.packing, cid, stored.clone().into()).is_ok() => {
                return Ok(Aside::Nothing);
            }
            Some(stored) => {
                writes.insert(&self.aside, name.clone(), stored);
                Aside::Kept
            }
            None => Aside::Unreadable,
        };
        writes.remove(&self.blocks, name);
        writes.commit().map_err(fault)?;
        Ok(became)
    }

    /// The journal that is being written stays: up to 64 MiB, until that is full.
    fn reclaim(&self) -> Result<(), StoreError> {
        for _ in 0..COMPACTIONS {
            let before = self.blocks.disk_space();
            self.blocks.rotate_memtable_and_wait().map_err(fault)?;
            self.blocks.major_compact().map_err(fault)?;
            if self.blocks.disk_space() == before {
                break;
            }
        }
        // Until all three are flushed, none of their old journals can go.
        for keyspace in [&self.refs, &self.log] {
            keyspace.rotate_memtable_and_wait().map_err(fault)?;
            keyspace.major_compact().map_err(fault)?;
        }
        Ok(())
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let bytes = self.db.disk_space().map_err(fault)?;
        Ok(StoreStats {
            bytes,
            log_end: *self.lock(),
        })
    }
}

/// Filters and indexes stay in memory. They are as large as their tables have names, and larger than
/// what the cache takes: each read would read and check a megabyte of them.
fn pinned() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .filter_block_pinning_policy(PinningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(true))
}

fn fault(error: fjall::Error) -> StoreError {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Codec;

    fn put(store: &FjallStore, blocks: &[Block]) {
        let mut batch = Batch::new();
        for block in blocks {
            batch.put(block.clone());
        }
        let _outcome = store.commit(batch).unwrap();
    }

    #[test]
    fn a_damaged_block_is_put_aside_and_comes_back_sound() {
        let dir = tempfile::tempdir().unwrap();
        let store = FjallStore::open(dir.path()).unwrap();
        let block = Block::new(Codec::Raw, &b"content"[..]).unwrap();
        let name = block.cid().to_bytes();
        put(&store, std::slice::from_ref(&block));
        store.blocks.insert(&name, b"\0cOntent").unwrap();
        assert!(store.get(block.cid()).is_err(), "BLOCKS-22");
        assert_eq!(store.set_aside(block.cid()).unwrap(), Aside::Kept);
        assert_eq!(store.get(block.cid()).unwrap(), None, "BLOCKS-70");
        let kept = store.aside.get(&name).unwrap();
        assert_eq!(kept.as_deref(), Some(&b"\0cOntent"[..]));
        put(&store, std::slice::from_ref(&block));
        assert_eq!(store.set_aside(block.cid()).unwrap(), Aside::Nothing);
        assert_eq!(store.get(block.cid()).unwrap(), Some(block));
    }
}
