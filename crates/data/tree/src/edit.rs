//! Editing: changed leaves are cut anew, then the changed links of each level above (TREE-17).

use allod_blocks::Block;
use bytes::Bytes;

use crate::build::Builder;
use crate::cut::{Cut, Made};
use crate::encode::{Link, made};
use crate::error::TreeError;
use crate::level::LevelCursor;
use crate::loaded::Loaded;
use crate::node::Node;
use crate::tree::Tree;

impl Tree {
    /// The tree with `edits` applied: `Some` puts a value, `None` removes a key, present or not.
    /// The keys must ascend strictly. Hands the blocks that this tree does not have to `out`,
    /// children before parents; takes time in proportion to the edits and the depth.
    pub fn edit<K, V>(
        &self,
        edits: impl IntoIterator<Item = (K, Option<V>)>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Self, TreeError>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let edits = edits.into_iter();
        self.edit_with(edits.map(|(key, value)| Ok((key, value.map(Value)))), out)
    }

    pub(crate) fn edit_with<K: AsRef<[u8]>, P: Put>(
        &self,
        edits: impl Iterator<Item = Result<(K, Option<P>), TreeError>>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Self, TreeError> {
        let mut change = edit_level(self, 0, edits)?;
        let mut blocks = Vec::new();
        let root_level = self.loaded_root().node.level();
        for level in 0..root_level {
            let edits = change.into_edits(level, &mut blocks);
            if edits.is_empty() {
                return Ok(self.clone());
            }
            change = edit_level(self, level + 1, edits.into_iter().map(Ok))?;
        }
        if change.removed.is_empty() && change.made.is_empty() {
            return Ok(self.clone());
        }
        self.finish_edit(root_level, change.made, blocks, out)
    }

    /// The tree over all nodes of the old root's level.
    fn finish_edit(
        &self,
        level: u8,
        made: Vec<Made>,
        mut blocks: Vec<(u8, Block)>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Self, TreeError> {
        let old = self.root();
        let mut nodes: Vec<Link> = made.into_iter().flat_map(Made::into_links).collect();
        for link in &mut nodes {
            if let Some(block) = link.block.take().filter(|block| *block.cid() != old) {
                blocks.push((level, *block));
            }
        }
        let root = if nodes.len() > 1 {
            blocks.drain(..).for_each(|(_, block)| out(block));
            let mut builder = Builder::new(self.chunking(), level + 1)?;
            for link in nodes {
                builder.push_link(link, out)?;
            }
            builder.finish(out)?
        } else if let Some(link) = nodes.pop() {
            let root = self.without_lone_parents(link)?;
            let height = root.node.as_ref().map_or(0, |node| node.node.level());
            for (_, block) in blocks.into_iter().filter(|(level, _)| *level <= height) {
                out(block);
            }
            root
        } else {
            Builder::new(self.chunking(), 0)?.finish(out)?
        };
        if crate::node::node_cid(&root.digest) == old {
            return Ok(self.clone());
        }
        Ok(Self::made(root, self.chunking(), self.cache()))
    }

    /// The highest node that is a leaf or has two children: no root has one (TREE-7).
    fn without_lone_parents(&self, mut link: Link) -> Result<Link, TreeError> {
        while let Some(node) = &link.node {
            if node.node.is_leaf() || node.node.len() > 1 {
                break;
            }
            let mut digest = [0; 32];
            digest.copy_from_slice(node.node.digest(0));
            let child = self.child(node, 0)?;
            link = Link {
                digest,
                node: Some(child),
                ..link
            };
        }
        Ok(link)
    }
}

/// What an edit puts under a key.
pub(crate) trait Put {
    /// How it compares with what the node has at `index`.
    fn fit(&self, node: &Node, index: usize) -> Fit;
    /// Adds it to the nodes that are cut anew.
    fn push(self, key: &[u8], cut: &mut Cut<'_>) -> Result<(), TreeError>;
    /// The bytes that stand for it in a node.
    fn bytes(&self) -> &[u8];
    /// Its node, if it is one and in memory.
    fn node(&self) -> Option<&Loaded>;
}

pub(crate) enum Fit {
    /// The same.
    Equal,
    /// Of the same weight and place: the node can be copied and overwritten.
    InPlace,
    /// Anything else.
    Other,
}

pub(crate) struct Value<V>(pub(crate) V);

impl<V: AsRef<[u8]>> Put for Value<V> {
    fn fit(&self, node: &Node, index: usize) -> Fit {
        let (old, new) = (node.value_ref(index), self.0.as_ref());
        match old.len() == new.len() {
            true if old == new => Fit::Equal,
            true => Fit::InPlace,
            false => Fit::Other,
        }
    }

    fn push(self, key: &[u8], cut: &mut Cut<'_>) -> Result<(), TreeError> {
        cut.push_value(key, self.0.as_ref())
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    fn node(&self) -> Option<&Loaded> {
        None
    }
}

impl Put for Made {
    fn fit(&self, node: &Node, index: usize) -> Fit {
        match self {
            Self::Node(link) => match node.count(index) == Some(link.count) {
                true if node.digest(index) == link.digest => Fit::Equal,
                true => Fit::InPlace,
                false => Fit::Other,
            },
            Self::Run(_) => Fit::Other,
        }
    }

    fn push(self, _key: &[u8], cut: &mut Cut<'_>) -> Result<(), TreeError> {
        match self {
            Self::Node(link) => cut.push_link(link),
            Self::Run(run) => cut.push_run(run),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Node(link) => &link.digest,
            Self::Run(_) => &[],
        }
    }

    fn node(&self) -> Option<&Loaded> {
        match self {
            Self::Node(link) => link.node.as_ref(),
            Self::Run(_) => None,
        }
    }
}

/// What became of the nodes of one level, in key order.
struct Change {
    removed: Vec<Link>,
    made: Vec<Made>,
}

impl Change {
    /// What this means for the level above. A node that was made anew just as it was cancels out;
    /// the blocks of the others are collected.
    fn into_edits(self, level: u8, blocks: &mut Vec<(u8, Block)>) -> Vec<(Bytes, Option<Made>)> {
        let mut edits = Vec::with_capacity(self.removed.len().max(self.made.len()));
        let mut removed = self.removed.into_iter().peekable();
        for mut made in self.made {
            let key = made.key();
            while let Some(old) = removed.next_if(|old| old.key < key) {
                edits.push((old.key, None));
            }
            let old = removed.next_if(|old| old.key == key);
            if let Made::Node(link) = &mut made {
                if old.is_some_and(|old| old.digest == link.digest) {
                    continue;
                }
                blocks.extend(link.block.take().map(|block| (level, *block)));
            }
            edits.push((key, Some(made)));
        }
        edits.extend(removed.map(|old| (old.key, None)));
        edits
    }
}

/// The edits of a level, one ahead, checked to ascend.
struct Edits<I, K, P> {
    rest: I,
    next: Option<(K, Option<P>)>,
    last_key: Vec<u8>,
    started: bool,
}

impl<I, K, P> Edits<I, K, P>
where
    I: Iterator<Item = Result<(K, Option<P>), TreeError>>,
    K: AsRef<[u8]>,
{
    fn new(rest: I) -> Result<Self, TreeError> {
        let mut edits = Self {
            rest,
            next: None,
            last_key: Vec::new(),
            started: false,
        };
        edits.take()?;
        Ok(edits)
    }

    fn key(&self) -> Option<&[u8]> {
        self.next.as_ref().map(|(key, _)| key.as_ref())
    }

    fn take(&mut self) -> Result<Option<(K, Option<P>)>, TreeError> {
        let following = self.rest.next().transpose()?;
        if let Some((key, _)) = &following {
            let key = key.as_ref();
            if self.started && self.last_key.as_slice() >= key {
                return Err(TreeError::Unsorted);
            }
            self.started = true;
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        Ok(std::mem::replace(&mut self.next, following))
    }
}

/// Applies edits to one level. Runs begin at the start of an old node and end where the end of an
/// old node is one of a new node too (TREE-17).
fn edit_level<K, P>(
    tree: &Tree,
    level: u8,
    edits: impl Iterator<Item = Result<(K, Option<P>), TreeError>>,
) -> Result<Change, TreeError>
where
    K: AsRef<[u8]>,
    P: Put,
{
    let mut edits = Edits::new(edits)?;
    let mut cut = Cut::new(tree, level)?;
    let mut removed = Vec::new();
    let mut cursor = LevelCursor::new(tree, level);
    let mut own = Vec::new();
    loop {
        let resumed = !cut.is_empty();
        if resumed {
            cursor.advance()?;
        } else if let Some(key) = edits.key() {
            cursor.seek(key)?;
        } else {
            return Ok(Change {
                removed,
                made: cut.made,
            });
        }
        let node = cursor.node.clone();
        own.clear();
        while let Some(key) = edits.key()
            && let Some(last) = node.node.last_key()
            && last.cmp_bytes(key).is_ge()
        {
            own.extend(edits.take()?);
        }
        let is_last = cursor.is_last();
        let more_to_append = is_last && edits.key().is_some();
        if !resumed && !more_to_append {
            match patch(&node, &own)? {
                Patch::Nothing => continue,
                Patch::Made(link) => {
                    // It takes the old node's place in the level above, under the same key.
                    cut.made.push(Made::Node(*link));
                    continue;
                }
                Patch::Recut => {}
            }
        }
        removed.push(cursor.link());
        cut.merge(&node, own.drain(..))?;
        if is_last {
            while let Some((key, put)) = edits.take()? {
                if let Some(put) = put {
                    put.push(key.as_ref(), &mut cut)?;
                }
            }
            cut.flush()?;
        }
    }
}

enum Patch {
    /// The edits change nothing.
    Nothing,
    /// The node with some values or links overwritten.
    Made(Box<Link>),
    /// Weights or keys change: the node has to be cut anew.
    Recut,
}

/// Overwrites values of unchanged length, or links of unchanged count, in a copy of the node:
/// neither moves a boundary (TREE-4).
fn patch<K: AsRef<[u8]>, P: Put>(
    node: &Loaded,
    edits: &[(K, Option<P>)],
) -> Result<Patch, TreeError> {
    let mut places = Vec::with_capacity(edits.len());
    for (key, put) in edits {
        match (node.node.search(key.as_ref()), put) {
            (Err(_), None) => {}
            (Ok(index), Some(put)) => match put.fit(&node.node, index) {
                Fit::Equal => {}
                Fit::InPlace => places.push((index, put)),
                Fit::Other => return Ok(Patch::Recut),
            },
            _ => return Ok(Patch::Recut),
        }
    }
    let Some(last) = node.node.last_key().filter(|_| !places.is_empty()) else {
        return Ok(Patch::Nothing);
    };
    let key = last.to_bytes();
    let mut slots = node.copy_slots();
    for (index, put) in &places {
        if let (Some(slot), Some(child)) = (slots.get_mut(*index), put.node()) {
            *slot = child.clone().into();
        }
    }
    let patched = node.node.overwritten(|bytes| {
        for (index, put) in places {
            let (start, end) = node.node.payload_span(index);
            bytes[start..end].copy_from_slice(put.bytes());
        }
    });
    made(patched, slots, key).map(|link| Patch::Made(Box::new(link)))
}
