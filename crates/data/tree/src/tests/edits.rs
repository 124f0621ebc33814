//! Edits, diffs and joins against the twin, mostly with tiny nodes so that trees are deep.

use std::collections::{BTreeMap, BTreeSet};

use allod_blocks::Store as _;
use bytes::Bytes;
use cid::Cid;

use super::twin::{Map, Rng, apply, build, content, diff, put, scaled, stored};
use crate::chunking::Chunking;
use crate::diff::{Change, ChangeRef, Diff};
use crate::error::TreeError;
use crate::join::Resolve;
use crate::loaded::Forest;
use crate::node::Node;
use crate::tree::Tree;

type Edits = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn names(tree: &Tree) -> BTreeSet<Cid> {
    fn visit(tree: &Tree, node: &crate::loaded::Loaded, names: &mut BTreeSet<Cid>) {
        for index in 0..node.slots().len() {
            names.extend(node.node.link(index));
            visit(tree, &tree.child(node, index).unwrap(), names);
        }
    }
    let mut names = BTreeSet::from([tree.root()]);
    visit(tree, &tree.loaded_root(), &mut names);
    names
}

/// Applies edits and checks the result against a rebuild: name, order, blocks handed out.
fn step(chunking: Chunking, tree: &Tree, map: &mut Map, edits: &Edits, what: &str) -> Tree {
    let before = map.clone();
    apply(map, edits);
    let mut made = Vec::new();
    let edited = tree
        .edit(edits.iter().map(|(k, v)| (k, v.as_ref())), &mut |block| {
            made.push(*block.cid());
        })
        .unwrap();
    let rebuilt = build(chunking, map);
    assert_eq!(edited.root(), rebuilt.root(), "{what}: the name of the map");
    assert_eq!(edited.len(), map.len() as u64, "{what}: the count");
    // Exactly the new nodes are handed out, each once. What both trees have may be among them
    // only if it moved (it was cut out of its place and fell into it again).
    let (old, new) = (names(tree), names(&edited));
    let handed: BTreeSet<_> = made.iter().copied().collect();
    assert_eq!(handed.len(), made.len(), "{what}: a block twice");
    assert!(
        handed.is_subset(&new),
        "{what}: a block that is not in the tree"
    );
    assert!(
        new.difference(&old).all(|cid| handed.contains(cid)),
        "{what}: a block is missing"
    );
    let changes: Vec<_> = tree.diff(&edited).collect::<Result<_, _>>().unwrap();
    assert_eq!(changes, diff(&before, map), "{what}: diff");
    edited
}

fn random_edits(rng: &mut Rng, map: &Map, space: usize) -> Edits {
    let count = match rng.below(6) {
        0 => 1,
        1..=3 => rng.below(8),
        4 => rng.below(60),
        _ => rng.below(300),
    };
    let deletes = [5, 30, 60, 95][rng.below(4)];
    let existing: Vec<_> = map.keys().cloned().collect();
    (0..count)
        .map(|_| {
            let known = !existing.is_empty() && rng.chance(60);
            let key = if known {
                existing[rng.below(existing.len())].clone()
            } else {
                rng.key(space)
            };
            let value = if rng.chance(deletes) {
                None
            } else if known && rng.chance(50) {
                // Of the same length: the path that patches.
                let mut value = map[&key].clone();
                if let Some(byte) = value.last_mut() {
                    *byte ^= rng.below(2) as u8;
                }
                Some(value)
            } else {
                Some(rng.value())
            };
            (key, value)
        })
        .collect()
}

#[test]
fn edits_give_what_a_rebuild_gives() {
    for seed in 0..u64::from(scaled(48)) {
        let mut rng = Rng::new(seed);
        let chunking = Chunking::small([3, 5, 6, 7, 9, 12][rng.below(6)]);
        let space = [20, 300, 4000][rng.below(3)];
        let mut map = rng.map(space / 2, space);
        let mut tree = build(chunking, &map);
        for batch in 0..12 {
            let what = format!("seed {seed} batch {batch} {chunking:?}");
            let edits = random_edits(&mut rng, &map, space);
            tree = step(chunking, &tree, &mut map, &edits, &what);
        }
        assert_eq!(tree.verify().unwrap().entries, map.len() as u64);
        assert_eq!(content(&tree), map);
    }
}

#[test]
fn edits_at_the_edges() {
    for seed in 0..u64::from(scaled(16)) {
        let mut rng = Rng::new(1000 + seed);
        let chunking = Chunking::small([3, 5, 6, 8][rng.below(4)]);
        let map = rng.map(400, 4000);
        let tree = build(chunking, &map);
        let what = format!("seed {seed} {chunking:?}");
        let keys: Vec<_> = map.keys().cloned().collect();
        // Everything goes, at once and in two halves, from either end.
        let (front, back) = keys.split_at(keys.len() / 2);
        for order in [vec![&keys[..]], vec![front, back], vec![back, front]] {
            let (mut tree, mut map) = (tree.clone(), map.clone());
            for part in order {
                let edits = part.iter().map(|key| (key.clone(), None)).collect();
                tree = step(chunking, &tree, &mut map, &edits, &what);
            }
            assert!(tree.is_empty());
            assert_eq!(tree, Tree::empty_with(chunking));
        }
        // Appending, key by key: the last node may end in a boundary already.
        let (mut tree, mut map) = (tree, map);
        for number in 0..40u8 {
            let edits = BTreeMap::from([(
                vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, number],
                Some(rng.value()),
            )]);
            tree = step(chunking, &tree, &mut map, &edits, &what);
        }
        // The last keys of leaves: where boundaries are.
        let mut ends = Vec::new();
        leaf_ends(&tree, &tree.loaded_root(), &mut ends);
        for end in ends.into_iter().take(60) {
            let edits = BTreeMap::from([(end.to_vec(), None)]);
            tree = step(chunking, &tree, &mut map, &edits, &what);
        }
        // One key at a time until few are left.
        while map.len() > 3 {
            let keys: Vec<_> = map.keys().cloned().collect();
            let edits = (0..20)
                .map(|_| (keys[rng.below(keys.len())].clone(), None))
                .collect();
            tree = step(chunking, &tree, &mut map, &edits, &what);
        }
    }
}

fn leaf_ends(tree: &Tree, node: &crate::loaded::Loaded, ends: &mut Vec<Bytes>) {
    if node.node.is_leaf() {
        ends.extend(node.node.last_key().map(crate::node::KeyRef::to_bytes));
    }
    for index in 0..node.slots().len() {
        leaf_ends(tree, &tree.child(node, index).unwrap(), ends);
    }
}

/// Keys that are all boundaries, or none, as one who picks them would (trap 4 and 7 of any
/// content-defined chunking).
#[test]
fn crafted_keys_still_make_a_tree() {
    let chunking = Chunking::small(6);
    for wanted in [true, false] {
        let mut rng = Rng::new(7);
        let mut map = Map::new();
        while map.len() < 400 {
            let key = rng.bytes(16);
            // With 12-byte values an entry weighs 32: judge the hash alone.
            let hit = (0..4)
                .all(|level| (crate::chunking::boundary_hash(level, &key) < 1 << 31) == wanted);
            if hit {
                map.insert(key, rng.bytes(12));
            }
        }
        let mut tree = build(chunking, &map);
        assert_eq!(tree.verify().unwrap().entries, 400);
        for _ in 0..30 {
            let edits = random_edits(&mut rng, &map, 400);
            tree = step(chunking, &tree, &mut map, &edits, "crafted");
        }
    }
}

#[test]
fn history_leaves_no_trace() {
    let mut rng = Rng::new(5);
    let chunking = Chunking::small(6);
    let map = rng.map(600, 4000);
    let whole = build(chunking, &map);
    let mut keys: Vec<_> = map.keys().collect();
    // Shuffled, in batches of all sizes.
    for index in (1..keys.len()).rev() {
        keys.swap(index, rng.below(index + 1));
    }
    let mut tree = Tree::empty_with(chunking);
    while !keys.is_empty() {
        let take = (1 + rng.below(40)).min(keys.len());
        let edits: Edits = keys
            .drain(..take)
            .map(|key| (key.clone(), Some(map[key].clone())))
            .collect();
        tree = tree.edit(edits, &mut |_block| {}).unwrap();
    }
    assert_eq!(tree, whole);
}

#[test]
fn an_edit_that_changes_nothing_makes_nothing() {
    let mut rng = Rng::new(9);
    let map = rng.map(500, 4000);
    let tree = build(Chunking::STANDARD, &map);
    let same = map.iter().map(|(key, value)| (key, Some(value)));
    let edited = tree
        .edit(same, &mut |_block| panic!("nothing is new"))
        .unwrap();
    assert_eq!(edited, tree);
    let absent = [
        (b"no such key".to_vec(), None::<Vec<u8>>),
        (vec![0xff; 30], None),
    ];
    let edited = tree
        .edit(absent, &mut |_block| panic!("nothing is new"))
        .unwrap();
    assert_eq!(edited, tree);
}

#[test]
fn a_change_that_keeps_the_length_moves_no_boundary() {
    let mut rng = Rng::new(11);
    let map: Map = (0..5000).map(|_| (rng.bytes(16), rng.bytes(100))).collect();
    let tree = build(Chunking::STANDARD, &map);
    let before = tree.verify().unwrap();
    let changed = map
        .keys()
        .step_by(7)
        .map(|key| (key.clone(), Some(vec![1; 100])));
    let mut made = 0;
    let after = tree.edit(changed, &mut |_block| made += 1).unwrap();
    assert_eq!(before, after.verify().unwrap());
    assert!(made <= before.nodes);
    // One change makes one node per level.
    let key = map.keys().nth(2500).unwrap();
    let mut made = 0;
    tree.edit([(key, Some(vec![2; 100]))], &mut |_block| made += 1)
        .unwrap();
    assert_eq!(made, tree.depth());
}

#[test]
fn misuse_is_refused() {
    let tree = Tree::empty();
    let out = &mut |_block| {};
    let unsorted = Tree::build([("b", "1"), ("a", "2")], out);
    assert!(matches!(unsorted, Err(TreeError::Unsorted)));
    let twice = Tree::build([("a", "1"), ("a", "2")], out);
    assert!(matches!(twice, Err(TreeError::Unsorted)));
    let unsorted = tree.edit([("b", Some("1")), ("a", None)], out);
    assert!(matches!(unsorted, Err(TreeError::Unsorted)));
    let long = Tree::build([(vec![0; 4097], vec![0; 1])], out);
    assert!(matches!(long, Err(TreeError::KeyTooLong { got: 4097 })));
    let large = tree.edit([(vec![0; 4096], Some(vec![0; 2049]))], out);
    assert!(matches!(large, Err(TreeError::ValueTooLong { got: 2049 })));
    let most = tree
        .edit([(vec![0; 4096], Some(vec![0; 2048]))], out)
        .unwrap();
    assert_eq!(most.verify().unwrap().entries, 1);
}

/// The differences, some of them lent and some shared.
fn lent(rng: &mut Rng, mut differences: Diff) -> Vec<Change> {
    let mut changes = Vec::new();
    loop {
        if rng.chance(30) {
            match differences.next() {
                Some(change) => changes.push(change.unwrap()),
                None => return changes,
            }
        } else {
            let Some(ChangeRef { key, left, right }) = differences.next_ref().unwrap() else {
                return changes;
            };
            let [left, right] = [left, right].map(|value| value.map(Bytes::copy_from_slice));
            let key = Bytes::copy_from_slice(key);
            changes.push(Change { key, left, right });
        }
    }
}

/// Lets the greater value win: then a join is commutative and idempotent.
fn greater(_key: &[u8], left: &[u8], right: &[u8]) -> Resolve {
    if left > right {
        Resolve::Left
    } else {
        Resolve::Right
    }
}

/// What a join gives where the greater value wins.
fn joined(left: &Map, right: &Map) -> Map {
    let mut joined = left.clone();
    for (key, value) in right {
        let kept = joined.entry(key.clone()).or_default();
        *kept = kept.clone().max(value.clone());
    }
    joined
}

#[test]
fn diff_and_join_of_unrelated_maps() {
    for seed in 0..u64::from(scaled(40)) {
        let mut rng = Rng::new(2000 + seed);
        let chunking = Chunking::small([3, 5, 6, 8, 12][rng.below(5)]);
        let space = [10, 300, 3000][rng.below(3)];
        let (size, other) = (rng.below(space), rng.below(space));
        let left = rng.map(size, space);
        let mut right = if rng.chance(50) {
            left.clone()
        } else {
            Map::new()
        };
        let more = rng.map(other, space);
        right.extend(more);
        let (a, b) = (build(chunking, &left), build(chunking, &right));
        let changes: Vec<_> = a.diff(&b).collect::<Result<_, _>>().unwrap();
        assert_eq!(changes, diff(&left, &right), "seed {seed}");
        assert_eq!(lent(&mut rng, a.diff(&b)), changes, "seed {seed}");

        let joined = joined(&left, &right);
        let one = a.join(&b, &mut greater, &mut |_block| {}).unwrap();
        let two = b.join(&a, &mut greater, &mut |_block| {}).unwrap();
        assert_eq!(one, build(chunking, &joined), "seed {seed}");
        assert_eq!(one, two, "seed {seed}");
        assert_eq!(one.join(&a, &mut greater, &mut |_block| {}).unwrap(), one);
    }
}

/// Keys in runs, so that leaves and inner nodes of one map fall between two keys of the other.
fn runs(rng: &mut Rng) -> Map {
    let mut map = Map::new();
    for _ in 0..rng.below(8) {
        let (start, step) = (rng.below(3000) as u32, 1 + rng.below(3));
        let keys = (start..).step_by(step).take(rng.below(120));
        map.extend(keys.map(|key| (key.to_be_bytes().to_vec(), vec![rng.below(3) as u8])));
    }
    map
}

/// Stored trees are joined as others are, and whole nodes of the right one are not made again.
#[test]
fn a_join_of_stored_trees_takes_nodes_over() {
    let (mut leaves, mut inner) = (0, 0);
    for seed in 0..u64::from(scaled(60)) {
        let mut rng = Rng::new(4000 + seed);
        let chunking = Chunking::small([3, 5, 8, 12][rng.below(4)]);
        let shared = runs(&mut rng);
        let [left, right] = [(); 2].map(|()| {
            let mut map = shared.clone();
            map.extend(runs(&mut rng));
            map
        });
        let (a, store) = stored(chunking, &left);
        // The small budget is spent again and again: what was made and is not stored must stay.
        let budget = [1 << 13, 1 << 20][rng.below(2)];
        let forest = Forest::with_chunking(store.clone(), budget, chunking);
        let a = forest.open(a.root()).unwrap();
        // The right one is stored beside it, or somewhere else, or not at all yet.
        let place = rng.below(3);
        let beside = |map: &Map| {
            let mut blocks = Vec::new();
            let tree = Tree::build_with(chunking, map, &mut |block| blocks.push(block));
            put(&store, blocks);
            forest.open(tree.unwrap().root()).unwrap()
        };
        let b = match place {
            0 => beside(&right),
            1 => {
                let (b, elsewhere) = stored(chunking, &right);
                let elsewhere = Forest::with_chunking(elsewhere, 1 << 20, chunking);
                elsewhere.open(b.root()).unwrap()
            }
            _ => {
                let edits = right.iter().map(|(key, value)| (key, Some(value)));
                let empty = beside(&Map::new());
                empty.edit(edits, &mut |_block| {}).unwrap()
            }
        };
        if rng.chance(50) {
            assert_eq!(content(&b), right);
        }
        let expected = joined(&left, &right);
        let mut handed = Vec::new();
        let out = &mut |block| handed.push(block);
        let joined = a.join(&b, &mut greater, out).unwrap();
        assert_eq!(joined, build(chunking, &expected), "seed {seed}");
        assert_eq!(joined.len(), expected.len() as u64, "seed {seed}");
        let own: BTreeSet<Cid> = handed.iter().map(|block| *block.cid()).collect();
        put(&store, handed);
        let settled = forest.settle(&joined);
        assert_eq!(content(&settled), expected, "seed {seed}");
        if seed % 8 == 0 {
            settled.verify().unwrap();
        }
        let old = names(&a);
        let new: BTreeSet<Cid> = names(&settled).difference(&old).copied().collect();
        let theirs = if place == 0 {
            names(&b)
        } else {
            BTreeSet::new()
        };
        assert!(new.difference(&theirs).all(|cid| own.contains(cid)));
        for name in new.difference(&own) {
            let block = store.get(name).unwrap().unwrap();
            let is_leaf = Node::decode(block.bytes()).unwrap().is_leaf();
            *if is_leaf { &mut leaves } else { &mut inner } += 1;
        }
    }
    assert!(leaves > 10 && inner > 10, "{leaves} leaves, {inner} others");
}

#[test]
fn a_join_may_make_a_value_of_its_own() {
    let out = &mut |_block| {};
    let a = Tree::build([("k", "a"), ("l", "1")], out).unwrap();
    let b = Tree::build([("k", "b"), ("m", "2")], out).unwrap();
    let mut asked = Vec::new();
    let joined = a
        .join(
            &b,
            &mut |key, left, right| {
                asked.push(key.to_vec());
                Resolve::Value([left, right].concat().into())
            },
            out,
        )
        .unwrap();
    assert_eq!(asked, [b"k".to_vec()]);
    let expected = Tree::build([("k", "ab"), ("l", "1"), ("m", "2")], out).unwrap();
    assert_eq!(joined, expected);
}
