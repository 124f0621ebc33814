//! Taking a lock whatever a holder did.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is guarded: its holders leave it whole wherever they panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
