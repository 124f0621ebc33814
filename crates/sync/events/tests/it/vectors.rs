//! The vectors of `specs/vectors/events`.

use allod_events::{CloudEvent, Data, EventError};
use serde_json::{Map, Value, json};

fn cases(name: &str) -> Vec<Value> {
    let path = format!(
        "{}/../../../specs/vectors/events/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    document["cases"].as_array().unwrap().clone()
}

fn shown(event: &CloudEvent) -> Value {
    let mut attributes = Map::new();
    let mut put = |name: &str, value: Option<&String>| {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), json!(value));
        }
    };
    put("id", Some(&event.id));
    put("source", Some(&event.source));
    put("type", Some(&event.kind));
    put("subject", event.subject.as_ref());
    put("time", event.time.as_ref());
    put("datacontenttype", event.datacontenttype.as_ref());
    put("dataschema", event.dataschema.as_ref());
    for (name, value) in &event.extensions {
        put(name, Some(&value.to_text()));
    }
    let bytes = match &event.data {
        Some(Data::Bytes(bytes)) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(digits)
        }
        _ => Value::Null,
    };
    json!({ "attributes": attributes, "bytes": bytes })
}

#[test]
fn events() {
    let cases = cases("event.json");
    assert!(!cases.is_empty());
    for case in cases {
        let text = case["input"]["text"].as_str().unwrap();
        let got = match CloudEvent::from_json(text.as_bytes()) {
            Ok(event) => json!({ "ok": shown(&event) }),
            Err(_) => json!({ "error": EventError::CODE }),
        };
        assert_eq!(got, case["expect"], "{}", case["id"]);
    }
}
