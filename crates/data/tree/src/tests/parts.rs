//! Trees of which only the nodes with some keys are there.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use allod_blocks::{MemoryStore, Store as _};

use super::twin::{Map, Rng, apply, put, scaled, stored};
use crate::chunking::Chunking;
use crate::error::TreeError;
use crate::loaded::Forest;
use crate::spans::KeySpans;
use crate::tree::Tree;
use crate::walk::Walk;

const PREFIXES: [&[u8]; 7] = [
    b"user/0",
    b"user/00",
    b"user/01",
    b"user/0199",
    b"user/9",
    b"\xff",
    b"\x00",
];

fn some_keys(rng: &mut Rng) -> (Vec<&'static [u8]>, KeySpans) {
    let count = 1 + rng.below(3);
    let prefixes: Vec<&[u8]> = (0..count).map(|_| PREFIXES[rng.below(7)]).collect();
    (prefixes.clone(), KeySpans::of_prefixes(prefixes))
}

/// Fetches from `all` what a walk asks for that `part` has not; gives how many blocks came.
fn fetch(walk: &mut Walk, all: &MemoryStore, part: &MemoryStore) -> usize {
    let mut came = 0;
    while !walk.is_done() {
        for cid in walk.want(7) {
            let here = part.get(&cid).unwrap();
            let block = here.unwrap_or_else(|| {
                let block = all.get(&cid).unwrap().unwrap();
                put(part, vec![block.clone()]);
                came += 1;
                block
            });
            drop(walk.feed(block).unwrap());
        }
    }
    came
}

fn within(map: &Map, prefixes: &[&[u8]]) -> Map {
    let is_in = |key: &[u8]| prefixes.iter().any(|prefix| key.starts_with(prefix));
    let entries = map.iter().filter(|(key, _)| is_in(key));
    entries
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The entries of the spans, read from a tree, and their count by its ranks.
fn read(tree: &Tree, keys: &KeySpans) -> (Map, u64) {
    let (mut map, mut count) = (Map::new(), 0);
    for (from, to) in keys.iter() {
        let end = to.map_or(Bound::Unbounded, |to| Bound::Excluded(&to[..]));
        for item in tree.range((Bound::Included(&from[..]), end)) {
            let (key, value) = item.unwrap();
            map.insert(key.to_vec(), value.to_vec());
        }
        let end = to.map_or(tree.len(), |to| tree.rank(to).unwrap());
        count += end - tree.rank(from).unwrap();
    }
    (map, count)
}

#[test]
fn spans_are_what_begins_with_the_prefixes() {
    let mut rng = Rng::new(7300);
    for _ in 0..scaled(300) {
        let (prefixes, keys) = some_keys(&mut rng);
        let mut all: Vec<Vec<u8>> = (0..60).map(|_| rng.key(900)).collect();
        all.extend(PREFIXES.map(<[u8]>::to_vec));
        all.sort();
        for key in &all {
            let is_in = prefixes.iter().any(|prefix| key.starts_with(prefix));
            assert_eq!(keys.contains(key), is_in, "{prefixes:?} {key:?}");
        }
        for pair in all.windows(2) {
            let (floor, last) = (&pair[0], &pair[1]);
            // What has a key of the spans meets them.
            if keys.contains(last) && floor < last {
                assert!(keys.meets(Some(floor), last));
                assert!(keys.meets(None, last));
            }
        }
    }
}

/// A part of a tree is read as the whole is, also where only what changed was fetched since; and what is
/// changed within gives the tree that the whole gives, or names a node that is not there.
#[test]
fn a_part_is_read_and_edited_as_the_whole_is() {
    let (mut edited, mut beside) = (0, 0);
    for seed in 0..u64::from(scaled(120)) {
        let mut rng = Rng::new(7400 + seed);
        let chunking = Chunking::small([3, 5, 6, 9, 12][rng.below(5)]);
        let (prefixes, keys) = some_keys(&mut rng);
        let size = [1, 30, 1500][rng.below(3)];
        let mut map = rng.map(size, 3000);
        let part = Arc::new(MemoryStore::new());
        let forest = Forest::with_chunking(part.clone(), 1 << 20, chunking);
        let mut known = Vec::new();
        for _ in 0..4 {
            let (whole, all) = stored(chunking, &map);
            let walk = Walk::with_chunking(whole.root(), known, chunking).unwrap();
            let mut walk = walk.only(keys.clone());
            fetch(&mut walk, &all, &part);
            let tree = forest.open(whole.root()).unwrap();
            let expected = within(&map, &prefixes);
            let (found, count) = read(&tree, &keys);
            assert_eq!(found, expected, "seed {seed}");
            assert_eq!(count, expected.len() as u64, "seed {seed}");
            // Changes within, made on the part.
            let mut edits: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
            for _ in 0..=rng.below(4) {
                let key = match expected.keys().nth(rng.below(expected.len())) {
                    Some(key) if rng.chance(50) => key.clone(),
                    _ => [prefixes[0], &rng.bytes(2)].concat(),
                };
                edits.insert(key, Some(rng.value()));
            }
            let mut made = Vec::new();
            let after = tree.edit(edits.clone(), &mut |block| made.push(block));
            apply(&mut map, &edits);
            let (right, _) = stored(chunking, &map);
            match after {
                Ok(after) => {
                    edited += 1;
                    assert_eq!(after.root(), right.root(), "seed {seed}");
                    put(&part, made);
                }
                Err(TreeError::Missing { .. }) => beside += 1,
                Err(error) => panic!("{error}"),
            }
            // And those of others, anywhere; nothing is ever taken away.
            for _ in 0..rng.below(30) {
                map.insert(rng.key(3000), rng.value());
            }
            known = vec![tree];
        }
    }
    assert!(edited > beside, "{edited} edited, {beside} beside");
}
