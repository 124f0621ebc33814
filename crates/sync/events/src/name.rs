//! How keys and branches are spelled in attributes (EVENT-1).

use sha2::{Digest as _, Sha256};

/// The longest key that is spelled out, in bytes: headers are short.
const SPELLED_BYTES_MAX: usize = 128;

/// A branch as one segment of a source.
pub(crate) fn branch_segment(branch: &str) -> String {
    let mut out = String::with_capacity(branch.len());
    spell(branch.as_bytes(), b"", &mut out);
    out
}

/// A branch in a subject.
pub(crate) fn branch(branch: &str) -> String {
    let mut out = String::with_capacity(branch.len());
    spell(branch.as_bytes(), b"/:", &mut out);
    out
}

/// A key.
pub(crate) fn key(key: &[u8]) -> String {
    let mut out = String::with_capacity(key.len());
    if key.len() > SPELLED_BYTES_MAX {
        out.push_str("~sha256-");
        for byte in Sha256::digest(key) {
            out.push_str(&format!("{byte:02x}"));
        }
    } else {
        spell(key, b"/:", &mut out);
    }
    out
}

fn spell(bytes: &[u8], also: &[u8], out: &mut String) {
    for byte in bytes {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._".contains(byte) || also.contains(byte);
        if is_plain {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn keys_are_spelled_as_in_the_vectors() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../specs/vectors/events/key.json"
        );
        let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let cases = document["cases"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let digits = case["input"]["key"].as_str().unwrap().as_bytes();
            let byte = |pair: &[u8; 2]| {
                u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()
            };
            let key: Vec<u8> = digits.as_chunks::<2>().0.iter().map(byte).collect();
            assert_eq!(
                super::key(&key),
                case["expect"]["ok"]["spelled"],
                "{}",
                case["id"]
            );
        }
    }
}
