//! Fuzzing: every target of `fuzz/` for a while.

use anyhow::{Context as _, Result, bail};

use crate::{command, has, root, step};

/// The version that is installed if there is none.
const CARGO_FUZZ: &str = "0.13.2";

/// Runs the targets for `seconds` each.
pub(crate) fn run(seconds: u64, only: &[String]) -> Result<()> {
    if !has("cargo", &["fuzz", "--version"]) {
        let args = ["install", "cargo-fuzz", "--version", CARGO_FUZZ, "--locked"];
        step("install cargo-fuzz", &mut command("cargo", &args))?;
    }
    let mut targets = Vec::new();
    for file in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path = file?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        targets.push(name.context("a target without a name")?.to_owned());
    }
    targets.sort();
    if let Some(unknown) = only.iter().find(|name| !targets.contains(name)) {
        bail!("no fuzz target {unknown}; there are {}", targets.join(", "));
    }
    if !only.is_empty() {
        targets.retain(|name| only.contains(name));
    }
    // The sanitizer's flags are unstable; this lets the pinned toolchain take them.
    step(
        "build the fuzz targets",
        command("cargo", &["fuzz", "build"]).env("RUSTC_BOOTSTRAP", "1"),
    )?;
    for target in &targets {
        let corpus = root().join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        let mut run = command("cargo", &["fuzz", "run", target]);
        run.env("RUSTC_BOOTSTRAP", "1").arg(&corpus);
        let seeds = root().join("fuzz/seeds").join(target);
        if seeds.is_dir() {
            run.arg(seeds);
        }
        run.args([
            "--",
            "-close_fd_mask=3",
            "-rss_limit_mb=2048",
            "-verbosity=0",
        ]);
        run.arg(format!("-max_total_time={seconds}"));
        step(&format!("fuzz {target}"), &mut run)?;
    }
    Ok(())
}
