//! Moving over the entries in order, both ways, and ranges of them.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use allod_blocks::prefix_end;
use bytes::Bytes;

use crate::error::TreeError;
use crate::limits::KEY_BYTES_MAX;
use crate::loaded::{Cache, Loaded};
use crate::node::copy;
use crate::tree::Tree;

/// A key and its value, lent.
pub type Entry<'a> = (&'a [u8], &'a [u8]);

/// A place between the entries of a tree, that moves both ways and lends what it passes.
///
/// It begins before the first entry. [`next`](Self::next) passes the entry after it and
/// [`prev`](Self::prev) the one before it, so that the one undoes the other.
pub struct Cursor {
    tree: Tree,
    place: Place,
    /// The nodes above the leaf, with the child that was taken in each.
    path: Vec<(Loaded, usize)>,
    leaf: Option<Loaded>,
    /// How many entries of the leaf are before the place.
    index: usize,
    /// Where a key is put together; has room for the longest, and begins with the prefix of the
    /// leaf's keys.
    key: Vec<u8>,
    /// The block of the leaf, once values of it were shared.
    shared: Option<Bytes>,
    generation: u64,
}

/// Where a cursor is while it has no leaf.
#[derive(Clone, Copy)]
enum Place {
    Start,
    End,
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("tree", &self.tree)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Cursor {
    pub(crate) fn new(tree: Tree) -> Self {
        Self {
            generation: generation(&tree),
            tree,
            place: Place::Start,
            path: Vec::new(),
            leaf: None,
            index: 0,
            key: vec![0; KEY_BYTES_MAX],
            shared: None,
        }
    }

    /// Moves before the first entry.
    pub fn seek_start(&mut self) {
        self.place = Place::Start;
        self.leaf = None;
    }

    /// Moves after the last entry.
    pub fn seek_end(&mut self) {
        self.place = Place::End;
        self.leaf = None;
    }

    /// Moves before the first entry whose key is not less than `key`.
    pub fn seek(&mut self, key: &[u8]) -> Result<(), TreeError> {
        self.descend(|node| node.node.child_for(key))?;
        if let Some(leaf) = &self.leaf {
            self.index = leaf.node.lower_bound(key);
        }
        Ok(())
    }

    /// Passes the entry after the place.
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends from the cursor, which Iterator cannot; Range is the iterator"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, TreeError> {
        // Small enough to become part of the caller's loop; the rest happens once per leaf.
        if !matches!(&self.leaf, Some(leaf) if self.index < leaf.node.len()) && !self.next_leaf()? {
            return Ok(None);
        }
        let index = self.index;
        self.index += 1;
        Ok(self.lend(index))
    }

    /// Passes the entry before the place.
    pub fn prev(&mut self) -> Result<Option<Entry<'_>>, TreeError> {
        let within = self.leaf.is_some() && self.index > 0;
        if !within && !self.prev_leaf()? {
            return Ok(None);
        }
        self.index -= 1;
        Ok(self.lend(self.index))
    }

    #[expect(
        clippy::inline_always,
        reason = "measured: a scan is a loop over these few instructions"
    )]
    #[inline(always)]
    fn lend(&mut self, index: usize) -> Option<Entry<'_>> {
        let leaf = self.leaf.as_ref()?;
        let key = leaf.node.key_ref(index);
        let len = key.len();
        copy(key.suffix, &mut self.key[key.prefix.len()..len]);
        Some((&self.key[..len], leaf.node.value_ref(index)))
    }

    /// A value of the leaf, shared: all those of one leaf take one allocation.
    fn share(&mut self, index: usize) -> Option<Bytes> {
        let node = &self.leaf.as_ref()?.node;
        let (start, end) = node.payload_span(index);
        let block = self.shared.get_or_insert_with(|| node.to_bytes());
        Some(block.slice(start..end))
    }

    #[cold]
    fn next_leaf(&mut self) -> Result<bool, TreeError> {
        if self.leaf.is_none() {
            if matches!(self.place, Place::End) {
                return Ok(false);
            }
            self.descend(|_node| 0)?;
            self.index = 0;
        } else {
            self.follow()?;
            let Some(turn) = self
                .path
                .iter()
                .rposition(|(parent, index)| index + 1 < parent.node.len())
            else {
                return Ok(false);
            };
            self.turn(turn, |index| index + 1, |_node| 0)?;
            self.index = 0;
        }
        Ok(self.leaf.as_ref().is_some_and(|leaf| !leaf.node.is_empty()))
    }

    fn prev_leaf(&mut self) -> Result<bool, TreeError> {
        let last = |node: &Loaded| node.node.len().saturating_sub(1);
        if self.leaf.is_none() {
            if matches!(self.place, Place::Start) {
                return Ok(false);
            }
            self.descend(last)?;
        } else {
            self.follow()?;
            let Some(turn) = self.path.iter().rposition(|(_, index)| *index > 0) else {
                return Ok(false);
            };
            self.turn(turn, |index| index.wrapping_sub(1), last)?;
        }
        self.index = self.leaf.as_ref().map_or(0, |leaf| leaf.node.len());
        Ok(self.index > 0)
    }

    /// Goes down from the root. On a fault the cursor is where it was before the first entry.
    fn descend(&mut self, choose: impl Fn(&Loaded) -> usize) -> Result<(), TreeError> {
        self.seek_start();
        self.path.clear();
        self.generation = generation(&self.tree);
        self.go_down(self.tree.loaded_root(), choose)
    }

    /// Takes another child of the `depth`th node of the path and goes down from there.
    fn turn(
        &mut self,
        depth: usize,
        step: impl Fn(usize) -> usize,
        choose: impl Fn(&Loaded) -> usize,
    ) -> Result<(), TreeError> {
        let (parent, index) = (self.path[depth].0.clone(), step(self.path[depth].1));
        let child = self.tree.child(&parent, index)?;
        // By the time the leaf after this one is reached it has come from memory.
        if let Some(after) = parent.slot(step(index)) {
            after.node.touch();
        }
        self.path.truncate(depth);
        self.path.push((parent, index));
        self.go_down(child, choose)
    }

    fn go_down(
        &mut self,
        mut node: Loaded,
        choose: impl Fn(&Loaded) -> usize,
    ) -> Result<(), TreeError> {
        while !node.node.is_leaf() {
            let index = choose(&node);
            let child = match self.tree.child(&node, index) {
                Ok(child) => child,
                Err(error) => {
                    self.seek_start();
                    return Err(error);
                }
            };
            self.path.push((std::mem::replace(&mut node, child), index));
        }
        let prefix = node.node.prefix();
        self.key[..prefix.len()].copy_from_slice(prefix);
        self.shared = None;
        self.leaf = Some(node);
        Ok(())
    }

    /// When loaded nodes were let go, walks down anew, so that a long scan does not hold on to the
    /// ones it came through.
    fn follow(&mut self) -> Result<(), TreeError> {
        if generation(&self.tree) == self.generation {
            return Ok(());
        }
        let Some(last) = self.leaf.as_ref().and_then(|leaf| leaf.node.key(0)) else {
            return Ok(());
        };
        let index = self.index;
        self.descend(|node| node.node.child_for(&last))?;
        self.index = index;
        Ok(())
    }
}

/// How often nodes were let go where the tree is read from.
pub(crate) fn generation(tree: &Tree) -> u64 {
    tree.cache().map_or(0, |cache| Cache::generation(cache))
}

/// The entries of a tree within bounds, from both ends.
///
/// The values share memory with the node they stood in: one that is kept for long keeps about
/// 4 KiB with it, and is better copied.
///
/// After an error the iterator is over.
pub struct Range {
    tree: Tree,
    front: Option<Cursor>,
    back: Option<Cursor>,
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    done: bool,
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range")
            .field("tree", &self.tree)
            .finish_non_exhaustive()
    }
}

impl Tree {
    /// A cursor before the first entry.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.clone())
    }

    /// The entries whose keys are within `bounds`, in order, from both ends.
    pub fn range<'a>(&self, bounds: impl RangeBounds<&'a [u8]>) -> Range {
        let own = |bound: Bound<&&[u8]>| bound.map(|key| key.to_vec());
        Range {
            tree: self.clone(),
            front: None,
            back: None,
            low: own(bounds.start_bound()),
            high: own(bounds.end_bound()),
            done: false,
        }
    }

    /// All entries, in order, from both ends.
    #[must_use]
    pub fn iter(&self) -> Range {
        self.range(..)
    }

    /// The entries whose keys begin with `prefix`.
    #[must_use]
    pub fn prefix(&self, prefix: &[u8]) -> Range {
        Range {
            tree: self.clone(),
            front: None,
            back: None,
            low: Bound::Included(prefix.to_vec()),
            high: prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded),
            done: false,
        }
    }
}

impl IntoIterator for &Tree {
    type Item = Result<(Bytes, Bytes), TreeError>;
    type IntoIter = Range;

    fn into_iter(self) -> Range {
        self.iter()
    }
}

/// Moves between the entries before and at `key`, or behind it.
fn seek(cursor: &mut Cursor, key: &[u8], behind: bool) -> Result<(), TreeError> {
    cursor.seek(key)?;
    if behind {
        match cursor.next()? {
            Some((found, _)) if found == key => {}
            Some(_) => drop(cursor.prev()?),
            None => {}
        }
    }
    Ok(())
}

impl Range {
    fn step(&mut self) -> Result<Option<(Bytes, Bytes)>, TreeError> {
        if self.front.is_none() {
            let mut cursor = self.tree.cursor();
            match &self.low {
                Bound::Unbounded => {}
                Bound::Included(key) => seek(&mut cursor, key, false)?,
                Bound::Excluded(key) => seek(&mut cursor, key, true)?,
            }
            self.front = Some(cursor);
        }
        let Some(cursor) = &mut self.front else {
            return Ok(None);
        };
        let Some((key, _)) = cursor.next()? else {
            return Ok(None);
        };
        let within = match &self.high {
            Bound::Unbounded => true,
            Bound::Included(high) => key <= high.as_slice(),
            Bound::Excluded(high) => key < high.as_slice(),
        };
        if !within {
            return Ok(None);
        }
        let key = Bytes::copy_from_slice(key);
        if self.back.is_some() {
            self.low = Bound::Excluded(key.to_vec());
        }
        Ok(cursor.share(cursor.index - 1).map(|value| (key, value)))
    }

    fn step_back(&mut self) -> Result<Option<(Bytes, Bytes)>, TreeError> {
        if self.back.is_none() {
            let mut cursor = self.tree.cursor();
            match &self.high {
                Bound::Unbounded => cursor.seek_end(),
                Bound::Included(key) => seek(&mut cursor, key, true)?,
                Bound::Excluded(key) => seek(&mut cursor, key, false)?,
            }
            // The front has passed an entry, or the range would be over.
            if let Some(front) = &self.front
                && let Some(leaf) = &front.leaf
                && let Some(key) = leaf.node.key(front.index.wrapping_sub(1))
            {
                self.low = Bound::Excluded(key.to_vec());
            }
            self.back = Some(cursor);
        }
        let Some(cursor) = &mut self.back else {
            return Ok(None);
        };
        let Some((key, _)) = cursor.prev()? else {
            return Ok(None);
        };
        let within = match &self.low {
            Bound::Unbounded => true,
            Bound::Included(low) => key >= low.as_slice(),
            Bound::Excluded(low) => key > low.as_slice(),
        };
        if !within {
            return Ok(None);
        }
        let key = Bytes::copy_from_slice(key);
        self.high = Bound::Excluded(key.to_vec());
        Ok(cursor.share(cursor.index).map(|value| (key, value)))
    }
}

impl Iterator for Range {
    type Item = Result<(Bytes, Bytes), TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.step().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.step_back().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl std::iter::FusedIterator for Range {}
