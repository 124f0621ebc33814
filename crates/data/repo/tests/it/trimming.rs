//! A log that begins later than it did (REPO-71).

use std::ops::ControlFlow;
use std::sync::Arc;

use allod_blocks::{Batch, Expect, MemoryStore, Store};
use allod_repo::{
    GcOptions, Problem, Repo, RepoError, check_store, collect_garbage, copy_store, follow,
    follower, log_range, trim_log,
};

use crate::world::{Person, START, put, space_in};

const ON: ControlFlow<()> = ControlFlow::Continue(());

/// A space with some moves.
fn space(store: &Arc<dyn Store>, moves: u64) -> Repo {
    let ada = Person::new(1);
    let repo = space_in(&ada, Arc::clone(store));
    for number in 0..moves {
        let value = number.to_string();
        put(&repo, &ada, &[("key", Some(&value))], START + number);
    }
    repo
}

fn problems(store: &dyn Store) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut tell = |problem: &Problem| found.push(problem.clone());
    check_store(store, &mut tell, &mut |_| ON).unwrap();
    found
}

/// What was removed is removed, the rest stays where it was, and nothing that reads the log takes one for the other.
#[test]
fn what_is_left_of_a_log_stays_what_it_was() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space(&store, 600);
    let whole = store.read_log(0, usize::MAX).unwrap();
    let end = whole.len() as u64;
    let all = repo.moves(usize::MAX).unwrap();
    assert_eq!(all.len() as u64, end);
    let begin = end - 300;
    assert_eq!(trim_log(store.as_ref(), begin, &mut |_| ON).unwrap(), begin);
    assert_eq!(trim_log(store.as_ref(), begin, &mut |_| ON).unwrap(), 0);
    assert_eq!(log_range(store.as_ref()).unwrap(), begin..end);
    let left = store.read_log(0, usize::MAX).unwrap();
    assert_eq!(left, whole[begin as usize..]);

    // More than a page of moves, and not one twice.
    assert_eq!(repo.moves(usize::MAX).unwrap(), all[..300]);
    let gone = repo.undo(begin - 1);
    assert!(matches!(gone, Err(RepoError::NoMove(at)) if at == begin - 1));
    let known = repo.undo(begin);
    assert!(matches!(known, Err(RepoError::MovedSince { last, .. }) if last == end - 1));
    repo.undo(end - 1).unwrap();
    assert_eq!(problems(store.as_ref()), []);
    collect_garbage(store.as_ref(), GcOptions::default(), &mut |_, _| ON).unwrap();
    assert_eq!(problems(store.as_ref()), []);

    // A copy goes on at the same position.
    let copy = MemoryStore::new();
    let copied = copy_store(store.as_ref(), &copy, &mut |_| ON).unwrap();
    assert_eq!(copied.log_entries, 301);
    assert_eq!(log_range(&copy).unwrap(), begin..end + 1);
    let log = |store: &dyn Store| store.read_log(0, usize::MAX).unwrap();
    assert_eq!(log(&copy), log(store.as_ref()));
    assert_eq!(problems(&copy), []);

    // The last entry stays: it says where the log ends.
    assert_eq!(trim_log(&copy, u64::MAX, &mut |_| ON).unwrap(), 300);
    assert_eq!(log_range(&copy).unwrap(), end..end + 1);
    assert_eq!(problems(&copy), []);
}

/// Entries that nobody removed are missed, also the oldest.
#[test]
fn the_oldest_entries_cannot_be_lost_in_silence() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let _repo = space(&store, 20);
    // As an engine that lost them would look: nobody said that the log begins there.
    let mut batch = Batch::new();
    batch.begin_log_at(5);
    let _done = store.commit(batch).unwrap();
    let found = problems(store.as_ref());
    let told: Vec<_> = found.iter().map(|problem| &problem.text[..]).collect();
    assert_eq!(told, ["entries 0 to 4 are missing"]);
    trim_log(store.as_ref(), 7, &mut |_| ON).unwrap();
    assert_eq!(problems(store.as_ref()), []);
    let mut batch = Batch::new();
    batch.set_ref(&b"log/begin"[..], Expect::Any, Some(&b"seven"[..]));
    let _done = store.commit(batch).unwrap();
    assert_eq!(problems(store.as_ref()).len(), 1);
    // A log that is said to begin later than it ends has lost all.
    let mut batch = Batch::new();
    let far = 5000_u64.to_be_bytes();
    batch.set_ref(&b"log/begin"[..], Expect::Any, Some(far.to_vec()));
    let _done = store.commit(batch).unwrap();
    assert_eq!(problems(store.as_ref()).len(), 1);
}

/// Two that trim at once leave a log that begins where it is said to.
#[test]
fn two_may_trim_at_once() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space(&store, 3);
    let ada = Person::new(1);
    let mut batch = Batch::new();
    let entry = store.read_log(1, 1).unwrap().remove(0).bytes;
    (0..20_000).for_each(|_| batch.append(entry.clone()));
    let _done = store.commit(batch).unwrap();
    std::thread::scope(|scope| {
        for before in [9_000, 14_000, 18_000, 18_000] {
            let store = &store;
            scope.spawn(move || trim_log(store.as_ref(), before, &mut |_| ON).unwrap());
        }
    });
    assert_eq!(log_range(store.as_ref()).unwrap().start, 18_000);
    put(&repo, &ada, &[("key", Some("last"))], START + 50);
    assert_eq!(problems(store.as_ref()), []);
}

/// HOOK-12: who follows the log hears of what is left, and counts what it missed. An end in the middle leaves a log
/// that is whole from there on.
#[test]
fn a_follower_counts_what_went_before_it_heard_of_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repo = space(&store, 3);
    let mut heard = Vec::new();
    let mut hear = |at: u64, _: &_| {
        heard.push(at);
        Ok(())
    };
    allod_repo::begin_to_follow(store.as_ref(), "hook").unwrap();
    let from = log_range(store.as_ref()).unwrap().end;
    let ada = Person::new(1);
    for number in 0..5000 {
        let value = format!("more {number}");
        put(&repo, &ada, &[("key", Some(&value))], START + 10 + number);
    }
    let mut steps = 0;
    let stopped = trim_log(store.as_ref(), from + 4500, &mut |_| {
        steps += 1;
        ControlFlow::Break(())
    });
    assert_eq!((stopped.unwrap(), steps), (4096, 1));
    assert_eq!(problems(store.as_ref()), []);
    trim_log(store.as_ref(), from + 4500, &mut |_| ON).unwrap();
    follow(store.as_ref(), "hook", &mut hear).unwrap();
    let record = follower(store.as_ref(), "hook").unwrap().unwrap();
    assert_eq!((record.missed, heard.len()), (4500, 500));
    assert_eq!(heard[0], from + 4500);
}
