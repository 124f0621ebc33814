//! What sessions achieve between honest peers.

use allod_blocks::{FileProfile, add_file, file_links, read_file};
use allod_repo::{BranchName, Edit, Repo};
use allod_sync::Message;
use bytes::Bytes;

use crate::pair::{Person, Run, START, get, pairs, put, replica, run, space, talk};

/// What a receiver stores in one batch, and so may lose when it is cut off.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

fn root(repo: &Repo) -> allod_blocks::Cid {
    repo.state(&BranchName::main()).unwrap().tree().root()
}

#[test]
fn an_empty_replica_gets_everything() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    for n in 0..20 {
        put(
            &full,
            &ada,
            &pairs(n * 5..n * 5 + 10, "value"),
            START + u64::from(n),
        );
    }
    for initiator in [true, false] {
        let empty = replica(&full);
        let sides = [(&full, &ada), (&empty, &ada)];
        let (left, right) = if initiator {
            (sides[0], sides[1])
        } else {
            (sides[1], sides[0])
        };
        let done = talk(left, right);
        assert!(done.is_complete(), "{:?} {:?}", done.left, done.right);
        assert_eq!(root(&empty), root(&full));
        assert_eq!(empty.check(&mut |_, _| {}).unwrap().problem_count, 0);
    }
}

/// A commit too large for the fast path: its tree is walked.
#[test]
fn a_large_commit_is_walked_and_a_cut_session_goes_on_where_it_was() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    put(&full, &ada, &pairs(0..60_000, &"x".repeat(80)), START);
    let empty = replica(&full);
    let whole = talk((&full, &ada), (&empty, &ada));
    assert!(whole.is_complete());
    assert_eq!(root(&empty), root(&full));
    assert!(
        whole
            .messages
            .iter()
            .any(|(_, message)| matches!(message, Message::Want { .. }))
    );

    let empty = replica(&full);
    let cut = run(
        (&full, &ada),
        (&empty, &ada),
        whole.messages.len() - 3,
        &mut |_, f| Some(f),
    );
    assert!(!cut.is_complete());
    assert!(
        empty.heads(&BranchName::main()).unwrap().is_empty(),
        "nothing half-arrived shows"
    );
    let rest = talk((&full, &ada), (&empty, &ada));
    assert!(rest.is_complete());
    assert_eq!(rest.right_stats.refused, []);
    assert_eq!(root(&empty), root(&full));
    assert!(
        rest.right_stats.blocks_in < whole.right_stats.blocks_in * 7 / 10,
        "{} of {} blocks came again",
        rest.right_stats.blocks_in,
        whole.right_stats.blocks_in
    );
}

/// The fast path: what one side changed crosses once, in few bytes and one round trip.
#[test]
fn changes_cost_little_more_than_themselves() {
    let ada = Person::new(1);
    let left = space(&ada, &[]);
    put(&left, &ada, &pairs(0..20_000, &"x".repeat(80)), START);
    let right = replica(&left);
    assert!(talk((&left, &ada), (&right, &ada)).is_complete());
    let changed: Vec<_> = (0..100u32)
        .map(|n| (format!("key {:08}", n * 199), format!("{n:0>100}")))
        .collect();
    let size: usize = changed
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    put(&left, &ada, &changed, START + 5);
    let done = talk((&left, &ada), (&right, &ada));
    assert!(done.is_complete());
    assert_eq!(root(&left), root(&right));
    let limit = size as u64 * 3 / 2 + 2048;
    assert!(
        done.bytes() <= limit,
        "{} bytes for {size}, limit {limit}",
        done.bytes()
    );
    // After the hellos: commit, changes and done one way, ack the other.
    let mut turns = 0;
    let mut last = None;
    for (left, message) in &done.messages {
        let data = !matches!(message, Message::Hello(_) | Message::Done | Message::Ack);
        if data && last != Some(*left) {
            turns += 1;
            last = Some(*left);
        }
    }
    assert_eq!(turns, 1, "data flows one way in one go");
}

/// Whoever merges many heads has them at all distances: the peer that has them too sends none of them again.
#[test]
fn what_was_merged_is_not_sent_again() {
    let ada = Person::new(1);
    for initiator in [true, false] {
        let left = space(&ada, &[]);
        put(&left, &ada, &pairs(0..100, "base"), START);
        let others: Vec<_> = (0..24).map(|_| replica(&left)).collect();
        for (n, other) in (0u32..).zip(&others) {
            assert!(talk((other, &ada), (&left, &ada)).is_complete());
            put(other, &ada, &pairs(n..n + 1, "apart"), START + 1);
        }
        let right = replica(&left);
        for other in &others {
            assert!(talk((other, &ada), (&right, &ada)).is_complete());
        }
        assert!(talk((&left, &ada), (&right, &ada)).is_complete());
        assert_eq!(right.heads(&BranchName::main()).unwrap().len(), 24);
        for n in 0..3 {
            put(&left, &ada, &pairs(n..n + 1, "merged"), START + 2);
        }
        let sides = [(&left, &ada), (&right, &ada)];
        let [one, other] = if initiator {
            sides
        } else {
            [sides[1], sides[0]]
        };
        let done = talk(one, other);
        assert!(done.is_complete());
        let sent = done.left_stats.commits_out + done.right_stats.commits_out;
        assert_eq!(sent, 3, "what was merged was there already");
    }
}

#[test]
fn both_sides_changed_and_a_second_session_has_nothing_to_do() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let left = space(&ada, &[&bob]);
    put(&left, &ada, &pairs(0..100, "base"), START);
    let right = replica(&left);
    assert!(talk((&right, &bob), (&left, &ada)).left.is_some());
    assert!(talk((&left, &ada), (&right, &bob)).is_complete());
    for n in 0..30 {
        put(
            &left,
            &ada,
            &pairs(n..n + 3, "ada"),
            START + 10 + u64::from(n),
        );
        put(
            &right,
            &bob,
            &pairs(n + 1..n + 4, "bob"),
            START + 11 + u64::from(n),
        );
    }
    assert!(talk((&right, &bob), (&left, &ada)).is_complete());
    assert_eq!(root(&left), root(&right));
    assert!(!left.conflicts(&BranchName::main(), 100).unwrap().is_empty());
    let again = talk((&left, &ada), (&right, &bob));
    assert!(again.is_complete());
    assert_eq!(
        (again.left_stats.commits_in, again.right_stats.commits_in),
        (0, 0)
    );
    assert!(again.bytes() < 4096, "{}", again.bytes());
}

#[test]
fn blobs_follow_and_are_whole_before_the_heads_move() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    let content: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    let store = full.store().as_ref();
    let profile = FileProfile::UNIXFS_V1_2025;
    let info = add_file(store, profile, &mut &content[..], &mut |_| {}).unwrap();
    let main = BranchName::main();
    full.stage(&main, [(Bytes::from("film"), Edit::Link(info.cid))], START)
        .unwrap();
    full.commit_staged(&main, ada.author(), "a film", START)
        .unwrap();
    put(
        &full,
        &ada,
        &[("page".into(), "text ".repeat(1000))],
        START + 1,
    );

    let empty = replica(&full);
    let cut = run((&full, &ada), (&empty, &ada), 9, &mut |_, f| Some(f));
    assert!(!cut.is_complete());
    assert!(empty.heads(&main).unwrap().is_empty());
    assert!(talk((&full, &ada), (&empty, &ada)).is_complete());
    let mut read = Vec::new();
    read_file(empty.store().as_ref(), &info.cid, &mut read).unwrap();
    assert!(read == content);
    assert_eq!(get(&empty, "page").unwrap().len(), 5000);
}

/// A session is cut in the middle of a large blob: the next one fetches what did not arrive, and nothing
/// else (SYNC-14).
#[test]
fn a_large_blob_goes_on_where_it_was_cut() {
    const CHUNKS: usize = 40;
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    let profile = FileProfile::UNIXFS_V1_2025;
    let content: Vec<u8> = (0..CHUNKS)
        .flat_map(|chunk| vec![chunk as u8; profile.chunk_bytes])
        .collect();
    let store = full.store().as_ref();
    let info = add_file(store, profile, &mut &content[..], &mut |_| {}).unwrap();
    let main = BranchName::main();
    full.stage(&main, [(Bytes::from("film"), Edit::Link(info.cid))], START)
        .unwrap();
    full.commit_staged(&main, ada.author(), "a film", START)
        .unwrap();

    let leaves = file_links(&store.get(&info.cid).unwrap().unwrap()).unwrap();
    assert_eq!(leaves.len(), CHUNKS);
    let here = |repo: &Repo| {
        let here = leaves.iter().filter(|cid| repo.store().has(cid).unwrap());
        here.count()
    };
    let came = |run: &Run| {
        let blocks = run
            .messages
            .iter()
            .filter_map(|(_, message)| match message {
                Message::Blocks { blocks, .. } => Some(blocks),
                _ => None,
            });
        let leaves = blocks.flatten().map(Bytes::len);
        leaves.filter(|bytes| *bytes == profile.chunk_bytes).count()
    };
    let mut had = Vec::new();
    for cut in [12, 20, 33, 45] {
        let empty = replica(&full);
        let first = run((&full, &ada), (&empty, &ada), cut, &mut |_, f| Some(f));
        assert!(!first.is_complete(), "{cut}");
        assert!(empty.heads(&main).unwrap().is_empty(), "{cut}");
        let before = here(&empty);
        let lost = came(&first) - before;
        // What came last and was not stored yet.
        assert!(lost * profile.chunk_bytes <= BATCH_BYTES, "{cut}: {lost}");
        let next = talk((&full, &ada), (&empty, &ada));
        assert!(next.is_complete(), "{cut}");
        assert_eq!(came(&next), CHUNKS - before, "{cut}");
        let mut read = Vec::new();
        read_file(empty.store().as_ref(), &info.cid, &mut read).unwrap();
        assert!(read == content, "{cut}");
        had.push(before);
    }
    assert!(had.is_sorted() && had[0] < had[3], "{had:?}");
    assert!(had[3] > CHUNKS / 2 && had[3] < CHUNKS, "{had:?}");
}

/// SYNC-5, IDENT-37: that a device was removed, and that an agent deceives, is heard by who has all commits as well.
#[test]
fn what_becomes_of_devices_travels_without_commits() {
    use allod_identity::{KeyChain, KeyLog};

    let ada = Person::new(1);
    let one = space(&ada, &[]);
    put(&one, &ada, &pairs(0..3, "value"), START);
    let other = replica(&one);
    assert!(talk((&one, &ada), (&other, &ada)).is_complete());

    let (chain, phone) = (
        KeyChain::new(Person::new(8).0),
        Person::new(9).0.device_id(),
    );
    let mut log = KeyLog::inception(&ada.0, chain.commitment(0)).unwrap();
    log.add_device(&ada.0, phone, "phone", START).unwrap();
    let bytes =
        |log: &KeyLog| -> Vec<Bytes> { log.known().map(|event| event.bytes().clone()).collect() };
    let agent = ada.0.agent_id();
    for repo in [&one, &other] {
        repo.agents().learn(&agent, &bytes(&log)).unwrap();
    }
    let mut fork = log.clone();
    log.remove_device(&ada.0, phone, START).unwrap();
    one.agents().learn(&agent, &bytes(&log)).unwrap();
    let knows = |repo: &Repo| repo.agents().key_log(&agent).unwrap();
    assert!(knows(&other).is_device(&phone));
    assert!(talk((&other, &ada), (&one, &ada)).is_complete());
    assert!(!knows(&other).is_device(&phone));
    assert_eq!(knows(&one).mark(), knows(&other).mark());

    // Somebody has the key, and says something else: neither is believed, by both.
    fork.add_device(&ada.0, Person::new(7).0.device_id(), "thief", START)
        .unwrap();
    other.agents().learn(&agent, &bytes(&fork)).unwrap();
    assert!(knows(&other).equivocation().is_some());
    let last = fork.events().last().unwrap().bytes().clone();
    one.agents().learn(&agent, &[last]).unwrap();
    assert_eq!(knows(&one).mark(), knows(&other).mark());
}
