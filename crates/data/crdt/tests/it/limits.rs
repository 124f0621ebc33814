//! Limits, and operations that are refused.

use allod_crdt::{
    BadState, Epoch, ITEM_BYTES_MAX, JoinError, Kind, Op, OpError, STATE_BYTES_MAX, State, Value,
};

use crate::world::writer;

#[test]
fn kinds_have_codes_and_names() {
    for (code, kind) in (1..).zip(Kind::ALL) {
        assert_eq!(kind.code(), code);
        assert_eq!(Kind::from_code(code), Some(kind));
        assert_eq!(kind.to_string().parse(), Ok(kind));
        let empty = State::empty(kind);
        assert_eq!((empty.kind(), empty.value()), (kind, None));
        assert_eq!(empty.encode().unwrap(), [0x82, 0xf6, 0xf6]);
    }
    assert!(
        "counter"
            .parse::<Kind>()
            .unwrap_err()
            .to_string()
            .contains("pn-counter")
    );
}

#[test]
fn an_operation_of_another_kind_names_those_there_are() {
    let mut counter = State::empty(Kind::PnCounter);
    let error = counter.apply(&Op::Add(vec![1]), writer(1), 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a pn-counter has no add; it has: increment, decrement"
    );
    for kind in Kind::ALL {
        for op in [
            Op::Increment(1),
            Op::Decrement(1),
            Op::Set(vec![]),
            Op::Add(vec![]),
            Op::Remove(vec![]),
            Op::AddCount(vec![], 1),
            Op::Put(String::new(), vec![]),
            Op::Delete(String::new()),
            Op::Insert(0, vec![]),
            Op::RemoveAt(0),
        ] {
            let done = State::empty(kind).apply(&op, writer(1), 1);
            let refused = matches!(done, Err(OpError::NoSuchOperation { .. }));
            assert_eq!(refused, !kind.operations().contains(&op.name()));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut counter = State::empty(Kind::GCounter);
    counter
        .apply(&Op::Increment(u64::MAX), writer(1), 0)
        .unwrap();
    let before = counter.clone();
    assert_eq!(
        counter.apply(&Op::Increment(1), writer(1), 0),
        Err(OpError::Overflow)
    );
    assert_eq!(counter, before);
    counter
        .apply(&Op::Increment(u64::MAX), writer(2), 0)
        .unwrap();
    let most = i128::from(u64::MAX) * 2;
    assert_eq!(counter.value(), Some(Value::Integer(most)));
    let epoch = Epoch {
        stamp: 1,
        writer: writer(1),
    };
    assert_eq!(counter.compact(epoch), Err(OpError::Overflow));
    // It can still be told in steps.
    let ops = counter
        .rebase(&State::empty(Kind::GCounter), &counter)
        .unwrap();
    assert_eq!(ops, [Op::Increment(u64::MAX), Op::Increment(u64::MAX)]);
}

#[test]
fn registers_want_greater_stamps() {
    let mut register = State::empty(Kind::LwwRegister);
    register.apply(&Op::Set(vec![1]), writer(2), 7).unwrap();
    let old = Err(OpError::OldStamp { newest: 7 });
    assert_eq!(register.apply(&Op::Set(vec![2]), writer(2), 7), old);
    assert_eq!(register.apply(&Op::Set(vec![2]), writer(1), 7), old);
    assert_eq!(register.apply(&Op::Set(vec![2]), writer(3), 7), Ok(true));
    assert_eq!(register.newest_stamp(), Some(7));
    let cleared = register
        .cleared(Epoch {
            stamp: 9,
            writer: writer(1),
        })
        .unwrap();
    assert_eq!((cleared.newest_stamp(), cleared.value()), (Some(9), None));
}

#[test]
fn sizes_are_bounded() {
    let mut set = State::empty(Kind::OrSet);
    let item = |first: u8| {
        let mut item = vec![0; ITEM_BYTES_MAX];
        item[0] = first;
        item
    };
    let long = Op::Add(vec![0; ITEM_BYTES_MAX + 1]);
    assert!(matches!(
        set.apply(&long, writer(1), 0),
        Err(OpError::TooLarge(_))
    ));
    for number in 0..15 {
        set.apply(&Op::Add(item(number)), writer(1), 0).unwrap();
    }
    let full = set.clone();
    assert!(matches!(
        set.apply(&Op::Add(item(99)), writer(1), 0),
        Err(OpError::TooLarge(_))
    ));
    assert_eq!(set, full);
    let mut other = State::empty(Kind::OrSet);
    other.apply(&Op::Add(item(100)), writer(2), 0).unwrap();
    assert!(matches!(set.join(&other), Err(JoinError::TooLarge(_))));
    let counter = State::empty(Kind::GCounter);
    assert!(matches!(set.join(&counter), Err(JoinError::Kinds { .. })));
    let zeros = vec![0; STATE_BYTES_MAX + 1];
    let error = State::decode(Kind::List, &zeros).unwrap_err();
    assert!(matches!(error, BadState::TooLarge(_)));
    assert_eq!(error.code(), "E_CRDT_SIZE");
}
