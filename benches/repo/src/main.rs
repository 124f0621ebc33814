//! The versioned store beside others: merges beside prolly-map in memory, commits and reads beside
//! doltlite on disk.
//!
//! Prints a line of JSON per row. `--quick` takes 100 000 entries instead of a million.

mod disk;
mod merge;

use serde_json::{Map, Value, json};

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

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    merge::run(quick);
    disk::run(quick);
}
