//! How long to wait before a peer is tried again (SYNC-40).

/// A policy of waiting: longer after each failure, up to a limit, and never quite as long as another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// The wait after the first failure, in milliseconds.
    pub first_ms: u64,
    /// What each wait is multiplied by, in hundredths: 200 doubles it.
    pub factor_percent: u64,
    /// The longest wait, in milliseconds.
    pub most_ms: u64,
    /// How often it is tried; 0 for ever.
    pub attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first_ms: 1000,
            factor_percent: 200,
            most_ms: 30_000,
            attempts: 0,
        }
    }
}

impl Backoff {
    /// The wait after so many failures in a row, from 1; none if it is not tried again. `chance` is any
    /// number: the wait is from half of what it could be to all of it, so that many who lost one peer do not
    /// come back at once.
    #[must_use]
    pub fn wait_ms(&self, failures: u32, chance: u64) -> Option<u64> {
        if self.attempts > 0 && failures >= self.attempts {
            return None;
        }
        let mut wait = self.first_ms.min(self.most_ms);
        for _ in 1..failures {
            let next = wait.saturating_mul(self.factor_percent) / 100;
            if next >= self.most_ms || next <= wait {
                wait = if next <= wait { wait } else { self.most_ms };
                break;
            }
            wait = next;
        }
        let half = wait / 2;
        Some(wait - half + chance % (half + 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_limit() {
        let backoff = Backoff::default();
        let most = |failures| backoff.wait_ms(failures, 500).unwrap();
        assert_eq!(most(1), 1000);
        let waits: Vec<u64> = (1..9)
            .map(|failures| {
                let all = (0..40_000).filter_map(|chance| backoff.wait_ms(failures, chance));
                all.max().unwrap()
            })
            .collect();
        assert_eq!(
            waits,
            [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]
        );
        let three = Backoff {
            attempts: 3,
            ..backoff
        };
        assert!(three.wait_ms(2, 0).is_some());
        assert_eq!(three.wait_ms(3, 0), None);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_limit_or_shorter_than_half(
            first_ms in 0..100_000u64,
            factor_percent: u64,
            most_ms in 0..100_000u64,
            failures: u32,
            chance: u64,
        ) {
            let backoff = Backoff { first_ms, factor_percent, most_ms, attempts: 0 };
            let wait = backoff.wait_ms(failures % 100, chance).unwrap();
            prop_assert!(wait <= most_ms);
            prop_assert!(wait >= first_ms.min(most_ms) / 2);
        }
    }
}
