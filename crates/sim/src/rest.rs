//! The end of a world: nothing goes wrong any more, nodes keep in touch along their links as SYNC-41 and SYNC-42
//! say, and what crosses each link is counted.

use std::collections::BTreeSet;

use allod_repo::{BranchName, CommitId, PARENTS_MAX};
use allod_sync::{Outcome, Session};
use bytes::Bytes;

use crate::error::Failure;
use crate::ledger::Change;
use crate::meeting::Errand;
use crate::plan::Event;
use crate::summary::Rest;
use crate::traffic::Traffic;
use crate::world::World;

/// How long everybody rests after the latest time that a clock has shown, so that no stamp is in anybody's future.
const REST_MS: u64 = 25 * 60 * 1000;

/// Bytes of a session that is no content, but for key events and the names of commits: what begins and ends
/// both directions.
const TALK_BYTES: u64 = 2_048;

/// Bytes of a key event: a hello has those of its agent, one for each of its devices and the first.
const EVENT_BYTES: u64 = 400;

/// Bytes of the name of a commit in a hello.
const NAME_BYTES: u64 = 41;

/// The newest commits, which a hello names all (SYNC, `samples`).
const SAMPLES_NEAR: u64 = 32;

/// What a node knows of a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acquaintance {
    /// Commits that the peer has.
    known: BTreeSet<CommitId>,
    /// What this node had when the last session with it began.
    tried: BTreeSet<CommitId>,
}

impl World {
    /// Lets everybody come to have the same, and then hear of some commits more.
    pub(crate) fn rest(&mut self) -> Result<(), Failure> {
        self.wires.clear();
        self.parted = None;
        let mut latest_ms = self.now_ms;
        for node in &mut self.nodes {
            node.disarm();
            node.restart(&mut self.model)?;
            // People set their clocks: what is written from now on is in nobody's future.
            latest_ms = latest_ms.max(node.correct_clock(self.now_ms));
        }
        let honest = self.scenario.honest();
        self.links.retain(|(_, other)| *other < honest);
        self.now_ms = latest_ms + REST_MS;
        self.quiet = true;
        self.mend_all()?;
        self.let_in()?;
        self.reconcile()?;
        self.in_touch = true;
        self.traffic = Traffic::default();
        self.spread()?;
        self.finish_parts()?;
        self.spread()?;
        let links = self.links.len() as u64;
        let (sessions, distinct) = (self.traffic.session_count(), self.traffic.distinct());
        self.bounded("sessions", sessions, links * (1 + distinct))?;
        self.summary.rest = Rest {
            links,
            sessions,
            commits: self.traffic.crossings(),
            ..Rest::default()
        };
        self.settled = true;
        self.traffic = Traffic::default();
        let fresh = self.write_afresh()?;
        self.spread()?;
        self.tracked()?;
        self.whole_at_last()?;
        self.count_fresh(fresh)
    }

    /// Whoever has not heard of all members does so.
    fn let_in(&mut self) -> Result<(), Failure> {
        for agent in 1..self.scenario.agents {
            self.admit(agent)?;
        }
        self.drain()?;
        let owner = self.nodes[0].members()?;
        for node in 1..self.scenario.honest() {
            if self.nodes[node].members()? != owner {
                self.meet(node, 0, Errand::Govern)?;
            }
        }
        self.drain()?;
        self.known.clear();
        Ok(())
    }

    /// Sessions until nobody has anything to tell.
    pub(crate) fn spread(&mut self) -> Result<(), Failure> {
        for node in 0..self.scenario.honest() {
            self.soon(0, Event::Touch(node));
        }
        self.drain()?;
        // Until then a hello, which names some commits of a long history, may pass over what both have.
        match self.traffic.repeated() {
            Some(what) if self.settled => Err(Failure::Storm(what)),
            _ => Ok(()),
        }
    }

    /// Some nodes write at once; returns how many commits they made.
    fn write_afresh(&mut self) -> Result<u64, Failure> {
        let mut fresh = 0;
        for _ in 0..self.rng.within(1, 4) {
            let node = self.rng.index(self.scenario.whole());
            let now = self.nodes[node].clock(self.now_ms);
            let (main, key) = (BranchName::main(), Bytes::from_static(b"pn-counter:0"));
            let place = (&main, &key, allod_crdt::Kind::PnCounter);
            let increment = Change::Do(vec![allod_crdt::Op::Increment(1)]);
            let model = &mut self.model;
            self.nodes[node].operate(place, now, model, &mut |_| Some(increment.clone()))?;
            let done = self.nodes[node].commit(&main, now, &mut self.model)?;
            fresh += u64::from(done.is_some());
        }
        Ok(fresh)
    }

    /// Nobody sends anything twice, and no link has more sessions than there are commits that one of its ends
    /// did not know the other to have, and one: after a session both know that of all that either had when it
    /// began, and what both heard meanwhile from others is asked once more.
    fn count_fresh(&mut self, fresh: u64) -> Result<(), Failure> {
        let rest = Rest {
            fresh,
            fresh_sessions: self.traffic.session_count(),
            fresh_commits: self.traffic.crossings(),
            fresh_bytes: self.traffic.content_bytes,
            fresh_talk_bytes: self.traffic.talk_bytes,
            ..self.summary.rest
        };
        self.summary.rest = rest;
        self.bounded("sessions", rest.fresh_sessions, rest.links * (fresh + 1))?;
        self.bounded("commits", rest.fresh_commits, rest.links * fresh)?;
        let mut heads = 0;
        for node in &self.nodes[..self.scenario.honest()] {
            heads = heads.max(node.all_heads()?.len() as u64);
        }
        // Both hellos have the heads, those of the other, the newest commits, and of each head a sample for
        // each power of two of the distance to the first commit.
        let depth = u64::from(self.summary.commits.max(1).ilog2()) + 2;
        let named = 2 * (heads * (2 + depth) + PARENTS_MAX as u64 + SAMPLES_NEAR);
        let events = 2 * (self.nodes.len().div_ceil(self.scenario.agents) as u64 + 1);
        let hellos = TALK_BYTES + EVENT_BYTES * events + NAME_BYTES * named;
        let most = rest.fresh_sessions * hellos;
        self.bounded("bytes", rest.fresh_talk_bytes, most)
    }

    fn bounded(&self, what: &str, found: u64, most: u64) -> Result<(), Failure> {
        if found <= most {
            return Ok(());
        }
        let links = self.links.len();
        Err(Failure::Storm(format!(
            "{found} {what} over {links} links, at most {most} are due"
        )))
    }

    /// A node that was let in hears of it from the owner.
    pub(crate) fn join(&mut self, node: usize) -> Result<(), Failure> {
        self.meet(node, 0, Errand::Govern)
    }

    /// A node begins a session with each peer that may lack something, one at a time with each, unless
    /// nothing changed since the last.
    pub(crate) fn touch(&mut self, node: usize) -> Result<(), Failure> {
        let heads = self.nodes[node].all_heads()?;
        for peer in self.neighbours(node) {
            let mut wires = self.wires.values();
            if wires.any(|wire| wire.touches(node) && wire.touches(peer)) {
                continue;
            }
            let is_due = self.known.get(&(node, peer)).is_none_or(|acquaintance| {
                !heads.is_subset(&acquaintance.known) && acquaintance.tried != heads
            });
            if is_due {
                self.meet(node, peer, Errand::Usual)?;
            }
        }
        Ok(())
    }

    /// Takes note of what a peer has after a session, which began when this node had `tried`.
    pub(crate) fn acquaint(
        &mut self,
        pair: (usize, usize),
        (session, outcome): (&Session, &Outcome),
        tried: &BTreeSet<CommitId>,
    ) {
        let acquaintance = self.known.entry(pair).or_default();
        if outcome == &Outcome::Complete {
            acquaintance.known.extend(session.shared_heads());
        }
        acquaintance.tried.clone_from(tried);
    }
}
