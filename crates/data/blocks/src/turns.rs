//! A lock whose holder does not take it twice while another waits.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex that a loop of sweeps cannot keep from writers: whoever waits for the value holds what is
/// to be taken before it, so who comes back waits behind.
#[derive(Debug, Default)]
pub(crate) struct Turns<T> {
    next: Mutex<()>,
    value: Mutex<T>,
}

impl<T> Turns<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            next: Mutex::new(()),
            value: Mutex::new(value),
        }
    }

    /// What is guarded; the caller leaves it whole whenever it panics.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let _next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn who_comes_back_waits_behind_who_waits() {
        let turns = Arc::new(Turns::new(Vec::new()));
        let note = |who: &'static str| {
            let turns = Arc::clone(&turns);
            thread::spawn(move || turns.lock().push(who))
        };
        let held = turns.lock();
        let first = note("who waited");
        while turns.next.try_lock().is_ok() {
            thread::yield_now();
        }
        let second = note("who came back");
        drop(held);
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(*turns.lock(), ["who waited", "who came back"]);
    }
}
