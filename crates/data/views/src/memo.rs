//! What was computed, and which state it belongs to (PROJ-11).

use std::collections::BTreeMap;

use allod_blocks::{Batch, Block, Cid, Codec, Expect, Store, StoreError};
use allod_identity::canonical;
use multihash::Multihash;
use serde::{Deserialize, Serialize};

/// Before the digests of a space, of a name and of a state, the name of a reference.
const PREFIX: &[u8] = b"view/";

/// Trees kept: a few for each projection and branch.
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

/// An index of what the store keeps for a space.
#[derive(Debug)]
pub(crate) struct Memo {
    /// What the names of references begin with.
    prefix: Vec<u8>,
    trees: BTreeMap<Place, (u64, Cid)>,
    /// The oldest first.
    order: BTreeMap<u64, Place>,
}

impl Place {
    pub(crate) fn new(name: &Cid, state: &Cid) -> Self {
        Self {
            name: digest(name),
            state: digest(state),
        }
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
    pub(crate) fn open(store: &dyn Store, space: &Cid) -> Result<Self, StoreError> {
        let mut memo = Self {
            prefix: [PREFIX, &digest(space)].concat(),
            trees: BTreeMap::new(),
            order: BTreeMap::new(),
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
                    memo.insert(place, number, tree);
                }
            }
        }
    }

    fn insert(&mut self, place: Place, number: u64, tree: Cid) {
        if let Some((before, _)) = self.trees.insert(place, (number, tree)) {
            self.order.remove(&before);
        }
        self.order.insert(number, place);
    }

    pub(crate) fn is_half_full(&self) -> bool {
        self.trees.len() >= KEPT_MAX / 2
    }

    /// The tree that belongs to a place.
    pub(crate) fn get(&self, place: &Place) -> Option<Cid> {
        self.trees.get(place).map(|(_, tree)| *tree)
    }

    /// The place of the same name whose tree was computed last.
    pub(crate) fn latest(&self, name: [u8; 32]) -> Option<(Place, Cid)> {
        let [from, to] = [[0; 32], [0xff; 32]].map(|state| Place { name, state });
        let found = self
            .trees
            .range(from..=to)
            .max_by_key(|(_, (number, _))| *number);
        found.map(|(place, (_, tree))| (*place, *tree))
    }

    /// Keeps trees, whose blocks are durable with them, and lets the oldest go.
    pub(crate) fn keep(
        &mut self,
        store: &dyn Store,
        trees: &[(Place, Cid)],
        blocks: Vec<Block>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for block in blocks {
            batch.put(block);
        }
        let first = self
            .order
            .last_key_value()
            .map_or(0, |(number, _)| number + 1);
        let numbered = || (first..).zip(trees);
        for (number, (place, tree)) in numbered() {
            // A number and a link always encode.
            let value = canonical::encode(&Kept(number, *tree)).unwrap_or_default();
            batch.set_ref(place.reference(&self.prefix), Expect::Any, Some(value));
        }
        let surplus = (self.trees.len() + trees.len()).saturating_sub(KEPT_MAX);
        let old: Vec<(u64, Place)> = self
            .order
            .iter()
            .take(surplus)
            .map(|(number, place)| (*number, *place))
            .collect();
        for (_, place) in &old {
            batch.set_ref(place.reference(&self.prefix), Expect::Any, None::<Vec<u8>>);
        }
        // Without an expectation nothing can have moved.
        drop(store.commit(batch)?);
        for (number, place) in old {
            self.order.remove(&number);
            self.trees.remove(&place);
        }
        for (number, (place, tree)) in numbered() {
            self.insert(*place, number, *tree);
        }
        Ok(())
    }

    /// Forgets all trees of a name, or all.
    pub(crate) fn forget(
        &mut self,
        store: &dyn Store,
        name: Option<[u8; 32]>,
    ) -> Result<usize, StoreError> {
        let gone = self
            .trees
            .iter()
            .filter(|(place, _)| name.is_none_or(|name| place.name == name));
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
