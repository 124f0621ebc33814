//! Cursors, filters and definitions of sinks from any text: one that is read is written so that it reads the same.

#![no_main]

use allod_feed::{Cursor, Filter};
use allod_sinks::Definition;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string(), text, "FEED-10: a cursor has one text");
    }
    if let Ok(filter) = text.parse::<Filter>() {
        let again = serde_json::to_string(&filter).expect("a filter is JSON");
        assert_eq!(again.parse::<Filter>().expect("it is read"), filter);
        let _wanted = filter.wants_key(data);
    }
    if let Ok(definition) = text.parse::<Definition>() {
        let again = serde_json::to_string(&definition).expect("a definition is JSON");
        assert_eq!(again.parse::<Definition>().expect("it is read"), definition);
    }
});
