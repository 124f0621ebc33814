//! REPO-67 to REPO-70: damage is found wherever it is, and mended from elsewhere.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::world::{Person, START, all, main, put, space_in};
use allod_blocks::{
    Batch, Block, Cid, Codec, Expect, Fault, FaultyStore, FileProfile, Garbage, MemoryStore, Store,
    StoreError, add_file,
};
use allod_repo::{
    Edit, Mended, Problem, ProblemKind, Repo, check_store, copy_store, lost_blocks, mend,
};
use allod_tree::BlockSource;
use bytes::Bytes;

struct Elsewhere(Arc<dyn Store>);

impl BlockSource for Elsewhere {
    fn block(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        self.0.get(cid)
    }
}

/// A small space with something of everything.
fn fill(store: Arc<dyn Store>) -> Repo {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::clone(&store));
    for n in 0..3 {
        let value = format!("{n} ").repeat(600);
        let edits = [("a", Some("1")), ("large", Some(value.as_str()))];
        put(&repo, &ada, &edits, START + n);
    }
    let profile = FileProfile {
        chunk_bytes: 100,
        ..FileProfile::UNIXFS_V1_2025
    };
    let text: String = (0..20).map(|n| format!("line {n} of a file. ")).collect();
    let file = add_file(store.as_ref(), profile, &mut text.as_bytes(), &mut |_| {}).unwrap();
    repo.stage(&main(), [("file".into(), Edit::Link(file.cid))], START)
        .unwrap();
    repo
}

fn copy(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::new();
    let mut batch = Batch::new();
    for cid in store.scan_blocks(None, usize::MAX).unwrap() {
        batch.put(store.get(&cid).unwrap().unwrap());
    }
    for (name, value) in store.scan_refs(b"", None, usize::MAX).unwrap() {
        batch.set_ref(name, Expect::Absent, Some(value));
    }
    for entry in store.read_log(0, usize::MAX).unwrap() {
        batch.append(entry.bytes);
    }
    let _outcome = copy.commit(batch).unwrap();
    copy
}

fn problems(store: &dyn Store) -> Vec<Problem> {
    let mut problems = Vec::new();
    let report = check_store(
        store,
        &mut |problem| problems.push(problem.clone()),
        &mut |_| ControlFlow::Continue(()),
    )
    .unwrap();
    assert_eq!(report.problems, problems.len() as u64);
    assert!(!report.stopped);
    problems
}

fn kinds(store: &dyn Store) -> Vec<&'static str> {
    let kinds: BTreeSet<_> = problems(store)
        .iter()
        .map(|problem| problem.kind.name())
        .collect();
    kinds.into_iter().collect()
}

fn heal(store: &dyn Store, from: &Arc<dyn Store>) -> Mended {
    let source = Elsewhere(Arc::clone(from));
    mend(store, Some(&source), &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn every_byte_of_every_block_is_checked_and_mended() {
    let base = small();
    let whole: Arc<dyn Store> = Arc::new(copy(&base));
    assert_eq!(problems(whole.as_ref()), []);
    let blocks = whole.scan_blocks(None, usize::MAX).unwrap();
    assert!(blocks.len() > 12);
    let flipped = FaultyStore::new(Arc::new(copy(&base)));
    let mut flips = 0;
    for cid in &blocks {
        let length = whole.get(cid).unwrap().unwrap().bytes().len();
        for at in 0..length {
            flipped.inject(Fault::Damage(*cid, at));
            let found = problems(&flipped);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].kind, ProblemKind::Corrupt);
            assert_eq!(found[0].block, Some(*cid));
            flips += 1;
            // Mending is the same wherever the byte is.
            if at % 97 == 0 {
                let mended = heal(&flipped, &whole);
                assert_eq!(mended.set_aside, [*cid]);
                assert_eq!(mended.fetched, [*cid]);
                assert_eq!(mended.lost, []);
                assert_eq!(problems(&flipped), []);
                assert_eq!(flipped.get(cid).unwrap(), whole.get(cid).unwrap());
            }
        }
    }
    assert!(flips > 3000, "only {flips} bytes");
}

/// What the disk does not give any more is damaged as well, and everything else is still looked at.
#[test]
fn a_block_on_a_bad_sector_is_noticed_and_mended() {
    let base = small();
    let whole: Arc<dyn Store> = Arc::new(copy(&base));
    for cid in base.scan_blocks(None, usize::MAX).unwrap() {
        let store = FaultyStore::new(Arc::new(copy(&base)));
        store.inject(Fault::Unreadable(cid));
        let found = problems(&store);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].kind, found[0].block),
            (ProblemKind::Corrupt, Some(cid))
        );
        let mended = heal(&store, &whole);
        assert_eq!((mended.unreadable, mended.fetched), (vec![cid], vec![cid]));
        assert_eq!(problems(&store), []);
    }
}

/// A sync that goes on beside the repair brings a block which was found damaged.
#[test]
fn what_came_meanwhile_is_not_put_aside() {
    let base = small();
    let whole = copy(&base);
    let store = FaultyStore::new(Arc::new(copy(&base)));
    let blocks = base.scan_blocks(None, usize::MAX).unwrap();
    store.inject(Fault::Damage(blocks[2], 0));
    assert_eq!(problems(&store).len(), 1);
    let mended = mend(&store, None, &mut |seen| {
        if seen == blocks.len() as u64 {
            let mut batch = Batch::new();
            batch.put(whole.get(&blocks[2]).unwrap().unwrap());
            let _outcome = store.commit(batch).unwrap();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(mended.unwrap(), Mended::default());
    assert_eq!(problems(&store), []);
    // Without it, the block is put aside, and needed.
    store.inject(Fault::Damage(blocks[2], 0));
    let mended = mend(&store, None, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(mended.set_aside, [blocks[2]]);
    assert_eq!(mended.lost, [blocks[2]]);
    assert_eq!(lost_blocks(&store).unwrap(), [blocks[2]]);
}

fn small() -> MemoryStore {
    let shared = Arc::new(MemoryStore::new());
    drop(fill(Arc::clone(&shared) as Arc<dyn Store>));
    copy(&shared)
}

#[test]
fn every_block_that_is_lost_is_missed_and_fetched() {
    let base = small();
    let whole: Arc<dyn Store> = Arc::new(copy(&base));
    for cid in base.scan_blocks(None, usize::MAX).unwrap() {
        let store = copy(&base);
        let garbage = || {
            Ok(Garbage {
                blocks: vec![cid],
                refs: Vec::new(),
            })
        };
        store.sweep(&mut { garbage }).unwrap();
        let found = problems(&store);
        assert!(found.iter().all(|problem| problem.block == Some(cid)));
        assert!(!found.is_empty(), "{cid}");
        let mended = heal(&store, &whole);
        assert_eq!((mended.fetched.len(), mended.set_aside.len()), (1, 0));
        assert_eq!(problems(&store), []);
    }
    // All at once, from the references down.
    let store = copy(&base);
    let all_blocks = base.scan_blocks(None, usize::MAX).unwrap();
    let garbage = Garbage {
        blocks: all_blocks.clone(),
        refs: Vec::new(),
    };
    store.sweep(&mut || Ok(garbage.clone())).unwrap();
    let nothing = mend(&store, None, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(nothing.fetched.is_empty() && !nothing.lost.is_empty());
    assert_eq!(heal(&store, &whole).fetched.len(), all_blocks.len());
    assert_eq!(problems(&store), []);
    let store: Arc<dyn Store> = Arc::new(store);
    let id = Repo::spaces(store.as_ref()).unwrap()[0];
    let repo = Repo::open(store, id).unwrap();
    assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
    assert_eq!(all(&repo).len(), 2);
}

#[test]
fn references_and_the_log_are_checked() {
    let base = small();
    let id = Repo::spaces(&base).unwrap()[0];
    let head = [b"s/", &id.cid().to_bytes()[..], b"/head/main"].concat();
    let value = base.get_ref(&head).unwrap().unwrap();
    for at in 0..value.len() {
        let store = copy(&base);
        let mut bytes = value.to_vec();
        bytes[at] ^= 1;
        let mut batch = Batch::new();
        batch.set_ref(head.clone(), Expect::Any, Some(bytes));
        let _outcome = store.commit(batch).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let opened = Repo::open(Arc::clone(&store), id);
        let noticed = opened.is_err() || !problems(store.as_ref()).is_empty();
        assert!(noticed, "byte {at} of a head");
    }
    let store = copy(&base);
    let mut batch = Batch::new();
    batch.append(&b"nothing that was ever logged"[..]);
    batch.put(Block::new(Codec::DagPb, &b"no index"[..]).unwrap());
    let _outcome = store.commit(batch).unwrap();
    assert_eq!(kinds(&store), ["log-gap"]);
}

/// Names and values.
type References = Vec<(Bytes, Bytes)>;

/// What a store has: blocks with their bytes, references, log.
fn contents(store: &dyn Store) -> (Vec<Block>, References, Vec<Bytes>) {
    let names = store.scan_blocks(None, usize::MAX).unwrap();
    let blocks = names.iter().map(|cid| store.get(cid).unwrap().unwrap());
    let refs = store.scan_refs(b"", None, usize::MAX).unwrap();
    let log = store.read_log(0, usize::MAX).unwrap().into_iter();
    (
        blocks.collect(),
        refs,
        log.map(|entry| entry.bytes).collect(),
    )
}

/// REPO-70: a copy is the same store; of a damaged one it lacks what cannot be read, and is mended
/// like any other; and where it is cut off, no reference names what is not there.
#[test]
fn a_copy_has_all_that_can_be_read() {
    let whole: Arc<dyn Store> = Arc::new(small());
    let on = &mut |_| ControlFlow::Continue(());
    let to = MemoryStore::new();
    let copied = copy_store(whole.as_ref(), &to, on).unwrap();
    assert_eq!(contents(&to), contents(whole.as_ref()));
    let (blocks, refs, log) = contents(whole.as_ref());
    assert_eq!(copied.blocks, blocks.len() as u64);
    assert_eq!(copied.references, refs.len() as u64);
    assert_eq!(copied.log_entries, log.len() as u64);
    assert_eq!((copied.unreadable, copied.stopped), (0, false));

    let faults = blocks.iter().flat_map(|block| {
        let cid = *block.cid();
        [
            (block, Fault::Damage(cid, 0)),
            (block, Fault::Unreadable(cid)),
        ]
    });
    for (block, fault) in faults {
        let damaged = FaultyStore::new(Arc::clone(&whole));
        damaged.inject(fault);
        let to = MemoryStore::new();
        let copied = copy_store(&damaged, &to, on).unwrap();
        assert_eq!(copied.blocks + 1, blocks.len() as u64);
        assert_eq!(copied.unreadable, 1);
        assert_eq!(heal(&to, &whole).fetched, [*block.cid()]);
        assert_eq!(contents(&to), contents(whole.as_ref()));
    }

    for call in 0.. {
        let failing = FaultyStore::new(Arc::clone(&whole));
        failing.inject(Fault::FailCall(call));
        let to = MemoryStore::new();
        let copied = copy_store(&failing, &to, on);
        assert_eq!(problems(&to), [], "after call {call}");
        if !failing.struck() {
            assert!(call > 10, "{call} calls");
            break;
        }
        // A block that could not be read once is read again, as references lead to it.
        assert!(copied.is_err() || contents(&to) == contents(whole.as_ref()));
    }
    let stopped = copy_store(whole.as_ref(), &MemoryStore::new(), &mut |_| {
        ControlFlow::Break(())
    });
    assert!(stopped.unwrap().stopped);
}
