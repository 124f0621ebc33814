//! The contract test that every backend passes (BLOCKS-20 to BLOCKS-27, BLOCKS-50 to BLOCKS-53,
//! BLOCKS-71).
//!
//! A backend's own tests call [`check`] with a way to open one and the same store again and
//! again; a store without a disk hands out the same instance.

use std::sync::Arc;

use bytes::Bytes;

use crate::block::{Block, Codec};
use crate::store::{
    Aside, Batch, BatchOutcome, Expect, Garbage, LOG_REMOVED_MAX, REF_NAME_BYTES_MAX,
    REF_VALUE_BYTES_MAX, Store, StoreError, StoreErrorKind, Swept,
};
use crate::uses::Changed;

/// Runs the whole contract against the store that `open` opens, which must be empty at first.
///
/// # Panics
/// When the contract is broken; the message names the rule.
pub fn check(open: impl Fn() -> Result<Arc<dyn Store>, StoreError>) {
    blocks(&*reopened(&open));
    begins(&open);
    references(&*reopened(&open));
    expectations(&*reopened(&open));
    log(&*reopened(&open));
    limits(&*reopened(&open));
    survives(&open);
    concurrent(&reopened(&open));
    sweeps(&open);
    sweeps_beside_readers(&reopened(&open));
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn reopened(open: &impl Fn() -> Result<Arc<dyn Store>, StoreError>) -> Arc<dyn Store> {
    open().expect("the store opens")
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn block(text: &str) -> Block {
    Block::new(Codec::Raw, text.as_bytes().to_vec()).expect("a small block")
}

#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a contract test fails by panicking"
)]
fn done(store: &dyn Store, batch: Batch) -> u64 {
    match store
        .commit(batch)
        .expect("BLOCKS-20: a valid batch commits")
    {
        BatchOutcome::Done { log_end } => log_end,
        BatchOutcome::Moved { name, .. } => panic!("BLOCKS-24: {name:?} was as expected"),
    }
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn blocks(store: &dyn Store) {
    let blocks: Vec<Block> = (0..50).map(|n| block(&format!("block {n}"))).collect();
    assert_eq!(
        store.get(blocks[0].cid()).expect("reads"),
        None,
        "BLOCKS-23"
    );
    assert!(!store.has(blocks[0].cid()).expect("reads"), "BLOCKS-23");
    let mut batch = Batch::new();
    for block in &blocks {
        batch.put(block.clone());
    }
    done(store, batch.clone());
    done(store, batch);
    for block in &blocks {
        assert_eq!(
            store.get(block.cid()).expect("reads").as_ref(),
            Some(block),
            "BLOCKS-21"
        );
        assert!(store.has(block.cid()).expect("reads"), "BLOCKS-21");
    }
    let mut names: Vec<_> = blocks.iter().map(|block| *block.cid()).collect();
    names.sort_by_key(cid::Cid::to_bytes);
    let mut seen = Vec::new();
    loop {
        let page = store.scan_blocks(seen.last(), 7).expect("scans");
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, names, "scan_blocks pages through every name in order");
    let large = Block::new(Codec::Raw, vec![7; 1_500_000]).expect("within the limit");
    let mut batch = Batch::new();
    batch.put(large.clone());
    done(store, batch);
    assert_eq!(store.get(large.cid()).expect("reads"), Some(large));
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn references(store: &dyn Store) {
    let mut batch = Batch::new();
    for name in [
        &b"b/1"[..],
        b"b/2",
        b"b/3",
        b"b",
        b"c",
        b"b/\xff",
        b"b/\xff\xff",
    ] {
        batch.set_ref(name.to_vec(), Expect::Any, Some(name.to_vec()));
    }
    done(store, batch);
    assert_eq!(
        store.get_ref(b"b/2").expect("reads").as_deref(),
        Some(&b"b/2"[..])
    );
    assert_eq!(store.get_ref(b"b/4").expect("reads"), None, "BLOCKS-23");
    let names = |after: Option<&[u8]>, limit| -> Vec<Bytes> {
        let found = store.scan_refs(b"b/", after, limit).expect("scans");
        found.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(
        names(None, 99),
        [&b"b/1"[..], b"b/2", b"b/3", b"b/\xff", b"b/\xff\xff"]
    );
    assert_eq!(names(Some(b"b/2"), 2), [&b"b/3"[..], b"b/\xff"]);
    assert_eq!(names(Some(b"a"), 1), [&b"b/1"[..]]);
    assert!(names(Some(b"c"), 9).is_empty());
    let mut batch = Batch::new();
    batch.set_ref(&b"b/2"[..], Expect::Any, None::<Bytes>);
    batch.set_ref(&b"b/1"[..], Expect::Any, Some(Bytes::new()));
    done(store, batch);
    assert_eq!(store.get_ref(b"b/2").expect("reads"), None);
    assert_eq!(
        store.get_ref(b"b/1").expect("reads"),
        Some(Bytes::new()),
        "empty is not absent"
    );
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn expectations(store: &dyn Store) {
    let mut batch = Batch::new();
    batch.set_ref(&b"x/1"[..], Expect::Absent, Some(&b"one"[..]));
    done(store, batch);
    let witness = block("only with the batch");
    let end = store.stats().expect("stats").log_end;
    for (expect, current) in [
        (Expect::Absent, Some(&b"one"[..])),
        (Expect::Value(Bytes::from_static(b"two")), Some(&b"one"[..])),
    ] {
        let mut batch = Batch::new();
        batch.put(witness.clone());
        batch.append(&b"entry"[..]);
        batch.set_ref(&b"x/2"[..], Expect::Absent, Some(&b"new"[..]));
        batch.set_ref(&b"x/1"[..], expect, Some(&b"changed"[..]));
        assert_eq!(
            store.commit(batch).expect("no fault"),
            BatchOutcome::Moved {
                name: Bytes::from_static(b"x/1"),
                current: current.map(Bytes::from_static)
            },
            "BLOCKS-24"
        );
    }
    assert!(
        !store.has(witness.cid()).expect("reads"),
        "BLOCKS-24: no block stays behind"
    );
    assert_eq!(
        store.get_ref(b"x/2").expect("reads"),
        None,
        "BLOCKS-24: no reference either"
    );
    assert_eq!(
        store.stats().expect("stats").log_end,
        end,
        "BLOCKS-24: nor a log entry"
    );
    let mut batch = Batch::new();
    batch.set_ref(
        &b"x/1"[..],
        Expect::Value(Bytes::from_static(b"one")),
        None::<Bytes>,
    );
    done(store, batch);
    assert_eq!(store.get_ref(b"x/1").expect("reads"), None);
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn log(store: &dyn Store) {
    let start = store.stats().expect("stats").log_end;
    let mut batch = Batch::new();
    batch.append(&b"first"[..]);
    batch.append(&b"second"[..]);
    assert_eq!(done(store, batch), start + 2, "BLOCKS-25");
    let mut batch = Batch::new();
    batch.append(&b"third"[..]);
    assert_eq!(done(store, batch), start + 3, "BLOCKS-25");
    let read = store.read_log(start + 1, 9).expect("reads");
    let read: Vec<_> = read
        .iter()
        .map(|entry| (entry.position - start, &entry.bytes[..]))
        .collect();
    assert_eq!(read, [(1, &b"second"[..]), (2, b"third")], "BLOCKS-25");
    assert_eq!(store.read_log(start, 1).expect("reads").len(), 1);
    assert!(store.read_log(start + 3, 9).expect("reads").is_empty());
    assert!(store.read_log(u64::MAX, 9).expect("reads").is_empty());
}

/// Where the log begins, of a store without entries yet. Leaves a log that begins behind its first ones.
#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn begins(open: &impl Fn() -> Result<Arc<dyn Store>, StoreError>) {
    let range = |store: &dyn Store| {
        let stats = store.stats().expect("stats");
        (stats.log_begin, stats.log_end)
    };
    let begin = |store: &dyn Store, at: u64, count: usize| {
        let mut batch = Batch::new();
        batch.begin_log_at(at);
        (0..count).for_each(|number| batch.append(number.to_string()));
        done(store, batch);
        range(store)
    };
    let store = reopened(open);
    assert_eq!(begin(&*store, 7, 0), (0, 0), "BLOCKS-27: there is no entry");
    assert_eq!(begin(&*store, 7, 2), (7, 9), "BLOCKS-27: the first has it");
    assert_eq!(
        begin(&*store, 3, 1),
        (7, 10),
        "BLOCKS-27: nothing comes back"
    );
    assert_eq!(begin(&*store, 8, 1), (8, 11), "BLOCKS-27: the oldest go");
    let first = store.read_log(0, 1).expect("reads");
    assert_eq!(first[0].position, 8, "BLOCKS-27");
    drop((store, first));
    let store = reopened(open);
    assert_eq!(range(&*store), (8, 11), "BLOCKS-27: also after a restart");
    assert_eq!(
        begin(&*store, u64::MAX, 0),
        (10, 11),
        "BLOCKS-27: the last stays"
    );
    assert_eq!(begin(&*store, u64::MAX, 3), (10, 14), "BLOCKS-27");
    let mut batch = Batch::new();
    batch.begin_log_at(12);
    batch.set_ref(&b"b/1"[..], Expect::Value(Bytes::new()), Some(&b"new"[..]));
    let moved = store.commit(batch).expect("no fault");
    assert!(matches!(moved, BatchOutcome::Moved { .. }), "BLOCKS-24");
    assert_eq!(range(&*store), (10, 14), "BLOCKS-24: nothing goes either");
    let mut batch = Batch::new();
    (0..=LOG_REMOVED_MAX).for_each(|_| batch.append(Bytes::new()));
    done(&*store, batch);
    let (begin, _) = begin(&*store, u64::MAX, 0);
    assert_eq!(begin, 10 + LOG_REMOVED_MAX, "BLOCKS-27: not all at once");
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn limits(store: &dyn Store) {
    let refused = |batch: Batch, what: &str| {
        let error = store.commit(batch).expect_err(what);
        assert_eq!(error.kind(), StoreErrorKind::Misuse, "{what}");
    };
    let mut batch = Batch::new();
    batch.set_ref(Vec::new(), Expect::Any, Some(Vec::new()));
    refused(batch, "no name");
    let mut batch = Batch::new();
    batch.set_ref(
        vec![0; REF_NAME_BYTES_MAX + 1],
        Expect::Any,
        Some(Bytes::new()),
    );
    refused(batch, "BLOCKS-12: a name over the limit");
    let mut batch = Batch::new();
    batch.set_ref(
        &b"long"[..],
        Expect::Any,
        Some(vec![0; REF_VALUE_BYTES_MAX + 1]),
    );
    refused(batch, "BLOCKS-12: a value over the limit");
    let mut batch = Batch::new();
    batch.set_ref(&b"twice"[..], Expect::Any, Some(&b"1"[..]));
    batch.set_ref(&b"twice"[..], Expect::Any, Some(&b"2"[..]));
    refused(batch, "BLOCKS-26: a reference named twice");
    assert_eq!(store.get_ref(b"twice").expect("reads"), None);
    let mut batch = Batch::new();
    batch.set_ref(
        vec![1; REF_NAME_BYTES_MAX],
        Expect::Any,
        Some(vec![0; REF_VALUE_BYTES_MAX]),
    );
    done(store, batch);
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn survives(open: &impl Fn() -> Result<Arc<dyn Store>, StoreError>) {
    let kept = block("kept over a restart");
    let store = reopened(open);
    let mut batch = Batch::new();
    batch.put(kept.clone());
    batch.set_ref(&b"kept"[..], Expect::Any, Some(&b"yes"[..]));
    batch.append(&b"kept"[..]);
    let end = done(&*store, batch);
    drop(store);
    let store = reopened(open);
    assert_eq!(
        store.get(kept.cid()).expect("reads"),
        Some(kept),
        "BLOCKS-20"
    );
    assert_eq!(
        store.get_ref(b"kept").expect("reads").as_deref(),
        Some(&b"yes"[..]),
        "BLOCKS-20"
    );
    assert_eq!(store.stats().expect("stats").log_end, end, "BLOCKS-20");
    assert_eq!(
        &store.read_log(end - 1, 1).expect("reads")[0].bytes[..],
        b"kept",
        "BLOCKS-20"
    );
}

/// Eight threads count one reference up with compare-and-swap: no increment may be lost.
#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn concurrent(store: &Arc<dyn Store>) {
    let increments = |thread: u8| {
        for _ in 0..10 {
            loop {
                let current = store.get_ref(b"count").expect("reads");
                let number = current.as_ref().map_or(0, |value| value[0]);
                let mut batch = Batch::new();
                batch.append(vec![thread]);
                batch.set_ref(&b"count"[..], Expect::read(current), Some(vec![number + 1]));
                match store.commit(batch).expect("commits") {
                    BatchOutcome::Done { .. } => break,
                    BatchOutcome::Moved { .. } => {}
                }
            }
        }
    };
    let start = store.stats().expect("stats").log_end;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || increments(thread));
        }
    });
    assert_eq!(
        store.get_ref(b"count").expect("reads").as_deref(),
        Some(&[80][..]),
        "BLOCKS-24"
    );
    assert_eq!(
        store.stats().expect("stats").log_end,
        start + 80,
        "BLOCKS-25"
    );
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn sweep(store: &dyn Store, blocks: &[&Block], refs: &[&'static [u8]]) -> Swept {
    let garbage = Garbage {
        blocks: blocks.iter().map(|block| *block.cid()).collect(),
        refs: refs.iter().map(|name| Bytes::from_static(name)).collect(),
    };
    let swept = store.sweep(&mut || Ok(garbage.clone()));
    swept.expect("BLOCKS-53: a sweep succeeds")
}

#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn sweeps(open: &impl Fn() -> Result<Arc<dyn Store>, StoreError>) {
    let store = reopened(open);
    let names = ["dead", "dead and large", "read", "put", "alive"];
    let blocks = names.map(|name| block(&name.repeat(1000)));
    let [dead, large, read, put, alive] = &blocks;
    let mut batch = Batch::new();
    for block in &blocks {
        batch.put(block.clone());
    }
    for name in [&b"gone"[..], b"stays"] {
        batch.set_ref(name, Expect::Any, Some(&b"value"[..]));
    }
    done(&*store, batch);
    assert!(store.size(dead.cid()).expect("reads").is_some());

    let failed = store.sweep(&mut || Err(StoreError::new(StoreErrorKind::Io, "no")));
    assert!(failed.is_err(), "BLOCKS-53: what decides may fail");

    let hold = store.uses().hold();
    assert!(store.has(read.cid()).expect("reads"));
    let collecting = store.uses().collect().expect("no other collection");
    assert!(store.uses().collect().is_none(), "BLOCKS-50: one at a time");
    let mut batch = Batch::new();
    batch.put(put.clone());
    batch.set_ref(&b"moved"[..], Expect::Any, Some(&b"value"[..]));
    done(&*store, batch);
    let moved = Changed::Names(vec![Bytes::from_static(b"moved")]);
    assert_eq!(collecting.changed(), moved, "BLOCKS-52");

    let swept = sweep(&*store, &[dead, large, read, put], &[b"gone"]);
    assert_eq!(swept.blocks, [*dead.cid(), *large.cid()], "BLOCKS-51");
    assert_eq!(swept.in_use, 2, "BLOCKS-51");
    let is_there = |store: &dyn Store, block: &Block| store.has(block.cid()).expect("reads");
    for (block, stays) in [(dead, false), (large, false), (read, true), (put, true)] {
        assert_eq!(is_there(&*store, block), stays, "BLOCKS-51");
        let got = store.get(block.cid()).expect("reads");
        assert_eq!(got.is_some(), stays, "BLOCKS-53");
    }
    assert_eq!(store.get_ref(b"gone").expect("reads"), None, "BLOCKS-53");
    assert!(store.get_ref(b"stays").expect("reads").is_some());
    drop((hold, collecting));
    let swept = sweep(&*store, &[read, put], &[]);
    assert_eq!(swept.blocks.len(), 2, "BLOCKS-51: nobody holds them now");
    store.reclaim().expect("BLOCKS-54");

    for left_alone in [put, alive] {
        let became = store.set_aside(left_alone.cid()).expect("BLOCKS-71");
        assert_eq!(became, Aside::Nothing, "BLOCKS-71: nothing is damaged");
    }
    assert!(is_there(&*store, alive), "BLOCKS-71");

    // What went may be put again, and what stayed is whole, now and after a restart.
    let mut batch = Batch::new();
    batch.put(dead.clone());
    batch.put(alive.clone());
    done(&*store, batch);
    drop(store);
    let store = reopened(open);
    for block in [dead, alive] {
        let got = store.get(block.cid()).expect("reads");
        assert_eq!(got.as_ref(), Some(block), "BLOCKS-53");
    }
    assert_eq!(store.get_ref(b"gone").expect("reads"), None, "BLOCKS-53");
}

/// A reader that was told of a block under a hold finds it, whatever is swept meanwhile.
#[expect(clippy::expect_used, reason = "a contract test fails by panicking")]
fn sweeps_beside_readers(store: &Arc<dyn Store>) {
    let blocks: Vec<Block> = (0..40).map(|n| block(&format!("doomed {n}"))).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for block in blocks.iter().cycle().take(400) {
                    let _hold = store.uses().hold();
                    if store.has(block.cid()).expect("reads") {
                        let got = store.get(block.cid()).expect("reads");
                        assert!(got.is_some(), "BLOCKS-51: it was there under this hold");
                    }
                }
            });
        }
        for _ in 0..5 {
            let mut batch = Batch::new();
            for block in &blocks {
                batch.put(block.clone());
            }
            done(&**store, batch);
            for block in &blocks {
                sweep(&**store, &[block], &[]);
            }
        }
    });
}
