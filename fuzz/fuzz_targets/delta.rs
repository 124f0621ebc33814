//! Deltas from any JSON: what is read is written so that it reads the same, and no verdict panics.

#![no_main]

use allod_deltas::{Delta, HyperSchema, MayNegate, ViewSchema, visible};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(schema) = HyperSchema::decode(text) {
        assert_eq!(HyperSchema::decode(&schema.encode()), Ok(schema), "DELTA-40");
    }
    let _view = ViewSchema::decode(text);
    let Ok(delta) = Delta::decode(text) else {
        return;
    };
    let json = delta.encode();
    let again = Delta::decode(&json).expect("DELTA-1");
    assert_eq!(again, delta, "DELTA-5");
    assert_eq!(again.encode(), json);
    assert_eq!(again.content_id(), delta.content_id(), "DELTA-6");
    if delta.verify().is_ok() {
        assert!(delta.is_content_addressed(), "DELTA-11");
    }
    let seen = visible([&delta, &again], None, &MayNegate::Anyone);
    assert_eq!(seen.len(), 1, "DELTA-22");
});
