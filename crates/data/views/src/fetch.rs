//! Fetching the nodes of a tree that a peer has computed (SYNC-37, PROJ-28).

use allod_blocks::{Batch, Block, Cid, Store, StoreErrorKind};
use allod_repo::{BlockPeer, RepoError, Span};
use allod_tree::{NODE_BYTES_MAX, Tree, Walk};

use crate::definition::Shape;
use crate::entries::bounds;
use crate::error::ViewError;
use crate::memo::Held;
use crate::types::Name;
use crate::views::{GoOn, Snapshot, lock};

/// Leaves asked for at a time: with the path to them they stay below what a question may have.
const LEAVES_ASKED: usize = 256;

/// Inner nodes asked for at a time. They are kept until their children have come, up to 40 KiB each.
const INNER_ASKED: usize = 64;

/// Bytes of a tree that are taken from a peer at most: the index of some forty million records.
const FETCHED_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

impl Snapshot {
    /// Whether a projection may be taken from somebody else: what is of groups may not (PROJ-27).
    pub fn may_be_fetched(&self, name: &Name) -> Result<(), ViewError> {
        match self.definition(name)?.shape {
            Shape::Group { .. } => Err(ViewError::OfGroups(name.clone())),
            _ => Ok(()),
        }
    }

    /// Whether a projection of this state is at hand with all its blocks. Reads them from the store: what is
    /// in memory may be lost there.
    pub fn is_whole(&self, name: &Name) -> Result<bool, ViewError> {
        let held = lock(&self.views().inner.memo).get(&self.place_of(name)?);
        let root = match held {
            None => return Ok(false),
            // Its blocks wait to be stored.
            Some(Held::Unsaved(_)) => return Ok(true),
            Some(Held::Saved(root)) => root,
        };
        if root == Tree::empty().root() {
            return Ok(true);
        }
        let Ok(mut walk) = Walk::new(root, Vec::new()) else {
            return Ok(false);
        };
        loop {
            let names = walk.want(LEAVES_ASKED);
            if names.is_empty() {
                return Ok(walk.is_done());
            }
            for cid in names {
                let block = read(&**self.repo().store(), &cid)?;
                if block.is_none_or(|block| walk.feed(block).is_err()) {
                    return Ok(false);
                }
            }
        }
    }

    /// Fetches what is not here of a tree that a peer told of as that of a projection of this state
    /// (SYNC-37, PROJ-28). Each node is checked against the one above it before it is stored, and that the tree is
    /// not larger than one of these records can be. What it is of remains to be checked
    /// ([`adopt`](Self::adopt)). Returns how many nodes came; `go_on` hears of that.
    ///
    /// Nothing refers to them yet: hold them (BLOCKS-51). Memory: of each level at most 64 inner nodes, and
    /// the blocks of one answer.
    ///
    /// # Errors
    /// [`ViewError::OfGroups`], [`ViewError::TooLarge`], [`ViewError::Untrue`] if it is no tree,
    /// [`ViewError::Incomplete`] and [`ViewError::Cancelled`]. What came until then is garbage.
    pub fn fetch_tree<P>(
        &self,
        (name, root): (&Name, Cid),
        peer: &mut P,
        go_on: GoOn<'_>,
    ) -> Result<u64, P::Error>
    where
        P: BlockPeer,
        P::Error: From<ViewError>,
    {
        self.may_be_fetched(name)?;
        // Nobody stores the node of an empty tree.
        if root == Tree::empty().root() {
            return Ok(0);
        }
        let store = &**self.repo().store();
        let mut arriving = Arriving::new(self, name, root)?;
        loop {
            if go_on(arriving.came).is_break() {
                return Err(ViewError::Cancelled.into());
            }
            let (path, names) = arriving.want();
            if names.is_empty() {
                break;
            }
            let mut lost = Vec::new();
            for cid in names {
                match read(store, &cid)? {
                    Some(block) => arriving.take(&path, &block)?,
                    None => lost.push(cid),
                }
            }
            if lost.is_empty() {
                continue;
            }
            let mut fault = None;
            let asked = peer.fetch(&path, &lost, &mut |blocks| {
                let kept = arriving.keep(store, &path, blocks);
                kept.map_err(|error| match error {
                    ViewError::Repo(error) => error,
                    error => {
                        fault = Some(error);
                        RepoError::Damaged("what a peer sent of a tree")
                    }
                })
            });
            if let Some(fault) = fault {
                return Err(fault.into());
            }
            asked?;
            arriving.has_all(store, &lost)?;
        }
        if arriving.walk.is_done() {
            Ok(arriving.came)
        } else {
            Err(arriving.untrue().into())
        }
    }
}

/// A tree on its way.
struct Arriving<'a> {
    name: &'a Name,
    walk: Walk,
    /// Inner nodes whose children are not all asked for, in the order in which the walk has them.
    open: Vec<Open>,
    came: u64,
    /// Bytes that may still come.
    bytes_left: u64,
    entries_max: u64,
}

/// An inner node: the way to it from the root, with itself.
struct Open {
    path: Vec<Cid>,
    are_leaves: bool,
    left: usize,
}

impl<'a> Arriving<'a> {
    fn new(snapshot: &Snapshot, name: &'a Name, root: Cid) -> Result<Self, ViewError> {
        let projection = snapshot.definition(name)?;
        let resolved = snapshot.types().resolve(&projection);
        let source = snapshot.source_view();
        let (mut entries_max, mut bytes_max) = (0u64, 0u64);
        for (side, prefix, _) in resolved.sides() {
            let records = source.count(&Span::prefix(prefix))?;
            let (entries, bytes) = bounds(&projection.shape, side, resolved.kind_of(side));
            let entries = entries.saturating_mul(records);
            entries_max = entries_max.saturating_add(entries);
            // Once in a leaf; and what stands above leaves is never more than they are.
            bytes_max = bytes_max.saturating_add(entries.saturating_mul(2 * bytes));
        }
        let untrue = |_error| untrue(name);
        Ok(Self {
            name,
            walk: Walk::new(root, Vec::new()).map_err(untrue)?,
            open: Vec::new(),
            came: 0,
            bytes_left: bytes_max
                .saturating_add(NODE_BYTES_MAX as u64)
                .min(FETCHED_BYTES_MAX),
            entries_max,
        })
    }

    fn untrue(&self) -> ViewError {
        untrue(self.name)
    }

    /// Names of nodes to get, all of them children of one, with the way to that.
    fn want(&mut self) -> (Vec<Cid>, Vec<Cid>) {
        let Some(last) = self.open.last_mut() else {
            return (Vec::new(), self.walk.want(1));
        };
        let most = if last.are_leaves {
            LEAVES_ASKED
        } else {
            INNER_ASKED
        };
        let names = self.walk.want(most.min(last.left));
        last.left -= names.len();
        let path = last.path.clone();
        if last.left == 0 {
            self.open.pop();
        }
        (path, names)
    }

    /// Checks a node against the one above it.
    fn take(&mut self, path: &[Cid], block: &Block) -> Result<(), ViewError> {
        let fed = self.walk.feed(block.clone());
        let node = fed.map_err(|_error| self.untrue())?;
        // What a root says is checked below it, node by node.
        if node.total() > self.entries_max {
            return Err(ViewError::TooLarge(self.name.clone()));
        }
        if !node.is_leaf() {
            self.open.push(Open {
                path: [path, &[*block.cid()]].concat(),
                are_leaves: node.level() == 1,
                left: node.len(),
            });
        }
        Ok(())
    }

    /// Checks what a peer sent, and stores it.
    fn keep(
        &mut self,
        store: &dyn Store,
        path: &[Cid],
        blocks: Vec<Block>,
    ) -> Result<(), ViewError> {
        let mut batch = Batch::new();
        for block in blocks {
            let left = self.bytes_left.checked_sub(block.bytes().len() as u64);
            self.bytes_left = left.ok_or_else(|| ViewError::TooLarge(self.name.clone()))?;
            self.take(path, &block)?;
            self.came += 1;
            batch.put(block);
        }
        if !batch.is_empty() {
            // Without an expectation nothing can have moved.
            drop(store.commit(batch)?);
        }
        Ok(())
    }

    /// That all that was asked for came.
    fn has_all(&self, store: &dyn Store, asked: &[Cid]) -> Result<(), ViewError> {
        for cid in asked {
            if read(store, cid)?.is_none() {
                return Err(ViewError::Incomplete {
                    name: self.name.clone(),
                    node: Box::new(*cid),
                });
            }
        }
        Ok(())
    }
}

/// What is told of what is no tree.
fn untrue(name: &Name) -> ViewError {
    ViewError::Untrue {
        name: name.clone(),
        key: Vec::new(),
    }
}

/// A block, if it is here whole.
fn read(store: &dyn Store, cid: &Cid) -> Result<Option<Block>, RepoError> {
    match store.get(cid) {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(None),
        block => Ok(block?),
    }
}
