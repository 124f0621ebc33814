//! How keys, values and results are spelled, on the command line and over HTTP alike.
//!
//! A key that is text is spelled as it is. Any other, and one that begins like such a spelling, is
//! `hex:` and its bytes. So what a list prints is what a command takes, and names one key (HTTP-10).

use allod_blocks::{Block, Codec, Store, file_size};
use allod_crdt::{Kind, State as Joinable};
use allod_repo::{State, shown_text};
use allod_sql::Scalar;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::NodeError;

const HEX: &str = "hex:";

/// What follows `hex:` is no bytes. Blame: whoever wrote it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no key: after hex: come two hexadecimal digits for each byte")]
pub struct BadSpelling(pub String);

/// The spelling of a key.
#[must_use]
pub fn key_text(key: &[u8]) -> String {
    match as_text(key) {
        Some(text) if !text.contains(['\n', '\r']) && !text.starts_with(HEX) => text.to_owned(),
        _ => format!("{HEX}{}", hex(key)),
    }
}

/// The key, or the beginning of keys, that is spelled so. Bytes that are no text are themselves.
pub fn key_bytes(text: &[u8]) -> Result<Bytes, BadSpelling> {
    let Some(digits) = text.strip_prefix(HEX.as_bytes()) else {
        return Ok(Bytes::copy_from_slice(text));
    };
    let (pairs, rest) = digits.as_chunks::<2>();
    let value = |digit: u8| char::from(digit).to_digit(16);
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| u8::try_from(value(*high)? * 16 + value(*low)?).ok())
        .collect();
    match bytes {
        Some(bytes) if rest.is_empty() => Ok(bytes.into()),
        _ => Err(BadSpelling(String::from_utf8_lossy(text).into_owned())),
    }
}

/// Bytes as two lower-case digits each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether bytes are text that a terminal can show.
#[must_use]
pub fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t' | '\r');
    text.chars().all(plain).then_some(text)
}

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
