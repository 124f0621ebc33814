//! Inserting and removing, one edit after the other, with the order at hand (CRDT-15).

use std::collections::BTreeSet;

use super::{List, Node, order};
use crate::causal::Dot;
use crate::error::OpError;
use crate::item::Item;
use crate::kind::Writer;

/// A list that is edited.
pub(super) struct Editing<'a> {
    list: &'a mut List,
    /// All nodes in their order, and whether they are shown.
    order: Vec<(Dot, bool)>,
    /// What has nodes on its right.
    has_right: BTreeSet<Option<Dot>>,
}

impl<'a> Editing<'a> {
    pub(super) fn new(list: &'a mut List) -> Self {
        let order = order::of(&list.0).into_iter();
        let order = order.map(|dot| (dot, list.get(dot).is_some())).collect();
        let on_right = list.0.values().filter(|node| node.is_right);
        let has_right = on_right.map(|node| node.parent).collect();
        Self {
            list,
            order,
            has_right,
        }
    }

    /// Inserts a value before the one with this index, or behind the last one.
    pub(super) fn insert(
        &mut self,
        index: usize,
        value: &[u8],
        writer: Writer,
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
        let dot = self.list.next(writer)?;
        self.list.0.insert(dot, node);
        self.order.insert(place, (dot, true));
        if is_right {
            self.has_right.insert(parent);
        }
        Ok(())
    }

    /// Removes the value with this index.
    pub(super) fn remove_at(&mut self, index: usize) -> Result<(), OpError> {
        let place = self.place(index).ok_or_else(|| self.out_of_bounds(index))?;
        if let Some((dot, is_shown)) = self.order.get_mut(place) {
            *is_shown = false;
            if let Some(node) = self.list.0.get_mut(dot) {
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
