//! Reading the vectors, and the values in them.

use serde_json::{Value as Json, json};

use crate::value::{Float, NotANumber, Value};

/// The cases of `specs/vectors/views/<name>.json`.
pub(crate) fn document(name: &str) -> Vec<Json> {
    let path = format!(
        "{}/../../../specs/vectors/views/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let document: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    document["cases"].as_array().unwrap().clone()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes(text: &Json) -> Vec<u8> {
    let digits = text.as_str().unwrap().as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.iter().map(byte).collect()
}

pub(crate) fn read(value: &Json) -> Result<Value, &'static str> {
    let (kind, content) = value.as_object().unwrap().iter().next().unwrap();
    Ok(match kind.as_str() {
        "null" => Value::Null,
        "boolean" => Value::Boolean(content.as_bool().unwrap()),
        "number" => Value::Number(content.as_str().unwrap().parse().unwrap()),
        "float" => {
            let bits = u64::from_be_bytes(bytes(content).try_into().unwrap());
            Value::Float(Float::new(f64::from_bits(bits)).map_err(|_error| NotANumber::CODE)?)
        }
        "timestamp" => Value::Timestamp(content.as_i64().unwrap()),
        "text" => Value::text(content.as_str().unwrap()),
        "bytes" => Value::Bytes(bytes(content)),
        _ => panic!("{kind}"),
    })
}

pub(crate) fn written(value: &Value) -> Json {
    match value {
        Value::Null => json!({ "null": null }),
        Value::Boolean(boolean) => json!({ "boolean": boolean }),
        Value::Number(number) => json!({ "number": number.to_string() }),
        Value::Float(float) => json!({ "float": text(&float.get().to_be_bytes()) }),
        Value::Timestamp(micros) => json!({ "timestamp": micros }),
        Value::Text(text) => json!({ "text": text }),
        Value::Bytes(content) => json!({ "bytes": text(content) }),
    }
}
