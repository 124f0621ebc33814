//! A store that misbehaves on command, for tests of everything above it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cid::Cid;

use crate::block::Block;
use crate::store::{
    Aside, Batch, BatchOutcome, Decide, LogEntry, Store, StoreError, StoreErrorKind, StoreStats,
    Swept,
};
use crate::uses::Uses;

/// What goes wrong, and when. Calls are counted from 0 over all methods, commits apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The nth call, of whatever method, fails; later ones work.
    FailCall(u64),
    /// The nth commit fails before anything is durable, and so does every call after it: the
    /// machine is gone until [`FaultyStore::restart`].
    CrashBefore(u64),
    /// The nth commit is applied, and durable if it was to be at once, but its caller never hears of it.
    CrashAfter(u64),
    /// The nth commit keeps its blocks but loses its references and log entries: a disk that lied
    /// about an fsync. Breaks BLOCKS-20 on purpose.
    Tear(u64),
    /// The nth read of a block finds one bit changed.
    FlipBit(u64),
    /// The block of this name has another byte at this place, until it is put again or put aside.
    Damage(Cid, usize),
    /// The block of this name cannot be read, as if the disk under it had gone bad, until it is put
    /// again or taken out.
    Unreadable(Cid),
}

/// Wraps a store and applies one [`Fault`].
///
/// Clones share the wrapped store and the state of the fault.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    calls: u64,
    commits: u64,
    reads: u64,
    crashed: bool,
    /// Whether the fault has happened.
    struck: bool,
    /// Whether the damaged block was put aside.
    aside: bool,
}

impl FaultyStore {
    /// A store that works until [`inject`](Self::inject) says otherwise.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            state: Arc::default(),
        }
    }

    /// Counts anew from here and arms `fault`.
    pub fn inject(&self, fault: Fault) {
        *self.state() = State {
            fault: Some(fault),
            ..State::default()
        };
    }

    /// Ends a crash: what was durable is there again, the fault is gone.
    pub fn restart(&self) {
        *self.state() = State::default();
    }

    /// Whether the armed fault has happened.
    #[must_use]
    pub fn struck(&self) -> bool {
        self.state().struck
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.crashed {
            return Err(StoreError::new(StoreErrorKind::Io, "the machine is down"));
        }
        let number = state.calls;
        state.calls += 1;
        if state.fault == Some(Fault::FailCall(number)) {
            state.struck = true;
            return Err(StoreError::new(
                StoreErrorKind::Io,
                format!("injected at call {number}"),
            ));
        }
        Ok(())
    }

    /// Whether `cid` is the block that is damaged, or that was and is aside now.
    fn is_damaged(&self, cid: &Cid) -> bool {
        matches!(
            self.state().fault,
            Some(Fault::Damage(at, _) | Fault::Unreadable(at)) if at == *cid
        )
    }

    /// Whether `cid` was put aside.
    fn is_aside(&self, cid: &Cid) -> bool {
        self.is_damaged(cid) && self.state().aside
    }

    /// The fault, and the number of the commit that begins; a sync and a sweep are one too.
    fn begin_commit(&self) -> (Option<Fault>, u64) {
        let mut state = self.state();
        state.commits += 1;
        (state.fault, state.commits - 1)
    }

    /// Commits a batch, unless that is what goes wrong.
    fn apply(
        &self,
        batch: Batch,
        commit: fn(&dyn Store, Batch) -> Result<BatchOutcome, StoreError>,
    ) -> Result<BatchOutcome, StoreError> {
        self.call()?;
        let (fault, number) = self.begin_commit();
        match fault {
            Some(Fault::Damage(cid, _) | Fault::Unreadable(cid)) => {
                let heals = batch.blocks().iter().any(|block| *block.cid() == cid);
                let outcome = commit(self.inner.as_ref(), batch)?;
                if heals && matches!(outcome, BatchOutcome::Done { .. }) {
                    self.restart();
                }
                Ok(outcome)
            }
            Some(Fault::CrashBefore(at)) if at == number => Err(self.strike(true)),
            Some(Fault::CrashAfter(at)) if at == number => {
                let outcome = commit(self.inner.as_ref(), batch)?;
                match outcome {
                    BatchOutcome::Done { .. } => Err(self.strike(true)),
                    BatchOutcome::Moved { .. } => Ok(outcome),
                }
            }
            Some(Fault::Tear(at)) if at == number => {
                let mut kept = Batch::new();
                for block in batch.blocks() {
                    kept.put(block.clone());
                }
                let _outcome = commit(self.inner.as_ref(), kept)?;
                Err(self.strike(true))
            }
            _ => commit(self.inner.as_ref(), batch),
        }
    }

    fn strike(&self, crash: bool) -> StoreError {
        let mut state = self.state();
        state.struck = true;
        state.crashed = crash;
        StoreError::new(StoreErrorKind::Io, "injected during a commit")
    }
}

impl Store for FaultyStore {
    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        self.call()?;
        let number = {
            let mut state = self.state();
            state.reads += 1;
            state.reads - 1
        };
        if self.is_aside(cid) {
            return Ok(None);
        }
        let Some(block) = self.inner.get(cid)? else {
            return Ok(None);
        };
        let mut bytes = block.bytes().to_vec();
        let last = bytes.len().saturating_sub(1);
        let fault = self.state().fault;
        let at = match fault {
            Some(Fault::FlipBit(at)) if at == number => last,
            Some(Fault::Damage(damaged, at)) if damaged == *cid => at,
            Some(Fault::Unreadable(damaged)) if damaged == *cid => {
                self.state().struck = true;
                return Err(StoreError::new(StoreErrorKind::Corrupt, "a bad sector"));
            }
            _ => return Ok(Some(block)),
        };
        self.state().struck = true;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        Block::verify(*cid, bytes)
            .map(Some)
            .map_err(|_error| StoreError::corrupt_block(cid))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.call()?;
        Ok(!self.is_aside(cid) && self.inner.has(cid)?)
    }

    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.call()?;
        self.inner.get_ref(name)
    }

    fn scan_refs(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.call()?;
        self.inner.scan_refs(prefix, after, limit)
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.call()?;
        self.inner.read_log(from, limit)
    }

    fn scan_blocks(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        self.call()?;
        // One more, for the one that is aside: an empty page would mean the end.
        let mut page = self.inner.scan_blocks(after, limit.saturating_add(1))?;
        page.retain(|cid| !self.is_aside(cid));
        page.truncate(limit);
        Ok(page)
    }

    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        self.apply(batch, |store, batch| store.commit(batch))
    }

    fn commit_later(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        self.apply(batch, |store, batch| store.commit_later(batch))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.call()?;
        let (fault, number) = self.begin_commit();
        match fault {
            Some(Fault::CrashBefore(at) | Fault::Tear(at)) if at == number => {
                Err(self.strike(true))
            }
            Some(Fault::CrashAfter(at)) if at == number => {
                self.inner.sync()?;
                Err(self.strike(true))
            }
            _ => self.inner.sync(),
        }
    }

    fn uses(&self) -> &Uses {
        self.inner.uses()
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.call()?;
        if self.is_aside(cid) {
            return Ok(None);
        }
        self.inner.size(cid)
    }

    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError> {
        self.call()?;
        let (fault, number) = self.begin_commit();
        match fault {
            Some(Fault::CrashBefore(at)) if at == number => Err(self.strike(true)),
            Some(Fault::CrashAfter(at) | Fault::Tear(at)) if at == number => {
                self.inner.sweep(decide)?;
                Err(self.strike(true))
            }
            _ => self.inner.sweep(decide),
        }
    }

    fn set_aside(&self, cid: &Cid) -> Result<Aside, StoreError> {
        self.call()?;
        if self.is_damaged(cid) {
            let was = std::mem::replace(&mut self.state().aside, true);
            let readable = matches!(self.state().fault, Some(Fault::Damage(..)));
            return Ok(match (was, readable) {
                (true, _) => Aside::Nothing,
                (false, true) => Aside::Kept,
                (false, false) => Aside::Unreadable,
            });
        }
        self.inner.set_aside(cid)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.call()?;
        self.inner.reclaim()
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.call()?;
        self.inner.stats()
    }
}
