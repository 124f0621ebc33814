//! A collection of garbage beside a writer: as many dead blocks as live ones.
//!
//! The writer stages and commits one key after the other, on a disk that a collection works on, and
//! before that on one that it leaves alone: the difference is what the collection costs.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use allod_blocks::{FjallStore, Store};
use allod_identity::SecretKey;
use allod_repo::{
    Author, BranchName, Edit, GcOptions, Genesis, Repo, SpaceClass, collect_garbage, store_sizes,
};
use bytes::Bytes;

/// As in the node.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Longer than what an entry holds itself, so that each value is a block of its own.
const VALUE_BYTES: usize = 1100;

/// Between two commits of the writer: a busy program, and not one that fills the disk with history
/// while the collection runs.
const BETWEEN: Duration = Duration::from_millis(5);

/// Values of a commit.
const COMMIT: u64 = 5000;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let blocks: u64 = if quick { 20_000 } else { 1_000_000 };
    let dir = tempfile::tempdir().expect("a directory");
    let store: Arc<dyn Store> = Arc::new(FjallStore::open(dir.path()).expect("opens"));
    let key = SecretKey::from_seed([7; 32]);
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let genesis = Genesis {
        at: 0,
        class: SpaceClass::Convergent,
        name: "bench".into(),
        nonce: [1; 16],
        owner: author.agent,
    };
    let repo = Repo::create(Arc::clone(&store), genesis, author).expect("a space");
    let main = BranchName::main();
    fill(&repo, &main, author, 1, blocks);
    store.reclaim().expect("compacts");
    let dead: BranchName = "dead".parse().expect("a name");
    let heads = repo.heads(&main).expect("heads");
    repo.create_branch(&dead, &heads).expect("a branch");
    fill(&repo, &dead, author, 2, blocks);
    repo.delete_branch(&dead, true).expect("deletes");

    let alone = write_while(&repo, author, || std::thread::sleep(Duration::from_secs(5)));
    let before_mib = resident_mib();
    let mut report = None;
    let mut peak_mib = before_mib;
    let options = GcOptions {
        moves_kept: 0,
        dry_run: false,
    };
    let started = Instant::now();
    let beside = write_while(&repo, author, || {
        let done = collect_garbage(store.as_ref(), options, &mut |_, _| {
            peak_mib = resident_mib().max(peak_mib);
            ControlFlow::Continue(())
        });
        report = Some(done.expect("collects"));
    });
    let seconds = started.elapsed().as_secs_f64();
    let report = report.expect("it ran");
    assert!(report.dead_blocks >= blocks, "{report:?}");

    let case = |case: String| format!("{case}, {blocks} dead and {blocks} live blocks");
    let row = |name: &str, unit: &str, ours: f64, peer: (&str, f64), target: &str| {
        println!(
            "{}",
            serde_json::json!({
                "area": "gc",
                "case": case(name.to_owned()),
                "unit": unit,
                "better": "less",
                "ours": ours,
                "peers": { peer.0: peer.1 },
                "target": target,
            })
        );
    };
    let millis = |times: &[Duration], part: f64| {
        let at = ((times.len() - 1) as f64 * part) as usize;
        times[at].as_secs_f64() * 1000.0
    };
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        row(
            &format!("{name} of a commit beside a collection"),
            "ms",
            millis(&beside, part),
            ("without one", millis(&alone, part)),
            if part < 1.0 {
                "p99 of the pause <= 10 ms"
            } else {
                "stated"
            },
        );
    }
    row(
        "memory of a collection",
        "MiB",
        peak_mib - before_mib,
        ("its marks", report.memory_bytes as f64 / 1_048_576.0),
        "<= 64",
    );
    // What the writer wrote beside it lives too.
    let kept = store_sizes(store.as_ref(), &mut |_| ControlFlow::Continue(()));
    let kept = kept.expect("counts").stored_bytes as f64;
    row(
        "disk after a collection, as part of the blocks that it left",
        "x",
        report.disk_after as f64 / kept,
        ("before it", report.disk_before as f64 / kept),
        "<= 1.15",
    );
    row(
        "a collection",
        "s",
        seconds,
        ("its commits beside it", beside.len() as f64),
        "stated",
    );
}

/// Values that no engine makes smaller.
fn value(seed: u64, number: u64) -> Bytes {
    let mut state = (seed << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(VALUE_BYTES + 8);
    while bytes.len() < VALUE_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.into()
}

fn fill(repo: &Repo, branch: &BranchName, author: Author<'_>, seed: u64, count: u64) {
    let numbers: Vec<u64> = (0..count).collect();
    for numbers in numbers.chunks(COMMIT as usize) {
        let edits = numbers.iter().map(|number| {
            let key = Bytes::from(format!("key/{number:012}"));
            (key, Edit::Put(value(seed, *number)))
        });
        repo.stage(branch, edits, 0).expect("stages");
        repo.commit_staged(branch, author, "fill", 0)
            .expect("commits");
    }
}

/// How long each commit of a writer took while `work` ran, in ascending order.
fn write_while(repo: &Repo, author: Author<'_>, work: impl FnOnce()) -> Vec<Duration> {
    let main = BranchName::main();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut times = Vec::new();
            let mut number = 0u64;
            while !over.load(Ordering::Relaxed) || times.is_empty() {
                number += 1;
                let started = Instant::now();
                let edit = (Bytes::from("busy"), Edit::Put(number.to_string().into()));
                repo.stage(&main, [edit], number).expect("stages");
                repo.commit_staged(&main, author, "busy", number)
                    .expect("commits");
                times.push(started.elapsed());
                std::thread::sleep(BETWEEN);
            }
            times
        });
        work();
        over.store(true, Ordering::Relaxed);
        let mut times = writer.join().expect("the writer writes");
        times.sort();
        times
    })
}

/// The memory that this process has, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
