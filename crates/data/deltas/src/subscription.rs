//! Subscriptions: what arrives at a store and meets a filter, for one reader (DELTA-37).

use std::sync::Arc;

use crate::delta::Delta;
use crate::filter::DeltaFilter;
use crate::store::{Cursor, DeltaStore, StoreFault};

/// What a reader is behind at which it may want to know, in deltas: 80 of 100 of the buffer that others have.
pub const BEHIND_WARNING: u64 = 800;

/// A reader of what arrives. It is a cursor on the store: nothing is buffered for it, so a slow reader loses
/// nothing and holds up nobody, and a position that was written down goes on after a restart.
#[derive(Clone, Debug)]
pub struct Subscription {
    filter: DeltaFilter,
    position: Cursor,
    paused: bool,
}

impl Subscription {
    /// Reads what comes after a cursor; negated deltas and negations among it, whatever the filter says, as
    /// what is negated can become visible again.
    #[must_use]
    pub const fn new(filter: DeltaFilter, from: Cursor) -> Self {
        Self {
            filter,
            position: from,
            paused: false,
        }
    }

    /// The next deltas that meet the filter, out of at most `limit` that arrived; and whether there are more.
    pub fn next(
        &mut self,
        store: &dyn DeltaStore,
        limit: usize,
    ) -> Result<(Vec<Arc<Delta>>, bool), StoreFault> {
        if self.paused {
            return Ok((Vec::new(), false));
        }
        let mut arrivals = store.arrivals(self.position, limit)?;
        self.position = arrivals.next;
        arrivals.deltas.retain(|delta| self.filter.matches(delta));
        Ok((arrivals.deltas, arrivals.more))
    }

    /// Gives nothing until [`resume`](Self::resume); what arrives meanwhile comes then.
    pub const fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on.
    pub const fn resume(&mut self) {
        self.paused = false;
    }

    /// Whether it is paused.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Where it stands.
    #[must_use]
    pub const fn position(&self) -> Cursor {
        self.position
    }

    /// Whether more than [`BEHIND_WARNING`] deltas wait for it.
    pub fn is_behind(&self, store: &dyn DeltaStore) -> Result<bool, StoreFault> {
        let waiting = store.arrivals(self.position, BEHIND_WARNING as usize)?;
        Ok(waiting.more)
    }
}
