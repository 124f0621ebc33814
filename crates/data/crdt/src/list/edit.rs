//! Inserting and removing, one edit after the other, with the order at hand (CRDT-15).

use std::collections::{BTreeMap, BTreeSet};

use super::{Node, order};
use crate::causal::Dot;
use crate::error::OpError;
use crate::item::Item;
use crate::kind::Writer;

/// The nodes of a list, by their dots.
type Nodes = BTreeMap<Dot, Node>;

/// What is at hand of a list that is edited.
#[derive(Debug)]
pub(super) struct Editing {
    /// All nodes in their order, and whether they are shown.
    order: Vec<(Dot, bool)>,
    /// What has nodes on its right.
    has_right: BTreeSet<Option<Dot>>,
    /// Parents of nodes that are not there: what has them is in no order until they come.
    missing: BTreeSet<Dot>,
}

impl Editing {
    pub(super) fn new(nodes: &Nodes) -> Self {
        let order = order::of(nodes).into_iter();
        let is_shown = |dot: &Dot| nodes.get(dot).is_some_and(|node| node.value.is_some());
        let order = order.map(|dot| (dot, is_shown(&dot))).collect();
        let on_right = nodes.values().filter(|node| node.is_right);
        let has_right = on_right.map(|node| node.parent).collect();
        let parents = nodes.values().filter_map(|node| node.parent);
        let missing = parents.filter(|parent| !nodes.contains_key(parent));
        Self {
            order,
            has_right,
            missing: missing.collect(),
        }
    }

    /// Inserts a value of a writer before the one with this index, or behind the last one.
    pub(super) fn insert(
        &mut self,
        nodes: &mut Nodes,
        index: usize,
        (value, writer): (&[u8], Writer),
    ) -> Result<(), OpError> {
        let (left, place) = match index.checked_sub(1) {
            None => (None, 0),
            Some(before) => {
                let place = self
                    .place(before)
                    .ok_or_else(|| self.out_of_bounds(index))?;
                (self.order.get(place).map(|(dot, _)| *dot), place + 1)
            }
        };
        let next = self.order.get(place).map(|(dot, _)| *dot);
        // What follows a node with others on its right has none on its left.
        let (parent, is_right) = match next {
            Some(next) if self.has_right.contains(&left) => (Some(next), false),
            _ => (left, true),
        };
        let node = Node {
            parent,
            is_right,
            value: Some(Item::from(value)),
        };
        let dot = next_dot(nodes, writer)?;
        nodes.insert(dot, node);
        self.order.insert(place, (dot, true));
        if is_right {
            self.has_right.insert(parent);
        }
        if self.missing.contains(&dot) {
            *self = Self::new(nodes);
        }
        Ok(())
    }

    /// Removes the value with this index.
    pub(super) fn remove_at(&mut self, nodes: &mut Nodes, index: usize) -> Result<(), OpError> {
        let place = self.place(index).ok_or_else(|| self.out_of_bounds(index))?;
        if let Some((dot, is_shown)) = self.order.get_mut(place) {
            *is_shown = false;
            if let Some(node) = nodes.get_mut(dot) {
                node.value = None;
            }
        }
        Ok(())
    }

    /// Where among all nodes the value with this index is.
    fn place(&self, index: usize) -> Option<usize> {
        let shown = self.order.iter().enumerate();
        let mut shown = shown.filter(|(_, (_, is_shown))| *is_shown);
        shown.nth(index).map(|(place, _)| place)
    }

    fn out_of_bounds(&self, index: usize) -> OpError {
        let len = self.order.iter().filter(|(_, is_shown)| *is_shown).count();
        OpError::OutOfBounds { index, len }
    }
}

/// The next dot of a writer.
fn next_dot(nodes: &Nodes, writer: Writer) -> Result<Dot, OpError> {
    let own = nodes.range(Dot(writer, 0)..=Dot(writer, u64::MAX));
    let last = own.last().map_or(0, |(dot, _)| dot.1);
    let seq = last.checked_add(1).ok_or(OpError::Overflow)?;
    Ok(Dot(writer, seq))
}
