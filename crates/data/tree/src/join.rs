//! The keys of two trees in one.

use std::sync::Arc;

use allod_blocks::Block;
use bytes::Bytes;

use crate::cut::{Cut, Run};
use crate::diff::{Met, Pair};
use crate::edit::{Fit, Put, Value};
use crate::error::TreeError;
use crate::loaded::Loaded;
use crate::node::Node;
use crate::tree::Tree;

/// What a join keeps of a key that both sides have with different values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resolve {
    /// The left value.
    Left,
    /// The right value.
    Right,
    /// This value.
    Value(Bytes),
}

/// Decides between two values: given the key, the left and the right value.
pub type Resolver<'a> = dyn FnMut(&[u8], &[u8], &[u8]) -> Resolve + 'a;

impl Tree {
    /// The tree with the keys of both: those of one side as they are, and what `resolve` says
    /// (given key, left value, right value) where the sides differ. Hands the blocks that this
    /// tree does not have to `out`; but for blocks of `other`, if both are read from the same source.
    ///
    /// Takes time in proportion to what differs. Where whole subtrees of `other` fall between two keys
    /// of this tree, they are taken over unread: `other` has to be whole, and its blocks have to stay for
    /// as long as the joined tree does.
    pub fn join(
        &self,
        other: &Self,
        resolve: &mut Resolver<'_>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Self, TreeError> {
        let is_shared = matches!((self.cache(), other.cache()), (Some(one), Some(two)) if Arc::ptr_eq(one, two));
        let mut join = Join {
            pair: Pair::new(self, other),
            levels: if is_shared { self.depth() } else { 0 },
            resolve,
        };
        self.edit_with(std::iter::from_fn(|| join.step().transpose()), out)
    }
}

/// What the right side of a join adds to the left one.
struct Join<'a> {
    pair: Pair,
    /// Of how many levels, from the leaves up, nodes may be taken over: of none if the joined tree could not
    /// read them, and of none above the left root, where an edit cuts no nodes.
    levels: u32,
    resolve: &'a mut Resolver<'a>,
}

/// What is put under a key: a value, or under its last key a run.
enum Joined {
    Value(Value<Bytes>),
    Run(Run),
}

impl Join<'_> {
    fn step(&mut self) -> Result<Option<(Bytes, Option<Joined>)>, TreeError> {
        loop {
            match self.pair.meet()? {
                Met::LeftSubtree | Met::Left => self.pair.left.skip(),
                Met::RightSubtree => match self.run() {
                    Some(run) => return Ok(Some((run.key(), Some(Joined::Run(run))))),
                    None => self.pair.right.open()?,
                },
                Met::Right => return Ok(self.take(false)),
                Met::Both => {
                    if let Some(put) = self.take(true) {
                        return Ok(Some(put));
                    }
                }
                Met::End => return Ok(None),
            }
        }
    }

    /// Goes past the subtrees on the right that can be taken over together, if the first of them can.
    fn run(&mut self) -> Option<Run> {
        let (parent, mut children) = self.pair.right_subtrees()?;
        if u32::from(parent.node.level()) > self.levels {
            return None;
        }
        // The last one of a level may end where no boundary is. Then nothing may come after it.
        if children.end == parent.node.len()
            && self.pair.right.is_in_last_node()
            && !self.pair.left.is_at_end()
        {
            children.end -= 1;
        }
        // What is not stored yet has blocks that have to be handed out.
        let is_stored = |index: &usize| parent.slot(*index).is_none_or(|child| !child.is_pinned());
        children.end = children.start + children.clone().take_while(is_stored).count();
        if children.is_empty() {
            return None;
        }
        self.pair.right.skip_to(children.end);
        Some(Run { parent, children })
    }

    fn take(&mut self, both: bool) -> Option<(Bytes, Option<Joined>)> {
        let change = self.pair.take(both, true)?;
        let value = match (change.left, change.right?) {
            (None, right) => right,
            (Some(left), right) => match (self.resolve)(&change.key, &left, &right) {
                Resolve::Left => return None,
                Resolve::Right => right,
                Resolve::Value(value) => value,
            },
        };
        Some((change.key, Some(Joined::Value(Value(value)))))
    }
}

impl Put for Joined {
    fn fit(&self, node: &Node, index: usize) -> Fit {
        match self {
            Self::Value(value) => value.fit(node, index),
            Self::Run(_) => Fit::Other,
        }
    }

    fn push(self, key: &[u8], cut: &mut Cut<'_>) -> Result<(), TreeError> {
        match self {
            Self::Value(value) => value.push(key, cut),
            Self::Run(run) => cut.push_run(run),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Value(value) => value.bytes(),
            Self::Run(_) => &[],
        }
    }

    fn node(&self) -> Option<&Loaded> {
        None
    }
}
