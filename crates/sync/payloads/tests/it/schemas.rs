//! Schemas as texts and bytes.

use allod_payloads::{
    Field, Format, Framing, Kind, RecordShape, Schema, Value, frame, unique_names,
};

fn shape() -> RecordShape {
    let inner = vec![Field::new("city", Kind::Text).optional()];
    let inner = RecordShape::new("org.example.User.Home", inner);
    RecordShape::new(
        "org.example.User",
        vec![
            Field::new("name", Kind::Text),
            Field::new("born", Kind::Timestamp).optional(),
            Field::new("tags", Kind::Text).list(),
            Field::new("home", Kind::Record(inner)).optional(),
        ],
    )
}

/// EVENT-20.
#[test]
fn names_become_identifiers_that_differ() {
    let names = ["a b", "a_b", "a.b", "1st", "", "\u{e9}", "a_b_2", "A_b"];
    let unique = unique_names(names);
    assert_eq!(
        unique,
        [
            "a_b", "a_b_2", "a_b_3", "_1st", "_", "__2", "a_b_2_2", "A_b_4"
        ]
    );
}

/// EVENT-21.
#[test]
fn a_shape_has_one_schema_of_avro() {
    let schema = Schema::new(Format::Avro, &shape()).unwrap();
    let expected = concat!(
        r#"{"type":"record","name":"org.example.User","fields":[{"name":"name","type":"string"},"#,
        r#"{"name":"born","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},"#,
        r#"{"name":"tags","type":{"type":"array","items":"string"}},"#,
        r#"{"name":"home","type":["null",{"type":"record","name":"org.example.User.Home","fields":"#,
        r#"[{"name":"city","type":["null","string"],"default":null}]}],"default":null}]}"#,
    );
    assert_eq!(schema.text(), expected);
    assert_eq!(schema.bytes(), expected);
    assert_eq!(schema.cid().to_string().len(), 59);
}

/// EVENT-30.
#[test]
fn a_shape_has_one_file_of_protobuf() {
    let schema = Schema::new(Format::Protobuf, &shape()).unwrap();
    let expected = r#"syntax = "proto3";
package org.example;

message User {
  message Home {
    optional string city = 1;
  }
  string name = 1;
  optional int64 born = 2;
  repeated string tags = 3;
  optional .org.example.User.Home home = 4;
}
"#;
    assert_eq!(schema.text(), expected);
    // A field that is empty, and one that is not there.
    let with = |born| {
        Value::Record(vec![
            Value::Text("Ada".into()),
            born,
            Value::List(vec![Value::Text("x".into()), Value::Text(String::new())]),
            Value::None,
        ])
    };
    let there = schema.encode(&with(Value::Integer(0))).unwrap();
    assert_eq!(there, b"\x0a\x03Ada\x10\x00\x1a\x01x\x1a\x00"[..]);
    let none = schema.encode(&with(Value::None)).unwrap();
    assert_eq!(none, b"\x0a\x03Ada\x1a\x01x\x1a\x00"[..]);
}

#[test]
fn a_shape_whose_names_are_none_has_no_schema() {
    for format in [Format::Avro, Format::Protobuf] {
        let two = vec![Field::new("a", Kind::Text), Field::new("a", Kind::Text)];
        let twice = Schema::new(format, &RecordShape::new("org.example.A", two));
        assert!(twice.is_err(), "{format:?}");
    }
    let bad = vec![Field::new("a b", Kind::Text)];
    assert!(Schema::new(Format::Avro, &RecordShape::new("org.example.A", bad)).is_err());
}

/// EVENT-23: as fastavro 1.13 has them.
#[test]
fn fingerprints_are_those_of_canonical_forms() {
    let inner = RecordShape::new("org.a.B.R", vec![Field::new("x", Kind::Text)]);
    let fields = vec![
        Field::new("t", Kind::Timestamp).optional(),
        Field::new("r", Kind::Record(inner)),
    ];
    let schema = Schema::new(Format::Avro, &RecordShape::new("org.a.B", fields)).unwrap();
    let framed = frame(&schema, Framing::Single, &bytes::Bytes::new());
    let expected = [0xa7, 0x74, 0x8e, 0xa1, 0xda, 0xb3, 0xdf, 0x97];
    assert_eq!(framed[2..], expected);
}
