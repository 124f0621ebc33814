//! Twenty-five nodes with stores on disk, in one process and on one machine, that all write: how long until
//! a commit is at every other node, and what a node takes of memory.
//!
//! All know the first node, which let them in, and each knows two others besides. A commit's lag at a node is the time from when
//! `commit` returned at the one that made it to when it is accepted at the other.
//!
//! `--quick` runs 8 nodes for a few seconds. `--nodes N` and `--rate N` (commits a second in all) together change
//! what is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use allod::{Home, HomeConfig, KeySource, Node, Peer, StoreKind, random};
use allod_identity::{Keystore, SecretKey};
use allod_quic::Endpoint;
use allod_repo::{BranchName, CommitId, Edit, Repo};
use allod_sync::Backoff;
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: &[u8] = b"a bench needs no secret";

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let number = |name: &str| {
        let mut args = std::env::args().skip_while(|arg| arg != name).skip(1);
        args.next().map(|value| value.parse().expect("a number"))
    };
    let (cases, seconds) = if quick {
        (vec![(8, 24)], 4)
    } else {
        (vec![(8, 24), (25, 50), (25, 70)], 20)
    };
    let cases = match number("--nodes").zip(number("--rate")) {
        Some(case) => vec![case],
        None => cases,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Each has memory of its own, and most of them wait for the disk.
        .max_blocking_threads(32)
        .enable_all()
        .build()
        .expect("a runtime");
    for (nodes, rate) in cases {
        runtime.block_on(run(nodes, rate, seconds));
    }
}

/// When each commit was made, and how long it took to each node, in milliseconds.
#[derive(Default)]
struct Times {
    made: BTreeMap<CommitId, Instant>,
    lags: Vec<f64>,
}

type Shared = Arc<Mutex<Times>>;

fn lock(times: &Shared) -> std::sync::MutexGuard<'_, Times> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Member {
    node: Node,
    repo: Repo,
    endpoint: Endpoint,
}

async fn run(count: usize, rate: usize, seconds: u64) {
    let before = memory_kib();
    let dir = tempfile::tempdir().expect("a directory");
    let (stop, stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    let members = members(dir.path(), count, &stopped, &mut tasks).await;
    let times = Shared::default();
    for member in &members {
        let (node, repo, times) = (member.node.clone(), member.repo.clone(), times.clone());
        tokio::spawn(async move { listen(&node, &repo, &times).await });
    }
    // Everybody has met everybody they know before it counts.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (end, ended) = watch::channel(false);
    let mut writers = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let (node, repo) = (member.node.clone(), member.repo.clone());
        let (times, ended) = (times.clone(), ended.clone());
        let pause = Duration::from_secs_f64(count as f64 / rate as f64);
        let first = pause.mul_f64(at as f64 / count as f64);
        writers.push(tokio::spawn(async move {
            tokio::time::sleep(first).await;
            write(&node, &repo, at, pause, &times, &ended).await
        }));
    }
    let started = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    end.send_replace(true);
    for writer in writers {
        writer.await.expect("writes to the end");
    }
    let written = started.elapsed().as_secs_f64();
    // What is still on its way.
    let expected = |times: &Times| times.made.len() as u64 * (count as u64 - 1);
    let mut left = 0;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let times = lock(&times);
        left = expected(&times).saturating_sub(times.lags.len() as u64);
        if left == 0 {
            break;
        }
    }
    let memory = memory_kib().saturating_sub(before) / count as u64;
    let (mut lags, made) = {
        let times = lock(&times);
        (times.lags.clone(), times.made.len())
    };
    stop.send_replace(true);
    for task in tasks {
        task.await.expect("serves to the end");
    }
    assert!(!lags.is_empty(), "nothing arrived anywhere");
    lags.sort_by(f64::total_cmp);
    let at = |part: f64| lags[((lags.len() - 1) as f64 * part) as usize];
    let per_second = made as f64 / written;
    eprintln!(
        "{made} commits, {per_second:.0} a second; lag p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let name = format!("{count} nodes, {rate} commits a second in all");
    row(
        &format!("{name}: commits a second"),
        "1/s",
        "more",
        per_second,
        "",
    );
    let due = made as u64 * (count as u64 - 1);
    let part = 100.0 * left as f64 / due as f64;
    row(
        &format!("{name}: arrivals still due 10 s after the last commit"),
        "%",
        "less",
        part,
        "0",
    );
    row(&format!("{name}: lag, median"), "ms", "less", at(0.5), "");
    row(
        &format!("{name}: lag, p99"),
        "ms",
        "less",
        at(0.99),
        "<= 1000",
    );
    row(
        &format!("{name}: memory of a node"),
        "MiB",
        "less",
        memory as f64 / 1024.0,
        "stated",
    );
}

fn row(case: &str, unit: &str, better: &str, ours: f64, target: &str) {
    println!(
        "{}",
        serde_json::json!({
            "area": "live", "case": case, "unit": unit, "better": better,
            "ours": ours, "peers": {}, "target": target,
        })
    );
}

/// What is resident of this process, in KiB.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Commits a small change now and then.
async fn write(
    node: &Node,
    repo: &Repo,
    at: usize,
    pause: Duration,
    times: &Shared,
    ended: &watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(pause);
    let mut count = 0;
    while !*ended.borrow() {
        ticks.tick().await;
        count += 1;
        let (node, repo, times) = (node.clone(), repo.clone(), times.clone());
        let commit = move || {
            let main = BranchName::main();
            let key = format!("node {at}/{}", count % 100);
            let edit = Edit::Put(format!("value {count}").into());
            repo.stage(&main, [(key.into(), edit)], allod::now_ms())
                .expect("stages");
            let author = node.author().expect("an author");
            let id = repo
                .commit_staged(&main, author, "bench", allod::now_ms())
                .expect("commits");
            lock(&times).made.insert(id, Instant::now());
            node.touch();
        };
        tokio::task::spawn_blocking(commit).await.expect("commits");
    }
}

/// Notes when the commits of others arrive.
async fn listen(node: &Node, repo: &Repo, times: &Shared) {
    let main = BranchName::main();
    let mut changes = node.watch();
    let mut known = repo.heads(&main).expect("heads");
    let mut late: BTreeSet<CommitId> = BTreeSet::new();
    let me = node.agent().expect("an agent");
    loop {
        let heads = repo.heads(&main).expect("heads");
        if heads == known && late.is_empty() {
            let wait = tokio::time::timeout(Duration::from_millis(20), changes.changed());
            if matches!(wait.await, Ok(Err(_))) {
                return;
            }
            continue;
        }
        let new = repo.missing(&heads, &known).expect("commits");
        let now = Instant::now();
        let others = new.into_iter().filter(|id| {
            repo.commit(*id)
                .is_ok_and(|commit| commit.payload().author != me)
        });
        late.extend(others);
        known = heads;
        {
            let mut times = lock(times);
            let times = &mut *times;
            // One that arrived before its maker noted it counts as at once.
            late.retain(|id| match times.made.get(id) {
                Some(made) => {
                    times
                        .lags
                        .push(now.saturating_duration_since(*made).as_secs_f64() * 1e3);
                    false
                }
                None => true,
            });
        }
        let wait = tokio::time::timeout(Duration::from_millis(20), changes.changed());
        if matches!(wait.await, Ok(Err(_))) {
            return;
        }
    }
}

/// Nodes that share a space and serve it.
async fn members(
    dir: &Path,
    count: usize,
    stopped: &watch::Receiver<bool>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> Vec<Member> {
    let listen: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let first = node(&dir.join("0"));
    let repo = first.create_space("bench").expect("a space");
    let endpoint = first.listen(listen).expect("listens");
    let mut members = vec![Member {
        node: first,
        repo,
        endpoint,
    }];
    tasks.push(serve(&members[0], stopped));
    let addr = |member: &Member| {
        member
            .endpoint
            .local_addr()
            .expect("an address")
            .to_string()
    };
    for at in 1..count {
        let node = node(&dir.join(at.to_string()));
        let endpoint = node.listen(listen).expect("listens");
        let host = &members[0];
        let ticket = host
            .node
            .ticket(&host.repo, vec![addr(host)], None)
            .expect("a ticket");
        let repo = node
            .join(&endpoint, &ticket, None, None)
            .await
            .expect("joins");
        let peer = Peer {
            addrs: vec![addr(host)],
            ..Peer::default()
        };
        let device = host.node.device().expect("a device");
        node.sync_with(&endpoint, &repo, device, &peer, &mut |_| {})
            .await
            .expect("syncs");
        members.push(Member {
            node,
            repo,
            endpoint,
        });
    }
    for at in 1..count {
        tasks.push(serve(&members[at], stopped));
        for step in [1, 7] {
            let other = &members[(at + step) % count];
            let device = other.node.device().expect("a device");
            let remote = members[at].node.add_remote(
                &members[at].repo,
                &format!("n{step}"),
                device,
                &[addr(other)],
            );
            if other.node.device().ok() != members[at].node.device().ok() {
                remote.expect("adds");
            }
        }
    }
    members
}

fn serve(member: &Member, stopped: &watch::Receiver<bool>) -> JoinHandle<()> {
    let (node, endpoint) = (member.node.clone(), member.endpoint.clone());
    let stopped = stopped.clone();
    tokio::spawn(async move { node.serve(&endpoint, Backoff::default(), stopped).await })
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
