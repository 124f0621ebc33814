//! Point reads, positions, cursors and ranges against the twin.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use allod_blocks::{Block, Codec, MemoryStore, StoreError};
use cid::Cid;

use super::twin::{Map, Rng, build, content, put, scaled, stored};
use crate::chunking::Chunking;
use crate::error::TreeError;
use crate::join::Resolve;
use crate::loaded::{BlockSource, Forest};
use crate::tree::Tree;

fn probe(rng: &mut Rng, map: &Map) -> Vec<u8> {
    match rng.below(3) {
        0 => rng.key(3000),
        _ if map.is_empty() => Vec::new(),
        1 => map.keys().nth(rng.below(map.len())).unwrap().clone(),
        _ => {
            let mut key = map.keys().nth(rng.below(map.len())).unwrap().clone();
            if rng.chance(50) {
                key.push(0);
            } else {
                key.pop();
            }
            key
        }
    }
}

#[test]
fn reads_agree_with_the_twin() {
    for seed in 0..u64::from(scaled(24)) {
        let mut rng = Rng::new(3000 + seed);
        let chunking = Chunking::small([3, 5, 6, 9, 12][rng.below(5)]);
        let size = [0, 1, 2, 50, 1500][rng.below(5)];
        let map = rng.map(size, 3000);
        let tree = build(chunking, &map);
        assert_eq!(tree.len(), map.len() as u64);
        for _ in 0..100 {
            let key = probe(&mut rng, &map);
            let expected = map.get(&key);
            assert_eq!(
                tree.get(&key).unwrap().as_deref(),
                expected.map(Vec::as_slice)
            );
            assert_eq!(
                tree.get_with(&key, <[u8]>::to_vec).unwrap().as_ref(),
                expected
            );
            assert_eq!(tree.contains(&key).unwrap(), expected.is_some());
            let rank = map.range(..key.clone()).count() as u64;
            assert_eq!(tree.rank(&key).unwrap(), rank, "seed {seed}");
            let nth = map.iter().nth(rank as usize);
            let found = tree.nth(rank).unwrap();
            assert_eq!(
                found
                    .map(|(k, v)| (k.to_vec(), v.to_vec()))
                    .as_ref()
                    .map(|(k, v)| (k, v)),
                nth
            );
        }
        assert_eq!(tree.nth(map.len() as u64).unwrap(), None);
        assert_eq!(content(&tree), map);
    }
}

#[test]
fn ranges_agree_with_the_twin_from_both_ends() {
    for seed in 0..u64::from(scaled(24)) {
        let mut rng = Rng::new(4000 + seed);
        let chunking = Chunking::small([3, 5, 6, 12][rng.below(4)]);
        let size = [0, 1, 40, 700][rng.below(4)];
        let map = rng.map(size, 3000);
        let tree = build(chunking, &map);
        for _ in 0..60 {
            let (mut low, mut high) = (probe(&mut rng, &map), probe(&mut rng, &map));
            if low > high {
                std::mem::swap(&mut low, &mut high);
            }
            let bound = |rng: &mut Rng, key: &Vec<u8>| match rng.below(3) {
                0 => Bound::Unbounded,
                1 => Bound::Included(key.clone()),
                _ => Bound::Excluded(key.clone()),
            };
            let bounds = (bound(&mut rng, &low), bound(&mut rng, &high));
            if low == high && matches!(bounds, (Bound::Excluded(_), Bound::Excluded(_))) {
                continue; // A BTreeMap refuses it.
            }
            let mut twin = map.range::<Vec<u8>, _>((bounds.0.as_ref(), bounds.1.as_ref()));
            let borrowed = (
                bounds.0.as_ref().map(Vec::as_slice),
                bounds.1.as_ref().map(Vec::as_slice),
            );
            let mut range = tree.range(borrowed);
            let style = rng.below(3);
            loop {
                let forward = style == 0 || (style == 2 && rng.chance(50));
                let (expected, got) = if forward {
                    (twin.next(), range.next())
                } else {
                    (twin.next_back(), range.next_back())
                };
                let got = got.transpose().unwrap();
                let got = got.as_ref().map(|(key, value)| (&key[..], &value[..]));
                assert_eq!(
                    got,
                    expected.map(|(key, value)| (&key[..], &value[..])),
                    "seed {seed}"
                );
                if got.is_none() {
                    break;
                }
            }
            assert!(range.next().is_none() && range.next_back().is_none());
        }
    }
}

#[test]
fn a_cursor_moves_both_ways() {
    for seed in 0..u64::from(scaled(16)) {
        let mut rng = Rng::new(5000 + seed);
        let chunking = Chunking::small([3, 5, 12][rng.below(3)]);
        let size = [0, 1, 30, 400][rng.below(4)];
        let map = rng.map(size, 3000);
        let entries: Vec<_> = map.iter().collect();
        let tree = build(chunking, &map);
        let mut cursor = tree.cursor();
        let mut place = 0;
        for _ in 0..400 {
            match rng.below(20) {
                0 => {
                    cursor.seek_start();
                    place = 0;
                }
                1 => {
                    cursor.seek_end();
                    place = entries.len();
                }
                2 | 3 => {
                    let key = probe(&mut rng, &map);
                    cursor.seek(&key).unwrap();
                    place = entries.partition_point(|(k, _)| **k < key);
                }
                4..=11 => {
                    let expected = entries.get(place).map(|(k, v)| (&k[..], &v[..]));
                    assert_eq!(cursor.next().unwrap(), expected, "seed {seed}");
                    place += usize::from(expected.is_some());
                }
                _ => {
                    let before = place.checked_sub(1);
                    let expected = before.map(|at| (&entries[at].0[..], &entries[at].1[..]));
                    assert_eq!(cursor.prev().unwrap(), expected, "seed {seed}");
                    place = before.unwrap_or(0);
                }
            }
        }
    }
}

#[test]
fn leaves_hold_what_is_within_the_bounds() {
    for seed in 0..u64::from(scaled(24)) {
        let mut rng = Rng::new(7000 + seed);
        let chunking = Chunking::small([3, 5, 6, 9, 12][rng.below(5)]);
        let size = [0, 1, 2, 50, 400][rng.below(5)];
        let map = rng.map(size, 3000);
        let tree = build(chunking, &map);
        for _ in 0..40 {
            let low = if rng.below(4) == 0 {
                Vec::new()
            } else {
                probe(&mut rng, &map)
            };
            let high = (rng.below(4) > 0).then(|| probe(&mut rng, &map));
            let is_within =
                |key: &[u8]| *key >= *low && high.as_ref().is_none_or(|high| *key < **high);
            let mut leaves = tree.leaves(&low, high.as_deref());
            let mut found = Vec::new();
            let mut key = Vec::new();
            while let Some(leaf) = leaves.next().unwrap() {
                let node = leaf.node().unwrap();
                assert_eq!(
                    *leaf.cid(),
                    allod_blocks::sha256_cid(Codec::DagCbor, node.bytes())
                );
                assert_eq!(leaf.len(), node.len());
                for index in 0..node.len() {
                    let value = node.entry(index, &mut key).unwrap();
                    if is_within(&key) {
                        found.push((key.clone(), value.to_vec()));
                    } else {
                        assert!(!leaf.is_within(), "seed {seed}");
                    }
                }
            }
            assert!(leaves.next().unwrap().is_none());
            let expected: Vec<_> = map
                .iter()
                .filter(|(key, _)| is_within(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            assert_eq!(found, expected, "seed {seed}");
        }
    }
}

#[test]
fn prefixes() {
    let out = &mut |_block| {};
    let keys = ["a", "a/", "a/1", "a/2", "a0", "b"];
    let tree = Tree::build(keys.map(|key| (key, "")), out).unwrap();
    let under = |prefix: &[u8]| -> Vec<String> {
        let keys = tree.prefix(prefix).map(|entry| entry.unwrap().0.to_vec());
        keys.map(|key| String::from_utf8(key).unwrap()).collect()
    };
    assert_eq!(under(b"a/"), ["a/", "a/1", "a/2"]);
    assert_eq!(under(b"a"), ["a", "a/", "a/1", "a/2", "a0"]);
    assert_eq!(under(b""), keys);
    assert!(under(b"\xff").is_empty());
}

/// A source that counts its reads.
struct Counting {
    store: Arc<MemoryStore>,
    reads: AtomicUsize,
}

impl BlockSource for Counting {
    fn block(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.store.block(cid)
    }
}

fn counted(store: &Arc<MemoryStore>) -> Arc<Counting> {
    Arc::new(Counting {
        store: Arc::clone(store),
        reads: AtomicUsize::new(0),
    })
}

#[test]
fn an_opened_tree_reads_what_it_needs() {
    let mut rng = Rng::new(21);
    let map: Map = (0..4000).map(|_| (rng.bytes(16), rng.bytes(60))).collect();
    let (made, store) = stored(Chunking::STANDARD, &map);
    let source = counted(&store);
    let tree = Tree::open(source.clone(), made.root()).unwrap();
    let reads = || source.reads.load(Ordering::Relaxed);
    assert_eq!(reads(), 1);
    let key = map.keys().nth(1000).unwrap();
    assert!(tree.contains(key).unwrap());
    let depth = tree.depth() as usize;
    assert_eq!(reads(), depth);
    assert!(tree.contains(key).unwrap());
    assert_eq!(reads(), depth, "the second read finds the path in memory");

    // Editing and comparing read the paths of what changes.
    let edited = tree.edit([(key, Some("new"))], &mut |_block| {}).unwrap();
    assert!(reads() <= depth + 2, "{} reads", reads());
    let before = reads();
    let changes: Vec<_> = tree.diff(&edited).collect::<Result<_, _>>().unwrap();
    assert_eq!(changes.len(), 1);
    assert!(reads() - before <= 2);
    assert_eq!(content(&edited).len(), 4000);
}

/// Of what only the right side has, a join reads the edges.
#[test]
fn a_join_takes_subtrees_over_unread() {
    let chunking = Chunking::small(8);
    let key = |number: u32| number.to_be_bytes().to_vec();
    let left: Map = (0..40_000)
        .step_by(10)
        .map(|number| (key(number), vec![1; 20]))
        .collect();
    for place in [0, 19_999, 39_999] {
        // All keys lie between two of the left ones, or after them.
        let run = (0..20_000u32).map(|number| {
            let run = [key(place), key(number)].concat();
            (run, vec![2; 20])
        });
        let mut right = left.clone();
        right.extend(run);
        let (a, store) = stored(chunking, &left);
        let mut blocks = Vec::new();
        let b = Tree::build_with(chunking, &right, &mut |block| blocks.push(block)).unwrap();
        put(&store, blocks);
        let stats = b.stats().unwrap();

        let source = counted(&store);
        let forest = Forest::with_chunking(source.clone(), 1 << 24, chunking);
        let [a, b] = [a, b].map(|tree| forest.open(tree.root()).unwrap());
        let mut made = 0;
        let joined = a
            .join(&b, &mut |_, _, _| Resolve::Left, &mut |_| made += 1)
            .unwrap();
        assert_eq!(joined, b, "after key {place}");
        let reads = source.reads.load(Ordering::Relaxed);
        let inner = (stats.nodes - stats.leaves) as usize;
        assert!(8 * reads < inner, "{reads} reads, {stats:?}");
        assert!(8 * made < inner, "{made} made, {stats:?}");
        assert_eq!(content(&forest.settle(&joined)).len(), right.len());
    }
}

#[test]
fn memory_stays_within_the_budget() {
    let mut rng = Rng::new(23);
    let chunking = Chunking::small(8);
    let map: Map = (0..3000).map(|_| (rng.bytes(8), rng.bytes(20))).collect();
    let (made, store) = stored(chunking, &map);
    let whole = made.stats().unwrap().bytes as usize;
    for budget in [0, 3000, whole / 4] {
        let forest = Forest::with_chunking(store.clone(), budget, chunking);
        let tree = forest.open(made.root()).unwrap();
        assert_eq!(content(&tree), map);
        for key in map.keys().step_by(3) {
            assert_eq!(tree.get(key).unwrap().as_deref(), Some(&map[key][..]));
            assert!(forest.cached_bytes() <= budget);
        }
        assert_eq!(tree.iter().rev().count(), 3000);

        // What was made here and not stored stays readable, whatever is dropped.
        let edits = map
            .keys()
            .step_by(5)
            .map(|key| (key.clone(), Some(b"changed".to_vec())));
        let mut blocks = Vec::new();
        let edited = tree.edit(edits, &mut |block| blocks.push(block)).unwrap();
        for _ in 0..2 {
            for (index, (key, value)) in map.iter().enumerate() {
                let value = if index % 5 == 0 {
                    &b"changed"[..]
                } else {
                    value
                };
                assert_eq!(edited.get(key).unwrap().as_deref(), Some(value));
            }
        }
        assert!(forest.cached_bytes() <= budget);
        assert_eq!(edited.verify().unwrap().entries, 3000);

        // Settled, it takes from the budget too, and reads from the store.
        put(&store, blocks);
        let settled = forest.settle(&edited);
        drop((edited, tree));
        assert!(forest.cached_bytes() <= budget);
        assert_eq!(settled.verify().unwrap().entries, 3000);
        assert_eq!(content(&settled).len(), 3000);
        drop(settled);
        assert_eq!(forest.cached_bytes(), 0, "nothing is held without a tree");
    }
}

#[test]
fn faults_name_the_block() {
    let mut rng = Rng::new(25);
    let map: Map = (0..2000).map(|_| (rng.bytes(16), rng.bytes(60))).collect();
    let (made, _store) = stored(Chunking::STANDARD, &map);
    let partial = Arc::new(MemoryStore::new());
    let root = made.loaded_root().node.to_bytes();
    put(&partial, vec![Block::verify(made.root(), root).unwrap()]);
    let tree = Tree::open(partial.clone(), made.root()).unwrap();
    let child = made.loaded_root().node.link(0).unwrap();
    let error = tree.get(map.keys().next().unwrap()).unwrap_err();
    assert!(matches!(error, TreeError::Missing { cid } if cid == child));
    assert!(tree.iter().next().unwrap().is_err());
    assert_eq!(tree.iter().count(), 1, "one error, then nothing");
    assert!(matches!(tree.verify(), Err(TreeError::Missing { .. })));

    let absent = Tree::open(partial.clone(), child).unwrap_err();
    assert!(matches!(absent, TreeError::Missing { cid } if cid == child));
    let text = Block::new(Codec::Raw, &b"text"[..]).unwrap();
    let raw = Tree::open(partial.clone(), *text.cid()).unwrap_err();
    assert!(matches!(raw, TreeError::Name { .. }));
    let other = Block::new(Codec::DagCbor, &b"\x80"[..]).unwrap();
    put(&partial, vec![other.clone()]);
    let other = Tree::open(partial, *other.cid()).unwrap_err();
    assert_eq!(other.code(), "E_NODE_ARITY");
}

#[test]
fn many_threads_read_one_tree() {
    let mut rng = Rng::new(27);
    let chunking = Chunking::small(8);
    let map: Map = (0..2000).map(|_| (rng.bytes(8), rng.bytes(20))).collect();
    let (made, store) = stored(chunking, &map);
    let tree = Forest::with_chunking(store, 20_000, chunking)
        .open(made.root())
        .unwrap();
    std::thread::scope(|scope| {
        for shift in 0..4 {
            let (tree, map) = (tree.clone(), &map);
            scope.spawn(move || {
                for (key, value) in map.iter().skip(shift * 300) {
                    assert_eq!(tree.get(key).unwrap().as_deref(), Some(&value[..]));
                }
            });
        }
        assert_eq!(content(&tree), map);
    });
}
