//! CloudEvents from any text: as JSON, as a batch, as headers. What is read is written so that it reads the same.

#![no_main]

use allod_events::{CloudEvent, Headers, batch_from_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = CloudEvent::from_json(data) {
        let json = event.to_json().expect("what was read is written");
        let again = CloudEvent::from_json(json.as_bytes()).expect("what was written is read");
        assert_eq!(format!("{again:?}"), format!("{event:?}"));
        for form in [Headers::Http, Headers::Kafka] {
            let headers = event.to_headers(form);
            let pairs = headers.iter().map(|(name, value)| (&name[..], &value[..]));
            let body = event.data_bytes().unwrap_or_default();
            let read = CloudEvent::from_headers(form, pairs, body).expect("so are headers");
            assert_eq!((&read.id, &read.source, &read.kind), (&event.id, &event.source, &event.kind));
        }
    }
    drop(batch_from_json(data, 1 << 20));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    drop(CloudEvent::from_headers(Headers::Http, pairs, Vec::new().into()));
});
