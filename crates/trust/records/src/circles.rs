//! Circles: groups whose every membership goes back to their owner (TRUST-30, TRUST-31).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use allod_identity::{AgentId, Verified};
use cid::Cid;

use crate::counted::Counted;
use crate::record::{Circle, Membership, is_valid};

/// A member of a circle, with one role.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Member<'a> {
    /// Who.
    pub agent: &'a AgentId,
    /// With which role.
    pub role: &'a str,
    /// The record that makes it one.
    pub record: &'a Cid,
}

/// The members of all circles at one time.
#[derive(Clone, Default)]
pub struct Circles {
    circles: BTreeMap<Cid, Admissions>,
}

/// The members of one circle. A role is its place among those of the circle.
#[derive(Clone)]
struct Admissions {
    circle: Arc<Verified<Circle>>,
    members: BTreeMap<(AgentId, usize), Admission>,
}

/// By whom somebody was admitted: a member with a role, or the owner.
#[derive(Clone, Copy)]
struct Admission {
    by: Option<(AgentId, usize)>,
    record: Cid,
}

impl Circles {
    /// Who is a member of which circle at a time.
    #[must_use]
    pub fn new(counted: &Counted, now: u64) -> Self {
        let circles = counted.circles().map(|circle| {
            let records = counted.memberships.get(circle.cid());
            let records = records.into_iter().flatten();
            (*circle.cid(), Admissions::new(circle, records, now))
        });
        Self {
            circles: circles.collect(),
        }
    }

    /// The members of a circle, by agent and role. One agent may have several roles.
    pub fn members(&self, circle: &Cid) -> impl Iterator<Item = Member<'_>> {
        let of = self.circles.get(circle);
        of.into_iter().flat_map(|of| {
            let members = of.members.iter();
            members.filter_map(|((agent, role), admission)| {
                let (role, record) = (of.role(*role)?, &admission.record);
                Some(Member {
                    agent,
                    role,
                    record,
                })
            })
        })
    }

    /// Why an agent is a member, with a role if one is given: the circle, then each record that admitted somebody, up to
    /// this member. `None` if it is none.
    #[must_use]
    pub fn admission(&self, circle: &Cid, agent: &AgentId, role: Option<&str>) -> Option<Vec<Cid>> {
        let of = self.circles.get(circle)?;
        let mut roles = of.members.range((*agent, 0)..=(*agent, usize::MAX));
        let (place, _) =
            roles.find(|((_, it), _)| role.is_none_or(|role| of.role(*it) == Some(role)))?;
        let (mut chain, mut next) = (Vec::new(), Some(*place));
        while let Some(admission) = next.and_then(|place| of.members.get(&place)) {
            chain.push(admission.record);
            next = admission.by;
        }
        chain.push(*circle);
        chain.reverse();
        Some(chain)
    }
}

impl Admissions {
    /// Begins with whom the owner admits and goes on from each who was admitted, so that each is by the shortest way from
    /// the owner, and those who admit each other in a ring are not reached.
    fn new<'a>(
        circle: &Arc<Verified<Circle>>,
        records: impl Iterator<Item = &'a Arc<Verified<Membership>>>,
        now: u64,
    ) -> Self {
        let roles = &circle.payload().roles;
        let number = |role: &str| roles.keys().position(|it| it == role);
        let mut by_author: BTreeMap<AgentId, Vec<(AgentId, usize, Cid)>> = BTreeMap::new();
        for record in records {
            let said = record.payload();
            if let Some(role) = number(&said.role)
                && is_valid(said.from, said.until, now)
            {
                let of_author = by_author.entry(said.by).or_default();
                of_author.push((said.member, role, *record.cid()));
            }
        }
        let admits: Vec<Vec<usize>> = roles
            .values()
            .map(|to| to.iter().filter_map(|role| number(role)).collect())
            .collect();
        let mut members = BTreeMap::new();
        let mut open = VecDeque::from([(circle.payload().by, None)]);
        while let Some((author, with)) = open.pop_front() {
            for (member, role, record) in by_author.get(&author).into_iter().flatten() {
                let may = with.is_none_or(|with: usize| admits[with].contains(role));
                if may && !members.contains_key(&(*member, *role)) {
                    let by = with.map(|with| (author, with));
                    let record = *record;
                    members.insert((*member, *role), Admission { by, record });
                    open.push_back((*member, Some(*role)));
                }
            }
        }
        Self {
            circle: Arc::clone(circle),
            members,
        }
    }

    fn role(&self, number: usize) -> Option<&str> {
        let mut roles = self.circle.payload().roles.keys();
        roles.nth(number).map(String::as_str)
    }
}

impl fmt::Debug for Circles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Circles({})", self.circles.len())
    }
}
