//! How keys, values and results are spelled, on the command line and over HTTP alike.
//!
//! How a key is, is in `shown/keys.rs`.

mod keys;

use allod_blocks::{Block, Codec, Store, file_size};
use allod_crdt::{Kind, State as Joinable};
use allod_repo::{State, shown_text};
use allod_sql::Scalar;
use serde_json::{Value, json};

pub use self::keys::{BadSpelling, as_text, hex, key_bytes, key_text};
use crate::error::NodeError;

/// The whole of a state for programs: text as it is, other bytes in base64, a file by its name, and
/// nothing for what was deleted.
#[must_use]
pub fn state_value(store: &dyn Store, state: &State) -> Value {
    let bytes = match state {
        State::Tombstone => return Value::Null,
        State::Value(value) => Some(value.clone()),
        State::Link(cid) if cid.codec() == Codec::Raw.code() => {
            // What is not here, or damaged, is named all the same.
            let block = store.get(cid).ok().flatten();
            block.map(Block::into_bytes)
        }
        State::Link(_) => None,
        State::Joining(kind, state) => return joining_value(*kind, state),
        State::JoiningLink(kind, cid) => {
            let block = store.get(cid).ok().flatten();
            return match block {
                Some(block) => joining_value(*kind, block.bytes()),
                None => json!({ "joins": kind.name(), "block": cid.to_string() }),
            };
        }
    };
    match (bytes, state) {
        (Some(bytes), _) => match std::str::from_utf8(&bytes) {
            Ok(text) => json!(text),
            Err(_) => json!({ "base64": multibase::Base::Base64Pad.encode(&bytes) }),
        },
        (None, State::Link(cid)) => json!({ "file": cid.to_string() }),
        (None, _) => Value::Null,
    }
}

/// What a value that joins shows, and its kind.
fn joining_value(kind: Kind, state: &[u8]) -> Value {
    match joining_text(kind, state) {
        Ok(Some(text)) => json!({ "joins": kind.name(), "value": parsed(&text) }),
        Ok(None) => Value::Null,
        Err(_) => json!({ "joins": kind.name(), "damaged": true }),
    }
}

/// What a value that joins shows; none if it has no value.
pub fn joining_text(kind: Kind, state: &[u8]) -> Result<Option<String>, NodeError> {
    let damaged = |_error| allod_repo::RepoError::Damaged("a state that joins does not decode");
    let state = Joinable::decode(kind, state).map_err(damaged)?;
    Ok(shown_text(&state)?)
}

/// The text of a value that joins, as JSON.
#[must_use]
pub fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_error| Value::String(text.to_owned()))
}

/// What a state is, and the bytes of its value.
pub fn state_kind(store: &dyn Store, state: &State) -> Result<(&'static str, u64), NodeError> {
    Ok(match state {
        State::Value(value) => ("value", value.len() as u64),
        State::Link(cid) => ("file", file_size(store, cid)?),
        State::Tombstone => ("none", 0),
        State::Joining(kind, state) => (kind.name(), state.len() as u64),
        State::JoiningLink(kind, cid) => {
            let block = store.get(cid)?;
            let bytes = block.map_or(0, |block| block.bytes().len() as u64);
            (kind.name(), bytes)
        }
    })
}

/// A value of a statement's result as JSON: whole numbers exactly, bytes as an object.
#[must_use]
pub fn scalar_value(value: &Scalar) -> Value {
    match value {
        Scalar::Null => Value::Null,
        Scalar::Integer(number) => json!(number),
        // JSON has no infinity.
        Scalar::Real(number) if !number.is_finite() => json!(real_text(*number)),
        Scalar::Real(number) => json!(number),
        Scalar::Text(text) => json!(text),
        Scalar::Blob(bytes) => json!({ "base16": hex(bytes) }),
    }
}

/// A number that has a point or an exponent, so that it is seen not to be a whole one.
#[must_use]
pub fn real_text(number: f64) -> String {
    if number.is_finite() {
        return format!("{number:?}");
    }
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}Infinity")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_spelling_names_one_key(
            key in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                "hex:[0-9a-f]{0,6}".prop_map(String::into_bytes),
                "\\PC{0,12}".prop_map(String::into_bytes),
            ],
        ) {
            prop_assert_eq!(key_bytes(key_text(&key).as_bytes()).unwrap(), key);
        }
    }

    #[test]
    fn what_is_shown_is_what_is_there() {
        assert_eq!(key_text(b"notes/today"), "notes/today");
        assert_eq!(key_text(b"\xff"), "hex:ff");
        assert_eq!(key_text(br"\xff"), r"\xff");
        assert_eq!(key_text(b"two\nlines"), "hex:74776f0a6c696e6573");
        assert_eq!(key_bytes(b"\xff").unwrap(), &b"\xff"[..]);
        for bad in ["hex:f", "hex:fg", "hex:+1", "hex:\u{e9}"] {
            assert!(key_bytes(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
