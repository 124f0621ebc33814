//! Relationships: two halves that agree (TRUST-20, TRUST-21).

use allod_identity::AgentId;
use cid::Cid;

use crate::counted::{Counted, Half};
use crate::record::{Level, is_valid};

/// A relationship that is in force. Both sides said so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relationship {
    /// Between whom, ascending.
    pub agents: [AgentId; 2],
    /// Of which kind.
    pub kind: String,
    /// How close: as both say at least.
    pub level: Level,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// When it ends, if it does.
    pub until: Option<u64>,
    /// The records of the two halves, in the order of the agents.
    pub halves: [Cid; 2],
}

impl Relationship {
    fn of(first: &Half, second: &Half) -> Self {
        let (one, two) = (first.payload(), second.payload());
        let ends = [one.until, two.until];
        Self {
            agents: [one.by, two.by],
            kind: one.kind.clone(),
            level: one.level.min(two.level),
            since: one.from.max(two.from),
            until: ends.into_iter().flatten().min(),
            halves: [*first.cid(), *second.cid()],
        }
    }
}

/// Of the halves of one agent with another, the one that stands of each kind, by kind (TRUST-20).
fn standing(halves: &[Half], now: u64) -> Vec<&Half> {
    let valid = halves
        .iter()
        .filter(|half| is_valid(half.payload().from, half.payload().until, now));
    let mut valid: Vec<_> = valid.collect();
    valid.sort_unstable_by_key(|half| {
        let said = half.payload();
        (&said.kind, said.level, half.cid())
    });
    valid.dedup_by(|later, first| later.payload().kind == first.payload().kind);
    valid
}

impl Counted {
    /// The relationships of an agent that are in force at a time, by the other agent and the kind.
    #[must_use]
    pub fn relationships(&self, agent: &AgentId, now: u64) -> Vec<Relationship> {
        let others = self.relations.get(agent).into_iter().flatten();
        let mut found = Vec::new();
        for (other, _) in others {
            let (one, two) = (agent.min(other), agent.max(other));
            self.between(one, two, now, &mut found);
        }
        found
    }

    /// All relationships that are in force at a time, by agents and kind.
    #[must_use]
    pub fn all_relationships(&self, now: u64) -> Vec<Relationship> {
        let mut found = Vec::new();
        for (one, others) in &self.relations {
            for (two, _) in others.range(*one..) {
                self.between(one, two, now, &mut found);
            }
        }
        found
    }

    /// The relationships of two agents, the lesser first.
    fn between(&self, one: &AgentId, two: &AgentId, now: u64, found: &mut Vec<Relationship>) {
        let halves = |by: &AgentId, with: &AgentId| self.relations.get(by)?.get(with);
        let (Some(there), Some(back)) = (halves(one, two), halves(two, one)) else {
            return;
        };
        let back = standing(back, now);
        for half in standing(there, now) {
            let kind = &half.payload().kind;
            let theirs = back.binary_search_by_key(&kind, |half| &half.payload().kind);
            if let Ok(theirs) = theirs {
                found.push(Relationship::of(half, back[theirs]));
            }
        }
    }
}
