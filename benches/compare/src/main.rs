//! Two replicas of a million entries that share no history, and differ in a few: bytes, round trips and time
//! of a session that takes what is new, next to negentropy over the same sets.
//!
//! Ours is the whole session: hellos, the commit with its signature, its checks, the entries themselves
//! (which are taken off again), and acceptance. Negentropy finds the names of what differs, and no more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use allod_blocks::MemoryStore;
use allod_identity::{SecretKey, Verified};
use allod_repo::{
    Author, BranchName, Commit, Entry, Genesis, Heads, Repo, SpaceClass, Stamp, State,
};
use allod_sync::{Branches, Input, Me, Outcome, Output, Scope, Session};
use allod_tree::Tree;
use bytes::Bytes;
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use sha2::{Digest as _, Sha256};

const NOW: u64 = 1_700_000_000_000;

type Entries = BTreeMap<Bytes, Bytes>;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (count, rounds) = if quick { (100_000, 1) } else { (1_000_000, 3) };
    let ours: Entries = (0..count).map(|n| entry(n, 0)).collect();
    for differing in [1u64, 10, 100, 1000, 10_000] {
        let mut theirs = ours.clone();
        let mut content = 0;
        for n in 0..differing {
            let (key, value) = entry(n * (count / differing), 1);
            content += key.len() + value.len();
            theirs.insert(key, value);
        }
        let mut times = [Vec::new(), Vec::new()];
        let mut last = [(0, 0); 2];
        for _ in 0..rounds {
            let (bytes, trips, ms) = session(&theirs, &ours);
            last[0] = (bytes - content, trips);
            times[0].push(ms);
            let (bytes, trips, ms) = negentropy(&theirs, &ours, differing as usize);
            last[1] = (bytes, trips);
            times[1].push(ms);
        }
        for times in &mut times {
            times.sort_by(f64::total_cmp);
        }
        let per = |bytes: usize| bytes as f64 / differing as f64;
        let name = format!("{differing} of {count} entries differ, scattered");
        let case = format!("{name}: bytes for each, beyond its content");
        row(&case, "bytes", per(last[0].0), per(last[1].0), "<= 100");
        let case = format!("{name}: round trips after the hellos");
        row(&case, "trips", last[0].1 as f64, last[1].1 as f64, "<= 2");
        let middle = |times: &[f64]| times[times.len() / 2];
        let case = format!("{name}: computing, on both sides");
        row(&case, "ms", middle(&times[0]), middle(&times[1]), "");
    }
}

fn row(case: &str, unit: &str, ours: f64, theirs: f64, target: &str) {
    println!(
        "{}",
        serde_json::json!({
            "area": "compare", "case": case, "unit": unit, "better": "less",
            "ours": ours, "peers": { "negentropy 0.5.3, names only": theirs }, "target": target,
        })
    );
}

/// A key and an entry of some 116 bytes together.
fn entry(number: u64, version: u8) -> (Bytes, Bytes) {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let key: Vec<u8> = (0..2).flat_map(|_| next()).collect();
    let mut value: Vec<u8> = (0..12).flat_map(|_| next()).collect();
    value.truncate(90);
    value[0] = version;
    let entry = Entry {
        stamp: Stamp::at_millis(NOW),
        state: State::Value(value.into()),
    };
    (key.into(), entry.encode())
}

fn owner() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn replica() -> Repo {
    let key = owner();
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let genesis = Genesis {
        at: NOW,
        class: SpaceClass::Convergent,
        name: "bench".into(),
        nonce: [0; 16],
        owner: author.agent,
    };
    Repo::create(Arc::new(MemoryStore::new()), genesis, author).expect("a space")
}

/// A commit without parents, with these entries.
fn rooted(repo: &Repo, entries: &Entries, message: &str) {
    let main = BranchName::main();
    let tree = Tree::build(entries, &mut |_block| {}).expect("a tree");
    let key = owner();
    let commit = Commit {
        author: key.agent_id(),
        branch: main.clone(),
        generation: 1,
        message: message.into(),
        parents: Vec::new(),
        policy: None,
        space: repo.id(),
        stamp: Stamp::at_millis(NOW + 1),
        tree: tree.root(),
    };
    let signed = Verified::sign(&key, commit).expect("signs");
    let reviewed = repo.review(signed.bytes().clone(), NOW + 2).expect("holds");
    let id = reviewed.id();
    let complete = repo.with_changes(reviewed, entries).expect("fits");
    repo.accept(complete, &main).expect("is accepted");
    repo.join_branch(&main, &Heads::from([id])).expect("joins");
}

/// Bytes, round trips after the hellos, and milliseconds of a session that pulls.
fn session(theirs: &Entries, ours: &Entries) -> (usize, usize, f64) {
    let repos = [replica(), replica()];
    rooted(&repos[0], ours, "ours");
    rooted(&repos[1], theirs, "theirs");
    let me = |initiator, scope| Me {
        agent: owner().agent_id(),
        initiator,
        introduce: true,
        scope,
    };
    let peer = owner().device_id();
    let started = Instant::now();
    let mut sessions = [
        Session::new(
            repos[0].clone(),
            me(true, Scope::pull(Branches::All)),
            peer,
            NOW,
        ),
        Session::new(
            repos[1].clone(),
            me(false, Scope::push(Branches::All)),
            peer,
            NOW,
        ),
    ];
    let mut wires: [VecDeque<Bytes>; 2] = Default::default();
    let (mut bytes, mut trips, mut closed) = (0, 0, 0);
    // Whatever is on the way arrives at once; then the side that got it says all it can say.
    while closed < 2 {
        for side in 0..2 {
            let arrived = std::mem::take(&mut wires[side]);
            for frame in arrived {
                sessions[side].handle(NOW + 10, Input::Frame(frame));
            }
            while sessions[side].is_busy() {
                sessions[side].handle(NOW + 10, Input::Tick);
            }
            while let Some(output) = sessions[side].poll() {
                match output {
                    Output::Send(frame) => {
                        bytes += frame.len();
                        wires[1 - side].push_back(frame);
                    }
                    Output::Close(outcome) => {
                        assert_eq!(outcome, Outcome::Complete);
                        closed += 1;
                    }
                    Output::Event(_) => {}
                }
            }
        }
        trips += 1;
    }
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let main = BranchName::main();
    assert_eq!(repos[0].heads(&main).expect("heads").len(), 2);
    // The hellos are one, and the acks at the end are waited for by nobody.
    (bytes, trips - 2, ms)
}

fn names(entries: &Entries) -> NegentropyStorageVector {
    let mut storage = NegentropyStorageVector::with_capacity(entries.len());
    for (key, entry) in entries {
        let digest = Sha256::new()
            .chain_update(key)
            .chain_update(entry)
            .finalize();
        let id = Id::from_byte_array(digest.into());
        storage.insert(0, id).expect("inserts");
    }
    storage.seal().expect("seals");
    storage
}

/// Bytes, round trips and milliseconds of negentropy.
fn negentropy(theirs: &Entries, ours: &Entries, differing: usize) -> (usize, usize, f64) {
    let started = Instant::now();
    let mut client = Negentropy::owned(names(ours), 0).expect("a client");
    let mut server = Negentropy::owned(names(theirs), 0).expect("a server");
    let mut message = client.initiate().expect("begins");
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let (mut bytes, mut trips) = (0, 0);
    loop {
        bytes += message.len();
        let answer = server.reconcile(&message).expect("answers");
        bytes += answer.len();
        trips += 1;
        match client
            .reconcile_with_ids(&answer, &mut have, &mut need)
            .expect("goes on")
        {
            Some(next) => message = next,
            None => break,
        }
    }
    assert_eq!((have.len(), need.len()), (differing, differing));
    (bytes, trips, started.elapsed().as_secs_f64() * 1e3)
}
