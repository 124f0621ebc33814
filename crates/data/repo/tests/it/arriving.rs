//! Commits whose tree comes node by node (REPO-15, REPO-16, REPO-19), against the rules on maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Batch, Block, Cid, Garbage};
use allod_identity::Verified;
use allod_repo::{Commit, CommitId, Entry, Refusal, Rejected, Repo, Stamp, State, left_wins};
use allod_tree::Tree;
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{Person, START, heads, main, refusal, replica, scale, space};

type Map = BTreeMap<Bytes, Bytes>;

/// Makes a tree and a commit of it with these parents, as it would arrive.
fn made(repo: &Repo, ada: &Person, parents: &[CommitId], map: &Map, now: u64) -> Arrived {
    let mut blocks = BTreeMap::new();
    let tree = Tree::build(map.iter(), &mut |block: Block| {
        blocks.insert(*block.cid(), block);
    });
    let generation = |id: &CommitId| repo.commit(*id).unwrap().payload().generation;
    let commit = Commit {
        author: ada.author().agent,
        branch: main(),
        generation: parents.iter().map(generation).max().unwrap_or(0) + 1,
        message: String::new(),
        parents: parents.to_vec(),
        parts: None,
        policy: None,
        space: repo.id(),
        stamp: Stamp::at_millis(now),
        tree: tree.unwrap().root(),
    };
    let commit = Verified::sign(&ada.0, commit).unwrap();
    Arrived { commit, blocks }
}

struct Arrived {
    commit: Verified<Commit>,
    blocks: BTreeMap<Cid, Block>,
}

impl Arrived {
    /// Feeds what is asked for, and accepts it.
    fn arrive(&self, at: &Repo) -> Result<CommitId, Rejected> {
        let reviewed = at.review(self.commit.bytes().clone(), START + 1000)?;
        let mut tree = at.fetch_tree(reviewed)?;
        loop {
            let wanted = tree.want(3);
            if wanted.is_empty() {
                break;
            }
            for cid in wanted {
                let stored = at.store().get(&cid)?;
                let block = stored.unwrap_or_else(|| self.blocks[&cid].clone());
                assert!(tree.feed(block.clone())?);
                // What comes twice changes nothing.
                assert!(!tree.feed(block.clone())?);
                let mut batch = Batch::new();
                batch.put(block);
                let _outcome = at.store().commit(batch)?;
            }
        }
        let complete = tree.finish(at)?;
        let id = complete.id();
        at.accept(complete, &main())?;
        Ok(id)
    }
}

fn key(number: u16) -> Bytes {
    format!("key {number:04}").into()
}

fn entry(age: u64, value: u8) -> Bytes {
    let stamp = Stamp::at_millis(START + age);
    let state = State::Value(vec![value; 200].into());
    Entry { stamp, state }.encode()
}

/// What the rules say of a commit of `map` made at `now` onto `base`.
fn verdict(base: &Map, map: &Map, now: u64) -> Result<(), Refusal> {
    for (key, entry) in map {
        let before = base.get(key);
        if before == Some(entry) {
            continue;
        }
        let stamp = Entry::decode(entry).unwrap().stamp;
        if stamp > Stamp::at_millis(now) || before.is_some_and(|before| left_wins(before, entry)) {
            return Err(Refusal::EntryStamp);
        }
    }
    let all_there = base.keys().all(|key| map.contains_key(key));
    all_there.then_some(()).ok_or(Refusal::Tree)
}

fn join(left: &Map, right: &Map) -> Map {
    let mut joined = left.clone();
    for (key, entry) in right {
        let there = joined.entry(key.clone()).or_insert_with(|| entry.clone());
        if !left_wins(there, entry) {
            *there = entry.clone();
        }
    }
    joined
}

/// Keys with the age and the value of their entries.
fn entries(keys: usize) -> impl Strategy<Value = Map> {
    prop::collection::btree_map(0u16..400, (1u64..90, any::<u8>()), 0..keys).prop_map(|map| {
        let entries = map.into_iter();
        entries
            .map(|(number, (age, value))| (key(number), entry(age, value)))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48 * scale(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A tree that keeps and renews entries is taken; one that loses a key, or brings an older
    /// entry or one from later than its commit, is refused for that.
    #[test]
    fn a_fetched_tree_is_judged_as_maps_are(
        first in entries(300),
        second in entries(30),
        edits in entries(20),
        lost in prop::collection::vec(0u16..400, 0..2),
        now in 80u64..101,
    ) {
        let ada = Person::new(1);
        let repo = space(&ada);
        let other = replica(&repo);
        let one = made(&repo, &ada, &[], &first, START + 90).arrive(&other).unwrap();
        let two = made(&repo, &ada, &[], &second, START + 91).arrive(&other).unwrap();
        for (parents, base) in [
            (vec![one], first.clone()),
            (Vec::new(), Map::new()),
            (sorted(&[one, two]), join(&first, &second)),
        ] {
            // Honest edits win; the others stand as they were drawn.
            let mut map = join(&base, &edits);
            let drawn = edits.iter().take(usize::from(now % 3 == 0));
            map.extend(drawn.map(|(key, entry)| (key.clone(), entry.clone())));
            for number in &lost {
                map.remove(&key(*number));
            }
            if map.is_empty() {
                continue;
            }
            let now = now + 12;
            let before = heads(&other);
            let commit = made(&other, &ada, &parents, &map, START + now);
            match (verdict(&base, &map, START + now), commit.arrive(&other)) {
                (Ok(()), outcome) => {
                    let id = outcome.unwrap();
                    let view = other.at(id).unwrap();
                    let count = view.tree().iter().flatten().count();
                    prop_assert_eq!(count, map.len());
                }
                (Err(refused), outcome) => {
                    let why = refusal(outcome.map(|_| ()));
                    // What is wrong in two ways is refused for the one that is met first.
                    let lost_too = base.keys().any(|key| !map.contains_key(key));
                    prop_assert!(why == refused || lost_too, "{why:?}, not {refused:?}");
                    prop_assert_eq!(heads(&other), before);
                }
            }
        }
        prop_assert_eq!(other.check(&mut |_, _| {}).unwrap().problem_count, 0);
    }
}

fn sorted(ids: &[CommitId]) -> Vec<CommitId> {
    let mut ids = ids.to_vec();
    ids.sort_by_key(|id| id.cid().to_bytes());
    ids
}

fn numbered(numbers: impl Iterator<Item = u16>, age: u64) -> Map {
    numbers.map(|number| (key(number), entry(age, 1))).collect()
}

/// What is read of the base is bounded by what came: a leaf that leaves keys out is refused when it
/// is fed, and not after a look at all that lies between its keys.
#[test]
fn a_leaf_that_leaves_keys_out_is_refused_at_once() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let other = replica(&repo);
    let base = numbered(0..400, 1);
    let first = made(&repo, &ada, &[], &base, START + 90).arrive(&other);
    let parents = [first.unwrap()];
    let ends = numbered([0, 399].into_iter(), 1);
    let commit = made(&other, &ada, &parents, &ends, START + 91);
    let reviewed = other.review(commit.commit.bytes().clone(), START + 1000);
    let mut tree = other.fetch_tree(reviewed.unwrap()).unwrap();
    let root = tree.want(1)[0];
    assert_eq!(tree.feed(commit.blocks[&root].clone()), Err(Refusal::Tree));
}

/// A check reads the nodes that a merge made, which none of its parents has.
#[test]
fn a_check_notices_a_lost_node_that_only_a_merge_has() {
    let ada = Person::new(1);
    let plain = space(&ada);
    let repo = replica(&plain);
    let base = numbered(0..400, 1);
    let first = made(&plain, &ada, &[], &base, START + 90).arrive(&repo);
    let first = [first.unwrap()];
    // Both change the same leaf, so that the join has one that neither has.
    let side = |number: u16| join(&base, &numbered(std::iter::once(number), 80));
    let sides = [side(100), side(101)];
    let ids: Vec<CommitId> = sides
        .iter()
        .zip(START + 91..)
        .map(|(map, now)| made(&repo, &ada, &first, map, now).arrive(&repo).unwrap())
        .collect();
    let merged = join(&sides[0], &sides[1]);
    let merge = made(&repo, &ada, &sorted(&ids), &merged, START + 95);
    merge.arrive(&repo).unwrap();
    assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
    let nodes = |map: &Map| made(&plain, &ada, &[], map, START).blocks;
    let (left, right) = (nodes(&sides[0]), nodes(&sides[1]));
    let root = merge.commit.payload().tree;
    let own = merge
        .blocks
        .keys()
        .filter(|cid| **cid != root && !left.contains_key(cid) && !right.contains_key(cid));
    let gone: Vec<Cid> = own.copied().collect();
    assert!(!gone.is_empty(), "the merge has a node of its own");
    let swept = repo.store().sweep(&mut || {
        let blocks = gone.clone();
        Ok(Garbage {
            blocks,
            ..Garbage::default()
        })
    });
    assert_eq!(swept.unwrap().blocks.len(), gone.len());
    let report = Repo::open(Arc::clone(repo.store()), repo.id()).unwrap();
    let report = report.check(&mut |_, _| {}).unwrap();
    assert!(report.problem_count > 0);
}
