//! Arbitrary text as an expression: what is accepted has one spelling, and the same value whichever is read.

#![no_main]

use allod_views::{EXPR_BYTES_MAX, EXPR_RESULT_BYTES_MAX, Expr, FieldPath, Float, Value};
use libfuzzer_sys::fuzz_target;

/// A value of each kind, by the size of its name.
fn record(path: &FieldPath) -> Value {
    match path.to_string().len() % 8 {
        0 => Value::Null,
        1 => Value::Number((-125).into()),
        2 => Value::Float(Float::new(0.1).unwrap()),
        3 => Value::Timestamp(1_700_000_000_000_000),
        4 => Value::text("A\u{e4}%_ 1"),
        5 => Value::Bytes(vec![0, 255]),
        6 => Value::Float(Float::new(f64::INFINITY).unwrap()),
        _ => Value::Boolean(true),
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let expr = match text.parse::<Expr>() {
        Ok(expr) => expr,
        Err(error) => {
            assert!(text.is_char_boundary(error.at), "{error}");
            assert!(text[error.at..].starts_with(&error.near), "{error}");
            return;
        }
    };
    let written = expr.to_string();
    assert!(text.len() <= EXPR_BYTES_MAX && written.len() <= EXPR_BYTES_MAX);
    let again: Expr = written.parse().unwrap();
    assert_eq!(again, expr, "VIEW-11: {written}");
    let value = expr.eval(&record);
    assert_eq!(value, again.eval(&record), "{written}");
    match value {
        Ok(Value::Text(text)) => assert!(text.len() <= EXPR_RESULT_BYTES_MAX, "VIEW-18"),
        Ok(Value::Boolean(truth)) => assert_eq!(expr.holds(&record), Ok(Some(truth))),
        Ok(Value::Null) => assert_eq!(expr.holds(&record), Ok(None)),
        _ => assert!(expr.holds(&record).is_err(), "VIEW-19"),
    }
});
