//! DuckDB and doltlite, each driven by a Python process that measures what it is told to.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::median;
use crate::people::People;

/// What a figure of each is called: time is taken within Python, around executing and fetching.
pub(crate) const DUCKDB: &str = "DuckDB 2.0.1 (Python)";
pub(crate) const DOLTLITE: &str = "doltlite 0.51.3 (Python)";

/// What is installed for them.
const PACKAGES: [&str; 2] = ["duckdb==2.0.1", "doltlite==0.51.3"];

const SCRIPT: &str = include_str!("sql_peer.py");

/// Runs of which the median counts.
const ROUNDS: usize = 3;

/// Where Python has the engines, installed once for all sizes.
pub(crate) struct Packages(TempDir);

impl Packages {
    /// Installs the engines from PyPI.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let installed = Command::new("python3")
            .args(["-m", "pip", "install", "-q", "--target"])
            .arg(dir.path())
            .args(PACKAGES)
            .stderr(Stdio::null())
            .status()
            .expect("python3 runs");
        assert!(installed.success(), "{PACKAGES:?} can be installed");
        Self(dir)
    }
}

/// Both engines with the rows of a space.
pub(crate) struct Peers {
    duckdb: Peer,
    doltlite: Peer,
}

impl Peers {
    pub(crate) fn new(packages: &Packages, people: &People) -> Self {
        let rows = people.csv();
        Self {
            duckdb: Peer::new("duckdb", packages, (people, &rows)),
            doltlite: Peer::new("doltlite", packages, (people, &rows)),
        }
    }

    /// Microseconds of a statement, run for each of these parameters.
    pub(crate) fn each(&mut self, sql: &str, parameters: &[String]) -> [(&'static str, f64); 2] {
        let each: Vec<Vec<&String>> = parameters.iter().map(|one| vec![one]).collect();
        let asked = json!({ "sql": sql, "each": each }).to_string();
        self.ask(&asked)
    }

    /// Milliseconds of a statement without parameters.
    pub(crate) fn once(&mut self, sql: &str) -> [(&'static str, f64); 2] {
        let asked = json!({ "sql": sql, "each": [[]] }).to_string();
        self.ask(&asked).map(|(name, us)| (name, us / 1000.0))
    }

    fn ask(&mut self, asked: &str) -> [(&'static str, f64); 2] {
        [(DUCKDB, &mut self.duckdb), (DOLTLITE, &mut self.doltlite)].map(|(name, peer)| {
            let figures = (0..ROUNDS).map(|_| peer.ask(asked)).collect();
            (name, median(figures))
        })
    }
}

struct Peer {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn new(
        engine: &str,
        Packages(packages): &Packages,
        (people, rows): (&People, &PathBuf),
    ) -> Self {
        let dir: &Path = people.dir();
        let script = dir.join("sql_peer.py");
        std::fs::write(&script, SCRIPT).expect("writes");
        let mut child = Command::new("python3")
            .arg(&script)
            .arg(engine)
            .arg(dir.join(engine))
            .arg(rows)
            .arg(people.size().to_string())
            .env("PYTHONPATH", packages.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let asked = child.stdin.take().expect("a pipe");
        let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        answers.read_line(&mut line).expect("it answers");
        assert_eq!(line.trim(), "ready", "{engine} has the rows");
        Self {
            child,
            asked,
            answers,
        }
    }

    fn ask(&mut self, asked: &str) -> f64 {
        writeln!(self.asked, "{asked}").expect("it listens");
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
