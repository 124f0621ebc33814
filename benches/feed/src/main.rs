//! How long until a consumer hears of a commit, what consumers that wait or are slow do to whoever writes, and how
//! many events a second get to a broker.
//!
//! The broker is `nats-server`, as `NATS_SERVER` or the path has it, with files. Its peer is `async-nats` alone, which
//! publishes the same messages with the same number under way and waits for the same acknowledgements.
//!
//! `--quick` takes less of everything, `--broker` the row of the broker alone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use allod::http::{HttpListener, HttpOptions};
use allod::{Home, HomeConfig, KeySource, Node, StoreKind, random};
use allod_feed::{Filter, Subscription, Told};
use allod_identity::{Keystore, SecretKey};
use allod_repo::{BranchName, CommitId, Edit, Repo};
use allod_sinks::Definition;
use async_nats::jetstream::{self, consumer, message::PublishMessage, stream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::watch;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: &[u8] = b"a bench needs no secret";

/// Commits a second, for lags.
const RATE: u32 = 1000;

/// Consumers that wait for what does not come, and that take an event now and then.
const IDLE: usize = 1000;
const SLOW: usize = 100;

/// How long a slow consumer takes for an event.
const SLOWLY: Duration = Duration::from_millis(100);

/// Messages under way, ours and theirs.
const WINDOW: usize = 4096;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let seconds = if quick { 3 } else { 15 };
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    if !std::env::args().any(|arg| arg == "--broker") {
        lags(&dir.path().join("lags"), seconds);
        streamed(&dir.path().join("streamed"), seconds, &runtime);
        crowd(&dir.path().join("crowd"), seconds, &runtime);
    }
    match server() {
        Some(program) => broker(dir.path(), &program, if quick { 20 } else { 150 }, &runtime),
        None => eprintln!("no nats-server: set NATS_SERVER"),
    }
}

fn node(dir: &Path) -> (Node, Repo) {
    let home = Home::at(dir.to_owned());
    let keys = Keystore {
        agent: Some(SecretKey::from_seed(random().expect("random"))),
        device: SecretKey::from_seed(random().expect("random")),
        next_agent: Some(SecretKey::from_seed(random().expect("random"))),
    };
    let device = keys.device.device_id();
    let agent = keys.agent.as_ref().map(SecretKey::agent_id);
    let source = KeySource::File(dir.join("none"));
    let config = HomeConfig::new(StoreKind::Fjall, source, device, "bench".into(), agent);
    home.create(&config, &keys, SECRET).expect("a home");
    let node = Node::open(home, Some(keys)).expect("opens");
    node.begin_log("bench").expect("a key log");
    let repo = node.create_space("bench").expect("a space");
    (node, repo)
}

fn commit(node: &Node, repo: &Repo, key: &str) -> CommitId {
    let main = BranchName::main();
    let edit = (
        Bytes::copy_from_slice(key.as_bytes()),
        Edit::Put(Bytes::from_static(&[b'v'; 100])),
    );
    repo.stage(&main, [edit], allod::now_ms()).expect("stages");
    repo.commit_staged(
        &main,
        node.author().expect("an author"),
        "",
        allod::now_ms(),
    )
    .expect("commits")
}

/// Writes for so many seconds, [`RATE`] commits a second if the disk is fast enough; how long each commit took, in
/// milliseconds, and when it was done.
fn write(node: &Node, repo: &Repo, seconds: u64) -> (Vec<f64>, Vec<(CommitId, Instant)>) {
    let began = Instant::now();
    let pause = Duration::from_secs(1) / RATE;
    let (mut took, mut done) = (Vec::new(), Vec::new());
    let mut number = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        let due = began + pause * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let start = Instant::now();
        let id = commit(node, repo, &format!("k{}", number % 5000));
        let now = Instant::now();
        took.push((now - start).as_secs_f64() * 1000.0);
        done.push((id, now));
        number += 1;
    }
    (took, done)
}

fn at(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}

/// From the moment that a commit returned to the moment that a consumer has its change.
fn lags(dir: &Path, seconds: u64) {
    let (node, repo) = node(dir);
    let filter: Filter = r#"{"kinds":["change"]}"#.parse().expect("a filter");
    let mut consumer = node
        .subscribe(node.feed().now().expect("a cursor"), filter)
        .expect("a consumer");
    let is_over = AtomicBool::new(false);
    let (heard, (took, done)) = std::thread::scope(|scope| {
        let hearing = scope.spawn(|| {
            let mut heard = Vec::new();
            loop {
                let page = consumer.page(&node, 100, usize::MAX).expect("a page");
                let now = Instant::now();
                heard.extend(
                    page.events
                        .iter()
                        .map(|event| (commit_of(&event.told), now)),
                );
                if page.is_end {
                    if is_over.load(Ordering::Acquire) {
                        return heard;
                    }
                    consumer.wait(Duration::from_millis(100));
                }
            }
        });
        let written = write(&node, &repo, seconds);
        std::thread::sleep(Duration::from_millis(300));
        is_over.store(true, Ordering::Release);
        (hearing.join().expect("hears"), written)
    });
    let heard: Vec<(String, Instant)> = heard
        .into_iter()
        .map(|(id, heard)| (id.to_string(), heard))
        .collect();
    let name = "1,000 commits a second, a consumer in process";
    lag_rows(name, "<= 1", (&heard, &done), took);
    let rate = done.len() as f64 / seconds as f64;
    row(
        &format!("{name}: commits a second"),
        "1/s",
        "more",
        rate,
        &[],
        "",
    );
}

/// How long it took from commits to hearing of them.
fn lag_rows(
    name: &str,
    target: &str,
    (heard, done): (&[(String, Instant)], &[(CommitId, Instant)]),
    mut took: Vec<f64>,
) {
    assert_eq!(heard.len(), done.len(), "each commit is heard of once");
    let lags = heard.iter().zip(done).map(|((id, heard), (made, done))| {
        assert_eq!(*id, made.to_string(), "in order");
        heard.saturating_duration_since(*done).as_secs_f64() * 1000.0
    });
    let mut lags: Vec<f64> = lags.collect();
    let (median, late) = (at(&mut lags, 0.5), at(&mut lags, 0.99));
    eprintln!(
        "{name}: {} commits, each {:.3} ms; heard of {median:.3} ms after, p99 {late:.3}",
        done.len(),
        at(&mut took, 0.5),
    );
    row(
        &format!("{name}: lag, median"),
        "ms",
        "less",
        median,
        &[],
        "",
    );
    row(
        &format!("{name}: lag, p99"),
        "ms",
        "less",
        late,
        &[],
        target,
    );
}

/// The same over HTTP, as server-sent events that a plain socket reads.
fn streamed(dir: &Path, seconds: u64, runtime: &tokio::runtime::Runtime) {
    let (node, repo) = node(dir);
    let (stop, stopped) = watch::channel(false);
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = {
        let _inside = runtime.enter();
        HttpListener::bind(&node, HttpOptions::new(listen)).expect("listens")
    };
    let address = listener.url().replace("http://", "");
    let serving = runtime.spawn(listener.serve(stopped));
    let mut socket = std::net::TcpStream::connect(&address).expect("connects");
    let asked = format!(
        "GET /v1/events?from=now&kind=change HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n"
    );
    socket.write_all(asked.as_bytes()).expect("asks");
    let (begun, begins) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for line in BufReader::new(socket).lines() {
            let Ok(line) = line else { break };
            let now = Instant::now();
            // The first line of the stream says where it begins.
            if line.starts_with("id: ") {
                begun.send(()).ok();
            }
            if let Some(json) = line.strip_prefix("data: ") {
                let event: serde_json::Value = serde_json::from_str(json).expect("an event");
                let id = event["id"].as_str().expect("an id");
                heard.push((id.split('/').next().expect("a commit").to_owned(), now));
            }
        }
        heard
    });
    begins.recv().expect("the stream begins");
    let (took, done) = write(&node, &repo, seconds);
    std::thread::sleep(Duration::from_millis(500));
    stop.send_replace(true);
    let heard = reading.join().expect("reads");
    runtime.block_on(serving).expect("serves").expect("ends");
    let name = "1,000 commits a second, over HTTP as server-sent events";
    lag_rows(name, "<= 5", (&heard, &done), took);
}

fn commit_of(told: &Told) -> CommitId {
    match told {
        Told::Change {
            by: allod_feed::ChangedBy::Commit { id, .. },
            ..
        } => *id,
        other => panic!("another event: {other:?}"),
    }
}

/// What a thousand consumers that wait and a hundred that are slow do to whoever writes.
fn crowd(dir: &Path, seconds: u64, runtime: &tokio::runtime::Runtime) {
    let (node, repo) = node(dir);
    // Turns about, as a disk is not the same from one second to the next.
    // The median of its turns counts: one flush of the disk in one of them is no consumer's doing.
    let (mut alone, mut among) = (Vec::new(), Vec::new());
    let late = |seconds| at(&mut write(&node, &repo, seconds).0, 0.99);
    write(&node, &repo, 1);
    let mut memory = 0;
    let events = Arc::new(AtomicUsize::new(0));
    for _ in 0..5 {
        alone.push(late(seconds / 3));
        let (stop, stopped) = watch::channel(false);
        let before = memory_kib();
        let mut tasks = Vec::new();
        for number in 0..IDLE + SLOW {
            let text = if number < IDLE {
                format!(r#"{{"prefixes":["nobody/{number}/"]}}"#)
            } else {
                r#"{"kinds":["change"]}"#.to_owned()
            };
            let from = node.feed().now().expect("a cursor");
            let consumer = node
                .subscribe(from, text.parse().expect("a filter"))
                .expect("a consumer");
            let task = consume(node.clone(), consumer, stopped.clone(), Arc::clone(&events));
            tasks.push(runtime.spawn(task));
        }
        among.push(late(seconds / 3));
        memory = memory.max(memory_kib().saturating_sub(before));
        stop.send_replace(true);
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("consumes to the end");
            }
        });
    }
    let (with, without) = (at(&mut among, 0.5), at(&mut alone, 0.5));
    eprintln!(
        "commits: p99 {without:.3} and {with:.3} ms; {memory} KiB; {} events to slow ones",
        events.load(Ordering::Relaxed)
    );
    let name = "1,000 idle and 100 slow consumers";
    row(
        &format!("{name}: a commit, p99, next to one without them"),
        "ms",
        "less",
        with,
        &[("without consumers", without)],
        "<= 1.1 of it",
    );
    let each = memory as f64 / (IDLE + SLOW) as f64;
    row(
        &format!("{name}: memory of a consumer"),
        "KiB",
        "less",
        each,
        &[],
        "<= 50",
    );
}

/// Takes an event now and then, until it is told to end.
async fn consume(
    node: Node,
    mut consumer: Subscription,
    mut stop: watch::Receiver<bool>,
    events: Arc<AtomicUsize>,
) {
    loop {
        let page = consumer.page(&node, 1, 4096).expect("a page");
        events.fetch_add(page.events.len(), Ordering::Relaxed);
        let next = async {
            if page.events.is_empty() {
                consumer.ready().await;
            } else {
                tokio::time::sleep(SLOWLY).await;
            }
        };
        tokio::select! {
            () = next => {}
            _ = stop.changed() => return,
        }
    }
}

fn server() -> Option<PathBuf> {
    let named = std::env::var_os("NATS_SERVER").map(PathBuf::from);
    let named = named.unwrap_or_else(|| "nats-server".into());
    let is_there = Command::new(&named)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    is_there.is_ok().then_some(named)
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A log to a stream, and the same messages to another stream by the client alone.
fn broker(dir: &Path, program: &Path, commits: usize, runtime: &tokio::runtime::Runtime) {
    const KEYS: usize = 2000;
    let (node, repo) = node(&dir.join("broker"));
    let main = BranchName::main();
    for number in 0..commits {
        let edits = (0..KEYS).map(|key| {
            let key = Bytes::from(format!("k{:06}", (number * 7919 + key * 31) % 1_000_000));
            (key, Edit::Put(Bytes::from_static(&[b'v'; 100])))
        });
        repo.stage(&main, edits, allod::now_ms()).expect("stages");
        repo.commit_staged(
            &main,
            node.author().expect("an author"),
            "",
            allod::now_ms(),
        )
        .expect("commits");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let mut command = Command::new(program);
    command
        .args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"])
        .arg(dir.join("nats"));
    let server = Server(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a broker"),
    );
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = format!("nats://127.0.0.1:{port}");
    let text = format!(
        r#"{{"to":{{"nats":{{"url":"{url}","stream":"ours"}}}},"filter":{{"kinds":["change"]}}}}"#
    );
    let definition: Definition = text.parse().expect("a sink");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut messages = Vec::new();
    for round in 0..5 {
        let name = format!("sink{round}");
        node.sinks()
            .add(&name, &definition, node.feed().beginning())
            .expect("a sink");
        let (_stop, stopping) = watch::channel(false);
        let (began, worked) = (Instant::now(), processor_ms(&server));
        let standing = node.carry_sink(&name, stopping).expect("carries");
        let seconds = began.elapsed().as_secs_f64();
        assert_eq!(
            standing.state.delivered as usize,
            commits * KEYS,
            "all are delivered"
        );
        ours.push(standing.state.delivered as f64 / seconds);
        let ours_took = since(&worked, &processor_ms(&server));
        node.sinks().remove(&name).expect("is removed");
        if messages.is_empty() {
            messages = runtime.block_on(read(&url, commits * KEYS));
        }
        let (began, worked) = (Instant::now(), processor_ms(&server));
        runtime.block_on(publish(&url, &messages));
        theirs.push(messages.len() as f64 / began.elapsed().as_secs_f64());
        let theirs_took = since(&worked, &processor_ms(&server));
        eprintln!("processor of client and server, ms: {ours_took:?}, async-nats {theirs_took:?}");
        runtime.block_on(async {
            let context = jetstream::new(async_nats::connect(&url).await.expect("connects"));
            for stream in ["ours", "theirs"] {
                context.delete_stream(stream).await.expect("deletes");
            }
        });
    }
    eprintln!("{ours:.0?} and {theirs:.0?}");
    let (ours, theirs) = (at(&mut ours, 0.5), at(&mut theirs, 0.5));
    eprintln!("{ours:.0} events a second, async-nats {theirs:.0}");
    let name = format!("{} changes to NATS JetStream, in files", commits * KEYS);
    row(
        &name,
        "events/s",
        "more",
        ours,
        &[("async-nats alone, the same messages", theirs)],
        ">= 100,000, or 0.8 of async-nats",
    );
}

/// What the sink has published.
async fn read(url: &str, count: usize) -> Vec<(String, async_nats::HeaderMap, Bytes)> {
    let context = jetstream::new(async_nats::connect(url).await.expect("connects"));
    let stream = context.get_stream("ours").await.expect("the stream");
    let config = consumer::pull::OrderedConfig::default();
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let mut messages = consumer.messages().await.expect("messages").take(count);
    let mut read = Vec::new();
    while let Some(message) = messages.next().await {
        let message = message.expect("a message");
        let mut headers = async_nats::HeaderMap::new();
        for (name, values) in message.headers.iter().flat_map(|headers| headers.iter()) {
            if !name.to_string().starts_with("Nats-Expected") {
                for value in values {
                    headers.append(name.clone(), value.clone());
                }
            }
        }
        read.push((
            message.subject.to_string().replacen("ours.", "theirs.", 1),
            headers,
            message.payload.clone(),
        ));
    }
    read
}

async fn publish(url: &str, messages: &[(String, async_nats::HeaderMap, Bytes)]) {
    let client = async_nats::connect(url).await.expect("connects");
    let context = jetstream::context::ContextBuilder::new()
        .max_ack_inflight(WINDOW)
        .build(client);
    let config = stream::Config {
        name: "theirs".to_owned(),
        subjects: vec!["theirs.>".to_owned()],
        storage: stream::StorageType::File,
        ..stream::Config::default()
    };
    context.create_stream(config).await.expect("a stream");
    for window in messages.chunks(WINDOW) {
        let mut under_way = Vec::with_capacity(WINDOW);
        for (subject, headers, payload) in window {
            let message = PublishMessage::build()
                .headers(headers.clone())
                .payload(payload.clone());
            under_way.push(
                context
                    .send_publish(subject.clone(), message)
                    .await
                    .expect("sends"),
            );
        }
        for ack in under_way {
            ack.await.expect("is kept");
        }
    }
}

fn row(case: &str, unit: &str, better: &str, ours: f64, peers: &[(&str, f64)], target: &str) {
    let peers: serde_json::Map<String, serde_json::Value> = peers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    println!(
        "{}",
        serde_json::json!({
            "area": "feed", "case": case, "unit": unit, "better": better,
            "ours": ours, "peers": peers, "target": target,
        })
    );
}

/// For how long processors have worked for this process and for a server, in milliseconds.
fn processor_ms(server: &Server) -> [u64; 2] {
    ["self".to_owned(), server.0.id().to_string()].map(|process| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Behind the name, which may have spaces, the 12th and 13th, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
    })
}

fn since(before: &[u64; 2], after: &[u64; 2]) -> [u64; 2] {
    std::array::from_fn(|at| after[at].saturating_sub(before[at]))
}

/// What is resident of this process, in KiB.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
