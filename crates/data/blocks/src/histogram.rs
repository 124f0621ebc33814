//! How long something took, by percentiles, in a few KiB however often it was done.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Steps between one power of two and the next: what a histogram says is at most an eighth more
/// than what was measured.
const STEPS: usize = 8;

/// Buckets of a histogram, from one nanosecond to 2^40, which is 18 minutes: 2.5 KiB.
const BUCKETS: usize = 40 * STEPS;

/// How long something took. All but `count` and `mean` are too long by an eighth at most.
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

/// Counts how often something took how long. Shared by threads without a lock.
pub struct Histogram {
    counts: Box<[AtomicU64]>,
    nanos: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            nanos: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.latency().fmt(f)
    }
}

impl Histogram {
    /// Nothing was done yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that it was done once.
    pub fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How long it took.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let counts: Vec<u64> = self
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
            mean: Duration::from_nanos(self.nanos.load(Ordering::Relaxed) / count),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_are_those_of_a_sorted_list_and_an_eighth(
            mut times in prop::collection::vec(8u64..1 << 39, 1..300),
        ) {
            let histogram = Histogram::new();
            for time in &times {
                histogram.record(Duration::from_nanos(*time));
            }
            times.sort_unstable();
            let latency = histogram.latency();
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
}
