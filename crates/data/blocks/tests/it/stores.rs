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
