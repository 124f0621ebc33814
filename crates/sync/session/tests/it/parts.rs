//! Sessions with replicas of a part (PART-6, PART-10, PART-11).

use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_repo::{BranchName, GcOptions, Part, Repo, Span, collect_garbage};
use allod_sync::Message;
use bytes::Bytes;

use crate::pair::{Person, Run, START, get, put, replica, run, space, talk};

fn part_of(of: &Repo, prefixes: &[&str], depth: Option<u64>) -> Repo {
    let part = Part::new(prefixes, depth).unwrap();
    let genesis = of.genesis().bytes().clone();
    Repo::adopt_part(Arc::new(MemoryStore::new()), genesis, Some(&part)).unwrap()
}

fn named(kind: &str, range: std::ops::Range<u32>, value: &str) -> Vec<(String, String)> {
    range
        .map(|n| (format!("{kind}:{n:06}"), format!("{value} {n}")))
        .collect()
}

/// A space of three kinds of records and some history.
fn large(ada: &Person) -> Repo {
    let full = space(ada, &[]);
    for (at, kind) in ["book", "note", "user"].into_iter().enumerate() {
        let at = START + at as u64;
        put(&full, ada, &named(kind, 0..4000, "first"), at);
    }
    for n in 0..20 {
        let at = START + 10 + u64::from(n);
        put(&full, ada, &named("note", n * 7..n * 7 + 3, "later"), at);
    }
    full
}

fn content(repo: &Repo, prefix: &str) -> Vec<(Bytes, Bytes)> {
    let state = repo.state(&BranchName::main()).unwrap();
    let items = state.range(&Span::prefix(prefix.as_bytes()), true);
    items
        .map(|item| item.map(|(key, entry)| (key, entry.encode())).unwrap())
        .collect()
}

fn is_sound(repo: &Repo) {
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{report:?}");
}

fn whole_bytes(full: &Repo, ada: &Person) -> u64 {
    talk((full, ada), (&replica(full), ada)).bytes()
}

fn is_complete(run: &Run) {
    assert!(run.is_complete(), "{:?} {:?}", run.left, run.right);
    assert_eq!(run.left_stats.refused, []);
    assert_eq!(run.right_stats.refused, []);
}

#[test]
fn a_part_comes_and_goes_in_sessions() {
    let ada = Person::new(1);
    for depth in [Some(1), Some(4), None] {
        let full = large(&ada);
        let whole = whole_bytes(&full, &ada);
        let phone = part_of(&full, &["note:"], depth);
        let first = talk((&phone, &ada), (&full, &ada));
        is_complete(&first);
        assert_eq!(first.left_stats.bare_in, 23);
        let filled = depth.unwrap_or(23);
        assert_eq!(first.left_stats.commits_in, filled);
        assert!(
            first.bytes() < whole * 2 / 3,
            "{} of {whole}",
            first.bytes()
        );
        assert_eq!(content(&phone, ""), content(&full, "note:"));
        is_sound(&phone);
        // Nothing comes twice.
        let again = talk((&full, &ada), (&phone, &ada));
        is_complete(&again);
        assert_eq!(
            again.left_stats.commits_in + again.right_stats.commits_in,
            0
        );
        assert!(again.bytes() < 4000, "{}", again.bytes());
        // Both write, and meet.
        put(&phone, &ada, &named("note", 50..51, "phone"), START + 100);
        put(&full, &ada, &named("book", 9..10, "full"), START + 100);
        let both = talk((&phone, &ada), (&full, &ada));
        is_complete(&both);
        assert!(both.bytes() < 60_000, "{}", both.bytes());
        assert_eq!(get(&full, "note:000050").unwrap(), "phone 50");
        assert_eq!(get(&full, "book:000009").unwrap(), "full 9");
        assert_eq!(content(&phone, ""), content(&full, "note:"));
        is_sound(&phone);
        is_sound(&full);
    }
}

/// Wherever a session is cut, nothing half-arrived shows, and the next one finds the rest.
#[test]
fn a_session_that_is_cut_goes_on() {
    let ada = Person::new(1);
    let full = large(&ada);
    let frames = talk((&part_of(&full, &["note:"], Some(3)), &ada), (&full, &ada))
        .messages
        .len();
    for cut in (1..frames).step_by(frames / 16) {
        let phone = part_of(&full, &["note:"], Some(3));
        let pass = &mut |_, frame| Some(frame);
        assert!(!run((&phone, &ada), (&full, &ada), cut, pass).is_complete());
        // What was accepted is the state of a commit.
        let seen = content(&phone, "").len();
        assert!(seen == 0 || seen == 4000, "{cut}: {seen}");
        is_sound(&phone);
        is_complete(&talk((&phone, &ada), (&full, &ada)));
        assert_eq!(content(&phone, ""), content(&full, "note:"), "{cut}");
    }
}

#[test]
fn parts_give_each_other_what_they_have_whole() {
    let ada = Person::new(1);
    let full = large(&ada);
    let phone = part_of(&full, &["note:", "user:"], None);
    let watch = part_of(&full, &["note:00001"], Some(1));
    let other = part_of(&full, &["book:"], None);
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    put(&phone, &ada, &named("note", 10..12, "phone"), START + 100);
    // A part of a part is there.
    is_complete(&talk((&watch, &ada), (&phone, &ada)));
    assert_eq!(content(&watch, ""), content(&phone, "note:00001"));
    put(&watch, &ada, &named("note", 12..13, "watch"), START + 101);
    is_complete(&talk((&watch, &ada), (&phone, &ada)));
    assert_eq!(get(&phone, "note:000012").unwrap(), "watch 12");
    // What is not there is refused, and shows nowhere.
    let nothing = talk((&other, &ada), (&phone, &ada));
    assert!(nothing.is_complete());
    assert!(!nothing.left_stats.refused.is_empty());
    assert!(content(&other, "").is_empty());
    is_sound(&other);
    // The whole hears of all of it from the phone.
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    assert_eq!(get(&full, "note:000012").unwrap(), "watch 12");
    // Somebody who has nothing cannot have it from a part, and the part does not say that it can.
    let empty = replica(&full);
    let asked = talk((&phone, &ada), (&empty, &ada));
    is_complete(&asked);
    assert!(asked.left_stats.left_out > 0);
    assert!(content(&empty, "").is_empty());
    is_complete(&talk((&other, &ada), (&full, &ada)));
    assert_eq!(content(&other, ""), content(&full, "book:"));
}

/// A small tree has entries of no part beside those of the part. What they link to is not here, and so the commit
/// is left out, as one is whose nodes are not here.
#[test]
fn what_a_commit_links_to_is_part_of_it() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    let both = [
        ("book:1".to_owned(), "x".repeat(3000)),
        ("note:1".to_owned(), "small".to_owned()),
    ];
    put(&full, &ada, &both, START);
    let phone = part_of(&full, &["note:"], None);
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let empty = replica(&full);
    let asked = talk((&phone, &ada), (&empty, &ada));
    is_complete(&asked);
    assert_eq!(asked.left_stats.left_out, 1);
    assert!(content(&empty, "").is_empty());
}

/// A leaf may be one of the tree that was signed and one of the slice: what it links to is kept.
#[test]
fn a_collection_keeps_what_a_part_links_to() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    let long = |(key, value): (String, String)| (key, value.repeat(200));
    let mut records = named("book", 0..300, "small");
    records.extend(named("note", 0..300, "a long one ").into_iter().map(long));
    put(&full, &ada, &records, START);
    let phone = part_of(&full, &["note:"], Some(1));
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let go_on = &mut |_, _| std::ops::ControlFlow::Continue(());
    collect_garbage(phone.store().as_ref(), GcOptions::default(), go_on).unwrap();
    is_sound(&phone);
    assert_eq!(get(&phone, "note:000100"), get(&full, "note:000100"));
}

/// A peer that does not answer for a node is refused that commit, and the next session has it.
#[test]
fn what_is_withheld_is_refused() {
    let ada = Person::new(1);
    let full = large(&ada);
    let phone = part_of(&full, &["note:"], Some(1));
    let mut count = 0;
    let run = run(
        (&phone, &ada),
        (&full, &ada),
        usize::MAX,
        &mut |is_left, frame| {
            let Ok(Message::Blocks { blocks, mut absent }) = Message::decode(&frame) else {
                return Some(frame);
            };
            assert!(!is_left);
            count += 1;
            if count < 2 {
                return Some(frame);
            }
            let names = blocks
                .iter()
                .map(|block| allod_blocks::sha256_cid(allod_blocks::Codec::DagCbor, block));
            absent.extend(names);
            let blocks = Vec::new();
            Some(Message::Blocks { blocks, absent }.encode())
        },
    );
    assert!(run.is_complete());
    assert_eq!(
        run.left_stats.refused.len(),
        1,
        "{:?}",
        run.left_stats.refused
    );
    assert!(content(&phone, "").is_empty());
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    assert_eq!(content(&phone, ""), content(&full, "note:"));
}

/// Who keeps all keys of the newest commits, and hears from one who keeps some keys of all: what that one has
/// whole comes, what it has not is refused, and the session comes to its end.
#[test]
fn a_shallow_replica_meets_one_of_a_part() {
    let ada = Person::new(1);
    let full = large(&ada);
    let phone = part_of(&full, &["note:"], None);
    let shallow = part_of(&full, &[""], Some(1));
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    is_complete(&talk((&shallow, &ada), (&full, &ada)));
    put(&phone, &ada, &named("note", 10..12, "phone"), START + 100);
    put(
        &phone,
        &ada,
        &named("note", 11..13, "phone again"),
        START + 101,
    );
    for _ in 0..2 {
        let run = talk((&shallow, &ada), (&phone, &ada));
        assert!(run.is_complete(), "{:?} {:?}", run.left, run.right);
    }
    put(&full, &ada, &named("book", 10..12, "full"), START + 102);
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let run = talk((&shallow, &ada), (&phone, &ada));
    assert!(run.is_complete(), "{:?} {:?}", run.left, run.right);
    is_complete(&talk((&shallow, &ada), (&full, &ada)));
    assert_eq!(content(&shallow, ""), content(&full, ""));
    is_sound(&shallow);
}

/// A branch that begins at an old commit has its entries fetched, though the statement is here.
#[test]
fn a_branch_from_an_old_commit_arrives() {
    let ada = Person::new(1);
    let full = large(&ada);
    let phone = part_of(&full, &["note:"], Some(1));
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let main = BranchName::main();
    let old = full
        .log(&full.heads(&main).unwrap())
        .unwrap()
        .nth(7)
        .unwrap()
        .unwrap()
        .0;
    let branch: BranchName = "old".parse().unwrap();
    full.create_branch(&branch, &[old].into()).unwrap();
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    assert_eq!(phone.heads(&branch).unwrap(), [old].into());
    assert!(phone.is_held(old).unwrap());
    is_sound(&phone);
}
