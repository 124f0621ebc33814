//! What leads from one value to another, done elsewhere.

use allod_crdt::{Epoch, Kind, Op, OpError, State};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::world::{World, cases, kinds, script, writer};

proptest! {
    #![proptest_config(cases())]

    /// Done to the state that it begins with, it gives the value that it ends with, forwards and backwards.
    #[test]
    fn changes_lead_from_one_value_to_the_other(
        kind in kinds(),
        script in script(),
        picks in proptest::collection::vec(any::<[Index; 2]>(), 8),
    ) {
        let world = World::live(kind, 4, &script);
        let stamp = 1_000;
        for pick in picks {
            let [from, to] = pick.map(|index| &index.get(&world.all).state);
            let ops = match from.rebase(from, to) {
                Ok(ops) => ops,
                Err(OpError::NoOperation) => continue,
                Err(OpError::NoSuchOperation { .. }) => {
                    prop_assert_eq!(kind, Kind::GCounter);
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let mut made = from.clone();
            let done: Result<Vec<bool>, OpError> =
                ops.iter().map(|op| made.apply(op, writer(9), stamp)).collect();
            if done == Err(OpError::RemovedForEver) {
                prop_assert_eq!(kind, Kind::TwoPhaseSet);
            } else if kind == Kind::CountedSet {
                // Sums below 0 are not seen, and counts are added to them.
                prop_assert!(done.is_ok());
            } else if from.value().is_some() || !ops.is_empty() {
                prop_assert_eq!(made.value(), to.value());
            }
        }
    }

    /// On a list that has changed elsewhere, places are found by what is around them, and nothing else changes.
    #[test]
    fn changes_of_a_list_find_their_places(script in script(), pick in any::<[Index; 3]>()) {
        let world = World::live(Kind::List, 4, &script);
        let [here, from, to] = pick.map(|index| &index.get(&world.all).state);
        let Ok(ops) = here.rebase(from, to) else {
            return Ok(());
        };
        let mut made = here.clone();
        for op in &ops {
            prop_assert_eq!(made.apply(op, writer(9), 0), Ok(true));
        }
        let mut at_once = here.clone();
        prop_assert_eq!(at_once.apply_all(&ops, writer(9), 0), Ok(!ops.is_empty()));
        prop_assert_eq!(&at_once, &made);
        prop_assert_eq!(here.rebase(from, from), Ok(Vec::new()));
        let again = State::decode(Kind::List, &made.encode().unwrap()).unwrap();
        prop_assert_eq!(again, made);
    }
}

#[test]
fn a_pick_is_where_its_neighbours_are() {
    let by = |number, ops: &[Op], state: &State| {
        let mut state = state.clone();
        for op in ops {
            state.apply(op, writer(number), 0).unwrap();
        }
        state
    };
    let insert = |index, value: &str| Op::Insert(index, value.into());
    let start = State::empty(Kind::List);
    let from = by(1, &[insert(0, "a"), insert(1, "b"), insert(2, "c")], &start);
    let to = by(2, &[Op::RemoveAt(0), insert(1, "+")], &from);
    let here = by(3, &[insert(0, "x"), insert(1, "y"), Op::RemoveAt(3)], &from);
    let ops = here.rebase(&from, &to).unwrap();
    let picked = by(4, &ops, &here);
    assert_eq!(picked.value().unwrap().to_string(), r#"["x","y","+","c"]"#);
    // And back.
    let ops = picked.rebase(&picked, &here).unwrap();
    let reverted = by(4, &ops, &picked);
    assert_eq!(
        reverted.value().unwrap().to_string(),
        r#"["x","y","a","c"]"#
    );
    // In another epoch places are counted from the start.
    let epoch = Epoch {
        stamp: 1,
        writer: writer(5),
    };
    let other = here.compact(epoch).unwrap();
    let picked = by(4, &other.rebase(&from, &to).unwrap(), &other);
    assert_eq!(picked.value().unwrap().to_string(), r#"["b","+","a","c"]"#);
}
