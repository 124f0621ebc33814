//! When each of the other devices of the agent is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use allod_identity::DeviceId;
use allod_sync::Backoff;
use tokio::time::Instant;

use crate::net::RETRY_EVERY;

/// A device that is to be told something, and where it is to be dialled if no connection leads to it.
pub(super) type Due = (DeviceId, Vec<String>);

/// Whom this node tells now, and when it tries again those whom it could not tell. It has no clock: each call says what time it
/// is.
#[derive(Debug)]
pub(super) struct Tries {
    backoff: Backoff,
    failed: BTreeMap<DeviceId, Failed>,
    under_way: BTreeSet<DeviceId>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    /// In a row.
    times: u32,
    /// `None` if it is tried no more.
    not_before: Option<Instant>,
}

impl Tries {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            failed: BTreeMap::new(),
            under_way: BTreeSet::new(),
        }
    }

    /// Those of them that are told now, and when to look again.
    pub(super) fn begin(&mut self, now: Instant, due: Vec<Due>) -> (Vec<Due>, Instant) {
        let (mut begun, mut again) = (Vec::new(), now + RETRY_EVERY);
        for (device, addrs) in due {
            let failed = self.failed.get(&device);
            match failed.map_or(Some(now), |failed| failed.not_before) {
                Some(at) if at > now => again = again.min(at),
                Some(_) if self.under_way.insert(device) => begun.push((device, addrs)),
                _ => {}
            }
        }
        (begun, again)
    }

    pub(super) fn ended(&mut self, now: Instant, device: DeviceId, is_done: bool, chance: u64) {
        self.under_way.remove(&device);
        if is_done {
            self.failed.remove(&device);
            return;
        }
        let times = self.failed.get(&device).map_or(0, |failed| failed.times);
        let times = times.saturating_add(1);
        let wait = self.backoff.wait_ms(times, chance);
        let not_before = wait.map(|wait| now + Duration::from_millis(wait));
        self.failed.insert(device, Failed { times, not_before });
    }

    /// Whoever came by itself is tried at once, however often it could not be reached.
    pub(super) fn came(&mut self, is_there: impl Fn(DeviceId) -> bool) {
        self.failed.retain(|device, _| !is_there(*device));
    }
}

#[cfg(test)]
mod tests {
    use allod_identity::SecretKey;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn due(seeds: &[u8]) -> Vec<Due> {
        let device = |seed: &u8| SecretKey::from_seed([*seed; 32]).device_id();
        seeds
            .iter()
            .map(|seed| (device(seed), vec!["127.0.0.1:9".to_owned()]))
            .collect()
    }

    /// PAIR-12: each is told once at a time, and whoever failed waits, until it comes by itself.
    #[test]
    fn devices_are_told_one_exchange_at_a_time() {
        let (mut tries, now) = (Tries::new(Backoff::default()), Instant::now());
        assert_eq!(
            tries.begin(now, due(&[1, 2])),
            (due(&[1, 2]), now + RETRY_EVERY)
        );
        assert_eq!(tries.begin(now, due(&[1, 2, 3])).0, due(&[3]));
        let (first, second) = (due(&[1])[0].0, due(&[2])[0].0);
        tries.ended(now, first, true, 0);
        assert_eq!(tries.begin(now, due(&[1])).0, due(&[1]));
        tries.ended(now, second, false, u64::MAX);
        let (begun, again) = tries.begin(now + MS, due(&[2]));
        assert!(begun.is_empty() && again > now + MS && again < now + RETRY_EVERY);
        assert_eq!(tries.begin(again, due(&[2])).0, due(&[2]));
        // The second time in a row it waits longer.
        tries.ended(again, second, false, u64::MAX);
        let later = tries.begin(again, due(&[2])).1;
        assert!(later - again > again - now, "{:?}", later - again);
        tries.came(|device| device != second);
        assert_eq!(tries.begin(again, due(&[2])).0, []);
        tries.came(|device| device == second);
        assert_eq!(tries.begin(again, due(&[2])).0, due(&[2]));
    }

    #[test]
    fn who_is_tried_so_often_is_tried_no_more() {
        let backoff = Backoff {
            attempts: 1,
            ..Backoff::default()
        };
        let (mut tries, now) = (Tries::new(backoff), Instant::now());
        let device = due(&[1])[0].0;
        assert_eq!(tries.begin(now, due(&[1])).0.len(), 1);
        tries.ended(now, device, false, 0);
        let late = now + Duration::from_hours(24);
        assert_eq!(
            tries.begin(late, due(&[1])),
            (Vec::new(), late + RETRY_EVERY)
        );
    }
}
