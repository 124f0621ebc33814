//! Records of any bytes under any template, positions and definitions of sources from any text.

#![no_main]

use allod_sinks::source::{
    Incoming, Position, Record, SourceDefinition, Template, incoming, position_key,
};
use libfuzzer_sys::fuzz_target;

/// A space by its name.
const SPACE: &str = "bafyreic73szty3hiaub2z3uvkohqkg4du6bhqxugi7es7ipo6u7wt4anfy";

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(position) = text.parse::<Position>() {
            let again = position.to_string();
            assert_eq!(again.parse::<Position>().expect("it is read"), position);
        }
        if let Ok(definition) = text.parse::<SourceDefinition>() {
            let again = serde_json::to_string(&definition).expect("a definition is JSON");
            let again = again.parse::<SourceDefinition>().expect("it is read");
            assert_eq!(again, definition);
        }
    }
    // The first line is the template, the second one a content type; the rest is the record.
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (key, kind) = (text(), text());
    let payload = lines.next().unwrap_or_default().to_vec();
    let from = r#"{"file":{"path":"/x"}}"#;
    let definition = format!(r#"{{"from":{from},"space":"{SPACE}"}}"#);
    let mut definition: SourceDefinition = definition.parse().expect("it is one");
    definition.key = key.parse::<Template>().is_ok().then_some(key);
    let headers = match kind.split_once(':') {
        Some((name, value)) => vec![(name.to_owned(), value.to_owned())],
        None => vec![("content-type".to_owned(), kind)],
    };
    let record = Record {
        headers,
        payload: Some(payload.into()),
        ..Record::default()
    };
    let made = incoming("in", &definition, &record).expect("the definition makes sense");
    if let Incoming::Entry(key, _) = made {
        assert!(!key.is_empty() && key.len() <= 4096);
        assert!(!key.starts_with(b"allod/source/"), "SRC-25");
        assert_ne!(key, position_key("in"));
    }
});
