//! The tree beside other ordered maps, in one run on one thread.
//!
//! Prints a line of JSON per row on standard output and progress on standard error.
//! `--quick` takes 100 000 entries instead of a million.

mod candidates;
mod data;

use std::collections::BTreeMap;

use candidates::Figures;
use data::Data;
use serde_json::json;

/// Makes the allocator of glibc keep what is freed, for all candidates alike: otherwise each pays
/// for fresh pages or not depending on who ran before.
const ALLOCATOR: [(&str, &str); 2] = [
    ("MALLOC_TRIM_THRESHOLD_", "4294967296"),
    ("MALLOC_MMAP_THRESHOLD_", "1073741824"),
];

/// What a row is about.
struct Row {
    case: &'static str,
    unit: &'static str,
    better: &'static str,
    target: &'static str,
}

const ROWS: [Row; 9] = [
    Row {
        case: "build sorted",
        unit: "ms",
        better: "less",
        target: "<= 0.7x prolly-map",
    },
    Row {
        case: "build random",
        unit: "ms",
        better: "less",
        target: "<= 0.4x prolly-map",
    },
    Row {
        case: "get, copied",
        unit: "M/s",
        better: "more",
        target: ">= 2.5x prolly-map, >= redb, >= BTreeMap",
    },
    Row {
        case: "get, lent",
        unit: "M/s",
        better: "more",
        target: ">= redb, >= BTreeMap",
    },
    Row {
        case: "batch of 1000 updates",
        unit: "ms",
        better: "less",
        target: "<= 0.1x prolly-map",
    },
    Row {
        case: "scan, copied",
        unit: "ms",
        better: "less",
        target: "<= prolly-map",
    },
    Row {
        case: "scan, lent",
        unit: "ms",
        better: "less",
        target: "",
    },
    Row {
        case: "scan, lengths only",
        unit: "ms",
        better: "less",
        target: "<= 0.3x prolly-map",
    },
    Row {
        case: "diff of 100 scattered",
        unit: "ms",
        better: "less",
        target: "<= 0.2x prolly-map",
    },
];

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    if std::env::var_os(ALLOCATOR[0].0).is_none() {
        let program = std::env::current_exe().expect("a program has a path");
        let status = std::process::Command::new(program)
            .args(std::env::args_os().skip(1))
            .envs(ALLOCATOR)
            .status()
            .expect("the program runs");
        std::process::exit(status.code().unwrap_or(1));
    }
    let (entries, rounds) = if quick { (100_000, 3) } else { (1_000_000, 5) };
    let data = Data::new(entries);
    let candidates = candidates::all();
    let mut figures: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        // Another one begins each time.
        for turn in 0..candidates.len() {
            let candidate = &candidates[(round + turn) % candidates.len()];
            eprintln!("round {} of {rounds}: {}", round + 1, candidate.name());
            let mut figure: Figures = Vec::new();
            candidate.run(&data, &mut figure);
            for (case, value) in figure {
                eprintln!("  {case}: {value:.3}");
                figures
                    .entry((case, candidate.name()))
                    .or_default()
                    .push(value);
            }
        }
    }
    for row in &ROWS {
        let median = |name: &'static str| {
            let mut values = figures.get(&(row.case, name))?.clone();
            values.sort_by(f64::total_cmp);
            Some((values[values.len() / 2] * 1000.0).round() / 1000.0)
        };
        let peers: serde_json::Map<_, _> = candidates[1..]
            .iter()
            .filter_map(|peer| Some((peer.name().to_owned(), json!(median(peer.name())?))))
            .collect();
        let size = if quick { "100 k" } else { "1 M" };
        println!(
            "{}",
            json!({
                "area": "tree",
                "case": format!("{}, {size}", row.case),
                "unit": row.unit,
                "better": row.better,
                "ours": median(candidates[0].name()),
                "peers": peers,
                "target": row.target,
            })
        );
    }
}
