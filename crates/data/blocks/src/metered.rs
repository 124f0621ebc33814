//! How long a store takes: a store around another that times each call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;

use crate::block::Block;
use crate::histogram::{Histogram, Latency};
use crate::store::{
    Aside, Batch, BatchOutcome, Decide, LogEntry, Store, StoreError, StoreStats, Swept,
};
use crate::uses::Uses;

/// What a store is asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Read a block.
    Get,
    /// Ask whether a block is there.
    Has,
    /// Read a reference.
    GetRef,
    /// List references, blocks or log entries.
    Scan,
    /// Make a batch durable.
    Commit,
    /// Remove garbage.
    Sweep,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Get,
        Self::Has,
        Self::GetRef,
        Self::Scan,
        Self::Commit,
        Self::Sweep,
    ];

    /// Its name in lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Has => "has",
            Self::GetRef => "get_ref",
            Self::Scan => "scan",
            Self::Commit => "commit",
            Self::Sweep => "sweep",
        }
    }
}

/// How long each operation took since it was made. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    histograms: Arc<[Histogram; Operation::ALL.len()]>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            histograms: Arc::new(std::array::from_fn(|_| Histogram::new())),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = Operation::ALL.map(|operation| (operation.name(), self.latency(operation)));
        f.debug_map().entries(each).finish()
    }
}

impl Metrics {
    /// Nothing was done yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that an operation was done.
    pub fn record(&self, operation: Operation, took: Duration) {
        self.histograms[operation as usize].record(took);
    }

    /// How long an operation took.
    #[must_use]
    pub fn latency(&self, operation: Operation) -> Latency {
        self.histograms[operation as usize].latency()
    }
}

/// What says how much time has passed since some moment; it never goes back.
pub type Ticks = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A [`Store`] that times the calls of another.
pub struct MeteredStore {
    inner: Arc<dyn Store>,
    metrics: Metrics,
    ticks: Ticks,
}

impl fmt::Debug for MeteredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl MeteredStore {
    /// Times the calls of `inner` by `ticks`, into `metrics`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, metrics: Metrics, ticks: Ticks) -> Self {
        Self {
            inner,
            metrics,
            ticks,
        }
    }

    fn time<T>(&self, operation: Operation, run: impl FnOnce(&dyn Store) -> T) -> T {
        let started = (self.ticks)();
        let result = run(self.inner.as_ref());
        let took = (self.ticks)().saturating_sub(started);
        self.metrics.record(operation, took);
        result
    }
}

impl Store for MeteredStore {
    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        self.time(Operation::Get, |store| store.get(cid))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.time(Operation::Has, |store| store.has(cid))
    }

    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.time(Operation::GetRef, |store| store.get_ref(name))
    }

    fn scan_refs(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.time(Operation::Scan, |store| {
            store.scan_refs(prefix, after, limit)
        })
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.time(Operation::Scan, |store| store.read_log(from, limit))
    }

    fn scan_blocks(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        self.time(Operation::Scan, |store| store.scan_blocks(after, limit))
    }

    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        self.time(Operation::Commit, |store| store.commit(batch))
    }

    fn commit_later(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        self.time(Operation::Commit, |store| store.commit_later(batch))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.time(Operation::Commit, |store| store.sync())
    }

    fn uses(&self) -> &Uses {
        self.inner.uses()
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.inner.size(cid)
    }

    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError> {
        self.time(Operation::Sweep, |store| store.sweep(decide))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_clock_that_ticks_once_a_call_is_heard() {
        let now = AtomicU64::new(0);
        let ticks = move || Duration::from_millis(now.fetch_add(1, Ordering::Relaxed));
        let metrics = Metrics::new();
        let inner = Arc::new(crate::MemoryStore::new());
        let store = MeteredStore::new(inner, metrics.clone(), Arc::new(ticks));
        for _ in 0..3 {
            assert!(store.get_ref(b"x").is_ok());
        }
        let latency = metrics.latency(Operation::GetRef);
        assert_eq!((latency.count, latency.mean), (3, Duration::from_millis(1)));
        assert_eq!(metrics.latency(Operation::Commit), Latency::default());
        for extreme in [Duration::ZERO, Duration::MAX] {
            metrics.record(Operation::Commit, extreme);
        }
        assert_eq!(metrics.latency(Operation::Commit).count, 2);
    }
}
