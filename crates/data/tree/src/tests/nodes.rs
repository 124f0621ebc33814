//! The decoder under hostile bytes.

use bytes::Bytes;
use proptest::prelude::*;

use super::twin::{Rng, build, scaled};
use crate::chunking::Chunking;
use crate::encode::Chunker;
use crate::limits::{KEY_BYTES_MAX, NODE_BYTES_MAX};
use crate::loaded::Loaded;
use crate::node::{KeyRef, Node};
use crate::tree::Tree;

fn blocks(tree: &Tree, node: &Loaded, found: &mut Vec<Bytes>) {
    found.push(node.node.to_bytes());
    for index in 0..node.slots().len() {
        blocks(tree, &tree.child(node, index).unwrap(), found);
    }
}

/// What is accepted can be read everywhere without a panic.
fn read_all(node: &Node) {
    for index in 0..=node.len() {
        assert_eq!(node.key(index).is_some(), index < node.len());
        assert_eq!(
            node.value(index).is_some(),
            node.is_leaf() && index < node.len()
        );
        assert_eq!(
            node.link(index).is_some(),
            !node.is_leaf() && index < node.len()
        );
        assert_eq!(node.count(index).is_some(), index < node.len());
    }
    for index in 0..node.len() {
        assert_eq!(node.search(&node.key(index).unwrap()), Ok(index));
    }
    assert!(node.check_end(true).is_ok() || node.check_end(true).is_err());
}

/// Every node that is made is read back the same, and no change of a byte is the same node.
#[test]
fn mutated_nodes_never_panic() {
    let mut rng = Rng::new(31);
    let mut found = Vec::new();
    for bits in [5, 8, 12] {
        let map = rng.map(300, 4000);
        let tree = build(Chunking::small(bits), &map);
        blocks(&tree, &tree.loaded_root(), &mut found);
    }
    let mut accepted = 0;
    for block in &found {
        assert_eq!(Node::decode(block).unwrap().bytes(), block);
        for _ in 0..scaled(20) {
            let mut bytes = block.to_vec();
            match rng.below(3) {
                0 => bytes.truncate(rng.below(bytes.len())),
                1 => bytes.insert(rng.below(bytes.len() + 1), rng.next() as u8),
                _ => {
                    let reach = 24 + rng.below(bytes.len());
                    let at = rng.below(bytes.len().min(reach));
                    bytes[at] = rng.next() as u8;
                }
            }
            if let Ok(node) = Node::decode(&bytes) {
                read_all(&node);
                accepted += 1;
            }
        }
    }
    assert!(accepted > 0, "values may be changed");
}

/// The heaviest leaf: entries that do not end it up to just below the maximum, then the largest.
#[test]
fn the_largest_leaf_fits() {
    let chunking = Chunking::STANDARD;
    let (mut number, mut weight) = (0u64, 0);
    let mut entries = Vec::new();
    let mut chunker = Chunker::new(chunking, 0).unwrap();
    loop {
        number += 1 << 51; // No prefix in common: nothing makes the block smaller than its weight.
        let mut key = number.to_be_bytes().to_vec();
        let last = weight + Chunking::leaf_weight(8, 0) >= 32_768;
        if last {
            key.resize(KEY_BYTES_MAX, 0);
        }
        let value = vec![0; if last { 2048 } else { 0 }];
        let after = weight + Chunking::leaf_weight(key.len(), value.len());
        if !last && chunking.closes(0, &key, weight, after) {
            continue;
        }
        let closed = chunker.push_value(KeyRef::whole(&key), &value).unwrap();
        weight = after;
        entries.push((key, value));
        if let Some(link) = closed {
            assert!(last);
            let block = link.block.unwrap();
            assert!(block.bytes().len() > 32_000 && block.bytes().len() <= NODE_BYTES_MAX);
            let node = Node::decode(block.bytes()).unwrap();
            assert_eq!(node.len(), entries.len());
            assert_eq!(node.check_end(false), Ok(()));
            break;
        }
    }
    let tree = Tree::build(entries, &mut |_block| {}).unwrap();
    assert_eq!(tree.verify().unwrap().nodes, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(512), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_compare_as_their_bytes(
        a in (proptest::collection::vec(0u8..3, 0..6), proptest::collection::vec(0u8..3, 0..6)),
        b in (proptest::collection::vec(0u8..3, 0..6), proptest::collection::vec(0u8..3, 0..6)),
    ) {
        let left = KeyRef { prefix: &a.0, suffix: &a.1 };
        let right = KeyRef { prefix: &b.0, suffix: &b.1 };
        let (whole_left, whole_right) = ([&a.0[..], &a.1].concat(), [&b.0[..], &b.1].concat());
        prop_assert_eq!(left.cmp_key(right), whole_left.cmp(&whole_right));
        prop_assert_eq!(left.cmp_bytes(&whole_right), whole_left.cmp(&whole_right));
        prop_assert_eq!(left.to_bytes(), whole_left);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut framed = vec![0x88, 0x01];
        framed.extend_from_slice(&bytes);
        for bytes in [bytes, framed] {
            if let Ok(node) = Node::decode(&bytes) {
                read_all(&node);
            }
        }
    }
}
