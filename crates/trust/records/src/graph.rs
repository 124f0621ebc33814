//! Who is related to whom, and by which way (TRUST-22, TRUST-23).

use std::cmp::Reverse;
use std::fmt;

use allod_identity::AgentId;
use cid::Cid;

use crate::counted::{Claim, Counted};
use crate::record::Level;
use crate::relationships::Relationship;
use crate::words::Words;

/// The greatest distance that is one (TRUST-23): beyond it everybody is related to everybody.
pub const DISTANCE_MAX: u8 = 8;

/// The category of claims by which one agent vouches for another (TRUST-22).
pub const VOUCH: &str = "vouch";

/// By what one agent leads to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
#[non_exhaustive]
pub enum Tie {
    /// Both say that they have a relationship.
    Relationship,
    /// One vouches for the other.
    Vouch,
}

/// One step of a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// To whom it leads.
    pub to: AgentId,
    /// By what.
    pub tie: Tie,
    /// The kind of the relationship, or what the one who vouches claims.
    pub says: String,
    /// How close.
    pub level: Level,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// The records that say so.
    pub evidence: Vec<Cid>,
}

/// A way from one agent to another. Its text is in plain English.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path {
    /// Where it begins.
    pub from: AgentId,
    /// Its steps: as many as the distance.
    pub steps: Vec<Step>,
}

impl Path {
    /// The least level of its steps; the greatest there is if it has none.
    #[must_use]
    pub fn level(&self) -> Level {
        let levels = self.steps.iter().map(|step| step.level);
        levels.min().unwrap_or(Level::Family)
    }

    /// The records of all steps.
    pub fn evidence(&self) -> impl Iterator<Item = &Cid> {
        self.steps.iter().flat_map(|step| &step.evidence)
    }

    /// The path in plain English, with the names that the caller has for agents.
    #[must_use]
    pub fn words(&self, name: impl Fn(&AgentId) -> String) -> String {
        Words { path: self, name }.to_string()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(ToString::to_string))
    }
}

/// All that leads from one agent to another at one time, in arrays: agents are their places in a list, and what leads from
/// one stands together.
#[derive(Clone, Default)]
pub struct Graph {
    /// Ascending.
    agents: Vec<AgentId>,
    /// Of each agent where its edges begin; and the end of all.
    starts: Vec<u32>,
    edges: Vec<Edge>,
    /// What the edges stand for: first relationships, each of two edges, then vouches.
    relationships: Vec<Relationship>,
    vouches: Vec<Claim>,
}

/// From one agent to another. Their order is that in which of several between the same agents the first is the best.
#[derive(Clone, Copy, Eq, PartialEq, Ord, PartialOrd)]
struct Arrow {
    from: u32,
    to: u32,
    level: Reverse<Level>,
    /// The place among relationships, or after all of them among vouches.
    tie: u32,
}

#[derive(Clone, Copy)]
struct Edge {
    to: u32,
    level: Level,
    tie: u32,
}

/// What is known of an agent while a path is looked for.
#[derive(Clone, Copy)]
struct Seen {
    level: Level,
    distance: u8,
    from: u32,
    edge: u32,
}

/// The distance of an agent that was not seen.
const NOWHERE: u8 = u8::MAX;

impl Graph {
    /// What holds at a time.
    #[must_use]
    pub fn new(counted: &Counted, now: u64) -> Self {
        let relationships = counted.all_relationships(now);
        let (vouched, vouches): (Vec<_>, Vec<_>) = counted.vouches(now).unzip();
        let vouches: Vec<Claim> = vouches.into_iter().cloned().collect();
        let mut agents: Vec<AgentId> = relationships.iter().flat_map(|it| it.agents).collect();
        agents.extend(vouched.iter().copied().copied());
        agents.extend(vouches.iter().map(|claim| claim.payload().by));
        agents.sort_unstable();
        agents.dedup();
        // All agents are in the list, so each is found.
        let place = |agent: &AgentId| agents.binary_search(agent).unwrap_or_default() as u32;
        let mut arrows = Vec::with_capacity(2 * relationships.len() + vouches.len());
        for (tie, it) in (0..).zip(&relationships) {
            let ([one, two], level) = (it.agents.map(|agent| place(&agent)), Reverse(it.level));
            for (from, to) in [(one, two), (two, one)] {
                arrows.push(Arrow {
                    from,
                    to,
                    level,
                    tie,
                });
            }
        }
        for (tie, (claim, to)) in (relationships.len() as u32..).zip(vouches.iter().zip(vouched)) {
            arrows.push(Arrow {
                from: place(&claim.payload().by),
                to: place(to),
                level: Reverse(Level::Network),
                tie,
            });
        }
        // Of all that leads from one agent to another, the closest is enough: it does for whatever level is asked for.
        arrows.sort_unstable();
        arrows.dedup_by_key(|arrow| (arrow.from, arrow.to));
        let mut starts = vec![0; agents.len() + 1];
        for arrow in &arrows {
            starts[arrow.from as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let edges = arrows.into_iter().map(|arrow| Edge {
            to: arrow.to,
            level: arrow.level.0,
            tie: arrow.tie,
        });
        Self {
            edges: edges.collect(),
            agents,
            starts,
            relationships,
            vouches,
        }
    }

    /// What an edge stands for.
    fn step(&self, edge: Edge) -> Step {
        let to = self.agents[edge.to as usize];
        let tie = edge.tie as usize;
        if let Some(it) = self.relationships.get(tie) {
            return Step {
                to,
                tie: Tie::Relationship,
                says: it.kind.clone(),
                level: it.level,
                since: it.since,
                evidence: it.halves.to_vec(),
            };
        }
        let claim = &self.vouches[tie - self.relationships.len()];
        Step {
            to,
            tie: Tie::Vouch,
            says: claim.payload().claim.clone(),
            level: Level::Network,
            since: claim.payload().from,
            evidence: vec![*claim.cid()],
        }
    }

    /// How many agents have to do with another.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.agents.len()
    }

    /// How many steps there are, counted in each direction.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.edges.len()
    }

    /// The best path from one agent to another over steps of at least a level: the shortest; of several as short one of
    /// the greatest level. `None` if there is none of at most `within` steps, which counts up to [`DISTANCE_MAX`].
    #[must_use]
    pub fn path(&self, from: &AgentId, to: &AgentId, within: u8, least: Level) -> Option<Path> {
        let end = self.agents.binary_search(to).ok().map(|end| end as u32);
        if end.is_none() && from != to {
            // Whom nobody is related to is not looked for.
            return None;
        }
        let routes = self.search(from, end, (within, least));
        routes.path(to, within)
    }

    /// The best paths from one agent to all others, for who asks for several: as [`Graph::path`] finds them one by one.
    #[must_use]
    pub fn routes(&self, from: &AgentId, least: Level) -> Routes<'_> {
        self.search(from, None, (DISTANCE_MAX, least))
    }

    /// Looks around an agent, step by step, until it is at the end or everywhere.
    fn search(&self, from: &AgentId, end: Option<u32>, (within, least): (u8, Level)) -> Routes<'_> {
        let mut routes = Routes {
            graph: self,
            from: *from,
            seen: Vec::new(),
        };
        let Ok(start) = self.agents.binary_search(from) else {
            return routes;
        };
        let nowhere = Seen {
            level: Level::Network,
            distance: NOWHERE,
            from: 0,
            edge: 0,
        };
        let mut seen = vec![nowhere; self.agents.len()];
        seen[start].distance = 0;
        seen[start].level = Level::Family;
        let mut layer = vec![start as u32];
        for distance in 1..=within.min(DISTANCE_MAX) {
            layer = self.after(&layer, (distance, least), &mut seen);
            let is_there = end.is_some_and(|end| seen[end as usize].distance != NOWHERE);
            if is_there || layer.is_empty() {
                break;
            }
        }
        routes.seen = seen;
        routes
    }

    /// The agents that are one step further than a layer, each with the best way to it.
    fn after(&self, layer: &[u32], (distance, least): (u8, Level), seen: &mut [Seen]) -> Vec<u32> {
        let mut next = Vec::new();
        for &from in layer {
            let level = seen[from as usize].level;
            let (start, end) = (self.starts[from as usize], self.starts[from as usize + 1]);
            for edge in start..end {
                let it = self.edges[edge as usize];
                let before = &mut seen[it.to as usize];
                if it.level < least || before.distance < distance {
                    continue;
                }
                let level = level.min(it.level);
                let is_new = before.distance == NOWHERE;
                if is_new || level > before.level {
                    *before = Seen {
                        level,
                        distance,
                        from,
                        edge,
                    };
                }
                if is_new {
                    next.push(it.to);
                }
            }
        }
        next
    }
}

/// The best paths from one agent to all others.
#[derive(Clone)]
pub struct Routes<'a> {
    graph: &'a Graph,
    from: AgentId,
    /// Of each agent of the graph; empty if the first is none of them.
    seen: Vec<Seen>,
}

impl Routes<'_> {
    /// How far an agent is, if there is a path.
    pub(crate) fn distance(&self, to: &AgentId) -> Option<u8> {
        if self.from == *to {
            return Some(0);
        }
        let end = self.graph.agents.binary_search(to).ok()?;
        let distance = self.seen.get(end)?.distance;
        (distance <= DISTANCE_MAX).then_some(distance)
    }

    /// The path to an agent, if there is one of at most `within` steps.
    #[must_use]
    pub fn path(&self, to: &AgentId, within: u8) -> Option<Path> {
        let (from, mut steps) = (self.from, Vec::new());
        if from != *to {
            let end = self.graph.agents.binary_search(to).ok()?;
            let mut at = *self.seen.get(end)?;
            if at.distance > within.min(DISTANCE_MAX) {
                return None;
            }
            while at.distance > 0 {
                steps.push(self.graph.step(self.graph.edges[at.edge as usize]));
                at = self.seen[at.from as usize];
            }
            steps.reverse();
        }
        Some(Path { from, steps })
    }
}

impl fmt::Debug for Routes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Routes(from {} in {:?})", self.from, self.graph)
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Graph({} agents, {} steps)",
            self.agents.len(),
            self.edges.len()
        )
    }
}
