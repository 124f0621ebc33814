//! What the store does around its engine: the redo log, and what is pending.

use std::fs;

use super::*;
use crate::block::Codec;
use crate::engine::open_database;
use crate::memory::MemoryStore;
use crate::packs::Packs;
use crate::store::{Expect, Garbage};

const CACHE_BYTES: u64 = 1 << 20;

/// So that there are some packs.
const PACK_BYTES: u64 = 16 * 1024;

mod packs;
mod vectors;

/// With redo files of so many KiB.
fn sized(dir: &Path, redo: u64) -> Result<FjallStore, StoreError> {
    FjallStore::open_all(
        dir,
        CACHE_BYTES,
        Packing::default(),
        (redo * 1024, PACK_BYTES),
    )
}

fn open(dir: &Path) -> Result<FjallStore, StoreError> {
    sized(dir, 16)
}

fn put(store: &dyn Store, blocks: &[Block]) {
    let mut batch = Batch::new();
    for block in blocks {
        batch.put(block.clone());
    }
    let _outcome = store.commit(batch).unwrap();
}

#[test]
fn a_damaged_block_is_put_aside_and_comes_back_sound() {
    let dir = tempfile::tempdir().unwrap();
    let store = FjallStore::open(dir.path()).unwrap();
    let block = Block::new(Codec::Raw, &b"content"[..]).unwrap();
    let name = block.cid().to_bytes();
    put(&store, std::slice::from_ref(&block));
    store.pending.drain().unwrap();
    store.engine.blocks.insert(&name, b"\0cOntent").unwrap();
    assert!(store.get(block.cid()).is_err(), "BLOCKS-22");
    assert_eq!(store.set_aside(block.cid()).unwrap(), Aside::Kept);
    assert_eq!(store.get(block.cid()).unwrap(), None, "BLOCKS-70");
    store.pending.drain().unwrap();
    let kept = store.engine.aside.get(&name).unwrap();
    assert_eq!(kept.as_deref(), Some(&b"\0cOntent"[..]));
    put(&store, std::slice::from_ref(&block));
    assert_eq!(store.set_aside(block.cid()).unwrap(), Aside::Nothing);
    assert_eq!(store.get(block.cid()).unwrap(), Some(block));
}

/// A generator of numbers (xorshift), seeded.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn block(&mut self) -> Block {
        let number = self.below(60) as u8;
        let length = [10, 300, 3000][usize::from(number % 3)];
        Block::new(Codec::Raw, vec![number; length]).unwrap()
    }

    /// A batch of blocks, references and log entries.
    fn batch(&mut self) -> Batch {
        let mut batch = Batch::new();
        (0..self.below(4)).for_each(|_| batch.put(self.block()));
        let (first, count) = (self.below(20), self.below(4));
        for number in first..first + count {
            let name = format!("r/{}", number % 20);
            let value = (self.below(4) > 0).then(|| vec![self.below(256) as u8; 20]);
            batch.set_ref(name, Expect::Any, value);
        }
        (0..self.below(3)).for_each(|_| batch.append(vec![self.below(256) as u8; 9]));
        if self.below(4) == 0 {
            batch.begin_log_at(self.below(50));
        }
        batch
    }

    fn garbage(&mut self) -> Garbage {
        let blocks = (0..self.below(4)).map(|_| *self.block().cid()).collect();
        let refs = match self.below(2) {
            0 => Vec::new(),
            _ => vec![format!("r/{}", self.below(20)).into()],
        };
        Garbage { blocks, refs }
    }

    /// Does the same to all stores.
    fn step(&mut self, stores: &[&dyn Store]) {
        if self.below(4) > 0 {
            let batch = self.batch();
            for store in stores {
                let _outcome = store.commit(batch.clone()).unwrap();
            }
        } else {
            let garbage = self.garbage();
            for store in stores {
                store.sweep(&mut || Ok(garbage.clone())).unwrap();
            }
        }
    }
}

/// All that a store says it has.
#[derive(Debug, PartialEq)]
struct Content {
    blocks: Vec<(Cid, Block, bool)>,
    refs: Vec<(Bytes, Bytes, Option<Bytes>)>,
    log: Vec<LogEntry>,
    log_range: (u64, u64),
}

/// Read in pages, and again one by one.
fn content(store: &dyn Store) -> Content {
    let (mut blocks, mut refs) = (Vec::new(), Vec::new());
    let mut after = None;
    while let page = store.scan_blocks(after.as_ref(), 3).unwrap()
        && !page.is_empty()
    {
        after = page.last().copied();
        for cid in page {
            let block = store.get(&cid).unwrap().unwrap();
            let has = store.has(&cid).unwrap() && store.size(&cid).unwrap().is_some();
            blocks.push((cid, block, has));
        }
    }
    let mut after: Option<Bytes> = None;
    while let page = store.scan_refs(b"r/", after.as_deref(), 3).unwrap()
        && !page.is_empty()
    {
        after = page.last().map(|(name, _)| name.clone());
        for (name, value) in page {
            let again = store.get_ref(&name).unwrap();
            refs.push((name, value, again));
        }
    }
    let stats = store.stats().unwrap();
    let mut log: Vec<LogEntry> = Vec::new();
    while let next = log.last().map_or(0, |last| last.position + 1)
        && let page = store.read_log(next, 3).unwrap()
        && !page.is_empty()
    {
        log.extend(page);
    }
    Content {
        blocks,
        refs,
        log,
        log_range: (stats.log_begin, stats.log_end),
    }
}

/// Sets one reference.
fn set(store: &dyn Store, name: &[u8], value: Vec<u8>) -> Result<BatchOutcome, StoreError> {
    let mut batch = Batch::new();
    batch.set_ref(name.to_vec(), Expect::Any, Some(value));
    store.commit(batch)
}

/// Ends as a process does that is killed: what it gave to the engine is not synced, and nothing says
/// that the log is not needed.
fn kill(store: FjallStore) {
    store.pending.drain().unwrap();
    std::mem::forget(store);
}

fn copy_files(from: &Path, to: &Path, names: &dyn Fn(&str) -> bool) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let (file, kind) = file
            .map(|file| (file.path(), file.file_type().unwrap()))
            .unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        if names(name) && kind.is_dir() {
            copy_files(&file, &to.join(name), names);
        } else if names(name) {
            fs::copy(&file, to.join(name)).unwrap();
        }
    }
}

/// Copies the packs as a crash leaves them: what was not synced is something else.
fn copy_packs(store: &FjallStore, from: &Path, to: &Path) {
    let synced = store.engine.packs.synced.lock().unwrap();
    fs::create_dir_all(to.join("packs")).unwrap();
    for (number, _) in store.engine.packs.all() {
        let name = format!("packs/{number:08}.pack");
        let mut content = fs::read(from.join(&name)).unwrap();
        let synced = synced.get(&number).map_or(8, |bytes| *bytes as usize);
        content[synced..].fill(0xee);
        fs::write(to.join(&name), content).unwrap();
    }
}

/// BLOCKS-84: whether the engine has a batch yet or not makes no difference to readers.
#[test]
fn what_is_pending_is_read_like_anything_else() {
    for seed in 1..12 {
        let mut rng = Rng(seed);
        let dir = tempfile::tempdir().unwrap();
        let model = MemoryStore::new();
        // So large that the log does not have to wait for what is held.
        let store = sized(dir.path(), 4096).unwrap();
        let first = [rng.block()];
        put(&store, &first);
        put(&model, &first);
        store.pending.drain().unwrap();
        for round in 0..6 {
            store.pending.hold(round % 2 == 0);
            for _ in 0..=rng.below(10) {
                rng.step(&[&model, &store]);
                assert_eq!(content(&store), content(&model), "seed {seed}");
            }
            store.pending.hold(false);
            store.pending.drain().unwrap();
            assert!(store.pending.is_empty());
            assert_eq!(content(&store), content(&model), "seed {seed}");
        }
        drop(store);
        assert_eq!(content(&sized(dir.path(), 4096).unwrap()), content(&model));
    }
}

/// BLOCKS-80, BLOCKS-82: an engine that lost everything since some time gets it from the log, or it is
/// told that this is too long ago. Garbage may be back (BLOCKS-53).
#[test]
fn the_log_has_what_a_crash_took_from_the_engine() {
    let (mut whole, mut refused) = (0, 0);
    for seed in 1..30 {
        let mut rng = Rng(seed);
        // So that no batch is too large for a record, and some runs fill both files.
        let open = |dir: &Path| sized(dir, 44);
        let [dir, lost] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let model = MemoryStore::new();
        let store = open(dir.path()).unwrap();
        for _ in 0..rng.below(12) {
            rng.step(&[&model, &store]);
        }
        drop(store);
        copy_files(dir.path(), lost.path(), &|_| true);
        let store = open(dir.path()).unwrap();
        for _ in 0..rng.below(50) {
            rng.step(&[&model, &store]);
        }
        kill(store);
        copy_files(dir.path(), lost.path(), &|name| name.starts_with("redo."));
        match open(lost.path()) {
            Ok(store) => {
                let (found, expected) = (content(&store), content(&model));
                assert_eq!((&found.refs, &found.log), (&expected.refs, &expected.log));
                let all = |block| found.blocks.contains(block);
                assert!(expected.blocks.iter().all(all), "seed {seed}");
                whole += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
                refused += 1;
            }
        }
    }
    assert!(whole > 4 && refused > 1, "{whole} and {refused}");
}

/// BLOCKS-81, BLOCKS-94: an engine that has only what it synced last gets the rest, however often the
/// files were written over since, and packs were removed.
#[test]
fn a_crash_takes_nothing_from_what_was_synced_and_logged() {
    let (mut synced, mut reclaimed) = (0, 0);
    for seed in 1..16 {
        let mut rng = Rng(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut lost = tempfile::tempdir().unwrap();
        let is_engine = |name: &str| !name.starts_with("redo.") && name != "packs";
        let model = MemoryStore::new();
        let store = sized(dir.path(), 24).unwrap();
        copy_files(dir.path(), lost.path(), &is_engine);
        let mut seen = store.pending.synced();
        let steps = 20 + rng.below(80);
        for step in 0..=steps {
            rng.step(&[&model, &store]);
            let is_reclaimed = rng.below(30) == 0;
            if is_reclaimed {
                store.reclaim().unwrap();
                reclaimed += 1;
            }
            if step == steps {
                store.pending.wait_sync().unwrap();
            }
            if store.pending.synced() != seen || is_reclaimed {
                store.pending.drain().unwrap();
                seen = store.pending.synced();
                synced += 1;
                lost = tempfile::tempdir().unwrap();
                copy_files(dir.path(), lost.path(), &is_engine);
            }
        }
        copy_files(dir.path(), lost.path(), &|name| name.starts_with("redo."));
        copy_packs(&store, dir.path(), lost.path());
        kill(store);
        let (found, expected) = (content(&sized(lost.path(), 24).unwrap()), content(&model));
        assert_eq!((&found.refs, &found.log), (&expected.refs, &expected.log));
        let all = |block| found.blocks.contains(block);
        assert!(expected.blocks.iter().all(all), "seed {seed}");
    }
    assert!(synced > 15 && reclaimed > 8, "{synced} syncs, {reclaimed}");
}

/// BLOCKS-82: a record that was cut off or changed anywhere is none, and what comes before it counts.
#[test]
fn a_record_that_is_not_whole_is_none() {
    let [dir, before] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    drop(open(dir.path()).unwrap());
    copy_files(dir.path(), before.path(), &|_| true);
    let store = open(dir.path()).unwrap();
    for number in 0..3 {
        let name = format!("r/{number}");
        let _outcome = set(&store, name.as_bytes(), vec![number; 9]).unwrap();
    }
    kill(store);
    let log = fs::read(dir.path().join("redo.0")).unwrap();
    let ends: Vec<usize> = (0..3u8)
        .map(|number| {
            let value = [number; 9];
            log.windows(9).position(|window| window == value).unwrap() + 9
        })
        .collect();
    let refs = |log: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        copy_files(before.path(), dir.path(), &|_| true);
        fs::write(dir.path().join("redo.0"), log).unwrap();
        open(dir.path()).map(|store| store.scan_refs(b"", None, 9).unwrap().len())
    };
    assert_eq!(refs(&log).unwrap(), 3);
    for at in (ends[1]..ends[2]).step_by(3) {
        let mut changed = log.clone();
        changed[at] ^= 1;
        assert_eq!(refs(&changed).unwrap(), 2, "byte {at} changed");
        assert_eq!(refs(&log[..at]).unwrap(), 2, "cut off at byte {at}");
    }
    let mut changed = log.clone();
    changed[3] ^= 1;
    let refused = refs(&changed).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Corrupt);
    assert_eq!(refs(&[]).unwrap(), 0, "it was being made");
}

/// A batch that fits no record goes around the log, between those that do (BLOCKS-83).
#[test]
fn large_and_small_batches_keep_their_order() {
    let [dir, lost] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let store = open(dir.path()).unwrap();
    let _outcome = set(&store, b"r", vec![7; 1]).unwrap();
    let _outcome = set(&store, b"r", vec![7; 60_000]).unwrap();
    copy_files(dir.path(), lost.path(), &|_| true);
    let length = |store: &FjallStore| store.get_ref(b"r").unwrap().map(|value| value.len());
    let again = open(lost.path()).unwrap();
    assert_eq!(length(&again), Some(60_000), "the log has an older one");
    drop(again);
    let _outcome = set(&store, b"r", vec![7; 2]).unwrap();
    copy_files(dir.path(), lost.path(), &|name| name.starts_with("redo."));
    assert_eq!(length(&open(lost.path()).unwrap()), Some(2));
}

/// After the engine failed nothing is acknowledged that it would not get in order.
#[test]
fn nothing_is_written_after_the_engine_failed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    put(&store, &[Block::new(Codec::Raw, &b"one"[..]).unwrap()]);
    store.pending.drain().unwrap();
    store.pending.fail("the disk is gone");
    let error = set(&store, b"r", vec![1]).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Io, "{error}");
    assert!(set(&store, b"r", vec![1; 60_000]).is_err());
    assert!(store.sweep(&mut || Ok(Garbage::default())).is_err());
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.get_ref(b"r").unwrap(), None);
    assert_eq!(store.scan_blocks(None, 9).unwrap().len(), 1);
}

/// The newest journal of the engine, and where in it the last of these bytes are.
fn in_journal(dir: &Path, bytes: &[u8]) -> (std::path::PathBuf, usize) {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut journals: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|name| name == "jnl"))
        .collect();
    journals.sort();
    let journal = journals.pop().unwrap();
    let content = fs::read(&journal).unwrap();
    let at = content.windows(bytes.len()).rposition(|part| part == bytes);
    (journal, at.unwrap())
}

/// BLOCKS-86: what of the engine's journal did not reach the disk in a crash is in the log.
#[test]
fn a_journal_with_a_hole_that_was_not_synced_is_cut() {
    for hole in 1..5u8 {
        let [dir, lost] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let store = open(dir.path()).unwrap();
        for number in 1..5u8 {
            let _outcome = set(&store, &[b'r', number], vec![number; 700]).unwrap();
        }
        store.pending.drain().unwrap();
        copy_files(dir.path(), lost.path(), &|_| true);
        drop(store);
        let (journal, at) = in_journal(lost.path(), &[hole; 700]);
        let mut content = fs::read(&journal).unwrap();
        content[at + 100..at + 600].fill(0xee);
        fs::write(&journal, &content).unwrap();
        assert!(open_database(lost.path(), CACHE_BYTES).is_err());
        let store = open(lost.path()).unwrap();
        let found = store.scan_refs(b"r", None, 9).unwrap();
        assert_eq!(found.len(), 4, "hole {hole}");
        assert_eq!(
            fs::read(journal.with_extension("jnl.damaged")).unwrap(),
            content
        );
        drop(store);
        assert_eq!(refs_in(lost.path()), 4);
    }
}

fn refs_in(dir: &Path) -> usize {
    open(dir).unwrap().scan_refs(b"r", None, 9).unwrap().len()
}

/// Changes one of these bytes in the engine's journal; the store does not open then.
fn is_refused_without(dir: &Path, bytes: &[u8]) {
    let (journal, at) = in_journal(dir, bytes);
    let mut content = fs::read(&journal).unwrap();
    content[at + 100] ^= 1;
    fs::write(&journal, &content).unwrap();
    let error = open(dir).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
}

/// BLOCKS-86: damage of what was synced is not taken for that.
#[test]
fn a_journal_with_damage_before_what_was_synced_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for number in 0..4u8 {
        let _outcome = set(&store, &[b'r', number], vec![number; 700]).unwrap();
    }
    drop(store);
    is_refused_without(dir.path(), &[1; 700]);
}

/// Who opens a store that was closed has nothing to apply, however it was used before.
#[test]
fn a_closed_log_gives_nothing() {
    let mut rng = Rng(5);
    let dir = tempfile::tempdir().unwrap();
    let model = MemoryStore::new();
    for round in 0..12 {
        let store = open(dir.path()).unwrap();
        (0..rng.below(12)).for_each(|_| rng.step(&[&model, &store]));
        if round % 3 == 0 {
            store.reclaim().unwrap();
        }
        assert_eq!(content(&store), content(&model), "round {round}");
        drop(store);
        let engine = Engine::open(dir.path(), CACHE_BYTES, PACK_BYTES).unwrap();
        let numbers = (engine.synced().unwrap(), engine.unlogged().unwrap());
        let nothing = &mut |_writes: Vec<Write>| panic!("round {round}: something is applied");
        Redo::open(dir.path(), 16 * 1024, numbers, nothing).unwrap();
    }
}

/// A process that is killed after one that was not loses nothing either.
#[test]
fn a_kill_after_any_number_of_clean_runs() {
    let mut rng = Rng(9);
    let mut dir = tempfile::tempdir().unwrap();
    let model = MemoryStore::new();
    for round in 0..24 {
        let store = open(dir.path()).unwrap();
        assert_eq!(content(&store).refs, content(&model).refs, "round {round}");
        assert_eq!(content(&store).log, content(&model).log, "round {round}");
        (0..rng.below(5)).for_each(|_| rng.step(&[&model, &store]));
        if rng.below(2) == 0 {
            // What it has is copied, as if it had been killed here; then it ends.
            let killed = tempfile::tempdir().unwrap();
            store.pending.drain().unwrap();
            copy_files(dir.path(), killed.path(), &|_| true);
            drop(store);
            dir = killed;
        }
    }
}

/// BLOCKS-85: what became of a batch that could not be logged is not known, and nothing comes after it.
#[test]
fn nothing_is_written_after_the_log_failed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    fs::create_dir(dir.path().join("redo.0")).unwrap();
    let set = |value: usize| set(&store, b"r", vec![7; value]);
    assert!(set(1).is_err());
    fs::remove_dir(dir.path().join("redo.0")).unwrap();
    assert!(set(1).is_err(), "a small one");
    assert!(set(60_000).is_err(), "a large one");
    assert!(store.sweep(&mut || Ok(Garbage::default())).is_err());
    drop(store);
    assert_eq!(refs_in(dir.path()), 0);
}

/// BLOCKS-86: the same with batches that are in the journal alone, and after so many syncs that the
/// engine has flushed its numbers.
#[test]
fn damage_far_before_what_was_synced_is_refused() {
    for value in [60_000, 700] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).unwrap();
        let (mut syncs, mut synced, mut number) = (0, 0, 0_u32);
        while syncs < 40 {
            number += 1;
            let value = number.to_be_bytes().repeat(value / 4);
            let _outcome = set(&store, &number.to_be_bytes(), value).unwrap();
            syncs += u32::from(store.pending.synced() != synced);
            synced = store.pending.synced();
        }
        drop(store);
        is_refused_without(dir.path(), &10_u32.to_be_bytes().repeat(100));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn named(number: u8, value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.set_ref(vec![b'k', number], Expect::Any, Some(value.to_vec()));
    batch
}

/// BLOCKS-87: what is committed to be durable later is seen at once, and durable with what comes after it.
#[test]
fn what_is_put_off_is_durable_with_what_comes_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let (home, crash) = (dir.path().join("home"), dir.path().join("crash"));
    let store = open(&home).unwrap();
    // So that nothing is on the disk but the log.
    store.pending.hold(true);
    for number in 0..3 {
        let done = store.commit_later(named(number, b"old")).unwrap();
        assert!(matches!(done, BatchOutcome::Done { .. }));
    }
    let _done = store.commit_later(named(1, b"new")).unwrap();
    assert_eq!(
        store.get_ref(b"k\x01").unwrap().as_deref(),
        Some(&b"new"[..])
    );
    copy(&home, &crash);
    let lost = open(&crash).unwrap();
    assert_eq!(lost.get_ref(b"k\x00").unwrap(), None);
    drop(lost);
    fs::remove_dir_all(&crash).unwrap();
    let _done = store.commit(named(9, b"now")).unwrap();
    let _done = store.commit_later(named(8, b"later")).unwrap();
    copy(&home, &crash);
    let found = open(&crash).unwrap();
    for (number, value) in [(0, "old"), (1, "new"), (2, "old"), (9, "now")] {
        let found = found.get_ref(&[b'k', number]).unwrap();
        assert_eq!(found.as_deref(), Some(value.as_bytes()));
    }
    assert_eq!(found.get_ref(b"k\x08").unwrap(), None);
    drop(found);
    fs::remove_dir_all(&crash).unwrap();
    store.sync().unwrap();
    copy(&home, &crash);
    let found = open(&crash).unwrap();
    assert_eq!(
        found.get_ref(b"k\x08").unwrap().as_deref(),
        Some(&b"later"[..])
    );
    store.pending.hold(false);
}

/// BLOCKS-87: nothing is removed before what made it garbage is durable, and only so much is put off.
#[test]
fn what_is_put_off_goes_before_a_removal_and_has_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let (home, crash) = (dir.path().join("home"), dir.path().join("crash"));
    let store = open(&home).unwrap();
    store.pending.hold(true);
    let _done = store.commit_later(named(1, b"moved")).unwrap();
    let nothing = &mut || Ok(Garbage::default());
    let _swept = store.sweep(nothing).unwrap();
    copy(&home, &crash);
    let found = open(&crash).unwrap();
    assert_eq!(
        found.get_ref(b"k\x01").unwrap().as_deref(),
        Some(&b"moved"[..])
    );
    drop(found);
    fs::remove_dir_all(&crash).unwrap();
    // More than fits one record of this log.
    for number in 10..40 {
        let _done = store.commit_later(named(number, &[number; 600])).unwrap();
    }
    copy(&home, &crash);
    let found = open(&crash).unwrap();
    let kept = (10..40).filter(|number| found.get_ref(&[b'k', *number]).unwrap().is_some());
    let kept: Vec<u8> = kept.collect();
    assert!(kept.len() > 20 && kept.len() < 30, "{kept:?}");
    assert_eq!(kept, (10..10 + kept.len() as u8).collect::<Vec<_>>());
    store.pending.hold(false);
}
