//! Values, and the order of all of them (VIEW-4, VIEW-5).

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::number::Number;

/// What a field has. In order, whatever the kinds: null, booleans, numbers, floats, timestamps, texts, bytes.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// False, which is before true.
    Boolean(bool),
    /// An exact number.
    Number(Number),
    /// A binary64.
    Float(Float),
    /// Microseconds since 1970-01-01T00:00:00Z, without leap seconds.
    Timestamp(i64),
    /// A text, in the order of code points.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Which kind of value it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Boolean(_) => Kind::Boolean,
            Self::Number(_) => Kind::Number,
            Self::Float(_) => Kind::Float,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
        }
    }
}

/// The kinds of values.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Nothing.
    Null,
    /// True or false.
    Boolean,
    /// An exact number.
    Number,
    /// A binary64.
    Float,
    /// A point in time.
    Timestamp,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
}

impl Kind {
    /// Its name, which is what `typeof` gives (VIEW-17).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Float => "float",
            Self::Timestamp => "timestamp",
            Self::Text => "text",
            Self::Bytes => "bytes",
        }
    }
}

/// A binary64 that has a place in the order: no NaN, and -0 is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Float(f64);

/// NaN is no value. Blame: whoever made it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("NaN is no value")]
pub struct NotANumber;

impl NotANumber {
    /// The registered code (`specs/registry.md`).
    pub const CODE: &'static str = "E_VALUE";
}

impl Float {
    /// Takes a float; fails if it is NaN (VIEW-4).
    pub fn new(float: f64) -> Result<Self, NotANumber> {
        if float.is_nan() {
            return Err(NotANumber);
        }
        // -0 and 0 give 0.
        Ok(Self(float + 0.0))
    }

    /// The float.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Float {}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}
