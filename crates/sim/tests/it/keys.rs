//! Many worlds about keys.

#![expect(
    clippy::print_stdout,
    reason = "a failing seed prints how to run it again"
)]

use allod_sim::{KeySummary, run_keys};

/// Whatever thieves do: honest nodes agree, see what contradicts itself, and are not locked out.
#[test]
fn honest_nodes_agree_on_who_speaks_and_what_counts() {
    let from_env = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match from_env("ALLOD_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("ALLOD_SIM_SEEDS").unwrap_or(150),
    };
    let (mut sum, mut failed) = (KeySummary::default(), Vec::new());
    let count = seeds.end - seeds.start;
    for seed in seeds {
        match run_keys(seed) {
            Ok(summary) => {
                sum.commits += summary.commits;
                sum.sessions += summary.sessions;
                sum.removed += summary.removed;
                sum.rotated += summary.rotated;
                sum.recovered += summary.recovered;
                sum.frozen += summary.frozen;
                sum.beside += summary.beside;
            }
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
        let all = [
            sum.removed,
            sum.rotated,
            sum.recovered,
            sum.frozen,
            sum.beside,
        ];
        assert!(all.iter().all(|times| *times > 10), "{sum:?}");
    }
}
