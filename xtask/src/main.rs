//! Project automation: what `CONTRIBUTING.md` names, and what continuous integration runs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks to people"
)]

mod bench;
mod fuzz;
mod mutants;
mod sim;
mod tidy;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

/// Builds, tests and measures the project.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// All tests: unit, property, simulation, process, interop, doctests, vectors
    Test,
    /// What must hold for a change to land
    Ci {
        /// Leave the tests out, after `cargo xtask test` has run
        #[arg(long)]
        no_test: bool,
        /// Seconds for each fuzz target
        #[arg(long, default_value_t = 5)]
        fuzz_seconds: u64,
    },
    /// Measure against named peers and write `benches/RESULTS.md`
    Bench {
        /// Smaller sizes, nothing is written
        #[arg(long)]
        quick: bool,
        /// Only these areas: tree, store, repo, gc, sync, quic, file
        areas: Vec<String>,
    },
    /// Fuzz every target
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Only these targets
        targets: Vec<String>,
    },
    /// Put classic mistakes into a copy of the crates; the simulator must notice each
    Mutants {
        /// Only these
        names: Vec<String>,
    },
    /// Run worlds of the simulator: many seeds, or one with all that happens in it
    Sim(sim::Worlds),
    /// The dependency law, module headers, rule citations, sizes of files
    Tidy,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Test => test(),
        Task::Ci {
            no_test,
            fuzz_seconds,
        } => ci(no_test, fuzz_seconds),
        Task::Bench { quick, areas } => bench::run(quick, &areas),
        Task::Fuzz { seconds, targets } => fuzz::run(seconds, &targets),
        Task::Mutants { names } => mutants::run(&names),
        Task::Sim(worlds) => sim::run(&worlds),
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or_else(|| xtask.clone(), PathBuf::from)
}

/// A command at the root of the repository.
fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Whether a program is there and answers.
fn has(program: &str, args: &[&str]) -> bool {
    command(program, args)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs a step, tells how long it took, and fails if it does.
fn step(name: &str, command: &mut Command) -> Result<()> {
    println!("\n=== {name}");
    let started = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("{name} cannot be started"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    println!("=== {name}: ok, {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn test() -> Result<()> {
    if has("cargo", &["nextest", "--version"]) {
        let args = [
            "nextest",
            "run",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
        ];
        step("tests", &mut command("cargo", &args))?;
    } else {
        println!("cargo-nextest is not installed; plain cargo test runs the same tests");
        let args = [
            "test",
            "--workspace",
            "--all-features",
            "--tests",
            "--no-fail-fast",
        ];
        step("tests", &mut command("cargo", &args))?;
    }
    let args = ["test", "--workspace", "--all-features", "--doc"];
    step("doctests", &mut command("cargo", &args))?;
    let python = ["python3", "python"]
        .into_iter()
        .find(|python| has(python, &["--version"]));
    let python =
        python.context("the reference checkers need Python 3; install it and run again")?;
    step(
        "vectors",
        &mut command(python, &["specs/reference/check.py"]),
    )
}

fn ci(no_test: bool, fuzz_seconds: u64) -> Result<()> {
    let started = Instant::now();
    step(
        "format",
        &mut command("cargo", &["fmt", "--all", "--check"]),
    )?;
    println!("\n=== tidy");
    tidy::run()?;
    let lint = [
        "clippy",
        "--workspace",
        "--all-features",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    step("lints", &mut command("cargo", &lint))?;
    // The other steps have all features: this one sees that the node builds as it is built mostly.
    let bare = ["check", "--package", "allod", "--all-targets"];
    step("the node without features", &mut command("cargo", &bare))?;
    if !no_test {
        test()?;
    }
    let docs = ["doc", "--workspace", "--all-features", "--no-deps"];
    step(
        "documentation",
        command("cargo", &docs).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    println!("\n=== fuzz, {fuzz_seconds} s a target");
    fuzz::run(fuzz_seconds, &[])?;
    println!(
        "\nall good in {:.0} min",
        started.elapsed().as_secs_f64() / 60.0
    );
    Ok(())
}
