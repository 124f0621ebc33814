//! Batches that are durable in the redo log, and that the engine has not been given yet.
//!
//! A thread gives them to it, in order. Whoever reads looks here first. So a commit waits for the log
//! alone, and not for the engine, which stalls its writers while it compacts.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;

use crate::engine::{Apply, Engine, Move, Table, Write, bytes_of};
use crate::store::{StoreError, StoreErrorKind};

/// The most that may wait, in bytes of keys and values: as much as a second of small commits writes,
/// which is how long the engine has been seen to stall.
pub(crate) const PENDING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a batch waits for others, and how many bytes do not: the thread is woken once for all of them,
/// and not while whoever committed the first waits for the disk.
const GATHER: Duration = Duration::from_millis(5);
const GATHERED_BYTES: usize = 256 * 1024;

/// What a write takes in memory beside its key and value.
const WRITE_BYTES: usize = 128;

/// The bounds of names that are listed.
pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The batches, and the thread that applies them. Dropped, it first applies all.
pub(crate) struct Pending {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Engine,
    overlay: RwLock<Overlay>,
    /// How many batches are in the overlay.
    batches: AtomicUsize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// What pending batches wrote last under each key of a table, with the batch that did.
#[derive(Default)]
struct Overlay {
    tables: [BTreeMap<Bytes, (u64, Option<Bytes>)>; Table::ALL.len()],
}

/// What was written last under a key: a value, or that there is none.
pub(crate) struct Latest(pub(crate) Option<Bytes>);

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// How many jobs there were, which is the number of the last.
    pushed: u64,
    /// How many of them are done.
    done: u64,
    /// The number of the last sync.
    sync: u64,
    /// The number of the last job that somebody waits for.
    wanted: u64,
    bytes: usize,
    /// The number up to which the engine has synced.
    synced: u64,
    /// What the engine failed with. It is given nothing more.
    fault: Option<StoreError>,
    is_over: bool,
    /// Whether what is pending is kept from the engine.
    #[cfg(test)]
    is_held: bool,
}

impl Queue {
    fn has_work(&self) -> bool {
        #[cfg(test)]
        if self.is_held {
            return false;
        }
        !self.jobs.is_empty()
    }

    fn push(&mut self, job: Job) -> u64 {
        self.jobs.push_back(job);
        self.pushed += 1;
        self.pushed
    }

    /// Whether the next job is to be done at once.
    fn is_urgent(&self) -> bool {
        self.is_over || self.bytes >= GATHERED_BYTES || self.done < self.wanted
    }
}

enum Job {
    Apply(Applied),
    /// A batch that is not in the redo log, under its number there.
    ApplyDurably(Vec<Write>, u64),
    /// Up to the batch of this number in the redo log.
    Sync(u64),
    Move(Vec<Move>),
}

struct Applied {
    /// The number of its job.
    batch: u64,
    writes: Vec<Write>,
    bytes: usize,
}

/// What a job that is done changes.
#[derive(Default)]
struct Done {
    /// Bytes that do not wait any more.
    bytes: usize,
    /// The number up to which the engine has synced, at least.
    synced: u64,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl Pending {
    /// Starts with nothing pending for the `engine`, which has synced up to a number.
    pub(crate) fn new(engine: Engine, synced: u64) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            engine,
            overlay: RwLock::default(),
            batches: AtomicUsize::new(0),
            queue: Mutex::new(Queue {
                synced,
                ..Queue::default()
            }),
            changed: Condvar::new(),
        });
        let work = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("allod-store".into())
            .spawn(move || while work.work() {})
            .map_err(StoreError::io)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Adds a batch, to be applied after those before it. Readers see it from now on.
    pub(crate) fn push(&self, writes: Vec<Write>) {
        let bytes = bytes_of(&writes, WRITE_BYTES);
        let mut queue = self.shared.lock();
        let batch = queue.pushed + 1;
        self.shared.cover(batch, &writes);
        queue.bytes += bytes;
        queue.push(Job::Apply(Applied {
            batch,
            writes,
            bytes,
        }));
        if queue.jobs.len() == 1 || queue.is_urgent() {
            self.shared.changed.notify_all();
        }
    }

    /// Fails if the engine did.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.shared.until(|_queue| true)
    }

    /// Waits until less than `bytes` are pending. Fails if the engine did.
    pub(crate) fn room(&self, bytes: usize) -> Result<(), StoreError> {
        self.shared.until(|queue| queue.bytes < bytes)
    }

    /// Waits until the engine has all that was pushed before.
    pub(crate) fn drain(&self) -> Result<(), StoreError> {
        let mut queue = self.shared.lock();
        let last = queue.pushed;
        self.shared.want(&mut queue, last);
        drop(queue);
        self.shared.until(|queue| queue.done >= last)
    }

    /// Has the engine make durable by itself what was pushed before: all up to the batch of this number
    /// in the redo log.
    pub(crate) fn start_sync(&self, number: u64) {
        let mut queue = self.shared.lock();
        queue.sync = queue.push(Job::Sync(number));
        let sync = queue.sync;
        self.shared.want(&mut queue, sync);
    }

    /// Waits until it has.
    pub(crate) fn wait_sync(&self) -> Result<(), StoreError> {
        self.shared.until(|queue| queue.done >= queue.sync)
    }

    /// Has the engine make durable all up to the batch of this number, and waits until it has.
    pub(crate) fn sync(&self, number: u64) -> Result<(), StoreError> {
        self.start_sync(number);
        self.wait_sync()
    }

    /// The number up to which the engine has synced.
    pub(crate) fn synced(&self) -> u64 {
        self.shared.lock().synced
    }

    /// Has the engine apply a batch durably, after all before it, and waits until it has. Nobody sees the
    /// batch before.
    pub(crate) fn apply_durably(&self, writes: Vec<Write>, number: u64) -> Result<(), StoreError> {
        self.wait_for(Job::ApplyDurably(writes, number))
    }

    /// Has the engine say that blocks are elsewhere, where they are not yet, and waits until it does.
    pub(crate) fn relocate(&self, moves: Vec<Move>) -> Result<(), StoreError> {
        self.wait_for(Job::Move(moves))
    }

    fn wait_for(&self, job: Job) -> Result<(), StoreError> {
        let mut queue = self.shared.lock();
        let number = queue.push(job);
        self.shared.want(&mut queue, number);
        drop(queue);
        self.shared.until(|queue| queue.done >= number)
    }

    /// What is pending for a key.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<Latest> {
        self.read()?.get(table, key)
    }

    /// What is pending within bounds, in the order of keys: removals, and up to `limit` values.
    pub(crate) fn list(
        &self,
        table: Table,
        bounds: Bounds<'_>,
        limit: usize,
    ) -> Vec<(Bytes, Option<Bytes>)> {
        let overlay = self.read();
        let keys = overlay
            .iter()
            .filter_map(|overlay| overlay.tables.get(table as usize));
        let mut values = 0;
        keys.flat_map(|keys| keys.range::<[u8], _>(bounds))
            .take_while(|(_, (_, value))| {
                let is_room = values < limit;
                values += usize::from(value.is_some());
                is_room
            })
            .map(|(key, (_, value))| (key.clone(), value.clone()))
            .collect()
    }

    /// Whether nothing is pending.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.read().is_none()
    }

    fn read(&self) -> Option<RwLockReadGuard<'_, Overlay>> {
        // A batch is counted before it is acknowledged, and applied before it is not counted any more.
        let is_empty = self.shared.batches.load(Ordering::Acquire) == 0;
        (!is_empty).then(|| {
            let overlay = self.shared.overlay.read();
            overlay.unwrap_or_else(PoisonError::into_inner)
        })
    }
}

#[cfg(test)]
impl Pending {
    pub(crate) fn hold(&self, hold: bool) {
        self.shared.lock().is_held = hold;
        self.shared.changed.notify_all();
    }

    pub(crate) fn fail(&self, fault: &str) {
        self.shared.lock().fault = Some(StoreError::new(StoreErrorKind::Io, fault));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Overlay {
    fn get(&self, table: Table, key: &[u8]) -> Option<Latest> {
        let (_, value) = self.tables.get(table as usize)?.get(key)?;
        Some(Latest(value.clone()))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cover_lock(&self) -> RwLockWriteGuard<'_, Overlay> {
        let overlay = self.overlay.write();
        overlay.unwrap_or_else(PoisonError::into_inner)
    }

    fn until(&self, condition: impl Fn(&Queue) -> bool) -> Result<(), StoreError> {
        let waits = |queue: &mut Queue| queue.fault.is_none() && !condition(queue);
        let queue = self.changed.wait_while(self.lock(), waits);
        let queue = queue.unwrap_or_else(PoisonError::into_inner);
        match &queue.fault {
            Some(fault) => Err(fault.again()),
            None => Ok(()),
        }
    }

    /// Has jobs done at once up to this one.
    fn want(&self, queue: &mut Queue, number: u64) {
        queue.wanted = queue.wanted.max(number);
        self.changed.notify_all();
    }

    fn cover(&self, batch: u64, writes: &[Write]) {
        let mut overlay = self.cover_lock();
        for (table, key, value) in writes {
            if let Some(keys) = overlay.tables.get_mut(*table as usize) {
                keys.insert(key.clone(), (batch, value.clone()));
            }
        }
        self.batches.fetch_add(1, Ordering::Release);
    }

    fn uncover(&self, applied: &Applied) {
        let mut overlay = self.cover_lock();
        for (table, key, _) in &applied.writes {
            if let Some(keys) = overlay.tables.get_mut(*table as usize)
                && keys
                    .get(key)
                    .is_some_and(|(batch, _)| *batch == applied.batch)
            {
                keys.remove(key);
            }
        }
        self.batches.fetch_sub(1, Ordering::Release);
    }

    /// Does the next job. `false` once there is none and never will be.
    fn work(&self) -> bool {
        let waits = |queue: &mut Queue| !queue.has_work() && !queue.is_over;
        let queue = self.changed.wait_while(self.lock(), waits);
        let queue = queue.unwrap_or_else(PoisonError::into_inner);
        let waits = |queue: &mut Queue| !queue.is_urgent();
        let waited = self.changed.wait_timeout_while(queue, GATHER, waits);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.wanted = queue.pushed;
        let Some(job) = queue.jobs.pop_front() else {
            return false;
        };
        if queue.fault.is_some() {
            // After a batch that the engine does not have, it must not get a later one.
            return true;
        }
        drop(queue);
        let done = catch_unwind(AssertUnwindSafe(|| self.perform(job)));
        let done = done.unwrap_or_else(|_panic| {
            Err(StoreError::new(StoreErrorKind::Io, "the engine panicked"))
        });
        let mut queue = self.lock();
        match done {
            Ok(done) => {
                queue.done += 1;
                queue.bytes -= done.bytes;
                queue.synced = queue.synced.max(done.synced);
            }
            Err(error) => {
                // What is pending stays readable, and in the redo log.
                queue.fault = Some(error);
                queue.jobs.clear();
            }
        }
        self.changed.notify_all();
        true
    }

    fn perform(&self, job: Job) -> Result<Done, StoreError> {
        let mut done = Done::default();
        match job {
            Job::Apply(mut applied) => {
                self.engine.apply(&mut applied.writes, Apply::Later)?;
                self.uncover(&applied);
                done.bytes = applied.bytes;
            }
            Job::ApplyDurably(mut writes, number) => {
                self.engine.apply(&mut writes, Apply::Durably(number))?;
                done.synced = number;
            }
            Job::Sync(number) => {
                self.engine.sync(number)?;
                done.synced = number;
            }
            Job::Move(moves) => self.engine.relocate(&moves)?,
        }
        Ok(done)
    }
}
