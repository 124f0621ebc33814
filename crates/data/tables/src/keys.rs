//! Keys as texts (TAB-3).

use std::borrow::Cow;

/// Before the digits of a key that is no text.
const HEX: &str = "hex:";

/// A key as a text: itself, or `hex:` and its bytes.
pub(crate) fn key_text(key: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(key) {
        Ok(text) if !text.starts_with(HEX) => Cow::Borrowed(text),
        _ => {
            let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            Cow::Owned(format!("{HEX}{digits}"))
        }
    }
}

/// The key of a record, which is a text.
pub(crate) fn text_of(key: &[u8]) -> &str {
    std::str::from_utf8(key).unwrap_or_default()
}

/// The key of a text.
pub(crate) fn key_bytes(text: &str) -> Vec<u8> {
    let digits = text
        .strip_prefix(HEX)
        .filter(|digits| digits.len() % 2 == 0);
    let bytes = digits.and_then(|digits| {
        let pairs = digits.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        pairs.map(byte).collect::<Option<Vec<u8>>>()
    });
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}
