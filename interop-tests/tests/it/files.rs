//! Files have the names that `ipfs-unixfs-importer` gives them (BLOCKS-30).

use allod_blocks::{
    Aside, Batch, BatchOutcome, Block, Cid, Decide, FileProfile, LogEntry, Store, StoreError,
    StoreStats, Swept, Uses, add_file,
};
use serde_json::{Value, json};

use crate::node::{Content, is_there, run};

const MIB: usize = 1024 * 1024;

/// Keeps nothing: files are only named.
#[derive(Debug, Default)]
struct Nowhere {
    uses: Uses,
}

impl Store for Nowhere {
    fn get(&self, _cid: &Cid) -> Result<Option<Block>, StoreError> {
        Ok(None)
    }

    fn has(&self, _cid: &Cid) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn get_ref(&self, _name: &[u8]) -> Result<Option<bytes::Bytes>, StoreError> {
        Ok(None)
    }

    fn scan_refs(
        &self,
        _prefix: &[u8],
        _after: Option<&[u8]>,
        _limit: usize,
    ) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, StoreError> {
        Ok(Vec::new())
    }

    fn read_log(&self, _from: u64, _limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        Ok(Vec::new())
    }

    fn scan_blocks(&self, _after: Option<&Cid>, _limit: usize) -> Result<Vec<Cid>, StoreError> {
        Ok(Vec::new())
    }

    fn commit(&self, _batch: Batch) -> Result<BatchOutcome, StoreError> {
        Ok(BatchOutcome::Done { log_end: 0 })
    }

    fn uses(&self) -> &Uses {
        &self.uses
    }

    fn size(&self, _cid: &Cid) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn sweep(&self, _decide: Decide<'_>) -> Result<Swept, StoreError> {
        Ok(Swept::default())
    }

    fn set_aside(&self, _cid: &Cid) -> Result<Aside, StoreError> {
        Ok(Aside::Nothing)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        Ok(StoreStats::default())
    }
}

/// Names files of these sizes on both sides.
fn compare(sizes: &[usize], profile: FileProfile) {
    let asked: Vec<Value> = (1u64..)
        .zip(sizes)
        .map(|(seed, size)| {
            let (chunk, links) = (profile.chunk_bytes, profile.links);
            if profile == FileProfile::UNIXFS_V1_2025 {
                json!({ "seed": seed, "size": size })
            } else {
                json!({ "seed": seed, "size": size, "chunk": chunk, "links": links })
            }
        })
        .collect();
    let theirs = run("files.mjs", &[], &Value::from(asked).to_string());
    let theirs: Vec<String> = serde_json::from_str(&theirs).unwrap();
    assert_eq!(theirs.len(), sizes.len());
    for ((seed, size), theirs) in (1u64..).zip(sizes).zip(theirs) {
        let mut content = Content::new(seed, *size);
        let ours = add_file(&Nowhere::default(), profile, &mut content, &mut |_| {}).unwrap();
        assert_eq!(ours.size, *size as u64);
        assert_eq!(ours.cid.to_string(), theirs, "{size} bytes, {profile:?}");
    }
}

#[test]
fn sizes_around_a_chunk() {
    if is_there() {
        let sizes = [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB];
        compare(&sizes, FileProfile::UNIXFS_V1_2025);
    }
}

#[test]
fn a_large_file() {
    if is_there() {
        compare(&[300_000_000], FileProfile::UNIXFS_V1_2025);
    }
}

/// Few links and short chunks: every shape of a tree, several levels deep.
#[test]
fn layouts() {
    if is_there() {
        let small = |links| FileProfile {
            chunk_bytes: 16,
            links,
        };
        let sizes: Vec<usize> = (0..=1100)
            .step_by(5)
            .chain([16, 64, 256, 1024, 4096, 4097])
            .collect();
        compare(&sizes, small(4));
        compare(&sizes, small(2));
        compare(&sizes, small(7));
    }
}
