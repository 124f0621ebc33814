//! Deltas in spaces that are replicated (DELTA-31, DELTA-32).

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_blocks::{Batch, MemoryStore};
use allod_deltas::{
    Appended, Cursor, Delta, DeltaFilter, DeltaStore as _, Number, Pointer, SpaceDeltas, StoreFault,
};
use allod_repo::{Author, BranchName, CommitId, Edit, GcOptions, Heads, Repo, collect_garbage};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{any_delta, delta, over, owner, repo};

/// A second replica of a space, and what exchanging everything does.
pub(crate) struct Pair {
    pub(crate) repos: [Repo; 2],
}

impl Pair {
    pub(crate) fn new() -> Self {
        let first = repo();
        let second = Repo::adopt(
            Arc::new(MemoryStore::new()),
            first.genesis().bytes().clone(),
        )
        .unwrap();
        Self {
            repos: [first, second],
        }
    }

    fn stores(&self) -> [SpaceDeltas; 2] {
        [over(&self.repos[0]), over(&self.repos[1])]
    }

    /// Each gets the commits of the other.
    pub(crate) fn exchange(&self) {
        let branch = BranchName::main();
        for (from, to) in [(0, 1), (1, 0)] {
            let (from, to) = (&self.repos[from], &self.repos[to]);
            let heads = from.heads(&branch).unwrap();
            let known = to.heads(&branch).unwrap();
            for id in from.missing(&heads, &known).unwrap() {
                if !to.has_commit(id).unwrap() {
                    deliver(from, to, id);
                }
            }
            to.join_branch(&branch, &heads).unwrap();
        }
    }
}

/// Sends one commit with its changes and the blocks that they link to.
fn deliver(from: &Repo, to: &Repo, id: CommitId) {
    let commit = from.commit(id).unwrap();
    let changes = from.changes_of(&commit, usize::MAX).unwrap().unwrap();
    let reviewed = to.review(commit.bytes().clone(), 1_000_000).unwrap();
    let complete = to.with_changes(reviewed, &changes).unwrap();
    for cid in to.missing_blocks(complete.links(), 100).unwrap().blocks {
        let mut batch = Batch::new();
        batch.put(from.store().get(&cid).unwrap().unwrap());
        let _outcome = to.store().commit(batch).unwrap();
    }
    to.accept(complete, &BranchName::main()).unwrap();
}

fn everything(store: &SpaceDeltas) -> Vec<Arc<Delta>> {
    store.scan(&DeltaFilter::all(), None, 1024).unwrap().deltas
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn replicas_that_exchanged_everything_have_one_set(
        ours in proptest::collection::vec(any_delta(), 0..8),
        theirs in proptest::collection::vec(any_delta(), 0..8),
    ) {
        let pair = Pair::new();
        let stores = pair.stores();
        for (store, deltas) in stores.iter().zip([&ours, &theirs]) {
            for delta in deltas {
                store.append(&[Arc::new(delta.clone())], 1_000).unwrap();
            }
        }
        pair.exchange();
        let [first, second] = &stores;
        prop_assert_eq!(everything(first), everything(second));
        let ids: BTreeSet<String> = ours.iter().chain(&theirs).map(|d| d.id().to_owned()).collect();
        let found = everything(first);
        let found_ids: BTreeSet<String> = found.iter().map(|d| d.id().to_owned()).collect();
        prop_assert_eq!(found.len(), ids.len());
        prop_assert_eq!(found_ids, ids);
        for delta in &found {
            let got = first.get(delta.id()).unwrap();
            prop_assert_eq!(got.as_ref(), Some(delta));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// DELTA-34: however appends, sessions and reads follow each other, everything arrives, and once.
    #[test]
    fn everything_arrives_once(
        steps in proptest::collection::vec((0..4u8, 0..60u8, 1..5usize), 1..24),
    ) {
        let pair = Pair::new();
        let stores = pair.stores();
        let (mut cursors, mut heard) = ([Cursor::default(); 2], [vec![], vec![]]);
        let mut read = |at: usize, limit: usize| {
            let arrivals = stores[at].arrivals(cursors[at], limit).unwrap();
            assert!(arrivals.deltas.len() <= limit);
            heard[at].extend(arrivals.deltas.iter().map(|delta| delta.id().to_owned()));
            cursors[at] = arrivals.next;
            arrivals.more
        };
        let mut all = BTreeSet::new();
        for (what, id, limit) in steps {
            match what {
                0 | 1 => {
                    let of = |id| delta(&format!("d{id}"), u64::from(id) + 1, "alice", vec![]);
                    let batch: Vec<Arc<Delta>> = (id..id + limit as u8).map(|id| Arc::new(of(id))).collect();
                    all.extend(batch.iter().map(|delta| delta.id().to_owned()));
                    stores[usize::from(what)].append(&batch, 1_000).unwrap();
                }
                2 => pair.exchange(),
                _ => {
                    read(usize::from(id % 2), limit);
                }
            }
        }
        pair.exchange();
        for at in 0..2 {
            while read(at, 3) {}
        }
        for heard in &mut heard {
            heard.sort();
            prop_assert_eq!(&*heard, &all.iter().cloned().collect::<Vec<_>>());
        }
    }
}

/// DELTA-35: what came by commits that are gone is not made up.
#[test]
fn a_cursor_from_before_what_is_known_is_refused() {
    let (repo, key) = (repo(), owner());
    let draft: BranchName = "draft".parse().unwrap();
    let on_draft = SpaceDeltas::new(repo.clone(), draft.clone(), key.agent_id(), key);
    for n in 0..3u64 {
        let one = Arc::new(delta(&format!("d{n}"), n + 1, "a", vec![]));
        on_draft.append(&[one], n).unwrap();
    }
    assert_eq!(
        on_draft
            .arrivals(Cursor::default(), 10)
            .unwrap()
            .deltas
            .len(),
        3
    );
    repo.delete_branch(&draft, true).unwrap();
    let options = GcOptions {
        moves_kept: 0,
        ..GcOptions::default()
    };
    let mut go_on = |_, _| std::ops::ControlFlow::Continue(());
    collect_garbage(repo.store().as_ref(), options, &mut go_on).unwrap();
    let refused = on_draft.arrivals(Cursor::default(), 10);
    assert!(matches!(refused, Err(StoreFault::Expired)), "{refused:?}");
    // From here on it goes on.
    let end = on_draft.end().unwrap();
    on_draft
        .append(&[Arc::new(delta("new", 1, "a", vec![]))], 9)
        .unwrap();
    assert_eq!(on_draft.arrivals(end, 10).unwrap().deltas.len(), 1);
}

#[test]
fn what_arrives_by_a_session_arrives() {
    let pair = Pair::new();
    let [first, second] = pair.stores();
    first
        .append(&[Arc::new(delta("a", 9, "alice", vec![]))], 1)
        .unwrap();
    second
        .append(&[Arc::new(delta("b", 5, "bob", vec![]))], 1)
        .unwrap();
    let end = first.end().unwrap();
    pair.exchange();
    let arrivals = first.arrivals(end, 10).unwrap();
    let ids: Vec<&str> = arrivals.deltas.iter().map(|delta| delta.id()).collect();
    assert_eq!(ids, ["b"], "an older one that came later");
    // What is longer than an entry is a block of its own.
    let long = vec![Pointer::text("is", "x".repeat(100_000)).unwrap()];
    let long = Arc::new(delta("long", 1, "bob", long));
    second.append(&[Arc::clone(&long)], 2).unwrap();
    pair.exchange();
    assert_eq!(first.get("long").unwrap(), Some(long));
    // What was redacted is gone there too, and does not come back.
    assert!(first.redact("a", 3).unwrap());
    pair.exchange();
    assert_eq!(second.get("a").unwrap(), None);
    let again = Arc::new(delta("a", 9, "alice", vec![]));
    assert_eq!(second.append(&[again], 4).unwrap(), [Appended::Redacted]);
}

/// DELTA-8: two contents of one id that merge.
#[test]
fn of_two_contents_the_lesser_digest_counts_on_both_sides() {
    let pair = Pair::new();
    let [first, second] = pair.stores();
    let one = Arc::new(delta("a", 1, "alice", vec![]));
    let two = Arc::new(delta("a", 2, "bob", vec![]));
    first.append(&[Arc::clone(&one)], 1).unwrap();
    second.append(&[Arc::clone(&two)], 1).unwrap();
    pair.exchange();
    let lesser = if one.digest() < two.digest() {
        &one
    } else {
        &two
    };
    for store in [&first, &second] {
        assert_eq!(store.get("a").unwrap().as_ref(), Some(lesser));
        assert_eq!(everything(store), [Arc::clone(lesser)]);
    }
}

/// DELTA-12: a later copy without a signature does not come to stand over the one with it.
#[test]
fn a_signed_copy_counts_on_both_sides() {
    let pair = Pair::new();
    let [first, second] = pair.stores();
    let key = owner();
    let signed = Delta::sign(&key, Number::of(5), "s", vec![]).unwrap();
    let bare = Delta::content_addressed(Number::of(5), signed.author(), "s", vec![]).unwrap();
    first
        .append(&[Arc::new(signed.clone().into_delta())], 1_000)
        .unwrap();
    second.append(&[Arc::new(bare.clone())], 2_000).unwrap();
    pair.exchange();
    for store in [&first, &second] {
        assert!(store.get(signed.id()).unwrap().unwrap().verify().is_ok());
        assert_eq!(everything(store).len(), 1);
    }
    // Redacted, no copy of it comes back.
    assert!(second.redact(signed.id(), 3_000).unwrap());
    pair.exchange();
    assert!(everything(&first).is_empty());
    for delta in [bare, signed.into_delta()] {
        let said = first.append(&[Arc::new(delta)], 4_000).unwrap();
        assert_eq!(said, [Appended::Redacted]);
    }
}

/// DELTA-32: what members write under the keys of deltas and is none says nothing.
#[test]
fn junk_under_the_keys_is_passed_over() {
    let repo = repo();
    let store = over(&repo);
    let good = Arc::new(delta(
        "a",
        1,
        "alice",
        vec![Pointer::to("of", "x").unwrap()],
    ));
    store.append(&[Arc::clone(&good)], 1).unwrap();
    let branch = BranchName::main();
    let json = Bytes::from(delta("b", 1, "alice", vec![]).encode());
    let record = |id: &str| Bytes::from([b"deltas/id/", id.as_bytes(), &[0; 18]].concat());
    let edits = [
        (record("b"), Edit::Put(json)),
        (record("c"), Edit::Put("no delta".into())),
        (record(""), Edit::Put("".into())),
        (Bytes::from_static(b"deltas/at/"), Edit::Put("".into())),
        (
            Bytes::from_static(b"deltas/at/\xff\xff\xff\xff\xff\xff\xff\xff\xff\0aaaaaaaaaaaaaaaa"),
            Edit::Put("".into()),
        ),
        (
            Bytes::from_static(b"deltas/at/\0\0\0\0\0\0\0\0nobody\0aaaaaaaaaaaaaaaa"),
            Edit::Put("".into()),
        ),
        (Bytes::from_static(b"deltas/to/x\0"), Edit::Put("".into())),
        (
            Bytes::from_static(b"deltas/to/x\0\0short"),
            Edit::Put("".into()),
        ),
        (
            Bytes::from_static(b"deltas/to/y\0\0\0\0\0\0\0\0\0\0a\0aaaaaaaaaaaaaaaa"),
            Edit::Put("".into()),
        ),
    ];
    repo.stage(&branch, edits, 2).unwrap();
    let key = owner();
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    repo.commit_staged(&branch, author, "Junk", 2).unwrap();
    assert_eq!(everything(&store), [Arc::clone(&good)]);
    assert_eq!(store.targeting("x", None, None, 10).unwrap().deltas, [good]);
    assert!(
        store
            .targeting("y", None, None, 10)
            .unwrap()
            .deltas
            .is_empty()
    );
    assert_eq!(store.get("b").unwrap(), None);
    let arrivals = store.arrivals(Cursor::default(), 10).unwrap();
    assert_eq!(arrivals.deltas.len(), 1);
    let b = Arc::new(delta("b", 1, "alice", vec![]));
    assert_eq!(
        store.append(&[b], 3).unwrap(),
        [Appended::New],
        "junk takes no id"
    );
}

/// One commit, whatever is appended at once.
#[test]
fn a_batch_is_one_commit() {
    let repo = repo();
    let store = over(&repo);
    let batch: Vec<Arc<Delta>> = (0..5000u64)
        .map(|at| {
            let pointers = vec![
                Pointer::under("of", format!("o{}", at % 700), "name").unwrap(),
                Pointer::text("is", format!("value {at}")).unwrap(),
            ];
            Arc::new(Delta::content_addressed(Number::of(at + 1), "alice", "s", pointers).unwrap())
        })
        .collect();
    let said = store.append(&batch, 1).unwrap();
    assert!(said.iter().all(|said| *said == Appended::New));
    let heads: Heads = repo.heads(&BranchName::main()).unwrap();
    assert_eq!(repo.log(&heads).unwrap().count(), 1);
    let said = store.append(&batch, 2).unwrap();
    assert!(said.iter().all(|said| *said == Appended::Known));
    assert_eq!(
        repo.heads(&BranchName::main()).unwrap(),
        heads,
        "and nothing the second time"
    );
    assert_eq!(
        store
            .targeting("o3", Some("name"), None, 100)
            .unwrap()
            .deltas
            .len(),
        8
    );
}
