//! A large blob from one node to another over loopback QUIC, beside iroh-blobs.
//!
//! Each side is a process of its own, so that its memory can be stated: this program starts itself. The
//! content comes from a generator and is nowhere twice; the receiver's copy is read back and its hash
//! compared. The contenders take turns, and the median of the rounds counts.
//!
//! What counts is the time until all of it is durable. iroh-blobs says that it is done before that, so
//! its files are synced after it, and the time at which it said so is stated too.
//!
//! Then a smaller one comes from two senders at once, and again from one, in turn.
//!
//! `--quick` sends 512 MB instead of 10 GB, `--bytes N` as many as it says. `--rounds N` runs more rounds than
//! there would be: three, or one from 4 GB on. `--sources` runs the part with two senders alone. The directory for
//! temporary files needs room for the blob twice.

mod content;
mod iroh_peer;
mod ours;
mod sources;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// That of the node, for both.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The bytes of a whole run, and of a quick one.
const BYTES: u64 = 10_000_000_000;
const QUICK_BYTES: u64 = 512_000_000;

/// From so many bytes on one round is enough.
const LONG_BYTES: u64 = 4_000_000_000;

/// The second size of a run is so many times smaller: memory must not follow it.
const SMALLER: u64 = 8;

const IROH: &str = "iroh-blobs 0.104, synced";
const IROH_UNSYNCED: &str = "iroh-blobs 0.104, as it says that it is done";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [side, dir, what] = args.as_slice()
        && !side.starts_with("--")
    {
        return run_side(side, Path::new(dir), what);
    }
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        Some(args.get(at + 1)?.parse::<u64>().expect("a number"))
    };
    let is_quick = args.iter().any(|arg| arg == "--quick");
    let default = if is_quick { QUICK_BYTES } else { BYTES };
    let bytes = number("--bytes").unwrap_or(default);
    let smaller = bytes / SMALLER;
    if args.iter().any(|arg| arg == "--sources") {
        return sources::compare(smaller, number("--rounds").unwrap_or(3));
    }
    let mut peaks = Vec::new();
    for bytes in [smaller, bytes] {
        let rounds = number("--rounds").unwrap_or(if bytes < LONG_BYTES { 3 } else { 1 });
        let hash = content::hash(bytes);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(transfer("ours", bytes, &hash));
            theirs.push(transfer("iroh", bytes, &hash));
        }
        report(bytes, &ours, &theirs);
        peaks.push([&ours, &theirs].map(|runs| median(runs, |run| run.receiver_mib)));
    }
    if let [[small, small_iroh], [large, large_iroh]] = peaks[..] {
        row(
            &format!(
                "receiver: peak memory with {} as part of that with {}",
                size(bytes),
                size(smaller)
            ),
            ("x", "less"),
            large / small,
            json!({ IROH: large_iroh / small_iroh }),
            "<= 1.1",
        );
    }
    sources::compare(smaller, 3);
}

/// What one transfer took.
struct Run {
    add_seconds: f64,
    seconds: f64,
    /// When the receiver said that it was done.
    done_seconds: f64,
    sender_mib: f64,
    receiver_mib: f64,
}

/// Runs both sides of a contender, each in a process of its own.
fn transfer(contender: &str, bytes: u64, hash: &str) -> Run {
    let dir = tempfile::tempdir().expect("a directory");
    let mut sender = Side::start(
        &format!("{contender}-send"),
        &dir.path().join("sender"),
        &bytes.to_string(),
    );
    let added = sender.said();
    let invitation = added["invitation"].to_string();
    let mut receiver = Side::start(
        &format!("{contender}-receive"),
        &dir.path().join("receiver"),
        &invitation,
    );
    let received = receiver.said();
    let read = receiver.said();
    assert_eq!(read["hash"], hash, "the content that was read back");
    receiver.end();
    sender.ask_to_end();
    let sent = sender.said();
    sender.end();
    let number = |value: &Value, name: &str| value[name].as_f64().expect(name);
    let run = Run {
        add_seconds: number(&added, "seconds"),
        seconds: number(&received, "seconds"),
        done_seconds: number(&received, "done_seconds"),
        sender_mib: number(&sent, "peak_mib"),
        receiver_mib: number(&received, "peak_mib"),
    };
    let rate = |seconds: f64| bytes as f64 / 1e6 / seconds;
    eprintln!(
        "{contender}, {}: added at {:.0} MB/s; sent at {:.0} MB/s ({:.0} until it said so), processor s/GB {} and {}; sender {:.0} MiB, receiver {:.0} MiB",
        size(bytes),
        rate(run.add_seconds),
        rate(run.seconds),
        rate(run.done_seconds),
        per_gb(&sent, bytes),
        per_gb(&received, bytes),
        run.sender_mib,
        run.receiver_mib,
    );
    run
}

fn per_gb(said: &Value, bytes: u64) -> String {
    let seconds = said["processor_seconds"].as_f64().expect("a time");
    format!("{:.2}", seconds * 1e9 / bytes as f64)
}

fn report(bytes: u64, ours: &[Run], theirs: &[Run]) {
    let rates = |runs: &[Run], seconds: fn(&Run) -> f64| bytes as f64 / 1e6 / median(runs, seconds);
    let size = size(bytes);
    row(
        &format!("{size} to another node, verified and durable"),
        ("MB/s", "more"),
        rates(ours, |run| run.seconds),
        json!({
            IROH: rates(theirs, |run| run.seconds),
            IROH_UNSYNCED: rates(theirs, |run| run.done_seconds),
        }),
        ">= 0.9x iroh-blobs",
    );
    row(
        &format!("{size} into the first store, durable"),
        ("MB/s", "more"),
        rates(ours, |run| run.add_seconds),
        json!({ IROH: rates(theirs, |run| run.add_seconds) }),
        "stated",
    );
    for (who, of) in [
        ("receiver", (|run| run.receiver_mib) as fn(&Run) -> f64),
        ("sender", |run| run.sender_mib),
    ] {
        row(
            &format!("{who}: peak memory while {size} are on the way"),
            ("MiB", "less"),
            median(ours, of),
            json!({ IROH: median(theirs, of) }),
            "the same for each size",
        );
    }
}

fn row(case: &str, (unit, better): (&str, &str), ours: f64, peers: Value, target: &str) {
    println!(
        "{}",
        json!({
            "area": "blobs", "case": case, "unit": unit, "better": better,
            "ours": ours, "peers": peers, "target": target,
        })
    );
}

fn median<R>(runs: &[R], of: impl Fn(&R) -> f64) -> f64 {
    let mut figures: Vec<f64> = runs.iter().map(of).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn size(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

/// A process that is one side of a transfer. It says what there is to say in lines of JSON, and a sender
/// serves until nothing more can come on its input.
struct Side {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Side {
    fn start(side: &str, dir: &Path, what: &str) -> Self {
        std::fs::create_dir(dir).expect("a directory");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(side).arg(dir).arg(what);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("starts");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        Self { process, output }
    }

    fn said(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("what a side says")
    }

    fn tell(&mut self, what: &Value) {
        let input = self.process.stdin.as_mut().expect("its input");
        writeln!(input, "{what}").expect("is told");
    }

    fn ask_to_end(&mut self) {
        drop(self.process.stdin.take());
    }

    fn end(mut self) {
        self.ask_to_end();
        assert!(self.process.wait().expect("ends").success());
    }
}

fn run_side(side: &str, dir: &Path, what: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let what: Value = serde_json::from_str(what).expect("what to do");
    runtime.block_on(async {
        match side {
            "ours-send" => ours::send(dir, what.as_u64().expect("bytes")).await,
            "ours-receive" => ours::receive(dir, &what).await,
            "ours-pass-on" => ours::pass_on(dir, &what).await,
            "ours-receive-from-two" => ours::receive_from_two(dir, &what).await,
            "iroh-send" => iroh_peer::send(dir, what.as_u64().expect("bytes")).await,
            "iroh-receive" => iroh_peer::receive(dir, &what).await,
            _ => panic!("no side {side}"),
        }
    });
}

/// Says something to the process that started this one.
fn say(what: Value) {
    println!("{what}");
}

/// Returns once nobody waits for this process any more.
async fn asked_to_end() {
    let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    let ended = tokio::task::spawn_blocking(read).await;
    ended.expect("reads").expect("an end");
}

/// What this process used since it was begun.
struct Usage {
    processor_seconds: f64,
}

impl Usage {
    /// Forgets the most memory that this process had so far.
    fn begin() -> Self {
        std::fs::write("/proc/self/clear_refs", "5").expect("a new peak");
        Self {
            processor_seconds: processor_seconds(),
        }
    }

    fn peak_mib(&self) -> f64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("a status");
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.expect("a peak") / 1024.0
    }

    fn processor_seconds(&self) -> f64 {
        processor_seconds() - self.processor_seconds
    }
}

/// Processor time of this process, in ticks of which the kernel reports a hundred a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a status");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks
        .map(|field| field.parse::<f64>().expect("ticks"))
        .sum();
    ticks / 100.0
}
