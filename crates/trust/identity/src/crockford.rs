//! Bits as people read and type them: the base32 alphabet of Crockford, in groups of four.

/// Without I, L, O and U: what looks like another letter, or makes words.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The characters of a text as numbers below 32, without what separates groups. `None` if one is no such character, or
/// there are more than `chars_max`.
pub(crate) fn symbols(text: &str, chars_max: usize) -> Option<Vec<u8>> {
    // Room for all at once: a buffer that grows leaves copies of a secret behind.
    let mut symbols = Vec::with_capacity(chars_max.min(text.len()));
    for letter in text.bytes() {
        let letter = match letter.to_ascii_uppercase() {
            b'-' | b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'O' => b'0',
            b'I' | b'L' => b'1',
            letter => letter,
        };
        let number = ALPHABET.iter().position(|known| *known == letter)?;
        if symbols.len() >= chars_max {
            return None;
        }
        symbols.push(number as u8);
    }
    Some(symbols)
}

/// Numbers below 32 as text, in groups of four.
pub(crate) fn text(symbols: &[u8]) -> String {
    let mut text = String::with_capacity(symbols.len() + symbols.len() / 4);
    for (at, symbol) in symbols.iter().enumerate() {
        if at > 0 && at.is_multiple_of(4) {
            text.push('-');
        }
        let letter = ALPHABET.get(usize::from(*symbol)).copied();
        text.push(char::from(letter.unwrap_or(b'0')));
    }
    text
}

/// Bytes as numbers below 32, filled up with zero bits.
pub(crate) fn from_bytes(bytes: &[u8]) -> Vec<u8> {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    (0..(bytes.len() * 8).div_ceil(5))
        .map(|symbol| (0..5).fold(0, |number, at| number << 1 | bit(symbol * 5 + at)))
        .collect()
}

/// The whole bytes in numbers below 32; `None` if there are more symbols than they need, or what is left over is not zero.
pub(crate) fn to_bytes(symbols: &[u8]) -> Option<Vec<u8>> {
    let bits = symbols.len() * 5;
    let bit = |at: usize| {
        symbols
            .get(at / 5)
            .map_or(0, |symbol| symbol >> (4 - at % 5) & 1)
    };
    let whole = bits / 8;
    if bits % 8 >= 5 || (whole * 8..bits).any(|at| bit(at) != 0) {
        return None;
    }
    let byte = |byte: usize| (0..8).fold(0, |number, at| number << 1 | bit(byte * 8 + at));
    Some((0..whole).map(byte).collect())
}
