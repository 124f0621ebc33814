//! The JSON format, batches and headers.

use allod_events::{
    CloudEvent, Data, EventError, Extension, Headers, batch_from_json, batch_to_json,
};
use bytes::Bytes;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,20}",
        "\\PC{1,12}",
        Just("100 % \"\u{20ac}\u{1f600}\"".to_owned())
    ]
}

/// An event of any kind; without data where `data` says so.
fn event() -> impl Strategy<Value = CloudEvent> {
    let optional = || prop::option::of(text());
    let extension = prop_oneof![
        text().prop_map(Extension::Text),
        any::<i32>().prop_map(Extension::Integer),
        any::<bool>().prop_map(Extension::Boolean),
    ];
    let extensions = prop::collection::btree_map("x[a-z0-9]{0,19}", extension, 0..4);
    let data = prop_oneof![
        Just(None),
        Just(Some((
            Some("application/json"),
            r#"{"a":[1.50,"x",null]}"#.as_bytes().to_vec()
        ))),
        Just(Some((
            Some("application/vnd.x+json; charset=utf-8"),
            b"7".to_vec()
        ))),
        prop::collection::vec(any::<u8>(), 1..30)
            .prop_map(|bytes| Some((Some("application/avro"), bytes))),
    ];
    (
        text(),
        text(),
        text(),
        optional(),
        optional(),
        optional(),
        extensions,
        data,
    )
        .prop_map(
            |(id, source, kind, subject, time, dataschema, extensions, data)| {
                let mut event = CloudEvent::new(id, source, kind).unwrap();
                event.subject = subject;
                event.time = time;
                event.dataschema = dataschema;
                event.extensions = extensions;
                if let Some((content_type, bytes)) = data {
                    event.datacontenttype = content_type.map(str::to_owned);
                    event.data = Some(if event.is_json() {
                        let text = String::from_utf8(bytes).unwrap();
                        Data::Json(serde_json::value::RawValue::from_string(text).unwrap())
                    } else {
                        Data::Bytes(bytes.into())
                    });
                }
                event
            },
        )
}

/// All that can be compared of an event.
fn shown(event: &CloudEvent) -> String {
    format!("{event:?}")
}

proptest! {
    /// What is written in the structured mode is read as what it was.
    #[test]
    fn json_gives_an_event_back(event in event()) {
        let json = event.to_json().unwrap();
        prop_assert!(!json.contains('\n'));
        let read = CloudEvent::from_json(json.as_bytes()).unwrap();
        prop_assert_eq!(shown(&read), shown(&event));
    }

    /// So are batches, in their order.
    #[test]
    fn a_batch_gives_its_events_back(events in prop::collection::vec(event(), 0..5)) {
        let json = batch_to_json(&events).unwrap();
        let read = batch_from_json(json.as_bytes(), 1 << 20).unwrap();
        let shown = |events: &[CloudEvent]| events.iter().map(shown).collect::<Vec<_>>();
        prop_assert_eq!(shown(&read), shown(&events));
    }

    /// EVENT-41: headers give an event back, but that all extensions are texts; and those of HTTP are visible ASCII.
    #[test]
    fn headers_give_an_event_back(event in event(), kafka in any::<bool>()) {
        let form = if kafka { Headers::Kafka } else { Headers::Http };
        let headers = event.to_headers(form);
        if !kafka {
            let is_plain = |(_, value): &(String, String)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            prop_assert!(headers.iter().all(is_plain), "{headers:?}");
        }
        let data = event.data_bytes().unwrap_or_default();
        let pairs = headers.iter().map(|(name, value)| (&name[..], &value[..]));
        let read = CloudEvent::from_headers(form, pairs, data).unwrap();
        let mut expected = event;
        for value in expected.extensions.values_mut() {
            *value = Extension::Text(value.to_text());
        }
        prop_assert_eq!(shown(&read), shown(&expected));
    }

    /// Whatever is read, nothing panics, and what is taken is an event.
    #[test]
    fn any_text_is_an_event_or_none(text in "\\PC{0,60}|\\{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"(,\"[a-z]{1,3}\":[0-9a-z\"]{1,5}){0,3}\\}") {
        if let Ok(event) = CloudEvent::from_json(text.as_bytes()) {
            let again = CloudEvent::from_json(event.to_json().unwrap().as_bytes()).unwrap();
            prop_assert_eq!(shown(&again), shown(&event));
        }
    }
}

/// EVENT-40: what is no CloudEvent is refused.
#[test]
fn what_is_no_event_is_refused() {
    let with =
        |more: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{more}}}"#);
    assert!(CloudEvent::from_json(with("").as_bytes()).is_ok());
    let many: String = (0..65).map(|number| format!(r#","x{number}":1"#)).collect();
    let bad = [
        r#"{"id":"1","source":"s","type":"t"}"#.to_owned(),
        r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#.to_owned(),
        r#"{"specversion":1.0,"id":"1","source":"s","type":"t"}"#.to_owned(),
        r#"{"specversion":"1.0","source":"s","type":"t"}"#.to_owned(),
        r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#.to_owned(),
        r#"{"specversion":"1.0","id":null,"source":"s","type":"t"}"#.to_owned(),
        r#"{"specversion":"1.0","id":7,"source":"s","type":"t"}"#.to_owned(),
        with(r#","id":"2""#),
        with(r#","data":1,"data_base64":"AA==""#),
        with(r#","data_base64":"A""#),
        with(r#","data_base64":7"#),
        with(r#","Upper":"x""#),
        with(r#","with-dash":"x""#),
        with(r#","":"x""#),
        with(r#","abcdefghijklmnopqrstu":"x""#),
        with(r#","list":["x"]"#),
        with(r#","float":1.5"#),
        with(r#","large":4294967296"#),
        with(r#","subject":"""#),
        with(&many),
        "[]".to_owned(),
        "null".to_owned(),
        String::new(),
        with(&format!(r#","data":"{}""#, "x".repeat(1 << 20))),
    ];
    for text in &bad {
        let read = CloudEvent::from_json(text.as_bytes());
        assert!(read.is_err(), "{text:.80}: {read:?}");
    }
    for text in ["{}", "[1]", &format!("[{}1]", "1,".repeat(1024))] {
        assert!(
            batch_from_json(text.as_bytes(), 1 << 20).is_err(),
            "{text:.40}"
        );
    }
    assert!(batch_from_json(b"[]", 1).is_err());
    assert_eq!(EventError::CODE, "E_EVENT");
    // What is null is not there; text of another type is that text.
    let read = CloudEvent::from_json(
        with(r#","subject":null,"datacontenttype":"text/plain","data":"hi""#).as_bytes(),
    );
    let read = read.unwrap();
    assert_eq!(read.subject, None);
    assert_eq!(read.data_bytes(), Some(Bytes::from_static(b"hi")));
}

/// EVENT-40, EVENT-41: so it is with headers.
#[test]
fn headers_of_no_event_are_refused() {
    let good = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "s"),
        ("ce-type", "t"),
    ];
    let read = |more: &[(&str, &str)]| {
        let pairs = good.iter().chain(more).copied();
        CloudEvent::from_headers(Headers::Http, pairs, Bytes::from_static(b"{}"))
    };
    let plain = read(&[
        ("host", "x"),
        ("CE-Subject", "a%20b"),
        ("Content-Type", "application/json"),
    ])
    .unwrap();
    assert_eq!(plain.subject.as_deref(), Some("a b"));
    assert!(matches!(plain.data, Some(Data::Json(_))));
    for more in [
        ("ce-id", "2"),
        ("ce-bad-name", "x"),
        ("ce-data", "x"),
        ("ce-subject", "%2"),
        ("ce-subject", "%zz"),
        ("ce-subject", "%ff"),
        ("ce-subject", "%+1"),
        ("ce-subject", ""),
    ] {
        assert!(read(&[more]).is_err(), "{more:?}");
    }
    for absent in 0..good.len() {
        let rest = good
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != absent)
            .map(|(_, pair)| *pair);
        let read = CloudEvent::from_headers(Headers::Http, rest, Bytes::new());
        assert!(read.is_err(), "{absent}");
    }
}
