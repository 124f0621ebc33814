//! Data as records, and schema registries (SINK-8).

use allod_sinks::{BadSink, Definition};

use crate::world::Node;

/// The lines of a sink to a file, with its data as it says.
#[cfg(feature = "webhook")]
fn carried(
    node: &Node,
    more: &serde_json::Value,
) -> (allod_sinks::State, Vec<allod_events::CloudEvent>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lines");
    let mut definition = serde_json::json!({ "to": { "file": { "path": path } } });
    for (name, value) in more.as_object().unwrap() {
        definition[name] = value.clone();
    }
    let definition: Definition = definition.to_string().parse().unwrap();
    let register = node.register();
    if register.get("file").is_ok() {
        register.remove("file").unwrap();
    }
    let from = node.tail.feed().beginning();
    register.add("file", &definition, from).unwrap();
    let state = node.carry("file").unwrap();
    let lines = std::fs::read_to_string(&path).unwrap_or_default();
    let events = lines
        .lines()
        .map(|line| allod_events::CloudEvent::from_json(line.as_bytes()).unwrap());
    (state, events.collect())
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |text: &str| {
        let read: Result<Definition, BadSink> = text.parse();
        read.unwrap_err().to_string()
    };
    let registry = r#""registry":{"url":"http://localhost:1"}"#;
    for data in ["json", "protobuf-described"] {
        let text = format!(r#"{{"to":{{"stdout":{{}}}},"data":"{data}",{registry}}}"#);
        assert!(refused(&text).contains("numbers schemas"), "{text}");
    }
    let text = r#"{"to":{"stdout":{}},"data":"avro","registry":{"url":"localhost"}}"#;
    assert!(refused(text).contains("begins with http"));
    assert!(refused(r#"{"to":{"stdout":{}},"data":"xml"}"#).contains("unknown variant"));
}

/// EVENT-5: whoever has an event finds its schema.
#[cfg(feature = "webhook")]
#[test]
fn schemas_are_kept_before_what_they_describe() {
    use allod_events::schema_cid;
    use allod_payloads::Format;

    let node = Node::new();
    node.put(&[("a", "1")]);
    for (data, format) in [
        ("avro", Format::Avro),
        ("protobuf", Format::Protobuf),
        ("protobuf-described", Format::Protobuf),
    ] {
        let (state, events) = carried(&node, &serde_json::json!({ "data": data }));
        assert_eq!((state.words, events.len()), (None, 2));
        for event in events {
            let cid = schema_cid(event.dataschema.as_deref().unwrap()).unwrap();
            let (found, bytes) = node.register().schema(&cid).unwrap().unwrap();
            assert_eq!(found, format);
            let own = allod_blocks::sha256_cid(allod_blocks::Codec::Raw, &bytes);
            assert_eq!(own, cid);
        }
    }
}

/// EVENT-32: each schema is asked for once, under the name of its record, and its number is before the data.
#[cfg(feature = "webhook")]
#[test]
fn a_registry_numbers_schemas() {
    use crate::server::Server;
    use serde_json::{Value, json};

    let node = Node::new();
    node.put(&[("a", "1")]);
    node.put(&[("b", "2")]);
    for (data, kind, first) in [("avro", "AVRO", 5), ("protobuf", "PROTOBUF", 6)] {
        let server = Server::new(|number, _| {
            let body = json!({ "id": 1000 + number }).to_string();
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        });
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, "secret\n").unwrap();
        let registry = json!({ "url": format!("{}/", server.url), "token": token });
        let (state, events) = carried(&node, &json!({ "data": data, "registry": registry }));
        assert_eq!(state.words, None);
        let asked = server.requests.lock().unwrap();
        let lines: Vec<&str> = asked.iter().map(|request| &request.line[..]).collect();
        assert_eq!(
            lines,
            [
                "POST /subjects/org.allod.v1.Commit/versions HTTP/1.1",
                "POST /subjects/org.allod.v1.Change/versions HTTP/1.1"
            ]
        );
        for request in asked.iter() {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(body["schemaType"], json!(kind));
            assert_eq!(request.headers["authorization"], "Bearer secret");
            assert_eq!(
                request.headers["content-type"],
                "application/vnd.schemaregistry.v1+json"
            );
        }
        let numbers: Vec<u32> = events
            .iter()
            .map(|event| {
                let data = event.data_bytes().unwrap();
                assert_eq!(data[0], 0);
                assert!(data.len() > first);
                u32::from_be_bytes(data[1..5].try_into().unwrap())
            })
            .collect();
        assert_eq!(numbers, [1000, 1001, 1000, 1001]);
    }
}

/// An answer that nothing will change stops the sink; one that may pass does not. Nothing is delivered without a
/// number.
#[cfg(feature = "webhook")]
#[test]
fn a_registry_that_refuses_stops_the_sink() {
    use crate::server::{Server, answer};
    use serde_json::json;

    let node = Node::new();
    node.put(&[("a", "1")]);
    for (status, stops) in [
        ("409 Conflict", true),
        ("422 Unprocessable Entity", true),
        ("401 Unauthorized", true),
        ("429 Too Many Requests", false),
        ("503 Service Unavailable", false),
        ("200 OK", false),
    ] {
        let server = Server::new(move |_, _| answer(status));
        let more = json!({ "data": "avro", "registry": { "url": server.url } });
        let (state, events) = carried(&node, &more);
        assert_eq!((state.stopped, events.len()), (stops, 0), "{status}");
        let words = state.words.unwrap();
        let expected = if status == "200 OK" {
            "no number"
        } else {
            status.split(' ').next().unwrap()
        };
        assert!(words.contains(expected), "{words}");
    }
}
