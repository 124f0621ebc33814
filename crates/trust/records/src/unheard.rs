//! Agents of whom a register has left something out (TRUST-16), and what cannot be told because of them (TRUST-47).

use std::collections::{BTreeMap, BTreeSet};

use allod_identity::{AgentId, PublicKey};

use crate::counted::{Claims, Counted, Said};
use crate::graph::{Routes, VOUCH};
use crate::record::{About, Level, is_valid};
use crate::register::{KeyLogs, Register};

/// The agents for whom a signer speaks of whom records were left out, or something counts that such a signer said.
pub(crate) fn unheard(register: &Register, logs: &dyn KeyLogs) -> BTreeSet<AgentId> {
    let overfull: BTreeSet<&PublicKey> = register.overfull().collect();
    if overfull.is_empty() {
        return BTreeSet::new();
    }
    let said = Said::new(register, logs);
    let mut found = BTreeSet::new();
    let mut asked: BTreeSet<AgentId> = overfull.iter().map(|key| AgentId::from(**key)).collect();
    for record in register.records() {
        asked.insert(*record.by());
        if overfull.contains(record.signer()) && said.is_said(record) {
            found.insert(*record.by());
        }
    }
    let speak = |agent: &AgentId| overfull.iter().any(|key| logs.speaks(agent, key));
    found.extend(asked.into_iter().filter(speak));
    found
}

/// Key logs by which nobody speaks for agents who are not heard.
pub(crate) struct Heard<'a> {
    pub(crate) logs: &'a dyn KeyLogs,
    pub(crate) unheard: &'a BTreeSet<AgentId>,
}

impl KeyLogs for Heard<'_> {
    fn speaks(&self, agent: &AgentId, key: &PublicKey) -> bool {
        !self.unheard.contains(agent) && self.logs.speaks(agent, key)
    }

    fn is_frozen(&self, agent: &AgentId) -> bool {
        self.unheard.contains(agent) || self.logs.is_frozen(agent)
    }
}

/// Who leads to whom that is not heard, and how close at most: if that one says so too, or still does.
pub(crate) fn leads(counted: &Counted, now: u64) -> Vec<(AgentId, AgentId, Level)> {
    let unheard = counted.unheard();
    let mut found = Vec::new();
    for agent in unheard {
        let vouches = counted.claims(Claims {
            about: Some(&About::Agent(*agent)),
            category: Some(VOUCH),
            valid_at: Some(now),
            by: None,
        });
        let by = vouches.iter().map(|claim| claim.payload().by);
        found.extend(by.map(|by| (by, *agent, Level::Network)));
    }
    if unheard.is_empty() {
        return found;
    }
    let halves = counted.relations.values().flat_map(BTreeMap::values);
    for half in halves.flatten() {
        let it = half.payload();
        if unheard.contains(&it.with) && is_valid(it.from, it.until, now) {
            found.push((it.by, it.with, it.level));
        }
    }
    found
}

/// Agents who are not heard and may be near a reader, with the least distance.
#[derive(Default)]
pub(crate) struct Doubts(BTreeMap<AgentId, u8>);

impl Doubts {
    pub(crate) fn new(
        leads: &[(AgentId, AgentId, Level)],
        unheard: &BTreeSet<AgentId>,
        (reader, routes, least): (&AgentId, &Routes<'_>, Level),
    ) -> Self {
        let mut near = BTreeMap::new();
        if unheard.contains(reader) {
            near.insert(*reader, 0);
        }
        for (from, to, level) in leads {
            if *level >= least
                && let Some(before) = routes.distance(from)
            {
                let distance = near.entry(*to).or_insert(u8::MAX);
                *distance = before.saturating_add(1).min(*distance);
            }
        }
        Self(near)
    }

    /// Whether an agent may be so near by a way that is not known: it is one of them, or one of them may lead to it.
    pub(crate) fn has(&self, to: &AgentId, within: u8) -> bool {
        let is_near = self.0.get(to).is_some_and(|distance| *distance <= within);
        is_near || self.0.values().any(|distance| *distance < within)
    }
}

#[cfg(test)]
mod tests;
