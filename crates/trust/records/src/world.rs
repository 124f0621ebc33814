//! The facts of a register at one time, as a reader sees them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use allod_identity::AgentId;
use cid::Cid;

use crate::attested::Attested;
use crate::circles::Circles;
use crate::counted::Counted;
use crate::evaluate::{Answer, Authors, Facts, Subject};
use crate::graph::{DISTANCE_MAX, Graph, Routes};
use crate::record::{About, Level};
use crate::unheard::{Doubts, leads};

/// What counts, and what is made of it, at one time: to be kept by who asks often.
#[derive(Clone)]
pub struct Moment {
    counted: Arc<Counted>,
    graph: Graph,
    circles: Circles,
    attested: Attested,
    /// Who leads to agents who are not heard.
    leads: Vec<(AgentId, AgentId, Level)>,
    now: u64,
    until: Option<u64>,
}

impl Moment {
    /// What there is at `now`, in milliseconds since 1970.
    #[must_use]
    pub fn new(counted: Arc<Counted>, now: u64) -> Self {
        Self {
            graph: Graph::new(&counted, now),
            circles: Circles::new(&counted, now),
            attested: Attested::new(&counted, now),
            leads: leads(&counted, now),
            until: counted.changes_after(now),
            counted,
            now,
        }
    }

    /// Whether the same holds at another time, of the same records: nothing begins or ends to be valid between them.
    #[must_use]
    pub fn holds_at(&self, time: u64) -> bool {
        self.now <= time && self.until.is_none_or(|until| time < until)
    }

    /// The records that count.
    #[must_use]
    pub const fn counted(&self) -> &Arc<Counted> {
        &self.counted
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

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Moment({:?} at {})", self.counted, self.now)
    }
}

/// A condition that a program has of its own, by which policies can ask (TRUST-42).
pub trait Predicate {
    /// Whether it holds for who something came from. Where that fails it cannot be told.
    fn holds(&self, subject: &Subject) -> Answer;
}

/// The predicates of a program, by their names.
pub type Predicates = BTreeMap<String, Box<dyn Predicate + Send + Sync>>;

/// A moment seen from one agent: all that a policy asks for.
pub struct World<'a> {
    reader: AgentId,
    moment: &'a Moment,
    predicates: &'a Predicates,
    /// By level, once they were asked for: so that a policy with many distances takes no longer than one of each.
    routes: [OnceLock<(Routes<'a>, Doubts)>; Level::ALL.len()],
}

impl<'a> World<'a> {
    /// A moment as a reader sees it, with the predicates of the program.
    #[must_use]
    pub const fn new(moment: &'a Moment, reader: AgentId, predicates: &'a Predicates) -> Self {
        Self {
            reader,
            moment,
            predicates,
            routes: [const { OnceLock::new() }; Level::ALL.len()],
        }
    }
}

impl Facts for World<'_> {
    fn attested(&self, by: &AgentId, about: &About, category: &str, claim: Option<&str>) -> Answer {
        let counted = &self.moment.counted;
        if counted.is_cut() || counted.unheard().contains(by) {
            return Answer::Unknown;
        }
        match self.moment.attested.by(by, about, category, claim) {
            Some(claim) => Answer::Yes(vec![*claim.cid()]),
            None => Answer::No,
        }
    }

    fn authors<'b>(&'b self, about: &About, category: &str) -> Option<Authors<'b>> {
        let counted = &self.moment.counted;
        if counted.is_cut() {
            return None;
        }
        // Who is not heard may have claimed anything.
        let authors = self.moment.attested.authors(about, category);
        Some(Box::new(authors.chain(counted.unheard().iter().copied())))
    }

    fn related(&self, to: &AgentId, within: u8, least: Level) -> Answer {
        let counted = &self.moment.counted;
        if counted.is_cut() {
            return Answer::Unknown;
        }
        let (routes, doubts) = self.routes[least as usize].get_or_init(|| {
            let routes = self.moment.graph.routes(&self.reader, least);
            let from = (&self.reader, &routes, least);
            let doubts = Doubts::new(&self.moment.leads, counted.unheard(), from);
            (routes, doubts)
        });
        match routes.path(to, within) {
            Some(path) => Answer::Yes(path.evidence().copied().collect()),
            None if doubts.has(to, within.min(DISTANCE_MAX)) => Answer::Unknown,
            None => Answer::No,
        }
    }

    fn member(&self, agent: &AgentId, circle: &Cid, role: Option<&str>) -> Answer {
        let (counted, circles) = (&self.moment.counted, &self.moment.circles);
        if counted.is_cut() {
            return Answer::Unknown;
        }
        if let Some(chain) = circles.admission(circle, agent, role) {
            return Answer::Yes(chain);
        }
        // The circle may be that of an agent who is not heard; or such an agent is a member, and may have admitted others.
        let is_unsure = match counted.circle(circle) {
            None => !counted.unheard().is_empty(),
            Some(it) => counted
                .unsure_members(circle)
                .any(|by| *by == it.payload().by || circles.admission(circle, by, None).is_some()),
        };
        if is_unsure {
            Answer::Unknown
        } else {
            Answer::No
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
        write!(f, "World({:?} for {})", self.moment, self.reader)
    }
}
