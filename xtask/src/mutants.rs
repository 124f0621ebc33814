//! Classic mistakes, put into the real crates: the simulator must notice each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::{command, root};

/// Worlds that a mutant is put to, of each sort. Each of the mutants shows in fewer of one of them.
const SEEDS: [(&[&str], &str); 2] = [(&["--rights"], "150"), (&[], "600")];

/// Runs the simulator on a copy of the sources with each mutant in turn; fails if one of them survives.
pub(crate) fn run(only: &[String]) -> Result<()> {
    let mut mutants = patches()?;
    let name = |path: &PathBuf| {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        stem.unwrap_or_default().to_owned()
    };
    if let Some(unknown) = only
        .iter()
        .find(|only| !mutants.iter().map(name).any(|name| name == **only))
    {
        bail!("no mutant {unknown}");
    }
    mutants.retain(|path| only.is_empty() || only.contains(&name(path)));
    let scratch = root().join("target/mutants");
    let sources = scratch.join("sources");
    copy_sources(&sources)?;
    // One target for all of them: what a mutant does not touch is built once.
    let target = scratch.join("target");
    let mut survivors = Vec::new();
    if let Noticed::Yes(what) = simulate(&sources, &target)? {
        bail!("the simulator fails without a mutant: {what}");
    }
    for mutant in &mutants {
        let started = Instant::now();
        apply(&sources, mutant, &[])?;
        let noticed = simulate(&sources, &target);
        apply(&sources, mutant, &["--reverse"])?;
        let (name, seconds) = (name(mutant), started.elapsed().as_secs());
        match noticed? {
            Noticed::Yes(what) => println!("{name}: noticed in {seconds} s: {what}"),
            Noticed::No => {
                println!("{name}: SURVIVES all worlds, {seconds} s");
                survivors.push(name);
            }
        }
    }
    if !survivors.is_empty() {
        bail!("not noticed: {}", survivors.join(", "));
    }
    println!("{} mutants, all noticed", mutants.len());
    Ok(())
}

/// Adds the mutants that do not apply to the sources as they are.
pub(crate) fn check(problems: &mut Vec<String>) -> Result<()> {
    for patch in patches()? {
        let output = command("git", &["apply", "--check"]).arg(&patch).output()?;
        if !output.status.success() {
            let shown = patch.strip_prefix(root()).unwrap_or(&patch).display();
            let why = String::from_utf8_lossy(&output.stderr);
            problems.push(format!("{shown} does not apply: {}", why.trim()));
        }
    }
    Ok(())
}

/// What the simulator said.
enum Noticed {
    Yes(String),
    No,
}

fn patches() -> Result<Vec<PathBuf>> {
    let folder = root().join("crates/sim/mutants");
    let mut patches = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "patch")
        {
            patches.push(path);
        }
    }
    patches.sort();
    Ok(patches)
}

/// A copy of what git knows of the sources, as it is in the work tree.
fn copy_sources(to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let args = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let output = command("git", &args).output().context("git ls-files")?;
    for name in String::from_utf8(output.stdout)?.split_terminator('\0') {
        let (from, to) = (root().join(name), to.join(name));
        if !from.is_file() {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&from, &to).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// Applies a patch to the copy. That is no repository, and must not be taken for the one around it.
fn apply(sources: &Path, patch: &Path, how: &[&str]) -> Result<()> {
    let mut git = Command::new("git");
    git.arg("apply").args(how).arg(patch).current_dir(sources);
    git.env(
        "GIT_CEILING_DIRECTORIES",
        sources.parent().unwrap_or(sources),
    );
    let status = git.status().context("git apply")?;
    if !status.success() {
        bail!("{} does not apply", patch.display());
    }
    Ok(())
}

/// Builds the simulator and runs it up to the first failure.
fn simulate(sources: &Path, target: &Path) -> Result<Noticed> {
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo
            .args(args)
            .args(["-q", "-p", "allod-sim", "--example", "sim"]);
        cargo.current_dir(sources).env("CARGO_TARGET_DIR", target);
        cargo
    };
    // A mutant that does not build is no mutant.
    let built = cargo(&["build"]).output()?;
    if !built.status.success() {
        let told = String::from_utf8_lossy(&built.stderr);
        bail!("the simulator does not build: {told}");
    }
    for (sort, seeds) in SEEDS {
        let mut run = cargo(&["run"]);
        run.stdin(Stdio::null()).arg("--").args(sort);
        run.args(["--seeds", seeds, "--first", "--no-shrink"]);
        let output = run.output()?;
        if output.status.success() {
            continue;
        }
        let told = String::from_utf8_lossy(&output.stderr);
        // A mutant may leave warnings behind, which come first.
        let first = told.lines().find(|line| line.starts_with("seed "));
        return Ok(Noticed::Yes(first.unwrap_or("it stopped").to_owned()));
    }
    Ok(Noticed::No)
}
