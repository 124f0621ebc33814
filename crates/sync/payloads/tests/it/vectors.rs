//! The vectors of `specs/vectors/events` that are about records.

use allod_payloads::{
    Field, Format, Framing, Kind, RecordShape, Schema, Value, frame, unique_names,
};
use serde_json::{Value as Json, json};

fn cases(name: &str) -> Vec<Json> {
    let path = format!(
        "{}/../../../specs/vectors/events/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn shape(given: &Json) -> RecordShape {
    let fields = given["fields"].as_array().unwrap().iter().map(field);
    RecordShape::new(given["shape"].as_str().unwrap(), fields.collect())
}

fn field(given: &Json) -> Field {
    let kind = match given["kind"].as_str().unwrap() {
        "boolean" => Kind::Boolean,
        "integer" => Kind::Integer,
        "float" => Kind::Float,
        "timestamp" => Kind::Timestamp,
        "text" => Kind::Text,
        "bytes" => Kind::Bytes,
        "record" => Kind::Record(shape(given)),
        other => panic!("{other}"),
    };
    let mut field = Field::new(given["name"].as_str().unwrap(), kind);
    if given["list"] == json!(true) {
        field = field.list();
    }
    if given["optional"] == json!(true) {
        field = field.optional();
    }
    field
}

fn record(shape: &RecordShape, values: &Json) -> Value {
    let values = shape.fields().iter().zip(values.as_array().unwrap());
    let values = values.map(|(field, value)| match value {
        Json::Null => Value::None,
        Json::Array(values) if field.is_list() => {
            Value::List(values.iter().map(|value| one(field, value)).collect())
        }
        value => one(field, value),
    });
    Value::Record(values.collect())
}

fn one(field: &Field, value: &Json) -> Value {
    match field.kind() {
        Kind::Boolean => Value::Boolean(value.as_bool().unwrap()),
        Kind::Integer | Kind::Timestamp => Value::Integer(value.as_i64().unwrap()),
        Kind::Float => Value::Float(value.as_f64().unwrap()),
        Kind::Text => Value::Text(value.as_str().unwrap().to_owned()),
        Kind::Bytes => {
            let digits = value.as_str().unwrap();
            let bytes = (0..digits.len() / 2)
                .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap());
            Value::Bytes(bytes.collect())
        }
        Kind::Record(shape) => record(shape, value),
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn names() {
    for case in cases("names.json") {
        let names = case["input"]["names"].as_array().unwrap();
        let unique = unique_names(names.iter().map(|name| name.as_str().unwrap()));
        assert_eq!(
            json!(unique),
            case["expect"]["ok"]["unique"],
            "{}",
            case["id"]
        );
    }
}

#[test]
fn records() {
    for case in cases("record.json") {
        let given = &case["input"];
        let shape = shape(given);
        let record = record(&shape, &given["record"]);
        let number = Framing::Registered(given["registered"].as_u64().unwrap() as u32);
        let avro = Schema::new(Format::Avro, &shape).unwrap();
        let proto = Schema::new(Format::Protobuf, &shape).unwrap();
        let (in_avro, in_proto) = (
            avro.encode(&record).unwrap(),
            proto.encode(&record).unwrap(),
        );
        let got = json!({
            "avro_schema": avro.text(),
            "avro": hex(&in_avro),
            "avro_single": hex(&frame(&avro, Framing::Single, &in_avro)),
            "avro_registered": hex(&frame(&avro, number, &in_avro)),
            "protobuf_schema": proto.text(),
            "protobuf": hex(&in_proto),
            "protobuf_registered": hex(&frame(&proto, number, &in_proto)),
        });
        assert_eq!(got, case["expect"]["ok"], "{}", case["id"]);
        assert_eq!(avro.decode(&in_avro).unwrap(), record, "{}", case["id"]);
    }
}
