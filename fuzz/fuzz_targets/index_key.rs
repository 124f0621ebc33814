//! Arbitrary bytes as an index key, and as the text of a number: what is accepted is what would be written.

#![no_main]

use allod_views::{Number, decode_key, encode_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(values) = decode_key(data) {
        assert_eq!(encode_key(&values), data);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(number) = text.parse::<Number>()
    {
        assert_eq!(number.to_string().parse(), Ok(number));
    }
});
