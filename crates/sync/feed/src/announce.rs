//! A store that says how far its log is durable (FEED-2).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use allod_blocks::{
    Aside, Batch, BatchOutcome, Block, Cid, Decide, LogEntry, Store, StoreError, StoreStats, Swept,
    Uses,
};
use bytes::Bytes;

/// How far the log of a store is durable. Clones are handles to the same one.
#[derive(Clone, Default)]
pub struct LogEnd {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    end: AtomicU64,
    /// Held by who waits, and by who tells.
    waiting: Mutex<()>,
    grown: Condvar,
}

impl fmt::Debug for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogEnd").field(&self.get()).finish()
    }
}

impl LogEnd {
    /// The position after the last entry that is durable.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.inner.end.load(Ordering::Acquire)
    }

    /// Waits until an entry from `position` on is durable, but no longer than `at_most`; whether one is.
    #[must_use]
    pub fn wait(&self, position: u64, at_most: Duration) -> bool {
        if self.get() > position {
            return true;
        }
        let held = self.lock();
        let waited = self
            .inner
            .grown
            .wait_timeout_while(held, at_most, |()| self.get() <= position);
        drop(waited);
        self.get() > position
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // It guards nothing that could be half changed.
        self.inner
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn reached(&self, end: u64) {
        if self.inner.end.fetch_max(end, Ordering::AcqRel) < end {
            drop(self.lock());
            self.inner.grown.notify_all();
        }
    }
}

/// A [`Store`] around another that keeps its [`LogEnd`].
pub struct AnnouncingStore {
    inner: Arc<dyn Store>,
    end: LogEnd,
    /// The position after the last entry that was added without being durable.
    later: AtomicU64,
}

impl fmt::Debug for AnnouncingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl AnnouncingStore {
    /// Of a store, all of whose log is made durable for that.
    pub fn new(inner: Arc<dyn Store>) -> Result<Self, StoreError> {
        inner.sync()?;
        let end = LogEnd::default();
        end.reached(inner.stats()?.log_end);
        Ok(Self {
            inner,
            end,
            later: AtomicU64::new(0),
        })
    }

    /// How far its log is durable.
    #[must_use]
    pub fn log_end(&self) -> LogEnd {
        self.end.clone()
    }
}

impl Store for AnnouncingStore {
    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        let outcome = self.inner.commit(batch)?;
        if let BatchOutcome::Done { log_end } = outcome {
            // With all that was committed before (BLOCKS-20).
            self.end.reached(log_end);
        }
        Ok(outcome)
    }

    fn commit_later(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        let outcome = self.inner.commit_later(batch)?;
        if let BatchOutcome::Done { log_end } = outcome {
            self.later.fetch_max(log_end, Ordering::AcqRel);
        }
        Ok(outcome)
    }

    fn sync(&self) -> Result<(), StoreError> {
        // Looked at before: what is added meanwhile need not be durable after it.
        let end = self.later.load(Ordering::Acquire);
        self.inner.sync()?;
        self.end.reached(end);
        Ok(())
    }

    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        self.inner.get(cid)
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.inner.has(cid)
    }

    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get_ref(name)
    }

    fn scan_refs(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.inner.scan_refs(prefix, after, limit)
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.inner.read_log(from, limit)
    }

    fn scan_blocks(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        self.inner.scan_blocks(after, limit)
    }

    fn uses(&self) -> &Uses {
        self.inner.uses()
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.inner.size(cid)
    }

    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError> {
        self.inner.sweep(decide)
    }

    fn set_aside(&self, cid: &Cid) -> Result<Aside, StoreError> {
        self.inner.set_aside(cid)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.inner.reclaim()
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.inner.stats()
    }
}
