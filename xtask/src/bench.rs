//! Benchmarks: each prints rows as JSON lines; this collects them into one table of ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{command, root};

/// The programs of `benches/`, by area: package and what its rows are about.
const AREAS: [(&str, &str); 7] = [
    ("tree", "bench-tree"),
    ("store", "bench-store"),
    ("repo", "bench-repo"),
    ("gc", "bench-gc"),
    ("sync", "bench-sync"),
    ("quic", "bench-net"),
    ("file", "bench-file"),
];

/// Runs the areas and prints their rows; whole runs of all areas are written down.
pub(crate) fn run(quick: bool, only: &[String]) -> Result<()> {
    let known = |area: &&String| AREAS.iter().any(|(name, _)| name == *area);
    if let Some(unknown) = only.iter().find(|area| !known(area)) {
        let names = AREAS.map(|(name, _)| name).join(", ");
        bail!("no area {unknown}; there are {names}");
    }
    let mut rows = Vec::new();
    for (area, package) in AREAS {
        if !only.is_empty() && !only.iter().any(|name| name == area) {
            continue;
        }
        eprintln!("=== {area}");
        let mut bench = command("cargo", &["run", "--release", "--manifest-path"]);
        bench
            .arg("benches/Cargo.toml")
            .args(["--package", package, "--"]);
        if quick {
            bench.arg("--quick");
        }
        let output = bench.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("the bench of {area} failed");
        }
        for line in String::from_utf8(output.stdout)?.lines() {
            rows.push(serde_json::from_str(line).with_context(|| line.to_owned())?);
        }
    }
    let table = table(&rows)?;
    println!("{table}");
    if !quick && only.is_empty() {
        std::fs::write(root().join("benches/RESULTS.md"), document(&table)?)?;
        println!("written to benches/RESULTS.md");
    }
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

fn document(table: &str) -> Result<String> {
    let rustc = String::from_utf8(command("rustc", &["--version"]).output()?.stdout)?;
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model
        .and_then(|line| line.split_once(':'))
        .map_or("unknown", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(format!(
        "# Results\n\nWritten by `cargo xtask bench`. Ours and the peers ran in turn in one run; the figures are medians.\nRead \
         the ratios, not the absolute figures: machines differ, and so do their moods.\n\n\
         Machine: {cores} cores, {model}. {}\n\n{table}",
        rustc.trim()
    ))
}
