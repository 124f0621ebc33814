//! What was computed, and which state it belongs to (PROJ-11, PROJ-24).

use std::collections::{BTreeMap, BTreeSet};

use allod_blocks::{Batch, Block, Cid, Codec, Expect, Hold, Store, StoreError};
use allod_identity::canonical;
use allod_tree::Tree;
use multihash::Multihash;
use serde::{Deserialize, Serialize};

/// Before the digests of a space, of a name and of a state, the name of a reference to the tree of a
/// projection.
pub(crate) const PROJECTIONS: &[u8] = b"view/";

/// The same to a tree that is kept beside projections.
pub(crate) const BESIDE: &[u8] = b"beside/";

/// Trees kept: a few for each projection and branch. As many beside them: a few columns of each type.
const KEPT_MAX: usize = 4096;

/// The code of the hash function.
const SHA2_256: u64 = 0x12;

/// References read at a time.
const PAGE: usize = 1024;

/// The longest record, in bytes.
const RECORD_BYTES_MAX: usize = 64;

/// The digests of the name of a resolved definition and of the root of a state.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    pub(crate) name: [u8; 32],
    pub(crate) state: [u8; 32],
}

/// What is kept: numbers that rise, and trees.
#[derive(Serialize, Deserialize)]
struct Kept(u64, Cid);

/// An index of what the store keeps for a space under one kind of references.
#[derive(Debug)]
pub(crate) struct Memo {
    /// What the names of references begin with.
    prefix: Vec<u8>,
    trees: BTreeMap<Place, (u64, Held)>,
    /// The oldest first.
    order: BTreeMap<u64, Place>,
    /// Blocks of trees that are held in memory alone.
    unsaved: Vec<Block>,
    unsaved_bytes: usize,
    /// Places whose references go with the next store.
    gone: Vec<Place>,
    /// What those trees share with stored ones stays until they are stored.
    in_use: Option<Hold>,
}

/// Where a tree is.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    /// In the store, under this name.
    Saved(Cid),
    /// In memory alone. It follows from what is stored, so a crash loses nothing but the work.
    Unsaved(Tree),
}

/// Bytes of blocks that are held in memory alone; more are stored.
const UNSAVED_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Place {
    pub(crate) fn new(name: &Cid, state: &Cid) -> Self {
        Self::named(digest(name), state)
    }

    /// The place of what goes by the digest of its name.
    pub(crate) fn named(name: [u8; 32], state: &Cid) -> Self {
        let state = digest(state);
        Self { name, state }
    }

    /// As a place knows a state by its root.
    pub(crate) fn digest_of(root: &Cid) -> [u8; 32] {
        digest(root)
    }

    /// The place of the same name for another state.
    pub(crate) fn at(self, state: &Cid) -> Self {
        let state = digest(state);
        Self { state, ..self }
    }

    /// The root of the state.
    pub(crate) fn root(&self) -> Cid {
        // A digest of 32 bytes fits a hash.
        let hash = Multihash::wrap(SHA2_256, &self.state).unwrap_or_default();
        Cid::new_v1(Codec::DagCbor.code(), hash)
    }

    fn reference(&self, prefix: &[u8]) -> Vec<u8> {
        [prefix, &self.name, &self.state].concat()
    }

    fn read(reference: &[u8], prefix: &[u8]) -> Option<Self> {
        let digests = reference.strip_prefix(prefix)?;
        let (name, state) = digests.split_first_chunk()?;
        Some(Self {
            name: *name,
            state: state.try_into().ok()?,
        })
    }
}

fn digest(cid: &Cid) -> [u8; 32] {
    // Trees and definitions are named by sha2-256.
    cid.hash().digest().try_into().unwrap_or_default()
}

impl Memo {
    /// Reads what a store keeps. What does not read is passed over: it is computed again.
    pub(crate) fn open(store: &dyn Store, kind: &[u8], space: &Cid) -> Result<Self, StoreError> {
        let mut memo = Self {
            prefix: [kind, &digest(space)].concat(),
            trees: BTreeMap::new(),
            order: BTreeMap::new(),
            unsaved: Vec::new(),
            unsaved_bytes: 0,
            gone: Vec::new(),
            in_use: None,
        };
        let mut after = None;
        loop {
            let page = store.scan_refs(&memo.prefix, after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(memo);
            };
            after = Some(last.clone());
            for (reference, value) in &page {
                let kept = canonical::decode::<Kept>(value, RECORD_BYTES_MAX).ok();
                if let Some((place, Kept(number, tree))) =
                    Place::read(reference, &memo.prefix).zip(kept)
                {
                    memo.insert(place, number, Held::Saved(tree));
                }
            }
        }
    }

    fn insert(&mut self, place: Place, number: u64, tree: Held) {
        if let Some((before, _)) = self.trees.insert(place, (number, tree)) {
            self.order.remove(&before);
        }
        self.order.insert(number, place);
    }

    pub(crate) fn is_half_full(&self) -> bool {
        self.trees.len() >= KEPT_MAX / 2
    }

    /// The tree that belongs to a place.
    pub(crate) fn get(&self, place: &Place) -> Option<Held> {
        self.trees.get(place).map(|(_, tree)| tree.clone())
    }

    /// The place of the same name whose tree was computed last.
    pub(crate) fn latest(&self, name: [u8; 32]) -> Option<Place> {
        let found = self.named(name).max_by_key(|(_, (number, _))| *number);
        found.map(|(place, _)| *place)
    }

    /// Holds trees in memory, with the blocks that are new in them. Whether they should be stored now.
    pub(crate) fn hold(
        &mut self,
        trees: Vec<(Place, Tree)>,
        blocks: Vec<Block>,
        in_use: Hold,
    ) -> bool {
        self.unsaved_bytes += blocks
            .iter()
            .map(|block| block.bytes().len())
            .sum::<usize>();
        self.unsaved.extend(blocks);
        self.in_use.get_or_insert(in_use);
        let first = self
            .order
            .last_key_value()
            .map_or(0, |(number, _)| number + 1);
        for (number, (place, tree)) in (first..).zip(trees) {
            self.insert(place, number, Held::Unsaved(tree));
        }
        self.unsaved_bytes > UNSAVED_BYTES_MAX
    }

    /// Lets all trees of a name go but those of some states, given as digests of their roots.
    pub(crate) fn keep_only(&mut self, name: [u8; 32], states: &BTreeSet<[u8; 32]>) {
        let others: Vec<(Place, u64)> = self
            .named(name)
            .filter(|(other, _)| !states.contains(&other.state))
            .map(|(other, (number, _))| (*other, *number))
            .collect();
        for (other, number) in others {
            self.trees.remove(&other);
            self.order.remove(&number);
            self.gone.push(other);
        }
    }

    fn named(&self, name: [u8; 32]) -> impl Iterator<Item = (&Place, &(u64, Held))> {
        let [from, to] = [[0; 32], [0xff; 32]].map(|state| Place { name, state });
        self.trees.range(from..=to)
    }

    /// Stores what is held in memory alone, with its blocks, and lets the oldest go. Returns what was
    /// stored.
    pub(crate) fn save(&mut self, store: &dyn Store) -> Result<Vec<Tree>, StoreError> {
        let unsaved = self
            .trees
            .iter()
            .filter_map(|(place, (number, tree))| match tree {
                Held::Unsaved(tree) => Some((*place, *number, tree.clone())),
                Held::Saved(_) => None,
            });
        let unsaved: Vec<(Place, u64, Tree)> = unsaved.collect();
        if unsaved.is_empty() && self.unsaved.is_empty() && self.gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = Batch::new();
        for block in &self.unsaved {
            batch.put(block.clone());
        }
        for (place, number, tree) in &unsaved {
            // A number and a link always encode.
            let value = canonical::encode(&Kept(*number, tree.root())).unwrap_or_default();
            batch.set_ref(place.reference(&self.prefix), Expect::Any, Some(value));
        }
        for place in &self.gone {
            if !self.trees.contains_key(place) {
                batch.set_ref(place.reference(&self.prefix), Expect::Any, None::<Vec<u8>>);
            }
        }
        let surplus = self.trees.len().saturating_sub(KEPT_MAX);
        let old = self.order.iter().take(surplus);
        let old: Vec<(u64, Place)> = old.map(|(number, place)| (*number, *place)).collect();
        for (_, place) in &old {
            batch.set_ref(place.reference(&self.prefix), Expect::Any, None::<Vec<u8>>);
        }
        // Without an expectation nothing can have moved.
        drop(store.commit(batch)?);
        self.unsaved = Vec::new();
        self.unsaved_bytes = 0;
        self.gone = Vec::new();
        self.in_use = None;
        for (place, number, tree) in &unsaved {
            self.insert(*place, *number, Held::Saved(tree.root()));
        }
        for (number, place) in old {
            self.order.remove(&number);
            self.trees.remove(&place);
        }
        Ok(unsaved.into_iter().map(|(_, _, tree)| tree).collect())
    }

    /// Forgets all trees of a name, or all.
    pub(crate) fn forget(
        &mut self,
        store: &dyn Store,
        name: Option<[u8; 32]>,
    ) -> Result<usize, StoreError> {
        self.forget_if(store, |place| name.is_none_or(|name| place.name == name))
    }

    /// Forgets all trees but those of some names for some states, given as digests.
    pub(crate) fn keep(
        &mut self,
        store: &dyn Store,
        (names, states): (&BTreeSet<[u8; 32]>, &BTreeSet<[u8; 32]>),
    ) -> Result<usize, StoreError> {
        self.forget_if(store, |place| {
            !names.contains(&place.name) || !states.contains(&place.state)
        })
    }

    fn forget_if(
        &mut self,
        store: &dyn Store,
        goes: impl Fn(&Place) -> bool,
    ) -> Result<usize, StoreError> {
        let gone = self.trees.iter().filter(|(place, _)| goes(place));
        let gone: Vec<(Place, u64)> = gone.map(|(place, (number, _))| (*place, *number)).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let mut batch = Batch::new();
        for (place, _) in &gone {
            batch.set_ref(place.reference(&self.prefix), Expect::Any, None::<Vec<u8>>);
        }
        drop(store.commit(batch)?);
        for (place, number) in &gone {
            self.trees.remove(place);
            self.order.remove(number);
        }
        Ok(gone.len())
    }
}
