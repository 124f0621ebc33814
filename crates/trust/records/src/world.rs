//! The facts of a register at one time, as a reader sees them.

use std::collections::BTreeMap;
use std::fmt;

use allod_identity::AgentId;
use cid::Cid;

use crate::circles::Circles;
use crate::counted::{Claims, Counted};
use crate::evaluate::{Answer, Facts, Signer, Subject};
use crate::graph::Graph;
use crate::record::{About, Level};

/// A condition that a program has of its own, by which policies can ask (TRUST-42).
pub trait Predicate {
    /// Whether it holds for who something came from. Where that fails it cannot be told.
    fn holds(&self, subject: &Subject) -> Answer;
}

/// The predicates of a program, by their names.
pub type Predicates = BTreeMap<String, Box<dyn Predicate + Send + Sync>>;

/// What counts at one time, seen from one agent.
pub struct World<'a> {
    reader: AgentId,
    now: u64,
    counted: &'a Counted,
    graph: Graph,
    circles: Circles,
    predicates: &'a Predicates,
}

impl<'a> World<'a> {
    /// What counts at `now`, in milliseconds since 1970, for a reader.
    #[must_use]
    pub fn new(
        counted: &'a Counted,
        reader: AgentId,
        now: u64,
        predicates: &'a Predicates,
    ) -> Self {
        Self {
            reader,
            now,
            counted,
            graph: Graph::new(counted, now),
            circles: Circles::new(counted, now),
            predicates,
        }
    }

    /// Who is related to whom.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Who is in which circle.
    #[must_use]
    pub const fn circles(&self) -> &Circles {
        &self.circles
    }
}

impl Facts for World<'_> {
    fn attested(
        &self,
        about: &Subject,
        category: &str,
        claim: Option<&str>,
    ) -> Option<Vec<(AgentId, Cid)>> {
        let device = match about.device {
            Signer::Device(device) => Some(About::Device(device)),
            Signer::Agent | Signer::Unknown => None,
        };
        let mut found = Vec::new();
        for about in [Some(About::Agent(about.author)), device]
            .into_iter()
            .flatten()
        {
            let claims = self.counted.claims(Claims {
                about: Some(&about),
                category: Some(category),
                valid_at: Some(self.now),
                by: None,
            });
            let wanted = claims
                .into_iter()
                .filter(|it| claim.is_none_or(|text| it.payload().claim == text));
            found.extend(wanted.map(|it| (it.payload().by, *it.cid())));
        }
        found.sort_unstable_by_key(|(_, record)| *record);
        Some(found)
    }

    fn related(&self, to: &AgentId, within: u8, least: Level) -> Answer {
        match self.graph.path(&self.reader, to, within, least) {
            Some(path) => Answer::Yes(path.evidence().copied().collect()),
            None => Answer::No,
        }
    }

    fn member(&self, agent: &AgentId, circle: &Cid, role: Option<&str>) -> Answer {
        match self.circles.admission(circle, agent, role) {
            Some(chain) => Answer::Yes(chain),
            None => Answer::No,
        }
    }

    fn custom(&self, name: &str, subject: &Subject) -> Answer {
        match self.predicates.get(name) {
            Some(predicate) => predicate.holds(subject),
            None => Answer::Unknown,
        }
    }
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({:?} at {})", self.counted, self.now)
    }
}
