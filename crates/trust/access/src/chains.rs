//! Grants as chains back to the owner (ACCESS-5, ACCESS-6).

use std::collections::{BTreeMap, BTreeSet};

use allod_identity::AgentId;
use cid::Cid;

use crate::grant::{Grant, Ungrant};
use crate::op::{Command, Op};
use crate::policy::{Policy, Selector, Truth};
use crate::request::{Request, Target};
use crate::steps::Steps;

/// Grants of a chain, at most (ACCESS-5): more hands than a right goes through.
pub(crate) const CHAIN_MAX: usize = 8;

/// Chains of an audience that are looked at (ACCESS-5).
const LOOKED_AT: usize = 64;

/// Chains of an audience that hold no more, which are remembered to explain.
const REMEMBERED: usize = 16;

/// The chains of a space, by who may.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    live: BTreeMap<AgentId, Vec<Chain>>,
    ended: BTreeMap<AgentId, Vec<Chain>>,
}

/// A grant, and those that it rests on up to one of the owner.
#[derive(Debug)]
pub(crate) struct Chain {
    /// From the one that was given last.
    pub(crate) links: Vec<Cid>,
    pub(crate) command: Command,
    policies: Vec<Policy>,
    pub(crate) from: u64,
    pub(crate) end: Option<u64>,
    pub(crate) taken_back: Option<Cid>,
}

impl Chain {
    pub(crate) fn is_valid(&self, at: u64) -> bool {
        self.from <= at && self.end.is_none_or(|end| at < end)
    }

    pub(crate) fn covers(&self, op: Op) -> bool {
        self.command.covers(op.command())
    }

    pub(crate) const fn has_conditions(&self) -> bool {
        !self.policies.is_empty()
    }

    /// What its policies say together; `None` when steps ran out.
    pub(crate) fn holds(
        &self,
        branch: &str,
        target: Target<'_>,
        steps: &mut Steps,
    ) -> Option<Truth> {
        let mut all = Truth::True;
        for policy in &self.policies {
            all = all.min(policy.holds(branch, target, steps)?);
            if all == Truth::False {
                break;
            }
        }
        Some(all)
    }
}

impl Chains {
    /// The chains of grants of a space, given those that count, and who takes back which.
    pub(crate) fn new(
        (owner, space): (&AgentId, &Cid),
        grants: &BTreeMap<Cid, Grant>,
        ungrants: &[Ungrant],
    ) -> Self {
        let mut taken_back: BTreeMap<&Cid, BTreeSet<&AgentId>> = BTreeMap::new();
        for ungrant in ungrants {
            taken_back
                .entry(&ungrant.of)
                .or_default()
                .insert(&ungrant.by);
        }
        let mut chains = Self::default();
        for (name, grant) in grants {
            let Some(links) = links_of((owner, space), (name, grant), grants) else {
                continue;
            };
            let chain = chain_of(&links, &taken_back);
            let to = if chain.taken_back.is_none() {
                &mut chains.live
            } else {
                &mut chains.ended
            };
            to.entry(grant.audience).or_default().push(chain);
        }
        for (most, all) in [
            (LOOKED_AT, &mut chains.live),
            (REMEMBERED, &mut chains.ended),
        ] {
            for of_one in all.values_mut() {
                let last = |chain: &Chain| chain.end.unwrap_or(u64::MAX);
                of_one.sort_by(|a, b| last(b).cmp(&last(a)).then(a.links.cmp(&b.links)));
                of_one.truncate(most);
            }
        }
        chains
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Whether one that covers one of these operations has a condition of the branch.
    pub(crate) fn tell_branches_apart(&self, ops: &[Op]) -> bool {
        let mut chains = self.live.values().flatten();
        chains.any(|chain| {
            ops.iter().any(|op| chain.covers(*op))
                && chain.policies.iter().any(|it| it.asks_of(Selector::Branch))
        })
    }

    /// Those of an agent that nobody took back.
    pub(crate) fn of(&self, agent: &AgentId) -> &[Chain] {
        self.live.get(agent).map_or(&[], Vec::as_slice)
    }

    /// Those of an agent that somebody took back.
    pub(crate) fn ended_of(&self, agent: &AgentId) -> &[Chain] {
        self.ended.get(agent).map_or(&[], Vec::as_slice)
    }

    /// Whether an agent may do something by a grant without conditions.
    pub(crate) fn allows_all(&self, agent: &AgentId, op: Op, at: u64) -> Option<&Chain> {
        let mut chains = self.of(agent).iter();
        chains.find(|it| it.covers(op) && it.is_valid(at) && !it.has_conditions())
    }

    /// The best that a chain says of a request, with the chain; `Err` when steps ran out.
    pub(crate) fn ask(
        &self,
        request: &Request<'_>,
        steps: &mut Steps,
    ) -> Result<Option<(Truth, &Chain)>, OutOfSteps> {
        let Some(agent) = request.who.agent_id() else {
            return Ok(None);
        };
        let mut best: Option<(Truth, &Chain)> = None;
        for chain in self.of(agent) {
            if !chain.covers(request.op) || !chain.is_valid(request.at) {
                continue;
            }
            let truth = chain.holds(request.branch, request.target, steps);
            let truth = truth.ok_or(OutOfSteps)?;
            if best.is_none_or(|(known, _)| known < truth) {
                best = Some((truth, chain));
            }
            if truth == Truth::True {
                break;
            }
        }
        Ok(best)
    }
}

/// An evaluation took too long.
#[derive(Debug)]
pub(crate) struct OutOfSteps;

/// A grant with those that it rests on, if they lead to the owner.
fn links_of<'a>(
    (owner, space): (&AgentId, &Cid),
    (name, grant): (&'a Cid, &'a Grant),
    grants: &'a BTreeMap<Cid, Grant>,
) -> Option<Vec<(&'a Cid, &'a Grant)>> {
    let mut links = vec![(name, grant)];
    loop {
        let (_, last) = links.last()?;
        if last.space != *space {
            return None;
        }
        let Some(proof) = &last.proof else {
            return (last.issuer == *owner).then_some(links);
        };
        let (name, before) = grants.get_key_value(proof)?;
        let fits = before.audience == last.issuer && before.command.covers(last.command.as_str());
        if !fits || links.len() == CHAIN_MAX {
            return None;
        }
        links.push((name, before));
    }
}

fn chain_of(links: &[(&Cid, &Grant)], taken_back: &BTreeMap<&Cid, BTreeSet<&AgentId>>) -> Chain {
    let is_taken_back = |place: usize| {
        let (name, grant) = links[place];
        let by = taken_back.get(name)?;
        let mut issuers = links[place..].iter().map(|(_, grant)| &grant.issuer);
        let may = by.contains(&grant.audience) || issuers.any(|issuer| by.contains(issuer));
        may.then_some(*name)
    };
    let (_, first) = links[0];
    let grants = || links.iter().map(|(_, grant)| *grant);
    Chain {
        links: links.iter().map(|(name, _)| **name).collect(),
        command: first.command.clone(),
        policies: grants()
            .map(|grant| grant.policy.clone())
            .filter(|policy| !policy.is_empty())
            .collect(),
        from: grants()
            .filter_map(|grant| grant.not_before)
            .max()
            .unwrap_or(0),
        end: grants().filter_map(|grant| grant.expires).min(),
        taken_back: (0..links.len()).find_map(is_taken_back),
    }
}
