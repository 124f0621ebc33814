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

/// By whom, with whom, and of which kind a half is.
fn place(half: &Half) -> (AgentId, AgentId, &str) {
    let said = half.payload();
    (said.by, said.with, &said.kind)
}

/// Of each place the one half that stands there, in their order (TRUST-20).
fn standing<'a>(halves: impl Iterator<Item = &'a Half>, now: u64) -> Vec<&'a Half> {
    let valid = halves.filter(|half| is_valid(half.payload().from, half.payload().until, now));
    let mut valid: Vec<_> = valid.collect();
    valid.sort_unstable_by(|a, b| {
        let rank = |half: &Half| (half.payload().level, *half.cid());
        place(a).cmp(&place(b)).then_with(|| rank(a).cmp(&rank(b)))
    });
    valid.dedup_by(|later, first| place(later) == place(first));
    valid
}

impl Counted {
    /// The relationships of an agent that are in force at a time, by the other agent and the kind.
    #[must_use]
    pub fn relationships(&self, agent: &AgentId, now: u64) -> Vec<Relationship> {
        let of_agent = self.relations_by.get(agent);
        let mine = standing(of_agent.into_iter().flatten().flat_map(|(_, it)| it), now);
        let both = mine.into_iter().filter_map(|half| {
            let said = half.payload();
            let back = self.relations_by.get(&said.with)?.get(agent)?;
            let back = back.iter().filter(|it| it.payload().kind == said.kind);
            let theirs = standing(back, now).first().copied()?;
            Some(if said.by < said.with {
                Relationship::of(half, theirs)
            } else {
                Relationship::of(theirs, half)
            })
        });
        both.collect()
    }

    /// All relationships that are in force at a time, by agents and kind.
    #[must_use]
    pub fn all_relationships(&self, now: u64) -> Vec<Relationship> {
        let all = standing(self.relations.iter(), now);
        let both = all.iter().filter_map(|half| {
            let (by, with, kind) = place(half);
            if by > with {
                return None;
            }
            let back = (with, by, kind);
            let theirs = all.binary_search_by(|it| place(it).cmp(&back)).ok()?;
            Some(Relationship::of(half, all[theirs]))
        });
        both.collect()
    }
}
