//! Each kind against a naive twin: all operations that were ever done, and what was known when; the value is
//! computed from scratch.

use std::collections::{BTreeMap, BTreeSet};

use allod_crdt::{Kind, Op, Value, Writer};
use proptest::prelude::*;

use crate::world::{Event, World, cases, kinds, script};

type Seen = BTreeSet<usize>;

/// What is shown after these events.
fn value(kind: Kind, events: &[Event], seen: &Seen) -> Value {
    let known: Vec<(usize, &Event)> = seen.iter().map(|id| (*id, &events[*id])).collect();
    let items = |items: Vec<Vec<u8>>| Value::List(items.into_iter().map(Value::Bytes).collect());
    match kind {
        Kind::GCounter | Kind::PnCounter => {
            let by = known.iter().map(|(_, event)| match &event.op {
                Op::Increment(by) => i128::from(*by),
                Op::Decrement(by) => -i128::from(*by),
                _ => unreachable!(),
            });
            Value::Integer(by.sum())
        }
        Kind::LwwRegister => Value::Bytes(last(known.iter().copied()).unwrap().0),
        Kind::MvRegister => {
            let is_over = |id| known.iter().any(|(_, event)| event.seen.contains(id));
            let left = known.iter().filter(|(id, _)| !is_over(id));
            let left: BTreeSet<_> = left.map(|(_, event)| item(&event.op).to_vec()).collect();
            items(left.into_iter().collect())
        }
        Kind::TwoPhaseSet | Kind::OrSet => items(set(kind, &known)),
        Kind::CountedSet => {
            let counts = counts(events, seen);
            let pair = |(item, count)| Value::List(vec![Value::Bytes(item), Value::Integer(count)]);
            Value::List(
                counts
                    .into_iter()
                    .filter(|(_, count)| *count > 0)
                    .map(pair)
                    .collect(),
            )
        }
        Kind::LwwMap => Value::Map(fields(events, seen)),
        Kind::List => items(list(events, seen)),
        Kind::Document => unreachable!(),
    }
}

fn item(op: &Op) -> &[u8] {
    match op {
        Op::Set(item) | Op::Add(item) | Op::Remove(item) | Op::AddCount(item, _) => item,
        Op::Put(field, _) | Op::Delete(field) => field.as_bytes(),
        _ => unreachable!(),
    }
}

/// The value of the last write, and whether it is one.
fn last<'a>(known: impl Iterator<Item = (usize, &'a Event)>) -> Option<(Vec<u8>, bool)> {
    let last = known.max_by_key(|(_, event)| (event.stamp, event.writer))?;
    Some(match &last.1.op {
        Op::Set(value) | Op::Put(_, value) => (value.clone(), true),
        _ => (Vec::new(), false),
    })
}

/// A 2p-set: added and never removed by somebody who knew of it. An or-set: there is an addition that no removal
/// knew of.
fn set(kind: Kind, known: &[(usize, &Event)]) -> Vec<Vec<u8>> {
    let additions = known
        .iter()
        .filter(|(_, event)| matches!(event.op, Op::Add(_)));
    let removes = |event: &Event, id: &usize, element: &[u8]| {
        matches!(&event.op, Op::Remove(it) if it == element) && event.seen.contains(id)
    };
    let is_removed =
        |id, element: &[u8]| known.iter().any(|(_, event)| removes(event, id, element));
    let mut there: BTreeMap<&[u8], Vec<bool>> = BTreeMap::new();
    for (id, event) in additions {
        let element = item(&event.op);
        there
            .entry(element)
            .or_default()
            .push(is_removed(id, element));
    }
    let stays = |removed: &Vec<bool>| match kind {
        Kind::TwoPhaseSet => !removed.contains(&true),
        _ => removed.contains(&false),
    };
    let there = there.into_iter().filter(|(_, removed)| stays(removed));
    there.map(|(element, _)| element.to_vec()).collect()
}

/// The sums of all elements. To remove one that is not there, as far as is known, is nothing.
fn counts(events: &[Event], seen: &Seen) -> BTreeMap<Vec<u8>, i128> {
    let mut sums: BTreeMap<Vec<u8>, i128> = BTreeMap::new();
    for id in seen {
        let event = &events[*id];
        let by = match &event.op {
            Op::Add(_) => 1,
            Op::Remove(element) => {
                let before = counts(events, &event.seen);
                -i128::from(before.get(element).is_some_and(|sum| *sum > 0))
            }
            Op::AddCount(_, by) => i128::from(*by),
            _ => unreachable!(),
        };
        *sums.entry(item(&event.op).to_vec()).or_default() += by;
    }
    sums
}

/// The fields with a value. To delete one that has none, as far as is known, is nothing.
fn fields(events: &[Event], seen: &Seen) -> BTreeMap<String, Value> {
    let mut writes: BTreeMap<String, Vec<(usize, &Event)>> = BTreeMap::new();
    for id in seen {
        let event = &events[*id];
        let field = String::from_utf8(item(&event.op).to_vec()).unwrap();
        let is_nothing =
            matches!(event.op, Op::Delete(_)) && !fields(events, &event.seen).contains_key(&field);
        if !is_nothing {
            writes.entry(field).or_default().push((*id, event));
        }
    }
    let field = |(field, writes): (String, Vec<_>)| {
        let (value, is_there) = last(writes.into_iter())?;
        is_there.then_some((field, Value::Bytes(value)))
    };
    writes.into_iter().filter_map(field).collect()
}

/// A node of the tree: who made it, its parent and its side.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    name: (Writer, u64),
    parent: Option<usize>,
    is_right: bool,
    event: usize,
}

/// The values of a list: every insertion finds its place among what was known, which is computed anew.
pub(crate) fn list(events: &[Event], seen: &Seen) -> Vec<Vec<u8>> {
    let places = places(events);
    let (order, removed) = known_list(events, &places, seen);
    let shown = order.into_iter().filter(|id| !removed.contains(id));
    shown
        .map(|id| inserted(&events[id]).unwrap().1.to_vec())
        .collect()
}

fn inserted(event: &Event) -> Option<(usize, &[u8])> {
    match &event.op {
        Op::Insert(index, value) => Some((*index, value)),
        _ => None,
    }
}

/// The places of all insertions. What somebody knew has a smaller number.
fn places(events: &[Event]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (id, event) in events.iter().enumerate() {
        let Some((index, _)) = inserted(event) else {
            continue;
        };
        let (order, removed) = known_list(events, &places, &event.seen);
        let shown: Vec<usize> = order
            .iter()
            .copied()
            .filter(|id| !removed.contains(id))
            .collect();
        let left = index.checked_sub(1).map(|before| shown[before]);
        let right = match left {
            None => order.first(),
            Some(left) => order.iter().skip_while(|id| **id != left).nth(1),
        };
        let known = places
            .iter()
            .filter(|place| event.seen.contains(&place.event));
        let has_right = known
            .clone()
            .any(|place| place.parent == left && place.is_right);
        let earlier = events[..id]
            .iter()
            .filter(|other| other.writer == event.writer);
        places.push(Place {
            name: (
                event.writer,
                earlier.filter(|it| inserted(it).is_some()).count() as u64 + 1,
            ),
            parent: if has_right { right.copied() } else { left },
            is_right: !has_right,
            event: id,
        });
    }
    places
}

/// All that was inserted, in order, and what of it was removed.
fn known_list(events: &[Event], places: &[Place], seen: &Seen) -> (Vec<usize>, Seen) {
    let known = places.iter().filter(|place| seen.contains(&place.event));
    let known: Vec<Place> = known.copied().collect();
    let mut order = Vec::new();
    walk(&known, None, &mut order);
    let mut removed = Seen::new();
    for id in seen {
        if let Op::RemoveAt(index) = events[*id].op {
            let (before, gone) = known_list(events, places, &events[*id].seen);
            let mut shown = before.into_iter().filter(|id| !gone.contains(id));
            removed.insert(shown.nth(index).unwrap());
        }
    }
    (order, removed)
}

fn walk(known: &[Place], at: Option<usize>, order: &mut Vec<usize>) {
    for is_right in [false, true] {
        if let (true, Some(at)) = (is_right, at) {
            order.push(at);
        }
        let children = known
            .iter()
            .filter(|it| it.parent == at && it.is_right == is_right);
        let mut children: Vec<&Place> = children.collect();
        children.sort();
        for child in children {
            walk(known, Some(child.event), order);
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn each_kind_shows_what_its_twin_does(kind in kinds(), script in script()) {
        let world = World::live(kind, 4, &script);
        for replica in &world.all {
            let shown = replica.state.value();
            // Operations that change nothing leave no trace.
            let Some(shown) = shown else {
                continue;
            };
            prop_assert_eq!(shown, value(kind, &world.events, &replica.seen));
        }
    }
}
