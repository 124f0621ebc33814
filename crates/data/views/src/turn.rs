//! Who computes a tree while others wait for it.

use std::sync::PoisonError;

use crate::error::ViewError;
use crate::memo::Place;
use crate::views::{ASK_EVERY, GoOn, Inner, lock};

/// The right to compute the tree of a place, until it is dropped.
pub(crate) struct Turn<'a> {
    inner: &'a Inner,
    pub(crate) place: Place,
}

impl<'a> Turn<'a> {
    pub(crate) fn try_take(inner: &'a Inner, place: Place) -> Option<Self> {
        let is_free = lock(&inner.computing).insert(place);
        is_free.then_some(Self { inner, place })
    }

    /// The right if nobody has it; else waits until whoever has it is done, or `go_on` says to stop.
    pub(crate) fn take(
        inner: &'a Inner,
        place: Place,
        go_on: GoOn<'_>,
    ) -> Result<Option<Self>, ViewError> {
        let turn = Self::try_take(inner, place);
        if turn.is_none() {
            let mut computing = lock(&inner.computing);
            while computing.contains(&place) {
                let waited = inner.computed.wait_timeout(computing, ASK_EVERY);
                computing = waited.unwrap_or_else(PoisonError::into_inner).0;
                if go_on(0).is_break() {
                    return Err(ViewError::Cancelled);
                }
            }
        }
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.inner.computing).remove(&self.place);
        self.inner.computed.notify_all();
    }
}
