//! Who is woken, and by what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use allod_feed::{FeedError, Filter, Subscription, Tail};
use allod_repo::{BranchName, Reach, Repo};

use crate::world::{Node, Person, START, on, put};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Reads all there is, and waits; how often it was woken until it asks again.
fn wait(consumer: &mut Subscription, node: &Node) -> Arc<Count> {
    loop {
        while !consumer.page(node, 100, usize::MAX).unwrap().is_end {}
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        if consumer
            .poll_ready(&mut Context::from_waker(&waker))
            .is_pending()
        {
            return count;
        }
    }
}

fn woken(count: &Count) -> usize {
    count.0.load(Ordering::SeqCst)
}

/// FEED-40: only those are woken whom it may concern, and those that are not go forward all the same.
#[test]
fn whom_it_does_not_concern_is_left_alone() {
    let ada = Person::new(1);
    let mut node = Node::new();
    let (repo, other) = (node.space(&ada, "space"), node.space(&ada, "another"));
    let tail = Tail::new(node.feed()).unwrap();
    let now = || tail.feed().now().unwrap();
    let filters = [
        ("all", "{}".to_owned()),
        ("space", format!(r#"{{"spaces":["{}"]}}"#, repo.id())),
        ("other", format!(r#"{{"spaces":["{}"]}}"#, other.id())),
        ("side", r#"{"branches":["side"]}"#.to_owned()),
        ("key", r#"{"prefixes":["notes/"]}"#.to_owned()),
        (
            "other key",
            r#"{"prefixes":["letters/"],"kinds":["change"]}"#.to_owned(),
        ),
        ("type", r#"{"types":["notes"]}"#.to_owned()),
        ("moves", r#"{"kinds":["move"]}"#.to_owned()),
        (
            "author",
            format!(r#"{{"authors":["{}"]}}"#, ada.0.agent_id()),
        ),
        (
            "stranger",
            format!(r#"{{"authors":["{}"]}}"#, Person::new(9).0.agent_id()),
        ),
    ];
    let mut consumers: Vec<_> = filters
        .iter()
        .map(|(name, filter)| {
            (
                *name,
                tail.subscribe(now(), filter.parse().unwrap()).unwrap(),
            )
        })
        .collect();
    assert_eq!(tail.consumers(), filters.len());
    let counts: Vec<_> = consumers
        .iter_mut()
        .map(|(_, one)| wait(one, &node))
        .collect();
    put(&repo, &ada, "main", &[("notes/a", Some("1"))], START);
    tail.pass(&node).unwrap();
    let heard: Vec<_> = consumers
        .iter()
        .zip(&counts)
        .filter(|(_, count)| woken(count) > 0)
        .map(|((name, _), _)| *name)
        .collect();
    assert_eq!(heard, ["all", "space", "key", "author"]);
    // A second move wakes nobody twice who has not asked again.
    put(&repo, &ada, "main", &[("notes/b", Some("1"))], START + 1);
    tail.pass(&node).unwrap();
    assert!(counts.iter().all(|count| woken(count) <= 1));
    for (name, consumer) in &mut consumers {
        let page = consumer.page(&node, 100, usize::MAX).unwrap();
        let expected = match *name {
            "all" | "space" | "key" | "author" => 4,
            _ => 0,
        };
        assert_eq!(page.events.len(), expected, "{name}");
        assert_eq!(page.next, now(), "{name}");
    }
    drop(consumers);
    assert_eq!(tail.consumers(), 0);
}

/// Nothing is missed between the end of a page and the wait for more.
#[test]
fn what_comes_before_the_wait_is_not_missed() {
    let ada = Person::new(1);
    let mut node = Node::new();
    let repo = node.space(&ada, "space");
    let tail = Tail::new(node.feed()).unwrap();
    let mut consumer = tail
        .subscribe(tail.feed().now().unwrap(), Filter::default())
        .unwrap();
    assert!(consumer.page(&node, 9, usize::MAX).unwrap().is_end);
    // It comes, and is looked at, while this one is between its page and its wait.
    put(&repo, &ada, "main", &[("a", Some("1"))], START);
    tail.pass(&node).unwrap();
    assert!(consumer.wait(Duration::ZERO));
    assert_eq!(consumer.page(&node, 9, usize::MAX).unwrap().events.len(), 2);
    // It comes while this one waits, and is looked at only after it asked.
    assert!(!consumer.wait(Duration::ZERO));
    put(&repo, &ada, "main", &[("a", Some("2"))], START + 1);
    assert!(!consumer.wait(Duration::ZERO));
    tail.pass(&node).unwrap();
    assert!(consumer.wait(Duration::ZERO));
    assert_eq!(consumer.page(&node, 9, usize::MAX).unwrap().events.len(), 2);
}

/// Threads that write, one that looks, and consumers that wait: each hears of each commit once, in order.
#[test]
fn everybody_hears_of_everything_beside_writers() {
    const COMMITS: usize = 60;
    let ada = Person::new(1);
    let mut node = Node::new();
    let repo = node.space(&ada, "space");
    let tail = Tail::new(node.feed()).unwrap();
    let begin = tail.feed().now().unwrap();
    let filter: Filter = r#"{"kinds":["change"]}"#.parse().unwrap();
    let consumers: Vec<_> = (0..4)
        .map(|_| tail.subscribe(begin.clone(), filter.clone()).unwrap())
        .collect();
    let (node, tail, ada, repo) = (&node, &tail, &ada, &repo);
    let until = begin.position() + 2 * COMMITS as u64;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut passed = begin.position();
            while passed < until {
                let _grown = tail.feed().log_end().wait(passed, Duration::from_secs(10));
                passed = tail.pass(node).unwrap();
            }
        });
        for branch in ["main", "side"] {
            scope.spawn(move || {
                for number in 0..COMMITS {
                    let key = format!("{branch}/{number:03}");
                    put(repo, ada, branch, &[(&key, Some("v"))], START);
                }
            });
        }
        for mut consumer in consumers {
            scope.spawn(move || {
                let mut heard = Vec::new();
                while heard.len() < 2 * COMMITS {
                    let page = consumer.page(node, 5, usize::MAX).unwrap();
                    heard.extend(
                        page.events
                            .into_iter()
                            .map(|event| (event.branch.clone(), event.told)),
                    );
                    if page.is_end && heard.len() < 2 * COMMITS {
                        assert!(consumer.wait(Duration::from_secs(20)), "woken");
                    }
                }
                for branch in ["main", "side"] {
                    let keys = heard.iter().filter(|(at, _)| *at == on(branch));
                    let keys: Vec<_> = keys
                        .map(|(_, told)| match told {
                            allod_feed::Told::Change { key, .. } => {
                                String::from_utf8(key.to_vec()).unwrap()
                            }
                            other => panic!("{other:?}"),
                        })
                        .collect();
                    let expected: Vec<_> = (0..COMMITS)
                        .map(|number| format!("{branch}/{number:03}"))
                        .collect();
                    assert_eq!(keys, expected);
                }
            });
        }
    });
}

/// FEED-52: who waits for something else while entries go that nobody looked at is woken, and hears of it: what it
/// waits for may have been among them.
#[test]
fn who_waits_hears_that_entries_went() {
    let ada = Person::new(1);
    let mut node = Node::new();
    let (repo, other) = (node.space(&ada, "space"), node.space(&ada, "another"));
    let tail = Tail::new(node.feed()).unwrap();
    let filter: Filter = format!(r#"{{"spaces":["{}"]}}"#, other.id())
        .parse()
        .unwrap();
    let now = tail.feed().now().unwrap();
    let mut consumer = tail.subscribe(now, filter).unwrap();
    let count = wait(&mut consumer, &node);
    put(&repo, &ada, "main", &[("a", Some("1"))], START);
    tail.pass(&node).unwrap();
    assert_eq!(woken(&count), 0);
    put(&other, &ada, "main", &[("b", Some("1"))], START);
    for number in 1..5 {
        put(&repo, &ada, "main", &[("a", Some("2"))], START + number);
    }
    let on = &mut |_| std::ops::ControlFlow::Continue(());
    let end = tail.feed().log_end().get();
    allod_repo::trim_log(node.store.as_ref(), end, on).unwrap();
    tail.pass(&node).unwrap();
    assert_eq!(woken(&count), 1);
    let read = consumer.page(&node, 10, usize::MAX);
    assert!(matches!(read, Err(FeedError::Expired { .. })), "{read:?}");
}

/// A filter by reach is by what the owner says now, for who waits, who reads, and who begins with a snapshot.
#[test]
fn what_is_not_meant_for_all_is_kept_back() {
    let ada = Person::new(1);
    let mut node = Node::new();
    let (repo, other) = (node.space(&ada, "space"), node.space(&ada, "another"));
    let tail = Tail::new(node.feed()).unwrap();
    let filter: Filter = r#"{"reach":["public"],"kinds":["change"],"branches":["main"]}"#
        .parse()
        .unwrap();
    let beginning = tail.feed().beginning();
    let mut consumer = tail.subscribe(beginning.clone(), filter.clone()).unwrap();
    let told = |node: &Node, from| node.read(from, &filter).unwrap().0.len();
    let say = |repo: &Repo, reach| repo.set_reach(reach, ada.author(), START).unwrap();
    put(&repo, &ada, "main", &[("a", Some("1"))], START);
    put(&other, &ada, "main", &[("b", Some("1"))], START);
    assert_eq!(repo.reach().unwrap(), Reach::Private);
    assert_eq!(told(&node, beginning.clone()), 0);
    assert!(say(&other, Reach::Public).is_some());
    assert!(say(&other, Reach::Public).is_none(), "it is so already");
    say(&repo, Reach::Circle);
    assert_eq!(told(&node, beginning.clone()), 1);
    assert_eq!(told(&node, node.feed().snapshot().unwrap()), 1);

    let count = wait(&mut consumer, &node);
    put(&repo, &ada, "main", &[("a", Some("2"))], START);
    tail.pass(&node).unwrap();
    assert_eq!(woken(&count), 0, "it is for a circle");
    put(&other, &ada, "main", &[("b", Some("2"))], START);
    tail.pass(&node).unwrap();
    assert_eq!(woken(&count), 1);
    assert_eq!(
        consumer.page(&node, 10, usize::MAX).unwrap().events.len(),
        1
    );

    say(&other, Reach::Private);
    assert_eq!(
        told(&node, beginning),
        0,
        "nothing more is told, also of before"
    );
    // A page of a snapshot that had begun before is the last.
    say(&other, Reach::Public);
    for number in 0..40 {
        put(
            &other,
            &ada,
            "main",
            &[(&format!("k{number}"), Some("1"))],
            START,
        );
    }
    let from = node.feed().snapshot().unwrap();
    let mut reader = node.feed().read(from, Arc::new(filter.clone())).unwrap();
    assert_eq!(reader.page(&node, 5, usize::MAX).unwrap().events.len(), 5);
    say(&other, Reach::Private);
    loop {
        let page = reader.page(&node, 5, usize::MAX).unwrap();
        assert_eq!(page.events.len(), 0);
        if page.is_end {
            break;
        }
    }
    // What a later version says is not taken for more than it may be.
    let mut change = other.begin(&BranchName::meta()).unwrap();
    change.put("reach", "commons").unwrap();
    change.commit(ada.author(), "", START).unwrap();
    assert_eq!(other.reach().unwrap(), Reach::Private);
    assert!(say(&other, Reach::Private).is_some(), "and it goes");
    assert!(say(&other, Reach::Private).is_none());
    let stranger = other.set_reach(Reach::Public, Person::new(2).author(), START);
    assert!(stranger.is_err(), "only its owner says so");
}
