//! Values of SQL: owned, and borrowed from a row.

use std::cmp::Ordering;

/// A value of SQL.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scalar {
    /// Nothing.
    #[default]
    Null,
    /// A whole number.
    Integer(i64),
    /// A binary64; NaN becomes null in the engine.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A value of SQL that borrows its text or bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScalarRef<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A binary64.
    Real(f64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl Scalar {
    /// The same value, borrowed.
    #[must_use]
    pub fn borrow(&self) -> ScalarRef<'_> {
        match self {
            Self::Null => ScalarRef::Null,
            Self::Integer(number) => ScalarRef::Integer(*number),
            Self::Real(number) => ScalarRef::Real(*number),
            Self::Text(text) => ScalarRef::Text(text),
            Self::Blob(bytes) => ScalarRef::Blob(bytes),
        }
    }
}

impl ScalarRef<'_> {
    /// The same value, owned.
    #[must_use]
    pub fn to_scalar(self) -> Scalar {
        match self {
            Self::Null => Scalar::Null,
            Self::Integer(number) => Scalar::Integer(number),
            Self::Real(number) => Scalar::Real(number),
            Self::Text(text) => Scalar::Text(text.to_owned()),
            Self::Blob(bytes) => Scalar::Blob(bytes.to_owned()),
        }
    }

    /// The order that the engine has them in: null, numbers of both kinds by what they are, texts by
    /// their bytes, bytes. Null equals null, and NaN is null.
    #[must_use]
    pub fn compare(self, other: ScalarRef<'_>) -> Ordering {
        let place = |value: ScalarRef<'_>| match value {
            ScalarRef::Null => 0,
            ScalarRef::Integer(_) | ScalarRef::Real(_) => 1,
            ScalarRef::Text(_) => 2,
            ScalarRef::Blob(_) => 3,
        };
        let (one, two) = (self.without_nan(), other.without_nan());
        match (one, two) {
            (ScalarRef::Integer(one), ScalarRef::Integer(two)) => one.cmp(&two),
            (ScalarRef::Real(one), ScalarRef::Real(two)) => (one + 0.0).total_cmp(&(two + 0.0)),
            (ScalarRef::Integer(one), ScalarRef::Real(two)) => whole_and_real(one, two),
            (ScalarRef::Real(one), ScalarRef::Integer(two)) => whole_and_real(two, one).reverse(),
            (ScalarRef::Text(one), ScalarRef::Text(two)) => one.cmp(two),
            (ScalarRef::Blob(one), ScalarRef::Blob(two)) => one.cmp(two),
            _ => place(one).cmp(&place(two)),
        }
    }

    /// The order of two values in a column by which rows are ordered.
    #[must_use]
    pub fn compare_by(self, other: ScalarRef<'_>, is_descending: bool) -> Ordering {
        let order = self.compare(other);
        if is_descending {
            order.reverse()
        } else {
            order
        }
    }

    fn without_nan(self) -> Self {
        match self {
            Self::Real(number) if number.is_nan() => Self::Null,
            value => value,
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// The bytes that it has beyond its own size.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            Self::Null | Self::Integer(_) | Self::Real(_) => 0,
        }
    }
}

/// Compares without rounding either.
fn whole_and_real(whole: i64, real: f64) -> Ordering {
    // 2 to the 63rd.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if real >= BEYOND {
        return Ordering::Less;
    }
    if real < -BEYOND {
        return Ordering::Greater;
    }
    let below = real.floor();
    // Within 64 bits, as was just seen.
    whole
        .cmp(&(below as i64))
        .then_with(|| below.total_cmp(&real))
}

impl From<i64> for Scalar {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Scalar {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Scalar {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Scalar {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}
