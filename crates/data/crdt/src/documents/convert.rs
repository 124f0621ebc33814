//! From Automerge to JSON and back, and from one document to another.

use automerge::transaction::Transactable as _;
use automerge::{
    AutoCommit, AutomergeError, ObjId, ObjType, Prop, ROOT, ReadDoc as _, ScalarValue,
    ScalarValueRef, ValueRef,
};
use multibase::Base;
use serde_json::{Map, Number, Value as Json, json};

use super::{DEPTH_MAX, DocumentError};

impl From<AutomergeError> for DocumentError {
    fn from(_error: AutomergeError) -> Self {
        Self::Unreadable
    }
}

/// What a document says.
pub(super) fn read(doc: &AutoCommit) -> Result<Json, DocumentError> {
    read_object(doc, &ROOT, ObjType::Map, 0)
}

fn read_object(
    doc: &AutoCommit,
    object: &ObjId,
    kind: ObjType,
    depth: usize,
) -> Result<Json, DocumentError> {
    if depth > DEPTH_MAX {
        return Err(DocumentError::TooDeep);
    }
    let value = |value: ValueRef<'_>, id: &dyn Fn() -> ObjId| match value {
        ValueRef::Object(kind) => read_object(doc, &id(), kind, depth + 1),
        ValueRef::Scalar(scalar) => Ok(read_scalar(scalar)),
    };
    match kind {
        ObjType::Map | ObjType::Table => {
            let mut fields = Map::new();
            for item in doc.map_range(object, ..) {
                let field = item.key.to_string();
                fields.insert(field, value(item.value.clone(), &|| item.id())?);
            }
            Ok(Json::Object(fields))
        }
        ObjType::List => {
            let items = doc.list_range(object, ..);
            let values = items.map(|item| value(item.value.clone(), &|| item.id()));
            values.collect::<Result<_, _>>().map(Json::Array)
        }
        ObjType::Text => Ok(Json::String(doc.text(object)?)),
    }
}

fn read_scalar(scalar: ScalarValueRef<'_>) -> Json {
    match scalar {
        ScalarValueRef::Bytes(bytes) => json!({ "base64": Base::Base64Pad.encode(bytes) }),
        ScalarValueRef::Str(text) => Json::String(text.into_owned()),
        ScalarValueRef::Int(number)
        | ScalarValueRef::Counter(number)
        | ScalarValueRef::Timestamp(number) => number.into(),
        ScalarValueRef::Uint(number) => number.into(),
        // JSON has no other floats than finite ones.
        ScalarValueRef::F64(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        ScalarValueRef::Boolean(boolean) => boolean.into(),
        ScalarValueRef::Unknown { .. } | ScalarValueRef::Null => Json::Null,
    }
}

/// A place in an object, or between two places of a list.
pub(super) enum Place {
    At(Prop),
    Before(usize),
}

/// Puts a value of JSON at a place. Texts become texts that are edited by several.
pub(super) fn write(
    doc: &mut AutoCommit,
    object: &ObjId,
    place: Place,
    value: &Json,
    depth: usize,
) -> Result<(), DocumentError> {
    if depth > DEPTH_MAX {
        return Err(DocumentError::TooDeep);
    }
    match value {
        Json::Object(fields) => {
            let object = put_object(doc, object, place, ObjType::Map)?;
            for (field, value) in fields {
                let place = Place::At(Prop::Map(field.clone()));
                write(doc, &object, place, value, depth + 1)?;
            }
        }
        Json::Array(values) => {
            let object = put_object(doc, object, place, ObjType::List)?;
            for (index, value) in values.iter().enumerate() {
                write(doc, &object, Place::Before(index), value, depth + 1)?;
            }
        }
        Json::String(text) => {
            let object = put_object(doc, object, place, ObjType::Text)?;
            doc.splice_text(&object, 0, 0, text)?;
        }
        Json::Null => put(doc, object, place, ScalarValue::Null)?,
        Json::Bool(boolean) => put(doc, object, place, ScalarValue::Boolean(*boolean))?,
        Json::Number(number) => {
            let signed = number.as_i64().map(ScalarValue::Int);
            let unsigned = || number.as_u64().map(ScalarValue::Uint);
            let float = || ScalarValue::F64(number.as_f64().unwrap_or_default());
            let scalar = signed.or_else(unsigned).unwrap_or_else(float);
            put(doc, object, place, scalar)?;
        }
    }
    Ok(())
}

fn put(
    doc: &mut AutoCommit,
    object: &ObjId,
    place: Place,
    scalar: ScalarValue,
) -> Result<(), AutomergeError> {
    match place {
        Place::At(prop) => doc.put(object, prop, scalar),
        Place::Before(index) => doc.insert(object, index, scalar),
    }
}

fn put_object(
    doc: &mut AutoCommit,
    object: &ObjId,
    place: Place,
    kind: ObjType,
) -> Result<ObjId, AutomergeError> {
    match place {
        Place::At(prop) => doc.put_object(object, prop, kind),
        Place::Before(index) => doc.insert_object(object, index, kind),
    }
}

/// Copies what is in an object of one document to one of another.
pub(super) fn copy(
    from: &AutoCommit,
    source: &ObjId,
    to: &mut AutoCommit,
    target: &ObjId,
    depth: usize,
) -> Result<(), DocumentError> {
    if depth > DEPTH_MAX {
        return Err(DocumentError::TooDeep);
    }
    let mut one = |place: Place, value: ValueRef<'_>, id: ObjId| match value {
        ValueRef::Scalar(scalar) => Ok(put(to, target, place, scalar.into())?),
        ValueRef::Object(ObjType::Text) => {
            let text = put_object(to, target, place, ObjType::Text)?;
            Ok(to.splice_text(&text, 0, 0, &from.text(&id)?)?)
        }
        ValueRef::Object(kind) => {
            let object = put_object(to, target, place, kind)?;
            copy(from, &id, to, &object, depth + 1)
        }
    };
    if from.object_type(source)? == ObjType::List {
        for item in from.list_range(source, ..) {
            one(Place::Before(item.index), item.value.clone(), item.id())?;
        }
    } else {
        for item in from.map_range(source, ..) {
            let place = Place::At(Prop::Map(item.key.to_string()));
            one(place, item.value.clone(), item.id())?;
        }
    }
    Ok(())
}
