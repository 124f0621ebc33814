//! Many seeds, each a world.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failing seed prints how to run it again"
)]

use allod_sim::{Failure, Scenario, Summary, World, run};

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn replay(seed: u64, failure: &Failure) -> String {
    format!(
        "seed {seed}: {failure}\n  replay: ALLOD_SIM_SEED={seed} cargo test -p allod-sim --test it seeds"
    )
}

/// Runs each seed; what failed, and the sums of what happened.
fn run_all(seeds: impl Iterator<Item = u64>) -> (Vec<String>, Summary) {
    let mut failed = Vec::new();
    let mut sum = Summary::default();
    for seed in seeds {
        match run(seed) {
            Err(failure) => failed.push(replay(seed, &failure)),
            Ok(summary) => {
                sum.events += summary.events;
                sum.sessions += summary.sessions;
                sum.completed += summary.completed;
                sum.commits += summary.commits;
                sum.edits += summary.edits;
                sum.crashes += summary.crashes;
                sum.refused += summary.refused;
                sum.broken += summary.broken;
                sum.conflicts += summary.conflicts;
            }
        }
    }
    (failed, sum)
}

#[test]
fn seeds_converge_and_lose_nothing() {
    let seeds: Vec<u64> = match from_env("ALLOD_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..from_env("ALLOD_SIM_SEEDS").unwrap_or(300)).collect(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<(Vec<String>, Summary)> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|first| {
                let share: Vec<u64> = seeds.iter().copied().skip(first).step_by(threads).collect();
                scope.spawn(move || run_all(share.into_iter()))
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let failed: Vec<&String> = parts.iter().flat_map(|(failed, _)| failed).collect();
    for (_, sum) in &parts {
        println!("{sum:?}");
    }
    for failure in &failed {
        eprintln!("{failure}");
    }
    assert!(
        failed.is_empty(),
        "{} of {} seeds failed",
        failed.len(),
        seeds.len()
    );
    if seeds.len() >= 100 {
        let total = |of: fn(&Summary) -> u64| parts.iter().map(|(_, sum)| of(sum)).sum::<u64>();
        let each = seeds.len() as u64;
        assert!(total(|sum| sum.commits) > 10 * each, "writers write");
        assert!(total(|sum| sum.conflicts) > each, "writers meet");
        assert!(total(|sum| sum.crashes) > each / 2, "disks crash");
        assert!(total(|sum| sum.broken) > each / 10, "liars are noticed");
        assert!(total(|sum| sum.refused) > 0, "early stamps are refused");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in [1, 17, 40, 41] {
        let first = World::new(Scenario::of_seed(seed)).unwrap().run().unwrap();
        let second = World::new(Scenario::of_seed(seed)).unwrap().run().unwrap();
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first.trace, run(seed + 1000).unwrap().trace);
    }
}
