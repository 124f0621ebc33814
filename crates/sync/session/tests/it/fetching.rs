//! SYNC-30 to SYNC-35: what is damaged here is fetched from a peer, and nothing else is given away.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use allod_blocks::{
    Batch, Block, Cid, Codec, Expect, Fault, FaultyStore, FileProfile, Garbage, MemoryStore, Store,
    add_file, sha256_cid,
};
use allod_repo::{
    BlockPeer, BranchName, Edit, Entry, Keep, Repo, RepoError, Stamp, State, check_store,
    heal_space, lost_blocks, mend,
};
use allod_sync::{Answer, FetchError, Fetching, Message, Serving};
use bytes::Bytes;

use crate::pair::{Person, START, get, pairs, put, replica, space, talk};

/// What becomes of a frame on its way.
type Bend = fn(Message) -> Message;

/// A peer in this process: each frame goes from one machine to the other.
pub(crate) struct Direct {
    fetching: Fetching,
    serving: Serving,
    /// What is done to the server's frames on their way.
    bend: Bend,
    frames: usize,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Here(RepoError),
    #[error(transparent)]
    Peer(FetchError),
}

impl From<RepoError> for Failed {
    fn from(error: RepoError) -> Self {
        Self::Here(error)
    }
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        Self::Peer(error)
    }
}

impl Direct {
    /// `asker` asks the node that has `repo`.
    pub(crate) fn new(repo: &Repo, asker: &Person) -> Self {
        let mut serving = Serving::new(repo.clone(), asker.0.device_id(), START);
        serving.handle(&Fetching::hello(asker.0.agent_id(), repo.id()));
        Self {
            fetching: Fetching::new(),
            serving,
            bend: |message| message,
            frames: 0,
        }
    }

    fn ask(&mut self, opened: &[Cid], names: &[Cid]) -> Result<Answer, FetchError> {
        let want = self.fetching.want(opened, names)?;
        self.serving.handle(&want);
        let mut whole = Answer::default();
        while let Some(frame) = self.serving.poll() {
            self.frames += 1;
            let message = (self.bend)(Message::decode(&frame).unwrap());
            let part = self.fetching.take(&message.encode())?;
            whole.blocks.extend(part.blocks);
            whole.absent.extend(part.absent);
            whole.last = part.last;
        }
        assert!(whole.last, "SYNC-33: a want is answered");
        Ok(whole)
    }
}

impl BlockPeer for Direct {
    type Error = Failed;

    fn known(&mut self, commits: &[Cid]) -> Result<BTreeSet<Cid>, Failed> {
        let absent = self.ask(commits, &[])?.absent;
        let known = commits.iter().filter(|cid| !absent.contains(cid));
        Ok(known.copied().collect())
    }

    fn fetch(&mut self, path: &[Cid], names: &[Cid], keep: Keep<'_>) -> Result<(), Failed> {
        Ok(keep(self.ask(path, names)?.blocks)?)
    }
}

fn copy(store: &dyn Store) -> MemoryStore {
    let copy = MemoryStore::new();
    let mut batch = Batch::new();
    for cid in store.scan_blocks(None, usize::MAX).unwrap() {
        batch.put(store.get(&cid).unwrap().unwrap());
    }
    for (name, value) in store.scan_refs(b"", None, usize::MAX).unwrap() {
        batch.set_ref(name, Expect::Absent, Some(value));
    }
    for entry in store.read_log(0, usize::MAX).unwrap() {
        batch.append(entry.bytes);
    }
    let _outcome = copy.commit(batch).unwrap();
    copy
}

fn problems(store: &dyn Store) -> Vec<Option<Cid>> {
    let mut found = Vec::new();
    let on = &mut |problem: &allod_repo::Problem| found.push(problem.block);
    check_store(store, on, &mut |_| ControlFlow::Continue(())).unwrap();
    found
}

/// A space with something of everything, on the nodes of its owner and of a member.
fn setting() -> (Person, Person, Repo, Repo) {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let whole = space(&ada, &[&bob]);
    for n in 0..3 {
        let large = ("large".to_owned(), format!("{n} ").repeat(600));
        put(
            &whole,
            &ada,
            &[("a".into(), n.to_string()), large],
            START + n,
        );
    }
    put(
        &whole,
        &ada,
        &pairs(0..40, "a value of some length"),
        START + 5,
    );
    let profile = FileProfile {
        chunk_bytes: 100,
        ..FileProfile::UNIXFS_V1_2025
    };
    let text: String = (0..30).map(|n| format!("line {n} of a file. ")).collect();
    let file = add_file(
        whole.store().as_ref(),
        profile,
        &mut text.as_bytes(),
        &mut |_| {},
    );
    let edit = Edit::Link(file.unwrap().cid);
    let main = BranchName::main();
    whole.stage(&main, [("file".into(), edit)], START).unwrap();
    whole
        .commit_staged(&main, ada.author(), "a file", START + 6)
        .unwrap();
    let other = replica(&whole);
    assert!(talk((&other, &bob), (&whole, &ada)).left.is_some());
    assert!(talk((&whole, &ada), (&other, &ada)).is_complete());
    (ada, bob, whole, other)
}

/// Every byte of every block is changed in turn: a check notices it, and a peer heals it. The
/// healing is done for each eleventh byte, the first and the last of each block: it does the same
/// wherever the byte is.
#[test]
fn every_byte_of_a_store_is_checked_and_healed_from_a_peer() {
    let (_ada, bob, whole, here) = setting();
    let blocks = here.store().scan_blocks(None, usize::MAX).unwrap();
    assert!(blocks.len() > 20);
    let base = copy(here.store().as_ref());
    let store = FaultyStore::new(Arc::new(base));
    let mut peer = Direct::new(&whole, &bob);
    let (mut flips, mut healed) = (0, 0);
    for cid in &blocks {
        let length = here.store().get(cid).unwrap().unwrap().bytes().len();
        for at in 0..length {
            store.inject(Fault::Damage(*cid, at));
            assert!(store.get(cid).is_err(), "byte {at} of {cid} is noticed");
            flips += 1;
            if at % 11 == 0 || at + 1 == length {
                assert_eq!(problems(&store), [Some(*cid)]);
                let mended = mend(&store, None, &mut |_| ControlFlow::Continue(())).unwrap();
                assert_eq!((mended.set_aside, mended.lost), (vec![*cid], vec![*cid]));
                let fetched = heal_space(&store, here.id(), &mut peer, &mut |_| {}).unwrap();
                assert_eq!(fetched, [*cid], "byte {at}");
                assert_eq!(problems(&store), []);
                healed += 1;
            }
        }
    }
    assert!(
        flips > 5000 && healed > 500,
        "{flips} bytes, {healed} healed"
    );
}

#[test]
fn every_block_that_is_gone_is_fetched_one_by_one_or_all_at_once() {
    let (_ada, bob, whole, here) = setting();
    let base = copy(here.store().as_ref());
    let blocks = base.scan_blocks(None, usize::MAX).unwrap();
    let without = |blocks: Vec<Cid>| {
        let store = copy(&base);
        let refs = Vec::new();
        let garbage = Garbage { blocks, refs };
        store.sweep(&mut || Ok(garbage.clone())).unwrap();
        store
    };
    for cid in &blocks {
        let store = without(vec![*cid]);
        let mut peer = Direct::new(&whole, &bob);
        let fetched = heal_space(&store, here.id(), &mut peer, &mut |_| {}).unwrap();
        assert_eq!(fetched, [*cid]);
        assert_eq!(problems(&store), []);
    }
    let store = without(blocks.clone());
    let mut peer = Direct::new(&whole, &bob);
    let fetched = heal_space(&store, here.id(), &mut peer, &mut |_| {}).unwrap();
    assert_eq!(fetched.len(), blocks.len());
    assert!(peer.frames < 40, "{} answers", peer.frames);
    assert_eq!(problems(&store), []);
    let healed = Repo::open(Arc::new(store), here.id()).unwrap();
    assert_eq!(healed.check(&mut |_, _| {}).unwrap().problem_count, 0);
}

/// What a block under a commit of this side alone shares with one that both have is found below the
/// latter; what this side alone has is lost.
#[test]
fn commits_that_the_peer_has_not_lead_nowhere() {
    let (_ada, bob, whole, here) = setting();
    put(
        &here,
        &bob,
        &[("only".into(), "here ".repeat(400))],
        START + 9,
    );
    let shared = sha256_cid(Codec::Raw, "2 ".repeat(600).as_bytes());
    let own = sha256_cid(Codec::Raw, "here ".repeat(400).as_bytes());
    let store = copy(here.store().as_ref());
    let garbage = Garbage {
        blocks: vec![shared, own],
        refs: Vec::new(),
    };
    assert_eq!(
        store
            .sweep(&mut || Ok(garbage.clone()))
            .unwrap()
            .blocks
            .len(),
        2
    );
    let mut peer = Direct::new(&whole, &bob);
    let fetched = heal_space(&store, here.id(), &mut peer, &mut |_| {}).unwrap();
    assert_eq!(fetched, [shared]);
    assert_eq!(lost_blocks(&store).unwrap(), [own]);
}

/// What is served without a path to it, or with one that does not lead there.
#[test]
fn nothing_is_served_that_is_not_shown_to_belong_to_the_space() {
    let (ada, bob, whole, _) = setting();
    // Another space in the same store, and a block that nothing refers to.
    let genesis = allod_repo::Genesis {
        nonce: [9; 16],
        ..whole.genesis().payload().clone()
    };
    let store = Arc::clone(whole.store());
    let other = Repo::create(Arc::clone(&store), genesis, ada.author()).unwrap();
    let secret = put(&other, &ada, &[("s".into(), "secret ".repeat(300))], START);
    let tree = other.commit(secret).unwrap().payload().tree;
    let value = sha256_cid(Codec::Raw, "secret ".repeat(300).as_bytes());
    let stray = Block::new(Codec::Raw, &b"a stray block"[..]).unwrap();
    let mut batch = Batch::new();
    batch.put(stray.clone());
    let _outcome = store.commit(batch).unwrap();
    let foreign = [*secret.cid(), tree, value, *other.id().cid(), *stray.cid()];

    let mut peer = Direct::new(&whole, &bob);
    let head = *whole
        .heads(&BranchName::main())
        .unwrap()
        .first()
        .unwrap()
        .cid();
    let root = whole.state(&BranchName::main()).unwrap().tree().root();
    for path in [
        &[][..],
        &[head],
        &[head, root],
        &foreign,
        &[tree],
        &[root, head],
    ] {
        let answer = peer.ask(path, &foreign).unwrap();
        assert_eq!(answer.blocks, [], "{path:?}");
        assert!(foreign.iter().all(|cid| answer.absent.contains(cid)));
    }
    // A node needs its commit before it, in the same want.
    for path in [&[][..], &[root], &[root, head]] {
        let served = peer.ask(path, &[root]).unwrap().blocks.len();
        assert_eq!(served, usize::from(path.contains(&head)), "{path:?}");
    }
    let links = allod_tree::Node::decode(store.get(&root).unwrap().unwrap().bytes()).unwrap();
    let child = links.link(0).unwrap_or(root);
    assert_eq!(peer.ask(&[root], &[child]).unwrap().absent, [root, child]);
    assert_eq!(peer.ask(&[head], &[root]).unwrap().blocks.len(), 1);
    assert_eq!(
        peer.ask(&[], &[head, *whole.id().cid()])
            .unwrap()
            .blocks
            .len(),
        2
    );
}

fn code(serving: &mut Serving) -> String {
    let frame = serving.poll().expect("it says why");
    assert!(serving.is_closed() && serving.poll().is_none());
    match Message::decode(&frame).unwrap() {
        Message::Close { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn strangers_and_those_who_ask_out_of_order_or_for_too_much_are_refused() {
    let (_ada, bob, whole, _) = setting();
    let eve = Person::new(9);
    let hello = |who: &Person| Fetching::hello(who.0.agent_id(), whole.id());
    let want = |opened: usize, names: usize| {
        let cids = |count| vec![*whole.id().cid(); count];
        let (opened, names) = (cids(opened), cids(names));
        Message::Want { opened, names }.encode()
    };
    let refused = |device: &Person, frames: &[Bytes]| {
        let mut serving = Serving::new(whole.clone(), device.0.device_id(), START);
        for frame in frames {
            assert!(!serving.is_closed());
            serving.handle(frame);
        }
        code(&mut serving)
    };
    assert_eq!(refused(&eve, &[hello(&eve)]), "E_NOT_MEMBER");
    assert_eq!(refused(&eve, &[hello(&bob)]), "E_NOT_MEMBER");
    assert_eq!(refused(&bob, &[hello(&eve)]), "E_NOT_MEMBER");
    assert_eq!(refused(&bob, &[want(0, 1)]), "E_ORDER");
    assert_eq!(refused(&bob, &[hello(&bob), hello(&bob)]), "E_ORDER");
    assert_eq!(
        refused(&bob, &[hello(&bob), want(0, 1), want(0, 1)]),
        "E_ORDER"
    );
    assert_eq!(
        refused(&bob, &[hello(&bob), Message::Ack.encode()]),
        "E_ORDER"
    );
    assert_eq!(refused(&bob, &[hello(&bob), want(513, 512)]), "E_LIMIT");
    assert_eq!(refused(&bob, &[Bytes::from_static(b"garbage")]), "E_FRAME");
    let elsewhere = Fetching::hello(bob.0.agent_id(), space(&bob, &[]).id());
    assert_eq!(refused(&bob, &[elsewhere]), "E_WRONG_SPACE");
    // Whoever asks for a block twice in one want is answered twice, within the limit.
    let mut serving = Serving::new(whole.clone(), bob.0.device_id(), START);
    serving.handle(&hello(&bob));
    serving.handle(&want(512, 512));
    assert!(serving.poll().is_some() && !serving.is_closed());
    serving.handle(
        &Message::Close {
            code: "E_FAULT".into(),
            reason: String::new(),
        }
        .encode(),
    );
    assert!(serving.is_closed() && serving.poll().is_none());
    let mut fetching = Fetching::new();
    let many = vec![*whole.id().cid(); 1025];
    assert_eq!(fetching.want(&many, &[]).unwrap_err().code(), "E_LIMIT");
}

/// A tree of a projection is told of and served to whoever asks for it, and only then.
#[test]
fn trees_of_projections_are_served_to_whoever_asked_for_them() {
    let (_ada, bob, whole, _) = setting();
    let entries = (0..5000).map(|n| (format!("{n:05}"), "a value of a projection"));
    let mut blocks = Vec::new();
    let tree = allod_tree::Tree::build(entries, &mut |block| blocks.push(block)).unwrap();
    let mut batch = Batch::new();
    for block in blocks {
        batch.put(block);
    }
    drop(whole.store().commit(batch).unwrap());
    let (name, state, root) = (
        sha256_cid(Codec::DagCbor, b"name"),
        sha256_cid(Codec::DagCbor, b"state"),
        tree.root(),
    );
    let mut peer = Direct::new(&whole, &bob);
    let serving = std::mem::replace(
        &mut peer.serving,
        Serving::new(whole.clone(), bob.0.device_id(), START),
    );
    peer.serving = serving.with_kept(Box::new(move |known, of| {
        (*known == name && *of == state).then_some(root)
    }));
    let question = |peer: &mut Direct, name, state| {
        peer.serving.handle(&Fetching::projection(name, state));
        let frame = peer.serving.poll().unwrap();
        peer.fetching.take_tree(&frame).unwrap()
    };
    let node = allod_tree::Node::decode(whole.store().get(&root).unwrap().unwrap().bytes());
    let children: Vec<Cid> = node
        .as_ref()
        .map(|node| {
            (0..node.len())
                .filter_map(|index| node.link(index))
                .collect()
        })
        .unwrap();
    assert!(children.len() > 2);
    // Not before somebody asked.
    assert_eq!(peer.ask(&[], &[root]).unwrap().absent, [root]);
    assert_eq!(question(&mut peer, name, name), None);
    assert_eq!(question(&mut peer, name, state), Some(root));
    assert_eq!(peer.ask(&[], &[root]).unwrap().blocks.len(), 1);
    // A child by the path to it, and not without.
    assert_eq!(
        peer.ask(&[root], &children).unwrap().blocks.len(),
        children.len()
    );
    assert_eq!(peer.ask(&[], &children[..1]).unwrap().absent, [children[0]]);
    // Nor by another who was not told.
    let mut other = Direct::new(&whole, &bob);
    assert_eq!(other.ask(&[root], &children[..1]).unwrap().blocks.len(), 0);
    // A bound on what is remembered.
    let mut serving = Serving::new(whole.clone(), bob.0.device_id(), START)
        .with_kept(Box::new(|name, _| Some(*name)));
    serving.handle(&Fetching::hello(bob.0.agent_id(), whole.id()));
    for n in 0..=255 {
        serving.handle(&Fetching::projection(
            sha256_cid(Codec::DagCbor, &[n]),
            state,
        ));
        assert!(serving.poll().is_some() && !serving.is_closed());
    }
    serving.handle(&Fetching::projection(
        sha256_cid(Codec::DagCbor, b"one more"),
        state,
    ));
    assert_eq!(code(&mut serving), "E_LIMIT");
}

/// An entry of such a tree leads nowhere, also if it looks like one of a space.
#[test]
fn leaves_of_trees_of_projections_lead_nowhere() {
    let (_ada, bob, whole, _) = setting();
    let secret = Block::new(Codec::Raw, &b"of another space"[..]).unwrap();
    let entry = Entry {
        stamp: Stamp::default(),
        state: State::Link(*secret.cid()),
    };
    let mut batch = Batch::new();
    batch.put(secret.clone());
    let entries = (0..3).map(|n| ([n], entry.encode()));
    let leaf = allod_tree::Tree::build(entries, &mut |block| batch.put(block)).unwrap();
    drop(whole.store().commit(batch).unwrap());
    let told = leaf.root();
    let mut peer = Direct::new(&whole, &bob);
    let serving = std::mem::replace(
        &mut peer.serving,
        Serving::new(whole.clone(), bob.0.device_id(), START),
    );
    peer.serving = serving.with_kept(Box::new(move |_, _| Some(told)));
    peer.serving.handle(&Fetching::projection(told, told));
    let frame = peer.serving.poll().unwrap();
    assert_eq!(peer.fetching.take_tree(&frame), Ok(Some(told)));
    let answer = peer.ask(&[told], &[*secret.cid()]).unwrap();
    assert_eq!(
        (answer.blocks.len(), answer.absent),
        (0, vec![*secret.cid()])
    );
    // One that does not know the question keeps nothing.
    let close = |code: &str| Message::Close {
        code: code.to_owned(),
        reason: "unknown message".to_owned(),
    };
    let old = peer.fetching.take_tree(&close("E_FRAME").encode());
    assert_eq!(old, Ok(None));
    let refused = peer.fetching.take_tree(&close("E_NOT_MEMBER").encode());
    assert_eq!(refused.unwrap_err().code(), "E_NOT_MEMBER");
}

/// Whatever a peer answers, nothing is kept but what was asked for.
#[test]
fn false_answers_are_noticed_and_change_nothing() {
    let (_ada, bob, whole, here) = setting();
    let store = copy(here.store().as_ref());
    let lost = sha256_cid(Codec::Raw, "2 ".repeat(600).as_bytes());
    let garbage = Garbage {
        blocks: vec![lost],
        refs: Vec::new(),
    };
    store.sweep(&mut || Ok(garbage.clone())).unwrap();
    let before = store.scan_blocks(None, usize::MAX).unwrap();
    let bends: [(Bend, &str); 5] = [
        // A byte of a block is another.
        (
            |message| match message {
                Message::Blocks { mut blocks, absent } => {
                    for block in &mut blocks {
                        let mut bytes = block.to_vec();
                        bytes[0] ^= 1;
                        *block = bytes.into();
                    }
                    Message::Blocks { blocks, absent }
                }
                other => other,
            },
            "E_ORDER",
        ),
        // A block that nobody asked for comes along.
        (
            |message| match message {
                Message::Blocks { mut blocks, absent } => {
                    blocks.push(Bytes::from_static(b"have this too"));
                    Message::Blocks { blocks, absent }
                }
                other => other,
            },
            "E_ORDER",
        ),
        // Something is said to be absent that was not asked for.
        (
            |message| match message {
                Message::Blocks { blocks, mut absent } => {
                    absent.push(sha256_cid(Codec::Raw, b"never heard of"));
                    Message::Blocks { blocks, absent }
                }
                other => other,
            },
            "E_ORDER",
        ),
        (|_| Message::Done, "E_ORDER"),
        (
            |_| Message::Close {
                code: "E_FAULT".into(),
                reason: "no".into(),
            },
            "E_FAULT",
        ),
    ];
    for (bend, code) in bends {
        let mut peer = Direct::new(&whole, &bob);
        peer.bend = bend;
        match heal_space(&store, here.id(), &mut peer, &mut |_| {}) {
            Err(Failed::Peer(error)) => assert_eq!(error.code(), code),
            other => panic!("{other:?}"),
        }
        assert_eq!(store.scan_blocks(None, usize::MAX).unwrap(), before);
    }
    let mut peer = Direct::new(&whole, &bob);
    assert_eq!(
        heal_space(&store, here.id(), &mut peer, &mut |_| {}).unwrap(),
        [lost]
    );
}

/// A block that is damaged at the server too is absent, and the rest is served.
#[test]
fn damage_at_the_server_ends_nothing() {
    let (_ada, bob, whole, here) = setting();
    let lost = [0, 2].map(|n| sha256_cid(Codec::Raw, format!("{n} ").repeat(600).as_bytes()));
    let store = copy(here.store().as_ref());
    let garbage = Garbage {
        blocks: lost.to_vec(),
        refs: Vec::new(),
    };
    store.sweep(&mut || Ok(garbage.clone())).unwrap();
    let there = FaultyStore::new(Arc::new(copy(whole.store().as_ref())));
    there.inject(Fault::Damage(lost[0], 3));
    let there = Repo::open(Arc::new(there), whole.id()).unwrap();
    let mut peer = Direct::new(&there, &bob);
    let fetched = heal_space(&store, here.id(), &mut peer, &mut |_| {}).unwrap();
    assert_eq!(fetched, [lost[1]]);
    assert_eq!(lost_blocks(&store).unwrap(), [lost[0]]);
    assert_eq!(get(&there, "a").unwrap(), Bytes::from("2"));
}
