//! Many seeds, each a world.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failing seed prints how to run it again"
)]

use allod_sim::{Failure, Scenario, Summary, Topology, Vice, World, run, shrink};

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn replay(seed: u64, failure: &Failure) -> String {
    format!("seed {seed}: {failure}\n  replay: cargo xtask sim --seed {seed} --trace")
}

/// Runs each seed; what failed, and the sums of what happened.
fn run_all(seeds: impl Iterator<Item = u64>) -> (Vec<String>, Summary) {
    let mut failed = Vec::new();
    let mut sum = Summary::default();
    for seed in seeds {
        match run(seed) {
            Err(failure) => failed.push(replay(seed, &failure)),
            Ok(summary) => sum.add(&summary),
        }
    }
    (failed, sum)
}

#[test]
fn seeds_converge_and_lose_nothing() {
    let seeds: Vec<u64> = match from_env("ALLOD_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..from_env("ALLOD_SIM_SEEDS").unwrap_or(200)).collect(),
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
    let mut sum = Summary::default();
    for (_, part) in &parts {
        sum.add(part);
    }
    println!("{sum:#?}");
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
        does_something(&sum, seeds.len() as u64);
    }
}

/// Worlds in which nothing happens would show nothing.
fn does_something(sum: &Summary, seeds: u64) {
    assert!(sum.commits > 10 * seeds, "writers write");
    assert!(sum.deeds > 20 * seeds, "values join");
    assert!(sum.conflicts > seeds, "writers meet");
    assert!(sum.crashes > seeds / 2, "disks crash");
    assert!(sum.taken_back > seeds / 20, "what is not durable is lost");
    assert!(sum.lost_clocks > seeds / 20, "clocks are lost");
    assert!(sum.parts > seeds / 10, "parts are changed");
    assert!(sum.collected > 0, "garbage is collected");
    assert!(sum.trimmed > 0, "logs are trimmed");
    assert!(sum.rotten > seeds / 4, "blocks rot");
    assert!(sum.fetched > seeds / 5, "some fetch apart");
    assert!(sum.merges > seeds / 20, "and merge what they fetched");
    assert!(sum.overstepped > 0, "what is protected is tried");
    assert!(sum.held_back > 0, "some commit to it apart");
    assert!(sum.refused > 0, "early stamps are refused");
    // What is done to honest nodes has a name: it is out of order, no frame, or silence.
    for code in ["E_ORDER", "E_FRAME", "E_TIMEOUT"] {
        assert!(sum.blamed.contains_key(code), "{code}: {:?}", sum.blamed);
    }
    // Each commit has to cross as many links as there are nodes to hear of it; it crosses few more.
    let rest = &sum.rest;
    assert!(rest.fresh > seeds, "writers write at the end");
    assert!(rest.fresh_sessions < rest.links * 2, "{rest:?}");
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

/// 25 nodes in each shape: everybody hears of everything, and no link has more sessions or commits than are due.
#[test]
fn many_nodes_in_every_shape_hear_of_everything() {
    for (seed, topology) in (0..).zip(Topology::ALL) {
        let small = Scenario::of_seed(seed);
        // All pairs of 25 are 300 links.
        let nodes = if topology == Topology::Full { 12 } else { 25 };
        let scenario = Scenario {
            nodes,
            topology,
            hostile: None,
            big: false,
            writes: 40,
            skew_ms: (0i64..25).map(|node| node * 1000).collect(),
            ..small
        };
        let summary = World::new(scenario).unwrap().run();
        let rest = summary
            .unwrap_or_else(|failure| panic!("{topology}: {failure}"))
            .rest;
        println!("{topology}: {rest:?}");
        let (nodes, fresh) = (nodes as u64, rest.fresh);
        assert!(
            rest.fresh_commits >= (nodes - 1) * fresh,
            "{topology}: everybody hears"
        );
        assert!(
            rest.fresh_commits <= rest.links * fresh,
            "{topology}: {rest:?}"
        );
    }
}

/// A member that is hostile in each way: what it does is refused with a code that fits, or does nothing, and the
/// honest lose nothing.
#[test]
fn each_vice_is_answered() {
    for vice in Vice::ALL {
        let mut sum = Summary::default();
        for seed in 0..8 {
            let scenario = Scenario {
                nodes: 5,
                // The last node is one of the owner's: a member from the beginning.
                agents: 2,
                hostile: Some(vice),
                topology: Topology::Line,
                skew_ms: vec![0; 5],
                big: false,
                ..Scenario::of_seed(seed)
            };
            match World::new(scenario).unwrap().run() {
                Ok(summary) => sum.add(&summary),
                Err(failure) => panic!("{vice:?}, seed {seed}: {failure}"),
            }
        }
        println!("{vice:?}: {:?}", sum.blamed);
        let codes: &[&str] = match vice {
            Vice::Bends => &["E_FRAME", "E_ORDER"],
            Vice::Withholds => &["E_PARENT"],
            Vice::Replays | Vice::Reorders => &["E_ORDER"],
            // What comes again is there already, and what does not come is not waited for.
            _ => &[],
        };
        for code in codes {
            assert!(sum.blamed.contains_key(*code), "{vice:?}: {:?}", sum.blamed);
        }
    }
}

/// A world that fails is made smaller, and fails in the same way.
#[test]
fn a_failing_world_is_made_smaller() {
    let scenario = Scenario {
        rule: allod_sim::Rule::EarlierWins,
        ..Scenario::of_seed(3)
    };
    let failure = World::new(scenario.clone()).unwrap().run().unwrap_err();
    assert!(matches!(failure, Failure::Lost { .. }), "{failure}");
    let (small, failure) = shrink(&scenario, failure);
    assert!(matches!(failure, Failure::Lost { .. }), "{failure}");
    // Two edits of one key are enough to show it.
    let kept = small.keep.clone().unwrap();
    assert!(kept.len() <= 4, "{kept:?}");
    assert_eq!(World::new(small).unwrap().run().unwrap_err(), failure);
}
