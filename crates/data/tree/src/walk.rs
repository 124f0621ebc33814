//! Fetching a tree that a peer claims, from the root down (TREE-19).

use std::collections::{BTreeMap, BTreeSet};

use allod_blocks::Block;
use bytes::Bytes;
use cid::Cid;

use crate::chunking::Chunking;
use crate::error::{LinkFault, NodeError};
use crate::limits::WALK_OUTSTANDING_MAX;
use crate::loaded::check_child;
use crate::node::{KeyRef, Node, names_a_node, node_cid};
use crate::spans::KeySpans;
use crate::tree::Tree;

/// Why a block does not belong into a walk. Blame: the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// The block was not asked for, or was answered before. The walk goes on.
    #[error("block {cid} was not asked for")]
    NotWanted {
        /// The block's name.
        cid: Cid,
    },
    /// The block is not a node, or a node that does not end where it must (TREE-5). The root
    /// names no tree; the walk is over.
    #[error("node {cid}: {fault}")]
    Node {
        /// The block's name.
        cid: Cid,
        /// What is wrong with it.
        fault: NodeError,
    },
    /// The node is not what its parent says (TREE-16). The root names no tree; the walk is over.
    #[error("node {cid}: {fault}")]
    Link {
        /// The node's name.
        cid: Cid,
        /// What does not fit.
        fault: LinkFault,
    },
    /// The root is not the name of a node (TREE-14).
    #[error("{cid} cannot name a node")]
    Name {
        /// The name.
        cid: Cid,
    },
    /// An earlier block ended the walk.
    #[error("the walk is over")]
    Over,
}

impl WalkError {
    /// The registered code, as in the table of `specs/21-tree.md`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotWanted { .. } => "E_WALK_UNWANTED",
            Self::Node { fault, .. } => fault.code(),
            Self::Link { fault, .. } => fault.code(),
            Self::Name { .. } => "E_TREE_NAME",
            Self::Over => "E_WALK_OVER",
        }
    }
}

/// How far a walk has come, in entries of the map.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WalkProgress {
    /// Entries in leaves that were fed, and below nodes that a known tree has.
    pub seen: u64,
    /// Entries that the tree has, as its root says; 0 until the root is there.
    pub total: u64,
    /// Nodes that were fed.
    pub nodes: u64,
}

/// Fetches a tree from the root down, depth first, and checks each node as it comes.
///
/// Ask [`want`](Self::want) for names, get those blocks from anywhere, and [`feed`](Self::feed)
/// them in any order, until [`is_done`](Self::is_done). Subtrees that a known tree has are not
/// asked for: keep its blocks. Once done, every rule of the format has been checked for every node
/// that was fed, and the blocks fed and the known trees hold the whole tree.
///
/// Holds no leaf, and at most [`WALK_OUTSTANDING_MAX`] inner nodes per level.
pub struct Walk {
    chunking: Chunking,
    known: Vec<Tree>,
    /// The keys that are asked for; all if there are none.
    within: Option<KeySpans>,
    /// Inner nodes with children to ask for; the last one is asked first.
    open: Vec<Open>,
    outstanding: BTreeMap<Cid, Place>,
    /// Asked for once and to be asked for again.
    again: BTreeSet<Cid>,
    progress: WalkProgress,
    over: bool,
}

/// A node whose children are being asked for.
struct Open {
    node: Node,
    floor: Option<Bytes>,
    last_of_level: bool,
    /// The children to ask for, the last one first.
    todo: Vec<Todo>,
}

/// A child to ask for.
#[derive(Clone, Copy)]
struct Todo {
    index: u16,
    /// Whether it is beside what is asked for: the next node of its level, which an edit may need.
    beside: bool,
}

/// Where a node that was asked for belongs.
enum Place {
    Root,
    Child {
        parent: Node,
        index: usize,
        floor: Option<Bytes>,
        last_of_level: bool,
        beside: bool,
    },
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk")
            .field("open", &self.open.len())
            .field("outstanding", &self.outstanding.len())
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl Walk {
    /// A walk over the tree named `root`. A fault in reading a known tree counts as not knowing:
    /// what is damaged there is fetched.
    pub fn new(root: Cid, known: Vec<Tree>) -> Result<Self, WalkError> {
        Self::with_chunking(root, known, Chunking::STANDARD)
    }

    /// Asks only for nodes that may have some of these keys, and for those right beside, which an edit of
    /// the last of them may need. Of the known trees no more than those nodes need be there. To be said
    /// before the first node is asked for.
    #[must_use]
    pub fn only(mut self, keys: KeySpans) -> Self {
        self.within = Some(keys);
        self
    }

    pub(crate) fn with_chunking(
        root: Cid,
        known: Vec<Tree>,
        chunking: Chunking,
    ) -> Result<Self, WalkError> {
        if !names_a_node(&root) {
            return Err(WalkError::Name { cid: root });
        }
        let mut walk = Self {
            chunking,
            open: Vec::new(),
            outstanding: BTreeMap::new(),
            again: BTreeSet::new(),
            progress: WalkProgress::default(),
            over: false,
            within: None,
            known,
        };
        if let Some(tree) = walk.known.iter().find(|tree| tree.root() == root) {
            walk.progress.seen = tree.len();
            walk.progress.total = tree.len();
        } else {
            walk.outstanding.insert(root, Place::Root);
            walk.again.insert(root);
        }
        Ok(walk)
    }

    /// At most `max` names of nodes to get, each named once. Fewer, or none, while
    /// [`WALK_OUTSTANDING_MAX`] are outstanding.
    pub fn want(&mut self, max: usize) -> Vec<Cid> {
        let mut wanted = Vec::new();
        while wanted.len() < max
            && let Some(cid) = self.again.pop_first()
        {
            wanted.push(cid);
        }
        while wanted.len() < max && self.outstanding.len() < WALK_OUTSTANDING_MAX {
            let Some(open) = self.open.last_mut() else {
                break;
            };
            let Some(&Todo { index, beside }) = open.todo.last() else {
                self.open.pop();
                continue;
            };
            let index = usize::from(index);
            let cid = node_cid(open.node.digest(index));
            if self.outstanding.contains_key(&cid) {
                // No node can be in a tree twice. The answer to the first will be accepted, and
                // the one to the second refused.
                break;
            }
            let place = Place::Child {
                index,
                floor: match index.checked_sub(1) {
                    Some(before) => open.node.key(before),
                    None => open.floor.clone(),
                },
                last_of_level: open.last_of_level && index + 1 == open.node.len(),
                beside,
                parent: open.node.clone(),
            };
            open.todo.pop();
            self.outstanding.insert(cid, place);
            wanted.push(cid);
        }
        wanted
    }

    /// Asks again for everything that was asked for and has not come: after a peer went away.
    pub fn retry(&mut self) {
        self.again = self.outstanding.keys().copied().collect();
    }

    /// Takes a block that was asked for, and returns its node: the caller looks at the entries of
    /// leaves, and stores the block.
    pub fn feed(&mut self, block: Block) -> Result<Node, WalkError> {
        if self.over {
            return Err(WalkError::Over);
        }
        let cid = *block.cid();
        let Some(place) = self.outstanding.remove(&cid) else {
            return Err(WalkError::NotWanted { cid });
        };
        self.again.remove(&cid);
        let node = self.check(cid, &place, block);
        if let Ok(node) = &node {
            self.accept(node, place);
        } else {
            self.over = true;
            self.open.clear();
            self.outstanding.clear();
            self.again.clear();
        }
        node
    }

    /// Whether nothing is left to get.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self.over
            && self.outstanding.is_empty()
            && self.open.iter().all(|open| open.todo.is_empty())
    }

    /// How far the walk has come.
    #[must_use]
    pub fn progress(&self) -> WalkProgress {
        self.progress
    }

    fn check(&self, cid: Cid, place: &Place, block: Block) -> Result<Node, WalkError> {
        let faulty = |fault| WalkError::Node { cid, fault };
        let unfit = |fault| WalkError::Link { cid, fault };
        let node = Node::decode(block.bytes()).map_err(faulty)?;
        let last_of_level = match place {
            Place::Root => {
                if !node.is_leaf() && node.len() == 1 {
                    return Err(unfit(LinkFault::LoneChild));
                }
                true
            }
            Place::Child {
                parent,
                index,
                floor,
                last_of_level,
                ..
            } => {
                check_child(parent, *index, floor.as_deref(), &node).map_err(unfit)?;
                *last_of_level
            }
        };
        node.check_end_with(self.chunking, last_of_level)
            .map_err(faulty)?;
        Ok(node)
    }

    fn accept(&mut self, node: &Node, place: Place) {
        self.progress.nodes += 1;
        let (floor, last_of_level, beside) = match place {
            Place::Root => {
                self.progress.total = node.total();
                (None, true, false)
            }
            Place::Child {
                floor,
                last_of_level,
                beside,
                ..
            } => (floor, last_of_level, beside),
        };
        if node.is_leaf() {
            self.progress.seen += node.total();
            return;
        }
        let mut todo = Vec::new();
        let asked = match &self.within {
            None => (0..node.len()).map(|index| (index, false)).collect(),
            Some(keys) => keys.children(node, floor.as_deref(), beside),
        };
        for (index, beside) in asked.into_iter().rev() {
            let last = last_of_level && index + 1 == node.len();
            if !beside && self.is_known(node, index, floor.as_deref(), last) {
                self.progress.seen += node.count(index).unwrap_or(0);
            } else {
                // A node has at most 690 children (TREE-10), so that its indices fit 16 bits.
                let index = index as u16;
                todo.push(Todo { index, beside });
            }
        }
        if !todo.is_empty() {
            self.open.push(Open {
                node: node.clone(),
                floor,
                last_of_level,
                todo,
            });
        }
    }

    /// Whether a known tree has the `index`th child of `node`, in a place where it obeys the same
    /// rules.
    fn is_known(&self, node: &Node, index: usize, floor: Option<&[u8]>, last: bool) -> bool {
        let floor = match index.checked_sub(1) {
            Some(before) => Some(node.key_ref(before)),
            None => floor.map(|floor| KeyRef {
                prefix: &[],
                suffix: floor,
            }),
        };
        let keys = self.within.as_ref();
        self.known
            .iter()
            .any(|tree| has_subtree(tree, (node, index), floor, last, keys).unwrap_or(false))
    }
}

/// Whether `tree` has a child of a node: the same link under the same key at the same level, with the
/// same count; all its keys after `floor`; and, unless `last`, not as the last of its level, where a
/// node may end without a boundary. If just nodes with some `keys` are there, it has to be one of them.
fn has_subtree(
    tree: &Tree,
    (node, index): (&Node, usize),
    floor: Option<KeyRef<'_>>,
    last: bool,
    keys: Option<&KeySpans>,
) -> Result<bool, crate::error::TreeError> {
    let key = node.key_ref(index).to_bytes();
    let mut at = tree.loaded_root();
    let mut at_last = true;
    let mut at_floor: Option<Bytes> = None;
    if at.node.level() < node.level() {
        return Ok(false);
    }
    while at.node.level() > node.level() {
        let next = at.node.lower_bound(&key);
        if next == at.node.len() {
            return Ok(false);
        }
        at_last &= next + 1 == at.node.len();
        if let Some(before) = next.checked_sub(1).filter(|_| keys.is_some()) {
            at_floor = Some(at.node.key_ref(before).to_bytes());
        }
        at = tree.child(&at, next)?;
    }
    let Ok(found) = at.node.search(&key) else {
        return Ok(false);
    };
    at_last &= found + 1 == at.node.len();
    if at.node.digest(found) != node.digest(index)
        || at.node.count(found) != node.count(index)
        || (at_last && !last)
    {
        return Ok(false);
    }
    if let Some(keys) = keys {
        if let Some(before) = found.checked_sub(1) {
            at_floor = Some(at.node.key_ref(before).to_bytes());
        }
        if !keys.meets(at_floor.as_deref(), &key) {
            return Ok(false);
        }
    }
    let Some(floor) = floor else {
        return Ok(true);
    };
    if found > 0 && at.node.key_ref(found - 1).cmp_key(floor).is_ge() {
        return Ok(true);
    }
    let mut first = tree.child(&at, found)?;
    while !first.node.is_leaf() {
        first = tree.child(&first, 0)?;
    }
    Ok(first.node.key_ref(0).cmp_key(floor).is_gt())
}
