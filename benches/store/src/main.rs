//! The store beside the engine under it: blocks of 4 KiB in durable batches of 1,000.
//!
//! Hashing is left out on our side by making the blocks before the clock starts; what is measured
//! is `Store::commit` against the same batches written to fjall itself with the same settings.

use std::time::Instant;

use allod_blocks::{Batch, Block, Codec, FjallStore, Store};
use fjall::{Database, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

const BATCH: usize = 1000;
const BLOCK_BYTES: usize = 4096;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (blocks, rounds) = if quick { (20_000, 3) } else { (200_000, 5) };
    let data = make(blocks);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // In turn, and in turns of turn: whoever goes first finds a colder disk.
        for who in 0..2 {
            if (round + who) % 2 == 0 {
                ours.push(rate(blocks, || allod(&data)));
            } else {
                peer.push(rate(blocks, || raw(&data)));
            }
        }
        eprintln!(
            "round {round}: ours {:?}, fjall {:?} MB/s",
            ours.last(),
            peer.last()
        );
    }
    let peak = peak_mib();
    println!(
        "{}",
        serde_json::json!({
            "area": "store",
            "case": format!("put {blocks} x 4 KiB, durable batches of {BATCH}"),
            "unit": "MB/s",
            "better": "more",
            "ours": median(&mut ours),
            "peers": { "fjall 3.1.13 raw": median(&mut peer) },
            "target": ">= 0.9x raw fjall",
        })
    );
    println!(
        "{}",
        serde_json::json!({
            "area": "store",
            "case": "peak memory of the run above, the data set of the bench included",
            "unit": "MiB",
            "better": "less",
            "ours": peak,
            "peers": { "the data set itself": (blocks * BLOCK_BYTES) as f64 / 1_048_576.0 },
            "target": "stated",
        })
    );
}

fn make(count: usize) -> Vec<Block> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count)
        .map(|_| {
            let mut bytes = Vec::with_capacity(BLOCK_BYTES);
            while bytes.len() < BLOCK_BYTES {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                bytes.extend_from_slice(&state.to_le_bytes());
            }
            Block::new(Codec::Raw, bytes).expect("a block within the limit")
        })
        .collect()
}

fn rate(blocks: usize, run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    (blocks * BLOCK_BYTES) as f64 / 1e6 / started.elapsed().as_secs_f64()
}

fn allod(data: &[Block]) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = FjallStore::open(dir.path()).expect("opens");
    for blocks in data.chunks(BATCH) {
        let mut batch = Batch::new();
        for block in blocks {
            batch.put(block.clone());
        }
        let outcome = store.commit(batch).expect("commits");
        assert!(matches!(outcome, allod_blocks::BatchOutcome::Done { .. }));
    }
}

fn raw(data: &[Block]) {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Database::builder(dir.path())
        .cache_size(16 << 20)
        .open()
        .expect("opens");
    let keyspace = db
        .keyspace("blocks", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(8 << 20)
                .with_kv_separation(Some(KvSeparationOptions::default()))
        })
        .expect("a keyspace");
    for blocks in data.chunks(BATCH) {
        let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
        for block in blocks {
            batch.insert(&keyspace, block.cid().to_bytes(), block.bytes().clone());
        }
        batch.commit().expect("commits");
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The most memory this process had, in MiB.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
