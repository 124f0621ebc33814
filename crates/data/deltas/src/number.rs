//! Numbers: IEEE doubles, as in JavaScript, with one text (DELTA-3, DELTA-4).

use std::cmp::Ordering;
use std::fmt;

use serde::de::IgnoredAny;
use serde::{Serialize, Serializer};

/// The first integer whose neighbour is no double: 2^53.
const EXACT_END: f64 = 9_007_199_254_740_992.0;

/// A finite double that is not minus zero.
#[derive(Clone, Copy, PartialEq)]
pub struct Number(f64);

/// Why a number is none. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// Not a number, or an infinite one.
    #[error("not a finite number")]
    NotFinite,
    /// An integer that no double is, and that is not the text of one (DELTA-4).
    #[error("an integer that a double cannot keep")]
    Inexact,
    /// Not the text of a number in JSON.
    #[error("not a number")]
    Syntax,
}

impl Number {
    /// The number of a double; minus zero becomes zero.
    pub const fn new(value: f64) -> Result<Self, NumberError> {
        if !value.is_finite() {
            return Err(NumberError::NotFinite);
        }
        // Minus zero equals zero, and has another text.
        Ok(Self(if value == 0.0 { 0.0 } else { value }))
    }

    /// The number of milliseconds, or of any other count, as the nearest double.
    #[must_use]
    pub const fn of(count: u64) -> Self {
        Self(count as f64)
    }

    /// Reads a number of JSON as the nearest double (DELTA-4).
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(NumberError::Syntax);
        }
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        let value: f64 = text.parse().map_err(|_error| NumberError::Syntax)?;
        if !is_json {
            return Err(NumberError::Syntax);
        }
        let number = Self::new(value)?;
        let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_integer
            && value.abs() >= EXACT_END
            && number.to_string() != text
            && format!("{value:.0}") != text
        {
            return Err(NumberError::Inexact);
        }
        Ok(number)
    }

    /// The double.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The integer that it is, if its neighbours are doubles too.
    pub(crate) fn integer(self) -> Option<i64> {
        (self.0.fract() == 0.0 && self.0.abs() < EXACT_END).then_some(self.0 as i64)
    }
}

impl fmt::Display for Number {
    /// The one text: that of ECMAScript, as RFC 8785 has it (DELTA-4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ryu_js::Buffer::new().format_finite(self.0))
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Eq for Number {}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Number {
    /// As DAG-CBOR has it: an integer below 2^53, or else a double (DELTA-6).
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.integer() {
            Some(integer) => serializer.serialize_i64(integer),
            None => serializer.serialize_f64(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_those_of_javascript() {
        for (written, text) in [
            ("0", "0"),
            ("-0", "0"),
            ("1.0", "1"),
            ("1e21", "1e+21"),
            ("1E+2", "100"),
            ("123456789012345680000", "123456789012345680000"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1152921504606847000", "1152921504606847000"),
            ("1152921504606846976", "1152921504606847000"),
            ("5e-324", "5e-324"),
        ] {
            assert_eq!(
                Number::parse(written).unwrap().to_string(),
                text,
                "{written}"
            );
        }
    }

    #[test]
    fn what_no_double_keeps_is_refused() {
        for text in [
            "9007199254740993",
            "-9007199254740993",
            "1152921504606846977",
        ] {
            assert_eq!(Number::parse(text), Err(NumberError::Inexact), "{text}");
        }
        assert_eq!(Number::parse("1e400"), Err(NumberError::NotFinite));
        for text in [
            "", "-", "inf", "NaN", "+1", ".5", "1.", "01", "1 ", " 1", "0x1", "1e",
        ] {
            assert_eq!(Number::parse(text), Err(NumberError::Syntax), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_text_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let number = Number::new(value).unwrap();
            prop_assert_eq!(Number::parse(&number.to_string()), Ok(number));
        }
    }
}
