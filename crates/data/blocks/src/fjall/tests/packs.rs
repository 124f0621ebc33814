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

/// The cases of `specs/vectors/blocks/pack.json`.
#[test]
fn vectors() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../specs/vectors/blocks/pack.json"
    );
    let document: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(cases.len() > 6);
    let text =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    for case in cases {
        let dir = tempfile::tempdir().unwrap();
        let number = case["input"]["number"].as_u64().unwrap() as u32;
        let path = dir.path().join(format!("{number:08}.pack"));
        fs::write(path, hex(&case["input"]["pack"])).unwrap();
        let packs = Packs::open(dir.path(), PACK_BYTES).unwrap();
        let mut records = packs.records(number).unwrap();
        let mut found = Vec::new();
        while let Some((name, place, stored)) = records.next().unwrap() {
            assert_eq!(Place::decode(&place.encode()), Some(place));
            assert_eq!(packs.read(place).unwrap().as_ref(), Some(&stored));
            let place = place.encode();
            found.push(serde_json::json!({
                "name": text(&name), "place": text(&place), "stored": text(&stored),
            }));
        }
        assert_eq!(case["expect"]["ok"]["records"], serde_json::json!(found));
    }
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

/// Readers, writers and sweeps beside one that gives room back over and over.
#[test]
fn packs_are_emptied_beside_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let kept: Vec<Block> = (0..60).map(|number| numbered(number, 400)).collect();
    put(&store, &kept);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for block in &kept {
                    assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
                }
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                store.reclaim().unwrap();
            }
        });
        let mut rng = Rng(3);
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
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.scan_blocks(None, 999).unwrap().len(), kept.len());
    drop(store);
    let store = open(dir.path()).unwrap();
    for block in &kept {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
}
