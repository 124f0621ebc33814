//! Known faults of what is around the crates, put in on purpose: the checks must notice them. Mistakes in the
//! crates themselves are patches, in `mutants/`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use allod_blocks::{
    Aside, Batch, BatchOutcome, Block, Cid, Decide, LogEntry, MemoryStore, Store, StoreError,
    StoreStats, Swept, Uses,
};
use allod_sim::{Disk, Failure, Rule, Scenario, World};
use bytes::Bytes;

/// A store that acknowledges each ninth commit and keeps its blocks only: a disk that lied.
#[derive(Debug)]
struct Forgetful {
    inner: MemoryStore,
    commits: AtomicU64,
}

impl Store for Forgetful {
    fn get(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        self.inner.get(cid)
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.inner.has(cid)
    }

    fn get_ref(&self, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get_ref(name)
    }

    fn scan_refs(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.inner.scan_refs(prefix, after, limit)
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.inner.read_log(from, limit)
    }

    fn scan_blocks(&self, after: Option<&Cid>, limit: usize) -> Result<Vec<Cid>, StoreError> {
        self.inner.scan_blocks(after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<BatchOutcome, StoreError> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        let forgets = number % 9 == 8; // past the commits that set the node up
        if !forgets || batch.refs().is_empty() {
            return self.inner.commit(batch);
        }
        let mut kept = Batch::new();
        batch
            .blocks()
            .iter()
            .for_each(|block| kept.put(block.clone()));
        self.inner.commit(kept)
    }

    fn uses(&self) -> &Uses {
        self.inner.uses()
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.inner.size(cid)
    }

    fn sweep(&self, decide: Decide<'_>) -> Result<Swept, StoreError> {
        self.inner.sweep(decide)
    }

    fn set_aside(&self, cid: &Cid) -> Result<Aside, StoreError> {
        self.inner.set_aside(cid)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.inner.reclaim()
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.inner.stats()
    }
}

impl Disk for Forgetful {
    fn lose_unsynced(&self) -> usize {
        self.inner.lose_unsynced()
    }
}

#[test]
fn a_store_that_forgets_is_noticed() {
    let mut noticed = 0;
    let seeds = 12;
    for seed in 0..seeds {
        let mut disk = |_| -> Arc<dyn Disk> {
            Arc::new(Forgetful {
                inner: MemoryStore::new(),
                commits: AtomicU64::new(0),
            })
        };
        let world = World::on_disks(Scenario::of_seed(seed), &mut disk).unwrap();
        noticed += u64::from(world.run().is_err());
    }
    // A lost move of heads that the next session repeats does no harm, so not every one shows.
    assert!(noticed >= seeds * 3 / 4, "{noticed} of {seeds}");
}

#[test]
fn a_wrong_rule_of_join_is_noticed() {
    let mut noticed = 0;
    let seeds = 12;
    for seed in 0..seeds {
        let scenario = Scenario {
            rule: Rule::EarlierWins,
            ..Scenario::of_seed(seed)
        };
        let result = World::new(scenario).unwrap().run();
        noticed += u64::from(matches!(result, Err(Failure::Lost { .. })));
    }
    // In a small world no key may be edited twice.
    assert!(noticed >= seeds * 3 / 4, "{noticed} of {seeds}");
}
