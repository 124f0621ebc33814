//! Worlds of the simulator.

use anyhow::Result;
use clap::Args;

use crate::{command, step};

/// Which worlds are run.
#[derive(Args)]
pub(crate) struct Worlds {
    /// How many
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Worlds about rights
    #[arg(long, conflicts_with_all = ["keep", "trace"])]
    rights: bool,
    /// Built for speed, without the checks of the numbers
    #[arg(long)]
    release: bool,
    /// This one alone
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Of what is planned in it, these numbers alone, with commas between them
    #[arg(long, requires = "seed")]
    keep: Option<String>,
    /// Tell all that happens in it
    #[arg(long, requires = "seed")]
    trace: bool,
}

/// Runs the worlds; fails if one does.
pub(crate) fn run(worlds: &Worlds) -> Result<()> {
    let mut run = command(
        "cargo",
        &["run", "-q", "-p", "allod-sim", "--example", "sim"],
    );
    if worlds.release {
        run.arg("--release");
    }
    run.arg("--");
    if worlds.rights {
        run.arg("--rights");
    }
    match worlds.seed {
        Some(seed) => run.arg("--seed").arg(seed.to_string()),
        None => {
            let numbers = [("--seeds", worlds.seeds), ("--from", worlds.from)];
            for (name, number) in numbers {
                run.arg(name).arg(number.to_string());
            }
            &mut run
        }
    };
    if let Some(keep) = &worlds.keep {
        run.arg("--keep").arg(keep);
    }
    if worlds.trace {
        run.arg("--trace");
    }
    step("worlds", &mut run)
}
