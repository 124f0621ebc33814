//! Hybrid logical clock readings.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far ahead of the receiver's clock a stamp may be, in milliseconds (REPO-14).
pub const DRIFT_MS_MAX: u64 = 5 * 60 * 1000;

const COUNTER_BITS: u32 = 16;

/// A point in hybrid time: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Stamp(u64);

impl Stamp {
    /// The stamp with these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The stamp as one integer, as it is encoded.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The wall-clock part, in milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The earliest stamp of a millisecond.
    #[must_use]
    pub const fn at_millis(millis: u64) -> Self {
        Self(millis << COUNTER_BITS)
    }

    /// Whether the stamp is too far ahead of the clock `now_ms` (REPO-14).
    #[must_use]
    pub const fn is_future(self, now_ms: u64) -> bool {
        self.millis() > now_ms.saturating_add(DRIFT_MS_MAX)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.millis(), self.0 & 0xffff)
    }
}

/// Makes stamps that are greater than every stamp made or seen before (REPO-8).
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    last: Stamp,
}

impl Clock {
    /// A new stamp at the wall-clock time `now_ms`, which may jump.
    pub fn tick(&mut self, now_ms: u64) -> Stamp {
        self.last = Stamp(
            Stamp::at_millis(now_ms)
                .0
                .max(self.last.0.saturating_add(1)),
        );
        self.last
    }

    /// Takes note of somebody else's stamp.
    pub fn observe(&mut self, seen: Stamp) {
        self.last = self.last.max(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_whatever_the_wall_clock_does() {
        let mut clock = Clock::default();
        let first = clock.tick(1_000);
        assert_eq!(first, Stamp::at_millis(1_000));
        assert_eq!(clock.tick(1_000).bits(), first.bits() + 1);
        assert_eq!(
            clock.tick(10).bits(),
            first.bits() + 2,
            "the clock went back"
        );
        clock.observe(Stamp::at_millis(9_000));
        assert!(clock.tick(1_001) > Stamp::at_millis(9_000));
        assert_eq!(clock.tick(10_000), Stamp::at_millis(10_000));
    }

    #[test]
    fn a_full_counter_carries_into_the_milliseconds() {
        let mut clock = Clock::default();
        clock.observe(Stamp::from_bits((5 << 16) | 0xffff));
        assert_eq!(clock.tick(5), Stamp::at_millis(6));
    }

    #[test]
    fn the_future_begins_after_the_drift() {
        assert!(!Stamp::at_millis(DRIFT_MS_MAX + 7).is_future(7));
        assert!(Stamp::at_millis(DRIFT_MS_MAX + 8).is_future(7));
    }
}
