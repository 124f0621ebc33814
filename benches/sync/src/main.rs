//! Sessions over loopback QUIC between two nodes with stores on disk.
//!
//! Rows: many entries to an empty node (verification and durable storage included), next to copying the
//! same blocks over raw quinn into the same kind of store; and a few changed keys between nodes that share
//! an ancestor (bytes and round trips).

mod raw;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use allod::{Home, HomeConfig, KeySource, Node, Peer, StoreKind, SyncReport, random};
use allod_blocks::{Block, Codec};
use allod_identity::{Keystore, SecretKey};
use allod_quic::Endpoint;
use allod_repo::{BranchName, Edit, Repo};
use allod_sync::Backoff;
use bytes::Bytes;
use tokio::sync::watch;

/// That of the node, for both.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: &[u8] = b"a bench needs no secret";

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(quick));
}

async fn run(quick: bool) {
    let (rounds, bulk, shared) = if quick {
        (3, 20_000, 50_000)
    } else {
        (5, 100_000, 1_000_000)
    };
    let mut rates = Vec::new();
    for round in 0..rounds {
        let pair = Pair::new(bulk).await;
        let report = pair.sync().await;
        let bytes = bulk as f64 * 116.0;
        let rate = bytes / 1e6 / report.elapsed.as_secs_f64();
        eprintln!(
            "round {round}: {bulk} entries in {:?}, {rate:.0} MB/s",
            report.elapsed
        );
        pair.assert_equal();
        pair.close().await;
        rates.push(rate);
    }
    rates.sort_by(f64::total_cmp);
    row(
        &format!("{bulk} entries of 116 bytes to an empty node, verified and durable"),
        "MB/s of entry data",
        "more",
        rates[rates.len() / 2],
        ">= 50 MB/s",
    );

    // In turn, each time with nodes of their own.
    let (mut ours, mut copies) = (Vec::new(), Vec::new());
    let (mut bytes, mut last): (usize, Option<Pair>) = (0, None);
    for _ in 0..rounds {
        if let Some(pair) = last.take() {
            pair.close().await;
        }
        let pair = Pair::whole(shared).await;
        let report = pair.sync().await;
        pair.assert_equal();
        ours.push(report.elapsed.as_secs_f64());
        let blocks = pair.nodes_of_trees();
        bytes = blocks.iter().map(|block| block.bytes().len()).sum();
        let dir = tempfile::tempdir().expect("a directory");
        copies.push(raw::copy(&blocks, dir.path()).await.as_secs_f64());
        last = Some(pair);
    }
    let pair = last.expect("a round");
    ours.sort_by(f64::total_cmp);
    copies.sort_by(f64::total_cmp);
    let rate = |seconds: f64| bytes as f64 / 1e6 / seconds;
    compared(
        &format!("{shared} entries of one commit to an empty node, verified and durable: blocks"),
        "MB/s",
        rate(ours[ours.len() / 2]),
        (
            "raw quinn into the same store",
            rate(copies[copies.len() / 2]),
        ),
        ">= 0.5x raw quinn",
    );
    let changed: Vec<(Bytes, Edit)> = (0..100u64)
        .map(|n| entry(n * (shared as u64 / 100), 1))
        .collect();
    write(&pair.left, &pair.repo, changed);
    let before = Instant::now();
    let report = pair.sync().await;
    pair.assert_equal();
    let entries = report.stats.entry_bytes_in as f64;
    let bytes = (report.stats.bytes_in + report.stats.bytes_out) as f64;
    compared(
        &format!("100 changed keys of {shared}: bytes of the whole session"),
        "bytes",
        bytes,
        ("the changed keys and entries alone", entries),
        &format!("<= {:.0} (1.2x and 1 KB)", entries * 1.2 + 1024.0),
    );
    row(
        &format!("100 changed keys of {shared}: time, dial and handshake included"),
        "ms",
        "less",
        before.elapsed().as_secs_f64() * 1e3,
        "one round trip after the hellos",
    );
}

fn compared(case: &str, unit: &str, ours: f64, (peer, theirs): (&str, f64), target: &str) {
    let better = if unit == "bytes" { "less" } else { "more" };
    println!(
        "{}",
        serde_json::json!({
            "area": "sync", "case": case, "unit": unit, "better": better,
            "ours": ours, "peers": { peer: theirs }, "target": target,
        })
    );
}

fn row(case: &str, unit: &str, better: &str, ours: f64, target: &str) {
    println!(
        "{}",
        serde_json::json!({
            "area": "sync", "case": case, "unit": unit, "better": better,
            "ours": ours, "peers": {}, "target": target,
        })
    );
}

/// A key and value of 16 and 100 bytes.
fn entry(number: u64, version: u8) -> (Bytes, Edit) {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let key: Vec<u8> = (0..2).flat_map(|_| next()).collect();
    let mut value: Vec<u8> = (0..13).flat_map(|_| next()).collect();
    value.truncate(100);
    value[0] = version;
    (key.into(), Edit::Put(value.into()))
}

fn write(node: &Node, repo: &Repo, edits: Vec<(Bytes, Edit)>) {
    let main = BranchName::main();
    repo.stage(&main, edits, allod::now_ms()).expect("stages");
    let author = node.author().expect("an author");
    repo.commit_staged(&main, author, "bench", allod::now_ms())
        .expect("commits");
}

/// Two nodes: the left one has a space with entries and serves it, the right one has joined.
struct Pair {
    left: Node,
    right: Node,
    repo: Repo,
    copy: Repo,
    endpoint: Endpoint,
    peer: Peer,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Pair {
    /// With the entries in commits of 100,000.
    async fn new(entries: usize) -> Self {
        Self::with(entries, 100_000).await
    }

    /// With the entries in one commit.
    async fn whole(entries: usize) -> Self {
        Self::with(entries, entries).await
    }

    async fn with(entries: usize, each: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let left = node(&dir.path().join("left"));
        let right = node(&dir.path().join("right"));
        let repo = left.create_space("bench").expect("a space");
        for first in (0..entries).step_by(each) {
            let last = (first + each).min(entries);
            write(
                &left,
                &repo,
                (first..last).map(|n| entry(n as u64, 0)).collect(),
            );
        }
        let listen: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let served = left.listen(listen).expect("listens");
        let addr = served.local_addr().expect("an address").to_string();
        let (stop, stopped) = watch::channel(false);
        let serving = left.clone();
        let serving =
            tokio::spawn(async move { serving.serve(&served, Backoff::default(), stopped).await });
        let endpoint = right.listen(listen).expect("listens");
        let ticket = left
            .ticket(&repo, vec![addr.clone()], None)
            .expect("a ticket");
        let copy = right
            .join(&endpoint, &ticket, None, None)
            .await
            .expect("joins");
        let peer = Peer {
            addrs: vec![addr],
            ..Peer::default()
        };
        Self {
            left,
            right,
            repo,
            copy,
            endpoint,
            peer,
            stop,
            serving,
            _dir: dir,
        }
    }

    async fn sync(&self) -> SyncReport {
        let device = self.left.device().expect("a device");
        self.right
            .sync_with(&self.endpoint, &self.copy, device, &self.peer, &mut |_| {})
            .await
            .expect("syncs")
    }

    /// Ends both nodes for good, so that the next round has the machine to itself.
    async fn close(self) {
        self.stop.send_replace(true);
        self.endpoint.close().await;
        self.serving.await.expect("serves to the end");
    }

    /// The blocks of trees that the copy has.
    fn nodes_of_trees(&self) -> Vec<Block> {
        let store = self.copy.store();
        let names = store.scan_blocks(None, usize::MAX).expect("names");
        let blocks = names
            .iter()
            .filter_map(|name| store.get(name).expect("a block"));
        let blocks = blocks.filter(|block| block.cid().codec() == Codec::DagCbor.code());
        blocks.collect()
    }

    fn assert_equal(&self) {
        let main = BranchName::main();
        let root = |repo: &Repo| repo.state(&main).expect("a state").tree().root();
        assert_eq!(root(&self.repo), root(&self.copy));
    }
}

fn node(path: &Path) -> Node {
    let seed = || SecretKey::from_seed(random().expect("randomness"));
    let keys = Keystore {
        agent: Some(seed()),
        next_agent: Some(seed()),
        device: seed(),
    };
    let agent = keys.agent.as_ref().map(SecretKey::agent_id);
    let source = KeySource::File(path.join("none"));
    let device = keys.device.device_id();
    let config = HomeConfig::new(StoreKind::Fjall, source, device, "bench".into(), agent);
    let home = Home::at(path.to_owned());
    home.create(&config, &keys, SECRET).expect("a home");
    let node = Node::open(home, Some(keys)).expect("opens");
    node.begin_log("bench").expect("a key log");
    node
}
