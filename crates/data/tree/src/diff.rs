//! What differs between two trees, without reading what does not (TREE-18).

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::error::TreeError;
use crate::loaded::Loaded;
use crate::node::KeyRef;
use crate::tree::Tree;

/// A key whose value is not the same on both sides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The key.
    pub key: Bytes,
    /// Its value on the left, if it is there.
    pub left: Option<Bytes>,
    /// Its value on the right, if it is there.
    pub right: Option<Bytes>,
}

/// A [`Change`] where it stands in the nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChangeRef<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value on the left, if it is there.
    pub left: Option<&'a [u8]>,
    /// Its value on the right, if it is there.
    pub right: Option<&'a [u8]>,
}

/// The differences between two trees, in key order. After an error the iterator is over.
pub struct Diff {
    pair: Pair,
    /// The sides that are before entries that were lent.
    lent: Sides,
    key: Vec<u8>,
    done: bool,
}

/// Which sides have an entry of a key.
#[derive(Clone, Copy, Default)]
struct Sides {
    left: bool,
    right: bool,
}

impl fmt::Debug for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diff")
            .field("left", &self.pair.left.tree)
            .field("right", &self.pair.right.tree)
            .finish_non_exhaustive()
    }
}

/// A place in one of the trees: before a subtree that was not opened, or before an entry.
pub(crate) struct Side {
    tree: Tree,
    /// From the root down, with the index of the item to look at next. The top has one left.
    pub(crate) path: Vec<(Loaded, usize)>,
    /// The root, while it was not opened.
    root: bool,
}

/// What a side is before.
#[derive(Clone, Copy)]
enum Item<'a> {
    /// A subtree: its level, last key, digest, and the key before it.
    Subtree(u8, &'a [u8], Option<KeyRef<'a>>, Option<KeyRef<'a>>),
    Entry(&'a Loaded, usize),
    End,
}

impl Side {
    fn new(tree: &Tree) -> Self {
        Self {
            tree: tree.clone(),
            path: Vec::new(),
            root: true,
        }
    }

    fn item(&self) -> Item<'_> {
        let Some((node, index)) = self.path.last() else {
            return Item::End;
        };
        if node.node.is_leaf() {
            return Item::Entry(node, *index);
        }
        Item::Subtree(
            node.node.level() - 1,
            node.node.digest(*index),
            Some(node.node.key_ref(*index)),
            self.floor(),
        )
    }

    /// The entry that the side is before, in a leaf.
    fn entry(&self) -> Option<(KeyRef<'_>, &[u8])> {
        let (node, index) = self.path.last()?;
        Some((node.node.key_ref(*index), node.node.value_ref(*index)))
    }

    /// The key before the item, if the path has one.
    fn floor(&self) -> Option<KeyRef<'_>> {
        self.path
            .iter()
            .rev()
            .find(|(_, index)| *index > 0)
            .map(|(node, index)| node.node.key_ref(index - 1))
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether the node that has the item is the last of its level.
    pub(crate) fn is_in_last_node(&self) -> bool {
        let above = self.path.len().saturating_sub(1);
        let mut above = self.path.iter().take(above);
        above.all(|(node, index)| index + 1 == node.node.len())
    }

    /// Goes past the item and those of its node before `index`.
    pub(crate) fn skip_to(&mut self, index: usize) {
        if let Some((_, before)) = self.path.last_mut() {
            *before = index - 1;
        }
        self.skip();
    }

    /// Goes past the item.
    pub(crate) fn skip(&mut self) {
        while let Some((node, index)) = self.path.last_mut() {
            *index += 1;
            if *index < node.node.len() {
                return;
            }
            self.path.pop();
        }
    }

    /// Goes to the first item of the subtree that the side is before.
    pub(crate) fn open(&mut self) -> Result<(), TreeError> {
        let child = match self.path.last() {
            Some((node, index)) => self.tree.child_once(node, *index)?,
            None => return Ok(()),
        };
        self.path.push((child, 0));
        Ok(())
    }

    fn open_root(&mut self) {
        let root = self.tree.loaded_root();
        if !root.node.is_empty() {
            self.path.push((root, 0));
        }
        self.root = false;
    }
}

/// Two trees, walked side by side.
pub(crate) struct Pair {
    pub(crate) left: Side,
    pub(crate) right: Side,
}

/// What is not the same on both sides; the sides are before it.
pub(crate) enum Met {
    /// A subtree without a key that the other side has within its range.
    LeftSubtree,
    RightSubtree,
    /// An entry, of one side or of both.
    Left,
    Right,
    Both,
    End,
}

/// What to do next.
enum Step {
    SkipBoth,
    OpenLeft,
    OpenRight,
    OpenBoth,
    Tell(Met),
}

fn decide(left: Item<'_>, right: Item<'_>) -> Step {
    match (left, right) {
        (Item::End, Item::End) => Step::Tell(Met::End),
        (Item::Entry(..), Item::End) => Step::Tell(Met::Left),
        (Item::End, Item::Entry(..)) => Step::Tell(Met::Right),
        (Item::Subtree(..), Item::End) => Step::Tell(Met::LeftSubtree),
        (Item::End, Item::Subtree(..)) => Step::Tell(Met::RightSubtree),
        (Item::Entry(node, index), Item::Subtree(_, _, last, floor)) => {
            match compare(node.node.key_ref(index), floor, last) {
                Ordering::Less => Step::Tell(Met::Left),
                Ordering::Equal => Step::OpenRight,
                Ordering::Greater => Step::Tell(Met::RightSubtree),
            }
        }
        (Item::Subtree(_, _, last, floor), Item::Entry(node, index)) => {
            match compare(node.node.key_ref(index), floor, last) {
                Ordering::Less => Step::Tell(Met::Right),
                Ordering::Equal => Step::OpenLeft,
                Ordering::Greater => Step::Tell(Met::LeftSubtree),
            }
        }
        (Item::Entry(a, i), Item::Entry(b, j)) => {
            match a.node.key_ref(i).cmp_key(b.node.key_ref(j)) {
                Ordering::Less => Step::Tell(Met::Left),
                Ordering::Greater => Step::Tell(Met::Right),
                Ordering::Equal if a.node.value_ref(i) == b.node.value_ref(j) => Step::SkipBoth,
                Ordering::Equal => Step::Tell(Met::Both),
            }
        }
        (Item::Subtree(a, a_link, a_last, a_floor), Item::Subtree(b, b_link, b_last, b_floor)) => {
            let before = |last: Option<KeyRef<'_>>, floor: Option<KeyRef<'_>>| matches!((last, floor), (Some(last), Some(floor)) if last.cmp_key(floor).is_le());
            if a == b && a_link == b_link {
                Step::SkipBoth
            } else if before(a_last, b_floor) {
                Step::Tell(Met::LeftSubtree)
            } else if before(b_last, a_floor) {
                Step::Tell(Met::RightSubtree)
            } else {
                match a.cmp(&b) {
                    Ordering::Greater => Step::OpenLeft,
                    Ordering::Less => Step::OpenRight,
                    Ordering::Equal => Step::OpenBoth,
                }
            }
        }
    }
}

/// Where a key is: before all keys of a subtree, which are after its floor and up to its last, among
/// them (equal), or behind them.
fn compare(key: KeyRef<'_>, floor: Option<KeyRef<'_>>, last: Option<KeyRef<'_>>) -> Ordering {
    if floor.is_some_and(|floor| key.cmp_key(floor).is_le()) {
        Ordering::Less
    } else if last.is_some_and(|last| last.cmp_key(key).is_lt()) {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

impl Pair {
    pub(crate) fn new(left: &Tree, right: &Tree) -> Self {
        Self {
            left: Side::new(left),
            right: Side::new(right),
        }
    }

    /// Goes on to what is not the same. The caller has gone past what was met before, or opened it.
    pub(crate) fn meet(&mut self) -> Result<Met, TreeError> {
        if self.left.root {
            if self.left.tree == self.right.tree {
                return Ok(Met::End);
            }
            self.left.open_root();
            self.right.open_root();
        }
        loop {
            match decide(self.left.item(), self.right.item()) {
                Step::SkipBoth => {
                    self.left.skip();
                    self.right.skip();
                }
                Step::OpenLeft => self.left.open()?,
                Step::OpenRight => self.right.open()?,
                Step::OpenBoth => {
                    self.left.open()?;
                    self.right.open()?;
                }
                Step::Tell(met) => return Ok(met),
            }
        }
    }

    /// Where a subtree was met on the right: its parent, and which children, it and those next to it,
    /// have no key of the left side within.
    pub(crate) fn right_subtrees(&self) -> Option<(Loaded, Range<usize>)> {
        let (parent, start) = self.right.path.last()?;
        let node = &parent.node;
        let left = self.left.item();
        let is_met = |index: usize| {
            let (last, floor) = (node.key_ref(index), node.key_ref(index - 1));
            let right = Item::Subtree(
                node.level() - 1,
                node.digest(index),
                Some(last),
                Some(floor),
            );
            matches!(decide(left, right), Step::Tell(Met::RightSubtree))
        };
        let next = (start + 1..node.len()).take_while(|index| is_met(*index));
        Some((parent.clone(), *start..start + 1 + next.count()))
    }

    /// Goes past the entries of the named sides and tells of them.
    pub(crate) fn take(&mut self, left: bool, right: bool) -> Option<Change> {
        let take = |side: &mut Side, wanted: bool| {
            if !wanted {
                return None;
            }
            let (node, index) = side.path.last()?;
            let entry = node.node.key(*index).zip(node.node.value(*index));
            side.skip();
            entry
        };
        let left = take(&mut self.left, left);
        let right = take(&mut self.right, right);
        let key = left.as_ref().or(right.as_ref())?.0.clone();
        Some(Change {
            key,
            left: left.map(|(_, value)| value),
            right: right.map(|(_, value)| value),
        })
    }
}

impl Diff {
    /// The next difference, without the allocations by which the iterator shares it.
    pub fn next_ref(&mut self) -> Result<Option<ChangeRef<'_>>, TreeError> {
        let Some(sides) = self.step()? else {
            return Ok(None);
        };
        self.lent = sides;
        let left = self.pair.left.entry().filter(|_| sides.left);
        let right = self.pair.right.entry().filter(|_| sides.right);
        if let Some((key, _)) = left.or(right) {
            key.write(&mut self.key);
        }
        Ok(Some(ChangeRef {
            key: &self.key,
            left: left.map(|(_, value)| value),
            right: right.map(|(_, value)| value),
        }))
    }

    /// Goes on to the next difference: the sides that have it are before its entry.
    fn step(&mut self) -> Result<Option<Sides>, TreeError> {
        if self.done {
            return Ok(None);
        }
        let lent = std::mem::take(&mut self.lent);
        if lent.left {
            self.pair.left.skip();
        }
        if lent.right {
            self.pair.right.skip();
        }
        let met = self.meet();
        self.done = !matches!(met, Ok(Some(_)));
        met
    }

    fn meet(&mut self) -> Result<Option<Sides>, TreeError> {
        let (left, right) = loop {
            match self.pair.meet()? {
                Met::LeftSubtree => self.pair.left.open()?,
                Met::RightSubtree => self.pair.right.open()?,
                Met::Left => break (true, false),
                Met::Right => break (false, true),
                Met::Both => break (true, true),
                Met::End => return Ok(None),
            }
        };
        Ok(Some(Sides { left, right }))
    }
}

impl Iterator for Diff {
    type Item = Result<Change, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.step() {
            Ok(sides) => sides
                .and_then(|sides| self.pair.take(sides.left, sides.right))
                .map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

impl std::iter::FusedIterator for Diff {}

impl Tree {
    /// The keys whose value is not the same in this tree (left) and `other` (right). Reads only
    /// nodes that are not in both trees (TREE-18).
    #[must_use]
    pub fn diff(&self, other: &Self) -> Diff {
        Diff {
            pair: Pair::new(self, other),
            lent: Sides::default(),
            key: Vec::new(),
            done: false,
        }
    }
}
