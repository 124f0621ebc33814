//! Data of Avro and Protobuf from any bytes: what is read is written so that it reads the same.

#![no_main]

use allod_payloads::{Field, Format, Framing, Kind, RecordShape, Schema, unframe};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// A shape with every kind of field there is.
static SCHEMAS: LazyLock<[Schema; 2]> = LazyLock::new(|| {
    let inner = vec![
        Field::new("number", Kind::Integer).optional(),
        Field::new("moments", Kind::Timestamp).list(),
    ];
    let inner = RecordShape::new("org.example.All.Inner", inner);
    let fields = vec![
        Field::new("truth", Kind::Boolean),
        Field::new("float", Kind::Float).optional(),
        Field::new("text", Kind::Text),
        Field::new("texts", Kind::Text).list().optional(),
        Field::new("bytes", Kind::Bytes).optional(),
        Field::new("inner", Kind::Record(inner)).list(),
    ];
    let shape = RecordShape::new("org.example.All", fields);
    [Format::Avro, Format::Protobuf].map(|format| Schema::new(format, &shape).expect("a shape"))
});

fuzz_target!(|data: &[u8]| {
    for schema in &*SCHEMAS {
        for framing in [Framing::Bare, Framing::Single, Framing::Registered(1), Framing::Described] {
            let Ok(datum) = unframe(schema, framing, data) else {
                continue;
            };
            if let Ok(record) = schema.decode(&datum) {
                let again = schema.encode(&record).expect("what was read is written");
                let read = schema.decode(&again).expect("what was written is read");
                assert_eq!(format!("{read:?}"), format!("{record:?}"));
            }
        }
    }
});
