//! The leaves of a tree, in order, by their names: none is read before somebody asks for what it holds.

use std::fmt;

use bytes::Bytes;
use cid::Cid;

use crate::cursor::generation;
use crate::error::TreeError;
use crate::loaded::{Keep, Loaded};
use crate::node::Node;
use crate::tree::Tree;

/// The leaves that hold the entries of a tree within bounds.
///
/// What was made of a leaf can be kept under its name: leaves of other trees with the same entries have
/// the same name. A scan pushes no node out of memory that others use.
pub struct Leaves {
    tree: Tree,
    low: Vec<u8>,
    high: Option<Vec<u8>>,
    /// The nodes above the leaf, with the child that was taken in each. Empty if the root is the leaf.
    path: Vec<(Loaded, usize)>,
    at: At,
    generation: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Start,
    /// At the leaf that the path leads to.
    Leaf,
    End,
}

/// A leaf that was perhaps not read yet.
pub struct Leaf {
    tree: Tree,
    parent: Option<(Loaded, usize)>,
    cid: Cid,
    len: usize,
    is_within: bool,
}

impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaves")
            .field("tree", &self.tree)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("cid", &self.cid)
            .field("len", &self.len)
            .field("is_within", &self.is_within)
            .finish_non_exhaustive()
    }
}

impl Leaf {
    /// Its name.
    #[must_use]
    pub const fn cid(&self) -> &Cid {
        &self.cid
    }

    /// How many entries it has, with those that are not within the bounds.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "only that of the empty tree is"
    )]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The last of its keys, from the node above it; none for the only leaf of a tree.
    #[must_use]
    pub fn last_key(&self) -> Option<Bytes> {
        let (parent, index) = self.parent.as_ref()?;
        parent.node.key(*index)
    }

    /// Whether all its entries are known to be within the bounds.
    #[must_use]
    pub const fn is_within(&self) -> bool {
        self.is_within
    }

    /// What it holds: in memory, or read now.
    pub fn node(&self) -> Result<Node, TreeError> {
        match &self.parent {
            None => Ok(self.tree.loaded_root().node),
            Some((parent, index)) => Ok(self.tree.child_as(parent, *index, Keep::IfRoom)?.node),
        }
    }
}

impl Tree {
    /// The leaves that hold the entries from a key on, up to one that is not among them. There may be
    /// one more at either end than there has to be.
    #[must_use]
    pub fn leaves(&self, low: &[u8], high: Option<&[u8]>) -> Leaves {
        Leaves {
            tree: self.clone(),
            low: low.to_vec(),
            high: high.map(<[u8]>::to_vec),
            path: Vec::new(),
            at: At::Start,
            generation: 0,
        }
    }
}

impl Leaves {
    /// The next leaf.
    #[expect(
        clippy::should_implement_trait,
        reason = "as with cursors: an error is no item"
    )]
    pub fn next(&mut self) -> Result<Option<Leaf>, TreeError> {
        let found = self.go_on();
        // Behind a fault it is over: what could not be read is not passed over.
        self.at = if found.is_ok() { self.at } else { At::End };
        found
    }

    fn go_on(&mut self) -> Result<Option<Leaf>, TreeError> {
        let is_there = match self.at {
            At::Start => {
                let low = std::mem::take(&mut self.low);
                let found = self.descend(&low);
                self.low = low;
                found?;
                true
            }
            At::Leaf => self.step()?,
            At::End => false,
        };
        let leaf = is_there.then(|| self.leaf());
        let ends = leaf.as_ref().is_none_or(|leaf| self.is_last(leaf));
        self.at = if ends { At::End } else { At::Leaf };
        Ok(leaf)
    }

    /// Whether no leaf behind this one has entries within the bounds.
    fn is_last(&self, leaf: &Leaf) -> bool {
        match (&leaf.parent, &self.high) {
            (Some((parent, index)), Some(high)) => {
                parent.node.key_ref(*index).cmp_bytes(high).is_ge()
            }
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn leaf(&self) -> Leaf {
        let parent = self.path.last().cloned();
        let Some((above, index)) = &parent else {
            let root = self.tree.loaded_root().node;
            return Leaf {
                cid: self.tree.root(),
                len: root.len(),
                is_within: self.low.is_empty() && self.high.is_none(),
                parent: None,
                tree: self.tree.clone(),
            };
        };
        let ends_before = match &self.high {
            Some(high) => above.node.key_ref(*index).cmp_bytes(high).is_lt(),
            None => true,
        };
        // The entries of a leaf are behind the last key of the one before.
        let begins_behind = self.at == At::Leaf
            || self.low.is_empty()
            || index
                .checked_sub(1)
                .is_some_and(|before| above.node.key_ref(before).cmp_bytes(&self.low).is_ge());
        Leaf {
            cid: above.node.link(*index).unwrap_or_else(|| self.tree.root()),
            len: above
                .node
                .count(*index)
                .map_or(0, |count| usize::try_from(count).unwrap_or(0)),
            is_within: ends_before && begins_behind,
            parent,
            tree: self.tree.clone(),
        }
    }

    /// Goes down from the root to the leaf for a key, and stops above it.
    fn descend(&mut self, key: &[u8]) -> Result<(), TreeError> {
        self.generation = generation(&self.tree);
        self.path.clear();
        let root = self.tree.loaded_root();
        if !root.node.is_leaf() {
            let index = root.node.child_for(key);
            self.path.push((root, index));
            self.go_down(|node| node.node.child_for(key))?;
        }
        Ok(())
    }

    /// Goes on down from the end of the path until leaves are next.
    fn go_down(&mut self, choose: impl Fn(&Loaded) -> usize) -> Result<(), TreeError> {
        while let Some((parent, index)) = self.path.last()
            && parent.node.level() > 1
        {
            let child = self.tree.child(parent, *index)?;
            let index = choose(&child);
            self.path.push((child, index));
        }
        Ok(())
    }

    /// Goes to the leaf behind; false if there is none.
    fn step(&mut self) -> Result<bool, TreeError> {
        if generation(&self.tree) != self.generation
            && let Some((parent, index)) = self.path.last()
        {
            // Loaded nodes were let go: walks down anew, so as not to hold on to those above.
            let last = parent.node.key(*index).unwrap_or_default();
            self.descend(&last)?;
        }
        let mut path = self.path.iter();
        let Some(turn) = path.rposition(|(node, index)| index + 1 < node.node.len()) else {
            return Ok(false);
        };
        self.path.truncate(turn + 1);
        if let Some((_, index)) = self.path.last_mut() {
            *index += 1;
        }
        self.go_down(|_node| 0)?;
        Ok(true)
    }
}
