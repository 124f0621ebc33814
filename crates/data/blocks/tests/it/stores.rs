//! The store contract, for every backend.

use std::sync::Arc;

use allod_blocks::{
    Batch, BatchOutcome, Block, Codec, Expect, Fault, FaultyStore, MemoryStore, Store,
    StoreErrorKind, contract,
};

#[test]
fn memory_keeps_the_contract() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    contract::check(|| Ok(Arc::clone(&store)));
}

#[test]
fn a_faulty_store_without_a_fault_keeps_the_contract() {
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    contract::check(|| Ok(Arc::clone(&store)));
}

#[cfg(feature = "fjall")]
#[test]
fn fjall_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract::check(|| Ok(Arc::new(allod_blocks::FjallStore::open(dir.path())?)));
}

#[cfg(feature = "sled")]
#[test]
fn sled_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract::check(|| Ok(Arc::new(allod_blocks::SledStore::open(dir.path())?)));
}

/// A store that keeps blocks of a batch and loses the rest is caught by the contract.
#[test]
#[should_panic(expected = "BLOCKS-20")]
fn the_contract_catches_a_torn_commit() {
    let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
    faulty.inject(Fault::Tear(0));
    let store: Arc<dyn Store> = Arc::new(faulty);
    contract::check(|| Ok(Arc::clone(&store)));
}

fn batch() -> (Block, Batch) {
    let block = Block::new(Codec::Raw, &b"content"[..]).unwrap();
    let mut batch = Batch::new();
    batch.put(block.clone());
    batch.set_ref(&b"ref"[..], Expect::Absent, Some(&b"value"[..]));
    (block, batch)
}

#[test]
fn each_fault_does_what_it_says() {
    let make = || FaultyStore::new(Arc::new(MemoryStore::new()));

    let store = make();
    store.inject(Fault::FailCall(1));
    let (block, changes) = batch();
    assert!(store.has(block.cid()).is_ok());
    assert_eq!(
        store.has(block.cid()).unwrap_err().kind(),
        StoreErrorKind::Io
    );
    assert!(store.struck());
    assert!(matches!(
        store.commit(changes),
        Ok(BatchOutcome::Done { .. })
    ));

    let store = make();
    store.inject(Fault::CrashBefore(0));
    let (block, changes) = batch();
    assert!(store.commit(changes).is_err());
    assert!(store.has(block.cid()).is_err(), "down until the restart");
    store.restart();
    assert!(!store.has(block.cid()).unwrap());

    let store = make();
    store.inject(Fault::CrashAfter(0));
    let (block, changes) = batch();
    assert!(store.commit(changes).is_err());
    store.restart();
    assert!(store.has(block.cid()).unwrap());
    assert!(store.get_ref(b"ref").unwrap().is_some());

    let store = make();
    let (block, changes) = batch();
    assert!(matches!(
        store.commit(changes),
        Ok(BatchOutcome::Done { .. })
    ));
    store.inject(Fault::FlipBit(0));
    assert_eq!(
        store.get(block.cid()).unwrap_err().kind(),
        StoreErrorKind::Corrupt
    );
    assert_eq!(store.get(block.cid()).unwrap(), Some(block));
}

#[cfg(all(feature = "fjall", feature = "sled"))]
mod compressed {
    use std::path::Path;

    use allod_blocks::{Compression, FjallStore, Packing, SledStore, StoreError};

    use super::*;

    const ALL: [Compression; 3] = [Compression::Zstd(3), Compression::Snappy, Compression::None];

    type Open = fn(&Path, Packing) -> Result<Arc<dyn Store>, StoreError>;

    fn engines() -> [Open; 2] {
        [
            |path, packing| Ok(Arc::new(FjallStore::open_packed(path, packing)?)),
            |path, packing| Ok(Arc::new(SledStore::open_packed(path, packing)?)),
        ]
    }

    #[test]
    fn a_compressed_store_keeps_the_contract() {
        for open in engines() {
            for compression in ALL {
                let dir = tempfile::tempdir().unwrap();
                contract::check(|| open(dir.path(), Packing::new(compression)));
            }
        }
    }

    #[test]
    fn a_store_reads_what_it_wrote_under_other_settings() {
        for open in engines() {
            let dir = tempfile::tempdir().unwrap();
            let mut blocks = Vec::new();
            for (round, compression) in (0u8..).zip(ALL.into_iter().cycle().take(6)) {
                let packing = Packing::new(compression);
                let store = open(dir.path(), packing.clone()).unwrap();
                for now in [compression, ALL[usize::from(round) % 2]] {
                    packing.set(now);
                    let text = format!("{round} under {now} ").repeat(200);
                    let block = Block::new(Codec::Raw, text.into_bytes()).unwrap();
                    let mut batch = Batch::new();
                    batch.put(block.clone());
                    assert!(matches!(store.commit(batch), Ok(BatchOutcome::Done { .. })));
                    let length = block.bytes().len() as u64;
                    let stored = store.size(block.cid()).unwrap().unwrap();
                    if now == Compression::None {
                        assert_eq!(stored, length + 1);
                    } else {
                        assert!(stored < length / 4, "{stored} of {length}");
                    }
                    blocks.push(block);
                }
                for block in &blocks {
                    assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
                }
            }
        }
    }
}

/// A changed block is kept aside, and nothing is left to keep of one whose file is cut short.
#[cfg(feature = "fjall")]
#[test]
fn what_a_pack_has_lost_is_taken_out_and_may_be_put_again() {
    use allod_blocks::{Aside, FjallStore, StoreErrorKind};

    let dir = tempfile::tempdir().unwrap();
    let blocks: Vec<Block> = (0..20u8)
        .map(|n| Block::new(Codec::Raw, vec![n.wrapping_mul(13); 4000]).unwrap())
        .collect();
    {
        let store = FjallStore::open(dir.path()).unwrap();
        for block in &blocks {
            let mut batch = Batch::new();
            batch.put(block.clone());
            let _outcome = store.commit(batch).unwrap();
        }
    }
    let is_pack = |file: &std::path::PathBuf| file.iter().any(|part| part == "packs");
    let pack = files(dir.path()).into_iter().find(is_pack).unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    let window = &blocks[7].bytes()[..100];
    let at = bytes.windows(100).position(|part| part == window).unwrap();
    bytes[at + 50] ^= 1;
    std::fs::write(&pack, &bytes[..bytes.len() - 100]).unwrap();
    let store = FjallStore::open(dir.path()).unwrap();
    assert_eq!(store.scan_blocks(None, 100).unwrap().len(), 20);
    for (lost, expected) in [(7, Aside::Kept), (19, Aside::Unreadable)] {
        let lost: &Block = &blocks[lost];
        let error = store.get(lost.cid()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        assert_eq!(store.set_aside(lost.cid()).unwrap(), expected);
        assert_eq!(store.get(lost.cid()).unwrap(), None, "BLOCKS-70");
    }
    assert_eq!(store.scan_blocks(None, 100).unwrap().len(), 18);
    let mut batch = Batch::new();
    batch.put(blocks[7].clone());
    batch.put(blocks[19].clone());
    let _outcome = store.commit(batch).unwrap();
    store.reclaim().unwrap();
    drop(store);
    let store = FjallStore::open(dir.path()).unwrap();
    for block in &blocks {
        assert_eq!(store.get(block.cid()).unwrap().as_ref(), Some(block));
    }
}

#[cfg(feature = "fjall")]
fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all
}
