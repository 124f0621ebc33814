//! Filters from any JSON: what is read is written so that it reads the same.

#![no_main]

use allod_deltas::DeltaFilter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(filter) = DeltaFilter::decode(text) {
        let json = filter.encode();
        assert_eq!(DeltaFilter::decode(&json), Ok(filter), "DELTA-13");
    }
});
