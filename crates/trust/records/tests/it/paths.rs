//! Paths between agents beside all that there are.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;

use allod_identity::{AgentId, KeyLog};
use allod_trust::{
    About, Attestation, Counted, DISTANCE_MAX, Graph, Level, Register, Relation, Tie, VOUCH,
};
use proptest::prelude::*;

use crate::{NOW, agent, cases, said};

/// A relationship of two, or that one vouches for the other.
type Arc = (u8, u8, Option<usize>);

fn register(arcs: &[Arc]) -> Register {
    let mut register = Register::new();
    let half = |by: u8, with: u8, level: usize| {
        said(
            by,
            Relation {
                by: agent(by),
                with: agent(with),
                kind: "friend".to_owned(),
                level: Level::ALL[level],
                from: NOW,
                until: None,
                at: NOW,
            },
        )
    };
    for &(from, to, level) in arcs {
        match level {
            Some(level) => {
                register.add(half(from, to, level)).unwrap();
                register.add(half(to, from, level)).unwrap();
            }
            None => {
                let vouch = Attestation {
                    by: agent(from),
                    about: About::Agent(agent(to)),
                    category: VOUCH.to_owned(),
                    claim: "a good neighbour".to_owned(),
                    evidence: Vec::new(),
                    from: NOW,
                    until: None,
                    at: NOW,
                };
                register.add(said(from, vouch)).unwrap();
            }
        }
    }
    register
}

fn graph(arcs: &[Arc]) -> Graph {
    let logs: BTreeMap<AgentId, KeyLog> = BTreeMap::new();
    Graph::new(&Counted::new(&register(arcs), &logs), NOW)
}

/// All paths without a circle, and of these the best: the distance and the level.
fn naive(
    steps: &[(u8, u8, Level)],
    (at, to): (u8, u8),
    left: u8,
    seen: &mut Vec<u8>,
) -> Option<(usize, Level)> {
    if at == to {
        return Some((0, Level::Family));
    }
    if left == 0 {
        return None;
    }
    let mut best: Option<(usize, Level)> = None;
    seen.push(at);
    for (from, next, level) in steps {
        if *from != at || seen.contains(next) {
            continue;
        }
        if let Some((far, rest)) = naive(steps, (*next, to), left - 1, seen) {
            let found = (far + 1, rest.min(*level));
            let is_better = best
                .is_none_or(|(far, level)| found.0 < far || (found.0 == far && found.1 > level));
            if is_better {
                best = Some(found);
            }
        }
    }
    seen.pop();
    best
}

fn arcs() -> impl Strategy<Value = Vec<Arc>> {
    let arc = (1..8u8, 1..8u8, prop::option::weighted(0.8, 0..5usize));
    let arcs = prop::collection::vec(arc, 0..16);
    arcs.prop_map(|mut arcs| {
        arcs.retain(|(from, to, _)| from != to);
        // One relationship of two, so that its level is what it was made with.
        let mut pairs = std::collections::BTreeSet::new();
        arcs.retain(|(from, to, level)| {
            level.is_none() || pairs.insert((*from.min(to), *from.max(to)))
        });
        arcs
    })
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_path_is_the_best_of_all(arcs in arcs(), least in 0..5usize, within in 1..=DISTANCE_MAX) {
        let graph = graph(&arcs);
        let least = Level::ALL[least];
        let mut steps = Vec::new();
        for &(from, to, level) in &arcs {
            let level_of = level.map_or(Level::Network, |level| Level::ALL[level]);
            if level_of >= least {
                steps.push((from, to, level_of));
                if level.is_some() {
                    steps.push((to, from, level_of));
                }
            }
        }
        for from in 1..8 {
            for to in 1..8 {
                let found = graph.path(&agent(from), &agent(to), within, least);
                let known = found.as_ref().map(|path| (path.steps.len(), path.level()));
                prop_assert_eq!(known, naive(&steps, (from, to), within, &mut Vec::new()));
                let routes = graph.routes(&agent(from), least);
                prop_assert_eq!(&routes.path(&agent(to), within), &found);
                let Some(path) = found else { continue };
                let mut at = agent(from);
                for step in &path.steps {
                    prop_assert!(step.level >= least);
                    let is_there = steps.iter().any(|(a, b, level)| {
                        agent(*a) == at && agent(*b) == step.to && *level == step.level
                    });
                    prop_assert!(is_there);
                    prop_assert_eq!(step.evidence.len(), if step.tie == Tie::Vouch { 1 } else { 2 });
                    at = step.to;
                }
                prop_assert_eq!(at, agent(to));
            }
        }
    }
}

#[test]
fn a_path_says_why() {
    let graph = graph(&[(1, 2, Some(4)), (2, 3, None), (1, 4, Some(0))]);
    let names = |of: &AgentId| {
        let at = (1..5).find(|n| agent(*n) == *of).unwrap();
        ["you", "Anna", "Cara", "Dora"][usize::from(at) - 1].to_owned()
    };
    let path = graph.path(&agent(1), &agent(3), 2, Level::Network).unwrap();
    assert_eq!(
        path.words(names),
        "you and Anna have a relationship of level family (friend) since 2027-01-15; \
         Anna vouches for Cara since 2027-01-15: \"a good neighbour\""
    );
    assert_eq!(path.evidence().count(), 3);
    assert!(path.to_string().starts_with("did:key:z6Mk"));
    let closer = graph.path(&agent(1), &agent(3), 2, Level::Association);
    assert_eq!(closer, None, "who vouches is not close by that");
    assert_eq!(graph.path(&agent(3), &agent(2), 8, Level::Network), None);
    assert_eq!(graph.path(&agent(1), &agent(9), 8, Level::Network), None);
    let own = graph.path(&agent(1), &agent(1), 1, Level::Family).unwrap();
    assert_eq!((own.steps.len(), own.words(names)), (0, "you".to_owned()));
    assert_eq!((graph.agents(), graph.steps()), (4, 5));
}
