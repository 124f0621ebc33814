//! Three-way merges of large maps, beside prolly-map.
//!
//! Ours is a merge of branches: it finds the base, signs a commit and stores it with the heads. The
//! peer merges three trees that it is given.

use std::sync::Arc;
use std::time::Instant;

use allod_blocks::{MemoryStore, Store as _};
use allod_identity::SecretKey;
use allod_repo::{BranchName, Edit, Genesis, MergeOptions, Outcome, Repo, SpaceClass, Transaction};
use prolly::{
    BatchBuilder, Config, MemStore, Mutation, NodeStoreScan as _, Prolly, Store as _, Tree,
};

use crate::{author, median, row};

pub const NOW: u64 = 1_700_000_000_000;

const VALUE_BYTES: usize = 100;

/// A merge to measure: what is there, and what the sides change.
struct Case {
    name: String,
    entries: u64,
    ours: Vec<Vec<u8>>,
    theirs: Vec<Vec<u8>>,
    target: &'static str,
}

/// Keys of 16 bytes that spread evenly, in order.
pub fn key(index: u64, of: u64) -> Vec<u8> {
    let place = (u128::from(index) << 64) / u128::from(of);
    [&(place as u64).to_be_bytes()[..], &index.to_be_bytes()].concat()
}

pub fn value(seed: u8) -> Vec<u8> {
    vec![seed; VALUE_BYTES]
}

fn cases(sizes: &[u64]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &entries in sizes {
        let scattered = |from: u64| -> Vec<_> {
            (0..1000)
                .map(|n| key(n * (entries / 1000) + from, entries))
                .collect()
        };
        let last = entries == sizes[sizes.len() - 1];
        cases.push(Case {
            name: format!("merge, 1000 changes on each side, {entries} entries"),
            entries,
            ours: scattered(0),
            theirs: scattered(entries / 2000),
            target: if last { "<= 0.5x prolly-map" } else { "" },
        });
        cases.push(Case {
            name: format!("merge that appends 10000 keys, {entries} entries"),
            entries,
            ours: vec![key(0, entries)],
            theirs: (0..10_000u64)
                .map(|n| [&[0xff; 8][..], &n.to_be_bytes()].concat())
                .collect(),
            target: if last {
                "<= 5 ms, <= 0.2x prolly-map"
            } else {
                ""
            },
        });
    }
    cases
}

pub fn run(sizes: &[u64]) {
    for case in cases(sizes) {
        let (ours, peer) = (Ours::new(&case), Peer::new(&case));
        let (mut left, mut right, mut joined) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..5 {
            joined.push(ours.join_trees());
            for turn in 0..2 {
                if (round + turn) % 2 == 0 {
                    left.push(ours.merge(round));
                } else {
                    right.push(peer.merge());
                }
            }
        }
        let peer = Some(("prolly-map 0.7.2", median(right)));
        row(&case.name, "ms", median(left), peer, case.target);
        let name = format!("{}, trees alone", case.name);
        row(&name, "ms", median(joined), peer, "");
    }
    written(sizes.iter().copied().max().unwrap_or(0).min(1_000_000));
}

fn all(entries: u64) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    (0..entries).map(move |index| (key(index, entries), value(1)))
}

/// A space in memory with a branch that has all entries.
pub fn filled(who: &SecretKey, entries: u64) -> (Repo, Arc<MemoryStore>) {
    let genesis = Genesis {
        at: NOW,
        class: SpaceClass::Convergent,
        name: "bench".into(),
        nonce: [1; 16],
        owner: who.agent_id(),
    };
    let store = Arc::new(MemoryStore::new());
    let repo = Repo::create(store.clone(), genesis, author(who)).expect("a space");
    commit(&repo, &BranchName::main(), who, all(entries));
    (repo, store)
}

pub fn commit(
    repo: &Repo,
    branch: &BranchName,
    who: &SecretKey,
    entries: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
) {
    let mut transaction: Transaction = repo.begin(branch).expect("begins");
    for (key, value) in entries {
        transaction.put(key, value).expect("puts");
    }
    transaction
        .commit(author(who), "bench", NOW)
        .expect("commits");
}

struct Ours {
    repo: Repo,
    who: SecretKey,
}

pub fn named(name: &str) -> BranchName {
    name.parse().expect("a name")
}

impl Ours {
    fn new(case: &Case) -> Self {
        let who = SecretKey::from_seed([7; 32]);
        let (repo, _) = filled(&who, case.entries);
        let start = repo.heads(&BranchName::main()).expect("heads");
        for (name, keys, seed) in [("ours", &case.ours, 2), ("theirs", &case.theirs, 3)] {
            let branch = named(name);
            repo.create_branch(&branch, &start).expect("a branch");
            let changes = keys.iter().map(|key| (key.clone(), value(seed)));
            commit(&repo, &branch, &who, changes);
        }
        Self { repo, who }
    }

    /// Joins the two trees, without a base, a commit or a store; milliseconds.
    fn join_trees(&self) -> f64 {
        let state = |name| self.repo.state(&named(name)).expect("a state");
        let (ours, theirs) = (state("ours"), state("theirs"));
        let started = Instant::now();
        let joined = allod_repo::join(
            ours.tree(),
            theirs.tree(),
            &|cid| Err(allod_repo::RepoError::Missing(*cid)),
            &mut |_block| {},
        );
        let taken = started.elapsed().as_secs_f64() * 1e3;
        assert!(joined.is_ok());
        taken
    }

    /// Merges on a branch of its own; milliseconds.
    fn merge(&self, round: usize) -> f64 {
        let branch = named(&format!("round-{round}"));
        let ours = self.repo.heads(&named("ours")).expect("heads");
        self.repo.create_branch(&branch, &ours).expect("a branch");
        let theirs = self.repo.heads(&named("theirs")).expect("heads");
        let options = MergeOptions::default();
        let started = Instant::now();
        let outcome = self
            .repo
            .merge(&branch, &theirs, author(&self.who), &options, NOW);
        let taken = started.elapsed().as_secs_f64() * 1e3;
        assert!(matches!(outcome, Ok(Outcome::Done(_))));
        taken
    }
}

struct Peer {
    map: Prolly<Arc<MemStore>>,
    base: Tree,
    ours: Tree,
    theirs: Tree,
}

fn upserts(keys: &[Vec<u8>], seed: u8) -> Vec<Mutation> {
    keys.iter()
        .map(|key| Mutation::Upsert {
            key: key.clone(),
            val: value(seed),
        })
        .collect()
}

fn peer_filled(entries: u64) -> (Prolly<Arc<MemStore>>, Tree) {
    let store = Arc::new(MemStore::new());
    let mut builder = BatchBuilder::new(Arc::clone(&store), Config::default());
    for (key, value) in all(entries) {
        builder.add(key, value);
    }
    let base = builder.build().expect("builds");
    (Prolly::new(store, Config::default()), base)
}

impl Peer {
    fn new(case: &Case) -> Self {
        let (map, base) = peer_filled(case.entries);
        let ours = map.batch(&base, upserts(&case.ours, 2)).expect("edits");
        let theirs = map.batch(&base, upserts(&case.theirs, 3)).expect("edits");
        Self {
            map,
            base,
            ours,
            theirs,
        }
    }

    fn merge(&self) -> f64 {
        let started = Instant::now();
        let merged = self.map.merge(&self.base, &self.ours, &self.theirs, None);
        let taken = started.elapsed().as_secs_f64() * 1e3;
        assert!(merged.is_ok());
        taken
    }
}

/// Bytes written per changed entry by commits of 1000 scattered changes.
fn written(entries: u64) {
    const COMMITS: u64 = 100;
    let changes = |round: u64| -> Vec<Vec<u8>> {
        (0..1000)
            .map(|n| key((n * 7919 + round * 104_729) % entries, entries))
            .collect()
    };
    let who = SecretKey::from_seed([7; 32]);
    let (repo, store) = filled(&who, entries);
    let main = BranchName::main();
    let before = store.stats().expect("figures").bytes;
    for round in 0..COMMITS {
        let edits = changes(round).into_iter().map(|key| {
            let value = value(round as u8);
            (key.into(), Edit::Put(value.into()))
        });
        repo.stage(&main, edits, NOW).expect("stages");
        repo.commit_staged(&main, author(&who), "bench", NOW)
            .expect("commits");
    }
    let ours = store.stats().expect("figures").bytes - before;
    let (map, mut tree) = peer_filled(entries);
    let before = node_bytes(map.store());
    for round in 0..COMMITS {
        tree = map
            .batch(&tree, upserts(&changes(round), round as u8))
            .expect("edits");
    }
    let peer = node_bytes(map.store()) - before;
    let each = |bytes: u64| bytes as f64 / (COMMITS * 1000) as f64;
    row(
        &format!("bytes written per entry changed, 100 commits of 1000 on {entries}"),
        "bytes",
        each(ours),
        Some(("prolly-map 0.7.2", each(peer))),
        "<= 0.7x prolly-map",
    );
}

fn node_bytes(store: &MemStore) -> u64 {
    let nodes = store.list_node_cids().expect("lists");
    let size = |node: &prolly::Cid| {
        store
            .get(&node.0)
            .expect("reads")
            .map_or(0, |node| node.len() as u64)
    };
    nodes.iter().map(size).sum()
}
