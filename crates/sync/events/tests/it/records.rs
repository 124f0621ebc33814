//! Data as records of Avro and Protobuf (EVENT-20 to EVENT-22).

use std::collections::BTreeMap;

use allod_events::{CloudEvent, JSON_SCHEMAS, schema_cid};
use allod_feed::Feed;
use allod_payloads::{Format, Schema, Value};
use allod_repo::Author;
use allod_views::{FieldDefinition, FieldKind, Received, TypeDefinition, define_type};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{Node, START, key, main_branch};

/// A record with the names of its fields.
type Named = BTreeMap<String, Value>;

fn named(schema: &Schema, cloud: &CloudEvent) -> Named {
    let datum = cloud.data_bytes().unwrap();
    let Value::Record(values) = schema.decode(&datum).unwrap() else {
        panic!("a record");
    };
    names_of(schema).into_iter().zip(values).collect()
}

/// The names of the fields of a change or commit, from the schema's own text.
fn names_of(schema: &Schema) -> Vec<String> {
    match schema.format() {
        Format::Avro => {
            let read: serde_json::Value = serde_json::from_str(schema.text()).unwrap();
            let fields = read["fields"].as_array().unwrap();
            let names = fields
                .iter()
                .map(|field| field["name"].as_str().unwrap().to_owned());
            names.collect()
        }
        _ => {
            let lines = schema
                .text()
                .lines()
                .filter(|line| line.starts_with("  ") && !line.starts_with("    "));
            let names = lines
                .filter_map(|line| Some(line.split_once(" = ")?.0.rsplit(' ').next()?.to_owned()));
            names.collect()
        }
    }
}

/// All that a node tells, as records.
fn told(node: &Node, format: Format) -> Vec<(CloudEvent, String, Named)> {
    node.tell_as(Feed::beginning, |renderer, event| {
        let (cloud, schema) = renderer.render_record(&node.repo, event, format).unwrap();
        let uri = cloud.dataschema.clone().unwrap();
        assert_eq!(schema_cid(&uri).unwrap(), *schema.cid());
        let named = named(&schema, &cloud);
        (cloud, schema.name().to_owned(), named)
    })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(bytes))
}

fn define(node: &Node, fields: Vec<FieldDefinition>) {
    let key = key();
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let definition = TypeDefinition {
        check: None,
        closed: false,
        fields,
        received: Received::Flag,
    };
    define_type(
        &node.repo,
        &"person".parse().unwrap(),
        definition,
        true,
        (author, START),
    )
    .unwrap();
}

#[test]
fn a_record_has_what_its_type_says() {
    let node = Node::new();
    let list = |name: &str, kind| FieldDefinition {
        list: true,
        ..FieldDefinition::new(name, kind)
    };
    define(
        &node,
        vec![
            FieldDefinition::new("name", FieldKind::String),
            FieldDefinition::new("born", FieldKind::Integer),
            FieldDefinition::new("at", FieldKind::Timestamp),
            FieldDefinition::new("height m", FieldKind::Number),
            FieldDefinition::new("height_m", FieldKind::Float),
            FieldDefinition::new("ok", FieldKind::Boolean),
            FieldDefinition::new("raw", FieldKind::Bytes),
            list("tags", FieldKind::String),
            FieldDefinition::new("knows", FieldKind::Ref("person".parse().unwrap())),
        ],
    );
    let whole = br#"{"name":"Ada","born":1815,"at":"1970-01-01T00:00:01Z","height m":1.650000000000000000001,"height_m":1.5,"ok":false,"raw":"AQI=","tags":["a","b"],"knows":"2","else":7}"#;
    let large = br#"{"name":"Large","born":9223372036854775808}"#;
    node.put(
        &main_branch(),
        &[
            (b"person:1", whole),
            (b"person:2", large),
            (b"plain", b"{}"),
        ],
    );
    for format in [Format::Avro, Format::Protobuf] {
        let told = told(&node, format);
        let of = |key: &str| {
            let found = told
                .iter()
                .find(|(_, _, named)| named.get("key") == Some(&bytes(key.as_bytes())));
            found.unwrap()
        };
        let (cloud, name, first) = of("person:1");
        assert_eq!(name, "org.allod.v1.change.person");
        assert_eq!(cloud.kind, "org.allod.entry.put.v1");
        assert_eq!(first["value"], bytes(whole));
        assert_eq!(
            first["record"],
            Value::Record(vec![
                text("Ada"),
                Value::Integer(1815),
                Value::Integer(1_000_000),
                text("1.650000000000000000001"),
                Value::Float(1.5),
                Value::Boolean(false),
                bytes(&[1, 2]),
                Value::List(vec![text("a"), text("b")]),
                text("2"),
            ])
        );
        assert_eq!(first["snapshot"], Value::Boolean(false));
        // What is no number of 64 bits is not told as another one.
        let (_, _, second) = of("person:2");
        assert_eq!(second["record"], Value::None);
        assert_eq!(second["value"], bytes(large));
        let (_, name, plain) = of("plain");
        assert_eq!(name, "org.allod.v1.Change");
        assert!(!plain.contains_key("record"));
        let commit = told.iter().find(|(_, name, named)| {
            name == "org.allod.v1.Commit" && named["message"] == text("what")
        });
        let (_, _, commit) = commit.unwrap();
        let Value::List(changes) = &commit["changes"] else {
            panic!("a list");
        };
        assert_eq!(changes.len(), 3);
        assert_eq!(commit["more"], Value::Boolean(false));
    }
}

/// EVENT-21: a commit is told under the type that it was made under, whatever the type is now.
#[test]
fn a_type_that_changes_has_another_schema() {
    let node = Node::new();
    define(&node, vec![FieldDefinition::new("name", FieldKind::String)]);
    node.put(&main_branch(), &[(b"person:1", br#"{"name":"Ada"}"#)]);
    let schema_of = |key: &[u8]| {
        let told = told(&node, Format::Avro);
        let found = told
            .iter()
            .find(|(_, _, named)| named.get("key") == Some(&bytes(key)));
        let (cloud, _, named) = found.unwrap();
        (cloud.dataschema.clone().unwrap(), named["record"].clone())
    };
    let before = schema_of(b"person:1");
    let born = FieldDefinition::new("born", FieldKind::Integer);
    define(
        &node,
        vec![FieldDefinition::new("name", FieldKind::String), born],
    );
    node.put(&main_branch(), &[(b"person:2", br#"{"born":1}"#)]);
    assert_eq!(schema_of(b"person:1"), before);
    let (schema, record) = schema_of(b"person:2");
    assert_ne!(schema, before.0);
    assert_eq!(record, Value::Record(vec![Value::None, Value::Integer(1)]));
    // A snapshot is told under what is in force now.
    let snapshot = node.tell_as(
        |feed| feed.snapshot().unwrap(),
        |renderer, event| {
            let (cloud, _) = renderer
                .render_record(&node.repo, event, Format::Avro)
                .unwrap();
            (cloud.subject.unwrap(), cloud.dataschema.unwrap())
        },
    );
    assert!(
        snapshot.contains(&("main/person:1".to_owned(), schema)),
        "{snapshot:?}"
    );
}

/// EVENT-5: data as JSON names one of three schemas.
#[test]
fn data_of_json_names_its_schema() {
    let node = Node::new();
    node.put(&main_branch(), &[(b"a", b"1")]);
    let cids = JSON_SCHEMAS.map(|schema| {
        let _read: serde_json::Value = serde_json::from_str(schema).unwrap();
        allod_blocks::sha256_cid(allod_blocks::Codec::Raw, schema.as_bytes())
    });
    let told = node.tell(Feed::beginning);
    let named = told.iter().map(|event| {
        let cid = schema_cid(event.dataschema.as_deref().unwrap()).unwrap();
        cids.iter().position(|known| *known == cid).unwrap()
    });
    assert_eq!(named.collect::<Vec<_>>(), [0, 1]);
    assert_eq!(schema_cid("https://example.org/bafy"), None);
}

proptest! {
    /// A record has the key and value of its change, whatever they are, and of a type or not.
    #[test]
    fn a_record_has_the_bytes(
        key in prop_oneof![prop::collection::vec(any::<u8>(), 1..6), "person:[a-z]{1,3}".prop_map(String::into_bytes)],
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            r#"\{"name":("[a-z]{0,3}"|[0-9]{1,22}|null|\[\]),"born":(-?[1-9][0-9]{0,22}|true|1\.5)\}"#.prop_map(String::into_bytes),
        ],
    ) {
        let node = Node::new();
        define(&node, vec![
            FieldDefinition::new("name", FieldKind::String),
            FieldDefinition::new("born", FieldKind::Integer),
        ]);
        let key_of = key.clone();
        let edit = [(&key_of[..], &value[..])];
        // What a type refuses is none of this.
        node.put(&main_branch(), &edit);
        for format in [Format::Avro, Format::Protobuf] {
            let told = told(&node, format);
            let (_, _, named) = told.iter().find(|(_, _, named)| named.get("key") == Some(&bytes(&key))).unwrap();
            prop_assert_eq!(&named["value"], &bytes(&value));
        }
    }
}
