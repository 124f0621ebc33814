//! Making a value one of another kind (VIEW-16).

use super::error::EvalError;
use super::eval::kinds;
use crate::number::{BadNumber, Number};
use crate::timestamp;
use crate::value::Value;

const CAST: &str = "CAST";

/// What a value can be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Type {
    Integer,
    Number,
    Float,
    Text,
}

impl Type {
    pub(super) const ALL: [Self; 4] = [Self::Integer, Self::Number, Self::Float, Self::Text];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Float => "float",
            Self::Text => "text",
        }
    }

    /// Makes a value one of this type. Null stays null.
    pub(super) fn cast(self, value: Value) -> Result<Value, EvalError> {
        match (self, &value) {
            (_, Value::Null) | (Self::Float, Value::Float(_)) => Ok(value),
            (Self::Integer, _) => Ok(Value::Number(number(&value)?.truncated())),
            (Self::Number, _) => Ok(Value::Number(number(&value)?)),
            (Self::Float, _) => Ok(Value::Float(number(&value)?.to_float())),
            (Self::Text, Value::Float(float)) => {
                let number = Number::from_float_short(*float).map_err(|_error| too_large())?;
                Ok(Value::Text(number.to_string()))
            }
            (Self::Text, _) => match spelling(&value) {
                Some(text) => Ok(Value::Text(text)),
                None => Err(kinds(CAST, &[value])),
            },
        }
    }
}

fn number(value: &Value) -> Result<Number, EvalError> {
    match value {
        Value::Boolean(boolean) => Ok(Number::from(i64::from(*boolean))),
        Value::Number(number) => Ok(*number),
        Value::Float(float) => Number::from_float(*float).map_err(|_error| too_large()),
        Value::Timestamp(micros) => Ok(Number::from(*micros)),
        Value::Text(text) => text.parse().map_err(|error| match error {
            BadNumber::Syntax => EvalError::NotANumber,
            BadNumber::Range => too_large(),
        }),
        Value::Null | Value::Bytes(_) => Err(kinds(CAST, std::slice::from_ref(value))),
    }
}

const fn too_large() -> EvalError {
    EvalError::Range { operation: CAST }
}

/// The one spelling of a value that has one (VIEW-15).
pub(super) fn spelling(value: &Value) -> Option<String> {
    match value {
        Value::Boolean(boolean) => Some(boolean.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Timestamp(micros) => Some(timestamp::spell(*micros)),
        Value::Text(text) => Some(text.clone()),
        Value::Null | Value::Float(_) | Value::Bytes(_) => None,
    }
}
