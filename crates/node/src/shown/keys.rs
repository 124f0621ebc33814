//! How keys are spelled: text as it is, any other, and one that begins like such a spelling, as `hex:` and its bytes.
//! So what a list prints is what a command takes, and names one key (HTTP-10).

use bytes::Bytes;

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
