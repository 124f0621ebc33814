//! The obvious tree: a `BTreeMap`, rebuilt whole for every name.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Batch, Block, MemoryStore, Store};

use crate::chunking::Chunking;
use crate::diff::Change;
use crate::tree::Tree;

pub(super) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Test cases, scaled by `ALLOD_TEST_SCALE`.
pub(super) fn scaled(cases: u32) -> u32 {
    let scale = std::env::var("ALLOD_TEST_SCALE")
        .ok()
        .and_then(|scale| scale.parse::<u32>().ok())
        .unwrap_or(1);
    cases * scale
}

/// A small generator (xorshift64*), so that a failing seed can be named.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Keys of a few shapes: short, binary, and paths with long common prefixes.
    pub(super) fn key(&mut self, space: usize) -> Vec<u8> {
        let number = self.below(space);
        match number % 4 {
            0 => number.to_be_bytes()[5..].to_vec(),
            1 => format!("user/{:04}/name", number / 4).into_bytes(),
            2 => format!("user/{:04}", number / 4).into_bytes(),
            _ => {
                let mut key = vec![0xff; number % 7];
                key.extend_from_slice(&number.to_le_bytes()[..2]);
                key
            }
        }
    }

    pub(super) fn value(&mut self) -> Vec<u8> {
        let len = match self.below(10) {
            0 => 0,
            1..=6 => 12,
            7 | 8 => self.below(40),
            _ => self.below(300),
        };
        self.bytes(len)
    }

    pub(super) fn map(&mut self, entries: usize, space: usize) -> Map {
        (0..entries)
            .map(|_| (self.key(space), self.value()))
            .collect()
    }
}

pub(super) fn build(chunking: Chunking, map: &Map) -> Tree {
    Tree::build_with(chunking, map, &mut |_block| {}).unwrap()
}

/// The tree of `map` and the store that its blocks were put into.
pub(super) fn stored(chunking: Chunking, map: &Map) -> (Tree, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let mut batch = Batch::new();
    let tree = Tree::build_with(chunking, map, &mut |block| batch.put(block)).unwrap();
    let outcome = store.commit(batch).unwrap();
    assert!(matches!(outcome, allod_blocks::BatchOutcome::Done { .. }));
    (tree, store)
}

pub(super) fn put(store: &MemoryStore, blocks: Vec<Block>) {
    let mut batch = Batch::new();
    for block in blocks {
        batch.put(block);
    }
    let outcome = store.commit(batch).unwrap();
    assert!(matches!(outcome, allod_blocks::BatchOutcome::Done { .. }));
}

pub(super) fn content(tree: &Tree) -> Map {
    tree.iter()
        .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
        .collect::<Result<_, _>>()
        .unwrap()
}

pub(super) fn diff(left: &Map, right: &Map) -> Vec<Change> {
    let keys: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    keys.into_iter()
        .filter(|key| left.get(*key) != right.get(*key))
        .map(|key| Change {
            key: key.clone().into(),
            left: left.get(key).map(|value| value.clone().into()),
            right: right.get(key).map(|value| value.clone().into()),
        })
        .collect()
}

pub(super) fn apply(map: &mut Map, edits: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
    for (key, value) in edits {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}
