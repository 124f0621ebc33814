//! A commit whose tree comes node by node.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use allod_blocks::{Batch, Block, Cid};
use allod_identity::Verified;
use allod_tree::{Node, Range, Tree, TreeError, Walk, WalkError, WalkProgress};
use bytes::Bytes;

use crate::accept::{Complete, Judged, Reviewed, check_entry, parents};
use crate::error::{Refusal, Rejected, RepoError};
use crate::ids::CommitId;
use crate::kinds::KindRules;
use crate::part::{Holding, Part, Slice, root_in};
use crate::repo::Repo;
use crate::statements::Commit;
use crate::view::check_key;

/// A commit whose tree is being fetched: each node is checked as it comes (REPO-15), and the entries
/// of each leaf against the tree before the commit (REPO-16, REPO-19).
///
/// Ask [`want`](Self::want) for names, get those blocks from anywhere, [`feed`](Self::feed) them in
/// any order and put them into the store, until [`is_done`](Self::is_done); then
/// [`finish`](Self::finish).
pub struct Arriving {
    commit: Verified<Commit>,
    note: Option<Bytes>,
    /// The join of the parents, and the nodes of it that are not stored; of a part, of those that are held.
    base: Tree,
    joined: Arc<[Block]>,
    walk: Walk,
    /// Keys that `base` has not.
    added: u64,
    kinds: KindRules,
    links: Vec<Cid>,
    states: Vec<Judged>,
    /// Leaves that could not be compared: what is damaged in `base` may be mended by the walk.
    uncompared: Vec<Cid>,
    /// What is kept, if not all is.
    slice: Option<Slice>,
    /// The parts that are walked in place of the tree, if it comes in parts.
    parts: Option<InParts>,
    /// Whether nothing of any parent is here.
    is_unrelated: bool,
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving")
            .field("commit", self.commit.cid())
            .field("walk", &self.walk)
            .finish_non_exhaustive()
    }
}

impl Repo {
    /// Completes a commit from the nodes of its tree. What the parents have is not asked for.
    pub fn fetch_tree(&self, reviewed: Reviewed) -> Result<Arriving, Rejected> {
        let said = reviewed.commit().payload();
        let part = self.part_of(&said.branch);
        let parents = parents(said);
        let known = match (&part, said.parents.first()) {
            // Without a parent no node of the base is in the store, not even that of the empty map.
            (None, first) => first
                .map(|_| self.joined(&parents))
                .transpose()?
                .map(|(base, _)| base),
            // What one parent of several has may be older than what the base has.
            (Some(_), Some(only)) if parents.len() == 1 && self.is_held(*only)? => {
                Some(self.tree(self.commit(*only)?.payload().tree)?)
            }
            (Some(_), _) => None,
        };
        let walk = Walk::new(said.tree, known.into_iter().collect());
        let mut walk = walk.map_err(|_error| Refusal::Tree)?;
        if let Some(part) = &part {
            walk = walk.only(part.keys());
        }
        self.arriving(reviewed, walk, None)
    }

    /// Completes a commit from the parts that it signs (PART-22); none if it signs no parts, or all is kept here.
    pub fn fetch_parts(&self, reviewed: Reviewed) -> Result<Option<Arriving>, Rejected> {
        let said = reviewed.commit().payload();
        let (Some(part), Some(root)) = (self.part_of(&said.branch), said.parts) else {
            return Ok(None);
        };
        let mut parts = InParts::new(&part);
        if let [only] = said.parents[..]
            && self.is_held(only)?
        {
            parts.known = self.known_slices(only, &part);
        }
        let walk = Walk::new(root, Vec::new()).map_err(|_error| Refusal::Parts)?;
        let walk = walk.only(part.keys());
        self.arriving(reviewed, walk, Some(parts)).map(Some)
    }

    fn arriving(
        &self,
        reviewed: Reviewed,
        walk: Walk,
        parts: Option<InParts>,
    ) -> Result<Arriving, Rejected> {
        let (commit, note) = reviewed.into_parts();
        let said = commit.payload();
        let part = self.part_of(&said.branch);
        let before = match parts {
            // What its parents changed without signing parts is not here, and what was there before them must be in it.
            Some(_) => self.newest_held(&said.parents)?.into_iter().collect(),
            None => self.held_of(&parents(said))?,
        };
        let (base, joined) = self.joined(&before)?;
        Ok(Arriving {
            commit,
            note,
            base,
            joined,
            walk,
            added: 0,
            kinds: self.kind_rules()?,
            links: Vec::new(),
            states: Vec::new(),
            uncompared: Vec::new(),
            slice: part.map(|part| Slice::new(&part)),
            parts,
            is_unrelated: before.is_empty(),
        })
    }
}

impl Arriving {
    /// The commit's id.
    #[must_use]
    pub fn id(&self) -> CommitId {
        CommitId::from_cid(*self.commit.cid())
    }

    /// The root of its tree.
    #[must_use]
    pub fn root(&self) -> Cid {
        self.commit.payload().tree
    }

    /// Whether it lacks a part that is kept here, so that it stays as it is (PART-22).
    #[must_use]
    pub fn lacks_parts(&self) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.lacks)
    }

    /// Whether nothing of its tree is known from its parents, so that all of it is walked.
    #[must_use]
    pub const fn is_unrelated(&self) -> bool {
        self.is_unrelated
    }

    /// At most `max` names of nodes to get, as [`Walk::want`] gives them.
    pub fn want(&mut self, max: usize) -> Vec<Cid> {
        self.walk.want(max)
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> WalkProgress {
        self.walk.progress()
    }

    /// Whether nothing is left to get.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.walk.is_done()
    }

    /// Takes a node; `false` for a block that was not asked for. After a refusal it is over.
    pub fn feed(&mut self, block: Block) -> Result<bool, Refusal> {
        let cid = *block.cid();
        let node = match self.walk.feed(block) {
            Ok(node) => node,
            Err(WalkError::NotWanted { .. }) => return Ok(false),
            Err(_) => return Err(Refusal::Tree),
        };
        if let Some(parts) = self.parts.as_mut().filter(|parts| !parts.is_open) {
            parts.name(&node)?;
        } else if node.is_leaf() {
            match self.compare(&node) {
                Ok(compared) => compared?,
                Err(_fault) => self.uncompared.push(cid),
            }
        }
        while let Some(parts) = &mut self.parts
            && self.walk.is_done()
            && let Some(root) = parts.next()
        {
            let walk = Walk::new(root, parts.known.clone());
            self.walk = walk.map_err(|_error| Refusal::Parts)?;
        }
        Ok(true)
    }

    /// The complete commit, once every node that was fed is in the store.
    pub fn finish(mut self, repo: &Repo) -> Result<Complete, Rejected> {
        if !self.walk.is_done() {
            return Err(Refusal::Tree.into());
        }
        for cid in std::mem::take(&mut self.uncompared) {
            let block = repo.store().get(&cid)?.ok_or(RepoError::Missing(cid))?;
            let node = Node::decode(block.bytes()).map_err(|_error| Refusal::Tree)?;
            self.compare(&node)??;
        }
        if !self.joined.is_empty() {
            let mut batch = Batch::new();
            self.joined
                .iter()
                .for_each(|block| batch.put(block.clone()));
            let _outcome = repo.store().commit(batch)?;
        }
        let said = self.commit.payload();
        if let Some(slice) = self.slice {
            let trees = match &self.parts {
                Some(parts) if parts.lacks => return Err(Refusal::Parts.into()),
                Some(parts) => {
                    repo.check_named(&parts.found)?;
                    repo.trees(&parts.roots)?
                }
                None => vec![repo.tree(said.tree)?],
            };
            let (kept, holding) = slice.finish(repo, (&trees, &self.base), self.added)?;
            let found = (self.links, self.states);
            return Ok(Complete::new(
                (self.commit, self.note),
                kept,
                found,
                holding,
            ));
        }
        let tree = repo.tree(said.tree)?;
        // Every key of the tree was compared, or is in a node that the base has as well. A key that
        // vanished would come back with the next join (REPO-19).
        if self.base.len() + self.added != tree.len() {
            return Err(Refusal::Tree.into());
        }
        repo.check_stored_parts(said, &self.base, &tree)?;
        let found = (self.links, self.states);
        Ok(Complete::new(
            (self.commit, self.note),
            tree,
            found,
            Holding::Whole,
        ))
    }

    /// Compares a leaf with what is there in the base; all of it or, at a fault, nothing.
    fn compare(&mut self, leaf: &Node) -> Result<Result<(), Refusal>, TreeError> {
        let said = self.commit.payload();
        let mut before = leaf_range(&self.base, leaf);
        let (mut added, mut links, mut states) = (0, Vec::new(), Vec::new());
        let mut changed = Vec::new();
        for (key, entry) in leaf.entries() {
            if self
                .slice
                .as_ref()
                .is_some_and(|slice| !slice.keys.contains(&key))
            {
                continue;
            }
            if check_key(&key).is_err() {
                return Ok(Err(Refusal::Tree));
            }
            let not_after = |item: &Result<(Bytes, Bytes), TreeError>| {
                item.as_ref().map_or(true, |(there, _)| *there <= key)
            };
            let there = before.as_mut().and_then(|before| before.next_if(not_after));
            let old = match there.transpose()? {
                // Between two keys of a leaf there is none in its tree: this one vanished. What is
                // read of the base is no more than the leaf has.
                Some((there, _)) if there < key => return Ok(Err(Refusal::Tree)),
                there => there.map(|(_, entry)| entry),
            };
            added += u64::from(old.is_none());
            if old.as_ref() == Some(&entry) {
                continue;
            }
            match check_entry((said, &self.kinds), &key, old.as_ref(), &entry) {
                Ok(found) => {
                    links.extend(found.link);
                    states.extend(found.judged);
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
            if self.slice.is_some() {
                changed.push((key, entry));
            }
        }
        if let Some(slice) = &mut self.slice {
            slice.note(changed);
        }
        self.added += added;
        self.links.append(&mut links);
        self.states.append(&mut states);
        Ok(Ok(()))
    }
}

impl Repo {
    /// The slices that a commit signs of what is kept, as far as they are here.
    fn known_slices(&self, id: CommitId, part: &Part) -> Vec<Tree> {
        let parts = self
            .commit(id)
            .ok()
            .and_then(|commit| commit.payload().parts);
        let Some(parts) = parts.and_then(|root| self.tree(root).ok()) else {
            return Vec::new();
        };
        let slices = part
            .prefixes()
            .map(|prefix| self.slice_in(&parts, prefix).ok().flatten());
        let slices: Vec<Tree> = slices.flatten().collect();
        let count: u64 = slices.iter().map(Tree::len).sum();
        // Otherwise they are not what is held.
        let held = self.held_tree(id).map(|tree| tree.len());
        if held.is_ok_and(|held| held == count) {
            slices
        } else {
            Vec::new()
        }
    }
}

/// A commit that comes in parts: the tree of parts is walked first, then the trees that it names.
struct InParts {
    /// The prefixes that are kept.
    keys: Vec<Bytes>,
    found: BTreeMap<Bytes, Cid>,
    /// The slices of its only parent, whose nodes need not be looked at again.
    known: Vec<Tree>,
    /// Whether what the tree of parts names is being walked.
    is_open: bool,
    /// Whether it lacks one that is kept.
    lacks: bool,
    roots: Vec<Cid>,
    /// How many of the roots were begun with.
    begun: usize,
}

impl InParts {
    fn new(part: &Part) -> Self {
        Self {
            keys: part.prefixes().map(Bytes::copy_from_slice).collect(),
            found: BTreeMap::new(),
            known: Vec::new(),
            is_open: false,
            lacks: false,
            roots: Vec::new(),
            begun: 0,
        }
    }

    /// Takes the roots that a node of the tree of parts has.
    fn name(&mut self, node: &Node) -> Result<(), Refusal> {
        if !node.is_leaf() {
            return Ok(());
        }
        for (prefix, root) in node.entries() {
            if self.keys.contains(&prefix) {
                self.found.insert(prefix, root_in(&root)?);
            }
        }
        Ok(())
    }

    /// The root of the next tree to walk, once the one before was.
    fn next(&mut self) -> Option<Cid> {
        if !self.is_open {
            self.is_open = true;
            self.lacks = self.found.len() < self.keys.len();
            if !self.lacks {
                for root in self.found.values() {
                    // Empty parts are one tree, and no node comes twice.
                    if !self.roots.contains(root) {
                        self.roots.push(*root);
                    }
                }
            }
        }
        let next = self.roots.get(self.begun).copied();
        self.begun += usize::from(next.is_some());
        next
    }
}

/// What `base` has between the first and the last key of a leaf.
fn leaf_range(base: &Tree, leaf: &Node) -> Option<Peekable<Range>> {
    if base.is_empty() {
        return None;
    }
    let (first, last) = (leaf.key(0)?, leaf.key(leaf.len().checked_sub(1)?)?);
    let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    Some(base.range(bounds).peekable())
}
