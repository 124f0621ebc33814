//! The nodes of one level while they are cut anew, and those that are taken over as they are.

use std::ops::Range;

use bytes::Bytes;

use crate::edit::Put;
use crate::encode::{Chunker, Link};
use crate::error::TreeError;
use crate::loaded::Loaded;
use crate::node::KeyRef;
use crate::tree::Tree;

/// What a level has anew.
pub(crate) enum Made {
    Node(Link),
    Run(Run),
}

/// Children of a node of another tree that reads from the same source, to be taken over with what is below
/// them. Each ends where its own tree has a boundary, or with everything that there is.
pub(crate) struct Run {
    pub(crate) parent: Loaded,
    pub(crate) children: Range<usize>,
}

impl Made {
    /// The last key below it.
    pub(crate) fn key(&self) -> Bytes {
        match self {
            Self::Node(link) => link.key.clone(),
            Self::Run(run) => run.key(),
        }
    }

    /// The nodes that it is.
    pub(crate) fn into_links(self) -> Vec<Link> {
        match self {
            Self::Node(link) => vec![link],
            Self::Run(Run { parent, children }) => {
                children.map(|index| Link::child(&parent, index)).collect()
            }
        }
    }
}

impl Run {
    /// The last key below it.
    pub(crate) fn key(&self) -> Bytes {
        let last = self.children.end.checked_sub(1);
        last.and_then(|last| self.parent.node.key(last))
            .unwrap_or_default()
    }
}

/// The nodes of one level that are cut anew.
pub(crate) struct Cut<'a> {
    tree: &'a Tree,
    chunker: Chunker,
    pub(crate) made: Vec<Made>,
}

impl<'a> Cut<'a> {
    pub(crate) fn new(tree: &'a Tree, level: u8) -> Result<Self, TreeError> {
        Ok(Self {
            tree,
            chunker: Chunker::new(tree.chunking(), level)?,
            made: Vec::new(),
        })
    }

    /// Whether no entry is waiting: the next one begins a node.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunker.is_empty()
    }

    /// Adds an entry of a leaf.
    pub(crate) fn push_value(&mut self, key: &[u8], value: &[u8]) -> Result<(), TreeError> {
        let closed = self.chunker.push_value(KeyRef::whole(key), value)?;
        self.made.extend(closed.map(Made::Node));
        Ok(())
    }

    /// Adds a node of the level below.
    pub(crate) fn push_link(&mut self, link: Link) -> Result<(), TreeError> {
        let Link {
            key,
            digest,
            count,
            node,
            ..
        } = link;
        let closed = self
            .chunker
            .push_link(KeyRef::whole(&key), digest, count, node)?;
        self.made.extend(closed.map(Made::Node));
        Ok(())
    }

    /// Adds nodes of the level below, or takes over ones of this level or above it.
    pub(crate) fn push_run(&mut self, run: Run) -> Result<(), TreeError> {
        let Run {
            parent,
            mut children,
        } = run;
        if parent.node.level() == self.chunker.level() {
            return self.keep(&parent, children);
        }
        // Where a node ends depends on nothing before its first key (TREE-5): those that begin where
        // one does are nodes of this tree too. Others are opened, until an end here is one there.
        while !self.is_empty()
            && let Some(index) = children.next()
        {
            let child = self.tree.child_once(&parent, index)?;
            let children = 0..child.node.len();
            self.push_run(Run {
                parent: child,
                children,
            })?;
        }
        if !children.is_empty() {
            self.made.push(Made::Run(Run { parent, children }));
        }
        Ok(())
    }

    /// Adds a node's entries, with edits applied.
    pub(crate) fn merge<K: AsRef<[u8]>, P: Put>(
        &mut self,
        node: &Loaded,
        edits: impl Iterator<Item = (K, Option<P>)>,
    ) -> Result<(), TreeError> {
        let mut from = 0;
        for (key, put) in edits {
            let key = key.as_ref();
            let (until, after) = match node.node.search(key) {
                Ok(found) => (found, found + 1),
                Err(place) => (place, place),
            };
            self.keep(node, from..until)?;
            if let Some(put) = put {
                put.push(key, self)?;
            }
            from = after;
        }
        self.keep(node, from..node.node.len())
    }

    /// Adds entries of a node as they are.
    fn keep(&mut self, node: &Loaded, range: Range<usize>) -> Result<(), TreeError> {
        self.chunker.reserve(range.len(), node.node.bytes().len());
        for index in range {
            let key = node.node.key_ref(index);
            let closed = if node.node.is_leaf() {
                self.chunker.push_value(key, node.node.value_ref(index))?
            } else {
                let mut digest = [0; 32];
                digest.copy_from_slice(node.node.digest(index));
                let count = node.node.count_until(index + 1) - node.node.count_until(index);
                let child = node.slot(index).cloned();
                self.chunker.push_link(key, digest, count, child)?
            };
            self.made.extend(closed.map(Made::Node));
        }
        Ok(())
    }

    /// Ends the level.
    pub(crate) fn flush(&mut self) -> Result<(), TreeError> {
        self.made.extend(self.chunker.flush()?.map(Made::Node));
        Ok(())
    }
}
