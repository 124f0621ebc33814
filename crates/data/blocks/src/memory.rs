//! The store in memory: for tests, caches, and spaces that need not outlive the process.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cid::Cid;

use crate::block::Block;
use crate::prefix;
use crate::store::{
    Aside, Batch, BatchOutcome, Decide, LATER_BYTES_MAX, LogEntry, Store, StoreError, StoreStats,
    Swept,
};
use crate::uses::Uses;

/// A [`Store`] in memory. Durable only as long as the process; but [`lose_unsynced`](Self::lose_unsynced) does what a
/// power failure does to others.
#[derive(Default)]
pub struct MemoryStore {
    /// Held by whoever changes the store; reads need `state` alone.
    writer: Mutex<Unsynced>,
    state: Mutex<State>,
    uses: Uses,
}

/// What batches changed that are to be durable later (BLOCKS-87), and what was there before.
#[derive(Default)]
struct Unsynced {
    undo: Vec<Undo>,
    bytes: usize,
}

/// How one batch is taken back.
struct Undo {
    /// The blocks that were not there.
    blocks: Vec<Cid>,
    /// The references that it edited, as they were.
    refs: Vec<(Bytes, Option<Bytes>)>,
    /// How many entries it appended to the log.
    appended: usize,
    /// The entries that it removed from the log.
    removed: Vec<Bytes>,
}

#[derive(Default)]
struct State {
    blocks: BTreeMap<Cid, Bytes>,
    aside: BTreeMap<Cid, Bytes>,
    refs: BTreeMap<Bytes, Bytes>,
    log: VecDeque<Bytes>,
    /// The position of the first entry.
    log_begin: u64,
    bytes: u64,
}

impl State {
    /// The positions of the log entries.
    fn log_range(&self) -> Range<u64> {
        self.log_begin..self.log_begin + self.log.len() as u64
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes back what was committed to be durable later and is not durable yet, as if the power had failed. Whoever
    /// has the store open reads what is no longer there, as they would after that. Returns the number of batches.
    pub fn lose_unsynced(&self) -> usize {
        let mut writer = self.writer();
        let mut state = self.state();
        let unsynced = std::mem::take(&mut *writer).undo;
        let lost = unsynced.len();
        for undo in unsynced.into_iter().rev() {
            for cid in undo.blocks {
                if let Some(bytes) = state.blocks.remove(&cid) {
                    state.bytes -= bytes.len() as u64;
                }
            }
            for (name, before) in undo.refs.into_iter().rev() {
                match before {
                    Some(value) => state.refs.insert(name, value),
                    None => state.refs.remove(&name),
                };
            }
            let left = state.log.len() - undo.appended;
            state.log.truncate(left);
            state.log_begin -= undo.removed.len() as u64;
            for entry in undo.removed.into_iter().rev() {
                state.log.push_front(entry);
            }
            if state.log.is_empty() {
                state.log_begin = 0;
            }
        }
        lost
    }

    /// Applies a batch, unless what it expects is not met.
    fn apply(&self, batch: &Batch) -> Result<(BatchOutcome, Undo), StoreError> {
        batch.check()?;
        let mut state = self.state();
        let mut undo = Undo {
            blocks: Vec::new(),
            refs: Vec::new(),
            appended: batch.log().len(),
            removed: Vec::new(),
        };
        if let Some(moved) = batch.unmet(|name| Ok(state.refs.get(name).cloned()))? {
            return Ok((moved, undo));
        }
        self.uses.writing(batch);
        for block in batch.blocks() {
            let size = block.bytes().len() as u64;
            let bytes = block.bytes().clone();
            if state.blocks.insert(*block.cid(), bytes).is_none() {
                state.bytes += size;
                undo.blocks.push(*block.cid());
            }
        }
        for edit in batch.refs() {
            let before = match &edit.value {
                Some(value) => state.refs.insert(edit.name.clone(), value.clone()),
                None => state.refs.remove(&edit.name),
            };
            undo.refs.push((edit.name.clone(), before));
        }
        let change = batch.change_log(state.log_range());
        let removed = (change.removed.end - change.removed.start) as usize;
        undo.removed = state.log.drain(..removed).collect();
        state.log.extend(batch.log().iter().cloned());
        state.log_begin = change.there.start;
        self.uses
            .wrote(batch.refs().iter().map(|edit| edit.name.clone()));
        let log_end = change.there.end;
        Ok((BatchOutcome::Done { log_end }, undo))
    }

    fn writer(&self) -> MutexGuard<'_, Unsynced> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the maps half-changed: `commit` checks before it writes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryStore")
            .field("blocks", &state.blocks.len())
            .field("refs", &state.refs.len())
            .field("log", &state.log.len())
            .finish()
    }
}

impl Store for MemoryStore {
    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        let bytes = self
            .uses
            .reading(cid, || self.state().blocks.get(cid).cloned());
        bytes
            .map(|bytes| {
                Block::verify(*cid, bytes).map_err(|_error| StoreError::corrupt_block(cid))
            })
            .transpose()
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self
            .uses
            .reading(cid, || self.state().blocks.contains_key(cid)))
    }

    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state().refs.get(name).cloned())
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
            lower.as_ref().map(|name| &name[..]),
            upper.as_ref().map(|name| &name[..]),
        );
        Ok(self
            .state()
            .refs
            .range::<[u8], _>(bounds)
            .take(limit)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect())
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        let state = self.state();
        let there = state.log_range();
        let start = from.clamp(there.start, there.end);
        let passed = (start - there.start) as usize;
        Ok((start..)
            .zip(state.log.range(passed..))
            .take(limit)
            .map(|(position, bytes)| LogEntry {
                position,
                bytes: bytes.clone(),
            })
            .collect())
    }

    fn scan_blocks(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let state = self.state();
        let lower = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(state
            .blocks
            .range((lower, Bound::Unbounded))
            .take(limit)
            .map(|(cid, _)| *cid)
            .collect())
    }

    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        let mut unsynced = self.writer();
        let (outcome, _undo) = self.apply(&batch)?;
        if let BatchOutcome::Done { .. } = outcome {
            *unsynced = Unsynced::default();
        }
        Ok(outcome)
    }

    fn commit_later(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        let mut unsynced = self.writer();
        let (outcome, undo) = self.apply(&batch)?;
        if let BatchOutcome::Done { .. } = outcome {
            unsynced.bytes += bytes_of(&batch);
            unsynced.undo.push(undo);
            if unsynced.bytes > LATER_BYTES_MAX {
                *unsynced = Unsynced::default();
            }
        }
        Ok(outcome)
    }

    fn sync(&self) -> Result<(), StoreError> {
        *self.writer() = Unsynced::default();
        Ok(())
    }

    fn uses(&self) -> &Uses {
        &self.uses
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let bytes = self.state().blocks.get(cid).map(Bytes::len);
        Ok(bytes.map(|bytes| bytes as u64))
    }

    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError> {
        let mut unsynced = self.writer();
        // Before anything is removed.
        *unsynced = Unsynced::default();
        let garbage = decide()?;
        let asked = garbage.blocks.len();
        let removing = self.uses.removing(garbage.blocks);
        let mut state = self.state();
        for cid in &removing.blocks {
            if let Some(bytes) = state.blocks.remove(cid) {
                state.bytes -= bytes.len() as u64;
            }
        }
        for name in &garbage.refs {
            state.refs.remove(name);
        }
        if !garbage.refs.is_empty() {
            self.uses.swept();
        }
        Ok(Swept {
            in_use: (asked - removing.blocks.len()) as u64,
            blocks: removing.blocks,
        })
    }

    fn set_aside(&self, cid: &Cid) -> Result<Aside, StoreError> {
        let mut unsynced = self.writer();
        *unsynced = Unsynced::default();
        let mut state = self.state();
        let Some(bytes) = state.blocks.get(cid).cloned() else {
            return Ok(Aside::Nothing);
        };
        if Block::verify(*cid, bytes.clone()).is_ok() {
            return Ok(Aside::Nothing);
        }
        state.blocks.remove(cid);
        state.bytes -= bytes.len() as u64;
        state.aside.insert(*cid, bytes);
        Ok(Aside::Kept)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let state = self.state();
        let log = state.log_range();
        Ok(StoreStats {
            bytes: state.bytes,
            log_begin: log.start,
            log_end: log.end,
        })
    }
}

/// Bytes of the keys and values of a batch.
fn bytes_of(batch: &Batch) -> usize {
    let blocks = batch.blocks().iter().map(|block| block.bytes().len());
    let refs = batch.refs().iter();
    let refs = refs.map(|edit| edit.name.len() + edit.value.as_ref().map_or(0, Bytes::len));
    let log = batch.log().iter().map(Bytes::len);
    blocks.chain(refs).chain(log).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Codec;
    use crate::store::{Expect, Garbage};

    #[test]
    fn a_damaged_block_is_put_aside_and_comes_back_sound() {
        let store = MemoryStore::new();
        let block = Block::new(Codec::Raw, &b"content"[..]).unwrap();
        let put = || {
            let mut batch = Batch::new();
            batch.put(block.clone());
            let _outcome = store.commit(batch).unwrap();
        };
        put();
        let damaged = Bytes::from_static(b"cOntent");
        store.state().blocks.insert(*block.cid(), damaged.clone());
        assert!(store.get(block.cid()).is_err(), "BLOCKS-22");
        assert_eq!(store.set_aside(block.cid()).unwrap(), Aside::Kept);
        assert_eq!(store.get(block.cid()).unwrap(), None, "BLOCKS-70");
        assert_eq!(store.state().aside.get(block.cid()), Some(&damaged));
        assert_eq!(store.set_aside(block.cid()).unwrap(), Aside::Nothing);
        put();
        assert_eq!(store.set_aside(block.cid()).unwrap(), Aside::Nothing);
        assert_eq!(store.get(block.cid()).unwrap(), Some(block));
    }

    /// BLOCKS-87: what is not durable yet is gone as if it had never been, and nothing else is.
    #[test]
    fn what_was_put_off_is_lost_until_something_makes_it_durable() {
        let batch = |number: u8, value: &'static [u8]| {
            let mut batch = Batch::new();
            batch.put(Block::new(Codec::Raw, vec![number]).unwrap());
            batch.set_ref(&b"name"[..], Expect::Any, Some(Bytes::from_static(value)));
            batch.append(Bytes::from_static(value));
            batch.begin_log_at(u64::from(number) + 5);
            batch
        };
        let seen = |store: &MemoryStore| {
            let blocks = store.scan_blocks(None, 9).unwrap().len();
            let name = store.get_ref(b"name").unwrap();
            let log = store.read_log(0, 9).unwrap();
            (blocks, name, log, store.stats().unwrap())
        };
        let store = MemoryStore::new();
        let _done = store.commit(batch(0, b"first")).unwrap();
        let durable = seen(&store);
        for (number, value) in [(0, &b"second"[..]), (1, b"third")] {
            let _done = store.commit_later(batch(number, value)).unwrap();
        }
        assert_eq!(store.stats().unwrap().log_begin, 6);
        assert_eq!(seen(&store).0, 2);
        assert_eq!(store.lose_unsynced(), 2);
        assert_eq!(seen(&store), durable);
        let makes: [fn(&MemoryStore); 3] = [
            |store| store.sync().unwrap(),
            |store| drop(store.commit(Batch::new()).unwrap()),
            |store| drop(store.sweep(&mut || Ok(Garbage::default())).unwrap()),
        ];
        for (number, durably) in (2..).zip(makes) {
            let _done = store.commit_later(batch(number, b"later")).unwrap();
            durably(&store);
            let durable = seen(&store);
            assert_eq!(store.lose_unsynced(), 0);
            assert_eq!(seen(&store), durable);
        }
    }
}
