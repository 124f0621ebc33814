//! The order of the nodes of a list (CRDT-15).

use std::collections::BTreeMap;

use super::Node;
use crate::causal::Dot;

/// All nodes whose parents lead to the root, in their order, removed ones included.
///
/// It takes no recursion, since a stranger decides how deep the tree is, and each node is looked at twice.
/// Nodes whose parents go round in a circle are never come to.
pub(crate) fn of(nodes: &BTreeMap<Dot, Node>) -> Vec<Dot> {
    let children = Children::of(nodes);
    let mut order = Vec::with_capacity(nodes.len());
    let mut open = Vec::new();
    open.extend(children.on(None, true).rev().map(Step::Enter));
    while let Some(step) = open.pop() {
        match step {
            Step::Give(dot) => order.push(dot),
            Step::Enter(dot) => {
                open.extend(children.on(Some(dot), true).rev().map(Step::Enter));
                open.push(Step::Give(dot));
                open.extend(children.on(Some(dot), false).rev().map(Step::Enter));
            }
        }
    }
    order
}

/// What is to be done, the next one last.
enum Step {
    /// Everything on the left of a node, the node, and everything on its right.
    Enter(Dot),
    /// The node alone.
    Give(Dot),
}

/// The nodes, sorted by their parent, their side and their dot.
struct Children(Vec<(Option<Dot>, bool, Dot)>);

impl Children {
    fn of(nodes: &BTreeMap<Dot, Node>) -> Self {
        let places = nodes
            .iter()
            .map(|(dot, node)| (node.parent, node.is_right, *dot));
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        Self(places)
    }

    /// The nodes on one side of a parent, by their dots.
    fn on(&self, parent: Option<Dot>, is_right: bool) -> impl DoubleEndedIterator<Item = Dot> {
        let key = (parent, is_right);
        let start = self.0.partition_point(|place| (place.0, place.1) < key);
        let rest = self.0.get(start..).unwrap_or_default();
        let end = rest.partition_point(|place| (place.0, place.1) <= key);
        let here = rest.get(..end).unwrap_or_default();
        here.iter().map(|place| place.2)
    }
}
