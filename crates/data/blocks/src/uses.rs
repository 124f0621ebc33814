//! What is in use, so that a collection of garbage leaves it alone (BLOCKS-50 to BLOCKS-54).

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::ThreadId;

use bytes::Bytes;
use cid::Cid;

use crate::marked::{BlockKey, key_of};
use crate::store::Batch;

/// Uses kept one by one; more go into a filter. What a command touches fits, and takes 100 KiB.
const EXACT_MAX: usize = 4096;

/// The filter: 8 MiB, four bits a use. After 5 million uses it takes one unused block in 200 for
/// a used one, which keeps that block until another collection and does no other harm.
const FILTER_BITS: usize = 1 << 26;

/// Names of changed references remembered between two looks of a collection, in bytes. Beyond
/// that the collection reads all references anew.
const CHANGED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Which blocks of a store are in use beyond what references reach. Cheap to clone.
///
/// A block is in use while a [`Hold`] or a collection is open that was open when the block was put,
/// read or asked for. Every store has one, and its backend calls it from reads and commits.
///
/// Uses are recorded by generation, of which there are at most two: the one at hand, and the one
/// before. Once nothing is open any more that was opened before the one at hand began, the one
/// before is forgotten and a new one begins. So a use is forgotten at the latest when all have
/// ended that were open when the last one ended that protects it, though holds overlap for ever.
#[derive(Clone, Default)]
pub struct Uses {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Whether a hold or a collection is open.
    recording: AtomicBool,
    /// Shared by a read that is recorded, exclusive for a removal: whoever was told that a block
    /// is there has it recorded before any removal looks.
    gate: RwLock<()>,
    state: Mutex<State>,
    /// The thread on which the collection reads at this moment.
    looking: Mutex<Option<ThreadId>>,
    sweeps: AtomicU64,
}

#[derive(Default)]
struct State {
    collecting: bool,
    /// The generation at hand: uses of now, and what was opened since it began.
    now: Generation,
    /// The one before it.
    before: Generation,
    /// Which one is at hand, counted from 0.
    number: u64,
    changed: BTreeSet<Bytes>,
    changed_bytes: usize,
    overflow: bool,
}

/// Uses that were recorded while no other generation was at hand.
#[derive(Default)]
struct Generation {
    /// Holds and collections that were opened in it and have not ended.
    open: usize,
    exact: HashSet<BlockKey>,
    filter: Option<Box<[u64]>>,
}

/// What was put, read or asked for while it is open is not removed (BLOCKS-51).
///
/// Open one before anything that ends in a reference to blocks which were only looked up.
#[derive(Debug)]
pub struct Hold {
    uses: Uses,
    /// The generation that it was opened in.
    generation: u64,
}

/// An open collection of garbage; a store has at most one at a time.
#[derive(Debug)]
pub struct Collecting {
    uses: Uses,
    /// The generation that it was opened in.
    generation: u64,
}

/// The references that changed since a collection last asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Changed {
    /// These names.
    Names(Vec<Bytes>),
    /// More than are remembered: all have to be read anew.
    Unknown,
}

/// Blocks that may be removed now; reads wait while it exists.
#[derive(Debug)]
pub struct Removing<'a> {
    /// Those of the asked-for blocks that nobody uses.
    pub blocks: Vec<Cid>,
    _gate: RwLockWriteGuard<'a, ()>,
}

impl fmt::Debug for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Uses")
            .field("open", &(state.before.open + state.now.open))
            .field("collecting", &state.collecting)
            .finish_non_exhaustive()
    }
}

impl Uses {
    /// Nothing is in use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a hold.
    #[must_use]
    pub fn hold(&self) -> Hold {
        let generation = self.open(&mut self.state());
        Hold {
            uses: self.clone(),
            generation,
        }
    }

    /// Begins a collection; `None` if one is open.
    #[must_use]
    pub fn collect(&self) -> Option<Collecting> {
        let mut state = self.state();
        if state.collecting {
            return None;
        }
        state.collecting = true;
        let generation = self.open(&mut state);
        drop(state);
        Some(Collecting {
            uses: self.clone(),
            generation,
        })
    }

    /// How many sweeps removed references. A cache of what references say is void when it changes.
    #[must_use]
    pub fn sweeps(&self) -> u64 {
        self.inner.sweeps.load(Ordering::SeqCst)
    }

    /// Whether a block is in use. May say so of one that is not, never the other way round.
    #[must_use]
    pub fn is_used(&self, cid: &Cid) -> bool {
        self.is_recording() && self.state().contains(&key_of(cid))
    }

    /// Records the use of a block that a cache above the store answers for.
    pub fn touch(&self, cid: &Cid) {
        if self.is_recording() {
            self.state().now.insert(key_of(cid));
        }
    }

    /// Runs `read`, which looks up `cid`. For backends: around `get` and `has`.
    pub fn reading<T>(&self, cid: &Cid, read: impl FnOnce() -> T) -> T {
        if !self.is_recording() || self.is_looking() {
            return read();
        }
        let _gate = self.shared();
        self.state().now.insert(key_of(cid));
        read()
    }

    /// For backends: before a batch is written, under the write lock.
    pub fn writing(&self, batch: &Batch) {
        if self.is_recording() {
            let mut state = self.state();
            for block in batch.blocks() {
                state.now.insert(key_of(block.cid()));
            }
        }
    }

    /// For backends: after a batch was written, or may have been, under the same lock.
    pub fn wrote(&self, names: impl IntoIterator<Item = Bytes>) {
        if !self.is_recording() {
            return;
        }
        let mut state = self.state();
        if !state.collecting {
            return;
        }
        for name in names {
            if state.changed_bytes + name.len() > CHANGED_BYTES_MAX {
                state.overflow = true;
                return;
            }
            let bytes = name.len();
            if state.changed.insert(name) {
                state.changed_bytes += bytes;
            }
        }
    }

    /// For backends: what of `blocks` may be removed, under the write lock (BLOCKS-51).
    #[must_use]
    pub fn removing(&self, mut blocks: Vec<Cid>) -> Removing<'_> {
        let gate = self.inner.gate.write();
        let gate = gate.unwrap_or_else(PoisonError::into_inner);
        if self.is_recording() {
            let state = self.state();
            blocks.retain(|cid| !state.contains(&key_of(cid)));
        }
        Removing {
            blocks,
            _gate: gate,
        }
    }

    /// For backends: after a sweep removed references.
    pub fn swept(&self) {
        self.inner.sweeps.fetch_add(1, Ordering::SeqCst);
    }

    fn is_looking(&self) -> bool {
        *self.looking() == Some(std::thread::current().id())
    }

    fn looking(&self) -> MutexGuard<'_, Option<ThreadId>> {
        let looking = self.inner.looking.lock();
        looking.unwrap_or_else(PoisonError::into_inner)
    }

    fn is_recording(&self) -> bool {
        self.inner.recording.load(Ordering::SeqCst)
    }

    fn shared(&self) -> RwLockReadGuard<'_, ()> {
        // It guards no data.
        let gate = self.inner.gate.read();
        gate.unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change below is one insertion or one number: sound wherever a panic struck.
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more that is open; says in which generation.
    fn open(&self, state: &mut State) -> u64 {
        state.now.open += 1;
        self.inner.recording.store(true, Ordering::SeqCst);
        state.number
    }

    /// One that was opened in `generation` has ended.
    fn close(&self, generation: u64, close: impl FnOnce(&mut State)) {
        let mut state = self.state();
        close(&mut state);
        // Whatever is open was opened in one of the two.
        let opened_in = if generation == state.number {
            &mut state.now
        } else {
            &mut state.before
        };
        opened_in.open -= 1;
        if state.before.open > 0 {
            return;
        }
        // Whatever is open now was opened in the generation at hand, so what was recorded in the
        // one before protects nobody.
        state.before = std::mem::take(&mut state.now);
        state.number += 1;
        if state.before.open == 0 {
            state.before = Generation::default();
            self.inner.recording.store(false, Ordering::SeqCst);
        }
    }
}

impl State {
    fn contains(&self, key: &BlockKey) -> bool {
        self.now.contains(key) || self.before.contains(key)
    }
}

impl Generation {
    fn insert(&mut self, key: BlockKey) {
        if let Some(filter) = &mut self.filter {
            for (word, bit) in places(&key) {
                filter[word] |= bit;
            }
            return;
        }
        self.exact.insert(key);
        if self.exact.len() > EXACT_MAX {
            self.filter = Some(vec![0; FILTER_BITS / 64].into_boxed_slice());
            let exact: Vec<BlockKey> = self.exact.drain().collect();
            for key in exact {
                self.insert(key);
            }
        }
    }

    fn contains(&self, key: &BlockKey) -> bool {
        match &self.filter {
            Some(filter) => places(key).all(|(word, bit)| filter[word] & bit != 0),
            None => self.exact.contains(key),
        }
    }
}

/// The four bits of a key: a key is a hash already, so its own words place it.
fn places(key: &BlockKey) -> impl Iterator<Item = (usize, u64)> + '_ {
    (0..4).map(|part| {
        let at = 4 + part * 4;
        let word = [key[at], key[at + 1], key[at + 2], key[at + 3]];
        let place = u32::from_le_bytes(word) as usize % FILTER_BITS;
        (place / 64, 1 << (place % 64))
    })
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.uses.close(self.generation, |_| {});
    }
}

impl Collecting {
    /// Runs `read`, whose reads on this thread are no uses: a collection reads all that lives, and
    /// recording that would only fill the record.
    pub fn look<T>(&self, read: impl FnOnce() -> T) -> T {
        *self.uses.looking() = Some(std::thread::current().id());
        let result = read();
        *self.uses.looking() = None;
        result
    }

    /// The references that changed since it began, or since this was last called.
    #[must_use]
    pub fn changed(&self) -> Changed {
        let mut state = self.uses.state();
        state.changed_bytes = 0;
        let names = std::mem::take(&mut state.changed);
        if std::mem::take(&mut state.overflow) {
            return Changed::Unknown;
        }
        Changed::Names(names.into_iter().collect())
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        self.uses.close(self.generation, |state| {
            state.collecting = false;
            state.changed.clear();
            state.changed_bytes = 0;
            state.overflow = false;
        });
        *self.uses.looking() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Codec, sha256_cid};
    use proptest::prelude::*;

    fn cid(number: u32) -> Cid {
        sha256_cid(Codec::Raw, &number.to_le_bytes())
    }

    #[test]
    fn uses_last_as_long_as_somebody_holds_them() {
        let uses = Uses::new();
        uses.touch(&cid(0));
        assert!(!uses.is_used(&cid(0)), "nobody holds anything");
        let first = uses.hold();
        uses.touch(&cid(1));
        let second = uses.hold();
        drop(first);
        assert!(uses.is_used(&cid(1)));
        assert!(!uses.is_used(&cid(2)));
        assert_eq!(uses.removing(vec![cid(1), cid(2)]).blocks, [cid(2)]);
        drop(second);
        assert!(!uses.is_used(&cid(1)));
        let collecting = uses.collect().unwrap();
        collecting.look(|| uses.reading(&cid(3), || ()));
        uses.reading(&cid(4), || ());
        assert!(!uses.is_used(&cid(3)), "read by the collection itself");
        assert!(uses.is_used(&cid(4)));
    }

    #[test]
    fn many_uses_are_all_remembered() {
        let uses = Uses::new();
        let _hold = uses.hold();
        for number in 0..50_000 {
            uses.touch(&cid(number));
        }
        assert!((0..50_000).all(|number| uses.is_used(&cid(number))));
        let wrong = (50_000..100_000).filter(|number| uses.is_used(&cid(*number)));
        assert!(wrong.count() < 50);
    }

    /// What a step of the test below does.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Open,
        Close(usize),
        Touch(u32),
    }

    /// A use that the test below remembers.
    struct Seen {
        key: u32,
        /// Those that were open then and are still.
        protects: BTreeSet<u64>,
        /// Once none is left: those that were open at that moment and are still.
        lingers: Option<BTreeSet<u64>>,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => Just(Step::Open),
            2 => (0..8usize).prop_map(Step::Close),
            3 => (0..6u32).prop_map(Step::Touch),
        ];
        proptest::collection::vec(step, 1..120)
    }

    proptest! {
        /// BLOCKS-51, BLOCKS-55: nothing that is in use is forgotten, and nothing is remembered
        /// for longer than the holds that followed it.
        #[test]
        fn uses_agree_with_the_naive_twin(steps in steps()) {
            let uses = Uses::new();
            let mut open: Vec<(u64, Hold)> = Vec::new();
            let mut seen: Vec<Seen> = Vec::new();
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Open => {
                        open.push((next, uses.hold()));
                        next += 1;
                    }
                    Step::Close(at) if !open.is_empty() => {
                        let (ended, hold) = open.remove(at % open.len());
                        drop(hold);
                        for seen in &mut seen {
                            if let Some(lingers) = &mut seen.lingers {
                                lingers.remove(&ended);
                            } else if seen.protects.remove(&ended) && seen.protects.is_empty() {
                                seen.lingers = Some(open.iter().map(|(id, _)| *id).collect());
                            }
                        }
                    }
                    Step::Close(_) => {}
                    Step::Touch(key) => {
                        uses.touch(&cid(key));
                        let protects: BTreeSet<u64> = open.iter().map(|(id, _)| *id).collect();
                        if !protects.is_empty() {
                            seen.push(Seen { key, protects, lingers: None });
                        }
                    }
                }
                seen.retain(|seen| seen.lingers.as_ref().is_none_or(|lingers| !lingers.is_empty()));
                for key in 0..6 {
                    let of_key = || seen.iter().filter(|seen| seen.key == key);
                    let is_used = uses.is_used(&cid(key));
                    if of_key().any(|seen| seen.lingers.is_none()) {
                        prop_assert!(is_used, "{} is in use", key);
                    }
                    if of_key().next().is_none() {
                        prop_assert!(!is_used, "nothing remembers {}", key);
                    }
                }
            }
        }
    }

    #[test]
    fn holds_that_overlap_for_ever_let_go() {
        let uses = Uses::new();
        let mut open = uses.hold();
        for number in 0..100_000 {
            uses.touch(&cid(number));
            if number % 1000 == 0 {
                let next = uses.hold();
                open = next;
            }
        }
        assert!((99_001..100_000).all(|number| uses.is_used(&cid(number))));
        assert!((0..97_000).all(|number| !uses.is_used(&cid(number))));
        drop(open);
    }

    #[test]
    fn a_collection_hears_of_each_change_once_or_that_there_were_too_many() {
        let uses = Uses::new();
        uses.wrote([Bytes::from_static(b"before")]);
        let open = uses.collect().unwrap();
        assert!(uses.collect().is_none());
        uses.wrote([Bytes::from_static(b"a"), Bytes::from_static(b"a")]);
        assert_eq!(
            open.changed(),
            Changed::Names(vec![Bytes::from_static(b"a")])
        );
        assert_eq!(open.changed(), Changed::Names(vec![]));
        let many = (0..3000u32).map(|number| Bytes::from(number.to_le_bytes().repeat(500)));
        uses.wrote(many);
        assert_eq!(open.changed(), Changed::Unknown);
        assert_eq!(open.changed(), Changed::Names(vec![]));
        drop(open);
        assert!(uses.collect().is_some());
    }
}
