//! Entries from any bytes: only the canonical encoding decodes, and exactly one of two wins.

#![no_main]

use allod_repo::{Entry, State, VALUE_INLINE_BYTES_MAX, left_wins};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(entry) = Entry::decode(&bytes) {
        assert_eq!(entry.encode(), bytes, "REPO-1");
        if let State::Value(value) = &entry.state {
            assert!(value.len() <= VALUE_INLINE_BYTES_MAX, "REPO-3");
        }
    }
    // Any two byte strings have a winner, whatever they are (REPO-4).
    let (left, right) = data.split_at(data.len() / 2);
    assert!(left_wins(left, left));
    if left != right {
        assert_ne!(left_wins(left, right), left_wins(right, left));
    }
    let pair = (
        Entry::decode(&bytes.slice(..left.len())),
        Entry::decode(&bytes.slice(left.len()..)),
    );
    if let (Ok(one), Ok(two)) = pair {
        if one.stamp != two.stamp {
            assert_eq!(left_wins(left, right), one.stamp > two.stamp);
        }
    }
});
