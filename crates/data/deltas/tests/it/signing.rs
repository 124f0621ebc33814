//! Signed deltas and their way through peers that know nothing of signatures.

use allod_deltas::{
    DELTA_BYTES_MAX, Delta, DeltaError, NotVerified, Number, POINTERS_MAX, Pointer,
};
use allod_identity::SecretKey;
use proptest::prelude::*;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn pointers() -> Vec<Pointer> {
    vec![
        Pointer::under("of", "x", "name").unwrap(),
        Pointer::text("is", "\u{e9}\n\u{1f600}").unwrap(),
    ]
}

#[test]
fn a_signature_survives_a_peer_that_parses_and_prints() {
    let delta = Delta::sign(&key(1), Number::new(1.5).unwrap(), "s", pointers()).unwrap();
    // Another reader, which sorts members and knows none of them.
    let relayed: serde_json::Value = serde_json::from_str(&delta.encode()).unwrap();
    let relayed = serde_json::to_string_pretty(&relayed).unwrap();
    let received = Delta::decode(&relayed).unwrap();
    assert_eq!(received.verify().unwrap().into_delta().id(), delta.id());
    assert!(received.is_content_addressed());
}

#[test]
fn limits_hold_where_deltas_are_made() {
    let long = "x".repeat(DELTA_BYTES_MAX);
    let one = vec![Pointer::text("is", long).unwrap()];
    let made = Delta::content_addressed(Number::of(1), "a", "s", one);
    assert_eq!(made, Err(DeltaError::Size));
    let many = vec![Pointer::text("is", "").unwrap(); POINTERS_MAX + 1];
    assert_eq!(
        Delta::new("d", Number::of(1), "a", "s", many),
        Err(DeltaError::Size)
    );
    let none = Delta::new("d", Number::of(0), "a", "s", vec![]);
    assert_eq!(none, Err(DeltaError::Timestamp));
    assert_eq!(Pointer::negates(""), Err(DeltaError::Field("target")));
    // Control characters are longer written than read.
    let escaped = format!(
        "{{\"id\":\"d\",\"timestamp\":1,\"author\":\"a\",\"system\":\"s\",\"pointers\":[{{\"role\":\"r\",\"target\":\"{}\"}}]}}",
        "\u{7f}".repeat(200_000)
    );
    assert!(Delta::decode(&escaped).is_ok());
    assert_eq!(
        Delta::decode(&" ".repeat(DELTA_BYTES_MAX + 1)),
        Err(DeltaError::Size)
    );
}

proptest! {
    #[test]
    fn no_change_of_a_signed_delta_verifies(at in 0..600usize, byte in 0x20..0x7fu8) {
        let delta = Delta::sign(&key(1), Number::of(1_700_000_000_000), "s", pointers()).unwrap();
        let mut bytes = delta.encode().into_bytes();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != byte && bytes[at].is_ascii());
        bytes[at] = byte;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        if let Ok(changed) = Delta::decode(&text) && changed.verify().is_ok() {
            // Only members outside of the content may differ, and a key that is not there any more.
            prop_assert_eq!(changed.digest(), delta.digest());
            prop_assert_eq!(changed.id(), delta.id());
        }
    }

    #[test]
    fn deltas_read_back(deltas in crate::world::deltas(4), extra in "[a-z]{1,5}") {
        for delta in deltas {
            prop_assert_eq!(&Delta::decode(&delta.encode()).unwrap(), &delta);
            let mut json = delta.encode();
            json.truncate(json.len() - 1);
            let json = format!("{json},\"x-{extra}\":{{\"a\":[1,  2]}}}}");
            let read = Delta::decode(&json).unwrap();
            prop_assert_eq!(read.extras().get(&format!("x-{extra}")), Some("{\"a\":[1,  2]}"));
            prop_assert_eq!(read.digest(), delta.digest());
            prop_assert_eq!(Delta::decode(&read.encode()).unwrap(), read);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}|[\\[\\]{}:,\"a-z0-9]{0,80}") {
        if let Ok(delta) = Delta::decode(&text) {
            prop_assert_eq!(delta.verify(), Err(NotVerified::Unsigned));
        }
    }
}
