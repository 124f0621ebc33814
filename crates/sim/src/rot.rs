//! Blocks that rot on a disk, beneath everything that a node does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allod_blocks::{
    Aside, Batch, BatchOutcome, Block, Cid, Decide, LogEntry, Store, StoreError, StoreErrorKind,
    StoreStats, Swept, Uses,
};
use bytes::Bytes;

use crate::node::Disk;

/// What became of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decay {
    /// The byte at this place, modulo their number, is another.
    Altered(usize),
    /// It cannot be read.
    Unreadable,
    /// It is not there, or was put aside.
    Gone,
}

/// A disk some blocks of which are damaged, until they are put again. What is beneath keeps them as they were, for
/// whoever watches the world.
#[derive(Debug)]
pub(crate) struct Rot {
    platter: Arc<dyn Disk>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    decayed: BTreeMap<Cid, Decay>,
    /// Whether somebody met a damaged block since it was last asked.
    met: bool,
    /// Blocks that were put again.
    healed: u64,
    /// One that was put again and is not what it was.
    wrong: Option<Cid>,
}

impl Rot {
    pub(crate) fn new(platter: Arc<dyn Disk>) -> Self {
        Self {
            platter,
            state: Mutex::default(),
        }
    }

    /// A block decays.
    pub(crate) fn strike(&self, cid: Cid, decay: Decay) {
        self.state().decayed.insert(cid, decay);
    }

    /// Whether any block is damaged.
    pub(crate) fn is_ailing(&self) -> bool {
        !self.state().decayed.is_empty()
    }

    /// Whether this block is.
    pub(crate) fn has_lost(&self, cid: &Cid) -> bool {
        self.state().decayed.contains_key(cid)
    }

    /// Whether a damaged block was in somebody's way.
    pub(crate) fn is_met(&self) -> bool {
        self.state().met
    }

    /// Forgets that one was.
    pub(crate) fn forget_met(&self) {
        self.state().met = false;
    }

    /// How many blocks were put again, and one that is not what it was.
    pub(crate) fn healed(&self) -> (u64, Option<Cid>) {
        let state = self.state();
        (state.healed, state.wrong)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of a block that somebody looks for.
    fn meet(&self, cid: &Cid) -> Option<Decay> {
        let mut state = self.state();
        let decay = state.decayed.get(cid).copied();
        state.met |= decay.is_some();
        decay
    }

    /// Commits a batch; what it puts is whole from then on.
    fn apply(
        &self,
        batch: Batch,
        commit: fn(&dyn Disk, Batch) -> Result<BatchOutcome, StoreError>,
    ) -> Result<BatchOutcome, StoreError> {
        let put = batch.blocks().iter();
        let put: Vec<Block> = put
            .filter(|block| self.has_lost(block.cid()))
            .cloned()
            .collect();
        let mut wrong = None;
        for block in &put {
            let was = self.platter.get(block.cid())?;
            if was.is_some_and(|was| was.bytes() != block.bytes()) {
                wrong = Some(*block.cid());
            }
        }
        let outcome = commit(self.platter.as_ref(), batch)?;
        if matches!(outcome, BatchOutcome::Done { .. }) {
            let mut state = self.state();
            state.wrong = state.wrong.or(wrong);
            for block in &put {
                state.healed += u64::from(state.decayed.remove(block.cid()).is_some());
            }
        }
        Ok(outcome)
    }
}

impl Store for Rot {
    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        let place = match self.meet(cid) {
            None => return self.platter.get(cid),
            Some(Decay::Gone) => return Ok(None),
            Some(Decay::Unreadable) => {
                return Err(StoreError::new(StoreErrorKind::Corrupt, "a bad sector"));
            }
            Some(Decay::Altered(place)) => place,
        };
        let Some(block) = self.platter.get(cid)? else {
            return Ok(None);
        };
        let mut bytes = block.into_bytes().to_vec();
        let length = bytes.len().max(1);
        match bytes.get_mut(place % length) {
            Some(byte) => *byte ^= 1,
            None => bytes.push(0),
        }
        let block = Block::verify(*cid, bytes);
        block
            .map(Some)
            .map_err(|_error| StoreError::corrupt_block(cid))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.meet(cid) != Some(Decay::Gone) && self.platter.has(cid)?)
    }

    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.platter.get_ref(name)
    }

    fn scan_refs(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.platter.scan_refs(prefix, after, limit)
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.platter.read_log(from, limit)
    }

    fn scan_blocks(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let gone = self.state().decayed.len();
        // So many more, as an empty page would mean the end.
        let page = self
            .platter
            .scan_blocks(after, limit.saturating_add(gone))?;
        let state = self.state();
        let is_there = |cid: &Cid| state.decayed.get(cid) != Some(&Decay::Gone);
        Ok(page.into_iter().filter(is_there).take(limit).collect())
    }

    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        self.apply(batch, |disk, batch| disk.commit(batch))
    }

    fn commit_later(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        self.apply(batch, |disk, batch| disk.commit_later(batch))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.platter.sync()
    }

    fn uses(&self) -> &Uses {
        self.platter.uses()
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        match self.meet(cid) {
            Some(Decay::Gone) => Ok(None),
            _ => self.platter.size(cid),
        }
    }

    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError> {
        let swept = self.platter.sweep(decide)?;
        let mut state = self.state();
        for cid in &swept.blocks {
            state.decayed.remove(cid);
        }
        Ok(swept)
    }

    fn set_aside(&self, cid: &Cid) -> Result<Aside, StoreError> {
        let mut state = self.state();
        let Some(decay) = state.decayed.get_mut(cid) else {
            drop(state);
            return self.platter.set_aside(cid);
        };
        Ok(match std::mem::replace(decay, Decay::Gone) {
            Decay::Altered(_) => Aside::Kept,
            Decay::Unreadable => Aside::Unreadable,
            Decay::Gone => Aside::Nothing,
        })
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.platter.reclaim()
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.platter.stats()
    }
}
