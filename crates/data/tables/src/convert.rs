//! Values of records as values of SQL, and what is asked for as values of an index (TAB-3, TAB-5).

use std::borrow::Cow;

use allod_sql::{Op, Scalar, ScalarRef};
use allod_views::{Datum, FieldKind, Float, Number, Value, format_timestamp, parse_timestamp};

/// A value as SQL has it.
pub(crate) fn scalar(value: &Value) -> Scalar {
    match value {
        Value::Null => Scalar::Null,
        Value::Boolean(bool) => Scalar::Integer(i64::from(*bool)),
        Value::Number(number) => number_scalar(*number),
        Value::Float(float) => Scalar::Real(float.get()),
        Value::Timestamp(micros) => Scalar::Text(moment(*micros)),
        Value::Text(text) => Scalar::Text(text.clone()),
        Value::Bytes(bytes) => Scalar::Blob(bytes.clone()),
    }
}

/// A field as SQL has it: a list is its JSON.
pub(crate) fn datum_scalar(datum: &Datum) -> Scalar {
    match datum {
        Datum::One(value) => scalar(value),
        Datum::Many(_, text) => Scalar::Text(text.clone()),
    }
}

/// A whole number if 64 bits have it, else the nearest binary64.
fn number_scalar(number: Number) -> Scalar {
    let whole = number.is_whole().then(|| number.to_string().parse().ok());
    match whole.flatten() {
        Some(whole) => Scalar::Integer(whole),
        None => Scalar::Real(number.to_float().get()),
    }
}

/// Digits of a fraction: always as many, so that texts sort as moments do.
const FRACTION_DIGITS: usize = 6;

/// A moment as a text that sorts as moments do, and that the engine's functions read.
pub(crate) fn moment(micros: i64) -> String {
    let text = format_timestamp(micros);
    let (clock, fraction) = match text.trim_end_matches('Z').split_once('.') {
        Some((clock, fraction)) => (clock.to_owned(), fraction.to_owned()),
        None => (text.trim_end_matches('Z').to_owned(), String::new()),
    };
    format!("{clock}.{fraction:0<FRACTION_DIGITS$}Z")
}

/// Bounds of what an index has for a constraint: all that the engine may find, and perhaps more.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// Exactly this value.
    Equal(Value),
    /// From one to the other, both with it; nothing is open.
    Between(Option<Value>, Option<Value>),
}

/// What an index of a field is asked for. `None` if any value may be meant.
pub(crate) fn wanted(kind: &FieldKind, op: Op, value: ScalarRef<'_>) -> Option<Wanted> {
    if matches!(op, Op::IsNull) || (op == Op::Is && value.is_null()) {
        return Some(Wanted::Equal(Value::Null));
    }
    let (low, high) = match (kind, value) {
        (FieldKind::String | FieldKind::Ref(_), ScalarRef::Text(text)) => {
            let value = Value::text(text);
            if matches!(op, Op::Eq | Op::Is) {
                return Some(Wanted::Equal(value));
            }
            (Some(value.clone()), Some(value))
        }
        (FieldKind::Bytes, ScalarRef::Blob(bytes)) => {
            let value = Value::Bytes(bytes.to_vec());
            if matches!(op, Op::Eq | Op::Is) {
                return Some(Wanted::Equal(value));
            }
            (Some(value.clone()), Some(value))
        }
        (FieldKind::Integer, ScalarRef::Integer(whole)) => {
            let value = Value::Number(whole.into());
            if matches!(op, Op::Eq | Op::Is) {
                return Some(Wanted::Equal(value));
            }
            (Some(value.clone()), Some(value))
        }
        (FieldKind::Number, ScalarRef::Integer(whole)) => {
            around(whole as f64, |float| exactly(float).map(Value::Number))
        }
        (FieldKind::Number | FieldKind::Integer, ScalarRef::Real(real)) => {
            around(real, |float| exactly(float).map(Value::Number))
        }
        (FieldKind::Float, ScalarRef::Integer(whole)) => around(whole as f64, |float| {
            Float::new(float).ok().map(Value::Float)
        }),
        (FieldKind::Float, ScalarRef::Real(real)) => {
            around(real, |float| Float::new(float).ok().map(Value::Float))
        }
        (FieldKind::Boolean, ScalarRef::Integer(whole @ (0 | 1))) => {
            let value = Value::Boolean(whole == 1);
            (Some(value.clone()), Some(value))
        }
        (FieldKind::Timestamp, ScalarRef::Text(text)) => moments(text),
        _ => return None,
    };
    Some(match op {
        Op::Eq | Op::Is => Wanted::Between(low, high),
        Op::Lt | Op::Le => Wanted::Between(None, high),
        Op::Gt | Op::Ge => Wanted::Between(low, None),
        _ => return None,
    })
}

/// What is next to a float on both sides: what rounds to the float lies between.
fn around(float: f64, value: impl Fn(f64) -> Option<Value>) -> (Option<Value>, Option<Value>) {
    (value(float.next_down()), value(float.next_up()))
}

/// A float as a number, if that can be kept; a little off is no harm next to one that is asked for.
fn exactly(float: f64) -> Option<Number> {
    let finite = float.is_finite().then(|| Float::new(float).ok())??;
    Number::from_float(finite).ok()
}

/// The moments whose texts compare with a text in one way or the other, a day more on both sides.
fn moments(text: &str) -> (Option<Value>, Option<Value>) {
    /// What a text that ends early is filled up with.
    const EARLIEST: &str = "0001-01-01T00:00:00Z";
    const DAY: i64 = 86_400_000_000;
    let seconds: Cow<'_, str> = match text.get(..19) {
        Some(seconds) => format!("{seconds}Z").into(),
        None => match EARLIEST.get(text.len()..) {
            Some(rest) => format!("{text}{rest}").into(),
            None => text.into(),
        },
    };
    match parse_timestamp(&seconds) {
        Some(micros) => (
            Some(Value::Timestamp(micros.saturating_sub(DAY))),
            Some(Value::Timestamp(micros.saturating_add(DAY))),
        ),
        None => (None, None),
    }
}
