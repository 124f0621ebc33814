//! How keys and branches are spelled in attributes (EVENT-1).

use std::borrow::Cow;

use multibase::Base;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

/// The longest key that is spelled out, in bytes: headers are short.
const SPELLED_BYTES_MAX: usize = 128;

/// What is spelled by `%` in a segment, beside all that is not ASCII.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// The same where there are several segments.
const IN_PATH: &AsciiSet = &IN_SEGMENT.remove(b'/').remove(b':');

/// A branch as one segment of a source.
pub(crate) fn branch_segment(branch: &str) -> String {
    utf8_percent_encode(branch, IN_SEGMENT).to_string()
}

/// A branch in a subject.
pub(crate) fn branch(branch: &str) -> String {
    utf8_percent_encode(branch, IN_PATH).to_string()
}

/// A key.
pub(crate) fn key(key: &[u8]) -> Cow<'_, str> {
    if key.len() > SPELLED_BYTES_MAX {
        let digest = Base::Base16Lower.encode(Sha256::digest(key));
        return format!("~sha256-{digest}").into();
    }
    percent_encode(key, IN_PATH).into()
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
                super::key(&key).as_ref(),
                case["expect"]["ok"]["spelled"],
                "{}",
                case["id"]
            );
        }
    }
}
