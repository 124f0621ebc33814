//! Nodes in memory: who keeps them, and for how long.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use allod_blocks::{Block, Store, StoreError};
use bytes::Bytes;
use cid::Cid;

use crate::chunking::Chunking;
use crate::error::{LinkFault, TreeError};
use crate::limits::CACHE_BYTES_DEFAULT;
use crate::node::{Node, names_a_node};
use crate::tree::{Shared, Tree};

/// Where the blocks of a tree come from. Every [`Store`] is one; what it returns was checked
/// against its name.
pub trait BlockSource: Send + Sync {
    /// The block named `cid`; `None` if it is not there.
    fn block(&self, cid: &Cid) -> Result<Option<Block>, StoreError>;
}

impl<T: Store + ?Sized> BlockSource for T {
    fn block(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        self.get(cid)
    }
}

/// A shared store of unknown kind as a source.
struct SharedStore(Arc<dyn Store>);

impl BlockSource for SharedStore {
    fn block(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        self.0.get(cid)
    }
}

/// Where a parent keeps a child it has loaded.
pub(crate) type Slot = OnceLock<Loaded>;

/// What becomes of a node that is read for a parent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keep {
    /// It stays in memory; if the budget is spent, others go.
    Always,
    /// It stays if the budget has room: a scan is no reason for others to go.
    IfRoom,
    /// It is read for once.
    Never,
}

/// What a loaded node costs beside its block: the structure, its slots' share, the allocations.
const NODE_OVERHEAD: usize = 256;

/// A node in memory and the children that were loaded below it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) node: Node,
    /// Nothing for a leaf that was made here.
    below: Option<Arc<Below>>,
}

/// What is kept beside a node; point reads do not touch it in a leaf.
struct Below {
    slots: Box<[Slot]>,
    /// Where the node was read from; nothing for a node that was made here and is perhaps stored
    /// nowhere: that one is never dropped while a tree needs it.
    origin: Option<Origin>,
}

/// What is kept of a node that was read.
struct Origin {
    /// The key before the node, if its parent is known to have one (TREE-16).
    floor: Option<Bytes>,
    _charge: Option<Charge>,
}

/// Bytes taken from a budget, given back on drop.
struct Charge {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn empty_slots(node: &Node) -> Box<[Slot]> {
    if node.is_leaf() {
        Box::default()
    } else {
        (0..node.len()).map(|_| OnceLock::new()).collect()
    }
}

impl Loaded {
    /// A node made just now.
    pub(crate) fn made(node: Node, slots: Box<[Slot]>) -> Self {
        let below = (!slots.is_empty()).then(|| {
            Arc::new(Below {
                slots,
                origin: None,
            })
        });
        Self { node, below }
    }

    /// A node that can be read again, with nothing in memory below it.
    fn read(node: Node, floor: Option<Bytes>, charge: Option<Charge>) -> Self {
        let below = Below {
            slots: empty_slots(&node),
            origin: Some(Origin {
                floor,
                _charge: charge,
            }),
        };
        Self {
            node,
            below: Some(Arc::new(below)),
        }
    }

    fn origin(&self) -> Option<&Origin> {
        self.below.as_ref()?.origin.as_ref()
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.origin().is_none()
    }

    fn floor(&self) -> Option<&Bytes> {
        self.origin()?.floor.as_ref()
    }

    /// Where the children are; none for a leaf.
    #[inline]
    pub(crate) fn slots(&self) -> &[Slot] {
        match &self.below {
            Some(below) => &below.slots,
            None => &[],
        }
    }

    /// The children that are in memory, for a node that takes the place of this one.
    pub(crate) fn copy_slots(&self) -> Box<[Slot]> {
        // Counting a reference waits for memory. Reading first, the children wait together.
        let children = self.slots().iter().filter_map(OnceLock::get);
        std::hint::black_box(children.fold(0, |all, child| all | child.node.level()));
        self.slots().into()
    }

    /// The `index`th child, if it is in memory.
    #[inline]
    pub(crate) fn slot(&self, index: usize) -> Option<&Self> {
        self.slots().get(index)?.get()
    }

    /// This node without the children that can be loaded again.
    fn pruned(&self) -> Self {
        if self.node.is_leaf() {
            return self.clone();
        }
        if !self.is_pinned() {
            return Self::read(self.node.clone(), self.floor().cloned(), None);
        }
        let slots = empty_slots(&self.node);
        for (slot, kept) in slots.iter().zip(self.slots()) {
            if let Some(child) = kept.get().filter(|child| child.is_pinned()) {
                slot.get_or_init(|| child.pruned());
            }
        }
        Self::made(self.node.clone(), slots)
    }

    /// This node and those below it as ones that `cache` may drop, as far as its budget reaches.
    fn settled(&self, cache: &Cache) -> Option<Self> {
        if !self.is_pinned() {
            return Some(self.clone());
        }
        let charge = cache.admit(&self.node)?;
        let settled = Self::read(self.node.clone(), None, Some(charge));
        for (slot, kept) in settled.slots().iter().zip(self.slots()) {
            if let Some(child) = kept.get().and_then(|child| child.settled(cache)) {
                slot.get_or_init(|| child);
            }
        }
        Some(settled)
    }
}

/// A source of blocks, a budget, and the trees that share both.
pub(crate) struct Cache {
    source: Arc<dyn BlockSource>,
    budget: usize,
    used: Arc<AtomicUsize>,
    chunking: Chunking,
    generation: AtomicU64,
    trees: Mutex<Vec<Weak<Shared>>>,
}

impl Cache {
    pub(crate) fn chunking(&self) -> Chunking {
        self.chunking
    }

    /// Counts how often loaded nodes were dropped.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    fn trees(&self) -> MutexGuard<'_, Vec<Weak<Shared>>> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn register(&self, tree: &Arc<Shared>) {
        let mut trees = self.trees();
        // Handles come and go; sweeping at powers of two keeps this cheap on average.
        if trees.len().is_power_of_two() {
            trees.retain(|tree| tree.strong_count() > 0);
        }
        trees.push(Arc::downgrade(tree));
    }

    /// Takes the node's cost from the budget, if it has room.
    fn admit(&self, node: &Node) -> Option<Charge> {
        let bytes = node.bytes().len() + NODE_OVERHEAD + size_of::<Slot>() * node.len();
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let charge = Charge {
            used: Arc::clone(&self.used),
            bytes,
        };
        (before + bytes <= self.budget).then_some(charge)
    }

    /// Lets go of every loaded node that no cursor holds.
    fn make_room(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
        let trees: Vec<_> = self.trees().iter().filter_map(Weak::upgrade).collect();
        for tree in trees {
            tree.replace_root(Loaded::pruned);
        }
    }

    /// Reads a node from the source.
    pub(crate) fn fetch(&self, cid: &Cid) -> Result<Node, TreeError> {
        let block = self
            .source
            .block(cid)?
            .ok_or(TreeError::Missing { cid: *cid })?;
        Node::decode(block.bytes()).map_err(|fault| TreeError::Node { cid: *cid, fault })
    }

    /// Reads the `index`th child of `parent`, which stays in the parent's slot as `keep` says.
    pub(crate) fn load(
        &self,
        parent: &Loaded,
        index: usize,
        keep: Keep,
    ) -> Result<Loaded, TreeError> {
        let cid = crate::node::node_cid(parent.node.digest(index));
        let node = self.fetch(&cid)?;
        let floor = floor_of(parent, index);
        check_child(&parent.node, index, floor.as_deref(), &node)
            .map_err(|fault| TreeError::Link { cid, fault })?;
        let charge = match keep {
            Keep::Never => None,
            Keep::IfRoom => self.admit(&node),
            Keep::Always => self.admit(&node).or_else(|| {
                self.make_room();
                self.admit(&node)
            }),
        };
        let kept = charge.is_some();
        let floor = floor.filter(|_| !node.is_leaf());
        let loaded = Loaded::read(node, floor, charge);
        Ok(match parent.slots().get(index) {
            Some(slot) if kept => slot.get_or_init(|| loaded).clone(),
            _ => loaded,
        })
    }
}

/// The key before the `index`th child, if there is one.
fn floor_of(parent: &Loaded, index: usize) -> Option<Bytes> {
    match index.checked_sub(1) {
        Some(before) => parent.node.key(before),
        None => parent.floor().cloned(),
    }
}

/// What a parent says of its `index`th child must be true of it (TREE-16).
pub(crate) fn check_child(
    parent: &Node,
    index: usize,
    floor: Option<&[u8]>,
    child: &Node,
) -> Result<(), LinkFault> {
    if child.level() + 1 != parent.level() {
        return Err(LinkFault::Level);
    }
    let (Some(last), false) = (child.last_key(), child.is_empty()) else {
        return Err(LinkFault::LastKey);
    };
    if last.cmp_key(parent.key_ref(index)).is_ne() {
        return Err(LinkFault::LastKey);
    }
    if floor.is_some_and(|floor| child.key_ref(0).cmp_bytes(floor).is_le()) {
        return Err(LinkFault::FirstKey);
    }
    if parent.count(index) != Some(child.total()) {
        return Err(LinkFault::Count);
    }
    Ok(())
}

/// Trees that are read from one source and share one budget for the nodes they keep in memory.
///
/// When the budget is spent, all loaded nodes are let go and loading begins anew; nodes that were
/// made in this process and not [settled](Self::settle) stay. Cheap to clone.
#[derive(Clone)]
pub struct Forest {
    cache: Arc<Cache>,
}

impl std::fmt::Debug for Forest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forest")
            .field("budget", &self.cache.budget)
            .field("cached", &self.cached_bytes())
            .finish_non_exhaustive()
    }
}

impl Forest {
    /// Trees over `source` with the default budget, [`CACHE_BYTES_DEFAULT`].
    #[must_use]
    pub fn new(source: Arc<dyn BlockSource>) -> Self {
        Self::with_budget(source, CACHE_BYTES_DEFAULT)
    }

    /// Trees over a store of unknown kind that keep at most `bytes` of loaded nodes.
    #[must_use]
    pub fn over(store: Arc<dyn Store>, bytes: usize) -> Self {
        Self::with_budget(Arc::new(SharedStore(store)), bytes)
    }

    /// Trees over `source` that keep at most `bytes` of loaded nodes.
    #[must_use]
    pub fn with_budget(source: Arc<dyn BlockSource>, bytes: usize) -> Self {
        Self::with_chunking(source, bytes, Chunking::STANDARD)
    }

    pub(crate) fn with_chunking(
        source: Arc<dyn BlockSource>,
        bytes: usize,
        chunking: Chunking,
    ) -> Self {
        Self {
            cache: Arc::new(Cache {
                source,
                budget: bytes,
                used: Arc::default(),
                chunking,
                generation: AtomicU64::new(0),
                trees: Mutex::default(),
            }),
        }
    }

    /// Opens the tree whose root is named `root`. Reads that node; the others as they are needed.
    pub fn open(&self, root: Cid) -> Result<Tree, TreeError> {
        if !names_a_node(&root) {
            return Err(TreeError::Name { cid: root });
        }
        let node = self.cache.fetch(&root)?;
        if !node.is_leaf() && node.len() == 1 {
            return Err(TreeError::Link {
                cid: root,
                fault: LinkFault::LoneChild,
            });
        }
        let loaded = Loaded::read(node, None, None);
        Ok(Tree::over(root, loaded, &self.cache))
    }

    /// The same tree with all its nodes read from this forest's source: for a tree whose new
    /// blocks have been stored. What is in memory stays there as far as the budget reaches, and
    /// may be dropped from now on.
    #[must_use]
    pub fn settle(&self, tree: &Tree) -> Tree {
        let root = tree.loaded_root();
        let settled = root
            .settled(&self.cache)
            .unwrap_or_else(|| Loaded::read(root.node.clone(), None, None));
        Tree::over(tree.root(), settled, &self.cache)
    }

    /// How many bytes of loaded nodes are in memory now.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.cache.used.load(Ordering::Relaxed)
    }
}
