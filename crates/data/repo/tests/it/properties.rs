//! What a versioned store promises, one property a test (M-0 of `specs/conformance.md`): `kv` for
//! values and commits, `branching` for branches; those of positions are tested with the node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_blocks::{Block, Codec, MemoryStore, Store};
use allod_identity::Signed;
use allod_repo::{
    BranchName, Commit, CommitId, Content, Edit, Entry, Heads, Repo, RepoError, Span, Stamp, State,
};
use allod_tree::{Node, Tree};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{Person, START, heads, main, on, scale, space, space_in};

/// What to do with keys: a value, or none.
type Edits = Vec<(Vec<u8>, Option<Vec<u8>>)>;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 24 * scale(),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-d]{1,3}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 1..40),
    ]
}

fn edits() -> impl Strategy<Value = Edits> {
    let value = prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..200));
    prop::collection::vec((keys(), value), 1..30)
}

fn history() -> impl Strategy<Value = Vec<Edits>> {
    prop::collection::vec(edits(), 1..6)
}

fn apply(map: &mut Map, edits: &Edits) {
    for (key, value) in edits {
        match value {
            Some(value) => drop(map.insert(key.clone(), value.clone())),
            None => drop(map.remove(key)),
        }
    }
}

/// Commits edits to a branch. The same key may come twice: the last one counts.
fn commit(repo: &Repo, who: &Person, branch: &BranchName, edits: &Edits, now: u64) -> CommitId {
    let edits = edits.iter().map(|(key, value)| {
        let edit = value
            .as_ref()
            .map_or(Edit::Delete, |value| Edit::Put(value.clone().into()));
        (Bytes::from(key.clone()), edit)
    });
    repo.stage(branch, edits, now).unwrap();
    repo.commit_staged(branch, who.author(), "property", now)
        .unwrap()
}

fn content(view: &allod_repo::View) -> Map {
    let items = view.range(&Span::all(), false);
    let pair = |item: Result<(Bytes, Entry), RepoError>| {
        let (key, entry) = item.unwrap();
        match view.content(&entry).unwrap() {
            Some(Content::Bytes(value)) => (key.to_vec(), value.to_vec()),
            other => panic!("{other:?}"),
        }
    };
    items.map(pair).collect()
}

/// A space with a history, and what it held after each commit.
fn lived(who: &Person, history: &[Edits]) -> (Repo, Vec<(CommitId, Map)>) {
    let repo = space(who);
    let mut map = Map::new();
    let mut states = Vec::new();
    for (edits, now) in history.iter().zip(START..) {
        let id = commit(&repo, who, &main(), edits, now);
        apply(&mut map, edits);
        states.push((id, map.clone()));
    }
    (repo, states)
}

/// A tree with its blocks.
fn tree(pairs: &Map) -> (Tree, Vec<Block>) {
    let mut blocks = Vec::new();
    let built = Tree::build(pairs, &mut |block| blocks.push(block)).unwrap();
    (built, blocks)
}

fn many() -> impl Strategy<Value = Map> {
    (100u32..3000, any::<u32>()).prop_map(|(count, salt)| {
        let key = |n: u32| {
            (n ^ salt)
                .wrapping_mul(2_654_435_761)
                .to_be_bytes()
                .to_vec()
        };
        (0..count).map(|n| (key(n), vec![n as u8; 40])).collect()
    })
}

fn names() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,6}(/[a-z0-9]{1,4})?"
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn kv_p01_put_get(edits in edits()) {
        let (repo, states) = lived(&Person::new(1), &[edits]);
        let view = repo.state(&main()).unwrap();
        for (key, value) in &states[0].1 {
            let expected = Some(Content::Bytes(value.clone().into()));
            prop_assert_eq!(view.get(key).unwrap(), expected);
        }
    }

    #[test]
    fn kv_p02_delete(edits in edits(), which in any::<prop::sample::Index>()) {
        let who = Person::new(1);
        let (repo, _) = lived(&who, std::slice::from_ref(&edits));
        let key = edits[which.index(edits.len())].0.clone();
        commit(&repo, &who, &main(), &vec![(key.clone(), None)], START + 1);
        prop_assert_eq!(repo.state(&main()).unwrap().get(&key).unwrap(), None);
    }

    /// A value that changes and keeps its length moves no end of a node.
    #[test]
    fn kv_p03_chunk_stability(pairs in many(), which in any::<prop::sample::Index>()) {
        let ends = |blocks: &[Block]| -> BTreeSet<(u8, Bytes)> {
            let nodes = blocks.iter().map(|block| Node::decode(block.bytes()).unwrap());
            nodes.map(|node| (node.level(), node.key(node.len() - 1).unwrap())).collect()
        };
        let mut changed = pairs.clone();
        let key = pairs.keys().nth(which.index(pairs.len())).unwrap();
        changed.insert(key.clone(), vec![0xee; 40]);
        prop_assert_eq!(ends(&tree(&pairs).1), ends(&tree(&changed).1));
    }

    #[test]
    fn kv_p04_p05_pair_serialisation(
        stamp in any::<u64>(),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..1024)),
    ) {
        let state = value.map_or(State::Tombstone, |value| State::Value(value.into()));
        let entry = Entry { stamp: Stamp::from_bits(stamp), state };
        prop_assert_eq!(Entry::decode(&entry.encode()).unwrap(), entry);
    }

    /// The same entries give the same root, in whatever order and however often they came.
    #[test]
    fn kv_p06_tree_determinism_history_independence(edits in edits(), later in edits()) {
        let mut map = Map::new();
        apply(&mut map, &edits);
        apply(&mut map, &later);
        let step = |tree: Tree, (key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            tree.edit([(key.clone(), value.clone())], &mut |_| {}).unwrap()
        };
        let one_by_one = edits.iter().chain(&later).fold(Tree::empty(), step);
        prop_assert_eq!(one_by_one.root(), tree(&map).0.root());
    }

    #[test]
    fn kv_p07_cas_round_trip(content in prop::collection::vec(any::<u8>(), 0..4096)) {
        let store = MemoryStore::new();
        let block = Block::new(Codec::Raw, content.clone()).unwrap();
        let mut batch = allod_blocks::Batch::new();
        batch.put(block.clone());
        let _done = store.commit(batch).unwrap();
        let read = store.get(block.cid()).unwrap().unwrap();
        prop_assert_eq!(&read.bytes()[..], &content[..]);
        prop_assert_eq!(read, block);
    }

    #[test]
    fn kv_p08_commit_structure(history in history()) {
        let who = Person::new(1);
        let (repo, states) = lived(&who, &history);
        for ((id, _), generation) in states.iter().zip(1..) {
            let commit = repo.commit(*id).unwrap();
            let said = commit.payload();
            prop_assert_eq!((said.generation, said.author), (generation, who.author().agent));
            prop_assert_eq!(&said.message, "property");
            prop_assert_eq!(repo.tree(said.tree).unwrap().root(), said.tree);
        }
    }

    #[test]
    fn kv_p09_commit_chain(history in history()) {
        let (repo, states) = lived(&Person::new(1), &history);
        let mut before = Vec::new();
        for (id, _) in &states {
            let commit = repo.commit(*id).unwrap();
            prop_assert_eq!(&commit.payload().parents, &before);
            before = vec![*id];
        }
        let log = repo.log(&heads(&repo)).unwrap().map(|item| item.unwrap().0);
        let newest_first: Vec<_> = states.iter().rev().map(|(id, _)| *id).collect();
        prop_assert_eq!(log.collect::<Vec<_>>(), newest_first);
    }

    #[test]
    fn kv_p10_commit_round_trip(edits in edits()) {
        let (repo, states) = lived(&Person::new(1), &[edits]);
        let commit = repo.commit(states[0].0).unwrap();
        let read = Signed::<Commit>::decode(commit.bytes().clone()).unwrap().verify().unwrap();
        prop_assert_eq!(read.payload(), commit.payload());
        prop_assert_eq!(read.cid(), commit.cid());
    }

    #[test]
    fn kv_p11_time_travel(history in history()) {
        let (repo, states) = lived(&Person::new(1), &history);
        for (id, map) in &states {
            prop_assert_eq!(&content(&repo.at(*id).unwrap()), map);
        }
    }

    /// A branch that begins at a commit has its state, and leaves the other as it was.
    #[test]
    fn kv_p12_checkout(history in history(), which in any::<prop::sample::Index>()) {
        let (repo, states) = lived(&Person::new(1), &history);
        let (id, map) = &states[which.index(states.len())];
        repo.create_branch(&on("old"), &Heads::from([*id])).unwrap();
        prop_assert_eq!(&content(&repo.state(&on("old")).unwrap()), map);
        prop_assert_eq!(&content(&repo.state(&main()).unwrap()), &states[states.len() - 1].1);
    }

    #[test]
    fn kv_p13_diff_correctness(history in history()) {
        let (repo, states) = lived(&Person::new(1), &history);
        let (first, last) = (&states[0], &states[states.len() - 1]);
        let (before, after) = (repo.at(first.0).unwrap(), repo.at(last.0).unwrap());
        let found: BTreeSet<Vec<u8>> = before
            .diff(&after, &Span::all())
            .map(|change| change.unwrap().key.to_vec())
            .collect();
        let all = first.1.keys().chain(last.1.keys());
        let differ = all.filter(|key| first.1.get(*key) != last.1.get(*key));
        prop_assert_eq!(found, differ.cloned().collect::<BTreeSet<_>>());
    }

    #[test]
    fn kv_p14_identical_states_have_an_empty_diff(history in history()) {
        let (repo, _) = lived(&Person::new(1), &history);
        let view = repo.state(&main()).unwrap();
        prop_assert_eq!(view.diff(&view, &Span::all()).count(), 0);
    }

    #[test]
    fn kv_p15_structural_sharing(pairs in many(), key in prop::collection::vec(any::<u8>(), 4)) {
        let before = tree(&pairs).0;
        let mut new = 0;
        let edit = [(key, Some(vec![7; 40]))];
        before.edit(edit, &mut |_| new += 1).unwrap();
        let bound = 2.0 * (pairs.len() as f64).log2();
        prop_assert!(f64::from(new) <= bound, "{new} new nodes of {} entries", pairs.len());
    }

    #[test]
    fn kv_p16_restart_persistence(history in history(), staged in edits()) {
        let who = Person::new(1);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let repo = space_in(&who, Arc::clone(&store));
        let mut map = Map::new();
        for (edits, now) in history.iter().zip(START..) {
            commit(&repo, &who, &main(), edits, now);
            apply(&mut map, edits);
        }
        let edits = staged.iter().map(|(key, value)| {
            let edit = value.clone().map_or(Edit::Delete, |value| Edit::Put(value.into()));
            (Bytes::from(key.clone()), edit)
        });
        repo.stage(&main(), edits, START + 100).unwrap();
        let id = repo.id();
        drop(repo);
        let again = Repo::open(store, id).unwrap();
        prop_assert_eq!(&content(&again.state(&main()).unwrap()), &map);
        apply(&mut map, &staged);
        prop_assert_eq!(content(&again.working(&main()).unwrap()), map);
    }

    /// Leaves, then inner nodes: what a node says is what it was made of.
    #[test]
    fn kv_p17_p18_node_serialisation(pairs in many()) {
        let (tree, blocks) = tree(&pairs);
        let nodes: Vec<Node> = blocks.iter().map(|block| Node::decode(block.bytes()).unwrap()).collect();
        let leaves = nodes.iter().filter(|node| node.is_leaf());
        let entries: Map = leaves
            .flat_map(|leaf| leaf.entries().collect::<Vec<_>>())
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect();
        prop_assert_eq!(&entries, &pairs);
        let inner = nodes.iter().filter(|node| !node.is_leaf());
        for (node, index) in inner.flat_map(|node| (0..node.len()).map(move |index| (node, index))) {
            let link = node.link(index).unwrap();
            let child = blocks.iter().position(|block| *block.cid() == link);
            let child = &nodes[child.unwrap()];
            prop_assert_eq!(node.count(index), Some(child.total()));
            prop_assert_eq!(node.key(index), child.key(child.len() - 1));
        }
        prop_assert_eq!(tree.len(), pairs.len() as u64);
    }

    #[test]
    fn diff_symmetry(history in history()) {
        let (repo, states) = lived(&Person::new(1), &history);
        let (first, last) = (states[0].0, states[states.len() - 1].0);
        let (left, right) = (repo.at(first).unwrap(), repo.at(last).unwrap());
        let forth = left.diff(&right, &Span::all()).map(|change| {
            let change = change.unwrap();
            (change.key, change.before, change.after)
        });
        let back = right.diff(&left, &Span::all()).map(|change| {
            let change = change.unwrap();
            (change.key, change.after, change.before)
        });
        prop_assert_eq!(forth.collect::<Vec<_>>(), back.collect::<Vec<_>>());
    }

    #[test]
    fn diff_apply_reconstruction(before in many(), edits in edits()) {
        let mut after = before.clone();
        apply(&mut after, &edits);
        let (left, right) = (tree(&before).0, tree(&after).0);
        let changes: Vec<_> = left
            .diff(&right)
            .map(|change| change.map(|change| (change.key, change.right)))
            .collect::<Result<_, _>>()
            .unwrap();
        prop_assert_eq!(left.edit(changes, &mut |_| {}).unwrap().root(), right.root());
    }

    #[test]
    fn branching_p01_create_round_trip(name in names(), history in history()) {
        prop_assume!(name.parse::<BranchName>().is_ok_and(|name| !name.is_meta() && name != main()));
        let (repo, states) = lived(&Person::new(1), &history);
        let at = Heads::from([states[0].0]);
        repo.create_branch(&on(&name), &at).unwrap();
        prop_assert_eq!(repo.heads(&on(&name)).unwrap(), at);
        prop_assert!(matches!(
            repo.create_branch(&on(&name), &heads(&repo)),
            Err(RepoError::BranchExists(_))
        ));
    }

    #[test]
    fn branching_p02_listing_p04_deletion(
        made in prop::collection::btree_set("[a-z]{2,8}", 1..8),
        gone in any::<prop::sample::Index>(),
    ) {
        let (repo, _) = lived(&Person::new(1), &[vec![(b"k".to_vec(), None)]]);
        let mut expected: BTreeSet<String> = made.into_iter().collect();
        expected.retain(|name| !["main", "meta"].contains(&&name[..]));
        for name in &expected {
            repo.create_branch(&on(name), &heads(&repo)).unwrap();
        }
        let listed = |repo: &Repo| -> BTreeSet<String> {
            let names = repo.branches().unwrap().into_iter();
            names.map(|(name, _)| name.to_string()).filter(|name| name != "main").collect()
        };
        prop_assert_eq!(&listed(&repo), &expected);
        prop_assume!(!expected.is_empty());
        let gone = expected.iter().nth(gone.index(expected.len())).unwrap().clone();
        repo.delete_branch(&on(&gone), false).unwrap();
        expected.remove(&gone);
        prop_assert_eq!(listed(&repo), expected);
        prop_assert!(repo.delete_branch(&main(), true).is_err());
    }

    #[test]
    fn branching_p03_name_rejection(
        name in names(),
        bad in prop::sample::select(vec![
            "~", "^", ":", "?", "*", "[", "\\", " ", "..", "//", "/", "\0", "\n", ".lock", "@{", "\u{e9}",
        ]),
    ) {
        for text in [format!("{name}{bad}"), format!("-{name}"), format!(".{name}"), format!("../{name}")] {
            prop_assert!(text.parse::<BranchName>().is_err(), "{text:?}");
        }
        prop_assert!("HEAD".parse::<BranchName>().is_err() && "".parse::<BranchName>().is_err());
        prop_assert!("n".repeat(129).parse::<BranchName>().is_err());
    }

    #[test]
    fn branching_p07_a_commit_advances_its_branch_alone(history in history(), more in edits()) {
        let who = Person::new(1);
        let (repo, states) = lived(&who, &history);
        repo.create_branch(&on("side"), &heads(&repo)).unwrap();
        let before = heads(&repo);
        let id = commit(&repo, &who, &on("side"), &more, START + 100);
        prop_assert_eq!(repo.heads(&on("side")).unwrap(), Heads::from([id]));
        prop_assert_eq!(heads(&repo), before);
        let mut map = states[states.len() - 1].1.clone();
        apply(&mut map, &more);
        prop_assert_eq!(content(&repo.state(&on("side")).unwrap()), map);
    }

    #[test]
    fn branching_p09_persistence(made in prop::collection::btree_set("[a-z]{2,8}", 1..8)) {
        let who = Person::new(1);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let repo = space_in(&who, Arc::clone(&store));
        for (name, now) in made.iter().filter(|name| *name != "meta").zip(START..) {
            commit(&repo, &who, &on(name), &vec![(name.clone().into_bytes(), Some(vec![1]))], now);
        }
        let before = repo.branches().unwrap();
        prop_assert_eq!(Repo::open(store, repo.id()).unwrap().branches().unwrap(), before);
    }
}
