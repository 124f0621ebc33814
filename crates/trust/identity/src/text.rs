//! The two kinds of short text in statements: names, which programs compare, and lines, which people read.

/// The longest name, in bytes (TRUST-3): a word or two.
pub const NAME_BYTES_MAX: usize = 32;

/// The longest line that a record of trust has, in bytes (TRUST-3): a sentence.
pub const LINE_BYTES_MAX: usize = 256;

/// Whether a text is a name: 1 to [`NAME_BYTES_MAX`] of `a-z`, `0-9`, `.` and `-`, of which the first is a letter (TRUST-3).
#[must_use]
pub fn is_name(text: &str) -> bool {
    let letters = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(letters)
}

/// Whether a text is a line: 1 to `bytes_max` bytes, not blank at either end, no control characters and no marks that turn
/// the direction of text (IDENT-7, TRUST-3).
#[must_use]
pub fn is_line(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len())
        && text.trim() == text
        && !text.chars().any(is_unprintable)
}

/// Controls, and the marks that turn the direction of text and could disguise a name.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
