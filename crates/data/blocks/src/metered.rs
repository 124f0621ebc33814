//! How long a store takes: a store around another that times each call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;

use crate::block::Block;
use crate::store::{
    Aside, Batch, BatchOutcome, Decide, LogEntry, Store, StoreError, StoreStats, Swept,
};
use crate::uses::Uses;

/// Steps between one power of two and the next: what a histogram says is at most an eighth more
/// than what was measured.
const STEPS: usize = 8;

/// Buckets of a histogram, from one nanosecond to 2^40, which is 18 minutes: 2.5 KiB.
const BUCKETS: usize = 40 * STEPS;

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

/// How long an operation took. All but `count` and `mean` are too long by an eighth at most.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Latency {
    /// How often it was done.
    pub count: u64,
    /// On average.
    pub mean: Duration,
    /// Half of the times it took no longer.
    pub p50: Duration,
    /// In 95 of 100.
    pub p95: Duration,
    /// In 99 of 100.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// How long each operation took since it was made. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    histograms: Arc<[Histogram; Operation::ALL.len()]>,
}

struct Histogram {
    counts: Box<[AtomicU64]>,
    nanos: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram = || Histogram {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            nanos: AtomicU64::new(0),
        };
        Self {
            histograms: Arc::new(std::array::from_fn(|_| histogram())),
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
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let histogram = &self.histograms[operation as usize];
        histogram.counts[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        histogram.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How long an operation took.
    #[must_use]
    pub fn latency(&self, operation: Operation) -> Latency {
        let histogram = &self.histograms[operation as usize];
        let counts: Vec<u64> = histogram
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        let count: u64 = counts.iter().sum();
        if count == 0 {
            return Latency::default();
        }
        // The end of the bucket in which the `part`th thousandth of the calls lies.
        let at = |part: u64| {
            let rank = (count * part).div_ceil(1000).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            Duration::from_nanos(bucket_end(found.unwrap_or(BUCKETS - 1)))
        };
        Latency {
            count,
            mean: Duration::from_nanos(histogram.nanos.load(Ordering::Relaxed) / count),
            p50: at(500),
            p95: at(950),
            p99: at(990),
            max: at(1000),
        }
    }
}

/// The bucket of a time: its power of two, and its next three bits.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(STEPS as u64);
    let power = nanos.ilog2();
    let step = (nanos >> (power - STEPS.ilog2())) as usize % STEPS;
    (power as usize * STEPS + step).min(BUCKETS - 1)
}

/// The longest time that falls into a bucket.
fn bucket_end(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    let width = (1u64 << power) / STEPS as u64;
    (1u64 << power) + (step + 1) * width - 1
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_are_those_of_a_sorted_list_and_an_eighth(
            mut times in prop::collection::vec(8u64..1 << 39, 1..300),
        ) {
            let metrics = Metrics::new();
            for time in &times {
                metrics.record(Operation::Get, Duration::from_nanos(*time));
            }
            times.sort_unstable();
            let latency = metrics.latency(Operation::Get);
            prop_assert_eq!(latency.count, times.len() as u64);
            let mean = times.iter().sum::<u64>() / times.len() as u64;
            prop_assert_eq!(latency.mean, Duration::from_nanos(mean));
            for (part, found) in [
                (500, latency.p50),
                (950, latency.p95),
                (990, latency.p99),
                (1000, latency.max),
            ] {
                let exact = times[(times.len() * part).div_ceil(1000) - 1];
                let found = found.as_nanos() as u64;
                prop_assert!(found >= exact && found <= exact + exact / 8, "{exact} {found}");
            }
        }
    }

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
