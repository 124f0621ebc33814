//! Many worlds about rights.

#![expect(
    clippy::print_stdout,
    reason = "a failing seed prints how to run it again"
)]

use allod_sim::{RightsSummary, run_rights};

/// Whatever is given, taken back, ruled and dated back: who may read the same agrees, nothing that was written by right is lost,
/// nothing counts that was not, and no node hands over what its receiver may not read.
#[test]
fn who_may_read_the_same_agrees_and_nobody_gets_more() {
    let from_env = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match from_env("ALLOD_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("ALLOD_SIM_SEEDS").unwrap_or(150),
    };
    let (mut sum, mut failed) = (RightsSummary::default(), Vec::new());
    let count = seeds.end - seeds.start;
    for seed in seeds {
        match run_rights(seed) {
            Ok(summary) => sum.add(&summary),
            Err(what) => failed.push(format!(
                "seed {seed}: {what}; replay with ALLOD_SIM_SEED={seed}"
            )),
        }
    }
    println!("{sum:#?}");
    assert!(
        failed.is_empty(),
        "{} of {count}:\n{}",
        failed.len(),
        failed.join("\n")
    );
    // What is to be survived has to happen.
    if count > 100 {
        let figures = sum.figures();
        let rare: Vec<_> = figures.iter().filter(|(_, times)| *times <= 5).collect();
        assert!(rare.is_empty(), "{rare:?}");
    }
}
