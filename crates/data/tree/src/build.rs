//! Builds the levels of a tree from the entries of the lowest (TREE-3, TREE-7).

use allod_blocks::Block;

use crate::chunking::Chunking;
use crate::encode::{Chunker, Link};
use crate::error::TreeError;
use crate::loaded::Loaded;
use crate::node::KeyRef;

/// Open nodes from `base` up, and what has closed.
pub(crate) struct Builder {
    chunking: Chunking,
    base: u8,
    levels: Vec<Level>,
    last_key: Vec<u8>,
}

struct Level {
    chunker: Chunker,
    /// The only node that has closed so far, if it is the only one.
    only: Option<Link>,
    closed: u64,
}

impl Level {
    fn new(chunking: Chunking, level: u8) -> Result<Self, TreeError> {
        Ok(Self {
            chunker: Chunker::new(chunking, level)?,
            only: None,
            closed: 0,
        })
    }
}

impl Builder {
    /// A builder whose entries are those of nodes at level `base`.
    pub(crate) fn new(chunking: Chunking, base: u8) -> Result<Self, TreeError> {
        Ok(Self {
            chunking,
            base,
            levels: vec![Level::new(chunking, base)?],
            last_key: Vec::new(),
        })
    }

    /// Adds an entry to a builder of base 0.
    pub(crate) fn push_value(
        &mut self,
        key: &[u8],
        value: &[u8],
        out: &mut dyn FnMut(Block),
    ) -> Result<(), TreeError> {
        let level = &mut self.levels[0];
        let started = level.closed > 0 || !level.chunker.is_empty();
        if started && self.last_key.as_slice() >= key {
            return Err(TreeError::Unsorted);
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        if let Some(link) = level.chunker.push_value(KeyRef::whole(key), value)? {
            self.closed(0, link, out)?;
        }
        Ok(())
    }

    /// Adds a node of the level below `base`.
    pub(crate) fn push_link(
        &mut self,
        link: Link,
        out: &mut dyn FnMut(Block),
    ) -> Result<(), TreeError> {
        self.add(0, &link, link.node.clone(), out)
    }

    fn add(
        &mut self,
        index: usize,
        link: &Link,
        node: Option<Loaded>,
        out: &mut dyn FnMut(Block),
    ) -> Result<(), TreeError> {
        let chunker = &mut self.levels[index].chunker;
        match chunker.push_link(KeyRef::whole(&link.key), link.digest, link.count, node)? {
            Some(link) => self.closed(index, link, out),
            None => Ok(()),
        }
    }

    /// A node of a level has closed: it goes to `out` and into the level above. The first of a
    /// level waits for a second one, since it may turn out to be the root.
    fn closed(
        &mut self,
        index: usize,
        mut link: Link,
        out: &mut dyn FnMut(Block),
    ) -> Result<(), TreeError> {
        if let Some(block) = link.block.take() {
            out(*block);
        }
        let level = &mut self.levels[index];
        level.closed += 1;
        if level.closed == 1 {
            level.only = Some(link);
            return Ok(());
        }
        let first = level.only.take();
        if index + 1 == self.levels.len() {
            let above = u8::try_from(usize::from(self.base) + index + 1).unwrap_or(u8::MAX);
            self.levels.push(Level::new(self.chunking, above)?);
        }
        for mut link in first.into_iter().chain([link]) {
            let node = link.node.take();
            self.add(index + 1, &link, node, out)?;
        }
        Ok(())
    }

    /// Ends every level, from the lowest up, until one has a single node: the root (TREE-7).
    pub(crate) fn finish(mut self, out: &mut dyn FnMut(Block)) -> Result<Link, TreeError> {
        let mut index = 0;
        loop {
            let level = &mut self.levels[index];
            let last = if level.closed == 0 && level.chunker.is_empty() {
                // Only the lowest level can be without entries: the empty map (TREE-8).
                Some(level.chunker.close()?)
            } else {
                level.chunker.flush()?
            };
            if let Some(link) = last {
                self.closed(index, link, out)?;
            }
            if let Some(root) = self.levels[index].only.take() {
                return Ok(root);
            }
            index += 1;
        }
    }
}
