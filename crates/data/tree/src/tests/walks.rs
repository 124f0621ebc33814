//! Walks over trees that peers claim, honest and not.

use std::collections::BTreeMap;

use allod_blocks::{Block, Codec};
use bytes::Bytes;
use cid::Cid;

use super::twin::{Map, Rng, build, content, diff, scaled, stored};
use crate::chunking::Chunking;
use crate::encode::{Chunker, Link};
use crate::error::{LinkFault, NodeError};
use crate::limits::WALK_OUTSTANDING_MAX;
use crate::loaded::{BlockSource, Forest};
use crate::node::KeyRef;
use crate::tree::Tree;
use crate::walk::{Walk, WalkError};

type Blocks = BTreeMap<Cid, Block>;

fn collected(chunking: Chunking, map: &Map) -> (Tree, Blocks) {
    let mut blocks = Blocks::new();
    let tree = Tree::build_with(chunking, map, &mut |block| {
        blocks.insert(*block.cid(), block);
    })
    .unwrap();
    (tree, blocks)
}

/// Answers a walk from `blocks` in random order; gives what was fetched and the entries seen.
fn run(walk: &mut Walk, blocks: &Blocks, rng: &mut Rng) -> Result<(Blocks, Map), WalkError> {
    let (mut fetched, mut entries) = (Blocks::new(), Map::new());
    let mut asked = Vec::new();
    while !walk.is_done() {
        asked.extend(walk.want(1 + rng.below(9)));
        assert!(!asked.is_empty(), "a walk that is not done wants something");
        let cid = asked.swap_remove(rng.below(asked.len()));
        let block = blocks[&cid].clone();
        let node = walk.feed(block.clone())?;
        entries.extend(
            node.entries()
                .map(|(key, value)| (key.to_vec(), value.to_vec())),
        );
        assert!(fetched.insert(cid, block).is_none(), "asked twice");
    }
    assert!(walk.want(10).is_empty());
    Ok((fetched, entries))
}

#[test]
fn a_walk_fetches_what_is_not_known() {
    for seed in 0..u64::from(scaled(40)) {
        let mut rng = Rng::new(6000 + seed);
        let chunking = Chunking::small([3, 5, 6, 9, 12][rng.below(5)]);
        let size = [0, 1, 30, 1500][rng.below(4)];
        let ours = rng.map(size, 3000);
        let mut theirs = ours.clone();
        for _ in 0..rng.below(12) {
            match rng.below(4) {
                0 => theirs.insert(rng.key(3000), rng.value()),
                1 => theirs.insert(vec![0xff; 12], rng.value()),
                2 => theirs.pop_last().map(|_| Vec::new()),
                _ => theirs.pop_first().map(|_| Vec::new()),
            };
        }
        let (local, kept) = collected(chunking, &ours);
        let (claimed, blocks) = collected(chunking, &theirs);
        let known = if rng.chance(80) {
            vec![local]
        } else {
            Vec::new()
        };
        let knows = !known.is_empty();
        let mut walk = Walk::with_chunking(claimed.root(), known, chunking).unwrap();
        let (fetched, entries) = run(&mut walk, &blocks, &mut rng).unwrap();
        let progress = walk.progress();
        assert_eq!(
            (progress.seen, progress.total),
            (claimed.len(), claimed.len()),
            "seed {seed}"
        );
        assert_eq!(progress.nodes, fetched.len() as u64);
        if knows {
            // What was fetched and what was there make the whole tree; every change was seen.
            assert!(
                blocks
                    .keys()
                    .all(|cid| fetched.contains_key(cid) || kept.contains_key(cid))
            );
            for change in diff(&ours, &theirs) {
                let seen = entries.get(&change.key[..]).map(Vec::as_slice);
                assert_eq!(seen, change.right.as_deref());
            }
            // Beside new nodes, at most the path to the end of a tree that ended elsewhere.
            let again = fetched.keys().filter(|cid| kept.contains_key(*cid)).count();
            assert!(
                again <= 2 * local_depth(chunking, &ours),
                "seed {seed}: {again} again"
            );
        } else {
            assert_eq!(fetched.len(), blocks.len());
            assert_eq!(entries, theirs);
        }
    }
}

fn local_depth(chunking: Chunking, map: &Map) -> usize {
    build(chunking, map).depth() as usize
}

#[test]
fn a_known_root_needs_nothing() {
    let tree = Tree::build([("a", "1")], &mut |_block| {}).unwrap();
    let walk = Walk::new(tree.root(), vec![tree]).unwrap();
    assert!(walk.is_done());
    assert_eq!(walk.progress().seen, 1);
}

#[test]
fn what_is_damaged_at_home_is_fetched() {
    let mut rng = Rng::new(41);
    let map: Map = (0..3000).map(|_| (rng.bytes(8), rng.bytes(60))).collect();
    let (made, store) = stored(Chunking::STANDARD, &map);
    let mut other = map.clone();
    other.pop_first();
    let (claimed, blocks) = collected(Chunking::STANDARD, &other);
    // A store that has lost all but the root.
    let partial = std::sync::Arc::new(allod_blocks::MemoryStore::new());
    super::twin::put(&partial, vec![store.block(&made.root()).unwrap().unwrap()]);
    let local = Forest::new(partial).open(made.root()).unwrap();
    let mut walk = Walk::new(claimed.root(), vec![local]).unwrap();
    run(&mut walk, &blocks, &mut rng).unwrap();
    assert_eq!(walk.progress().seen, 2999);
}

#[test]
fn a_walk_asks_again_and_within_bounds() {
    let mut rng = Rng::new(43);
    let chunking = Chunking::small(5);
    let map: Map = (0..6000).map(|_| (rng.bytes(8), rng.bytes(20))).collect();
    let (tree, blocks) = collected(chunking, &map);
    let mut walk = Walk::with_chunking(tree.root(), Vec::new(), chunking).unwrap();
    let mut held = walk.want(usize::MAX);
    assert_eq!(held, [tree.root()]);
    assert!(walk.want(10).is_empty());
    walk.retry();
    assert_eq!(walk.want(10), [tree.root()]);
    // Ask for as much as there is, answer one at a time.
    while let Some(cid) = held.pop() {
        walk.feed(blocks[&cid].clone()).unwrap();
        held.extend(walk.want(usize::MAX));
        assert!(held.len() <= WALK_OUTSTANDING_MAX);
    }
    assert!(walk.is_done());
}

#[test]
fn what_was_not_asked_for_is_refused_and_harmless() {
    let map = Rng::new(45).map(800, 4000);
    let (tree, blocks) = collected(Chunking::STANDARD, &map);
    let mut walk = Walk::new(tree.root(), Vec::new()).unwrap();
    let stray = blocks
        .values()
        .find(|block| *block.cid() != tree.root())
        .unwrap();
    let refused = walk.feed(stray.clone()).unwrap_err();
    assert_eq!(refused.code(), "E_WALK_UNWANTED");
    let root = walk.want(1)[0];
    walk.feed(blocks[&root].clone()).unwrap();
    let twice = walk.feed(blocks[&root].clone()).unwrap_err();
    assert_eq!(twice.code(), "E_WALK_UNWANTED");
    run(&mut walk, &blocks, &mut Rng::new(1)).unwrap();
    let raw = allod_blocks::sha256_cid(Codec::Raw, b"");
    assert_eq!(
        Walk::new(raw, Vec::new()).unwrap_err().code(),
        "E_TREE_NAME"
    );
}

/// Inner nodes by hand: links that say what they like.
struct Forger {
    blocks: Blocks,
}

impl Forger {
    fn leaf(&mut self, keys: &[&str]) -> Link {
        let mut chunker = Chunker::new(Chunking::STANDARD, 0).unwrap();
        for key in keys {
            assert!(
                chunker
                    .push_value(KeyRef::whole(key.as_bytes()), &[7; 8])
                    .unwrap()
                    .is_none()
            );
        }
        let link = chunker.close().unwrap();
        self.keep(link)
    }

    fn inner(&mut self, level: u8, links: &[Link]) -> Link {
        let mut chunker = Chunker::new(Chunking::STANDARD, level).unwrap();
        for link in links {
            let closed = chunker.push_link(KeyRef::whole(&link.key), link.digest, link.count, None);
            assert!(closed.unwrap().is_none());
        }
        let link = chunker.close().unwrap();
        self.keep(link)
    }

    fn keep(&mut self, mut link: Link) -> Link {
        let block = link.block.take().unwrap();
        self.blocks.insert(*block.cid(), *block);
        link
    }

    /// The fault that walks and whole checks find in the tree of this root.
    fn fault(&self, root: &Link) -> WalkError {
        let root = crate::node::node_cid(&root.digest);
        let mut walk = Walk::new(root, Vec::new()).unwrap();
        let fault = run(&mut walk, &self.blocks, &mut Rng::new(3)).unwrap_err();
        assert!(
            !walk.is_done() && walk.want(9).is_empty(),
            "the walk is over"
        );
        let again = self.blocks[&root].clone();
        assert!(matches!(walk.feed(again), Err(WalkError::Over)));
        let store = std::sync::Arc::new(allod_blocks::MemoryStore::new());
        super::twin::put(&store, self.blocks.values().cloned().collect());
        let checked = Forest::new(store).open(root).and_then(|tree| tree.verify());
        assert_eq!(checked.unwrap_err().code(), fault.code());
        fault
    }
}

fn link_fault(error: WalkError) -> LinkFault {
    match error {
        WalkError::Link { fault, .. } => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn forged_trees_are_refused() {
    let mut forger = Forger {
        blocks: Blocks::new(),
    };
    let (a, b) = (forger.leaf(&["a", "c"]), forger.leaf(&["m", "p"]));
    let overlapping = forger.leaf(&["b", "p"]);
    let lone = forger.inner(1, std::slice::from_ref(&a));
    assert_eq!(link_fault(forger.fault(&lone)), LinkFault::LoneChild);

    // A leaf that ends where no boundary is, and is not the last.
    let early = forger.inner(1, &[a.clone(), b.clone()]);
    let fault = forger.fault(&early);
    assert!(
        matches!(
            fault,
            WalkError::Node {
                fault: NodeError::EarlyEnd,
                ..
            }
        ),
        "{fault:?}"
    );

    // The faults of links, in the last child, which may end anywhere.
    let full = full_leaf(&mut forger);
    let second = |forger: &mut Forger, link: Link| {
        let root = forger.inner(1, &[full.clone(), link]);
        link_fault(forger.fault(&root))
    };
    let said = |link: &Link, key: &'static str, count: u64| Link {
        key: Bytes::from_static(key.as_bytes()),
        count,
        ..link.clone()
    };
    assert_eq!(second(&mut forger, said(&b, "z", 2)), LinkFault::LastKey);
    assert_eq!(second(&mut forger, said(&b, "p", 3)), LinkFault::Count);
    assert_eq!(second(&mut forger, overlapping), LinkFault::FirstKey);
    let skipped = forger.inner(2, &[full.clone(), b.clone()]);
    assert_eq!(link_fault(forger.fault(&skipped)), LinkFault::Level);
    let empty = forger.leaf(&[]);
    assert_eq!(
        second(&mut forger, said(&empty, "q", 1)),
        LinkFault::LastKey
    );

    // The same child twice under keys that ascend.
    assert_eq!(
        second(&mut forger, said(&full, "q", full.count)),
        LinkFault::LastKey
    );
}

/// A leaf that ends at a boundary, with keys from "b" to "l".
fn full_leaf(forger: &mut Forger) -> Link {
    let mut chunker = Chunker::new(Chunking::STANDARD, 0).unwrap();
    for number in 0.. {
        let key = format!("b{number:06}");
        if let Some(link) = chunker
            .push_value(KeyRef::whole(key.as_bytes()), &[7; 100])
            .unwrap()
        {
            return forger.keep(link);
        }
    }
    unreachable!("every node ends")
}

#[test]
fn a_floor_reaches_down_the_left_spine() {
    // The first leaf of the second inner node begins at or before the end of the first inner node:
    // only the key two levels up shows it.
    let chunking = Chunking::small(5);
    let mut rng = Rng::new(47);
    let map: Map = (0..4000).map(|_| (rng.bytes(6), rng.bytes(20))).collect();
    let (tree, mut blocks) = collected(chunking, &map);
    let root = tree.loaded_root();
    let mut links: Vec<_> = (0..root.node.len())
        .map(|index| {
            let mut digest = [0; 32];
            digest.copy_from_slice(root.node.digest(index));
            (
                root.node.key(index).unwrap(),
                digest,
                root.node.count(index).unwrap(),
            )
        })
        .collect();
    assert!(links.len() >= 2 && root.node.level() >= 2);
    // The first child now claims to reach into the second: raise its key and rebuild its spine.
    let second = tree.child(&root, 1).unwrap();
    let mut raised = tree.nth(links[0].2).unwrap().unwrap().0.to_vec();
    raised.push(0);
    let mut spine = Vec::new();
    let mut node = tree.child(&root, 0).unwrap();
    while !node.node.is_leaf() {
        let last = node.node.len() - 1;
        let child = tree.child(&node, last).unwrap();
        spine.push(std::mem::replace(&mut node, child));
    }
    let mut chunker = Chunker::new(Chunking::STANDARD, 0).unwrap();
    for index in 0..node.node.len() {
        let last = index + 1 == node.node.len();
        let own = node.node.key_ref(index);
        let key = if last { KeyRef::whole(&raised) } else { own };
        chunker.push_value(key, node.node.value_ref(index)).unwrap();
    }
    let mut link = chunker.close().unwrap();
    while let Some(parent) = spine.pop() {
        let block = link.block.take().unwrap();
        blocks.insert(*block.cid(), *block);
        let mut chunker = Chunker::new(Chunking::STANDARD, parent.node.level()).unwrap();
        for index in 0..parent.node.len() - 1 {
            let mut digest = [0; 32];
            digest.copy_from_slice(parent.node.digest(index));
            let count = parent.node.count(index).unwrap();
            chunker
                .push_link(parent.node.key_ref(index), digest, count, None)
                .unwrap();
        }
        chunker
            .push_link(KeyRef::whole(&link.key), link.digest, link.count, None)
            .unwrap();
        link = chunker.close().unwrap();
    }
    let block = link.block.take().unwrap();
    blocks.insert(*block.cid(), *block);
    links[0] = (link.key, link.digest, link.count);
    let mut chunker = Chunker::new(Chunking::STANDARD, root.node.level()).unwrap();
    for (key, digest, count) in &links {
        chunker
            .push_link(KeyRef::whole(key), *digest, *count, None)
            .unwrap();
    }
    let forged = chunker.close().unwrap();
    let block = forged.block.unwrap();
    let name = *block.cid();
    blocks.insert(name, *block);
    assert!(second.node.total() > 0);

    // Reading finds it where it goes down there.
    let store = std::sync::Arc::new(allod_blocks::MemoryStore::new());
    super::twin::put(&store, blocks.values().cloned().collect());
    let opened = Forest::with_chunking(store, 1 << 20, chunking)
        .open(name)
        .unwrap();
    let found = opened.iter().find_map(Result::err).unwrap();
    assert_eq!(found.code(), "E_LINK_FIRST_KEY");
    assert_ne!(content(&tree).len(), 0);
}
