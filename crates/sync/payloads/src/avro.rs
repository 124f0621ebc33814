//! Avro (EVENT-21, EVENT-23).

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Datum;
use apache_avro::util::max_allocation_bytes;
use apache_avro::writer::datum::GenericDatumWriter;
use bytes::Bytes;

use crate::schema::{PAYLOAD_BYTES_MAX, PayloadError};
use crate::shape::{Field, Kind, RecordShape, Value};

/// A whole number of 64 bits.
const LONG: &str = r#""long""#;

/// A moment, as microseconds since 1970.
const MOMENT: &str = r#"{"type":"long","logicalType":"timestamp-micros"}"#;

/// A shape as a schema of Avro.
#[derive(Clone, Debug)]
pub(crate) struct Avro {
    shape: RecordShape,
    text: String,
    schema: Schema,
    fingerprint: [u8; 8],
}

impl Avro {
    pub(crate) fn new(shape: &RecordShape) -> Result<Self, PayloadError> {
        let text = schema_of(shape);
        let schema = Schema::parse_str(&text).map_err(PayloadError::new)?;
        // The canonical form has no logical types, and plain names of what they are of; the library's own has
        // `{"type":"long"}`.
        let plain = Schema::parse_str(&text.replace(MOMENT, LONG)).map_err(PayloadError::new)?;
        let fingerprint = plain.fingerprint::<Rabin>();
        let fingerprint = <[u8; 8]>::try_from(&fingerprint.bytes[..])
            .map_err(|_error| PayloadError::new("a fingerprint has 8 bytes"))?;
        Ok(Self {
            shape: shape.clone(),
            text,
            schema,
            fingerprint,
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }

    pub(crate) fn encode(&self, record: &Value) -> Result<Bytes, PayloadError> {
        let datum = record_to(&self.shape, record)?;
        let writer = GenericDatumWriter::builder(&self.schema).build();
        let writer = writer.map_err(PayloadError::new)?;
        let bytes = writer.write_value_to_vec(datum);
        Ok(bytes.map_err(PayloadError::new)?.into())
    }

    pub(crate) fn decode(&self, mut datum: &[u8]) -> Result<Value, PayloadError> {
        // The library has one limit for the whole program, which whoever is first sets.
        max_allocation_bytes(PAYLOAD_BYTES_MAX);
        let reader = GenericDatumReader::builder(&self.schema).build();
        let reader = reader.map_err(PayloadError::new)?;
        let read = reader.read_value(&mut datum).map_err(PayloadError::new)?;
        if !datum.is_empty() {
            return Err(PayloadError::new("there is something behind it"));
        }
        record_from(&self.shape, read)
    }
}

/// Names are identifiers, so nothing in it is to be escaped; others are refused where it is read.
fn schema_of(shape: &RecordShape) -> String {
    let fields: Vec<String> = shape.fields.iter().map(field_of).collect();
    let (name, fields) = (&shape.name, fields.join(","));
    format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#)
}

fn field_of(field: &Field) -> String {
    let mut kind = match &field.kind {
        Kind::Boolean => r#""boolean""#.to_owned(),
        Kind::Integer => LONG.to_owned(),
        Kind::Float => r#""double""#.to_owned(),
        Kind::Timestamp => MOMENT.to_owned(),
        Kind::Text => r#""string""#.to_owned(),
        Kind::Bytes => r#""bytes""#.to_owned(),
        Kind::Record(shape) => schema_of(shape),
    };
    if field.is_list {
        kind = format!(r#"{{"type":"array","items":{kind}}}"#);
    }
    let name = &field.name;
    if field.is_optional {
        format!(r#"{{"name":"{name}","type":["null",{kind}],"default":null}}"#)
    } else {
        format!(r#"{{"name":"{name}","type":{kind}}}"#)
    }
}

fn record_to(shape: &RecordShape, record: &Value) -> Result<Datum, PayloadError> {
    let Value::Record(values) = record else {
        return Err(PayloadError::shape(&shape.name));
    };
    if values.len() != shape.fields.len() {
        return Err(PayloadError::shape(&shape.name));
    }
    let fields = shape.fields.iter().zip(values).map(|(field, value)| {
        let datum = match (field.is_optional, value) {
            (true, Value::None) => Datum::Union(0, Box::new(Datum::Null)),
            (true, value) => Datum::Union(1, Box::new(all_to(field, value)?)),
            (false, value) => all_to(field, value)?,
        };
        Ok((field.name.clone(), datum))
    });
    Ok(Datum::Record(fields.collect::<Result<_, _>>()?))
}

fn all_to(field: &Field, value: &Value) -> Result<Datum, PayloadError> {
    match (field.is_list, value) {
        (false, value) => one_to(field, value),
        (true, Value::List(values)) => {
            let values = values.iter().map(|value| one_to(field, value));
            Ok(Datum::Array(values.collect::<Result<_, _>>()?))
        }
        (true, _) => Err(PayloadError::shape(&field.name)),
    }
}

fn one_to(field: &Field, value: &Value) -> Result<Datum, PayloadError> {
    Ok(match (&field.kind, value) {
        (Kind::Boolean, Value::Boolean(value)) => Datum::Boolean(*value),
        (Kind::Integer, Value::Integer(value)) => Datum::Long(*value),
        (Kind::Float, Value::Float(value)) => Datum::Double(*value),
        (Kind::Timestamp, Value::Integer(value)) => Datum::TimestampMicros(*value),
        (Kind::Text, Value::Text(text)) => Datum::String(text.clone()),
        (Kind::Bytes, Value::Bytes(bytes)) => Datum::Bytes(bytes.to_vec()),
        (Kind::Record(shape), value) => record_to(shape, value)?,
        _ => return Err(PayloadError::shape(&field.name)),
    })
}

fn record_from(shape: &RecordShape, datum: Datum) -> Result<Value, PayloadError> {
    let Datum::Record(values) = datum else {
        return Err(PayloadError::shape(&shape.name));
    };
    let fields = shape.fields.iter().zip(values);
    let fields = fields.map(|(field, (_, datum))| match (field.is_optional, datum) {
        (true, Datum::Union(0, _)) => Ok(Value::None),
        (true, Datum::Union(_, datum)) => all_from(field, *datum),
        (_, datum) => all_from(field, datum),
    });
    Ok(Value::Record(fields.collect::<Result<_, _>>()?))
}

fn all_from(field: &Field, datum: Datum) -> Result<Value, PayloadError> {
    match (field.is_list, datum) {
        (false, datum) => one_from(field, datum),
        (true, Datum::Array(values)) => {
            let values = values.into_iter().map(|datum| one_from(field, datum));
            Ok(Value::List(values.collect::<Result<_, _>>()?))
        }
        (true, _) => Err(PayloadError::shape(&field.name)),
    }
}

fn one_from(field: &Field, datum: Datum) -> Result<Value, PayloadError> {
    Ok(match (&field.kind, datum) {
        (Kind::Boolean, Datum::Boolean(value)) => Value::Boolean(value),
        (Kind::Integer, Datum::Long(value)) | (Kind::Timestamp, Datum::TimestampMicros(value)) => {
            Value::Integer(value)
        }
        (Kind::Float, Datum::Double(value)) => Value::Float(value),
        (Kind::Text, Datum::String(text)) => Value::Text(text),
        (Kind::Bytes, Datum::Bytes(bytes)) => Value::Bytes(bytes.into()),
        (Kind::Record(shape), datum) => record_from(shape, datum)?,
        _ => return Err(PayloadError::shape(&field.name)),
    })
}
