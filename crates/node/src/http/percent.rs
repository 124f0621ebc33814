//! Percent-encoded bytes in URLs and headers (HTTP-10).

use allod_blocks::{Cid, parse_cid};

/// The bytes that are spelled so; `None` if a `%` is not followed by two hexadecimal digits. In queries a `+`
/// is a space, as forms and the libraries of most languages write it.
pub(crate) fn decode(text: &str, is_query: bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if is_query => b' ',
            byte => byte,
        });
    }
    Some(bytes)
}

/// The CID that is the rest of a path; `None` if that is none.
pub(crate) fn cid_behind(path: &str, prefix: &str) -> Option<Cid> {
    let rest = path.strip_prefix(prefix)?;
    let text = String::from_utf8(decode(rest, false)?).ok()?;
    parse_cid(&text).ok()
}

/// Bytes as they are spelled in a path, a query and a header: all but what RFC 3986 reserves nowhere.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            byte => text += &format!("%{byte:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for is_query in [false, true] {
                let decoded = decode(&encode(&bytes), is_query);
                prop_assert_eq!(decoded.as_deref(), Some(&bytes[..]));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}|[%0-9a-fg+]{0,9}") {
            decode(&text, true);
        }
    }

    #[test]
    fn spellings_are_strict() {
        assert_eq!(decode("a%2Fb+c", false).unwrap(), b"a/b+c");
        assert_eq!(decode("a%2fb+c", true).unwrap(), b"a/b c");
        assert_eq!(decode("%ff%00", false).unwrap(), [255, 0]);
        for bad in ["%", "%4", "%4g", "a%", "%+1", "%%41"] {
            assert_eq!(decode(bad, false), None, "{bad}");
        }
    }
}
