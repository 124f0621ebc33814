//! Runs worlds: many seeds, or one with all that happens in it. `cargo xtask sim` is a short way to say it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks to people"
)]

use std::collections::BTreeSet;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use allod_sim::{Failure, RightsSummary, Scenario, Summary, World, run_rights, run_traced, shrink};

/// Lines of a trace that are shown of a failure.
const LAST_LINES: usize = 40;

/// Failures that are shown in full.
const SHOWN_MAX: usize = 5;

fn main() -> ExitCode {
    let asked = match Asked::from_args(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("{what}");
            eprintln!(
                "usage: sim [--rights] [--seeds N] [--from S] [--first] | --seed X [--keep 3,5,..] [--trace] [--no-shrink]"
            );
            return ExitCode::FAILURE;
        }
    };
    let is_good = match (asked.sort, asked.seed) {
        (Sort::Rights, Some(seed)) => rights(seed..seed + 1, &asked),
        (Sort::Rights, None) => rights(asked.from..asked.from + asked.seeds, &asked),
        (Sort::Whole, Some(seed)) => one(seed, &asked),
        (Sort::Whole, None) => many(&asked),
    };
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What the command line asks for.
#[derive(Debug)]
struct Asked {
    seeds: u64,
    from: u64,
    seed: Option<u64>,
    keep: Option<BTreeSet<usize>>,
    trace: bool,
    shrink: bool,
    /// Whether the first failure is enough.
    first: bool,
    sort: Sort,
}

/// Which worlds are run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sort {
    /// Those of all that can go wrong.
    Whole,
    /// Those about rights.
    Rights,
}

impl Asked {
    fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut asked = Self {
            seeds: 300,
            from: 0,
            seed: None,
            keep: None,
            trace: false,
            shrink: true,
            first: false,
            sort: Sort::Whole,
        };
        while let Some(arg) = args.next() {
            let mut number = || {
                let value = args.next().unwrap_or_default();
                let number: Result<u64, _> = value.parse();
                number.map_err(|_error| format!("{arg} takes a number, not {value:?}"))
            };
            match arg.as_str() {
                "--seeds" => asked.seeds = number()?,
                "--from" => asked.from = number()?,
                "--seed" => asked.seed = Some(number()?),
                "--trace" => asked.trace = true,
                "--first" => asked.first = true,
                "--rights" => asked.sort = Sort::Rights,
                "--no-shrink" => asked.shrink = false,
                "--keep" => {
                    let list = args.next().unwrap_or_default();
                    let numbers = list.split(',').filter(|item| !item.is_empty());
                    let numbers: Result<_, _> = numbers.map(str::parse).collect();
                    asked.keep = Some(numbers.map_err(|_error| format!("no numbers: {list}"))?);
                }
                _ => return Err(format!("unknown: {arg}")),
            }
        }
        Ok(asked)
    }
}

/// Runs one world, and shows it; a failing one is made smaller first.
fn one(seed: u64, asked: &Asked) -> bool {
    let scenario = Scenario {
        keep: asked.keep.clone(),
        ..Scenario::of_seed(seed)
    };
    let mut print = |line: &str| {
        if asked.trace {
            println!("{line}");
        }
    };
    match run_traced(scenario.clone(), &mut print) {
        Ok(summary) => {
            println!("{scenario:?}\n{summary:#?}");
            true
        }
        Err(failure) => {
            explain(&scenario, failure, asked);
            false
        }
    }
}

/// Shows a failure, how to run it again, and what happened last.
fn explain(scenario: &Scenario, failure: Failure, asked: &Asked) {
    eprintln!("seed {}: {failure}", scenario.seed);
    let (small, failure) = if asked.shrink && scenario.keep.is_none() {
        shrink(scenario, failure)
    } else {
        (scenario.clone(), failure)
    };
    let mut lines = Vec::new();
    let result = run_traced(small.clone(), &mut |line| lines.push(line.to_owned()));
    for line in lines.iter().rev().take(LAST_LINES).rev() {
        eprintln!("    {line}");
    }
    if result.err().as_ref() != Some(&failure) {
        eprintln!("  it does not fail again in the same way: the world is not deterministic");
    }
    eprintln!("  {failure}");
    let keep = small.keep.iter().flatten().map(usize::to_string);
    let keep: Vec<String> = keep.collect();
    let seed = small.seed;
    eprintln!("  replay: cargo xtask sim --seed {seed} --trace");
    if small.keep.is_some() {
        let keep = keep.join(",");
        eprintln!("  the least of it: cargo xtask sim --seed {seed} --keep \"{keep}\" --trace");
    }
}

/// Runs worlds about rights on all processors.
fn rights(seeds: Range<u64>, asked: &Asked) -> bool {
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(seeds.start);
    let is_failed = AtomicBool::new(false);
    let work = || {
        let (mut sum, mut failed) = (RightsSummary::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || (asked.first && is_failed.load(Ordering::Relaxed)) {
                return (sum, failed);
            }
            match run_rights(seed) {
                Ok(summary) => sum.add(&summary),
                Err(what) => {
                    is_failed.store(true, Ordering::Relaxed);
                    failed.push((seed, what));
                }
            }
        }
    };
    let (mut sum, mut failed, mut done) = (RightsSummary::default(), Vec::new(), 0);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for run in runs {
            if let Ok((part, mut failures)) = run.join() {
                sum.add(&part);
                failed.append(&mut failures);
                done += 1;
            }
        }
    });
    println!("{sum:#?}");
    failed.sort();
    for (seed, what) in failed.iter().take(SHOWN_MAX) {
        eprintln!("seed {seed}: {what}");
        eprintln!("  replay: cargo xtask sim --rights --seed {seed}");
    }
    let (count, seconds) = (failed.len(), started.elapsed().as_secs());
    println!("{count} failed, {seconds} s");
    count == 0 && done == threads
}

/// Runs many worlds on all processors.
fn many(asked: &Asked) -> bool {
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_failed = AtomicBool::new(false);
    let step = (asked.seeds / 20).max(1);
    let work = || {
        let (mut sum, mut failed) = (Summary::default(), Vec::new());
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= asked.seeds || (asked.first && is_failed.load(Ordering::Relaxed)) {
                return (sum, failed);
            }
            let scenario = Scenario::of_seed(asked.from + at);
            match World::new(scenario.clone()).and_then(World::run) {
                Ok(summary) => sum.add(&summary),
                Err(failure) => {
                    is_failed.store(true, Ordering::Relaxed);
                    failed.push((scenario, failure));
                }
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(step) {
                let seconds = started.elapsed().as_secs();
                println!("{done} of {} seeds, {seconds} s", asked.seeds);
            }
        }
    };
    let (mut sum, mut failed) = (Summary::default(), Vec::new());
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for run in runs {
            if let Ok((part, mut failures)) = run.join() {
                sum.add(&part);
                failed.append(&mut failures);
            }
        }
    });
    println!("{sum:#?}");
    failed.sort_by_key(|(scenario, _)| scenario.seed);
    let count = failed.len();
    for (scenario, failure) in failed.into_iter().take(SHOWN_MAX) {
        explain(&scenario, failure, asked);
    }
    let seconds = started.elapsed().as_secs();
    println!("{} seeds, {count} failed, {seconds} s", asked.seeds);
    count == 0 && done.into_inner() == asked.seeds
}
