//! REPO-10 to REPO-19: what a receiver refuses, one fault at a time.

use std::sync::Arc;

use allod_blocks::{Batch, Block, Codec, MemoryStore, Store, sha256_cid};
use allod_identity::{KEYLOG_EVENTS_MAX, KeyChain, KeyLog, SecretKey, Verified};
use allod_repo::{
    Agents, BranchName, Commit, CommitId, DRIFT_MS_MAX, Edit, Entry, Refusal, Rejected, Repo,
    RepoError, SpaceId, Stamp, State,
};
use bytes::Bytes;

use crate::world::{Person, START, deliver, get, heads, main, put, refusal, replica, send, space};

/// A commit of `repo`'s, changed by `change` and signed again.
fn forged(repo: &Repo, signer: &Person, id: CommitId, change: impl FnOnce(&mut Commit)) -> Bytes {
    let mut commit = repo.commit(id).unwrap().payload().clone();
    change(&mut commit);
    Verified::sign(&signer.0, commit).unwrap().bytes().clone()
}

fn review(to: &Repo, bytes: Bytes) -> Refusal {
    refusal(to.review(bytes, START).map(|_| ()))
}

#[test]
fn each_fault_of_a_commit_is_refused() {
    let (ada, eve) = (Person::new(1), Person::new(2));
    let repo = space(&ada);
    let first = put(&repo, &ada, &[("a", Some("1"))], START);
    let other = replica(&repo);

    let honest = repo.commit(first).unwrap().bytes().clone();
    let mut flipped = honest.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(review(&other, flipped.into()), Refusal::Signature);
    assert!(matches!(
        review(&other, honest.slice(1..)),
        Refusal::Malformed(_)
    ));
    let change = |change: fn(&mut Commit)| review(&other, forged(&repo, &ada, first, change));
    assert_eq!(
        change(|commit| commit.space = SpaceId::from_cid(sha256_cid(Codec::DagCbor, b"other"))),
        Refusal::WrongSpace
    );
    assert_eq!(
        change(|commit| {
            commit.parents = vec![CommitId::from_cid(sha256_cid(Codec::DagCbor, b"unknown"))];
            commit.generation = 2;
        }),
        Refusal::Parent
    );
    assert_eq!(
        change(|commit| commit.stamp = Stamp::at_millis(START + DRIFT_MS_MAX + 1)),
        Refusal::Future
    );
    assert_eq!(
        review(&other, forged(&repo, &eve, first, |_| {})),
        Refusal::Device
    );
    let by_eve = |commit: &mut Commit| commit.author = Person::new(2).author().agent;
    assert_eq!(
        review(&other, forged(&repo, &eve, first, by_eve)),
        Refusal::NotMember
    );
    assert_eq!(
        review(
            &other,
            forged(&repo, &eve, first, |commit| {
                commit.author = Person::new(2).author().agent;
                commit.branch = BranchName::meta();
            })
        ),
        Refusal::NotOwner
    );
    assert!(other.review(honest, START).is_ok());
}

#[test]
fn a_child_must_be_later_than_its_parent() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let first = put(&repo, &ada, &[("a", Some("1"))], START);
    let second = put(&repo, &ada, &[("a", Some("2"))], START + 1);
    let other = replica(&repo);
    deliver(&repo, &other, first, &main(), START).unwrap();
    let stamp = repo.commit(first).unwrap().payload().stamp;
    for change in [
        (&|commit: &mut Commit| commit.stamp = stamp) as &dyn Fn(&mut Commit),
        &|commit| commit.generation = 3,
    ] {
        let bytes = forged(&repo, &ada, second, change);
        assert!(matches!(review(&other, bytes), Refusal::Malformed(_)));
    }
    let meta = forged(&repo, &ada, second, |commit| {
        commit.branch = BranchName::meta();
    });
    assert_eq!(review(&other, meta), Refusal::Branch);
}

#[test]
fn changes_must_lead_to_the_signed_root() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let id = put(&repo, &ada, &[("a", Some("1")), ("b", Some("2"))], START);
    let other = replica(&repo);
    let commit = repo.commit(id).unwrap();
    let honest = repo.changes_of(&commit, usize::MAX).unwrap().unwrap();
    let try_changes = |change: &dyn Fn(&mut std::collections::BTreeMap<Bytes, Bytes>)| {
        let mut changes = honest.clone();
        change(&mut changes);
        let reviewed = other.review(commit.bytes().clone(), START).unwrap();
        refusal(other.with_changes(reviewed, &changes).map(|_| ()))
    };
    let entry = |stamp: Stamp, state| Entry { stamp, state }.encode();
    let stamp = commit.payload().stamp;
    assert_eq!(
        try_changes(&|changes| drop(changes.remove(&b"a"[..]))),
        Refusal::Root
    );
    assert_eq!(
        try_changes(&|changes| {
            changes.insert("c".into(), entry(stamp, State::Tombstone));
        }),
        Refusal::Root
    );
    assert!(matches!(
        try_changes(&|changes| drop(changes.insert("a".into(), "junk".into()))),
        Refusal::Entry(_)
    ));
    let later = Stamp::from_bits(stamp.bits() + 1);
    assert_eq!(
        try_changes(&|changes| drop(changes.insert("a".into(), entry(later, State::Tombstone)))),
        Refusal::EntryStamp
    );
    assert_eq!(
        other.heads(&main()).unwrap(),
        heads(&replica(&repo)),
        "nothing moved"
    );
}

/// REPO-16: a commit may not put an older entry back over a newer one.
#[test]
fn an_entry_must_win_against_what_it_replaces() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let first = put(&repo, &ada, &[("a", Some("1"))], START);
    let old = repo
        .changes_of(&repo.commit(first).unwrap(), 1000)
        .unwrap()
        .unwrap();
    let second = put(&repo, &ada, &[("a", Some("2"))], START + 1);
    let other = replica(&repo);
    deliver(&repo, &other, first, &main(), START).unwrap();
    deliver(&repo, &other, second, &main(), START).unwrap();
    let tree = repo.commit(first).unwrap().payload().tree;
    let back = forged(&repo, &ada, second, |commit| {
        commit.parents = vec![second];
        commit.generation = 3;
        commit.stamp = Stamp::at_millis(START + 2);
        commit.tree = tree;
    });
    let reviewed = other.review(back, START).unwrap();
    let outcome = other.with_changes(reviewed, &old).map(|_| ());
    assert_eq!(refusal(outcome), Refusal::EntryStamp);
}

#[test]
fn what_is_linked_to_must_have_been_sent() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let id = put(&repo, &ada, &[("large", Some(&"x".repeat(5000)))], START);
    let other = replica(&repo);
    let commit = repo.commit(id).unwrap();
    let changes = repo.changes_of(&commit, usize::MAX).unwrap().unwrap();
    let reviewed = other.review(commit.bytes().clone(), START).unwrap();
    let complete = other.with_changes(reviewed, &changes).unwrap();
    assert_eq!(
        other.missing_blocks(complete.links(), 9).unwrap().blocks,
        complete.links()
    );
    assert_eq!(refusal(other.accept(complete, &main())), Refusal::Missing);
    assert!(heads(&other).is_empty());
    send(&repo, &other, &main(), START).unwrap();
    assert_eq!(get(&other, "large").unwrap().len(), 5000);
}

/// An index of a file with one part, which links to `inner`.
fn index_over(inner: &Block, content: u64) -> Block {
    let varint = |mut n: u64| {
        let mut bytes = Vec::new();
        while n > 0x7f {
            bytes.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        bytes.push(n as u8);
        bytes
    };
    let name = inner.cid().to_bytes();
    let mut link = vec![0x0a, name.len() as u8];
    link.extend(&name);
    link.extend([0x12, 0, 0x18]);
    link.extend(varint(content));
    let mut node = vec![0x12];
    node.extend(varint(link.len() as u64));
    node.extend(&link);
    node.extend([0x0a, 6, 0x08, 0x02, 0x18, 1, 0x20, 1]);
    Block::new(Codec::DagPb, node).unwrap()
}

/// BLOCKS-33: what no reader would read is neither staged nor taken, at a bounded cost.
#[test]
fn a_file_that_is_nested_too_deeply_is_refused() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let mut batch = Batch::new();
    let mut index = Block::new(Codec::Raw, &b"x"[..]).unwrap();
    let mut total = 1;
    let mut levels = vec![index.clone()];
    for _ in 0..500 {
        index = index_over(&index, total);
        total += index.bytes().len() as u64;
        levels.push(index.clone());
    }
    for block in &levels {
        batch.put(block.clone());
    }
    let _outcome = repo.store().commit(batch).unwrap();
    let stage = |levels: &Block| {
        let edit = Edit::Link(*levels.cid());
        repo.stage(&main(), [("file".into(), edit)], START)
    };
    stage(&levels[16]).unwrap();
    for too_deep in [17, 500] {
        let refused = stage(&levels[too_deep]);
        assert!(
            matches!(&refused, Err(RepoError::Refused(Refusal::Malformed(why))) if why.contains("deep")),
            "{refused:?}"
        );
        let links = [*levels[too_deep].cid()];
        assert!(repo.missing_blocks(&links, 9).is_err());
    }
    // Also if a part is met where it is not too deep before.
    let links = [*levels[3].cid(), *levels[17].cid()];
    assert!(repo.missing_blocks(&links, 9).is_err());
    let links = [*levels[16].cid(), *levels[3].cid()];
    assert_eq!(repo.missing_blocks(&links, 9).unwrap().indexes.len(), 16);
}

/// REPO-17: a commit made on `main` does not become a rule by being shown as `meta`.
#[test]
fn a_commit_cannot_be_smuggled_into_meta() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let repo = space(&ada);
    let key = format!("member/{}", bob.author().agent);
    repo.stage(
        &main(),
        [(Bytes::from(key), Edit::Put("write".into()))],
        START,
    )
    .unwrap();
    let id = repo
        .commit_staged(&main(), ada.author(), "data, not a rule", START)
        .unwrap();
    let other = replica(&repo);
    deliver(&repo, &other, id, &main(), START).unwrap();
    let outcome = other.join_branch(&BranchName::meta(), &[id].into());
    assert!(matches!(outcome, Err(Rejected::Refused(Refusal::Branch))));
    assert!(!other.is_member(&bob.author().agent).unwrap());
}

/// IDENT-13: two events at one position are kept as proof, and their agent is not believed.
#[test]
fn an_agent_that_says_two_things_at_once_is_frozen() {
    let (ada, next) = (Person::new(1), Person::new(2));
    let repo = space(&ada);
    let id = put(&repo, &ada, &[("a", Some("1"))], START);
    let log = |device: u8| {
        let mut log =
            KeyLog::inception(&ada.0, KeyChain::new(next.0.clone()).commitment(0)).unwrap();
        log.add_device(&ada.0, Person::new(device).0.device_id(), "device", START)
            .unwrap();
        log.events()
            .iter()
            .map(|event| event.bytes().clone())
            .collect::<Vec<_>>()
    };
    let other = replica(&repo);
    let agent = ada.author().agent;
    other.agents().learn(&agent, &log(3)).unwrap();
    assert!(
        other
            .review(repo.commit(id).unwrap().bytes().clone(), START)
            .is_ok()
    );
    other.agents().learn(&agent, &log(4)).unwrap();
    let again = Repo::open(Arc::clone(other.store()), other.id()).unwrap();
    deliver(&repo, &again, id, &main(), START).unwrap();
    again.join_branch(&main(), &[id].into()).unwrap();
    assert_eq!(heads(&again), [].into());
    assert_eq!(again.beside(&main()).unwrap(), [id].into());
    assert!(
        again
            .agents()
            .key_log(&agent)
            .unwrap()
            .equivocation()
            .is_some()
    );
}

/// REPO-12, REPO-17: a block that reads as a commit is none unless it was accepted as one. A member
/// could store such bytes as a value, and show their name as a head.
#[test]
fn bytes_that_read_as_a_commit_are_no_commit() {
    let (ada, eve) = (Person::new(1), Person::new(2));
    let repo = space(&ada);
    repo.add_member(&eve.author().agent, ada.author(), START)
        .unwrap();
    let id = put(&repo, &ada, &[("a", Some("1"))], START + 1);
    let forged = forged(&repo, &eve, id, |commit| commit.branch = BranchName::meta());
    for codec in [Codec::Raw, Codec::DagCbor] {
        let block = Block::new(codec, forged.clone()).unwrap();
        let name = CommitId::from_cid(*block.cid());
        let mut batch = Batch::new();
        batch.put(block);
        let _outcome = repo.store().commit(batch).unwrap();
        assert!(!repo.has_commit(name).unwrap());
        let before = repo.heads(&BranchName::meta()).unwrap();
        let outcome = repo.join_branch(&BranchName::meta(), &[name].into());
        assert!(matches!(outcome, Err(Rejected::Refused(Refusal::Parent))));
        assert_eq!(repo.heads(&BranchName::meta()).unwrap(), before);
    }
}

/// IDENT-13: who says two things at once is not trusted, whatever came along with the proof.
#[test]
fn an_equivocation_that_comes_with_events_before_it_convicts() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let agents = Agents::new(store);
    let (key, next) = (SecretKey::from_seed([7; 32]), SecretKey::from_seed([8; 32]));
    let device = |n: u8| SecretKey::from_seed([n; 32]).device_id();
    let mut told = KeyLog::inception(&key, KeyChain::new(next.clone()).commitment(0)).unwrap();
    told.add_device(&key, device(1), "1", START).unwrap();
    let bytes = |log: &KeyLog, at: usize| log.events()[at].bytes().clone();
    agents
        .learn(&key.agent_id(), &[bytes(&told, 0), bytes(&told, 1)])
        .unwrap();
    told.add_device(&key, device(2), "2", START).unwrap();
    let mut other = told.clone();
    told.add_device(&key, device(3), "3", START).unwrap();
    other.add_device(&key, device(4), "4", START).unwrap();
    let events = [bytes(&told, 2), bytes(&told, 3), bytes(&other, 3)];
    agents.learn(&key.agent_id(), &events).unwrap();
    let known = agents.key_log(&key.agent_id()).unwrap();
    assert!(known.equivocation().is_some());
    // Neither of the two is in it, and both are told to others.
    assert_eq!((known.events().len(), known.known().count()), (3, 5));
}

/// A log of any length that is allowed is stored.
#[test]
fn the_longest_key_log_is_kept() {
    let agents = Agents::new(Arc::new(MemoryStore::new()));
    let (key, next) = (SecretKey::from_seed([7; 32]), SecretKey::from_seed([8; 32]));
    let mut log = KeyLog::inception(&key, KeyChain::new(next.clone()).commitment(0)).unwrap();
    for n in 1..KEYLOG_EVENTS_MAX {
        let mut seed = [9; 32];
        seed[..8].copy_from_slice(&(n as u64).to_le_bytes());
        let device = SecretKey::from_seed(seed).device_id();
        log.add_device(&key, device, "d", START).unwrap();
    }
    let events = log.events().iter().map(|event| event.bytes().clone());
    let events: Vec<Bytes> = events.collect();
    agents.learn(&key.agent_id(), &events).unwrap();
    let known = agents.key_log(&key.agent_id()).unwrap();
    assert_eq!(known.events().len(), KEYLOG_EVENTS_MAX);
}
