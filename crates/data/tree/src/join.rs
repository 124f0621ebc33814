//! The keys of two trees in one.

use std::sync::Arc;

use allod_blocks::Block;
use bytes::Bytes;

use crate::diff::{Met, Pair};
use crate::edit::{Fit, Put, Value};
use crate::encode::{Chunker, Link};
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
    /// Takes time in proportion to what differs. Where whole leaves of `other` fall between two keys
    /// of this tree, they are taken over unread: `other` has to be whole, and its blocks have to stay for
    /// as long as the joined tree does.
    pub fn join(
        &self,
        other: &Self,
        resolve: &mut Resolver<'_>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Self, TreeError> {
        let mut join = Join {
            pair: Pair::new(self, other),
            other,
            grafts: matches!((self.cache(), other.cache()), (Some(one), Some(two)) if Arc::ptr_eq(one, two)),
            resolve,
        };
        self.edit_with(std::iter::from_fn(|| join.step().transpose()), out)
    }
}

/// What the right side of a join adds to the left one.
struct Join<'a> {
    pair: Pair,
    other: &'a Tree,
    /// Whether leaves may be taken over: the joined tree can read them.
    grafts: bool,
    resolve: &'a mut Resolver<'a>,
}

/// What is put under a key: a value, or under its last key a leaf.
enum Joined<'a> {
    Value(Value<Bytes>),
    Leaf(Leaf<'a>),
}

/// A leaf of a tree, as the child of a node. Not the last one of the tree: that may end too early.
struct Leaf<'a> {
    tree: &'a Tree,
    parent: Loaded,
    index: usize,
}

impl<'a> Join<'a> {
    fn step(&mut self) -> Result<Option<(Bytes, Option<Joined<'a>>)>, TreeError> {
        loop {
            match self.pair.meet()? {
                Met::LeftSubtree | Met::Left => self.pair.left.skip(),
                Met::RightSubtree => match self.leaf() {
                    Some(leaf) => {
                        self.pair.right.skip();
                        let key = leaf.parent.node.key(leaf.index).unwrap_or_default();
                        return Ok(Some((key, Some(Joined::Leaf(leaf)))));
                    }
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

    /// The subtree on the right, if it is a leaf that can be taken over.
    fn leaf(&self) -> Option<Leaf<'a>> {
        let (parent, index) = self.pair.right.path.last()?;
        let mut path = self.pair.right.path.iter();
        let is_last = path.all(|(node, index)| index + 1 == node.node.len());
        // What is not stored yet has a block that has to be handed out.
        let is_stored = parent.slot(*index).is_none_or(|leaf| !leaf.is_pinned());
        let fits = self.grafts && parent.node.level() == 1 && !is_last && is_stored;
        fits.then(|| Leaf {
            tree: self.other,
            parent: parent.clone(),
            index: *index,
        })
    }

    fn take(&mut self, both: bool) -> Option<(Bytes, Option<Joined<'a>>)> {
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

impl Put for Joined<'_> {
    fn fit(&self, node: &Node, index: usize) -> Fit {
        match self {
            Self::Value(value) => value.fit(node, index),
            Self::Leaf(_) => Fit::Other,
        }
    }

    fn push(
        self,
        chunker: &mut Chunker,
        key: &[u8],
        made: &mut Vec<Link>,
    ) -> Result<(), TreeError> {
        match self {
            Self::Value(value) => value.push(chunker, key, made),
            Self::Leaf(leaf) => leaf.push(chunker, made),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Value(value) => value.bytes(),
            Self::Leaf(_) => &[],
        }
    }

    fn node(&self) -> Option<&Loaded> {
        None
    }
}

impl Leaf<'_> {
    fn push(self, chunker: &mut Chunker, made: &mut Vec<Link>) -> Result<(), TreeError> {
        let parent = &self.parent.node;
        if chunker.is_empty() {
            // Where a node ends depends on nothing before its first key (TREE-4).
            let mut digest = [0; 32];
            digest.copy_from_slice(parent.digest(self.index));
            made.push(Link {
                key: parent.key(self.index).unwrap_or_default(),
                digest,
                count: parent.count(self.index).unwrap_or_default(),
                node: self.parent.slot(self.index).cloned(),
                block: None,
            });
            return Ok(());
        }
        let leaf = self.tree.child_once(&self.parent, self.index)?;
        let mut key = Vec::new();
        for index in 0..leaf.node.len() {
            leaf.node.key_ref(index).write(&mut key);
            made.extend(chunker.push_value(&key, leaf.node.value_ref(index))?);
        }
        Ok(())
    }
}
