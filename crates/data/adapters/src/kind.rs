//! What the values of a column are, and how they are read (TAB-21).

use std::fmt;
use std::str::FromStr;

use allod_sql::ColumnType;
use serde::{Deserialize, Serialize};

use crate::error::AdapterError;

/// What the values of a column are. Each is of this kind, or null.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `true` and `false`.
    Boolean,
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers: whole ones of 64 bits exactly, others as the nearest binary64.
    Number,
    /// Numbers as the nearest binary64.
    Real,
    /// Texts.
    Text,
    /// Any value of JSON, as its text.
    Json,
    /// Bytes. Only formats that have them.
    Bytes,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Boolean,
        Self::Integer,
        Self::Number,
        Self::Real,
        Self::Text,
        Self::Json,
        Self::Bytes,
    ];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Real => "real",
            Self::Text => "text",
            Self::Json => "json",
            Self::Bytes => "bytes",
        }
    }

    /// What the engine takes it for.
    #[must_use]
    pub const fn column_type(self) -> ColumnType {
        match self {
            Self::Boolean => ColumnType::Boolean,
            Self::Integer => ColumnType::Integer,
            Self::Number => ColumnType::Numeric,
            Self::Real => ColumnType::Real,
            Self::Text => ColumnType::Text,
            Self::Json => ColumnType::Json,
            Self::Bytes => ColumnType::Blob,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = AdapterError;

    fn from_str(text: &str) -> Result<Self, AdapterError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            AdapterError::Definition(format!("{text:?} is none of {}", all.join(", ")))
        })
    }
}

/// A value, whose text is elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    /// From here to there in the text of the row.
    Text(usize, usize),
}

/// The first whole number that binary64 does not tell from the next one.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A whole number as JSON spells one, if 64 bits have it. What has zeros or a plus in front is a text:
/// a number would not give it back.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = match digits.as_bytes() {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if is_plain { text.parse().ok() } else { None }
}

/// Whether a text is a number as JSON spells one, with a fraction, an exponent, both or neither.
pub(crate) fn is_number(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    is_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(|it| is_digits(it.strip_prefix(['+', '-']).unwrap_or(it)))
}

/// A number with a fraction or an exponent, as the nearest binary64 that is finite.
pub(crate) fn fraction(text: &str) -> Option<f64> {
    let is_whole = !text.contains(['.', 'e', 'E']) && text != "-0";
    if is_whole || !is_number(text) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A number: a whole one if it is one, however it is spelled.
pub(crate) fn number(text: &str) -> Option<Cell> {
    if let Some(whole) = integer(text) {
        return Some(Cell::Integer(whole));
    }
    let number = fraction(text)?;
    let is_whole = number.fract() == 0.0 && number.abs() < EXACT_MAX && number.is_sign_positive();
    Some(if is_whole {
        Cell::Integer(number as i64)
    } else {
        Cell::Real(number)
    })
}

/// A number as the nearest binary64 that is finite.
pub(crate) fn real(text: &str) -> Option<f64> {
    let number = is_number(text).then(|| text.parse().ok()).flatten();
    number.filter(|number: &f64| number.is_finite())
}

/// `true` or `false`, in any case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_number_would_not_give_back_is_none() {
        for text in [
            "007",
            "+1",
            "",
            "-",
            "1 ",
            "1_000",
            "-0",
            "9223372036854775808",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
        for text in [
            "1.", ".5", "01.5", "1e", "1e+", "NaN", "inf", "0x1", "1e999",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number("18446744073709551616"), None);
        assert_eq!(number("-0"), Some(Cell::Real(-0.0)));
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_spelled() {
        assert_eq!(number("5.0"), Some(Cell::Integer(5)));
        assert_eq!(number("1E2"), Some(Cell::Integer(100)));
        assert_eq!(number("9007199254740993.0"), Some(Cell::Real(EXACT_MAX)));
        assert_eq!(number("0.1"), Some(Cell::Real(0.1)));
        assert_eq!(real("9007199254740993"), Some(EXACT_MAX));
    }
}
