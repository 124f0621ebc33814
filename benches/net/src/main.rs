//! The QUIC endpoint beside raw quinn with the same settings and iroh with its defaults.
//!
//! Server and client run on runtimes of one thread each, on a core of their own, over loopback. The
//! contenders take turns, round by round, and the median of the rounds counts. One line of JSON for
//! each case goes to stdout, the single measurements to stderr.
//!
//! `--quick` sends 256 MiB instead of 1 GiB and runs fewer rounds. `--mtu` measures instead how the
//! largest packet changes the throughput of raw quinn.

mod iroh_peer;
mod ours;
mod raw;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Map, json};

/// Bytes of one message when sending in bulk; ours sends it as one frame.
const BULK_MESSAGE_BYTES: usize = 64 * 1024;

/// Bytes of one message that is echoed.
const ECHO_BYTES: usize = 1024;

/// The first byte of a message: swallow all until the end, and answer once.
const SINK: u8 = 0;

/// The first byte of a message: put messages together until the end, and answer once.
const WHOLE: u8 = 2;

/// The first byte of a message: send it back.
const ECHO: u8 = 1;

/// Called with the server's address once it listens.
type Ready = Box<dyn FnOnce(SocketAddr)>;

type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// What the client does.
#[derive(Clone, Copy)]
enum Job {
    /// Sends this many bytes on one stream.
    Bulk(usize),
    /// Echoes so many messages on one stream.
    Echo(usize),
    /// Opens so many streams, one after the other, each with one echo.
    Streams(usize),
}

impl Job {
    /// Messages or streams to begin with, which do not count.
    fn warm_up(self) -> usize {
        match self {
            Self::Bulk(bytes) => bytes / BULK_MESSAGE_BYTES / 16,
            Self::Echo(count) | Self::Streams(count) => count / 10,
        }
    }
}

/// What can be chosen of raw quinn.
#[derive(Clone, Copy, Default)]
struct Raw {
    /// The largest UDP payload.
    mtu: u16,
    /// Whether the server puts the messages of a bulk together, as whoever uses them has to, or
    /// drops the pieces as they come.
    whole: bool,
}

/// A way to carry messages: how to serve, and how to run a job against the server.
#[derive(Clone)]
struct Contender {
    name: String,
    serve: fn(Raw, Ready) -> Task<()>,
    client: fn(Raw, SocketAddr, Job) -> Task<Vec<f64>>,
    /// What can be chosen of raw quinn.
    raw: Raw,
}

impl Contender {
    fn ours() -> Self {
        Self {
            name: "ours".to_owned(),
            serve: |_, ready| Box::pin(ours::serve(ready)),
            client: |_, addr, job| Box::pin(ours::client(addr, job)),
            raw: Raw::default(),
        }
    }

    fn raw(mtu: u16, whole: bool) -> Self {
        let suffix = if whole { ", whole messages" } else { "" };
        Self {
            name: format!("quinn 0.11.12 raw{suffix}"),
            serve: |raw, ready| Box::pin(raw::serve(raw, ready)),
            client: |raw, addr, job| Box::pin(raw::client(raw, addr, job)),
            raw: Raw { mtu, whole },
        }
    }

    fn iroh() -> Self {
        Self {
            name: "iroh 1.4.1".to_owned(),
            serve: |_, ready| Box::pin(iroh_peer::serve(ready)),
            client: |_, addr, job| Box::pin(iroh_peer::client(addr, job)),
            raw: Raw::default(),
        }
    }

    /// Runs the job once. Gives MB/s for bulk, otherwise the median of the round trips in us. The
    /// threads are named, so that a profiler can tell them apart.
    fn run(&self, job: Job) -> f64 {
        let thread = |side: &str| std::thread::Builder::new().name(format!("{side}{}", self.name));
        let (tell, told) = std::sync::mpsc::channel();
        let (serve, client, raw) = (self.serve, self.client, self.raw);
        let server = move || {
            let ready = Box::new(move |addr| tell.send(addr).expect("the client waits"));
            on_core(1, serve(raw, ready));
        };
        let server = thread("s:").spawn(server).expect("a thread");
        let addr = told.recv().expect("a server");
        let client = move || on_core(0, client(raw, addr, job));
        let client = thread("c:").spawn(client).expect("a thread");
        let samples = client.join().expect("a result");
        server.join().expect("the server ends with its connection");
        median(samples)
    }
}

/// Runs a future on a runtime of one thread that stays on one core.
fn on_core<T>(core: usize, task: Task<T>) -> T {
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(task)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Times each step in microseconds.
async fn timed<F: AsyncFnMut()>(job: Job, count: usize, mut step: F) -> Vec<f64> {
    for _ in 0..job.warm_up() {
        step().await;
    }
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        step().await;
        samples.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    samples
}

/// A message of `len` bytes with its first byte set.
fn message(first: u8, len: usize) -> Bytes {
    let mut bytes = vec![0x5a; len];
    bytes[0] = first;
    bytes.into()
}

/// MB/s, with a million bytes to the MB.
fn rate(bytes: usize, begun: Instant) -> Vec<f64> {
    vec![bytes as f64 / begun.elapsed().as_secs_f64() / 1e6]
}

struct Case {
    name: &'static str,
    unit: &'static str,
    better: &'static str,
    target: &'static str,
    job: Job,
}

fn cases(quick: bool) -> [Case; 3] {
    let (bulk, name, count) = if quick {
        (256 << 20, "one stream, 256 MiB", 2_000)
    } else {
        (1 << 30, "one stream, 1 GiB", 10_000)
    };
    [
        Case {
            name,
            unit: "MB/s",
            better: "more",
            target: ">= 0.95x raw quinn, not slower than iroh",
            job: Job::Bulk(bulk),
        },
        Case {
            name: "echo 1 KiB, p50",
            unit: "us",
            better: "less",
            target: "<= 1.1x raw quinn, not slower than iroh",
            job: Job::Echo(count),
        },
        Case {
            name: "new stream and echo 1 KiB, p50",
            unit: "us",
            better: "less",
            target: "<= 1.1x raw quinn, not slower than iroh",
            job: Job::Streams(count),
        },
    ]
}

fn compare(quick: bool) {
    let contenders = [
        Contender::ours(),
        Contender::raw(raw::MTU_MAX, false),
        Contender::raw(raw::MTU_MAX, true),
        Contender::iroh(),
    ];
    let rounds = if quick { 3 } else { 11 };
    for case in cases(quick) {
        let mut results = vec![Vec::new(); contenders.len()];
        for round in 0..rounds {
            for (contender, results) in contenders.iter().zip(&mut results) {
                let result = contender.run(case.job);
                eprintln!(
                    "{}: {} round {round}: {result:.1} {}",
                    case.name, contender.name, case.unit
                );
                results.push(result);
            }
        }
        let figure = |values: Vec<f64>| (median(values) * 10.0).round() / 10.0;
        let mut figures = contenders.iter().zip(results.into_iter().map(figure));
        let ours = figures.next().map(|(_, figure)| figure);
        let peers: Map<_, _> = figures
            .map(|(peer, figure)| (peer.name.clone(), json!(figure)))
            .collect();
        println!(
            "{}",
            json!({
                "area": "quic", "case": case.name, "unit": case.unit, "better": case.better,
                "ours": ours, "peers": peers, "target": case.target,
            })
        );
    }
}

fn compare_mtu(quick: bool) {
    let bytes = if quick { 256 << 20 } else { 1 << 30 };
    for _round in 0..3 {
        for mtu in [1452, 4000, 6000, 6500, 9000] {
            let result = Contender::raw(mtu, false).run(Job::Bulk(bytes));
            eprintln!("raw quinn, packets of up to {mtu}: {result:.0} MB/s");
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--mtu") {
        compare_mtu(has("--quick"));
    } else {
        compare(has("--quick"));
    }
}
