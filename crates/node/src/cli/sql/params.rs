//! Values of parameters, as they are typed.

use allod_sql::Scalar;

/// Null, a number as JSON has it, or else a text. In single quotes it is a text whatever it looks like.
pub(crate) fn value(text: &str) -> Scalar {
    if text == "null" {
        return Scalar::Null;
    }
    let quoted = text
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''));
    if let Some(inner) = quoted {
        return Scalar::Text(inner.replace("''", "'"));
    }
    // A code like 0123 is no number in JSON, and so keeps its zero.
    match serde_json::from_str::<serde_json::Number>(text) {
        Ok(number) if !text.contains(char::is_whitespace) => {
            match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Scalar::Integer(whole),
                (None, Some(real)) => Scalar::Real(real),
                (None, None) => Scalar::Text(text.to_owned()),
            }
        }
        _ => Scalar::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_it_looks_like() {
        for (text, expected) in [
            ("null", Scalar::Null),
            ("NULL", Scalar::from("NULL")),
            ("12", Scalar::Integer(12)),
            ("-9223372036854775808", Scalar::Integer(i64::MIN)),
            (
                "9223372036854775808",
                Scalar::Real(9_223_372_036_854_775_808.0),
            ),
            ("1.5", Scalar::Real(1.5)),
            ("1e3", Scalar::Real(1000.0)),
            ("0123", Scalar::from("0123")),
            (" 1", Scalar::from(" 1")),
            ("nan", Scalar::from("nan")),
            ("", Scalar::from("")),
            ("'12'", Scalar::from("12")),
            ("'it''s'", Scalar::from("it's")),
            ("'", Scalar::from("'")),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }
}
