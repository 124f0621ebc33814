//! Reading the fields of a record (TYPE-4 to TYPE-6).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use multibase::Base;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::expr::{FieldPath, Fields};
use crate::json::{Form, Place, RawField, at, object};
use crate::number::{BadNumber, Number};
use crate::rfc3339::parse_timestamp;
use crate::types::{Field, Name, Type};
use crate::value::{Float, Value};

/// The longest record, in bytes: one block (TYPE-5).
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// What a field is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FieldKind {
    /// A text.
    String,
    /// An exact number.
    Number,
    /// An exact number without a fraction.
    Integer,
    /// A binary64.
    Float,
    /// True or false.
    Boolean,
    /// A moment.
    Timestamp,
    /// Bytes.
    Bytes,
    /// The ID of a record of this type.
    Ref(Name),
}

/// A text is no kind. Blame: whoever wrote it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is no kind; there are string, number, integer, float, boolean, timestamp, bytes and ref:TYPE"
)]
pub struct BadKind(String);

impl FromStr for FieldKind {
    type Err = BadKind;

    fn from_str(text: &str) -> Result<Self, BadKind> {
        let of = text.strip_prefix("ref:").map(str::parse);
        Ok(match (text, of) {
            ("string", _) => Self::String,
            ("number", _) => Self::Number,
            ("integer", _) => Self::Integer,
            ("float", _) => Self::Float,
            ("boolean", _) => Self::Boolean,
            ("timestamp", _) => Self::Timestamp,
            ("bytes", _) => Self::Bytes,
            (_, Some(Ok(name))) => Self::Ref(name),
            _ => return Err(BadKind(text.to_owned())),
        })
    }
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Bytes => "bytes",
            Self::Ref(name) => return write!(f, "ref:{name}"),
        })
    }
}

impl Serialize for FieldKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FieldKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// What a field of a record has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Datum {
    /// A value.
    One(Value),
    /// The elements of a list, and its text.
    Many(Vec<Value>, String),
}

impl Default for Datum {
    fn default() -> Self {
        Self::One(Value::Null)
    }
}

impl Datum {
    /// It as one value: of a list, its text.
    #[must_use]
    pub fn into_value(self) -> Value {
        match self {
            Self::One(value) => value,
            Self::Many(_, text) => Value::Text(text),
        }
    }
}

/// A field is not what its definition says.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct BadField {
    /// What it should be.
    pub expected: String,
    /// What it is, cut short.
    pub found: String,
}

/// A record cannot be read at all (TYPE-5).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no object of JSON: {0}")]
pub struct Malformed(pub String);

/// Ways that records look, which a reader knows at a time: most types have one, and a field that some
/// records lack makes two.
const FORMS_MAX: usize = 4;

/// The fields of a record where they stand in its bytes.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// A text: looked at as one where a field of it is asked for.
    text: &'a [u8],
    look: Cow<'a, Look>,
    places: Cow<'a, [Place]>,
    kind: Option<&'a Type>,
}

/// How records look, and where fields of their type are in them.
#[derive(Clone, Debug)]
struct Look {
    form: Form,
    /// For each field of the type, which field of the record it is.
    fields: Vec<Option<u32>>,
}

impl Look {
    fn of(text: &[u8], fields: &[RawField<'_>], kind: Option<&Type>) -> Self {
        let find = |field: &Field| {
            let mut names = std::iter::once(&field.name).chain(&field.was);
            let found = names.find_map(|name| fields.iter().position(|(known, _)| known == name));
            found.and_then(|found| u32::try_from(found).ok())
        };
        let of_type = kind.map(Type::fields).unwrap_or_default();
        Self {
            form: Form::of(text, fields),
            fields: of_type.iter().map(find).collect(),
        }
    }
}

/// Reads records, one after the other. One that looks like one before, but for its values, takes less
/// than one that does not.
#[derive(Debug)]
pub struct RecordReader {
    kind: Option<Arc<Type>>,
    /// The last to be seen first.
    looks: Vec<Look>,
    places: Vec<Place>,
}

impl RecordReader {
    /// A reader of records of a type, or of none.
    #[must_use]
    pub const fn new(kind: Option<Arc<Type>>) -> Self {
        Self {
            kind,
            looks: Vec::new(),
            places: Vec::new(),
        }
    }

    /// As [`Record::parse`].
    pub fn read<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Record<'a>, Malformed> {
        // One that is too long is refused below.
        let mut looks = self.looks.iter();
        let found = looks.position(|look| {
            bytes.len() <= RECORD_BYTES_MAX && look.form.find(bytes, &mut self.places)
        });
        match found {
            Some(0) => {}
            Some(found) => self.looks[..=found].rotate_right(1),
            None => {
                let text = text_of(bytes)?;
                let fields = object(text).map_err(|error| Malformed(error.to_string()))?;
                self.places.clear();
                self.places.extend(fields.iter().map(|(_, place)| place));
                self.looks.truncate(FORMS_MAX - 1);
                let look = Look::of(bytes, &fields, self.kind.as_deref());
                self.looks.insert(0, look);
            }
        }
        Ok(Record {
            text: bytes,
            look: Cow::Borrowed(&self.looks[0]),
            places: Cow::Borrowed(&self.places),
            kind: self.kind.as_deref(),
        })
    }
}

/// The text that a record is (TYPE-5).
fn text_of(bytes: &[u8]) -> Result<&str, Malformed> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(Malformed(format!("more than {RECORD_BYTES_MAX} bytes")));
    }
    std::str::from_utf8(bytes).map_err(|_error| Malformed("no text".to_owned()))
}

impl<'a> Record<'a> {
    /// Finds the fields of a record, to be read under a definition if there is one (TYPE-5).
    pub fn parse(bytes: &'a [u8], kind: Option<&'a Type>) -> Result<Self, Malformed> {
        let text = text_of(bytes)?;
        let fields = object(text).map_err(|error| Malformed(error.to_string()))?;
        Ok(Self {
            text: bytes,
            look: Cow::Owned(Look::of(bytes, &fields, kind)),
            places: fields.iter().map(|(_, place)| *place).collect(),
            kind,
        })
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        let mut names = self.look.form.names();
        self.value(names.position(|known| known == name)?)
    }

    /// The JSON of its own field at a place.
    fn value(&self, place: usize) -> Option<&'a str> {
        Some(at(self.text, *self.places.get(place)?))
    }

    /// The JSON of the field of its definition at a place.
    fn of_type(&self, place: usize) -> Option<&'a str> {
        let found = (*self.look.fields.get(place)?)?;
        self.value(found as usize)
    }

    /// Whether it is left out of projections and tables (TYPE-8).
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        self.kind.is_some_and(|kind| kind.leaves_out(self))
    }

    /// The names of its fields, as they stand.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.look.form.names()
    }

    /// A field of its definition (TYPE-4).
    pub(crate) fn read(&self, place: usize, field: &Field) -> Result<Datum, BadField> {
        match self.of_type(place) {
            Some(raw) => read_field(raw, &field.kind, field.list),
            None => Ok(field.default.clone()),
        }
    }

    /// The JSON of the field of its definition at a place, and what the field is; none where the record does
    /// not have it, under any of its names, or the field is a list.
    #[must_use]
    pub fn raw_at(&self, place: usize) -> Option<(&'a str, &'a FieldKind)> {
        let field = self.kind?.fields().get(place)?;
        let raw = self.of_type(place)?;
        (!field.list).then_some((raw, &field.kind))
    }

    /// The field of its definition at a place. Null where it cannot be read; none without a definition, or
    /// such a field.
    #[must_use]
    pub fn field_at(&self, place: usize) -> Option<Datum> {
        let field = self.kind?.fields().get(place)?;
        Some(self.read(place, field).unwrap_or_default())
    }

    /// What a path leads to: a field, or a part of an object in one. Null where there is nothing, or
    /// what is there cannot be read.
    #[must_use]
    pub fn get(&self, path: &FieldPath) -> Datum {
        let Some((first, rest)) = path.names().split_first() else {
            return Datum::default();
        };
        let field = self.kind.and_then(|kind| kind.field(first));
        if let ([], Some((place, field))) = (rest, field) {
            return self.read(place, field).unwrap_or_default();
        }
        let mut raw = self.raw(first);
        for name in rest {
            raw = raw.and_then(|raw| {
                let fields = object(raw).ok()?;
                let (_, place) = fields.into_iter().find(|(known, _)| known == name)?;
                Some(at(raw.as_bytes(), place))
            });
        }
        raw.map_or_else(Datum::default, |raw| Datum::One(read_untyped(raw)))
    }
}

impl Fields for Record<'_> {
    fn field(&self, path: &FieldPath) -> Value {
        self.get(path).into_value()
    }
}

/// The fields of an object of JSON in their order, with their text. A repeated name is an error
/// (TYPE-5).
pub fn fields_of(bytes: &[u8]) -> Result<Vec<(String, Box<RawValue>)>, Malformed> {
    let text = text_of(bytes)?;
    let fields = object(text).map_err(|error| Malformed(error.to_string()))?;
    let owned = |(name, place): RawField<'_>| {
        let raw = RawValue::from_string(at(bytes, place).to_owned());
        let raw = raw.map_err(|error| Malformed(error.to_string()))?;
        Ok((name.into_owned(), raw))
    };
    fields.into_iter().map(owned).collect()
}

/// Reads JSON, without space around it, as a value of a kind, or a list of them.
pub(crate) fn read_field(text: &str, kind: &FieldKind, list: bool) -> Result<Datum, BadField> {
    if text == "null" {
        return Ok(Datum::default());
    }
    if !list {
        return read_value(text, kind).map(Datum::One);
    }
    let items: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|_error| bad(text, &format!("an array of {kind}")))?;
    let values = items.iter().map(|item| read_value(item.get(), kind));
    Ok(Datum::Many(
        values.collect::<Result<_, _>>()?,
        text.to_owned(),
    ))
}

fn read_value(text: &str, kind: &FieldKind) -> Result<Value, BadField> {
    let expected = || bad(text, &kind.to_string());
    let string = || string(text).ok_or_else(expected);
    Ok(match kind {
        FieldKind::String | FieldKind::Ref(_) => Value::Text(string()?),
        FieldKind::Number => Value::Number(read_number(text)?),
        FieldKind::Integer => {
            let number = read_number(text)?;
            if number.power() < 0 {
                return Err(expected());
            }
            Value::Number(number)
        }
        FieldKind::Float => {
            // What JSON is that Rust reads as a float is a number of JSON.
            let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
            let float = float.and_then(|float| Float::new(float).ok());
            Value::Float(float.ok_or_else(expected)?)
        }
        FieldKind::Boolean => {
            Value::Boolean(serde_json::from_str(text).map_err(|_error| expected())?)
        }
        FieldKind::Timestamp => {
            let micros = parse_timestamp(&string()?)
                .ok_or_else(|| bad(text, "a timestamp like \"2026-11-26T08:00:00Z\""))?;
            Value::Timestamp(micros)
        }
        FieldKind::Bytes => {
            let string = string()?;
            let decoded = Base::Base64Pad.decode(&string).ok();
            // The decoder takes several, one behind the other.
            let decoded = decoded.filter(|bytes| Base::Base64Pad.encode(bytes) == string);
            Value::Bytes(decoded.ok_or_else(|| bad(text, "base64 with padding"))?)
        }
    })
}

/// The text that JSON is, if it is one.
fn string(json: &str) -> Option<String> {
    match plain_text(json) {
        Some(plain) => Some(plain.to_owned()),
        None => serde_json::from_str(json).ok(),
    }
}

/// The text that a text of JSON without escapes is.
#[must_use]
pub fn plain_text(json: &str) -> Option<&str> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}

fn read_number(text: &str) -> Result<Number, BadField> {
    text.parse::<Number>().map_err(|error| match error {
        BadNumber::Syntax => bad(text, "a number"),
        BadNumber::Range => bad(text, &error.to_string()),
    })
}

/// What JSON is without a definition (TYPE-6). A number that cannot be kept exactly is its text.
fn read_untyped(text: &str) -> Value {
    match text.as_bytes().first() {
        Some(b'n') => Value::Null,
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'"') => string(text).map_or(Value::Null, Value::Text),
        Some(b'{' | b'[') => Value::text(text),
        _ => text
            .parse()
            .map_or_else(|_error| Value::text(text), Value::Number),
    }
}

fn bad(text: &str, expected: &str) -> BadField {
    /// What is shown of a value that is wrong, in characters: enough to know it by.
    const SHOWN: usize = 40;
    let mut found: String = text.chars().take(SHOWN).collect();
    if found.len() < text.len() {
        found += "...";
    }
    BadField {
        expected: expected.to_owned(),
        found,
    }
}
