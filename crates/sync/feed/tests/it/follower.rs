//! Somebody who knows a node by its feed alone, and comes to the same state.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::Store as _;
use allod_feed::{ChangedBy, Cursor, Event, Filter, Kind, Text, Told};
use allod_repo::{
    BranchName, CommitId, Entry, FastForward, MergeOptions, Pattern, Resolving, SpaceId, Span,
    Stamp, State, Strategy as Resolve,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{Node, Person, START, on, put, send};

type Keys = BTreeMap<Bytes, (Option<Stamp>, State)>;

/// What a consumer makes of events.
#[derive(Default)]
struct Follower {
    branches: BTreeMap<(SpaceId, BranchName), Keys>,
    heads: BTreeMap<(SpaceId, BranchName), Vec<CommitId>>,
}

impl Follower {
    fn hear(&mut self, node: &Node, event: &Event) {
        let branch = (event.space, event.branch.clone());
        match &event.told {
            Told::Commit { .. } => {}
            Told::Move { to, .. } => {
                self.heads.insert(branch.clone(), to.clone());
                if to.is_empty() {
                    self.branches.remove(&branch);
                } else {
                    // Made at commits that were here: the state is that of its heads (FEED-5).
                    self.branches.entry(branch).or_insert_with(|| {
                        let heads = to.iter().copied().collect();
                        let view = node.repos[&event.space].together(&heads).unwrap();
                        let items = view.range(&Span::all(), false).map(Result::unwrap);
                        items
                            .map(|(key, entry)| (key, (Some(entry.stamp), entry.state)))
                            .collect()
                    });
                }
            }
            Told::Change {
                key,
                state,
                stamp,
                by,
            } => {
                let keys = self.branches.entry(branch).or_default();
                let is_newer = keys.get(key).is_none_or(|(known, _)| stamp >= known);
                if is_newer || matches!(by, ChangedBy::Move) {
                    keys.insert(key.clone(), (*stamp, state.clone()));
                }
            }
            _ => panic!("another kind"),
        }
    }

    /// What is live on each branch.
    fn live(&self) -> BTreeMap<(SpaceId, BranchName), BTreeMap<Bytes, State>> {
        let branches = self.branches.iter().map(|(branch, keys)| {
            let live = keys
                .iter()
                .filter(|(_, (_, state))| *state != State::Tombstone)
                .map(|(key, (_, state))| (key.clone(), state.clone()));
            (branch.clone(), live.collect())
        });
        branches
            .filter(|(_, keys): &(_, BTreeMap<_, _>)| !keys.is_empty())
            .collect()
    }
}

fn live_of(node: &Node) -> BTreeMap<(SpaceId, BranchName), BTreeMap<Bytes, State>> {
    let mut found = BTreeMap::new();
    for (id, repo) in &node.repos {
        for (branch, heads) in repo.branches().unwrap() {
            let view = repo.together(&heads).unwrap();
            let keys: BTreeMap<Bytes, State> = view
                .range(&Span::all(), false)
                .map(|item| {
                    item.map(|(key, entry): (Bytes, Entry)| (key, entry.state))
                        .unwrap()
                })
                .collect();
            if !keys.is_empty() {
                found.insert((*id, branch), keys);
            }
        }
    }
    found
}

#[derive(Clone, Debug)]
enum Act {
    Put(u8, u8, u8),
    Delete(u8, u8),
    Elsewhere(u8, u8, u8),
    Receive,
    Branch(u8, u8),
    Gone(u8),
    Merge(u8, u8),
    Undo(u8),
    /// The consumer reads so many events, and may come back with its cursor as text.
    Read(u8, bool),
    /// It comes back with the cursor that it had before, as it lost what it made of the last page.
    Again,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3u8, 0..6u8, any::<u8>()).prop_map(|(branch, key, value)| Act::Put(branch, key, value)),
        1 => (0..3u8, 0..6u8).prop_map(|(branch, key)| Act::Delete(branch, key)),
        3 => (0..3u8, 0..6u8, any::<u8>()).prop_map(|(branch, key, value)| Act::Elsewhere(branch, key, value)),
        3 => Just(Act::Receive),
        1 => (0..3u8, 0..3u8).prop_map(|(made, from)| Act::Branch(made, from)),
        1 => (0..3u8).prop_map(Act::Gone),
        2 => (0..3u8, 0..3u8).prop_map(|(into, from)| Act::Merge(into, from)),
        2 => (0..4u8).prop_map(Act::Undo),
        4 => (1..5u8, any::<bool>()).prop_map(|(events, text)| Act::Read(events, text)),
        1 => Just(Act::Again),
    ]
}

const BRANCHES: [&str; 3] = ["main", "side", "other/one"];

fn branch(number: u8) -> &'static str {
    BRANCHES[usize::from(number) % BRANCHES.len()]
}

/// Does what can be done; what is refused changes nothing.
fn perform(here: &Node, there: &Node, (ada, bob): (&Person, &Person), act: &Act, now: u64) {
    let id = *here.repos.keys().next().unwrap();
    let (repo, far) = (&here.repos[&id], &there.repos[&id]);
    let has = |name: &str| name == "main" || !repo.heads(&on(name)).unwrap().is_empty();
    match act {
        Act::Put(number, key, value) if has(branch(*number)) => {
            let (key, value) = (format!("k{key}"), format!("v{value}"));
            put(repo, ada, branch(*number), &[(&key, Some(&value))], now);
        }
        Act::Delete(number, key) if has(branch(*number)) => {
            put(
                repo,
                ada,
                branch(*number),
                &[(&format!("k{key}"), None)],
                now,
            );
        }
        Act::Elsewhere(number, key, value) => {
            let name = branch(*number);
            if name == "main" || !far.heads(&on(name)).unwrap().is_empty() {
                let (key, value) = (format!("k{key}"), format!("w{value}"));
                put(far, bob, name, &[(&key, Some(&value))], now);
            }
        }
        Act::Receive => {
            for name in BRANCHES {
                if !far.heads(&on(name)).unwrap().is_empty() {
                    send(far, repo, &on(name), now);
                }
                if has(name) && !repo.heads(&on(name)).unwrap().is_empty() {
                    send(repo, far, &on(name), now);
                }
            }
        }
        Act::Branch(made, from) => {
            let heads = repo.heads(&on(branch(*from))).unwrap();
            if !heads.is_empty() {
                repo.create_branch(&on(branch(*made)), &heads).ok();
            }
        }
        Act::Gone(number) => {
            repo.delete_branch(&on(branch(*number)), true).ok();
        }
        Act::Merge(into, from) if has(branch(*into)) => {
            let theirs = repo.heads(&on(branch(*from))).unwrap();
            let rules = [("*".parse::<Pattern>().unwrap(), Resolve::Newest)];
            let options = MergeOptions {
                resolving: Resolving {
                    rules: &rules,
                    ..Resolving::default()
                },
                fast_forward: FastForward::Allowed,
                allow_unrelated: true,
                message: None,
            };
            if !theirs.is_empty() {
                repo.merge(&on(branch(*into)), &theirs, ada.author(), &options, now)
                    .ok();
            }
        }
        Act::Undo(nth) => {
            let moves = repo.moves(4).unwrap();
            if let Some((position, _)) = moves.get(usize::from(*nth)) {
                repo.undo(*position).ok();
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// FEED-3 to FEED-5, FEED-10, FEED-41: whatever happens, and however a consumer reads, comes back and is told
    /// again, it comes to what the branches have.
    #[test]
    fn a_follower_comes_to_the_same_state(acts in prop::collection::vec(act(), 1..40)) {
        let (ada, bob) = (Person::new(1), Person::new(1));
        let (mut here, mut there) = (Node::new(), Node::new());
        let repo = here.space(&ada, "space");
        there.replica(&repo);
        let mut now = START;
        put(&repo, &ada, "main", &[("k0", Some("first"))], now);
        let feed = here.feed();
        let filter = Arc::new(Filter::default());
        let mut reader = feed.read(feed.beginning(), Arc::clone(&filter)).unwrap();
        let mut follower = Follower::default();
        let mut told = Vec::new();
        for act in &acts {
            now += 1000;
            match act {
                Act::Read(count, as_text) => {
                    let page = reader.page(&here, usize::from(*count), usize::MAX).unwrap();
                    for event in &page.events {
                        follower.hear(&here, event);
                        told.push(event.order);
                    }
                    if *as_text {
                        let cursor: Cursor = page.next.to_string().parse().unwrap();
                        prop_assert_eq!(&cursor, &page.next);
                        reader = feed.read(cursor, Arc::clone(&filter)).unwrap();
                    }
                }
                Act::Again => {
                    // A page that nobody made anything of.
                    let before = reader.cursor();
                    let _lost = reader.page(&here, 3, usize::MAX).unwrap();
                    reader = feed.read(before, Arc::clone(&filter)).unwrap();
                }
                act => perform(&here, &there, (&ada, &bob), act, now),
            }
        }
        // What arrived is told once it is durable (FEED-2).
        here.store.sync().unwrap();
        loop {
            let page = reader.page(&here, 7, usize::MAX).unwrap();
            for event in &page.events {
                follower.hear(&here, event);
                told.push(event.order);
            }
            if page.is_end {
                break;
            }
        }
        prop_assert_eq!(follower.live(), live_of(&here));
        // In order, none twice: it never came back with an older cursor than it had made something of.
        prop_assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
    }

    /// FEED-30: a filter gives exactly those of all events that it lets pass.
    #[test]
    fn a_filter_gives_what_it_lets_pass(
        acts in prop::collection::vec(act(), 1..25),
        kinds in prop::option::of(prop::sample::subsequence(&Kind::ALL[..], 0..=3)),
        branches in prop::option::of(prop::sample::subsequence(vec!["main", "other/*", "si*", "*"], 0..=2)),
        prefixes in prop::option::of(prop::sample::subsequence(vec!["k1", "k", "k3", "z"], 0..=2)),
        writers in prop::option::of(prop::sample::subsequence(vec![1u8, 2], 0..=2)),
    ) {
        let (ada, bob) = (Person::new(1), Person::new(1));
        let (mut here, mut there) = (Node::new(), Node::new());
        let repo = here.space(&ada, "space");
        there.replica(&repo);
        let mut now = START;
        for act in &acts {
            now += 1000;
            perform(&here, &there, (&ada, &bob), act, now);
        }
        let filter = Filter {
            kinds,
            branches: branches.map(|list| list.into_iter().map(str::to_owned).collect()),
            prefixes: prefixes.map(|list| list.into_iter().map(str::to_owned).collect()),
            authors: writers.map(|list| {
                list.into_iter().map(|number| Text(Person::new(number).0.agent_id())).collect()
            }),
            ..Filter::default()
        };
        let filter: Filter = serde_json::to_string(&filter).unwrap().parse().unwrap();
        let beginning = here.feed().beginning();
        let (all, _) = here.read(beginning.clone(), &Filter::default()).unwrap();
        let (some, _) = here.read(beginning, &filter).unwrap();
        let expected: Vec<_> = all.iter().filter(|event| passes(&filter, event, &all)).map(|event| event.order).collect();
        let some: Vec<_> = some.iter().map(|event| event.order).collect();
        prop_assert_eq!(some, expected);
    }
}

/// The same rule, read off the page.
fn passes(filter: &Filter, event: &Event, all: &[Event]) -> bool {
    let of_branch = filter.branches.as_ref().is_none_or(|names| {
        names.iter().any(|name| match name.strip_suffix('*') {
            Some(start) => event.branch.as_str().starts_with(start),
            None => event.branch.as_str() == name,
        })
    });
    let of_kind = filter
        .kinds
        .as_ref()
        .is_none_or(|kinds| kinds.contains(&event.kind()));
    let author = |commit: &allod_repo::Commit| {
        filter
            .authors
            .as_ref()
            .is_none_or(|authors| authors.iter().any(|author| author.0 == commit.author))
    };
    let of_author = match &event.told {
        Told::Commit { commit, .. }
        | Told::Change {
            by: ChangedBy::Commit { commit, .. },
            ..
        } => author(commit.payload()),
        _ => filter.authors.is_none(),
    };
    let key = |event: &Event| match &event.told {
        Told::Change { key, .. } => filter.prefixes.as_ref().is_none_or(|prefixes| {
            prefixes
                .iter()
                .any(|prefix| key.starts_with(prefix.as_bytes()))
        }),
        _ => false,
    };
    let at = event.order;
    let of_key = filter.prefixes.is_none()
        || match &event.told {
            Told::Change { .. } => key(event),
            Told::Commit { id, .. } => {
                // In a move that is not forward the changes of a commit are not told: they are those that it made.
                let own = all.iter().any(|other| {
                    other.order.position == at.position
                        && other.order.commit == at.commit
                        && key(other)
                });
                let earlier = all.iter().any(|other| {
                    matches!(&other.told, Told::Change { by: ChangedBy::Commit { id: made, .. }, .. } if made == id)
                        && key(other)
                });
                own || earlier
            }
            Told::Move { from, to } => {
                from.is_empty()
                    || to.is_empty()
                    || all.iter().any(|other| {
                        other.order.position == at.position
                            && matches!(
                                &other.told,
                                Told::Change {
                                    by: ChangedBy::Move,
                                    ..
                                }
                            )
                            && key(other)
                    })
            }
            _ => panic!("another kind"),
        };
    of_branch && of_kind && of_author && of_key
}
