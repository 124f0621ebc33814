//! How fast a peer is read (FED-19).

/// A bucket that fills with time and is emptied by what comes. It is never refused anything: it says how long
/// to wait before more is read.
#[derive(Debug)]
pub(crate) struct Meter {
    per_second: u64,
    /// In thousandths.
    level: u64,
    at_ms: u64,
}

impl Meter {
    /// A full bucket for a second.
    pub(crate) fn new(per_second: u64, now_ms: u64) -> Self {
        let per_second = per_second.max(1);
        Self {
            per_second,
            level: per_second.saturating_mul(1000),
            at_ms: now_ms,
        }
    }

    fn fill(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        let most = self.per_second.saturating_mul(1000);
        let filled = passed.saturating_mul(self.per_second);
        self.level = self.level.saturating_add(filled).min(most);
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// Takes out what came; what is more than there is stays owed.
    pub(crate) fn take(&mut self, count: u64, now_ms: u64) -> u64 {
        self.fill(now_ms);
        let cost = count.saturating_mul(1000);
        let owed = cost.saturating_sub(self.level);
        self.level = self.level.saturating_sub(cost);
        // What is owed is paid by waiting: the bucket is filled again from a later time on.
        let wait = owed.div_ceil(self.per_second);
        self.at_ms = self.at_ms.saturating_add(wait);
        self.at_ms
    }
}

#[cfg(test)]
mod tests {
    use super::Meter;

    #[test]
    fn a_peer_is_read_as_fast_as_the_bucket_fills() {
        let mut meter = Meter::new(100, 1000);
        assert_eq!(meter.take(100, 1000), 1000, "a second's worth at once");
        assert_eq!(meter.take(50, 1000), 1500, "and then half a second to wait");
        assert_eq!(meter.take(100, 1600), 2500);
        assert_eq!(meter.take(1, 10_000), 10_000, "full again");
        let mut total = 0;
        let (mut now, mut meter) = (0, Meter::new(100, 0));
        while now < 10_000 {
            total += 7;
            now = meter.take(7, now).max(now + 1);
        }
        assert!((1000..1210).contains(&total), "{total} in ten seconds");
    }
}
