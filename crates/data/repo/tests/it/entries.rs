//! REPO-1 to REPO-4: entries and their encoding.

use allod_blocks::{Codec, sha256_cid};
use allod_crdt::Kind;
use allod_repo::{Entry, EntryError, Stamp, State, left_wins};
use bytes::Bytes;
use proptest::prelude::*;

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..1025)
            .prop_map(|bytes| State::Value(bytes.into())),
        any::<u64>().prop_map(|n| State::Link(sha256_cid(Codec::Raw, &n.to_le_bytes()))),
        Just(State::Tombstone),
        (kind(), proptest::collection::vec(any::<u8>(), 0..1025))
            .prop_map(|(kind, bytes)| State::Joining(kind, bytes.into())),
        (kind(), any::<u64>()).prop_map(|(kind, n)| {
            State::JoiningLink(kind, sha256_cid(Codec::Raw, &n.to_le_bytes()))
        }),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    (0..Kind::ALL.len()).prop_map(|index| Kind::ALL[index])
}

proptest! {
    #[test]
    fn round_trip(stamp: u64, state in state()) {
        let entry = Entry { stamp: Stamp::from_bits(stamp), state };
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }

    /// Whatever decodes is the canonical encoding of what it decodes to; nothing panics.
    #[test]
    fn only_the_canonical_form_decodes(
        stamp: u64,
        state in state(),
        at in 0usize..64,
        bit in 0u8..8,
        cut in 0usize..64,
    ) {
        let mut bytes = Entry { stamp: Stamp::from_bits(stamp), state }.encode().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        bytes.truncate(bytes.len().saturating_sub(cut % 8));
        let bytes = Bytes::from(bytes);
        if let Ok(entry) = Entry::decode(&bytes) {
            prop_assert_eq!(entry.encode(), bytes);
        }
    }

    #[test]
    fn the_winner_is_total(a: u64, b: u64, left in state(), right in state()) {
        let left = Entry { stamp: Stamp::from_bits(a), state: left }.encode();
        let right = Entry { stamp: Stamp::from_bits(b), state: right }.encode();
        prop_assert!(left_wins(&left, &left));
        if left != right {
            prop_assert_ne!(left_wins(&left, &right), left_wins(&right, &left));
        }
        if a != b {
            prop_assert_eq!(left_wins(&left, &right), a > b);
        }
    }
}

/// The cases of `specs/vectors/repo/entry.json`.
#[test]
fn vectors() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../specs/vectors/repo/entry.json"
    );
    let vectors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut seen = (0, 0);
    for case in vectors["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let bytes = hex(case["input"]["bytes"].as_str().unwrap());
        let decoded = Entry::decode(&bytes);
        if let Some(code) = case["expect"]["error"].as_str() {
            assert_eq!(code, "E_ENTRY", "{id}");
            assert!(decoded.is_err(), "{id} must be refused");
            seen.1 += 1;
            continue;
        }
        let expected = &case["expect"]["ok"];
        let entry = decoded.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(
            entry.stamp.bits(),
            expected["stamp"].as_u64().unwrap(),
            "{id}"
        );
        let state = match &entry.state {
            State::Value(value) => format!("value {}", to_hex(value)),
            State::Link(cid) => format!("link {cid}"),
            State::Tombstone => "tombstone".to_owned(),
            State::Joining(kind, bytes) => format!("{kind} {}", to_hex(bytes)),
            State::JoiningLink(kind, cid) => format!("{kind} link {cid}"),
        };
        assert_eq!(state, expected["state"].as_str().unwrap(), "{id}");
        assert_eq!(entry.encode(), bytes, "{id}");
        seen.0 += 1;
    }
    assert!(seen.0 >= 4 && seen.1 >= 3 * seen.0 - 3, "{seen:?}");
}

#[test]
fn a_statement_is_no_value() {
    let link = Entry {
        stamp: Stamp::from_bits(1),
        state: State::Link(sha256_cid(Codec::DagCbor, b"a commit")),
    };
    assert_eq!(Entry::decode(&link.encode()), Err(EntryError::BadLink));
}

fn hex(text: &str) -> Bytes {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
