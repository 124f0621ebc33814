//! Trees that somebody else computed (PROJ-26, PROJ-27).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use allod_blocks::{Batch, Block, Cid, Codec, Garbage, sha256_cid};
use allod_identity::canonical;
use allod_repo::{BlockPeer, Keep};
use allod_tree::{Node, Tree};
use allod_views::{Compared, Function, OnStale, ProjectionDefinition, Snapshot, ViewError, Views};

use crate::world::{World, group, index, join, main, name, projected, typed, words};

const RECORDS: usize = 300;

fn definitions() -> Vec<(&'static str, ProjectionDefinition)> {
    vec![
        (
            "by_role",
            index("user:*", None, &["role"], &[("age", "age")]),
        ),
        ("adults", index("user:*", Some("age >= 18"), &["age"], &[])),
        ("by_tag", index("user:*", None, &["tags"], &[])),
        (
            "orders",
            join(
                ("user:*", "id"),
                ("order:*", "user"),
                &[("name", "bio")],
                &[("what", "what")],
                false,
            ),
        ),
        ("bios", words("user:*", &["bio"])),
    ]
}

fn world() -> World {
    let mut world = World::new();
    world.define(
        "user",
        typed(&[
            "id:string",
            "role:string",
            "age:integer",
            "bio:string",
            "tags:string[]",
        ]),
    );
    world.define("order", typed(&["user:string", "what:string"]));
    for (called, definition) in definitions() {
        world.create(called, definition);
    }
    let users: Vec<(String, String)> = (0..RECORDS)
        .map(|n| {
            let record = format!(
                r#"{{"id":"{n}","role":"r{}","age":{},"bio":"word{} of {n}","tags":["a{}","b"]}}"#,
                n % 5,
                n % 90,
                n % 7,
                n % 3
            );
            (format!("user:{n:04}"), record)
        })
        .chain((0..50).map(|n| {
            (
                format!("order:{n}"),
                format!(r#"{{"user":"{n}","what":"thing {n}"}}"#),
            )
        }))
        .chain([("user:bad".to_owned(), "{".to_owned())])
        .collect();
    let edits: Vec<(&str, Option<&str>)> = users
        .iter()
        .map(|(key, value)| (&key[..], Some(&value[..])))
        .collect();
    world.commit(&main(), &edits);
    world
}

/// Stores a tree, as if it had been fetched.
fn stored(world: &World, tree: &Tree, edits: &[(Vec<u8>, Option<Vec<u8>>)]) -> Cid {
    let mut batch = Batch::new();
    let edits: BTreeMap<Vec<u8>, Option<Vec<u8>>> = edits.iter().cloned().collect();
    let changed = tree.edit(edits, &mut |block| batch.put(block)).unwrap();
    drop(world.repo.store().commit(batch).unwrap());
    changed.root()
}

fn adopt(
    snapshot: &Snapshot,
    called: &str,
    root: Cid,
    samples: u64,
) -> Result<Compared, ViewError> {
    let go_on = &mut |_| ControlFlow::Continue(());
    snapshot.adopt((&name(called), root), (samples, [7; 32]), go_on)
}

#[test]
fn a_true_tree_is_taken_and_a_false_one_is_found() {
    let world = world();
    let views = Views::open(&world.repo).unwrap();
    let computed: Vec<(&str, Tree)> = definitions()
        .iter()
        .map(|(called, _)| {
            (
                *called,
                projected(&views.branch(&main()).unwrap(), called).tree,
            )
        })
        .collect();
    views.save().unwrap();
    for (called, tree) in computed {
        views.forget_all().unwrap();
        let snapshot = views.branch(&main()).unwrap();
        let root = stored(&world, &tree, &[]);
        let compared = adopt(&snapshot, called, root, 200).unwrap();
        assert!(
            compared.entries > 50 && compared.records > 100,
            "{called}: {compared:?}"
        );
        assert!(snapshot.is_fresh(&name(called)).unwrap());
        let kept = snapshot.projection(&name(called), OnStale::Error, &mut |_| {
            ControlFlow::Continue(())
        });
        assert_eq!(kept.unwrap().tree.root(), root);
        let rows: Vec<(Vec<u8>, Vec<u8>)> = tree
            .iter()
            .map(|entry| {
                entry
                    .map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .unwrap()
            })
            .collect();
        // Every fourth entry gone, or with another value; and entries of no record, many and foreign.
        let gone: Vec<_> = rows
            .iter()
            .step_by(4)
            .map(|(key, _)| (key.clone(), None))
            .collect();
        let other: Vec<_> = rows
            .iter()
            .step_by(4)
            .map(|(key, value)| (key.clone(), Some([&value[..], b"\x00"].concat())))
            .collect();
        let foreign: Vec<_> = rows
            .iter()
            .map(|(key, value)| ([&key[..], b"x"].concat(), Some(value.clone())))
            .collect();
        let nonsense: Vec<_> = (0..rows.len())
            .map(|n| (vec![0xff, n as u8, (n >> 8) as u8], Some(vec![])))
            .collect();
        for (what, edits) in [
            ("gone", gone),
            ("other", other),
            ("foreign", foreign),
            ("nonsense", nonsense),
        ] {
            views.forget_all().unwrap();
            let root = stored(&world, &tree, &edits);
            let snapshot = views.branch(&main()).unwrap();
            let refused = adopt(&snapshot, called, root, 200);
            assert!(
                matches!(refused, Err(ViewError::Untrue { .. })),
                "{called} {what}: {refused:?}"
            );
            assert!(!snapshot.is_fresh(&name(called)).unwrap());
        }
    }
}

#[test]
fn what_is_no_tree_or_not_here_is_not_taken() {
    let world = world();
    let views = Views::open(&world.repo).unwrap();
    let snapshot = views.branch(&main()).unwrap();
    let lost = sha256_cid(Codec::DagCbor, b"nothing");
    let refused = adopt(&snapshot, "bios", lost, 1);
    assert!(
        matches!(&refused, Err(ViewError::Incomplete { node, .. }) if **node == lost),
        "{refused:?}"
    );
    let file = sha256_cid(Codec::Raw, b"nothing");
    for root in [file, *world.repo.id().cid()] {
        let refused = adopt(&snapshot, "bios", root, 1);
        assert!(
            matches!(refused, Err(ViewError::Untrue { .. })),
            "{refused:?}"
        );
    }
}

/// With as many comparisons as there are entries, one false entry among them is found whatever the choice.
#[test]
fn all_are_compared_if_there_are_not_more() {
    let world = world();
    let views = Views::open(&world.repo).unwrap();
    let tree = projected(&views.branch(&main()).unwrap(), "adults").tree;
    views.forget_all().unwrap();
    let snapshot = views.branch(&main()).unwrap();
    let (key, _) = tree.nth(17).unwrap().unwrap();
    let root = stored(
        &world,
        &tree,
        &[([&key[..], b"x"].concat(), Some(Vec::new()))],
    );
    let all = tree.len() + 1;
    assert!(matches!(
        adopt(&snapshot, "adults", root, all),
        Err(ViewError::Untrue { .. })
    ));
    // One that is missing too: there are more records than entries.
    let root = stored(&world, &tree, &[(key.to_vec(), None)]);
    assert!(matches!(
        adopt(&snapshot, "adults", root, 1000),
        Err(ViewError::Untrue { .. })
    ));
    let compared = adopt(&snapshot, "adults", stored(&world, &tree, &[]), u64::MAX).unwrap();
    assert_eq!(compared.entries, tree.len());
    assert_eq!(compared.records, RECORDS as u64 + 1);
    // Somebody may have enough of it.
    let stopped = snapshot.adopt(
        (&name("adults"), tree.root()),
        (1000, [7; 32]),
        &mut |done| {
            if done > 10 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    assert!(matches!(stopped, Err(ViewError::Cancelled)), "{stopped:?}");
}

const MANY: u64 = 20_000;

/// A space with one index of many records, and its tree, which is not kept.
fn many() -> (World, Views, Tree) {
    let mut world = World::new();
    world.define("user", typed(&["role:string"]));
    world.create("by_role", index("user:*", None, &["role"], &[]));
    let users: Vec<(String, String)> = (0..MANY)
        .map(|n| (format!("user:{n:08}"), format!(r#"{{"role":"{n:08}"}}"#)))
        .collect();
    let users = users.iter();
    let edits: Vec<_> = users
        .map(|(key, value)| (&key[..], Some(&value[..])))
        .collect();
    world.commit(&main(), &edits);
    let views = Views::open(&world.repo).unwrap();
    let tree = projected(&views.branch(&main()).unwrap(), "by_role").tree;
    views.forget_all().unwrap();
    (world, views, tree)
}

/// One false entry in a hundred is found by a thousand comparisons, also where a peer puts them where the
/// multiples of a number lead to: nothing of a choice follows from the rest of it.
#[test]
fn false_entries_in_a_pattern_are_found() {
    let (world, views, tree) = many();
    let snapshot = views.branch(&main()).unwrap();
    let whole = u64::MAX / MANY;
    for step in [
        0x9e37_79b9_7f4a_7c15,
        0xd134_2543_de82_ef95,
        whole + 1,
        100 * whole,
    ] {
        let place = |n: u64| (u128::from(n.wrapping_mul(step)) * u128::from(MANY)) >> 64;
        let places: BTreeSet<u64> = (0..MANY / 100)
            .map(|n| u64::try_from(place(n)).unwrap())
            .collect();
        assert!(places.len() > 150, "{step:x}: {}", places.len());
        let edits = places.iter().flat_map(|place| {
            let (key, value) = tree.nth(*place).unwrap().unwrap();
            let other = [&key[..], b"x"].concat();
            [(key.to_vec(), None), (other, Some(value.to_vec()))]
        });
        let edits: Vec<_> = edits.collect();
        let root = stored(&world, &tree, &edits);
        for secret in 0..20 {
            let go_on = &mut |_| ControlFlow::Continue(());
            let of = (&name("by_role"), root);
            let refused = snapshot.adopt(of, (1000, [secret; 32]), go_on);
            assert!(
                matches!(refused, Err(ViewError::Untrue { .. })),
                "{step:x} {secret}: {refused:?}"
            );
        }
    }
}

/// What groups add up cannot be compared in part, so it is not taken.
#[test]
fn groups_are_not_taken() {
    let (world, views) = sums();
    let snapshot = views.branch(&main()).unwrap();
    let tree = projected(&snapshot, "sums").tree;
    views.forget_all().unwrap();
    let refused = adopt(&snapshot, "sums", stored(&world, &tree, &[]), 1000);
    assert!(
        matches!(refused, Err(ViewError::OfGroups(_))),
        "{refused:?}"
    );
    let mut peer = Peer::with([]);
    let fetched = fetch(&snapshot, "sums", tree.root(), &mut peer);
    assert!(
        matches!(fetched, Err(ViewError::OfGroups(_))),
        "{fetched:?}"
    );
    assert_eq!(peer.asked, 0);
    assert!(!snapshot.is_fresh(&name("sums")).unwrap());
}

fn sums() -> (World, Views) {
    let mut world = World::new();
    world.define("user", typed(&["role:string", "age:integer"]));
    let totals = [
        ("s", Function::Sum, Some("age")),
        ("n", Function::Count, None),
    ];
    world.create("sums", group("user:*", &[("role", "role")], &totals));
    let users: Vec<(String, String)> = (0..300)
        .map(|n| {
            let record = format!(r#"{{"role":"r{}","age":{}}}"#, n % 5, n % 90);
            (format!("user:{n:04}"), record)
        })
        .collect();
    let users = users.iter();
    let edits: Vec<_> = users
        .map(|(key, value)| (&key[..], Some(&value[..])))
        .collect();
    world.commit(&main(), &edits);
    let views = Views::open(&world.repo).unwrap();
    (world, views)
}

/// A kept sum that no values have stops nobody: the next state is computed from its records.
#[test]
fn kept_sums_that_no_values_have_stop_nobody() {
    let power = |power: u32| {
        [
            &[0x83, 0x18, 0x3c, 0x41, 0x07, 0x1a][..],
            &power.to_be_bytes(),
        ]
        .concat()
    };
    for bad in [
        vec![0xff],
        power(16_000_000),
        power(i32::MAX as u32),
        // More values than can be counted.
        vec![
            0x83, 0x1b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x41, 0x07, 0x00,
        ],
    ] {
        let (mut world, views) = sums();
        let tree = projected(&views.branch(&main()).unwrap(), "sums").tree;
        let edits: Vec<_> = tree
            .iter()
            .map(Result::unwrap)
            .filter(|(_, value)| value.len() > 3)
            .map(|(key, _)| (key.to_vec(), Some(bad.clone())))
            .collect();
        assert_eq!(edits.len(), 5);
        let root = stored(&world, &tree, &edits);
        let store = world.repo.store().clone();
        let (reference, _) = store.scan_refs(b"view/", None, 1).unwrap().remove(0);
        let mut batch = Batch::new();
        let kept = canonical::encode(&(1u64, root)).unwrap();
        batch.set_ref(reference, allod_blocks::Expect::Any, Some(kept));
        drop(store.commit(batch).unwrap());
        let views = Views::open(&world.repo).unwrap();
        let snapshot = views.branch(&main()).unwrap();
        assert_eq!(projected(&snapshot, "sums").tree.root(), root);
        // What is staged first, which is derived and not kept.
        let staged = (
            b"user:x".to_vec().into(),
            allod_repo::Edit::Put(r#"{"role":"r1","age":1}"#.into()),
        );
        world.repo.stage(&main(), [staged], world.now + 1).unwrap();
        let go_on = &mut |_| ControlFlow::Continue(());
        let working = views
            .snapshot(world.repo.working(&main()).unwrap())
            .unwrap();
        let working = working.working_projection(&name("sums"), go_on).unwrap();
        world.commit(&main(), &[]);
        let next = projected(&views.branch(&main()).unwrap(), "sums").tree;
        assert_eq!(working.tree.root(), next.root());
        views.forget_all().unwrap();
        let again = projected(&views.branch(&main()).unwrap(), "sums").tree;
        assert_eq!(next.root(), again.root());
    }
}

/// A peer that has some blocks, and looks whether it is shown the way to them.
struct Peer {
    blocks: BTreeMap<Cid, Block>,
    root: Option<Cid>,
    asked: u64,
    sent: u64,
}

impl Peer {
    fn with(blocks: impl IntoIterator<Item = Block>) -> Self {
        let blocks = blocks.into_iter().map(|block| (*block.cid(), block));
        Self {
            blocks: blocks.collect(),
            root: None,
            asked: 0,
            sent: 0,
        }
    }
}

impl BlockPeer for Peer {
    type Error = ViewError;

    fn known(&mut self, _commits: &[Cid]) -> Result<BTreeSet<Cid>, ViewError> {
        Ok(BTreeSet::new())
    }

    fn fetch(&mut self, path: &[Cid], names: &[Cid], keep: Keep<'_>) -> Result<(), ViewError> {
        self.asked += 1;
        let mut shown: BTreeSet<Cid> = self.root.into_iter().collect();
        // Who is to be found out answers without looking.
        for step in path.iter().filter(|_| self.root.is_some()) {
            assert!(shown.contains(step), "{step} was not shown");
            let node = Node::decode(self.blocks[step].bytes()).unwrap();
            assert!(!node.is_leaf());
            shown = (0..node.len())
                .filter_map(|child| node.link(child))
                .collect();
        }
        assert!(names.len() <= 256);
        for names in names.chunks(100) {
            assert!(
                names
                    .iter()
                    .all(|name| self.root.is_none() || shown.contains(name))
            );
            let blocks = names
                .iter()
                .filter_map(|name| self.blocks.get(name).cloned());
            let blocks: Vec<Block> = blocks.collect();
            self.sent += blocks
                .iter()
                .map(|block| block.bytes().len() as u64)
                .sum::<u64>();
            keep(blocks)?;
        }
        Ok(())
    }
}

fn fetch(snapshot: &Snapshot, called: &str, root: Cid, peer: &mut Peer) -> Result<u64, ViewError> {
    let go_on = &mut |_| ControlFlow::Continue(());
    snapshot.fetch_tree((&name(called), root), peer, go_on)
}

/// The blocks of a tree, taken out of the store.
fn taken(world: &World, tree: &Tree) -> Vec<Block> {
    let store = world.repo.store();
    let mut open = vec![tree.root()];
    let mut blocks = Vec::new();
    while let Some(cid) = open.pop() {
        let block = store.get(&cid).unwrap().unwrap();
        let node = Node::decode(block.bytes()).unwrap();
        if !node.is_leaf() {
            open.extend((0..node.len()).filter_map(|child| node.link(child)));
        }
        blocks.push(block);
    }
    take(world, &blocks);
    blocks
}

fn take(world: &World, blocks: &[Block]) {
    let garbage = Garbage {
        blocks: blocks.iter().map(|block| *block.cid()).collect(),
        refs: Vec::new(),
    };
    let store = world.repo.store();
    store.sweep(&mut || Ok(garbage.clone())).unwrap();
}

#[test]
fn a_tree_comes_node_by_node_and_what_is_here_is_not_asked_for() {
    let (world, _, tree) = many();
    let blocks = taken(&world, &tree);
    let total = blocks.len() as u64;
    let root = Node::decode(blocks[0].bytes()).unwrap();
    assert!(root.level() > 1 && total > 100, "{} {total}", root.level());
    // By who has nothing of it in memory.
    let views =
        Views::open(&allod_repo::Repo::open(world.repo.store().clone(), world.repo.id()).unwrap())
            .unwrap();
    let snapshot = views.branch(&main()).unwrap();
    let mut peer = Peer::with(blocks);
    peer.root = Some(tree.root());
    // In two goes.
    let go_on = &mut |came| {
        if came > total / 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let of = (&name("by_role"), tree.root());
    let stopped = snapshot.fetch_tree(of, &mut peer, go_on);
    assert!(matches!(stopped, Err(ViewError::Cancelled)), "{stopped:?}");
    let came = fetch(&snapshot, "by_role", tree.root(), &mut peer).unwrap();
    assert!(came > 0 && came < total / 2, "{came} of {total}");
    assert_eq!(
        fetch(&snapshot, "by_role", tree.root(), &mut peer).unwrap(),
        0
    );
    assert!(!snapshot.is_whole(&name("by_role")).unwrap());
    adopt(&snapshot, "by_role", tree.root(), 100).unwrap();
    assert!(snapshot.is_whole(&name("by_role")).unwrap());
    // What is lost again is not whole, whatever is known of it.
    take(&world, &[peer.blocks.into_values().next().unwrap()]);
    assert!(snapshot.is_fresh(&name("by_role")).unwrap());
    assert!(!snapshot.is_whole(&name("by_role")).unwrap());
}

/// Whatever a peer sends, it ends with a word for it, early, and nothing is kept as the projection.
#[test]
fn a_hostile_peer_is_found_out_before_it_fills_the_disk() {
    let (world, _, tree) = many();
    let repo = allod_repo::Repo::open(world.repo.store().clone(), world.repo.id()).unwrap();
    let blocks = taken(&world, &tree);
    let views = Views::open(&repo).unwrap();
    let snapshot = views.branch(&main()).unwrap();
    let built = |entries: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>| {
        let mut blocks = Vec::new();
        let tree = Tree::build(entries, &mut |block| blocks.push(block)).unwrap();
        (tree.root(), blocks)
    };
    // Children that do not come, whichever.
    for gone in [1, blocks.len() / 2, blocks.len() - 1] {
        let gone = *blocks[gone].cid();
        let mut peer = Peer::with(blocks.iter().filter(|block| *block.cid() != gone).cloned());
        let fetched = fetch(&snapshot, "by_role", tree.root(), &mut peer);
        assert!(
            matches!(&fetched, Err(ViewError::Incomplete { node, .. }) if **node == gone),
            "{fetched:?}"
        );
        take(&world, &blocks);
    }
    // Nothing at all.
    let lost = sha256_cid(Codec::DagCbor, b"nothing");
    let fetched = fetch(&snapshot, "by_role", lost, &mut Peer::with([]));
    assert!(
        matches!(fetched, Err(ViewError::Incomplete { .. })),
        "{fetched:?}"
    );
    // More entries than records: the root tells.
    let many = &mut (0..MANY * 3).map(|n| (n.to_be_bytes().to_vec(), vec![0; 100]));
    let (root, made) = built(many);
    let mut peer = Peer::with(made);
    let fetched = fetch(&snapshot, "by_role", root, &mut peer);
    assert!(
        matches!(fetched, Err(ViewError::TooLarge(_))),
        "{fetched:?}"
    );
    assert!(peer.sent <= 40 * 1024, "{} bytes", peer.sent);
    // Not more, but longer than any.
    let long = &mut (0..MANY).map(|n| {
        let key = [&n.to_be_bytes()[..], &[7; 4000]].concat();
        (key, vec![0; 2048])
    });
    let (root, made) = built(long);
    let all: u64 = made.iter().map(|block| block.bytes().len() as u64).sum();
    let mut peer = Peer::with(made);
    let fetched = fetch(&snapshot, "by_role", root, &mut peer);
    assert!(
        matches!(fetched, Err(ViewError::TooLarge(_))),
        "{fetched:?}"
    );
    assert!(peer.sent < all * 2 / 3, "{} of {all} bytes", peer.sent);
    // What is no tree: a block, the name of a file, a node whose children are of another.
    let block = Block::new(Codec::DagCbor, &b"\x00"[..]).unwrap();
    let root = *block.cid();
    let fetched = fetch(&snapshot, "by_role", root, &mut Peer::with([block]));
    assert!(
        matches!(fetched, Err(ViewError::Untrue { .. })),
        "{fetched:?}"
    );
    let file = sha256_cid(Codec::Raw, b"nothing");
    let fetched = fetch(&snapshot, "by_role", file, &mut Peer::with([]));
    assert!(
        matches!(fetched, Err(ViewError::Untrue { .. })),
        "{fetched:?}"
    );
    assert!(!snapshot.is_fresh(&name("by_role")).unwrap());
    assert!(
        repo.store()
            .scan_refs(b"view/", None, 10)
            .unwrap()
            .is_empty()
    );
    // The honest one.
    fetch(&snapshot, "by_role", tree.root(), &mut Peer::with(blocks)).unwrap();
    adopt(&snapshot, "by_role", tree.root(), 100).unwrap();
}
