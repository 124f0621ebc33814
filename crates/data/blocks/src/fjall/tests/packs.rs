//! Packs: what is in them, and how they are emptied beside everything else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

/// Content of a length, different for each number.
fn numbered(number: u32, length: usize) -> Block {
    let mut content = number.to_le_bytes().to_vec();
    content.resize(length, number as u8);
    Block::new(Codec::Raw, content).unwrap()
}

fn removed(store: &dyn Store, blocks: &[Block]) {
    let blocks = blocks.iter().map(|block| *block.cid()).collect();
    let refs = Vec::new();
    let mut garbage = Some(Garbage { blocks, refs });
    let swept = store.sweep(&mut || Ok(garbage.take().unwrap())).unwrap();
    assert_eq!(swept.in_use, 0);
}

/// The packs in the directory of a store, in order.
fn packs(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(dir.join("packs")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// BLOCKS-95: what was removed leaves the disk, and what lives is as it was.
#[test]
fn a_store_is_about_as_large_as_what_lives_in_it() {
    for seed in 1..6 {
        let mut rng = Rng(seed);
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).unwrap();
        let mut live = Vec::new();
        for round in 0..6 {
            for number in 0..40 {
                let length = 10 + rng.below(3000) as usize;
                live.push(numbered(round * 1000 + number, length));
            }
            for blocks in live[live.len() - 40..].chunks(1 + rng.below(20) as usize) {
                put(&store, blocks);
            }
            let dead = live.split_off(rng.below(live.len() as u64) as usize);
            removed(&store, &dead);
            store.reclaim().unwrap();
            let bytes: usize = live.iter().map(|block| block.bytes().len() + 42).sum();
            // A pack that is not full yet, and headers.
            let most = bytes as u64 * 8 / 7 + 2 * PACK_BYTES;
            assert!(store.engine.packs.bytes() <= most, "seed {seed}");
            for block in &live {
                assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
            }
            assert_eq!(store.scan_blocks(None, 999).unwrap().len(), live.len());
        }
        let before = store.engine.packs.bytes();
        let on_disk = packs(dir.path());
        let on_disk = on_disk.iter().map(|path| fs::metadata(path).unwrap().len());
        assert_eq!(on_disk.sum::<u64>(), before);
    }
}

/// BLOCKS-93: a record that hides those after it costs nothing.
#[test]
fn blocks_behind_a_damaged_record_are_moved_all_the_same() {
    for at in (8..60).step_by(3) {
        let dir = tempfile::tempdir().unwrap();
        let blocks: Vec<Block> = (0..30).map(|number| numbered(number, 300)).collect();
        let store = open(dir.path()).unwrap();
        put(&store, &blocks);
        drop(store);
        let pack = packs(dir.path()).remove(0);
        let mut content = fs::read(&pack).unwrap();
        content[at] ^= 0x41;
        fs::write(&pack, content).unwrap();
        let store = open(dir.path()).unwrap();
        removed(&store, &blocks[10..]);
        store.reclaim().unwrap();
        assert!(!pack.exists());
        for block in &blocks[1..10] {
            assert_eq!(
                store.get(block.cid()).unwrap().as_ref(),
                Some(block),
                "byte {at}"
            );
        }
        let is_content = at >= 8 + 5 + 36;
        assert_eq!(store.get(blocks[0].cid()).is_err(), is_content, "byte {at}");
        assert!(store.has(blocks[0].cid()).unwrap());
    }
}

/// BLOCKS-93: nothing of a pack is given up that might be read one day.
#[test]
fn a_pack_that_cannot_be_read_stays() {
    let dir = tempfile::tempdir().unwrap();
    let blocks: Vec<Block> = (0..30).map(|number| numbered(number, 300)).collect();
    let store = open(dir.path()).unwrap();
    put(&store, &blocks);
    drop(store);
    let pack = packs(dir.path()).remove(0);
    let length = fs::metadata(&pack).unwrap().len();
    fs::File::options()
        .write(true)
        .open(&pack)
        .unwrap()
        .set_len(length - 10)
        .unwrap();
    let store = open(dir.path()).unwrap();
    removed(&store, &blocks[..20]);
    store.reclaim().unwrap();
    assert!(pack.exists());
    for block in &blocks[20..29] {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
    let error = store.get(blocks[29].cid()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert_eq!(
        store.set_aside(blocks[29].cid()).unwrap(),
        Aside::Unreadable
    );
    store.reclaim().unwrap();
    assert!(!pack.exists(), "nothing is in it any more");
    fs::remove_file(packs(dir.path()).remove(0)).unwrap();
    drop(store);
    let error = open(dir.path()).unwrap().get(blocks[20].cid()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "BLOCKS-92: {error}");
}

/// Says that something is over however it ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Readers, writers and sweeps beside one that gives room back over and over, with packs of which some
/// are full, and none.
#[test]
fn packs_are_emptied_beside_everything_else() {
    for pack_bytes in [PACK_BYTES, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let sizes = (16 * 1024, pack_bytes);
            FjallStore::open_all(dir.path(), CACHE_BYTES, Packing::default(), sizes).unwrap()
        };
        let store = open();
        let mut kept: Vec<Block> = (0..60).map(|number| numbered(number, 400)).collect();
        put(&store, &kept);
        let is_over = AtomicBool::new(false);
        let until_over = |work: &dyn Fn()| {
            while !is_over.load(Ordering::Relaxed) {
                work();
            }
        };
        let first = kept.clone();
        let more = thread::scope(|scope| {
            let _over = Over(&is_over);
            scope.spawn(|| {
                until_over(&|| {
                    for block in &first {
                        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
                    }
                });
            });
            scope.spawn(|| until_over(&|| store.reclaim().unwrap()));
            let mut rng = Rng(3);
            let mut more = Vec::new();
            for round in 0..120 {
                let passing: Vec<Block> = (0..=rng.below(40))
                    .map(|number| numbered(1000 + number as u32 % 50, 200 + round))
                    .collect();
                put(&store, &passing);
                for block in &passing {
                    assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
                }
                removed(&store, &passing);
                for block in &passing {
                    assert_eq!(store.get(block.cid()).unwrap(), None, "round {round}");
                }
                more.push(numbered(5000, 200 + round));
                put(&store, &more[round..]);
            }
            more
        });
        kept.extend(more);
        let is_whole = |store: &FjallStore| {
            assert_eq!(store.scan_blocks(None, 999).unwrap().len(), kept.len());
            for block in &kept {
                assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
            }
        };
        is_whole(&store);
        drop(store);
        is_whole(&open());
    }
}

/// BLOCKS-91, BLOCKS-94: a crash in the middle, before and after the engine has made it durable, and
/// with packs gone.
#[test]
fn a_crash_while_packs_are_emptied_takes_nothing() {
    for at in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let blocks: Vec<Block> = (0..90).map(|number| numbered(number, 500)).collect();
        let store = open(dir.path()).unwrap();
        // Some in the log, some past it.
        put(&store, &blocks[..40]);
        blocks[40..].chunks(3).for_each(|few| put(&store, few));
        removed(&store, &blocks[..30]);
        let lost = tempfile::tempdir().unwrap();
        let engine = |dir: &Path| {
            store.pending.drain().unwrap();
            fs::remove_dir_all(dir).unwrap();
            copy_files(store_dir(&store), dir, &|name| {
                !name.starts_with("redo.") && name != "packs"
            });
        };
        drop(store.settle().unwrap());
        engine(lost.path());
        let all: Vec<u32> = store
            .engine
            .packs
            .all()
            .iter()
            .map(|(pack, _)| *pack)
            .collect();
        store.engine.packs.seal();
        if at > 0 {
            assert!(store.copy_all(&all).unwrap().is_empty());
        }
        if at > 1 {
            drop(store.settle().unwrap());
            engine(lost.path());
        }
        if at > 2 {
            for pack in all {
                store.engine.packs.remove(pack).unwrap();
            }
        }
        copy_files(dir.path(), lost.path(), &|name| name.starts_with("redo."));
        copy_packs(&store, dir.path(), lost.path());
        kill(store);
        let store = open(lost.path()).unwrap();
        for block in &blocks[30..] {
            assert_eq!(
                store.get(block.cid()).unwrap().as_ref(),
                Some(block),
                "at {at}"
            );
        }
        assert_eq!(store.scan_blocks(None, 999).unwrap().len(), 60);
    }
}

fn store_dir(store: &FjallStore) -> &Path {
    let keyspace: &Path = store.engine.blocks.path();
    keyspace.ancestors().nth(2).unwrap()
}

/// A store that does not open takes no room for having been tried.
#[test]
fn what_was_written_to_open_a_store_is_taken_back() {
    let [dir, lost] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    drop(open(dir.path()).unwrap());
    copy_files(dir.path(), lost.path(), &|_| true);
    let store = open(dir.path()).unwrap();
    for number in 0..20 {
        put(&store, &[numbered(number, 400)]);
    }
    kill(store);
    copy_files(dir.path(), lost.path(), &|name| name.starts_with("redo."));
    // A batch in the middle is damaged, so that those before it are given to the engine.
    let log = lost.path().join("redo.0");
    let mut content = fs::read(&log).unwrap();
    let at = content.windows(300).position(|part| part == [12; 300]);
    content[at.unwrap()] ^= 1;
    fs::write(log, content).unwrap();
    let room = || {
        let sizes = packs(lost.path())
            .into_iter()
            .map(|pack| fs::metadata(pack).unwrap().len());
        sizes.sum::<u64>()
    };
    let before = room();
    for _ in 0..3 {
        let error = open(lost.path()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert_eq!(room(), before);
    }
}

/// A store that was closed, with one block.
fn with_one(dir: &Path) -> Block {
    let block = numbered(1, 300);
    put(&open(dir).unwrap(), std::slice::from_ref(&block));
    block
}

/// A store without its packs is not one that never had any.
#[test]
fn a_store_that_has_lost_its_packs_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let block = with_one(dir.path());
    let [packs, elsewhere] = ["packs", "elsewhere"].map(|name| dir.path().join(name));
    fs::rename(&packs, &elsewhere).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    fs::rename(&elsewhere, &packs).unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!(store.get(block.cid()).unwrap(), Some(block));
}

/// What may be read again later is not given up (BLOCKS-72).
#[test]
fn a_block_that_cannot_be_read_just_now_is_not_taken_out() {
    let dir = tempfile::tempdir().unwrap();
    let block = with_one(dir.path());
    let pack = packs(dir.path()).remove(0);
    let store = open(dir.path()).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&pack, &elsewhere).unwrap();
    // Opening it fails, as it does with too many open files.
    std::os::unix::fs::symlink(&pack, &pack).unwrap();
    let error = store.set_aside(block.cid()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Io, "{error}");
    fs::rename(&elsewhere, &pack).unwrap();
    assert_eq!(store.get(block.cid()).unwrap(), Some(block));
}
