//! The default store on disk: packs of blocks, and an LSM tree for where they are and all else.

use std::cmp::Ordering;
use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use cid::Cid;

use crate::block::Block;
use crate::deferred::Deferred;
use crate::engine::{Apply, Engine, Table, Write, fault};
use crate::lock::lock;
use crate::packed::Packing;
use crate::packs::{PACK_BYTES_MAX, Place, Writing};
use crate::pending::{Bounds, Latest, PENDING_BYTES_MAX, Pending};
use crate::prefix;
use crate::redo::{self, Redo};
use crate::store::{
    Aside, Batch, BatchOutcome, Decide, LogEntry, Store, StoreError, StoreErrorKind, StoreStats,
    Swept, position_of, unpacked,
};
use crate::turns::Turns;
use crate::uses::Uses;

/// Bytes of tables kept in memory by default. Blocks are not among them: trees keep their nodes
/// themselves, and the system keeps what was read of files.
const CACHE_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;

/// A [`Store`] over fjall. Every batch is synced before it is acknowledged (BLOCKS-20).
///
/// What blocks hold is in files that are written once (packs), and fjall has where. Its journal grows, and
/// its sync takes long; small batches are made durable by a log of our own before it, whose files are
/// written over ([`Redo`]).
pub struct FjallStore {
    engine: Engine,
    pending: Pending,
    /// Its lock makes expectation and commit one step.
    writer: Turns<Writer>,
    uses: Uses,
    packing: Packing,
    /// Locked while room is given back: two at once would take the copies of each other for dead.
    reclaiming: Mutex<()>,
}

struct Writer {
    /// The positions of the log entries, which change only after a successful commit.
    log: Range<u64>,
    redo: Redo,
    deferred: Deferred,
}

/// When a batch is to be durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Durable {
    Now,
    Later,
}

impl std::fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FjallStore")
            .field("path", &self.engine.blocks.path())
            .finish_non_exhaustive()
    }
}

impl FjallStore {
    /// Opens or creates the store in the directory `path`.
    ///
    /// Memory: a cache of 16 MiB, up to two memtables of 8 MiB for where blocks are, up to 16 MiB that wait
    /// for the engine, and the filters and indexes of the tables (about 2 bytes a block). Up to 256 files of
    /// blocks are kept open.
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
        let sizes = (redo::FILE_BYTES_MAX, PACK_BYTES_MAX);
        Self::open_all(path.as_ref(), cache_bytes, packing, sizes)
    }

    fn open_all(
        path: &Path,
        cache_bytes: u64,
        packing: Packing,
        (redo_bytes, pack_bytes): (u64, u64),
    ) -> Result<Self, StoreError> {
        let engine = Engine::open(path, cache_bytes, pack_bytes)?;
        let recovered = recover(&engine, path, redo_bytes);
        // Whoever tries again on a full disk needs no more room.
        let (writer, pending) = recovered.inspect_err(|_error| engine.packs.undo())?;
        Ok(Self {
            pending,
            engine,
            writer: Turns::new(writer),
            uses: Uses::new(),
            packing,
            reclaiming: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock()
    }

    /// Writes a batch: durably, with all that was put off; or later.
    fn write(
        &self,
        writer: &mut Writer,
        mut writes: Vec<Write>,
        durable: Durable,
    ) -> Result<(), StoreError> {
        let Writer { redo, deferred, .. } = writer;
        // The engine may have failed since room was found.
        self.pending.check()?;
        if durable == Durable::Later && deferred.has_room(&writes) {
            redo.check()?;
            deferred.put(&writes);
            self.pending.push(writes);
            return Ok(());
        }
        self.flush(redo, deferred, &writes)?;
        if writes.is_empty() {
            return redo.check();
        }
        if !redo.fits(&writes) {
            // What blocks hold is most of it. It is written once, and the log says where.
            redo.check()?;
            self.engine.place(&mut writes)?;
            redo.prepare(|| self.engine.packs.sync(Writing::New))?;
        }
        if redo.fits(&writes) {
            if deferred.is_empty() {
                redo.append(&writes, &self.pending)?;
            } else {
                // What was put off is in the same record.
                deferred.put(&writes);
                redo.append(&deferred.take(), &self.pending)?;
            }
            self.pending.push(writes);
            return Ok(());
        }
        redo.pass(|number| self.pending.apply_durably(writes, number))
    }

    /// Makes durable what was put off, but for what fits the record of `writes`.
    fn flush(
        &self,
        redo: &mut Redo,
        deferred: &mut Deferred,
        writes: &[Write],
    ) -> Result<(), StoreError> {
        if deferred.is_empty() || !writes.is_empty() && deferred.has_room(writes) {
            return Ok(());
        }
        redo.append(&deferred.take(), &self.pending)
    }

    fn commit_when(&self, batch: Batch, durable: Durable) -> Result<BatchOutcome, StoreError> {
        batch.check()?;
        let packed: Vec<_> = batch
            .blocks()
            .iter()
            .map(|block| (block.cid().to_bytes(), self.packing.pack(block.bytes())))
            .collect();
        self.pending.room(PENDING_BYTES_MAX)?;
        let mut writer = self.lock();
        if let Some(moved) = batch.unmet(|name| self.get_ref(name))? {
            return Ok(moved);
        }
        self.uses.writing(&batch);
        let blocks = packed.into_iter();
        let mut writes: Vec<Write> = blocks
            .map(|(name, content)| (Table::Blocks, name.into(), Some(content.into())))
            .collect();
        for edit in batch.refs() {
            writes.push((Table::Refs, edit.name.clone(), edit.value.clone()));
        }
        let log = batch.change_log(writer.log.clone());
        let key = |position: u64| Bytes::copy_from_slice(&position.to_be_bytes());
        writes.extend(log.removed.map(|at| (Table::Log, key(at), None)));
        let entries = log.appended.zip(batch.log());
        writes.extend(entries.map(|(at, entry)| (Table::Log, key(at), Some(entry.clone()))));
        let written = self.write(&mut writer, writes, durable);
        self.uses
            .wrote(batch.refs().iter().map(|edit| edit.name.clone()));
        written?;
        let log_end = log.there.end;
        writer.log = log.there;
        Ok(BatchOutcome::Done { log_end })
    }

    /// What a table has under a key.
    fn value(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.pending.get(table, key) {
            Some(Latest(value)) => Ok(value),
            None => {
                let value = self.engine.keyspace(table).get(key).map_err(fault)?;
                Ok(value.map(Bytes::from))
            }
        }
    }

    /// The stored form of a block.
    fn stored(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let mut before = None;
        while let Some(value) = self.value(Table::Blocks, name)? {
            let Some(place) = Place::decode(&value) else {
                return Ok(Some(value));
            };
            // Its pack may be removed once it was moved, between these two.
            if let Some(stored) = self.engine.packs.read(place)? {
                return Ok(Some(stored));
            }
            if before.replace(place) == Some(place) {
                let text = format!("pack {} is missing", place.pack);
                return Err(StoreError::new(StoreErrorKind::Corrupt, text));
            }
        }
        Ok(None)
    }

    /// Lists what a table has within bounds: what the engine lists and `read` makes something of, with
    /// what is pending.
    fn list<T>(
        &self,
        table: Table,
        bounds: Bounds<'_>,
        limit: usize,
        read: impl Fn(fjall::Guard) -> Result<(Bytes, T), StoreError>,
        pending: impl Fn(&Bytes) -> T,
    ) -> Result<Vec<(Bytes, T)>, StoreError> {
        // Not held while the engine reads: what is applied meanwhile is met twice.
        let over = self.pending.list(table, bounds, limit);
        let mut over = over.into_iter().peekable();
        let mut under = self.engine.keyspace(table).range::<&[u8], _>(bounds);
        let mut under = std::iter::from_fn(|| Some(read(under.next()?))).peekable();
        let mut found = Vec::new();
        while found.len() < limit {
            let first = match (over.peek(), under.peek()) {
                (Some((key, _)), Some(Ok((there, _)))) => key.cmp(there),
                (Some(_), None) => Ordering::Less,
                (None, None) => break,
                (_, Some(_)) => Ordering::Greater,
            };
            if first.is_gt() {
                found.extend(under.next().transpose()?);
                continue;
            }
            if first.is_eq() {
                under.next();
            }
            if let Some((key, Some(value))) = over.next() {
                let value = pending(&value);
                found.push((key, value));
            }
        }
        Ok(found)
    }
}

/// Gives the engine what the log has for it.
fn recover(engine: &Engine, path: &Path, redo_bytes: u64) -> Result<(Writer, Pending), StoreError> {
    let numbers = (engine.synced()?, engine.unlogged()?);
    let mut apply = |mut writes: Vec<Write>| engine.apply(&mut writes, Apply::Later);
    let mut redo = Redo::open(path, redo_bytes, numbers, &mut apply)?;
    let position = |entry: fjall::Guard| position_of(&entry.key().map_err(fault)?);
    let (first, last) = (engine.log.first_key_value(), engine.log.last_key_value());
    let log = match (first, last) {
        (Some(first), Some(last)) => position(first)?..position(last)? + 1,
        _ => 0..0,
    };
    let pending = Pending::new(engine.clone(), redo.has())?;
    // What was given to the engine just now is synced before anybody sees it.
    redo.close(&pending)?;
    let deferred = Deferred::new(redo.record_bytes_max());
    let writer = Writer {
        log,
        redo,
        deferred,
    };
    Ok((writer, pending))
}

impl Drop for FjallStore {
    /// Spares the next one who opens it what is in the log.
    fn drop(&mut self) {
        let mut writer = self.writer.lock();
        let flushed = self.write(&mut writer, Vec::new(), Durable::Now);
        flushed.and_then(|()| writer.redo.close(&self.pending)).ok();
    }
}

impl Store for FjallStore {
    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        let read = || self.stored(&cid.to_bytes());
        let Some(bytes) = self.uses.reading(cid, read)? else {
            return Ok(None);
        };
        unpacked(&self.packing, cid, bytes).map(Some)
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        let read = || match self.pending.get(Table::Blocks, &cid.to_bytes()) {
            Some(Latest(value)) => Ok(value.is_some()),
            None => self
                .engine
                .blocks
                .contains_key(cid.to_bytes())
                .map_err(fault),
        };
        self.uses.reading(cid, read)
    }

    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.value(Table::Refs, name)
    }

    fn scan_refs(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let Some((lower, upper)) = prefix::names(prefix, after) else {
            return Ok(Vec::new());
        };
        let bounds = (
            lower.as_ref().map(Vec::as_slice),
            upper.as_ref().map(Vec::as_slice),
        );
        self.list(Table::Refs, bounds, limit, pair, Bytes::clone)
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        let from = from.to_be_bytes();
        let bounds = (Bound::Included(&from[..]), Bound::Unbounded);
        let found = self.list(Table::Log, bounds, limit, pair, Bytes::clone)?;
        let entries = found.into_iter().map(|(key, bytes)| {
            let position = position_of(&key)?;
            Ok(LogEntry { position, bytes })
        });
        entries.collect()
    }

    fn scan_blocks(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let after = after.map(Cid::to_bytes);
        let lower = after
            .as_ref()
            .map_or(Bound::Unbounded, |after| Bound::Excluded(&after[..]));
        let name = |item: fjall::Guard| Ok((item.key().map_err(fault)?.into(), ()));
        let bounds = (lower, Bound::Unbounded);
        let found = self.list(Table::Blocks, bounds, limit, name, |_value| ())?;
        let names = found.iter().map(|(key, ())| {
            Cid::try_from(&key[..])
                .map_err(|error| StoreError::caused(StoreErrorKind::Corrupt, error))
        });
        names.collect()
    }

    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        self.commit_when(batch, Durable::Now)
    }

    fn commit_later(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        self.commit_when(batch, Durable::Later)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.write(&mut self.lock(), Vec::new(), Durable::Now)
    }

    fn uses(&self) -> &Uses {
        &self.uses
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let value = self.value(Table::Blocks, &cid.to_bytes())?;
        let bytes = |value: Bytes| match Place::decode(&value) {
            Some(place) => u64::from(place.length),
            None => value.len() as u64,
        };
        Ok(value.map(bytes))
    }

    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError> {
        // What is left of the room is for batches that somebody waits for, and what is before them in the
        // queue is what a sync of the engine waits for.
        self.pending.room(PENDING_BYTES_MAX / 16)?;
        let mut writer = self.lock();
        // What is removed is removed because of what was written before. Nor may it go before a batch that failed:
        // that may be in the log all the same, and need what it looked up.
        self.write(&mut writer, Vec::new(), Durable::Now)?;
        let garbage = decide()?;
        let asked = garbage.blocks.len();
        let removing = self.uses.removing(garbage.blocks);
        let blocks = removing.blocks.iter();
        let blocks = blocks.map(|cid| (Table::Blocks, cid.to_bytes().into(), None));
        let refs = garbage.refs.iter();
        let refs = refs.map(|name| (Table::Refs, name.clone(), None));
        let writes: Vec<Write> = blocks.chain(refs).collect();
        if garbage.refs.is_empty() {
            // Need not be durable, and goes past the redo log. References that were removed before
            // are in it, so no block is gone for good before they are.
            self.pending.push(writes);
        } else {
            self.write(&mut writer, writes, Durable::Now)?;
            self.uses.swept();
        }
        Ok(Swept {
            in_use: (asked - removing.blocks.len()) as u64,
            blocks: removing.blocks,
        })
    }

    fn set_aside(&self, cid: &Cid) -> Result<Aside, StoreError> {
        let mut writer = self.lock();
        self.pending.drain()?;
        let name = Bytes::from(cid.to_bytes());
        let stored = match self.stored(&name) {
            Ok(None) => return Ok(Aside::Nothing),
            Ok(Some(stored)) => Some(stored),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => None,
            Err(error) => return Err(error),
        };
        let became = match &stored {
            Some(stored) if unpacked(&self.packing, cid, stored.clone()).is_ok() => {
                return Ok(Aside::Nothing);
            }
            Some(_) => Aside::Kept,
            None => Aside::Unreadable,
        };
        let kept = stored.map(|stored| (Table::Aside, name.clone(), Some(stored)));
        let mut writes: Vec<Write> = kept.into_iter().collect();
        writes.push((Table::Blocks, name, None));
        self.write(&mut writer, writes, Durable::Now)?;
        Ok(became)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        let _alone = lock(&self.reclaiming);
        self.compact_packs()?;
        self.engine.compact()?;
        self.settle()?.redo.shrink(&self.pending)
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let bytes = self.engine.bytes()?;
        let writer = self.lock();
        Ok(StoreStats {
            bytes: bytes + writer.redo.bytes(),
            log_begin: writer.log.start,
            log_end: writer.log.end,
        })
    }
}

fn pair(item: fjall::Guard) -> Result<(Bytes, Bytes), StoreError> {
    let (key, value) = item.into_inner().map_err(fault)?;
    Ok((key.into(), value.into()))
}

mod compact;
#[cfg(test)]
mod tests;
