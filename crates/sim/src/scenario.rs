//! What a seed stands for: the people, the clocks, and what will go wrong.

use std::collections::BTreeSet;

use allod_repo::DRIFT_MS_MAX;

use crate::hostile::Vice;
use crate::model::Rule;
use crate::plan::START_MS;
use crate::rng::Rng;
use crate::topology::Topology;

/// The size of a world and what goes wrong in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scenario {
    /// Everything random comes from it.
    pub seed: u64,
    /// Nodes: at least 2.
    pub nodes: usize,
    /// Agents; each has at least one node, the first owns the space.
    pub agents: usize,
    /// What the last node does to its peers, if it is not honest.
    pub hostile: Option<Vice>,
    /// Nodes that keep a part of the space, before the hostile one.
    pub parts: usize,
    /// How the nodes that keep all are linked.
    pub topology: Topology,
    /// How far each node's clock is off, in milliseconds.
    pub skew_ms: Vec<i64>,
    /// How many times writers write.
    pub writes: u64,
    /// Whether one commit is too large for its changes to be sent.
    pub big: bool,
    /// How many times blocks of a node rot.
    pub rots: u64,
    /// How many times nodes fetch apart from their branches.
    pub fetches: u64,
    /// Whether a branch is protected.
    pub guarded: bool,
    /// What the model takes for true.
    pub rule: Rule,
    /// Of what is planned, only these happen; all of it without.
    pub keep: Option<BTreeSet<usize>>,
}

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5ce9_a710);
        // One world of eight is large.
        let nodes = if rng.chance(12) {
            rng.within(6, 26)
        } else {
            rng.within(2, 6)
        } as usize;
        let agents = (rng.within(2, 4) as usize).min(nodes);
        // In one world of four some clocks are off by more than a replica puts up with.
        let reach = if rng.chance(25) {
            DRIFT_MS_MAX * 3 / 2
        } else {
            DRIFT_MS_MAX / 2
        };
        let mut skew_ms: Vec<i64> = (0..nodes).map(|_| skew(&mut rng, reach)).collect();
        // In one world of eight some clocks were never set, or to another century.
        if rng.chance(12) {
            for skew in &mut skew_ms {
                if rng.chance(30) {
                    *skew = lost(rng.chance(50));
                }
            }
        }
        let parts = if nodes > 2 && rng.chance(35) {
            rng.within(1, 3) as usize
        } else {
            0
        };
        // Apart, so that what else a seed stands for does not depend on it.
        let more = &mut Rng::new(seed ^ 0x3b9f_02d1);
        let rots = if more.chance(30) {
            more.within(1, 4)
        } else {
            0
        };
        let fetches = if more.chance(35) {
            more.within(2, 8)
        } else {
            0
        };
        let guarded = more.chance(35);
        let vice = Vice::ALL[rng.index(Vice::ALL.len())];
        Self {
            seed,
            nodes,
            agents,
            hostile: (nodes > 3 && rng.chance(40)).then_some(vice),
            // One node at least keeps all.
            parts: parts.min(nodes - 2),
            topology: Topology::ALL[rng.index(Topology::ALL.len())],
            skew_ms,
            writes: rng.within(15, 35),
            big: seed % 96 == 17,
            rots,
            guarded,
            fetches,
            rule: Rule::LaterWins,
            keep: None,
        }
    }

    /// How many clocks show another century.
    pub(crate) fn lost_clocks(&self) -> u64 {
        let lost = [lost(true), lost(false)];
        self.skew_ms
            .iter()
            .filter(|skew| lost.contains(skew))
            .count() as u64
    }

    /// The nodes that keep all and are honest; the first is the owner's.
    pub(crate) fn whole(&self) -> usize {
        (self.nodes - usize::from(self.hostile.is_some()))
            .saturating_sub(self.parts)
            .max(1)
    }

    /// The nodes that are honest: those that keep all, then those that keep a part.
    pub(crate) fn honest(&self) -> usize {
        self.nodes - usize::from(self.hostile.is_some())
    }
}

/// How far a clock is off that stands at the beginning of 1970, or half a century ahead.
pub(crate) const fn lost(is_behind: bool) -> i64 {
    if is_behind {
        -START_MS.cast_signed()
    } else {
        50 * 365 * 24 * 60 * 60 * 1000
    }
}

/// How far a clock is off, at most `reach` in either direction.
pub(crate) fn skew(rng: &mut Rng, reach: u64) -> i64 {
    rng.below(2 * reach).cast_signed() - reach.cast_signed()
}
