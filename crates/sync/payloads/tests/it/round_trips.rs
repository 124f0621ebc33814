//! What was written is read (EVENT-21, EVENT-22, EVENT-30).

use allod_payloads::{
    Field, Format, Framing, Kind, RecordShape, Schema, Value, frame, unframe, unique_names,
};
use proptest::prelude::*;

/// A shape, and a record of it.
pub(crate) fn shaped() -> impl Strategy<Value = (RecordShape, Value)> {
    record("org.example.Whole".to_owned(), 2)
}

fn record(name: String, depth: u32) -> BoxedStrategy<(RecordShape, Value)> {
    let names = prop::collection::vec("[ -~]{1,8}|[a-z]{1,3}|_x|x|\u{e9}", 1..6);
    names
        .prop_flat_map(move |names| {
            let names = unique_names(names.iter().map(String::as_str));
            let fields: Vec<_> = names
                .into_iter()
                .enumerate()
                .map(|(at, field)| field_of(field, format!("{name}.Inner{at}"), depth))
                .collect();
            let name = name.clone();
            fields.prop_map(move |fields| {
                let (fields, values) = fields.into_iter().unzip();
                (
                    RecordShape::new(name.clone(), fields),
                    Value::Record(values),
                )
            })
        })
        .boxed()
}

fn field_of(name: String, inner: String, depth: u32) -> BoxedStrategy<(Field, Value)> {
    let all = one_of(inner, depth).prop_flat_map(|(kind, one)| {
        let many = prop::collection::vec(Just(one.clone()), 0..4).prop_map(Value::List);
        (
            Just(kind),
            prop_oneof![Just((false, one)), many.prop_map(|many| (true, many))],
        )
    });
    let parts = (all, any::<bool>(), any::<bool>());
    parts
        .prop_map(move |((kind, (is_list, value)), is_optional, is_none)| {
            let mut field = Field::new(name.clone(), kind);
            if is_list {
                field = field.list();
            }
            if is_optional {
                field = field.optional();
            }
            let is_none = is_optional && is_none;
            (field, if is_none { Value::None } else { value })
        })
        .boxed()
}

/// A kind, and a value of it.
fn one_of(inner: String, depth: u32) -> BoxedStrategy<(Kind, Value)> {
    let plain = prop_oneof![
        any::<bool>().prop_map(|value| (Kind::Boolean, Value::Boolean(value))),
        any::<i64>().prop_map(|value| (Kind::Integer, Value::Integer(value))),
        any::<f64>().prop_map(|value| (Kind::Float, Value::Float(value))),
        any::<i64>().prop_map(|value| (Kind::Timestamp, Value::Integer(value))),
        ".{0,8}".prop_map(|text| (Kind::Text, Value::Text(text))),
        prop::collection::vec(any::<u8>(), 0..8)
            .prop_map(|bytes| (Kind::Bytes, Value::Bytes(bytes.into()))),
    ];
    if depth == 0 {
        return plain.boxed();
    }
    let inner = record(inner, depth - 1).prop_map(|(shape, value)| (Kind::Record(shape), value));
    prop_oneof![3 => plain, 1 => inner].boxed()
}

/// Protobuf has no list that is none.
fn as_protobuf_has_it(shape: &RecordShape, record: Value) -> Value {
    let Value::Record(values) = record else {
        panic!("a record");
    };
    let values =
        shape
            .fields()
            .iter()
            .zip(values)
            .map(|(field, value)| match (field.kind(), value) {
                (_, Value::None) if field.is_list() => Value::List(Vec::new()),
                (_, Value::None) => Value::None,
                (Kind::Record(inner), Value::List(values)) => {
                    let values = values
                        .into_iter()
                        .map(|value| as_protobuf_has_it(inner, value));
                    Value::List(values.collect())
                }
                (Kind::Record(inner), value) => as_protobuf_has_it(inner, value),
                (_, value) => value,
            });
    Value::Record(values.collect())
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written((shape, record) in shaped()) {
        let avro = Schema::new(Format::Avro, &shape).unwrap();
        let datum = avro.encode(&record).unwrap();
        for framing in [Framing::Bare, Framing::Single, Framing::Registered(7), Framing::Described] {
            let framed = frame(&avro, framing, &datum);
            let datum = unframe(&avro, framing, &framed).unwrap();
            prop_assert_eq!(&avro.decode(&datum).unwrap(), &record);
        }
        let proto = Schema::new(Format::Protobuf, &shape).unwrap();
        let datum = proto.encode(&record).unwrap();
        for framing in [Framing::Bare, Framing::Single, Framing::Registered(7), Framing::Described] {
            let framed = frame(&proto, framing, &datum);
            let datum = unframe(&proto, framing, &framed).unwrap();
            let read = proto.decode(&datum).unwrap();
            prop_assert_eq!(read, as_protobuf_has_it(&shape, record.clone()));
        }
    }
}
