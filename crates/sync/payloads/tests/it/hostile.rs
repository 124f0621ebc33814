//! Data of strangers.

use allod_payloads::{
    Field, Format, Framing, Kind, PAYLOAD_BYTES_MAX, RecordShape, Schema, Value, frame, unframe,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::round_trips::shaped;

fn texts() -> RecordShape {
    RecordShape::new(
        "org.example.Texts",
        vec![Field::new("all", Kind::Text).list()],
    )
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    let avro = Schema::new(Format::Avro, &texts()).unwrap();
    // A block of 2^61 texts; one text of 2^40 bytes.
    let lies = [
        &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f][..],
        &[0x02, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40],
    ];
    for lie in lies {
        assert!(avro.decode(lie).is_err());
    }
    let proto = Schema::new(Format::Protobuf, &texts()).unwrap();
    assert!(
        proto
            .decode(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f, 0])
            .is_err()
    );
}

#[test]
fn what_is_too_long_or_goes_on_is_refused() {
    let avro = Schema::new(Format::Avro, &texts()).unwrap();
    let record = Value::Record(vec![Value::List(Vec::new())]);
    let datum = avro.encode(&record).unwrap();
    assert_eq!(avro.decode(&datum).unwrap(), record);
    assert!(avro.decode(&[&datum[..], &[0]].concat()).is_err());
    for format in [Format::Avro, Format::Protobuf] {
        let schema = Schema::new(format, &texts()).unwrap();
        assert!(schema.decode(&vec![0; PAYLOAD_BYTES_MAX + 1]).is_err());
    }
}

#[test]
fn another_framing_is_refused() {
    let avro = Schema::new(Format::Avro, &texts()).unwrap();
    let proto = Schema::new(Format::Protobuf, &texts()).unwrap();
    let other = RecordShape::new("org.example.Other", vec![Field::new("a", Kind::Text)]);
    let record = Value::Record(vec![Value::List(vec![Value::Text("x".into())])]);
    for schema in [&avro, &proto] {
        let other = Schema::new(schema.format(), &other).unwrap();
        let datum = schema.encode(&record).unwrap();
        let registered = frame(schema, Framing::Registered(7), &datum);
        assert!(unframe(schema, Framing::Registered(8), &registered).is_err());
        let described = frame(schema, Framing::Described, &datum);
        assert!(unframe(&other, Framing::Described, &described).is_err());
        assert!(unframe(schema, Framing::Described, &registered).is_err());
    }
    let single = frame(&avro, Framing::Single, &Bytes::from_static(b"\0"));
    assert_eq!(single.len(), 11);
    let other = Schema::new(Format::Avro, &other).unwrap();
    assert!(unframe(&other, Framing::Single, &single).is_err());
}

#[test]
fn a_record_of_another_shape_is_not_written() {
    let wrong = [
        Value::None,
        Value::Record(Vec::new()),
        Value::Record(vec![Value::Text("x".into())]),
        Value::Record(vec![Value::List(vec![Value::Integer(1)])]),
        Value::Record(vec![Value::None]),
    ];
    for format in [Format::Avro, Format::Protobuf] {
        let schema = Schema::new(format, &texts()).unwrap();
        for record in &wrong {
            assert!(schema.encode(record).is_err(), "{format:?} {record:?}");
        }
    }
}

proptest! {
    #[test]
    fn anything_is_read_or_refused((shape, _) in shaped(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for format in [Format::Avro, Format::Protobuf] {
            let schema = Schema::new(format, &shape).unwrap();
            if let Ok(record) = schema.decode(&bytes) {
                // What was read can be written, and is the same then.
                let again = schema.encode(&record).unwrap();
                let once_more = schema.decode(&again).unwrap();
                prop_assert_eq!(format!("{record:?}"), format!("{once_more:?}"));
            }
        }
    }
}
