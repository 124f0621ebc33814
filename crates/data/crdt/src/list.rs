//! Lists: the Fugue tree, whose order does not mix what two people write at one place (CRDT-15).

mod edit;
mod order;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::edit::Editing;
use crate::body::{At, Body};
use crate::causal::Dot;
use crate::error::{BadState, OpError};
use crate::item::Item;
use crate::kind::{Kind, Writer};
use crate::lattice::{Join, JoinMap, ascending, later};
use crate::op::Op;
use crate::value::Value;

/// A place in the list, and what is there.
///
/// The order of the members decides which of two nodes with one dot stays. Only a writer that is used
/// twice makes such nodes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    /// `None` for the root.
    parent: Option<Dot>,
    /// On which side of its parent.
    is_right: bool,
    /// `None` if it was removed.
    value: Option<Item>,
}

impl Ord for Node {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        fn key(node: &Node) -> (Option<Dot>, bool, bool, &Option<Item>) {
            (
                node.parent,
                node.is_right,
                node.value.is_none(),
                &node.value,
            )
        }
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Join for Node {
    fn join(&mut self, other: &Self) {
        later(self, other);
    }

    fn includes(&self, other: &Self) -> bool {
        self >= other
    }
}

/// Values in an order.
#[derive(Debug, Default)]
pub(crate) struct List {
    nodes: JoinMap<Dot, Node>,
    /// The order at hand while one edit follows the other: to find it goes through all nodes.
    editing: Option<Editing>,
}

impl From<BTreeMap<Dot, Node>> for List {
    fn from(nodes: BTreeMap<Dot, Node>) -> Self {
        Self {
            nodes: JoinMap(nodes),
            editing: None,
        }
    }
}

/// A copy is made to be joined more often than to be edited.
impl Clone for List {
    fn clone(&self) -> Self {
        Self::from(self.nodes.0.clone())
    }
}

/// Whatever is at hand.
impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes
    }
}

impl Eq for List {}

impl Join for List {
    fn join(&mut self, other: &Self) {
        self.editing = None;
        self.nodes.join(&other.nodes);
    }

    fn includes(&self, other: &Self) -> bool {
        self.nodes.includes(&other.nodes)
    }

    fn delta(&self, since: &Self) -> Option<Self> {
        let delta = self.nodes.delta(&since.nodes)?;
        Some(Self::from(delta.0))
    }
}

/// How a parent is written: one of the same writer by its number alone.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum ParentWire {
    Same(u64),
    Other(Dot),
}

/// The number of a node, its parent, its side, its value.
type NodeWire = (u64, Option<ParentWire>, bool, Option<Item>);

impl List {
    /// The values that are shown, in their order.
    fn shown(&self) -> Vec<&[u8]> {
        let dots = order::of(&self.nodes.0).into_iter();
        dots.filter_map(|dot| self.get(dot)).collect()
    }

    /// The value under a dot, if it is there.
    fn get(&self, dot: Dot) -> Option<&[u8]> {
        let node = self.nodes.0.get(&dot)?;
        node.value.as_ref().map(Item::as_slice)
    }

    /// Values of one writer, each on the right of the one before.
    fn chain<'a>(
        writer: Writer,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) -> BTreeMap<Dot, Node> {
        let numbered = (1_u64..).zip(values);
        let node = |(seq, value): (u64, Option<&[u8]>)| {
            let parent = (seq > 1).then(|| Dot(writer, seq - 1));
            let value = value.map(Item::from);
            let node = Node {
                parent,
                is_right: true,
                value,
            };
            (Dot(writer, seq), node)
        };
        numbered.map(node).collect()
    }
}

impl Body for List {
    type Wire = Vec<(Writer, Vec<NodeWire>)>;
    const KIND: Kind = Kind::List;

    fn is_empty(&self) -> bool {
        self.nodes.0.is_empty()
    }

    fn from_wire(wire: Self::Wire) -> Result<Self, BadState> {
        let mut all = BTreeMap::new();
        for (writer, nodes) in ascending(wire)? {
            if nodes.is_empty() {
                return Err(BadState::Needless);
            }
            for (seq, parent, is_right, value) in nodes {
                value.as_ref().map_or(Ok(()), Item::check)?;
                let parent = match parent {
                    Some(ParentWire::Same(parent)) => Some(Dot(writer, parent)),
                    Some(ParentWire::Other(dot)) if dot.0 != writer => Some(dot),
                    None if is_right => None,
                    Some(ParentWire::Other(_)) | None => return Err(BadState::Parent),
                };
                if seq == 0 || parent.is_some_and(|parent| parent.1 == 0) {
                    return Err(BadState::Dot);
                }
                let node = Node {
                    parent,
                    is_right,
                    value,
                };
                let dot = Dot(writer, seq);
                if all.last_key_value().is_some_and(|(last, _)| *last >= dot) {
                    return Err(BadState::Order);
                }
                all.insert(dot, node);
            }
        }
        Ok(Self::from(all))
    }

    fn to_wire(&self) -> Self::Wire {
        let mut all: Self::Wire = Vec::new();
        for (dot, node) in &self.nodes.0 {
            let parent = node.parent.map(|parent| {
                if parent.0 == dot.0 {
                    ParentWire::Same(parent.1)
                } else {
                    ParentWire::Other(parent)
                }
            });
            let node = (dot.1, parent, node.is_right, node.value.clone());
            match all.last_mut() {
                Some((writer, nodes)) if *writer == dot.0 => nodes.push(node),
                _ => all.push((dot.0, vec![node])),
            }
        }
        all
    }

    fn apply(&mut self, ops: &[Op], at: At) -> Result<bool, OpError> {
        let nodes = &mut self.nodes.0;
        let editing = self.editing.get_or_insert_with(|| Editing::new(nodes));
        for op in ops {
            match op {
                Op::Insert(index, value) => editing.insert(nodes, *index, (value, at.writer))?,
                Op::RemoveAt(index) => editing.remove_at(nodes, *index)?,
                _ => return Self::refuse(op),
            }
        }
        Ok(!ops.is_empty())
    }

    fn changes(&self, to: &Self) -> Result<Vec<Op>, OpError> {
        Ok(rebase(self, self, to))
    }

    fn compact(&self, at: At) -> Result<Self, OpError> {
        let shown = self.shown();
        let values: Vec<Option<&[u8]>> = if shown.is_empty() {
            vec![None]
        } else {
            shown.into_iter().map(Some).collect()
        };
        Ok(Self::from(Self::chain(at.writer, values)))
    }

    fn value(&self) -> Value {
        Value::items(self.shown())
    }
}

impl List {
    /// The dots of the values that are shown.
    fn dots_shown(&self) -> BTreeSet<Dot> {
        let dots = order::of(&self.nodes.0).into_iter();
        dots.filter(|dot| self.get(*dot).is_some()).collect()
    }
}

/// What leads from one list to another, done to a third one of the same epoch.
///
/// In the order of all three together each node has one place, so what is inserted and removed there
/// can be told by going through it once.
pub(crate) fn rebase(here: &List, from: &List, to: &List) -> Vec<Op> {
    let mut all = here.clone();
    all.join(from);
    all.join(to);
    let (mut ops, mut index) = (Vec::new(), 0);
    let [shown, before, after] = [here, from, to].map(List::dots_shown);
    for dot in order::of(&all.nodes.0) {
        let (was, is) = (before.contains(&dot), after.contains(&dot));
        if shown.contains(&dot) {
            if was && !is {
                ops.push(Op::RemoveAt(index));
            } else {
                index += 1;
            }
        } else if let (false, true, Some(value)) = (was, is, to.get(dot)) {
            ops.push(Op::Insert(index, value.to_vec()));
            index += 1;
        }
    }
    ops
}

/// What leads from some values to others, done to a list that has no node in common with them: what lies
/// between the values with which both begin and those with which both end is replaced.
pub(crate) fn rebase_values(here: &List, from: &List, to: &List) -> Vec<Op> {
    let (len, from, to) = (here.shown().len(), from.shown(), to.shown());
    let same = |(one, two): &(&&[u8], &&[u8])| one == two;
    let start = from.iter().zip(&to).take_while(same).count();
    let (old, new) = (from.iter().skip(start), to.iter().skip(start));
    let end = old
        .clone()
        .rev()
        .zip(new.clone().rev())
        .take_while(same)
        .count();
    let (removed, added) = (old.len() - end, new.len() - end);
    let at = start.min(len);
    let removals = (0..removed.min(len - at)).map(|_| Op::RemoveAt(at));
    let additions = (at..)
        .zip(new.take(added))
        .map(|(at, value)| Op::Insert(at, value.to_vec()));
    removals.chain(additions).collect()
}
