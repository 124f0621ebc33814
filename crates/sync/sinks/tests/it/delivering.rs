//! Nothing lost, nothing twice for good.

use std::collections::BTreeSet;

use allod_sinks::{DEAD_MAX, SinkError};
use proptest::prelude::*;

use crate::world::{Act, Node, stdout};

fn act() -> impl Strategy<Value = Option<Act>> {
    prop_oneof![
        3 => Just(None),
        3 => (0..4usize, any::<bool>()).prop_map(|(count, is_told)| Some(Act::Cut(count, is_told))),
        1 => Just(Some(Act::Silent)),
    ]
}

/// A node with commits of so many keys, and a sink from the beginning.
fn node(commits: &[usize], can_say: bool) -> Node {
    let node = Node::new();
    node.outside.lock().unwrap().can_say = can_say;
    let from = tail_beginning(&node);
    node.register().add("sink", &stdout(), from).unwrap();
    for (number, keys) in commits.iter().enumerate() {
        let keys: Vec<String> = (0..=*keys).map(|key| format!("k{number}/{key}")).collect();
        let edits: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], "v")).collect();
        node.put(&edits);
    }
    node
}

fn tail_beginning(node: &Node) -> allod_feed::Cursor {
    node.tail.feed().beginning()
}

/// Carries until nothing fails any more.
fn carry_all(node: &Node) {
    for _ in 0..200 {
        let state = node.carry("sink").unwrap();
        if state.words.is_none() {
            return;
        }
    }
    panic!("it never ends");
}

proptest! {
    /// SINK-1, SINK-2: whatever is cut, whatever answer is lost, and whatever the target loses of its tail while it
    /// is away: in the end it has what the log has.
    #[test]
    fn a_target_that_can_say_has_the_log(
        commits in prop::collection::vec(0..5usize, 1..6),
        acts in prop::collection::vec(act(), 0..12),
        loses in prop::collection::vec(0..6usize, 0..6),
    ) {
        let node = node(&commits, true);
        {
            let mut outside = node.outside.lock().unwrap();
            outside.acts = acts.into();
            outside.loses = loses.into();
        }
        carry_all(&node);
        // Once more, as what was lost after the end is found when it is opened.
        node.outside.lock().unwrap().loses.clear();
        node.carry("sink").unwrap();
        prop_assert_eq!(node.content(), node.log());
    }

    /// SINK-1, SINK-22: one that cannot say may get events again, and misses none; and after the last failure all
    /// is in order.
    #[test]
    fn a_target_that_cannot_say_misses_nothing(
        commits in prop::collection::vec(0..5usize, 1..6),
        acts in prop::collection::vec(act(), 0..12),
    ) {
        let node = node(&commits, false);
        node.outside.lock().unwrap().acts = acts.into();
        carry_all(&node);
        let (content, log) = (node.content(), node.log());
        let all: BTreeSet<&String> = content.iter().collect();
        prop_assert_eq!(all, log.iter().collect::<BTreeSet<_>>());
        // Each goes back no further than what was not answered.
        let place = |name: &String| log.iter().position(|known| known == name).unwrap();
        let places: Vec<usize> = content.iter().map(place).collect();
        prop_assert!(places.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{places:?}");
    }
}

/// SINK-5: an event that is refused for what it is holds up nothing, and is known.
#[test]
fn what_is_refused_is_a_dead_letter() {
    let node = node(&[2, 2], true);
    node.outside.lock().unwrap().acts = [Some(Act::Refuse(1)), None, Some(Act::Refuse(0))].into();
    let state = node.carry("sink").unwrap();
    assert_eq!((state.delivered, state.dead), (6, 2));
    let log = node.log();
    let content = node.content();
    let missing: Vec<&String> = log.iter().filter(|name| !content.contains(name)).collect();
    let dead = node.register().dead("sink").unwrap();
    let buried: Vec<String> = dead
        .iter()
        .map(|(_, letter)| format!("{} {}", letter.source, letter.id))
        .collect();
    assert_eq!(missing, buried.iter().collect::<Vec<_>>());
    assert!(
        dead.iter()
            .all(|(_, letter)| letter.words == "this is not wanted")
    );
    assert_eq!(content.len() + 2, log.len());
    assert_eq!(node.register().drop_dead("sink").unwrap(), 2);
    assert_eq!(node.register().get("sink").unwrap().1.dead, 0);
}

/// SINK-5: a target that refuses everything stops its sink.
#[test]
fn a_target_that_refuses_all_stops_its_sink() {
    let node = node(&[], true);
    for commit in 0..6 {
        let keys: Vec<String> = (0..200).map(|key| format!("k{commit}/{key}")).collect();
        let edits: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], "v")).collect();
        node.put(&edits);
    }
    let refuse = std::iter::repeat_n(Some(Act::Refuse(0)), 3000);
    node.outside.lock().unwrap().acts = refuse.collect();
    let state = node.carry("sink").unwrap();
    assert!(state.stopped);
    assert_eq!(state.dead, DEAD_MAX);
    assert!(state.words.unwrap().contains("this is not wanted"));
    assert_eq!(node.register().dead("sink").unwrap().len() as u64, DEAD_MAX);
    // It rests until they are dropped.
    let opened = node.outside.lock().unwrap().opened;
    node.carry("sink").unwrap();
    assert_eq!(node.outside.lock().unwrap().opened, opened);
    node.outside.lock().unwrap().acts.clear();
    node.register().drop_dead("sink").unwrap();
    let state = node.carry("sink").unwrap();
    assert!(!state.stopped);
    assert_eq!(state.delivered + DEAD_MAX, node.log().len() as u64);
}

/// SINK-6: what is missing is for a person to know.
#[test]
fn an_expired_cursor_stops_a_sink() {
    let node = node(&[1], true);
    let other = Node::new();
    other.put(&[("a", "1")]);
    other.put(&[("a", "2")]);
    other.put(&[("a", "3")]);
    node.register()
        .go_on_from("sink", &other.tail.feed().now().unwrap())
        .unwrap();
    let state = node.carry("sink").unwrap();
    assert!(state.stopped);
    assert!(state.words.unwrap().contains("expired"));
    assert_eq!(node.content(), [] as [&str; 0]);
    node.register()
        .go_on_from("sink", &tail_beginning(&node))
        .unwrap();
    assert!(!node.carry("sink").unwrap().stopped);
    assert_eq!(node.content(), node.log());
}

/// A sink that rests carries nothing, and then all.
#[test]
fn a_sink_rests_and_goes_on() {
    let node = node(&[1, 1], true);
    let register = node.register();
    register.pause("sink", true).unwrap();
    node.carry("sink").unwrap();
    assert_eq!(node.outside.lock().unwrap().opened, 0);
    register.pause("sink", false).unwrap();
    node.carry("sink").unwrap();
    assert_eq!(node.content(), node.log());
    register.remove("sink").unwrap();
    let gone = node.carry("sink");
    assert!(matches!(gone, Err(SinkError::Unknown(_))), "{gone:?}");
    assert!(register.list().unwrap().is_empty());
}

/// SINK-6: what somebody says counts more than what the target has; once.
#[test]
fn a_cursor_that_is_given_counts() {
    let node = node(&[1, 1], true);
    node.carry("sink").unwrap();
    let log = node.log();
    assert_eq!(node.content(), log);
    // From the beginning: all of it once more.
    let register = node.register();
    register.go_on_from("sink", &tail_beginning(&node)).unwrap();
    node.outside.lock().unwrap().acts = [Some(Act::Cut(2, true)), Some(Act::Cut(1, false))].into();
    carry_all(&node);
    assert_eq!(node.content(), [&log[..], &log].concat());
    // From now: what came before is left out, and what comes is not.
    node.put(&[("left out", "v")]);
    register
        .go_on_from("sink", &node.tail.feed().now().unwrap())
        .unwrap();
    node.put(&[("last", "v")]);
    node.carry("sink").unwrap();
    let content = node.content();
    assert_eq!(content.len(), 2 * log.len() + 2);
    assert!(content.last().unwrap().ends_with("/last"));
}

/// What somebody changes while a sink carries is not written over.
#[test]
fn what_is_changed_meanwhile_counts() {
    let node = node(&[2], true);
    let register = node.register();
    let (_, before) = register.get("sink").unwrap();
    let mut after = before.clone();
    after.delivered = 7;
    register
        .go_on_from("sink", &node.tail.feed().now().unwrap())
        .unwrap();
    let kept = register.keep("sink", (&before, &after), None);
    assert!(matches!(kept, Err(SinkError::Changed(_))), "{kept:?}");
    assert!(register.get("sink").unwrap().1.sought);
    register.remove("sink").unwrap();
    let kept = register.keep("sink", (&before, &after), None);
    assert!(matches!(kept, Err(SinkError::Unknown(_))), "{kept:?}");
}

/// SINK-11: what another sink, or another node, has delivered is not gone on with.
#[test]
fn the_target_of_another_stops_a_sink() {
    let node = node(&[1], true);
    node.carry("sink").unwrap();
    node.outside.lock().unwrap().sink = "another".to_owned();
    node.put(&[("more", "v")]);
    let state = node.carry("sink").unwrap();
    assert!(state.stopped);
    assert!(state.words.unwrap().contains("another sink"));
}
