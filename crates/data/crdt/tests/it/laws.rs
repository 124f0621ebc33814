//! What holds for states of every kind (CRDT-3), also of writers that are used twice.

use std::collections::BTreeMap;

use allod_crdt::{Epoch, Kind, Op, State, join_encoded};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::world::{World, cases, kinds, script, writer};

/// Checks the laws of some states.
fn check(kind: Kind, [one, two, three]: [&State; 3]) -> Result<(), TestCaseError> {
    let join = |left: &State, right: &State| left.join(right).unwrap();
    let both = join(one, two);
    prop_assert_eq!(&both, &join(two, one));
    prop_assert_eq!(join(&both, three), join(one, &join(two, three)));
    let mut from = one.clone();
    prop_assert_eq!(from.join_from(two).unwrap(), !one.includes(two));
    prop_assert_eq!(&from, &both);
    prop_assert_eq!(&join(one, one), one);
    prop_assert_eq!(&join(&both, one), &both);
    prop_assert!(both.includes(one) && both.includes(two));
    prop_assert_eq!(one.includes(two), &both == one);
    let delta = one.delta(two);
    prop_assert_eq!(join(two, &delta), both.clone());
    prop_assert!(one.includes(&delta) || one.epoch() < two.epoch());
    let bytes = one.encode().unwrap();
    prop_assert!(delta.encode().unwrap().len() <= bytes.len());
    prop_assert_eq!(&State::decode(kind, &bytes).unwrap(), one);
    prop_assert_eq!(
        &State::decode(kind, &delta.encode().unwrap()).unwrap(),
        &delta
    );
    let joined = join_encoded(kind, &bytes, &two.encode().unwrap()).unwrap();
    prop_assert_eq!(joined, both.encode().unwrap());
    Ok(())
}

fn epoch(stamp: u64, by: usize) -> Epoch {
    Epoch {
        stamp,
        writer: writer(by),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn states_join(
        kind in kinds(),
        script in script(),
        writers in 1..=4_usize,
        picks in proptest::collection::vec(any::<[Index; 3]>(), 8),
    ) {
        let world = World::live(kind, writers, &script);
        for pick in picks {
            check(kind, pick.map(|index| &index.get(&world.all).state))?;
        }
    }

    #[test]
    fn what_has_seen_the_same_has_the_same_bytes(kind in kinds(), script in script()) {
        let world = World::live(kind, 4, &script);
        let mut bytes = BTreeMap::new();
        for replica in &world.all {
            let encoded = replica.state.encode().unwrap();
            let first = bytes.entry(replica.seen.clone()).or_insert_with(|| encoded.clone());
            prop_assert_eq!(&*first, &encoded);
        }
        // All of them together, from either end.
        let join = |left: State, right: &State| left.join(right).unwrap();
        let states = world.all.iter().map(|replica| &replica.state);
        let forth = states.clone().fold(State::empty(kind), join);
        prop_assert_eq!(forth, states.rev().fold(State::empty(kind), join));
    }

    #[test]
    fn states_of_several_epochs_join(
        kind in kinds(),
        script in script(),
        epochs in proptest::collection::vec((any::<Index>(), 1..3_u64, 0..3_usize, any::<bool>()), 6),
        picks in proptest::collection::vec(any::<[Index; 3]>(), 8),
    ) {
        let world = World::live(kind, 3, &script);
        let mut all: Vec<State> = world.all.iter().map(|replica| replica.state.clone()).collect();
        for (index, stamp, by, is_cleared) in epochs {
            let state = index.get(&all).clone();
            let new = epoch(stamp, by);
            let made = if is_cleared { state.cleared(new) } else { state.compact(new) };
            prop_assert_eq!(made.is_ok(), state.epoch().is_none_or(|old| old < new));
            if let Ok(made) = made {
                prop_assert_eq!(made.value(), if is_cleared { None } else { state.value() });
                prop_assert_eq!(made.epoch(), Some(new));
                prop_assert_eq!(&made.join(&state).unwrap(), &made);
                all.push(made);
            }
        }
        for pick in picks {
            check(kind, pick.map(|index| index.get(&all)))?;
        }
    }

    #[test]
    fn bytes_that_are_read_are_those_that_are_written(
        kind in kinds(),
        script in script(),
        edits in proptest::collection::vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let world = World::live(kind, 4, &script);
        let mut bytes = world.all.last().unwrap().state.encode().unwrap();
        for (index, byte, verb) in edits {
            let at = index.index(bytes.len());
            match verb {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                break;
            }
            for kind in Kind::ALL {
                if let Ok(state) = State::decode(kind, &bytes) {
                    prop_assert_eq!(state.encode().unwrap(), bytes.clone());
                    check(kind, [&state, &State::empty(kind), &state])?;
                    let shown = state.value().map(|value| value.to_string());
                    let shown = shown.unwrap_or_else(|| "null".to_owned());
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok());
                    if kind != Kind::Document && state.epoch().is_none() {
                        let compact = state.compact(epoch(1, 0));
                        prop_assert!(compact.is_err() || compact.unwrap().value() == state.value());
                    }
                }
            }
        }
    }

    /// What was removed leaves the version vector behind, and nothing else.
    #[test]
    fn an_or_set_forgets_what_was_removed(script in script()) {
        let world = World::live(Kind::OrSet, 4, &script);
        let join = |left: State, right: &State| left.join(right).unwrap();
        let all = world.all.iter().map(|replica| &replica.state);
        let mut state = all.fold(State::empty(Kind::OrSet), join);
        for element in b'a'..b'e' {
            state.apply(&Op::Remove(vec![element]), writer(0), 0).unwrap();
        }
        // A writer is 9 bytes, its number at most 3 here, and 4 lists have a byte each.
        prop_assert!(state.encode().unwrap().len() <= 1 + 1 + 1 + 1 + 4 * 13 + 1);
    }
}
