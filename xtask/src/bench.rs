//! Benchmarks: each prints rows as JSON lines; this collects them into one table of ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{command, root, step};

/// The programs of `benches/`, by area: package and what its rows are about.
const AREAS: [(&str, &str); 16] = [
    ("trust", "bench-trust"),
    ("access", "bench-access"),
    ("tree", "bench-tree"),
    ("store", "bench-store"),
    ("repo", "bench-repo"),
    ("gc", "bench-gc"),
    ("views", "bench-views"),
    ("sync", "bench-sync"),
    ("live", "bench-live"),
    ("feed", "bench-feed"),
    ("federation", "bench-federation"),
    ("compare", "bench-compare"),
    ("crdt", "bench-crdt"),
    ("quic", "bench-net"),
    ("file", "bench-file"),
    ("blobs", "bench-blobs"),
];

/// Where the rows of whole runs are kept, by area: one JSON document a line.
const ROWS: &str = "benches/results.ndjson";

/// Runs the areas and prints their rows. Those of whole runs are written down, and take the place of
/// the area's earlier ones.
pub(crate) fn run(quick: bool, only: &[String]) -> Result<()> {
    let known = |area: &&String| AREAS.iter().any(|(name, _)| name == *area);
    if let Some(unknown) = only.iter().find(|area| !known(area)) {
        let names = AREAS.map(|(name, _)| name).join(", ");
        bail!("no area {unknown}; there are {names}");
    }
    // All at once: package by package, dependencies would be built anew for each set of features.
    let manifest = ["--release", "--manifest-path", "benches/Cargo.toml"];
    step(
        "building the benches",
        command("cargo", &["build", "--workspace"]).args(manifest),
    )?;
    let mut failed = Vec::new();
    for (area, package) in AREAS {
        if !only.is_empty() && !only.iter().any(|name| name == area) {
            continue;
        }
        eprintln!("=== {area}");
        let program = root().join("benches/target/release").join(package);
        let mut bench = Command::new(program);
        bench.current_dir(root());
        if quick {
            bench.arg("--quick");
        }
        let output = bench.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            failed.push(area);
            continue;
        }
        let mut rows = Vec::new();
        for line in String::from_utf8(output.stdout)?.lines() {
            rows.push(serde_json::from_str(line).with_context(|| line.to_owned())?);
        }
        println!("{}", table(&rows)?);
        if !quick {
            keep(area, &rows)?;
        }
    }
    if !failed.is_empty() {
        bail!("the benches of {} failed", failed.join(", "));
    }
    Ok(())
}

/// Keeps the rows of an area, and writes all that are kept into `benches/RESULTS.md`.
fn keep(area: &str, rows: &[Value]) -> Result<()> {
    let path = root().join(ROWS);
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let mut areas = BTreeMap::new();
    for line in kept.lines() {
        let value: Value = serde_json::from_str(line).with_context(|| ROWS.to_owned())?;
        let area = value["area"].as_str().context("an area without a name")?;
        areas.insert(area.to_owned(), value);
    }
    let run = json!({ "area": area, "machine": machine()?, "rows": rows });
    areas.insert(area.to_owned(), run);
    let order = AREAS.iter().filter_map(|(name, _)| areas.get(*name));
    let runs: Vec<&Value> = order.collect();
    let lines: Vec<String> = runs.iter().map(|run| format!("{run}\n")).collect();
    std::fs::write(&path, lines.concat())?;
    std::fs::write(root().join("benches/RESULTS.md"), document(&runs)?)?;
    println!("written to benches/RESULTS.md");
    Ok(())
}

fn table(rows: &[Value]) -> Result<String> {
    let mut table = String::new();
    writeln!(
        table,
        "| area | case | unit | ours | peers | ours / peer | target |"
    )?;
    writeln!(table, "|---|---|---|---|---|---|---|")?;
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let ours = row["ours"].as_f64().context("a row without ours")?;
        let peers: BTreeMap<String, f64> =
            serde_json::from_value(row["peers"].clone()).context("a row without peers")?;
        let shown: Vec<String> = peers
            .iter()
            .map(|(name, value)| format!("{name}: {}", number(*value)))
            .collect();
        let ratios: Vec<String> = peers
            .values()
            .map(|value| format!("{:.2}", ours / value))
            .collect();
        writeln!(
            table,
            "| {} | {} | {}, {} is better | {} | {} | {} | {} |",
            text("area"),
            text("case"),
            text("unit"),
            text("better"),
            number(ours),
            shown.join("<br>"),
            ratios.join("<br>"),
            text("target")
        )?;
    }
    Ok(table)
}

/// A figure with three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        1.0..10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// What ran it: cores, processor, compiler.
fn machine() -> Result<String> {
    let rustc = String::from_utf8(command("rustc", &["--version"]).output()?.stdout)?;
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model
        .and_then(|line| line.split_once(':'))
        .map_or("unknown", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(format!("{cores} cores, {model}, {}", rustc.trim()))
}

fn document(runs: &[&Value]) -> Result<String> {
    let mut text = "# Results\n\nWritten by `cargo xtask bench`, an area at a time. Ours and the peers ran in turn in one run; the figures are \
         medians.\nRead the ratios, not the absolute figures: machines differ, and so do their moods.\n\
         The areas repo, gc, views, blobs, live, feed, federation and sync run with the allocator of the node, theirs and ours; the others with the system's.\n"
        .to_owned();
    for run in runs {
        let rows = run["rows"].as_array().context("an area without rows")?;
        let said = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        writeln!(text, "\n## {}\n\n{}\n", said("area"), said("machine"))?;
        text += &table(rows)?;
    }
    Ok(text)
}
