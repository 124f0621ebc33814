//! Cursors from which the log does not go on, and what is not told before it is durable.

use std::sync::Arc;

use allod_blocks::{MemoryStore, Store};
use allod_feed::{ChangedBy, Cursor, Feed, FeedError, Filter, Kind, Told};
use allod_repo::{GcOptions, Repo, collect_garbage};

use crate::world::{Node, Person, START, on, put};

fn expired(result: Result<impl std::fmt::Debug, FeedError>) -> (&'static str, Cursor) {
    match result {
        Err(FeedError::Expired { why, snapshot }) => (why, *snapshot),
        other => panic!("expected to hear that the cursor has expired, got {other:?}"),
    }
}

/// FEED-13: a copy of a store that went on differently is another log from there on, and only from there on.
#[test]
fn a_log_that_went_another_way_is_noticed() {
    let ada = Person::new(1);
    let (mut one, mut two) = (Node::new(), Node::new());
    let (first, second) = (one.space(&ada, "space"), two.space(&ada, "space"));
    // The same commits: keys and clocks are the same.
    for repo in [&first, &second] {
        put(repo, &ada, "main", &[("a", Some("1"))], START);
    }
    let same = one.feed().now().unwrap();
    assert_eq!(two.feed().now().unwrap(), same);
    put(&first, &ada, "main", &[("a", Some("one"))], START + 1);
    put(&second, &ada, "main", &[("a", Some("two"))], START + 1);
    let of_one = one.feed().now().unwrap();
    put(&second, &ada, "main", &[("b", Some("more"))], START + 2);

    let filter = Filter::default();
    assert_eq!(two.read(same, &filter).unwrap().0.len(), 4);
    let (_, snapshot) = expired(two.read(of_one.clone(), &filter));
    let (events, _) = two.read(snapshot, &filter).unwrap();
    assert!(events.iter().any(|event| matches!(&event.told, Told::Change { key, by: ChangedBy::Snapshot, .. } if &key[..] == b"b")));
    // Another epoch, and a log that is shorter.
    let other = Feed::open(Node::new().store, [8; 16]).unwrap();
    expired(one.read(other.now().unwrap(), &filter));
    let shorter = {
        let mut node = Node::new();
        node.space(&ada, "space");
        node
    };
    expired(shorter.read(of_one, &filter));
}

/// FEED-7: what a move names and the store has no more is not passed over.
#[test]
fn a_commit_that_is_gone_is_noticed() {
    let ada = Person::new(1);
    let mut node = Node::new();
    let repo = node.space(&ada, "space");
    put(&repo, &ada, "main", &[("a", Some("1"))], START);
    repo.create_branch(&on("side"), &repo.heads(&on("main")).unwrap())
        .unwrap();
    put(&repo, &ada, "side", &[("b", Some("2"))], START + 1);
    let before = node.feed().beginning();
    assert_eq!(
        node.read(before.clone(), &Filter::default())
            .unwrap()
            .0
            .len(),
        5
    );
    repo.delete_branch(&on("side"), true).unwrap();
    let after = node.feed().now().unwrap();
    put(&repo, &ada, "main", &[("c", Some("3"))], START + 2);
    let options = GcOptions {
        moves_kept: 0,
        ..GcOptions::default()
    };
    collect_garbage(node.store.as_ref(), options, &mut |_, _| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    expired(node.read(before.clone(), &Filter::default()));
    // Who does not ask for that branch has lost nothing.
    let main: Filter = r#"{"branches":["main"]}"#.parse().unwrap();
    assert_eq!(node.read(before, &main).unwrap().0.len(), 4);
    assert_eq!(node.read(after, &Filter::default()).unwrap().0.len(), 2);
}

/// FEED-20, FEED-21: a snapshot that is read beside writers, in pages, with a new reader for each.
#[test]
fn a_snapshot_goes_on_where_it_was() {
    let ada = Person::new(1);
    let mut node = Node::new();
    let repo = node.space(&ada, "space");
    let other = node.space(&ada, "another");
    for number in 0..40 {
        let key = format!("k{number:02}");
        put(&repo, &ada, "main", &[(&key, Some("old"))], START + number);
    }
    put(&other, &ada, "main", &[("x", Some("1"))], START);
    repo.create_branch(&on("side"), &repo.heads(&on("main")).unwrap())
        .unwrap();
    let feed = node.feed();
    let filter: Arc<Filter> = Arc::new(r#"{"kinds":["change"]}"#.parse().unwrap());
    let mut cursor = feed.snapshot().unwrap();
    let mut keys = std::collections::BTreeMap::new();
    let mut shown = 0;
    for round in 0.. {
        let mut reader = feed.read(cursor, Arc::clone(&filter)).unwrap();
        let page = reader.page(&node, 7, usize::MAX).unwrap();
        for event in &page.events {
            let Told::Change {
                key,
                state,
                stamp,
                by,
            } = &event.told
            else {
                panic!("only changes were asked for")
            };
            assert_eq!(event.kind(), Kind::Change);
            shown += usize::from(matches!(by, ChangedBy::Snapshot));
            let place = (event.space, event.branch.clone(), key.clone());
            let known: Option<&(Option<allod_repo::Stamp>, allod_repo::State)> = keys.get(&place);
            if known.is_none_or(|(known, _)| stamp >= known) {
                keys.insert(place, (*stamp, state.clone()));
            }
        }
        cursor = page.next.to_string().parse().unwrap();
        if page.is_end {
            break;
        }
        if round < 6 {
            let key = format!("k{:02}", 5 * round);
            put(
                &repo,
                &ada,
                "main",
                &[(&key, Some("new")), ("k39", None)],
                START + 100 + round,
            );
        }
    }
    assert!(shown >= 80, "{shown}");
    for (id, repo) in &node.repos {
        for (branch, heads) in repo.branches().unwrap() {
            let view = repo.together(&heads).unwrap();
            let live = view
                .range(&allod_repo::Span::all(), false)
                .map(|item| item.unwrap());
            for (key, entry) in live {
                let told = keys.remove(&(*id, branch.clone(), key.clone()));
                assert_eq!(
                    told,
                    Some((Some(entry.stamp), entry.state)),
                    "{branch} {key:?}"
                );
            }
        }
    }
    // What is left is deleted.
    assert!(
        keys.values()
            .all(|(_, state)| *state == allod_repo::State::Tombstone)
    );
}

/// FEED-2: what a crash may take back is not told.
#[test]
fn nothing_is_told_before_it_is_durable() {
    let ada = Person::new(1);
    let memory = Arc::new(MemoryStore::new());
    let mut node = Node::over(memory.clone());
    let repo = node.space(&ada, "space");
    let mut far = Node::new();
    let there: Repo = far.replica(&repo);
    let before = node.feed().now().unwrap();
    put(&there, &ada, "main", &[("a", Some("1"))], START);
    crate::world::send(&there, &repo, &on("main"), START);
    let (told, _) = node.read(before.clone(), &Filter::default()).unwrap();
    let durable = node.feed().log_end().get();
    assert_eq!(durable, before.position(), "it was put off");
    assert!(told.is_empty());
    node.store.sync().unwrap();
    assert_eq!(memory.lose_unsynced(), 0);
    let (told, _) = node.read(before, &Filter::default()).unwrap();
    assert_eq!(told.len(), 2);
}

/// FEED-52: a cursor before what was removed has expired, wherever it comes from, and one behind it has not.
#[test]
fn what_was_removed_is_not_passed_over() {
    let ada = Person::new(1);
    let mut node = Node::new();
    let repo = node.space(&ada, "space");
    let feed = node.feed();
    let mut cursors = vec![feed.beginning()];
    for number in 0..10 {
        put(&repo, &ada, "main", &[("a", Some("1"))], START + number);
        cursors.push(feed.now().unwrap());
    }
    let filter: Arc<Filter> = Arc::default();
    let begin = cursors[5].position();
    let mut half_read = feed.read(cursors[2].clone(), Arc::clone(&filter)).unwrap();
    assert_eq!(
        half_read.page(&node, 3, usize::MAX).unwrap().events.len(),
        3
    );
    let on = &mut |_| std::ops::ControlFlow::Continue(());
    allod_repo::trim_log(node.store.as_ref(), begin, on).unwrap();
    for (number, cursor) in cursors.iter().enumerate() {
        let read = node.read(cursor.clone(), &filter);
        if cursor.position() > begin {
            assert_eq!(read.unwrap().0.len(), 2 * (10 - number), "{number}");
        } else {
            let (why, snapshot) = expired(read);
            assert_eq!(why, "the log begins after it", "{number}");
            assert!(!node.read(snapshot, &filter).unwrap().0.is_empty());
        }
    }
    // Whoever has entries in memory is told what they say, and then the same as others.
    let mut left = 0;
    let ended = loop {
        match half_read.page(&node, 3, usize::MAX) {
            Ok(page) => {
                left += page.events.len();
                if page.is_end {
                    break None;
                }
            }
            Err(error) => break Some(error),
        }
    };
    let is_whole = ended.is_none() && left == 13;
    let is_expired = matches!(ended, Some(FeedError::Expired { .. }));
    assert!(is_whole || is_expired, "{left} events, then {ended:?}");
    let again = feed.read(half_read.cursor(), filter);
    assert_eq!(again.is_err(), is_expired);
}
