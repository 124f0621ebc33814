//! What a seed stands for: the people, the clocks, and what will go wrong.

use allod_repo::DRIFT_MS_MAX;

use crate::model::Rule;
use crate::rng::Rng;

/// The size of a world and what goes wrong in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scenario {
    /// Everything random comes from it.
    pub seed: u64,
    /// Nodes: at least 2.
    pub nodes: usize,
    /// Agents; each has at least one node, the first owns the space.
    pub agents: usize,
    /// Whether the last node bends its frames.
    pub hostile: bool,
    /// How far each node's clock is off, in milliseconds.
    pub skew_ms: Vec<i64>,
    /// How many times writers write.
    pub writes: u64,
    /// Whether one commit is too large for its changes to be sent.
    pub big: bool,
    /// What the model takes for true.
    pub rule: Rule,
}

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5ce9_a710);
        let nodes = rng.within(3, 6) as usize;
        let agents = rng.within(2, 4) as usize;
        // In one world of four some clocks are off by more than a replica puts up with.
        let reach = if rng.chance(25) {
            DRIFT_MS_MAX * 3 / 2
        } else {
            DRIFT_MS_MAX / 2
        };
        let skew_ms = (0..nodes)
            .map(|_| rng.below(2 * reach).cast_signed() - reach.cast_signed())
            .collect();
        Self {
            seed,
            nodes,
            agents,
            hostile: nodes > 3 && rng.chance(40),
            skew_ms,
            writes: rng.within(15, 35),
            big: seed % 96 == 17,
            rule: Rule::LaterWins,
        }
    }
}
