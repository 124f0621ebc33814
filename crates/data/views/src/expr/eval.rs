//! Computing an expression (VIEW-12 to VIEW-17).

use std::cmp::Ordering;

use super::cast::spelling;
use super::error::EvalError;
use super::functions::{What, float};
use super::like::Pattern;
use super::node::{Fields, Level, Node, Operator};
use super::{EXPR_PATTERN_BYTES_MAX, EXPR_RESULT_BYTES_MAX};
use crate::number::{BadNumber, Number};
use crate::value::Value;

/// The value of an expression. What is computed, and in which order, decides which error there is, so it is from left
/// to right, and nothing behind what decides (VIEW-12).
pub(super) fn eval(node: &Node, record: &dyn Fields) -> Result<Value, EvalError> {
    match node {
        Node::Literal(value) => Ok(value.clone()),
        Node::Field(path) => Ok(record.field(path)),
        Node::Not(part) => {
            let truth = truth("NOT", eval(part, record)?)?;
            Ok(known(truth.map(|truth| !truth)))
        }
        Node::Minus(part) => negative(eval(part, record)?),
        Node::And(parts) => {
            decide(false, parts, |part| truth("AND", eval(part, record)?)).map(known)
        }
        Node::Or(parts) => decide(true, parts, |part| truth("OR", eval(part, record)?)).map(known),
        Node::Binary(operator, parts) => {
            let [left, right] = &**parts;
            binary(*operator, eval(left, record)?, eval(right, record)?)
        }
        Node::Between(parts) => {
            let [of, low, high] = &**parts;
            let of = eval(of, record)?;
            let bounds = [(Operator::AtLeast, low), (Operator::AtMost, high)];
            let within = |(operator, bound): &(Operator, &Node)| {
                Ok(compared(*operator, &of, &eval(bound, record)?))
            };
            decide(false, &bounds, within).map(known)
        }
        Node::In(of, list) => {
            let of = eval(of, record)?;
            let is_it = |one: &Node| Ok(compared(Operator::Equal, &of, &eval(one, record)?));
            decide(true, list, is_it).map(known)
        }
        Node::Like(parts, escape) => {
            let [text, pattern] = &**parts;
            like(eval(text, record)?, eval(pattern, record)?, *escape)
        }
        Node::Case {
            of,
            branches,
            otherwise,
        } => {
            let of = of.as_deref().map(|of| eval(of, record)).transpose()?;
            for [when, then] in branches {
                let when = eval(when, record)?;
                let is_it = match &of {
                    Some(of) => compared(Operator::Equal, of, &when),
                    None => truth("CASE", when)?,
                };
                if is_it == Some(true) {
                    return eval(then, record);
                }
            }
            let otherwise = otherwise.as_deref();
            otherwise.map_or(Ok(Value::Null), |otherwise| eval(otherwise, record))
        }
        Node::Cast(part, to) => to.cast(eval(part, record)?),
        Node::Call(function, arguments) => match function.what {
            What::FirstOf => {
                for argument in arguments {
                    let value = eval(argument, record)?;
                    if value != Value::Null {
                        return Ok(value);
                    }
                }
                Ok(Value::Null)
            }
            What::Max => extreme(Ordering::Greater, arguments, record),
            What::Min => extreme(Ordering::Less, arguments, record),
            _ => {
                let values = arguments.iter().map(|argument| eval(argument, record));
                function.call(&values.collect::<Result<Vec<_>, _>>()?)
            }
        },
    }
}

/// Whether a value is true; None if it is null.
pub(super) fn truth(operation: &'static str, value: Value) -> Result<Option<bool>, EvalError> {
    match value {
        Value::Null => Ok(None),
        Value::Boolean(truth) => Ok(Some(truth)),
        other => Err(kinds(operation, &[other])),
    }
}

fn known(truth: Option<bool>) -> Value {
    truth.map_or(Value::Null, Value::Boolean)
}

/// AND and OR of many: the first part that decides does; otherwise it is not known if any part is not.
fn decide<T>(
    decides: bool,
    parts: &[T],
    truth: impl Fn(&T) -> Result<Option<bool>, EvalError>,
) -> Result<Option<bool>, EvalError> {
    let mut so_far = Some(!decides);
    for part in parts {
        match truth(part)? {
            Some(truth) if truth == decides => return Ok(Some(decides)),
            Some(_) => {}
            None => so_far = None,
        }
    }
    Ok(so_far)
}

/// The order of two values: of their kinds, but of numbers and floats what they are (VIEW-13).
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(number), Value::Float(float)) => number.cmp_float(*float),
        (Value::Float(float), Value::Number(number)) => number.cmp_float(*float).reverse(),
        _ => left.cmp(right),
    }
}

/// A comparison; None if it is not known.
fn compared(operator: Operator, left: &Value, right: &Value) -> Option<bool> {
    let is_null = *left == Value::Null || *right == Value::Null;
    if is_null && operator != Operator::Is {
        return None;
    }
    // Null comes before everything, so that it is nothing but null.
    let order = compare(left, right);
    Some(match operator {
        Operator::Unequal => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::AtMost => order.is_le(),
        Operator::More => order.is_gt(),
        Operator::AtLeast => order.is_ge(),
        _ => order.is_eq(),
    })
}

/// The first of the arguments that are greatest, or least; null if one is.
fn extreme(wanted: Ordering, arguments: &[Node], record: &dyn Fields) -> Result<Value, EvalError> {
    // One after the other, as all of them together may be large.
    let mut best: Option<Value> = None;
    let mut is_null = false;
    for argument in arguments {
        let value = eval(argument, record)?;
        is_null |= value == Value::Null;
        if best
            .as_ref()
            .is_none_or(|best| compare(&value, best) == wanted)
        {
            best = Some(value);
        }
    }
    Ok(best.filter(|_best| !is_null).unwrap_or_default())
}

fn negative(value: Value) -> Result<Value, EvalError> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::Number(number) => Ok(Value::Number(-number)),
        Value::Float(float) => Ok(self::float(-float.get())),
        other => Err(kinds("-", &[other])),
    }
}

fn binary(operator: Operator, left: Value, right: Value) -> Result<Value, EvalError> {
    let is_null = left == Value::Null || right == Value::Null;
    match operator.level() {
        Level::Equality | Level::Comparison => Ok(known(compared(operator, &left, &right))),
        _ if is_null => Ok(Value::Null),
        Level::Concat => concat(&left, &right),
        _ => arithmetic(operator, &left, &right),
    }
}

/// VIEW-14.
fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Result<Value, EvalError> {
    let (one, two) = match (left, right) {
        (Value::Number(one), Value::Number(two)) => return exact(operator, *one, *two),
        (Value::Float(one), Value::Float(two)) => (*one, *two),
        (Value::Float(one), Value::Number(two)) => (*one, two.to_float()),
        (Value::Number(one), Value::Float(two)) => (one.to_float(), *two),
        _ => return Err(mismatch(operator, left, right)),
    };
    let (one, two) = (one.get(), two.get());
    Ok(match operator {
        Operator::Plus => float(one + two),
        Operator::Minus => float(one - two),
        Operator::Times => float(one * two),
        Operator::Over if two == 0.0 => Value::Null,
        Operator::Over => float(one / two),
        _ => return Err(mismatch(operator, left, right)),
    })
}

fn exact(operator: Operator, one: Number, two: Number) -> Result<Value, EvalError> {
    let operation = operator.spelling();
    let result = match operator {
        Operator::Plus => one.plus(two).map(Some),
        Operator::Minus => one.minus(two).map(Some),
        Operator::Times => one.times(two).map(Some),
        Operator::Over => one.divided_by(two),
        _ if one.is_whole() && two.is_whole() => Ok(one.remainder(two)),
        _ => return Err(EvalError::NotWhole { operation }),
    };
    match result {
        Ok(number) => Ok(number.map_or(Value::Null, Value::Number)),
        Err(BadNumber::Range | BadNumber::Syntax) => Err(EvalError::Range { operation }),
    }
}

/// VIEW-15.
fn concat(left: &Value, right: &Value) -> Result<Value, EvalError> {
    let operator = Operator::Concat;
    let (Some(one), Some(two)) = (spelling(left), spelling(right)) else {
        return Err(mismatch(operator, left, right));
    };
    if one.len().saturating_add(two.len()) > EXPR_RESULT_BYTES_MAX {
        let operation = operator.spelling();
        return Err(EvalError::TooLong { operation });
    }
    Ok(Value::Text(one + &two))
}

/// VIEW-15.
fn like(text: Value, pattern: Value, escape: Option<char>) -> Result<Value, EvalError> {
    match (text, pattern) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::Text(_), Value::Text(pattern)) if pattern.len() > EXPR_PATTERN_BYTES_MAX => {
            Err(EvalError::TooLong { operation: "LIKE" })
        }
        (Value::Text(text), Value::Text(pattern)) => {
            let pattern = Pattern::new(&pattern, escape);
            let is_like = pattern.is_some_and(|pattern| pattern.matches(&text));
            Ok(Value::Boolean(is_like))
        }
        (text, pattern) => Err(kinds("LIKE", &[text, pattern])),
    }
}

fn mismatch(operator: Operator, left: &Value, right: &Value) -> EvalError {
    EvalError::Kind {
        operation: operator.spelling(),
        kinds: vec![left.kind(), right.kind()],
    }
}

/// An operation does not take values of these kinds.
pub(super) fn kinds(operation: &'static str, values: &[Value]) -> EvalError {
    EvalError::Kind {
        operation,
        kinds: values.iter().map(Value::kind).collect(),
    }
}
