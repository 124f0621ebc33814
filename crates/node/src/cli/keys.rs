//! How keys are spelled on the command line.
//!
//! A key that is text is spelled as it is. Any other, and one that begins like such a spelling, is
//! `hex:` and its bytes. So what a list prints is what a command takes, and names one key.

use anyhow::Result;
use bytes::Bytes;

use crate::cli::Usage;
use crate::cli::io::as_text;
use crate::cli::values::hex;

const HEX: &str = "hex:";

/// The spelling of a key.
pub(crate) fn key_text(key: &[u8]) -> String {
    match as_text(key) {
        Some(text) if !text.contains(['\n', '\r']) && !text.starts_with(HEX) => text.to_owned(),
        _ => format!("{HEX}{}", hex(key)),
    }
}

/// The key, or the beginning of keys, that is spelled so.
pub(crate) fn key_bytes(text: &str) -> Result<Bytes> {
    let Some(digits) = text.strip_prefix(HEX) else {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let value = |digit: u8| char::from(digit).to_digit(16);
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| u8::try_from(value(*high)? * 16 + value(*low)?).ok())
        .collect();
    match bytes {
        Some(bytes) if rest.is_empty() => Ok(bytes.into()),
        _ => Err(Usage(format!(
            "{text:?} is no key: after {HEX} come two hexadecimal digits for each byte"
        ))
        .into()),
    }
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
            prop_assert_eq!(key_bytes(&key_text(&key)).unwrap(), key);
        }
    }

    #[test]
    fn what_is_shown_is_what_is_there() {
        assert_eq!(key_text(b"notes/today"), "notes/today");
        assert_eq!(key_text(b"\xff"), "hex:ff");
        assert_eq!(key_text(br"\xff"), r"\xff");
        assert_eq!(key_text(b"two\nlines"), "hex:74776f0a6c696e6573");
        for bad in ["hex:f", "hex:fg", "hex:+1", "hex:\u{e9}"] {
            assert!(key_bytes(bad).is_err(), "{bad}");
        }
    }
}
