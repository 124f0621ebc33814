//! Primitive schemas: what a value may be (DELTA-46).

use crate::pointer::Target;

/// The first and the last year of `Integer.Year`.
const YEARS: std::ops::RangeInclusive<i64> = 1800..=2100;

/// The longest address of `String.EmailAddress`, in bytes (RFC 5321, 4.5.3.1.3, without the brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// What a value may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Primitive {
    /// `String`: any text.
    String,
    /// `String.EmailAddress`: a text with one `@`, something before it and a domain behind it.
    EmailAddress,
    /// `Integer`: a number without a fraction whose neighbours are numbers too.
    Integer,
    /// `Integer.Year`: 1800 to 2100.
    Year,
    /// `Boolean`: true or false.
    Boolean,
}

/// All of them, with their names.
const PRIMITIVES: [(&str, Primitive); 5] = [
    ("String", Primitive::String),
    ("String.EmailAddress", Primitive::EmailAddress),
    ("Integer", Primitive::Integer),
    ("Integer.Year", Primitive::Year),
    ("Boolean", Primitive::Boolean),
];

impl Primitive {
    /// The primitive of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = PRIMITIVES.into_iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, primitive)| primitive)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = PRIMITIVES.into_iter();
        all.find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }

    /// Whether a value is one.
    #[must_use]
    pub fn accepts(self, target: &Target) -> bool {
        match (self, target) {
            (Self::String, Target::Text(_)) | (Self::Boolean, Target::Bool(_)) => true,
            (Self::EmailAddress, Target::Text(text)) => is_email(text),
            (Self::Integer, Target::Number(number)) => number.integer().is_some(),
            (Self::Year, Target::Number(number)) => {
                number.integer().is_some_and(|year| YEARS.contains(&year))
            }
            _ => false,
        }
    }
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let is_plain = |part: &str| {
        let strange = |c: char| c == '@' || c.is_whitespace() || c.is_control();
        !part.is_empty() && !part.chars().any(strange)
    };
    let labels = domain.split('.').count();
    text.len() <= EMAIL_BYTES_MAX
        && is_plain(local)
        && labels > 1
        && domain.split('.').all(is_plain)
}
