//! Protobuf (EVENT-30 to EVENT-32).

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _, Value as Datum,
};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    OneofDescriptorProto,
};

use crate::schema::PayloadError;
use crate::shape::{Field, Kind, RecordShape, Value};

/// A shape as a message of Protobuf.
#[derive(Clone, Debug)]
pub(crate) struct Proto {
    shape: RecordShape,
    set: Bytes,
    message: MessageDescriptor,
}

impl Proto {
    pub(crate) fn new(shape: &RecordShape) -> Result<Self, PayloadError> {
        let file = FileDescriptorProto {
            name: Some(file_name(shape)),
            package: Some(shape.package().to_owned()),
            message_type: vec![message_of(shape)?],
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        };
        let set = FileDescriptorSet { file: vec![file] };
        let bytes = Bytes::from(set.encode_to_vec());
        let pool = DescriptorPool::from_file_descriptor_set(set).map_err(PayloadError::new)?;
        let message = pool.get_message_by_name(&shape.name);
        let message = message.ok_or_else(|| PayloadError::shape(&shape.name))?;
        Ok(Self {
            shape: shape.clone(),
            set: bytes,
            message,
        })
    }

    /// Its `FileDescriptorSet`.
    pub(crate) const fn set(&self) -> &Bytes {
        &self.set
    }

    pub(crate) fn encode(&self, record: &Value) -> Result<Bytes, PayloadError> {
        let message = record_to(&self.shape, &self.message, record)?;
        Ok(message.encode_to_vec().into())
    }

    pub(crate) fn decode(&self, datum: &[u8]) -> Result<Value, PayloadError> {
        let message = DynamicMessage::decode(self.message.clone(), datum);
        record_from(&self.shape, &message.map_err(PayloadError::new)?)
    }
}

/// The file that a message is declared in.
pub(crate) fn file_name(shape: &RecordShape) -> String {
    format!("{}.proto", shape.name.replace('.', "/"))
}

fn message_of(shape: &RecordShape) -> Result<DescriptorProto, PayloadError> {
    let mut message = DescriptorProto {
        name: Some(shape.short_name().to_owned()),
        ..DescriptorProto::default()
    };
    for (number, field) in (1..).zip(&shape.fields) {
        let type_name = match &field.kind {
            Kind::Record(inner) => {
                message.nested_type.push(message_of(inner)?);
                Some(format!(".{}", inner.name))
            }
            _ => None,
        };
        let mut declared = FieldDescriptorProto {
            name: Some(field.name.clone()),
            number: Some(number),
            label: Some(label_of(field).into()),
            r#type: Some(type_of(&field.kind).into()),
            type_name,
            ..FieldDescriptorProto::default()
        };
        if is_explicit(field) {
            let place = message.oneof_decl.len();
            declared.proto3_optional = Some(true);
            declared.oneof_index = Some(i32::try_from(place).map_err(PayloadError::new)?);
            message.oneof_decl.push(OneofDescriptorProto {
                // What compilers of Protobuf call it; no field has that name (EVENT-20).
                name: Some(format!("_{}", field.name)),
                ..OneofDescriptorProto::default()
            });
        }
        message.field.push(declared);
    }
    Ok(message)
}

const fn label_of(field: &Field) -> Label {
    if field.is_list {
        Label::Repeated
    } else {
        Label::Optional
    }
}

const fn type_of(kind: &Kind) -> Type {
    match kind {
        Kind::Boolean => Type::Bool,
        Kind::Integer | Kind::Timestamp => Type::Int64,
        Kind::Float => Type::Double,
        Kind::Text => Type::String,
        Kind::Bytes => Type::Bytes,
        Kind::Record(_) => Type::Message,
    }
}

/// Whether a field is `optional` in the language of proto3: nothing is other than what is there by default.
pub(crate) const fn is_explicit(field: &Field) -> bool {
    field.is_optional && !field.is_list
}

fn record_to(
    shape: &RecordShape,
    message: &MessageDescriptor,
    record: &Value,
) -> Result<DynamicMessage, PayloadError> {
    let bad = || PayloadError::shape(&shape.name);
    let Value::Record(values) = record else {
        return Err(bad());
    };
    if values.len() != shape.fields.len() {
        return Err(bad());
    }
    let mut written = DynamicMessage::new(message.clone());
    for ((number, field), value) in (1..).zip(&shape.fields).zip(values) {
        let declared = message.get_field(number).ok_or_else(bad)?;
        let inner = declared.kind();
        let inner = inner.as_message();
        let datum = match (field.is_list, value) {
            (_, Value::None) if field.is_optional => continue,
            (true, Value::List(values)) => {
                let values = values.iter().map(|value| one_to(field, inner, value));
                Datum::List(values.collect::<Result<_, _>>()?)
            }
            (false, value) => one_to(field, inner, value)?,
            (true, _) => return Err(PayloadError::shape(&field.name)),
        };
        written.set_field(&declared, datum);
    }
    Ok(written)
}

fn one_to(
    field: &Field,
    inner: Option<&MessageDescriptor>,
    value: &Value,
) -> Result<Datum, PayloadError> {
    Ok(match (&field.kind, value, inner) {
        (Kind::Boolean, Value::Boolean(value), _) => Datum::Bool(*value),
        (Kind::Integer | Kind::Timestamp, Value::Integer(value), _) => Datum::I64(*value),
        (Kind::Float, Value::Float(value), _) => Datum::F64(*value),
        (Kind::Text, Value::Text(text), _) => Datum::String(text.clone()),
        (Kind::Bytes, Value::Bytes(bytes), _) => Datum::Bytes(bytes.clone()),
        (Kind::Record(shape), value, Some(message)) => {
            Datum::Message(record_to(shape, message, value)?)
        }
        _ => return Err(PayloadError::shape(&field.name)),
    })
}

fn record_from(shape: &RecordShape, message: &DynamicMessage) -> Result<Value, PayloadError> {
    let descriptor = message.descriptor();
    let fields = (1..).zip(&shape.fields).map(|(number, field)| {
        let declared = descriptor.get_field(number);
        let declared = declared.ok_or_else(|| PayloadError::shape(&field.name))?;
        if is_explicit(field) && !message.has_field(&declared) {
            return Ok(Value::None);
        }
        match (field.is_list, &*message.get_field(&declared)) {
            (true, Datum::List(values)) => {
                let values = values.iter().map(|value| one_from(field, value));
                Ok(Value::List(values.collect::<Result<_, _>>()?))
            }
            (_, value) => one_from(field, value),
        }
    });
    Ok(Value::Record(fields.collect::<Result<_, PayloadError>>()?))
}

fn one_from(field: &Field, datum: &Datum) -> Result<Value, PayloadError> {
    Ok(match (&field.kind, datum) {
        (Kind::Boolean, Datum::Bool(value)) => Value::Boolean(*value),
        (Kind::Integer | Kind::Timestamp, Datum::I64(value)) => Value::Integer(*value),
        (Kind::Float, Datum::F64(value)) => Value::Float(*value),
        (Kind::Text, Datum::String(text)) => Value::Text(text.clone()),
        (Kind::Bytes, Datum::Bytes(bytes)) => Value::Bytes(bytes.clone()),
        (Kind::Record(shape), Datum::Message(message)) => record_from(shape, message)?,
        _ => return Err(PayloadError::shape(&field.name)),
    })
}
