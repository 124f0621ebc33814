//! What goes wrong: disks, clocks, machines and links.

use std::collections::BTreeSet;

use allod_blocks::Fault;
use allod_repo::DRIFT_MS_MAX;

use crate::error::Failure;
use crate::plan::Event;
use crate::scenario::{lost, skew};
use crate::topology::{Link, link};
use crate::world::World;

impl World {
    /// A disk is going to fail.
    pub(crate) fn arm(&mut self, node: usize) {
        let fault = match self.rng.below(5) {
            0 => Fault::FailCall(self.rng.below(60)),
            1 => Fault::FlipBit(self.rng.below(20)),
            2 => Fault::CrashAfter(self.rng.below(5)),
            _ => Fault::CrashBefore(self.rng.below(5)),
        };
        if self.nodes[node].repo.is_some() && self.nodes[node].fault.is_none() {
            self.nodes[node].arm(fault);
        }
    }

    /// A clock is set, forwards or back.
    pub(crate) fn jump(&mut self, node: usize) {
        let skew_ms = if self.rng.chance(10) {
            self.summary.lost_clocks += 1;
            lost(self.rng.chance(50))
        } else {
            skew(&mut self.rng, DRIFT_MS_MAX)
        };
        let now_ms = self.now_ms;
        self.nodes[node].set_clock(now_ms, skew_ms);
        // A minute may have passed there.
        for wire in self.wires.values_mut().filter(|wire| wire.touches(node)) {
            wire.setbacks += 1;
        }
    }

    /// Nodes are linked anew. Those that keep all are connected; each that keeps a part has a link or two to
    /// those, and a hostile one reaches everybody.
    pub(crate) fn shift(&mut self) {
        let (whole, honest) = (self.scenario.whole(), self.scenario.honest());
        let all: Vec<usize> = (0..whole).collect();
        let mut links: BTreeSet<Link> = self.scenario.topology.links(&all, &mut self.rng);
        for part in whole..honest {
            links.insert(link(part, self.rng.index(whole)));
            links.insert(link(part, self.rng.index(whole)));
        }
        for hostile in honest..self.nodes.len() {
            links.extend((0..honest).map(|other| link(hostile, other)));
        }
        self.links = links;
    }

    /// The nodes that one is linked with.
    pub(crate) fn neighbours(&self, node: usize) -> Vec<usize> {
        let mine = self.links.iter().filter_map(|(one, other)| {
            (*one == node)
                .then_some(*other)
                .or((*other == node).then_some(*one))
        });
        mine.collect()
    }

    /// Whether frames pass between two nodes.
    pub(crate) fn reaches(&self, left: usize, right: usize) -> bool {
        let parted = self.parted.as_ref();
        parted.is_none_or(|sides| sides[left] == sides[right])
    }

    /// Ends what an injected fault has begun.
    pub(crate) fn after(&mut self, node: usize) -> Result<(), Failure> {
        if !self.nodes[node].disk.struck() {
            return Ok(());
        }
        let fault = self.nodes[node].fault;
        self.say(|| format!("node {node}: {fault:?} struck"));
        if !self.nodes[node].crashed() {
            return self.nodes[node].restart(&mut self.model);
        }
        self.fall(node)
    }

    /// A node goes down with all that it is doing, and comes back after a while.
    pub(crate) fn fall(&mut self, node: usize) -> Result<(), Failure> {
        self.summary.crashes += 1;
        let lost = self.nodes[node].crash()?;
        self.summary.taken_back += u64::from(lost > 0);
        let pause = self.rng.within(10, 20_000);
        self.soon(pause, Event::Restart(node));
        for wire in self.wires.values_mut() {
            for side in 0..2 {
                if wire.ends[side] == node {
                    wire.sessions[side] = None;
                    wire.setbacks += 1;
                }
            }
        }
        // Its peers hear of it, or wait for nothing.
        let touched: Vec<u64> = self.touching(node);
        for wire in touched {
            if self.rng.chance(70) {
                self.soon(5, Event::Break(wire));
            }
        }
        Ok(())
    }

    fn touching(&self, node: usize) -> Vec<u64> {
        let touched = self.wires.iter().filter(|(_, wire)| wire.touches(node));
        touched.map(|(name, _)| *name).collect()
    }
}
