//! Several computations at once, on as many threads as there are processors.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::error::ViewError;
use crate::views::{ASK_EVERY, GoOn, lock};

/// Computes something for each of some items; what it gives is in their order. Whether to go on is asked
/// on the thread of the caller, for all of them.
pub(crate) fn each<T: Sync, R: Send>(
    items: &[T],
    go_on: GoOn<'_>,
    work: impl Fn(&T, GoOn<'_>) -> Result<R, ViewError> + Sync,
) -> Result<Vec<R>, ViewError> {
    // Asking takes as long as a small computation.
    let threads = match items.len() {
        0 | 1 => 1,
        _ => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    let others = threads.min(items.len()).saturating_sub(1);
    if others == 0 {
        return items.iter().map(|item| work(item, go_on)).collect();
    }
    let shared = Shared {
        next: AtomicUsize::new(0),
        is_stopped: AtomicBool::new(false),
        done: Mutex::new(items.iter().map(|_| None).collect()),
        more: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 0..others {
            let run = || shared.run(items, &mut |_| ControlFlow::Continue(()), &work);
            // Without it the others do it all.
            drop(std::thread::Builder::new().spawn_scoped(scope, run));
        }
        shared.run(items, go_on, &work);
        shared.wait(go_on);
    });
    let done = shared.done.into_inner();
    let mut done = done.unwrap_or_else(PoisonError::into_inner);
    // What stopped the others says more than that they were stopped.
    let is_cause = |done: &Option<Result<R, ViewError>>| matches!(done, Some(Err(error)) if !matches!(error, ViewError::Cancelled));
    if let Some(cause) = done.iter().position(is_cause) {
        done.swap(0, cause);
    }
    let done = done.into_iter();
    // What nobody did, nobody did because all were stopped.
    done.map(|done| done.unwrap_or(Err(ViewError::Cancelled)))
        .collect()
}

struct Shared<R> {
    /// The next item that nobody has.
    next: AtomicUsize,
    is_stopped: AtomicBool,
    done: Mutex<Vec<Option<Result<R, ViewError>>>>,
    more: Condvar,
}

impl<R> Shared<R> {
    /// Takes items until there are no more.
    fn run<T>(
        &self,
        items: &[T],
        go_on: GoOn<'_>,
        work: &impl Fn(&T, GoOn<'_>) -> Result<R, ViewError>,
    ) {
        let mut go_on = |seen| {
            if go_on(seen).is_break() {
                self.stop();
            }
            if self.is_stopped.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        // Nobody waits for what a panic has left undone.
        let over = Over(self);
        while !self.is_stopped.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            let result = work(item, &mut go_on);
            if result.is_err() {
                self.stop();
            }
            if let Some(done) = lock(&self.done).get_mut(at) {
                *done = Some(result);
            }
            self.more.notify_all();
        }
        std::mem::forget(over);
    }

    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.more.notify_all();
    }

    /// Asks whether to go on until all is done, or stopped.
    fn wait(&self, go_on: GoOn<'_>) {
        let mut done = lock(&self.done);
        while !self.is_stopped.load(Ordering::Relaxed) && done.iter().any(Option::is_none) {
            let waited = self.more.wait_timeout(done, ASK_EVERY);
            done = waited.unwrap_or_else(PoisonError::into_inner).0;
            if go_on(0).is_break() {
                self.stop();
            }
        }
    }
}

/// Stops the others when it is dropped.
struct Over<'a, R>(&'a Shared<R>);

impl<R> Drop for Over<'_, R> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..100).collect();
        let doubled = each(&items, &mut |_| ControlFlow::Continue(()), |item, _| {
            Ok(item * 2)
        });
        let expected: Vec<u64> = items.iter().map(|item| item * 2).collect();
        assert_eq!(doubled.unwrap(), expected);
    }

    #[test]
    fn who_is_told_to_stop_stops() {
        let items = [(); 8];
        let stopped = each(&items, &mut |_| ControlFlow::Break(()), |(), go_on| {
            // Until the caller says so.
            while go_on(1).is_continue() {
                std::thread::yield_now();
            }
            Err::<(), _>(ViewError::Cancelled)
        });
        assert!(matches!(stopped, Err(ViewError::Cancelled)));
    }

    #[test]
    fn a_panic_is_waited_for_by_nobody() {
        let items: Vec<usize> = (0..8).collect();
        let all = std::panic::catch_unwind(|| {
            each(&items, &mut |_| ControlFlow::Continue(()), |item, _| {
                assert_ne!(*item, 3, "as it should");
                Ok(*item)
            })
        });
        assert!(all.is_err());
    }

    #[test]
    fn an_error_ends_the_others() {
        let items: Vec<usize> = (0..50).collect();
        let failed = each(&items, &mut |_| ControlFlow::Continue(()), |item, go_on| {
            if *item == 3 {
                return Err(ViewError::Damaged);
            }
            match go_on(0) {
                ControlFlow::Continue(()) => Ok(*item),
                ControlFlow::Break(()) => Err(ViewError::Cancelled),
            }
        });
        assert!(matches!(failed, Err(ViewError::Damaged)));
    }
}
