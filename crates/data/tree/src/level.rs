//! Moving over the nodes of one level, for edits.

use bytes::Bytes;

use crate::encode::Link;
use crate::error::TreeError;
use crate::loaded::Loaded;
use crate::node::KeyRef;
use crate::tree::Tree;

/// Moves forward over the nodes of one level.
pub(crate) struct LevelCursor<'a> {
    tree: &'a Tree,
    level: u8,
    /// The nodes above, with the child that was taken in each.
    path: Vec<(Loaded, usize)>,
    pub(crate) node: Loaded,
}

impl<'a> LevelCursor<'a> {
    /// A cursor that is at the root until it seeks.
    pub(crate) fn new(tree: &'a Tree, level: u8) -> Self {
        Self {
            tree,
            level,
            path: Vec::new(),
            node: tree.loaded_root(),
        }
    }

    fn descend(&mut self, index: usize) -> Result<(), TreeError> {
        let child = self.tree.child(&self.node, index)?;
        let parent = std::mem::replace(&mut self.node, child);
        self.path.push((parent, index));
        Ok(())
    }

    /// Moves to the node that `key` belongs to, which is this one or one after it, or below the root.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<(), TreeError> {
        while self
            .node
            .node
            .last_key()
            .is_none_or(|last| last.cmp_bytes(key).is_lt())
            && let Some((parent, _)) = self.path.pop()
        {
            self.node = parent;
        }
        while self.node.node.level() > self.level {
            self.descend(self.node.node.child_for(key))?;
        }
        Ok(())
    }

    /// Moves to the next node; stays where there is none.
    pub(crate) fn advance(&mut self) -> Result<(), TreeError> {
        let Some(turn) = self
            .path
            .iter()
            .rposition(|(parent, index)| index + 1 < parent.node.len())
        else {
            return Ok(());
        };
        self.path.truncate(turn + 1);
        if let Some((parent, index)) = self.path.pop() {
            self.node = parent;
            self.descend(index + 1)?;
        }
        while self.node.node.level() > self.level {
            self.descend(0)?;
        }
        Ok(())
    }

    pub(crate) fn is_last(&self) -> bool {
        self.path
            .iter()
            .all(|(parent, index)| index + 1 == parent.node.len())
    }

    /// The node as its parent names it.
    pub(crate) fn link(&self) -> Link {
        let mut digest = [0; 32];
        match self.path.last() {
            Some((parent, index)) => digest.copy_from_slice(parent.node.digest(*index)),
            None => digest.copy_from_slice(self.tree.root().hash().digest()),
        }
        Link {
            key: self
                .node
                .node
                .last_key()
                .map_or_else(Bytes::new, KeyRef::to_bytes),
            digest,
            count: self.node.node.total(),
            node: None,
            block: None,
        }
    }
}
