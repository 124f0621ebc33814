//! The versioned store beside others: merges beside prolly-map in memory, commits and reads beside
//! doltlite on disk.
//!
//! Prints a line of JSON per row. `--quick` leaves the spaces of a million entries out, `--huge` adds one of ten
//! million; `--merge`, `--growth`, `--disk` and `--rights` run that part alone.

mod disk;
mod growth;
mod merge;
mod rights;

use allod_identity::SecretKey;
use allod_repo::Author;
use serde_json::{Map, Value, json};

/// As in the node.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prints a row: ours, and the peer's figure.
fn row(case: &str, unit: &str, ours: f64, peer: Option<(&str, f64)>, target: &str) {
    let peers: Map<String, Value> = peer
        .into_iter()
        .map(|(name, figure)| (name.to_owned(), json!(rounded(figure))))
        .collect();
    println!(
        "{}",
        json!({
            "area": "repo",
            "case": case,
            "unit": unit,
            "better": "less",
            "ours": rounded(ours),
            "peers": peers,
            "target": target,
        })
    );
}

fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn author(key: &SecretKey) -> Author<'_> {
    Author {
        agent: key.agent_id(),
        key,
    }
}

fn main() {
    let said = |word: &str| std::env::args().any(|argument| argument == word);
    let (quick, huge) = (said("--quick"), said("--huge"));
    let mut sizes = vec![10_000, 100_000];
    sizes.extend((!quick).then_some(1_000_000));
    sizes.extend(huge.then_some(10_000_000));
    let all = !["--merge", "--growth", "--disk", "--rights"]
        .into_iter()
        .any(said);
    if all || said("--merge") {
        merge::run(&sizes);
    }
    if all || said("--growth") {
        growth::run(&sizes);
    }
    if all || said("--rights") {
        rights::run();
    }
    if all || said("--disk") {
        disk::run(quick);
    }
}
