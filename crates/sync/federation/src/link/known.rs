//! What a peer is known to have: a bounded memory of ids.

use std::collections::{BTreeSet, VecDeque};

use allod_sketch::element;

use crate::limits::KNOWN_IDS;

/// The last [`KNOWN_IDS`] ids. Two ids that are taken for one cost a delta that is sent to nobody only with a
/// chance of 2^-49 each, and the next reconciliation finds it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    ids: BTreeSet<u64>,
    order: VecDeque<u64>,
}

impl Known {
    pub(crate) fn insert(&mut self, id: &str) {
        let element = element_of(id);
        if !self.ids.insert(element) {
            return;
        }
        self.order.push_back(element);
        if self.order.len() > KNOWN_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.ids.contains(&element_of(id))
    }
}

/// The element of a delta in a set that is reconciled (FED-31).
pub(crate) fn element_of(id: &str) -> u64 {
    element(id.as_bytes(), b"")
}
