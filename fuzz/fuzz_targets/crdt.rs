//! Two states of a kind from any bytes: what is read is written so, and the laws of joining hold.

#![no_main]

use allod_crdt::{Epoch, Kind, State, Writer, join_encoded};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The kind, the size of the first state, and two states.
    let [kind, size, states @ ..] = data else {
        return;
    };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    let (left, right) = states.split_at(usize::from(*size).min(states.len()));
    let read = |bytes: &[u8]| {
        let state = State::decode(kind, bytes).ok()?;
        assert_eq!(state.encode().unwrap(), bytes, "CRDT-1");
        Some(state)
    };
    let Some(one) = read(left) else {
        return;
    };
    let shown = one.value().map(|value| value.to_string());
    let epoch = Epoch {
        stamp: u64::MAX,
        writer: Writer([0xff; 8]),
    };
    if let Ok(compact) = one.compact(epoch) {
        // A document is shown by the names of its changes, and has others then.
        if kind != Kind::Document {
            let again = compact.value().map(|value| value.to_string());
            assert_eq!(again, shown, "CRDT-20");
        }
        assert!(compact.includes(&one), "CRDT-4");
    }
    assert_eq!(one.join(&one).unwrap(), one, "CRDT-3");
    let Some(two) = read(right) else {
        return;
    };
    let both = one.join(&two).unwrap();
    assert_eq!(both, two.join(&one).unwrap(), "CRDT-3");
    assert_eq!(both.join(&one).unwrap(), both, "CRDT-3");
    assert_eq!(one.includes(&two), both == one);
    assert_eq!(two.join(&one.delta(&two)).unwrap(), both);
    assert_eq!(
        join_encoded(kind, left, right).unwrap(),
        both.encode().unwrap()
    );
    assert_eq!(read(&both.encode().unwrap()), Some(both));
    let _ = one.rebase(&one, &two);
});
