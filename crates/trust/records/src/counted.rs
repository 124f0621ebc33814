//! Which of the known records count (TRUST-10 to TRUST-15), and the claims among them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use allod_identity::{AgentId, PublicKey, Verified};
use cid::Cid;

use crate::graph::VOUCH;
use crate::record::{About, Attestation, Circle, Membership, Relation, Revocation, is_valid};
use crate::register::{KeyLogs, Record, Register};
use crate::unheard::{Heard, unheard};

/// A claim that counts. What it says is in its payload.
pub type Claim = Arc<Verified<Attestation>>;

/// Half of a relationship that counts.
pub(crate) type Half = Arc<Verified<Relation>>;

/// The records that count, for who asks. A function of the set of records and of the key logs; it stays as it is when
/// those change, and is made anew then.
#[derive(Clone, Default)]
pub struct Counted {
    counting: BTreeSet<Cid>,
    claims: BTreeMap<Cid, Claim>,
    /// By what they are about, category, author, text and name.
    claims_in_order: Vec<Claim>,
    claims_by: BTreeMap<AgentId, Vec<Claim>>,
    witnesses: BTreeMap<Cid, BTreeSet<AgentId>>,
    /// By whom, and with whom.
    pub(crate) relations: BTreeMap<AgentId, BTreeMap<AgentId, Vec<Half>>>,
    circles: BTreeMap<Cid, Arc<Verified<Circle>>>,
    pub(crate) memberships: BTreeMap<Cid, Vec<Arc<Verified<Membership>>>>,
    /// Agents for whom somebody vouches, and of whom nobody knows who they are.
    frozen: BTreeSet<AgentId>,
    /// Agents of whom the register has left something out, and whether it has left out others' (TRUST-16).
    unheard: BTreeSet<AgentId>,
    is_cut: bool,
    /// By circle who admits one of these.
    unsure_members: BTreeMap<Cid, BTreeSet<AgentId>>,
}

/// Which claims are asked for: those for which everything holds that is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims<'a> {
    /// Whose.
    pub by: Option<&'a AgentId>,
    /// About whom or what.
    pub about: Option<&'a About>,
    /// Of which category.
    pub category: Option<&'a str>,
    /// That are valid then, in milliseconds since 1970.
    pub valid_at: Option<u64>,
}

impl Claims<'_> {
    fn wants(&self, claim: &Attestation) -> bool {
        self.by.is_none_or(|by| claim.by == *by)
            && self.about.is_none_or(|about| claim.about == *about)
            && self
                .category
                .is_none_or(|category| claim.category == category)
            && self
                .valid_at
                .is_none_or(|now| is_valid(claim.from, claim.until, now))
    }
}

/// What is said, and by whom it was taken back.
pub(crate) struct Said<'a> {
    register: &'a Register,
    logs: &'a dyn KeyLogs,
    /// Records that a `keep` names, each with the author of that.
    kept: BTreeSet<(AgentId, Cid)>,
    /// What is revoked, with who says so.
    revoked: BTreeMap<Cid, Vec<AgentId>>,
}

impl<'a> Said<'a> {
    pub(crate) fn new(register: &'a Register, logs: &'a dyn KeyLogs) -> Self {
        let mut said = Self {
            register,
            logs,
            kept: BTreeSet::new(),
            revoked: BTreeMap::new(),
        };
        for record in register.records() {
            if let Record::Keep(keep) = record
                && logs.speaks(record.by(), record.signer())
            {
                let by = keep.payload().by;
                said.kept
                    .extend(keep.payload().of.iter().map(|of| (by, *of)));
            }
        }
        // Those that are kept count as much, so all of what is kept has to be known before.
        for record in register.records() {
            if let Record::Revoke(revocation) = record
                && said.is_said(record)
            {
                let Revocation { by, of, .. } = revocation.payload();
                said.revoked.entry(*of).or_default().push(*by);
            }
        }
        said
    }

    /// TRUST-10, TRUST-11.
    pub(crate) fn is_said(&self, record: &Record) -> bool {
        if self.logs.speaks(record.by(), record.signer()) {
            return true;
        }
        !matches!(record, Record::Keep(_))
            && self.kept.contains(&(*record.by(), *record.cid()))
            && !self.logs.is_frozen(record.by())
    }

    /// TRUST-12.
    fn is_revoked(&self, record: &Record) -> bool {
        let Some(who) = self.revoked.get(record.cid()) else {
            return false;
        };
        match record {
            Record::Revoke(_) | Record::Keep(_) => false,
            Record::Belong(membership) => {
                let Membership {
                    by, member, circle, ..
                } = membership.payload();
                let owner = match self.register.get(circle) {
                    Some(Record::Circle(circle)) => Some(circle.payload().by),
                    _ => None,
                };
                who.iter()
                    .any(|it| it == by || it == member || Some(*it) == owner)
            }
            _ => who.contains(record.by()),
        }
    }
}

impl Counted {
    /// Finds what counts, in a time that grows with how many records there are.
    #[must_use]
    pub fn new(register: &Register, logs: &dyn KeyLogs) -> Self {
        let unheard = unheard(register, logs);
        let heard = Heard {
            logs,
            unheard: &unheard,
        };
        let said = Said::new(register, &heard);
        let mut counted = Self {
            unheard: unheard.clone(),
            is_cut: register.is_cut(),
            ..Self::default()
        };
        for record in register.records() {
            if said.is_said(record) && !said.is_revoked(record) {
                counted.take(record, &heard);
            }
        }
        counted.claims_in_order = counted.claims.values().cloned().collect();
        counted.claims_in_order.sort_unstable_by(|one, two| {
            let (it, other) = (one.payload(), two.payload());
            let place = (&it.about, &it.category, &it.by, &it.claim);
            let place = place.cmp(&(&other.about, &other.category, &other.by, &other.claim));
            place.then_with(|| one.cid().cmp(two.cid()))
        });
        counted
    }

    fn take(&mut self, record: &Record, logs: &dyn KeyLogs) {
        self.counting.insert(*record.cid());
        match record {
            Record::Attest(claim) => {
                let said = claim.payload();
                if let About::Agent(agent) = &said.about
                    && logs.is_frozen(agent)
                {
                    self.frozen.insert(*agent);
                }
                let by = self.claims_by.entry(said.by).or_default();
                by.push(Arc::clone(claim));
                self.claims.insert(*claim.cid(), Arc::clone(claim));
            }
            Record::Witness(witness) => {
                let said = witness.payload();
                self.witnesses.entry(said.of).or_default().insert(said.by);
            }
            Record::Relation(half) => {
                let said = half.payload();
                let by = self.relations.entry(said.by).or_default();
                by.entry(said.with).or_default().push(Arc::clone(half));
            }
            Record::Circle(circle) => {
                self.circles.insert(*circle.cid(), Arc::clone(circle));
            }
            Record::Belong(membership) => {
                // Of an agent of whom nobody knows who it is, nothing follows (TRUST-11).
                let said = membership.payload();
                if self.unheard.contains(&said.member) {
                    let by = self.unsure_members.entry(said.circle).or_default();
                    by.insert(said.by);
                } else if !logs.is_frozen(&said.member) {
                    let members = self.memberships.entry(said.circle).or_default();
                    members.push(Arc::clone(membership));
                }
            }
            Record::Revoke(_) | Record::Keep(_) => {}
        }
    }

    /// Whether nothing can be told, because the register has left out records of anybody (TRUST-16).
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The agents of whom nothing counts, because the register has left out some of what they said (TRUST-16).
    #[must_use]
    pub const fn unheard(&self) -> &BTreeSet<AgentId> {
        &self.unheard
    }

    /// Who admits to a circle an agent who is not heard.
    pub(crate) fn unsure_members(&self, circle: &Cid) -> impl Iterator<Item = &AgentId> {
        self.unsure_members.get(circle).into_iter().flatten()
    }

    /// Whether a record counts.
    #[must_use]
    pub fn counts(&self, cid: &Cid) -> bool {
        self.counting.contains(cid)
    }

    /// The names of all records that count, ascending.
    pub fn counting(&self) -> impl ExactSizeIterator<Item = &Cid> {
        self.counting.iter()
    }

    /// The claims that are asked for, in the order of their names.
    #[must_use]
    pub fn claims(&self, asked: Claims<'_>) -> Vec<&Claim> {
        let among: Vec<&Claim> = match (asked.about, asked.by) {
            (Some(about), _) => self.about(about, asked.category).iter().collect(),
            (None, Some(by)) => self.claims_by.get(by).into_iter().flatten().collect(),
            (None, None) => self.claims.values().collect(),
        };
        let mut found: Vec<_> = among
            .into_iter()
            .filter(|claim| asked.wants(claim.payload()))
            .collect();
        found.sort_unstable_by_key(|claim| claim.cid());
        found
    }

    /// All claims, by what they are about, category, author, text and name.
    pub(crate) fn claims_in_order(&self) -> &[Claim] {
        &self.claims_in_order
    }

    /// The claims about something, of a category if one is given.
    fn about(&self, about: &About, category: Option<&str>) -> &[Claim] {
        let place = |claim: &Claim| {
            let it = claim.payload();
            let category = category.map_or(Ordering::Equal, |is| it.category.as_str().cmp(is));
            it.about.cmp(about).then(category)
        };
        let all = &self.claims_in_order;
        let start = all.partition_point(|claim| place(claim).is_lt());
        let end = all.partition_point(|claim| place(claim).is_le());
        &all[start..end]
    }

    /// The claims of one agent for another by which paths lead, at a time (TRUST-22).
    pub(crate) fn vouches(&self, now: u64) -> impl Iterator<Item = (&AgentId, &Claim)> {
        let vouches = self.claims(Claims {
            category: Some(VOUCH),
            valid_at: Some(now),
            ..Claims::default()
        });
        vouches
            .into_iter()
            .filter_map(|claim| match &claim.payload().about {
                About::Agent(to) if !self.frozen.contains(to) => Some((to, claim)),
                _ => None,
            })
    }

    /// The next time after `now` at which something that counts begins or ends to be valid.
    #[must_use]
    pub fn changes_after(&self, now: u64) -> Option<u64> {
        let claims = self.claims.values().map(|it| {
            let said = it.payload();
            (said.from, said.until)
        });
        let halves = self.relations.values().flat_map(BTreeMap::values).flatten();
        let halves = halves.map(|it| (it.payload().from, it.payload().until));
        let members = self.memberships.values().flatten();
        let members = members.map(|it| (it.payload().from, it.payload().until));
        let times = claims.chain(halves).chain(members);
        let times = times.flat_map(|(from, until)| [Some(from), until]);
        times.flatten().filter(|time| *time > now).min()
    }

    /// Who witnesses a claim, ascending (TRUST-15).
    pub fn witnesses<'a>(&'a self, claim: &'a Claim) -> impl Iterator<Item = &'a AgentId> {
        let all = self.witnesses.get(claim.cid());
        all.into_iter()
            .flatten()
            .filter(|by| **by != claim.payload().by)
    }

    /// The circles that are there, in the order of their names (TRUST-30).
    pub fn circles(&self) -> impl ExactSizeIterator<Item = &Arc<Verified<Circle>>> {
        self.circles.values()
    }

    /// A circle by its name.
    #[must_use]
    pub fn circle(&self, cid: &Cid) -> Option<&Arc<Verified<Circle>>> {
        self.circles.get(cid)
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counted({} records)", self.counting.len())
    }
}

/// Key logs as they will be when a key speaks for an agent no more.
struct Without<'a> {
    logs: &'a dyn KeyLogs,
    agent: &'a AgentId,
    key: &'a PublicKey,
}

impl KeyLogs for Without<'_> {
    fn speaks(&self, agent: &AgentId, key: &PublicKey) -> bool {
        (agent, key) != (self.agent, self.key) && self.logs.speaks(agent, key)
    }

    fn is_frozen(&self, agent: &AgentId) -> bool {
        self.logs.is_frozen(agent)
    }
}

impl Register {
    /// What an agent has to keep before `key` ceases to speak for it (TRUST-14): its records that count now and would not
    /// then, revocations first. To be asked while the key speaks; [`Keep::all`](crate::Keep::all) makes records of it.
    #[must_use]
    pub fn to_keep(&self, agent: &AgentId, key: &PublicKey, logs: &dyn KeyLogs) -> Vec<Cid> {
        let then = Without { logs, agent, key };
        let (now, then) = (Said::new(self, logs), Said::new(self, &then));
        let theirs = self.records().filter(|record| {
            record.by() == agent
                && !matches!(record, Record::Keep(_))
                && now.is_said(record)
                && !then.is_said(record)
                && !now.is_revoked(record)
        });
        let (mut first, rest): (Vec<_>, Vec<_>) =
            theirs.partition(|record| matches!(record, Record::Revoke(_)));
        first.extend(rest);
        first.iter().map(|record| *record.cid()).collect()
    }
}
