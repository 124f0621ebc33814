//! Random histories beside a twin that asks of each pair of commits whether one is an ancestor.

use std::collections::BTreeSet;
use std::time::Duration;

use allod_blocks::MemoryStore;
use allod_identity::{Keystore, SecretKey};
use allod_repo::{Author, BranchName, Edit, Genesis, SpaceClass};
use proptest::prelude::*;

use super::*;
use crate::home::{Home, HomeConfig, KeySource, StoreKind, make_key_file};

const START: u64 = 1_700_000_000_000;

const NAMES: [&str; 3] = ["main", "side", "third"];

/// What happens to a space.
#[derive(Clone, Debug)]
enum Happening {
    Commit(usize),
    Branch(usize, usize),
    /// The heads of one branch join another.
    Join(usize, usize),
    Delete(usize),
    /// A move of a branch is undone, one of the last.
    Undo(usize),
}

/// What a peer said: of which commits, and how much that is.
type Said = (Vec<prop::sample::Index>, Told, bool);

struct World {
    repo: Repo,
    key: SecretKey,
    now: u64,
    /// All that were ever made, in order.
    commits: Vec<CommitId>,
}

impl World {
    fn new(happenings: &[Happening]) -> Self {
        let key = SecretKey::from_seed([1; 32]);
        let author = Author {
            agent: key.agent_id(),
            key: &key,
        };
        let genesis = Genesis {
            at: START,
            class: SpaceClass::Convergent,
            name: "test".into(),
            nonce: [0; 16],
            owner: author.agent,
        };
        let repo = Repo::create(Arc::new(MemoryStore::new()), genesis, author).unwrap();
        let mut world = Self {
            repo,
            key,
            now: START,
            commits: Vec::new(),
        };
        world.happen(&Happening::Commit(0));
        for happening in happenings {
            world.happen(happening);
        }
        world
    }

    fn happen(&mut self, happening: &Happening) {
        let name = |at: usize| NAMES[at].parse::<BranchName>().unwrap();
        self.now += 1000;
        let author = Author {
            agent: self.key.agent_id(),
            key: &self.key,
        };
        match happening {
            Happening::Commit(at) => {
                let (key, value) = (format!("{at}"), format!("{}", self.now));
                let edit = [(key.into(), Edit::Put(value.into()))];
                self.repo.stage(&name(*at), edit, self.now).unwrap();
                let id = self.repo.commit_staged(&name(*at), author, "", self.now);
                self.commits.push(id.unwrap());
            }
            Happening::Branch(at, from) => {
                let heads = self.repo.heads(&name(*from)).unwrap();
                if !heads.is_empty() && self.repo.heads(&name(*at)).unwrap().is_empty() {
                    self.repo.create_branch(&name(*at), &heads).unwrap();
                }
            }
            Happening::Join(at, from) => {
                let heads = self.repo.heads(&name(*from)).unwrap();
                self.repo.join_branch(&name(*at), &heads).unwrap();
            }
            // What cannot be deleted or undone stays.
            Happening::Delete(at) => drop(self.repo.delete_branch(&name(*at), true)),
            Happening::Undo(back) => {
                let end = self.repo.store().stats().unwrap().log_end;
                drop(self.repo.undo(end.saturating_sub(1 + *back as u64)));
            }
        }
    }

    fn peers(&self, said: &[Said]) -> Vec<(DeviceId, Peer, BTreeSet<CommitId>)> {
        let mut peers = Vec::new();
        for (at, (has, told, part)) in said.iter().enumerate() {
            let has = has
                .iter()
                .map(|at| self.commits[at.index(self.commits.len())]);
            let has: BTreeSet<CommitId> = has.collect();
            let mut peer = Peer {
                synced_ms: (*told != Told::Nothing).then_some(START),
                part: *part,
                ..Peer::default()
            };
            peer.note_has(&has, *told);
            let seed = u8::try_from(at).unwrap() + 100;
            peers.push((SecretKey::from_seed([seed; 32]).device_id(), peer, has));
        }
        peers
    }

    fn leads_to(&self, from: impl IntoIterator<Item = CommitId>, to: CommitId) -> bool {
        let mut from = from.into_iter();
        from.any(|from| self.repo.is_ancestor(to, from).unwrap())
    }

    fn heads(&self) -> Heads {
        let branches = self.repo.branches().unwrap().into_iter();
        branches.flat_map(|(_, heads)| heads).collect()
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let (at, pair) = (0..3usize, (0..3usize, 0..3usize));
    prop_oneof![
        8 => at.clone().prop_map(Happening::Commit),
        2 => pair.clone().prop_map(|(at, from)| Happening::Branch(at, from)),
        3 => pair.prop_map(|(at, from)| Happening::Join(at, from)),
        1 => at.clone().prop_map(Happening::Delete),
        1 => at.prop_map(Happening::Undo),
    ]
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let told = prop_oneof![
        6 => Just(Told::All),
        1 => Just(Told::Partly),
        1 => Just(Told::Foreign),
        1 => Just(Told::Nothing),
    ];
    let has = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let peer = (has, told, any::<bool>());
    // More than fit one word, now and then.
    prop_oneof![
        9 => prop::collection::vec(peer.clone(), 0..5),
        1 => prop::collection::vec(peer, 64..70),
    ]
}

fn scale() -> u32 {
    let scale = std::env::var("ALLOD_TEST_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128 * scale(), ..ProptestConfig::default() })]

    /// SYNC-50, SYNC-51: what is claimed is so, and what can be said is said.
    #[test]
    fn what_is_claimed_agrees_with_the_naive_twin(
        happenings in prop::collection::vec(happening(), 0..30),
        said in said(),
        walk_max in prop_oneof![Just(WALK_MAX), 0..20usize],
        order in any::<prop::sample::Index>(),
    ) {
        let world = World::new(&happenings);
        let peers = world.peers(&said);
        let records = peers.iter().map(|(device, peer, _)| (*device, peer.clone())).collect();
        let mut where_ = Whereabouts::new(&world.repo, records, walk_max).unwrap();
        // In any order.
        let mut asked = world.commits.clone();
        asked.rotate_left(order.index(world.commits.len()));
        for commit in asked {
            let reached = where_.of(commit).unwrap();
            for (device, peer, has) in &peers {
                let is_there = world.leads_to(has.iter().copied(), commit);
                let lists = [
                    reached.whole.contains(device),
                    reached.parts.contains(device),
                    reached.without.contains(device),
                    reached.unknown.iter().any(|(known, _)| known == device),
                ];
                prop_assert_eq!(lists.iter().filter(|is_in| **is_in).count(), 1);
                let claims = lists[0] || lists[1];
                prop_assert!(!claims || is_there);
                prop_assert!(!lists[0] || !peer.part);
                prop_assert!(!lists[2] || !is_there && peer.told == Told::All);
                if walk_max == WALK_MAX {
                    // What no branch leads to is known by its own mark alone.
                    let heads = world.heads();
                    let met = has.iter().copied().filter(|id| {
                        *id == commit || world.leads_to(heads.iter().copied(), *id)
                    });
                    prop_assert_eq!(claims, world.leads_to(met, commit));
                    let all_met = has.iter().all(|id| world.leads_to(heads.iter().copied(), *id));
                    let is_known = peer.told == Told::All && all_met;
                    prop_assert_eq!(lists[2], !claims && is_known);
                }
            }
        }
    }

    /// SYNC-52.
    #[test]
    fn what_a_peer_lacks_agrees_with_the_naive_twin(
        happenings in prop::collection::vec(happening(), 0..30),
        said in said(),
        walk_max in prop_oneof![Just(WALK_MAX), 0..20usize],
    ) {
        let world = World::new(&happenings);
        let peers = world.peers(&said);
        let records = peers.iter().map(|(device, peer, _)| (*device, peer.clone())).collect();
        let lags = Whereabouts::new(&world.repo, records, walk_max).unwrap().lags().unwrap();
        let heads = world.heads();
        let is_here = |id: CommitId| world.leads_to(heads.iter().copied(), id);
        for ((_, peer, has), PeerLag { lag, .. }) in peers.iter().zip(lags) {
            prop_assert_eq!(lag.is_some(), peer.told != Told::Nothing);
            let Some(lag) = lag else { continue };
            let met: Vec<CommitId> = has.iter().copied().filter(|id| is_here(*id)).collect();
            let lacks = |id: &&CommitId| is_here(**id) && !world.leads_to(met.iter().copied(), **id);
            let lacked: Vec<_> = world.commits.iter().filter(lacks).collect();
            let said: Vec<_> = lacked.iter().map(|id| world.repo.commit(**id).unwrap()).collect();
            if lag.is_cut {
                prop_assert!(walk_max < WALK_MAX && lag.commits <= lacked.len() as u64);
                continue;
            }
            prop_assert_eq!(lag.commits, lacked.len() as u64);
            prop_assert_eq!(lag.sized, lag.commits);
            let bytes: u64 = said.iter().map(|commit| size_of(&world.repo, commit).unwrap()).sum();
            prop_assert_eq!(lag.bytes, bytes);
            let oldest = said.iter().map(|commit| commit.payload().stamp.millis()).min();
            prop_assert_eq!(lag.since_ms, oldest);
        }
    }
}

/// What is noted of a peer with very many heads does not say what it has not.
#[test]
fn heads_that_are_not_noted_are_not_said_to_be_missing() {
    let world = World::new(&vec![Happening::Commit(0); 3]);
    let foreign = (0..3000u32).map(|n| {
        let bytes = allod_blocks::sha256_cid(allod_blocks::Codec::DagCbor, &n.to_le_bytes());
        CommitId::from_cid(bytes)
    });
    let mut peer = Peer {
        synced_ms: Some(START),
        ..Peer::default()
    };
    peer.note_has(&foreign.collect(), Told::All);
    let device = SecretKey::from_seed([9; 32]).device_id();
    let mut where_ = Whereabouts::new(&world.repo, vec![(device, peer)], WALK_MAX).unwrap();
    let reached = where_.of(world.commits[2]).unwrap();
    assert_eq!(reached.unknown, [(device, Unknown::Cut)]);
    assert!(reached.is_nowhere_known());
}

/// A node with a space of one commit.
pub(crate) fn node(dir: &std::path::Path) -> (Node, Repo, CommitId) {
    let keys = Keystore {
        agent: Some(SecretKey::from_seed([1; 32])),
        next_agent: Some(SecretKey::from_seed([2; 32])),
        device: SecretKey::from_seed([3; 32]),
    };
    let key_file = dir.join("key");
    let secret = make_key_file(&key_file).unwrap();
    let home = Home::at(dir.join("home"));
    let config = HomeConfig::new(
        StoreKind::default(),
        KeySource::File(key_file),
        keys.device.device_id(),
        "laptop".into(),
        keys.agent.as_ref().map(SecretKey::agent_id),
    );
    home.create(&config, &keys, &secret).unwrap();
    let node = Node::open(home, Some(keys)).unwrap();
    node.begin_log("laptop").unwrap();
    let repo = node.create_space("notes").unwrap();
    let main = BranchName::main();
    let edit = [("k".into(), Edit::Put("v".into()))];
    repo.stage(&main, edit, START).unwrap();
    let author = node.author().unwrap();
    let commit = repo.commit_staged(&main, author, "", START).unwrap();
    (node, repo, commit)
}

/// SYNC-53: each time something is heard of a peer, and by that alone.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_told_when_the_last_peer_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (node, repo, commit) = node(dir.path());
    let [one, two, part] = [7, 8, 9].map(|seed| SecretKey::from_seed([seed; 32]).device_id());
    let has = |node: &Node, device, part| {
        let note = node.note_peer(&repo, device, |peer| {
            peer.synced_ms = Some(START);
            peer.part = part;
            peer.note_has(&BTreeSet::from([commit]), Told::All);
        });
        note.unwrap();
    };
    let over = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
    has(&node, one, false);
    has(&node, part, true);
    let all = Heads::from([commit]);
    let error = node.await_reached(&repo, &all, 2, over(0)).await;
    let words = error.unwrap_err().to_string();
    assert!(
        words.starts_with("1 peer is known to have commit"),
        "{words}"
    );
    assert!(
        words.contains("of 2 that should, and 1 has its part"),
        "{words}"
    );
    let waiting = tokio::spawn({
        let (node, repo) = (node.clone(), repo.clone());
        async move { node.await_reached(&repo, &all, 2, over(60)).await }
    });
    // Whether it waits already or not.
    has(&node, one, false);
    tokio::task::yield_now().await;
    has(&node, two, false);
    let reached = waiting.await.unwrap().unwrap();
    assert_eq!(
        BTreeSet::from_iter(reached.whole),
        BTreeSet::from([one, two])
    );
    assert_eq!(reached.parts, [part]);
}

/// SYNC-53: a peer that has one of two commits keeps neither state, and two such peers do not make one that
/// has both.
#[tokio::test(flavor = "multi_thread")]
async fn several_commits_are_to_be_at_one_peer_together() {
    let dir = tempfile::tempdir().unwrap();
    let (node, repo, first) = node(dir.path());
    let name: BranchName = "side".parse().unwrap();
    repo.create_branch(&name, &Heads::from([first])).unwrap();
    let mut commits = Heads::new();
    for branch in [&BranchName::main(), &name] {
        let edit = [(branch.to_string().into(), Edit::Put("v".into()))];
        repo.stage(branch, edit, START).unwrap();
        let author = node.author().unwrap();
        commits.insert(repo.commit_staged(branch, author, "", START).unwrap());
    }
    let has = |device, commits: BTreeSet<CommitId>| {
        let note = node.note_peer(&repo, device, |peer| {
            peer.synced_ms = Some(START);
            peer.note_has(&commits, Told::All);
        });
        note.unwrap();
    };
    let devices = [7, 8].map(|seed| SecretKey::from_seed([seed; 32]).device_id());
    for (device, commit) in devices.into_iter().zip(&commits) {
        has(device, BTreeSet::from([*commit]));
    }
    let over = || tokio::time::sleep(Duration::ZERO);
    let error = node.await_reached(&repo, &commits, 1, over()).await;
    let words = error.unwrap_err().to_string();
    assert!(
        words.starts_with("0 peers are known to have all of "),
        "{words}"
    );
    has(devices[0], commits.clone());
    let reached = node.await_reached(&repo, &commits, 1, over()).await;
    assert_eq!(reached.unwrap().whole, [devices[0]]);
}

/// SYNC-51: what a session that was cut brought there is not known.
#[test]
fn a_session_that_was_cut_may_have_brought_it() {
    let dir = tempfile::tempdir().unwrap();
    let (node, repo, commit) = node(dir.path());
    let device = SecretKey::from_seed([7; 32]).device_id();
    let note = |told| {
        let note = node.note_peer(&repo, device, |peer| {
            peer.synced_ms = Some(START);
            peer.note_has(&BTreeSet::new(), told);
        });
        note.unwrap();
    };
    note(Told::All);
    assert_eq!(node.reached(&repo, commit).unwrap().without, [device]);
    let stats = allod_sync::Stats {
        commits_out: 1,
        ..allod_sync::Stats::default()
    };
    node.note_sent(&repo, device, &stats, &mut false);
    let reached = node.reached(&repo, commit).unwrap();
    assert_eq!(reached.unknown, [(device, Unknown::Sent)]);
    assert_eq!(node.lag(&repo, device).unwrap().unwrap().commits, 1);
    note(Told::All);
    assert_eq!(node.reached(&repo, commit).unwrap().without, [device]);
    let stranger = SecretKey::from_seed([8; 32]).device_id();
    assert!(matches!(
        node.lag(&repo, stranger),
        Err(NodeError::NoSuchPeer(_))
    ));
}
