//! The tree: opening, building, point reads, positions.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use allod_blocks::Block;
use bytes::Bytes;
use cid::Cid;

use crate::build::Builder;
use crate::chunking::Chunking;
use crate::encode::Link;
use crate::error::TreeError;
use crate::loaded::{BlockSource, Cache, Forest, Keep, Loaded};
use crate::node::node_cid;
use crate::sort::sorted_places;

/// A map from byte keys to byte values, ordered by key, named by the hash of its root node.
///
/// Two trees with the same entries have the same name, however they were made (TREE-3). A `Tree`
/// never changes: [`edit`](Self::edit) makes another one that shares all nodes it can. Cheap to
/// clone.
#[derive(Clone)]
pub struct Tree {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    root: Cid,
    len: u64,
    level: u8,
    chunking: Chunking,
    cache: Option<Arc<Cache>>,
    node: Root,
}

enum Root {
    /// Everything is in memory and stays there.
    Fixed(Loaded),
    /// The node may be replaced by one with fewer children in memory.
    Loose(RwLock<Loaded>),
}

impl Shared {
    pub(crate) fn replace_root(&self, with: impl FnOnce(&Loaded) -> Loaded) {
        if let Root::Loose(lock) = &self.node {
            let mut root = lock.write().unwrap_or_else(PoisonError::into_inner);
            let new = with(&root);
            let old = std::mem::replace(&mut *root, new);
            // Letting go of many nodes takes its time: readers need not wait for it.
            drop(root);
            drop(old);
        }
    }
}

impl Tree {
    /// The map without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self::empty_with(Chunking::STANDARD)
    }

    #[expect(
        clippy::expect_used,
        reason = "the empty leaf is a constant far below every limit"
    )]
    pub(crate) fn empty_with(chunking: Chunking) -> Self {
        let link = Builder::new(chunking, 0)
            .and_then(|builder| builder.finish(&mut |_block| {}))
            .expect("the empty leaf can be made");
        Self::made(link, chunking, None)
    }

    /// Opens the tree whose root is named `root`: reads that node now and the others when they are
    /// needed. Several trees over one source are better opened through one [`Forest`], which
    /// bounds the memory of them all.
    pub fn open(source: Arc<dyn BlockSource>, root: Cid) -> Result<Self, TreeError> {
        Forest::new(source).open(root)
    }

    /// Makes the tree of `entries`, whose keys must ascend strictly, and hands every block of it
    /// to `out`, children before parents. The tree keeps its nodes in memory.
    pub fn build<K, V>(
        entries: impl IntoIterator<Item = (K, V)>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Self, TreeError>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        Self::build_with(Chunking::STANDARD, entries, out)
    }

    /// [`build`](Self::build) for entries in any order; of several with one key the last counts.
    pub fn build_unsorted<K, V>(
        entries: &[(K, V)],
        out: &mut dyn FnMut(Block),
    ) -> Result<Self, TreeError>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        // How many entries are waited for together.
        const WINDOW: usize = 32;
        let order = sorted_places(entries.len(), |place| entries[place].0.as_ref());
        // Entries in random order are cache misses, each of an entry, its key and its value. Those
        // of a window are waited for together, one step after the other.
        let windows = order.chunks(WINDOW).flat_map(|window| {
            let entries: [_; WINDOW] = std::array::from_fn(|index| {
                let (_, place) = window.get(index)?;
                let (key, value) = &entries[*place];
                Some((key.as_ref(), value.as_ref()))
            });
            let ends = |bytes: &[u8]| bytes.first().zip(bytes.last()).map_or(0, |(a, b)| a | b);
            let touched = entries.iter().flatten();
            std::hint::black_box(
                touched.fold(0, |all, (key, value)| all | ends(key) | ends(value)),
            );
            entries.into_iter().flatten()
        });
        let mut sorted = windows.peekable();
        let last_of_key = std::iter::from_fn(|| {
            loop {
                let entry = sorted.next()?;
                if sorted.peek().is_none_or(|next| next.0 != entry.0) {
                    return Some(entry);
                }
            }
        });
        Self::build(last_of_key, out)
    }

    pub(crate) fn build_with<K, V>(
        chunking: Chunking,
        entries: impl IntoIterator<Item = (K, V)>,
        out: &mut dyn FnMut(Block),
    ) -> Result<Self, TreeError>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut builder = Builder::new(chunking, 0)?;
        for (key, value) in entries {
            builder.push_value(key.as_ref(), value.as_ref(), out)?;
        }
        Ok(Self::made(builder.finish(out)?, chunking, None))
    }

    /// The tree whose root was made just now, or is a node of a tree over `cache`.
    pub(crate) fn made(link: Link, chunking: Chunking, cache: Option<&Arc<Cache>>) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "both callers pass links whose node is in memory"
        )]
        let root = link.node.expect("a root is in memory");
        Self::with_root(node_cid(&link.digest), root, chunking, cache)
    }

    /// The tree of a loaded root.
    pub(crate) fn over(root: Cid, node: Loaded, cache: &Arc<Cache>) -> Self {
        Self::with_root(root, node, cache.chunking(), Some(cache))
    }

    fn with_root(root: Cid, node: Loaded, chunking: Chunking, cache: Option<&Arc<Cache>>) -> Self {
        let shared = Arc::new(Shared {
            root,
            len: node.node.total(),
            level: node.node.level(),
            chunking,
            cache: cache.cloned(),
            node: if cache.is_some() {
                Root::Loose(RwLock::new(node))
            } else {
                Root::Fixed(node)
            },
        });
        if let Some(cache) = cache {
            cache.register(&shared);
        }
        Self { shared }
    }

    /// The name of the root node, and so of the map.
    #[must_use]
    pub fn root(&self) -> Cid {
        self.shared.root
    }

    /// How many entries the map has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shared.len
    }

    /// Whether the map has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.len == 0
    }

    /// How many nodes a path from the root to a leaf has.
    #[must_use]
    pub fn depth(&self) -> u32 {
        u32::from(self.shared.level) + 1
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, TreeError> {
        let found = self.find(key, |node, index| node.node.value(index))?;
        Ok(found.flatten())
    }

    /// Calls `read` with the value of `key`, where it stands in its node: spares the allocation
    /// by which [`get`](Self::get) shares it.
    pub fn get_with<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, TreeError> {
        self.find(key, |node, index| read(node.node.value_ref(index)))
    }

    /// Whether the map has `key`.
    pub fn contains(&self, key: &[u8]) -> Result<bool, TreeError> {
        Ok(self.find(key, |_node, _index| ())?.is_some())
    }

    /// The entry before which `index` entries stand.
    pub fn nth(&self, index: u64) -> Result<Option<(Bytes, Bytes)>, TreeError> {
        if index >= self.len() {
            return Ok(None);
        }
        let mut node = self.loaded_root();
        let mut rank = index;
        while !node.node.is_leaf() {
            let (child, rest) = node.node.child_of_rank(rank);
            rank = rest;
            node = self.child(&node, child)?;
        }
        let index = usize::try_from(rank).unwrap_or(usize::MAX);
        Ok(node.node.key(index).zip(node.node.value(index)))
    }

    /// How many entries have a key less than `key`.
    pub fn rank(&self, key: &[u8]) -> Result<u64, TreeError> {
        let mut node = self.loaded_root();
        let mut before = 0;
        loop {
            let index = node.node.lower_bound(key);
            before += node.node.count_until(index);
            if node.node.is_leaf() || index == node.node.len() {
                return Ok(before);
            }
            node = self.child(&node, index)?;
        }
    }

    fn find<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(&Loaded, usize) -> R,
    ) -> Result<Option<R>, TreeError> {
        match &self.shared.node {
            Root::Fixed(root) => self.find_below(root, key, read),
            Root::Loose(_) => self.find_below(&self.loaded_root(), key, read),
        }
    }

    fn find_below<R>(
        &self,
        from: &Loaded,
        key: &[u8],
        read: impl FnOnce(&Loaded, usize) -> R,
    ) -> Result<Option<R>, TreeError> {
        let mut node = from;
        loop {
            if node.node.is_leaf() {
                return Ok(match node.node.search(key) {
                    Ok(index) => Some(read(node, index)),
                    Err(_) => None,
                });
            }
            let index = node.node.lower_bound(key);
            if index == node.node.len() {
                return Ok(None);
            }
            match node.slot(index) {
                Some(child) => {
                    if node.node.level() == 1 {
                        child.node.touch();
                    }
                    node = child;
                }
                // At most one call per level, of which there are few (TREE-9).
                None => return self.find_below(&self.load(node, index, Keep::Always)?, key, read),
            }
        }
    }

    pub(crate) fn chunking(&self) -> Chunking {
        self.shared.chunking
    }

    pub(crate) fn cache(&self) -> Option<&Arc<Cache>> {
        self.shared.cache.as_ref()
    }

    /// The root node with what is in memory below it.
    pub(crate) fn loaded_root(&self) -> Loaded {
        match &self.shared.node {
            Root::Fixed(root) => root.clone(),
            Root::Loose(lock) => lock.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The `index`th child of `parent`, which stays in memory.
    pub(crate) fn child(&self, parent: &Loaded, index: usize) -> Result<Loaded, TreeError> {
        self.child_as(parent, index, Keep::Always)
    }

    /// The `index`th child of `parent`; a leaf is not kept in memory for it.
    pub(crate) fn child_once(&self, parent: &Loaded, index: usize) -> Result<Loaded, TreeError> {
        let is_leaf = parent.node.level() <= 1;
        self.child_as(
            parent,
            index,
            if is_leaf { Keep::Never } else { Keep::Always },
        )
    }

    /// The `index`th child of `parent`, kept as `keep` says if it has to be read.
    pub(crate) fn child_as(
        &self,
        parent: &Loaded,
        index: usize,
        keep: Keep,
    ) -> Result<Loaded, TreeError> {
        match parent.slot(index) {
            Some(child) => Ok(child.clone()),
            None => self.load(parent, index, keep),
        }
    }

    fn load(&self, parent: &Loaded, index: usize, keep: Keep) -> Result<Loaded, TreeError> {
        match &self.shared.cache {
            Some(cache) => cache.load(parent, index, keep),
            None => Err(TreeError::Missing {
                cid: node_cid(parent.node.digest(index)),
            }),
        }
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

impl Eq for Tree {}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({}, {} entries)", self.root(), self.len())
    }
}
