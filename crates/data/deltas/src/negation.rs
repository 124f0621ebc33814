//! Which deltas count, of those that there are (DELTA-20 to DELTA-24).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::delta::Delta;
use crate::number::Number;

/// Whose negations count (DELTA-24). Negations are kept and sent on whatever this says: it is how somebody
/// looks at them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum MayNegate {
    /// Anyone negates anything.
    #[default]
    Anyone,
    /// An author negates what is theirs.
    SameAuthor,
    /// An author negates what is theirs, and these negate anything.
    Moderators(BTreeSet<String>),
}

impl MayNegate {
    /// Whether a negation counts against a delta.
    #[must_use]
    pub fn allows(&self, negation: &Delta, negated: &Delta) -> bool {
        let is_own = negation.author() == negated.author();
        match self {
            Self::Anyone => true,
            Self::SameAuthor => is_own,
            Self::Moderators(who) => is_own || who.contains(negation.author()),
        }
    }
}

/// The ids of those of `deltas` that are visible at a time, or of all times together (DELTA-21).
///
/// The answer is that of the set: the order of the deltas and deltas that are there twice do not matter. Of
/// two contents of one id the one with the lesser digest counts (DELTA-8).
#[must_use]
pub fn visible<'a>(
    deltas: impl IntoIterator<Item = &'a Delta>,
    at: Option<Number>,
    who: &MayNegate,
) -> BTreeSet<&'a str> {
    let graph = Graph::new(deltas, at, who);
    let hidden = graph.hidden();
    let ids = graph.nodes.iter().zip(hidden);
    ids.filter(|(_, hidden)| !hidden)
        .map(|(delta, _)| delta.id())
        .collect()
}

/// Deltas, and which of them negate which, by their place.
struct Graph<'a> {
    nodes: Vec<&'a Delta>,
    negates: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    fn new(
        deltas: impl IntoIterator<Item = &'a Delta>,
        at: Option<Number>,
        who: &MayNegate,
    ) -> Self {
        let mut by_id: BTreeMap<&str, &Delta> = BTreeMap::new();
        let there = deltas
            .into_iter()
            .filter(|delta| at.is_none_or(|at| delta.timestamp() <= at));
        for delta in there {
            let kept = by_id.entry(delta.id()).or_insert(delta);
            if delta.digest() < kept.digest() {
                *kept = delta;
            }
        }
        let nodes: Vec<&Delta> = by_id.values().copied().collect();
        let index = |id: &str| nodes.binary_search_by(|node| node.id().cmp(id)).ok();
        let negates = |node: &&Delta| {
            let mut to: Vec<usize> = node
                .negates()
                .filter_map(index)
                .filter(|to| who.allows(node, nodes[*to]))
                .collect();
            to.sort_unstable();
            to.dedup();
            to
        };
        Self {
            negates: nodes.iter().map(negates).collect(),
            nodes,
        }
    }

    /// Whether each is hidden: in an order in which every negation is decided before what it negates.
    fn hidden(&self) -> Vec<bool> {
        let component = self.components();
        // Within a cycle a negation counts only against lesser ids; nodes are in the order of ids
        // (DELTA-22).
        let counts = |from: usize, to: usize| component[from] != component[to] || from > to;
        let mut open = vec![0usize; self.nodes.len()];
        for (from, to) in self.edges() {
            open[to] += usize::from(counts(from, to));
        }
        let mut hidden = vec![false; self.nodes.len()];
        let mut ready: VecDeque<usize> = (0..open.len()).filter(|at| open[*at] == 0).collect();
        while let Some(from) = ready.pop_front() {
            for to in self.negates[from]
                .iter()
                .copied()
                .filter(|to| counts(from, *to))
            {
                hidden[to] |= !hidden[from];
                open[to] -= 1;
                if open[to] == 0 {
                    ready.push_back(to);
                }
            }
        }
        hidden
    }

    fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let lists = self.negates.iter().enumerate();
        lists.flat_map(|(from, list)| list.iter().map(move |to| (from, *to)))
    }

    /// The strongly connected component of each (Tarjan 1972), without recursion: a chain of negations may
    /// be as long as somebody likes.
    fn components(&self) -> Vec<usize> {
        const NONE: usize = usize::MAX;
        let len = self.nodes.len();
        let (mut number, mut low) = (vec![NONE; len], vec![0; len]);
        let mut component = vec![NONE; len];
        let (mut stack, mut path, mut next) = (Vec::new(), Vec::new(), 0);
        for root in 0..len {
            if number[root] != NONE {
                continue;
            }
            path.push((root, 0));
            while let Some((node, edge)) = path.pop() {
                if edge == 0 {
                    (number[node], low[node]) = (next, next);
                    next += 1;
                    stack.push(node);
                } else {
                    let child: usize = self.negates[node][edge - 1];
                    low[node] = low[node].min(low[child]);
                }
                let mut edge = edge;
                let mut child = None;
                while let Some(to) = self.negates[node].get(edge).copied() {
                    edge += 1;
                    if number[to] == NONE {
                        child = Some(to);
                        break;
                    }
                    if component[to] == NONE {
                        low[node] = low[node].min(number[to]);
                    }
                }
                if let Some(child) = child {
                    path.push((node, edge));
                    path.push((child, 0));
                    continue;
                }
                if low[node] == number[node] {
                    while let Some(member) = stack.pop() {
                        component[member] = node;
                        if member == node {
                            break;
                        }
                    }
                }
            }
        }
        component
    }
}
