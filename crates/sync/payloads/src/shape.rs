//! What records have, whatever they are written as.

use bytes::Bytes;

/// Which fields records have, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordShape {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

impl RecordShape {
    /// A shape with a name, of parts with dots between them: the last one is that of the record, those before are its
    /// package. Every part, and the name of every field, is an identifier, and no field has the name of another.
    #[must_use]
    pub fn new(name: impl Into<String>, fields: Vec<Field>) -> Self {
        Self {
            name: name.into(),
            fields,
        }
    }

    /// Its name, with the package.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its fields.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The last part of its name.
    pub(crate) fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }

    /// What is before that.
    pub(crate) fn package(&self) -> &str {
        self.name
            .rsplit_once('.')
            .map_or("", |(package, _)| package)
    }
}

/// A field of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) is_list: bool,
    pub(crate) is_optional: bool,
}

impl Field {
    /// A field that every record has.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
            is_list: false,
            is_optional: false,
        }
    }

    /// The same, that a record may be without.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// The same, of which there are several.
    #[must_use]
    pub fn list(mut self) -> Self {
        self.is_list = true;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it, or each of its elements, is.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether there are several.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        self.is_list
    }

    /// Whether a record may be without it.
    #[must_use]
    pub const fn is_optional(&self) -> bool {
        self.is_optional
    }
}

/// What a field, or an element of a list, is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// True or false.
    Boolean,
    /// A whole number of 64 bits.
    Integer,
    /// A binary64.
    Float,
    /// Microseconds since 1970.
    Timestamp,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
    /// A record. Its name is that of the record that it is in, and one part more.
    Record(RecordShape),
}

/// What a record has.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever makes records names them all"
)]
pub enum Value {
    /// Nothing, of an optional field.
    None,
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Integer`] and [`Kind::Timestamp`].
    Integer(i64),
    /// Of [`Kind::Float`].
    Float(f64),
    /// Of [`Kind::Text`].
    Text(String),
    /// Of [`Kind::Bytes`].
    Bytes(Bytes),
    /// The fields of a record, in their order.
    Record(Vec<Self>),
    /// The elements of a list.
    List(Vec<Self>),
}
