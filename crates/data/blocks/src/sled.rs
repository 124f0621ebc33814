//! A store over sled 0.34.
//!
//! Kept for those who already run sled. Its `flush` alone does not survive a power cut on Linux
//! (it ends in `sync_file_range`), so every commit here also fsyncs sled's files (BLOCKS-20).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use sled::Transactional as _;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use crate::block::Block;
use crate::packed::Packing;
use crate::prefix;
use crate::store::{
    Aside, Batch, BatchOutcome, Decide, LogChange, LogEntry, Store, StoreError, StoreErrorKind,
    StoreStats, Swept, position_of, unpacked,
};
use crate::turns::Turns;
use crate::uses::Uses;

/// sled's own default is 1 GiB, far too much for one part of a node.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// How often and how long an open waits for a dropped instance: half a second in all.
const RELEASE_TRIES: u32 = 50;
const RELEASE_WAIT: Duration = Duration::from_millis(10);

/// A [`Store`] over sled.
pub struct SledStore {
    db: sled::Db,
    blocks: sled::Tree,
    refs: sled::Tree,
    log: sled::Tree,
    /// Damaged blocks (BLOCKS-70).
    aside: sled::Tree,
    path: PathBuf,
    state: Turns<State>,
    uses: Uses,
    packing: Packing,
}

struct State {
    /// The positions of the log entries.
    log: Range<u64>,
    /// Files of large values that were fsynced; sled never changes one after writing it.
    synced: BTreeSet<OsString>,
}

/// Names and stored forms of blocks.
type Packed = Vec<(Vec<u8>, Vec<u8>)>;

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SledStore {
    /// Opens or creates the store in the directory `path`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_packed(path, Packing::default())
    }

    /// Opens the store, compressing new blocks as `packing` says.
    pub fn open_packed(path: impl AsRef<Path>, packing: Packing) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let db = open_released(&path)?;
        let blocks = db.open_tree("blocks").map_err(fault)?;
        let refs = db.open_tree("refs").map_err(fault)?;
        let log = db.open_tree("log").map_err(fault)?;
        let aside = db.open_tree("aside").map_err(fault)?;
        let (first, last) = (log.first().map_err(fault)?, log.last().map_err(fault)?);
        let entries = match (first, last) {
            (Some((first, _)), Some((last, _))) => position_of(&first)?..position_of(&last)? + 1,
            _ => 0..0,
        };
        let state = Turns::new(State {
            log: entries,
            synced: BTreeSet::new(),
        });
        Ok(Self {
            db,
            blocks,
            refs,
            log,
            aside,
            path,
            state,
            uses: Uses::new(),
            packing,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn sync(&self, state: &mut State) -> Result<(), StoreError> {
        self.db.flush().map_err(fault)?;
        File::open(self.path.join("db"))
            .and_then(|db| db.sync_all())
            .map_err(StoreError::io)?;
        let large = self.path.join("blobs");
        match fs::read_dir(&large) {
            Ok(files) => {
                for file in files {
                    let file = file.map_err(StoreError::io)?;
                    if state.synced.insert(file.file_name()) {
                        match File::open(file.path()).and_then(|file| file.sync_all()) {
                            Ok(()) => {}
                            // sled has let it go since it was listed: what it held is elsewhere, and synced there.
                            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                            Err(error) => return Err(StoreError::io(error)),
                        }
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io(error)),
        }
        Ok(())
    }

    fn write(&self, batch: &Batch, packed: &Packed, change: &LogChange) -> Result<(), StoreError> {
        (&self.blocks, &self.refs, &self.log)
            .transaction(|(blocks, refs, log)| {
                for (name, content) in packed {
                    blocks.insert(&name[..], &content[..])?;
                }
                for edit in batch.refs() {
                    match &edit.value {
                        Some(value) => refs.insert(edit.name.as_ref(), value.as_ref())?,
                        None => refs.remove(edit.name.as_ref())?,
                    };
                }
                for position in change.removed.clone() {
                    log.remove(&position.to_be_bytes())?;
                }
                for (position, entry) in change.appended.clone().zip(batch.log()) {
                    log.insert(&position.to_be_bytes(), entry.as_ref())?;
                }
                Ok::<_, ConflictableTransactionError<()>>(())
            })
            .map_err(|error| match error {
                TransactionError::Storage(error) => fault(error),
                TransactionError::Abort(()) => {
                    StoreError::new(StoreErrorKind::Io, "the transaction was aborted")
                }
            })
    }
}

impl Store for SledStore {
    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        let read = || self.blocks.get(cid.to_bytes()).map_err(fault);
        let Some(bytes) = self.uses.reading(cid, read)? else {
            return Ok(None);
        };
        unpacked(&self.packing, cid, Bytes::copy_from_slice(&bytes)).map(Some)
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        let read = || self.blocks.contains_key(cid.to_bytes()).map_err(fault);
        self.uses.reading(cid, read)
    }

    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self
            .refs
            .get(name)
            .map_err(fault)?
            .map(|value| Bytes::copy_from_slice(&value)))
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
            let (name, value) = item.map_err(fault)?;
            found.push((
                Bytes::copy_from_slice(&name),
                Bytes::copy_from_slice(&value),
            ));
        }
        Ok(found)
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.log
            .range(from.to_be_bytes()..)
            .take(limit)
            .map(|item| {
                let (key, value) = item.map_err(fault)?;
                Ok(LogEntry {
                    position: position_of(&key)?,
                    bytes: Bytes::copy_from_slice(&value),
                })
            })
            .collect()
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
                let (key, _) = item.map_err(fault)?;
                Cid::try_from(&key[..])
                    .map_err(|error| StoreError::caused(StoreErrorKind::Corrupt, error))
            })
            .collect()
    }

    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        batch.check()?;
        let packed: Packed = batch
            .blocks()
            .iter()
            .map(|block| (block.cid().to_bytes(), self.packing.pack(block.bytes())))
            .collect();
        let mut state = self.lock();
        if let Some(moved) = batch.unmet(|name| self.get_ref(name))? {
            return Ok(moved);
        }
        self.uses.writing(&batch);
        let change = batch.change_log(state.log.clone());
        let written = self.write(&batch, &packed, &change);
        self.uses
            .wrote(batch.refs().iter().map(|edit| edit.name.clone()));
        written?;
        let log_end = change.there.end;
        // Counted before the fsync: if that fails, the entries may still be there.
        state.log = change.there;
        self.sync(&mut state)?;
        Ok(BatchOutcome::Done { log_end })
    }

    fn uses(&self) -> &Uses {
        &self.uses
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let bytes = self.blocks.get(cid.to_bytes()).map_err(fault)?;
        Ok(bytes.map(|bytes| bytes.len() as u64))
    }

    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError> {
        let mut state = self.lock();
        let garbage = decide()?;
        let asked = garbage.blocks.len();
        let removing = self.uses.removing(garbage.blocks);
        for name in &garbage.refs {
            self.refs.remove(name).map_err(fault)?;
        }
        for cid in &removing.blocks {
            self.blocks.remove(cid.to_bytes()).map_err(fault)?;
        }
        if !garbage.refs.is_empty() {
            self.uses.swept();
            self.sync(&mut state)?;
        }
        Ok(Swept {
            in_use: (asked - removing.blocks.len()) as u64,
            blocks: removing.blocks,
        })
    }

    fn set_aside(&self, cid: &Cid) -> Result<Aside, StoreError> {
        let mut state = self.lock();
        let name = cid.to_bytes();
        let became = match self.blocks.get(&name).map_err(fault) {
            Ok(None) => return Ok(Aside::Nothing),
            Ok(Some(stored)) => {
                if unpacked(&self.packing, cid, Bytes::copy_from_slice(&stored)).is_ok() {
                    return Ok(Aside::Nothing);
                }
                // In two steps: a crash between them leaves the block in both places, never in none.
                self.aside.insert(&name, stored).map_err(fault)?;
                self.sync(&mut state)?;
                Aside::Kept
            }
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Aside::Unreadable,
            Err(error) => return Err(error),
        };
        self.blocks.remove(&name).map_err(fault)?;
        self.sync(&mut state)?;
        Ok(became)
    }

    /// sled uses the room of what was removed for what comes, and seldom shortens its file.
    fn reclaim(&self) -> Result<(), StoreError> {
        self.sync(&mut self.lock())
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let bytes = self.db.size_on_disk().map_err(fault)?;
        let log = self.lock().log.clone();
        Ok(StoreStats {
            bytes,
            log_begin: log.start,
            log_end: log.end,
        })
    }
}

/// Opens the database, waiting a moment for the threads of an instance that this process just
/// dropped: sled gives its lock back when they notice.
fn open_released(path: &Path) -> Result<sled::Db, StoreError> {
    let mut tries = 0;
    loop {
        let opened = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(fault);
        match opened {
            Err(error) if error.kind() == StoreErrorKind::Locked && tries < RELEASE_TRIES => {
                tries += 1;
                std::thread::sleep(RELEASE_WAIT);
            }
            opened => return opened,
        }
    }
}

fn fault(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            StoreError::caused(StoreErrorKind::Locked, error)
        }
        sled::Error::Io(error) => StoreError::io(error),
        sled::Error::Corruption { .. } => StoreError::caused(StoreErrorKind::Corrupt, error),
        _ => StoreError::caused(StoreErrorKind::Io, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Codec;

    #[test]
    fn a_damaged_block_is_put_aside_and_comes_back_sound() {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(dir.path()).unwrap();
        let block = Block::new(Codec::Raw, &b"content"[..]).unwrap();
        let name = block.cid().to_bytes();
        let put = || {
            let mut batch = Batch::new();
            batch.put(block.clone());
            let _outcome = store.commit(batch).unwrap();
        };
        put();
        store.blocks.insert(&name, b"\0cOntent").unwrap();
        assert!(store.get(block.cid()).is_err(), "BLOCKS-22");
        assert_eq!(store.set_aside(block.cid()).unwrap(), Aside::Kept);
        assert_eq!(store.get(block.cid()).unwrap(), None, "BLOCKS-70");
        let kept = store.aside.get(&name).unwrap();
        assert_eq!(kept.as_deref(), Some(&b"\0cOntent"[..]));
        put();
        assert_eq!(store.set_aside(block.cid()).unwrap(), Aside::Nothing);
        assert_eq!(store.get(block.cid()).unwrap(), Some(block));
    }
}
