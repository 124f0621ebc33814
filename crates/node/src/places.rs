//! How many connections each device may have (TRANS-18).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use allod_identity::DeviceId;

use crate::hooks::lock;

/// Connections of one device at a time: a session for each of a few spaces.
const CONNECTIONS_PER_DEVICE: usize = 8;

/// How many connections each device has.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<BTreeMap<DeviceId, usize>>>);

/// A connection's place, until it is dropped.
pub(crate) struct Place {
    places: Places,
    device: DeviceId,
}

impl Places {
    /// A place for another connection of a device; none if it has all that it may have.
    pub(crate) fn take(&self, device: DeviceId) -> Option<Place> {
        let mut taken = lock(&self.0);
        let count = taken.entry(device).or_default();
        if *count >= CONNECTIONS_PER_DEVICE {
            return None;
        }
        *count += 1;
        let places = self.clone();
        Some(Place { places, device })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.0);
        if let Some(count) = taken.get_mut(&self.device) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.device);
            }
        }
    }
}
