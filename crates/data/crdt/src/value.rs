//! What a state shows.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use multibase::Base;

/// What a state shows. `Display` writes it as JSON, always in the same way.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "complete by the page")]
pub enum Value {
    /// A counter, or how often an element is in a set. Exact, also beyond 64 bits.
    Integer(i128),
    /// An item: a text in JSON, or `{"base64": "..."}` if it is no UTF-8.
    Bytes(Vec<u8>),
    /// Several values: of a register, the elements of a set, a list.
    List(Vec<Self>),
    /// Fields and their values.
    Map(BTreeMap<String, Self>),
}

impl Value {
    /// A list of items.
    pub(crate) fn items<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let items = items.into_iter().map(|item| Self::Bytes(item.to_vec()));
        Self::List(items.collect())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => quoted(f, text),
                Err(_) => write!(f, r#"{{"base64":"{}"}}"#, Base::Base64Pad.encode(bytes)),
            },
            Self::List(values) => {
                f.write_char('[')?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    value.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Map(fields) => {
                f.write_char('{')?;
                for (index, (field, value)) in fields.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    quoted(f, field)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

/// A text of JSON, with as few escapes as there can be.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(f, "\\{character}")?,
            '\u{8}' => f.write_str("\\b")?,
            '\t' => f.write_str("\\t")?,
            '\n' => f.write_str("\\n")?,
            '\u{c}' => f.write_str("\\f")?,
            '\r' => f.write_str("\\r")?,
            '\0'..'\u{20}' => write!(f, "\\u{:04x}", u32::from(character))?,
            _ => f.write_char(character)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_any_reader_of_json_has_them() {
        let text: String = (0..0x180).filter_map(char::from_u32).collect();
        let shown = Value::Bytes(text.clone().into_bytes()).to_string();
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        assert_eq!(shown, serde_json::to_string(&text).unwrap());
        assert_eq!(Value::Bytes(vec![0xff]).to_string(), r#"{"base64":"/w=="}"#);
        let digits = Value::Integer(i128::from(u64::MAX) * 3).to_string();
        assert_eq!(digits, "55340232221128654845");
    }
}
