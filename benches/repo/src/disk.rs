//! Durable commits and reads beside doltlite, which is driven through its SQL from Python.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use allod_blocks::FjallStore;
use allod_identity::SecretKey;
use allod_repo::{BranchName, Edit, Genesis, Repo, SpaceClass};
use bytes::Bytes;

use crate::{author, median, row};

const PEER: &str = "doltlite 0.51.3 (SQL, Python)";
const NOW: u64 = 1_700_000_000_000;
const VALUE_BYTES: usize = 100;
const READS: usize = 1000;

/// Commits in a row, as a program makes them, before it is the other's turn. One at a time, each finds
/// what the other left of the caches, and the disk asleep.
const RUN: usize = 10;

fn key(index: usize) -> String {
    format!("key/{:08}", index.wrapping_mul(2_654_435_761) % 100_000_000)
}

struct Ours {
    repo: Repo,
    who: SecretKey,
    entries: usize,
    round: u8,
    _dir: tempfile::TempDir,
}

impl Ours {
    fn new(entries: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let who = SecretKey::from_seed([7; 32]);
        let genesis = Genesis {
            at: NOW,
            class: SpaceClass::Convergent,
            name: "bench".into(),
            nonce: [1; 16],
            owner: who.agent_id(),
        };
        let store = Arc::new(FjallStore::open(dir.path()).expect("opens"));
        let repo = Repo::create(store, genesis, author(&who)).expect("a space");
        let mut ours = Self {
            repo,
            who,
            entries,
            round: 0,
            _dir: dir,
        };
        ours.one_step(0, entries);
        ours
    }

    fn changes(&mut self, from: usize, count: usize) -> Vec<(Bytes, Bytes)> {
        self.round = self.round.wrapping_add(1);
        let value = Bytes::from(vec![self.round; VALUE_BYTES]);
        (from..from + count)
            .map(|index| (Bytes::from(key(index % self.entries)), value.clone()))
            .collect()
    }

    /// Stages, which is durable, and commits, which is durable; milliseconds.
    fn two_steps(&mut self, from: usize, count: usize) -> f64 {
        let changes = self.changes(from, count);
        let (main, author) = (BranchName::main(), author(&self.who));
        let started = Instant::now();
        let edits = changes
            .into_iter()
            .map(|(key, value)| (key, Edit::Put(value)));
        self.repo.stage(&main, edits, NOW).expect("stages");
        self.repo
            .commit_staged(&main, author, "bench", NOW)
            .expect("commits");
        started.elapsed().as_secs_f64() * 1e3
    }

    /// Commits a transaction, which is one durable step; milliseconds.
    fn one_step(&mut self, from: usize, count: usize) -> f64 {
        let changes = self.changes(from, count);
        let author = author(&self.who);
        let started = Instant::now();
        let mut transaction = self.repo.begin(&BranchName::main()).expect("begins");
        for (key, value) in changes {
            transaction.put(key, value).expect("puts");
        }
        transaction.commit(author, "bench", NOW).expect("commits");
        started.elapsed().as_secs_f64() * 1e3
    }

    /// Microseconds a read.
    fn read(&self, from: usize) -> f64 {
        let view = self.repo.state(&BranchName::main()).expect("a state");
        let started = Instant::now();
        for index in from..from + READS {
            let key = key(index.wrapping_mul(7919) % self.entries);
            assert!(view.get(key.as_bytes()).expect("reads").is_some());
        }
        started.elapsed().as_secs_f64() * 1e6 / READS as f64
    }
}

/// doltlite in a process of its own, which measures what it is told to.
struct Peer {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

const SCRIPT: &str = include_str!("doltlite_peer.py");

impl Peer {
    /// Installs doltlite from PyPI into `dir` and starts it there.
    fn new(dir: &Path, entries: usize) -> Self {
        let packages = dir.join("packages");
        let installed = Command::new("python3")
            .args(["-m", "pip", "install", "-q", "--target"])
            .arg(&packages)
            .arg("doltlite==0.51.3")
            .stderr(Stdio::null())
            .status()
            .expect("python3 runs");
        assert!(installed.success(), "doltlite can be installed");
        let script = dir.join("peer.py");
        std::fs::write(&script, SCRIPT).expect("writes");
        let mut child = Command::new("python3")
            .arg(&script)
            .args([dir.join("db").display().to_string(), entries.to_string()])
            .env("PYTHONPATH", &packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let asked = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            child,
            asked,
            answers,
        }
    }

    fn ask(&mut self, what: &str, from: usize, count: usize) -> f64 {
        writeln!(self.asked, "{what} {from} {count}").expect("it listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        line.trim().parse().expect("a figure")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn run(quick: bool) {
    let entries = if quick { 10_000 } else { 100_000 };
    let dir = tempfile::tempdir().expect("a directory");
    let mut ours = Ours::new(entries);
    let mut peer = Peer::new(dir.path(), entries);
    let rounds = if quick { 20 } else { 100 };
    for (case, count) in [
        ("put one key and commit, durable", 1),
        ("commit of 1000 rows", 1000),
    ] {
        for (run, pace) in [(RUN, ""), (1, ", after a pause")] {
            let mut figures = [const { Vec::new() }; 4];
            for round in 0..rounds / run {
                // Places that no other round had, so that each finds its nodes as cold as the others.
                let from = |step: usize, turn: usize| (4 * (round * run + turn) + step) * 7919;
                let turns = 0..run;
                figures[0].extend(
                    turns
                        .clone()
                        .map(|turn| ours.one_step(from(0, turn), count)),
                );
                figures[1].extend(
                    turns
                        .clone()
                        .map(|turn| peer.ask("one", from(1, turn), count)),
                );
                figures[2].extend(
                    turns
                        .clone()
                        .map(|turn| ours.two_steps(from(2, turn), count)),
                );
                figures[3].extend(turns.map(|turn| peer.ask("two", from(3, turn), count)));
            }
            let [ours_one, peer_one, ours_two, peer_two] = figures.map(median);
            // Whichever way serves the peer better.
            let peer_best = Some((PEER, peer_one.min(peer_two)));
            let target = if run > 1 { "<= 0.5x doltlite" } else { "" };
            row(&format!("{case}{pace}"), "ms", ours_one, peer_best, target);
            let case = format!("{case}, staged durably before{pace}");
            row(&case, "ms", ours_two, Some((PEER, peer_two)), "");
        }
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        left.push(ours.read(round * READS));
        right.push(peer.ask("read", round * READS, READS));
    }
    row(
        "point read",
        "us",
        median(left),
        Some((PEER, median(right))),
        "<= 0.5x doltlite",
    );
}
