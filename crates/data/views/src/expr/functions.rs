//! The functions that an expression can call (VIEW-17).

use std::collections::BTreeSet;

use super::EXPR_RESULT_BYTES_MAX;
use super::error::EvalError;
use super::eval::{compare, kinds};
use crate::number::Number;
use crate::timestamp::{Date, Time};
use crate::value::{Float, Value};

/// A function, and how many arguments it takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) what: What,
}

/// What a function does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    Abs,
    Date,
    Day,
    /// `coalesce` and `ifnull`: it computes no more arguments than it needs.
    FirstOf,
    Hour,
    Instr,
    Length,
    Lower,
    LeftTrim,
    Max,
    Min,
    Minute,
    Month,
    NullIf,
    Replace,
    RightTrim,
    Round,
    Second,
    Substr,
    Trim,
    TypeOf,
    Upper,
    Year,
}

/// By their names.
static FUNCTIONS: [Function; 24] = [
    function("abs", 1, 1, What::Abs),
    function("coalesce", 2, usize::MAX, What::FirstOf),
    function("date", 1, 1, What::Date),
    function("day", 1, 1, What::Day),
    function("hour", 1, 1, What::Hour),
    function("ifnull", 2, 2, What::FirstOf),
    function("instr", 2, 2, What::Instr),
    function("length", 1, 1, What::Length),
    function("lower", 1, 1, What::Lower),
    function("ltrim", 1, 2, What::LeftTrim),
    function("max", 2, usize::MAX, What::Max),
    function("min", 2, usize::MAX, What::Min),
    function("minute", 1, 1, What::Minute),
    function("month", 1, 1, What::Month),
    function("nullif", 2, 2, What::NullIf),
    function("replace", 3, 3, What::Replace),
    function("round", 1, 2, What::Round),
    function("rtrim", 1, 2, What::RightTrim),
    function("second", 1, 1, What::Second),
    function("substr", 2, 3, What::Substr),
    function("trim", 1, 2, What::Trim),
    function("typeof", 1, 1, What::TypeOf),
    function("upper", 1, 1, What::Upper),
    function("year", 1, 1, What::Year),
];

const fn function(name: &'static str, least: usize, most: usize, what: What) -> Function {
    Function {
        name,
        least,
        most,
        what,
    }
}

impl Function {
    /// The function of a name, in any case.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FUNCTIONS
            .iter()
            .find(|function| function.name.eq_ignore_ascii_case(name))
    }

    /// The name that can be had from another one with the fewest changes, if they are few.
    pub(super) fn nearest(name: &str) -> Option<&'static str> {
        let name = name.to_ascii_lowercase();
        let distances = FUNCTIONS
            .iter()
            .map(|function| (changes(&name, function.name), function.name));
        let (distance, nearest) = distances.min()?;
        (distance <= nearest.len().div_ceil(3)).then_some(nearest)
    }

    /// Its value. If an argument is null it is null, except of those that are about null.
    pub(super) fn call(&self, arguments: &[Value]) -> Result<Value, EvalError> {
        match (self.what, arguments) {
            (What::TypeOf, [value]) => return Ok(Value::text(value.kind().name())),
            (What::NullIf, [value, other]) => {
                // Null is equal to nothing, and stays null.
                let is_equal = *other != Value::Null && compare(value, other).is_eq();
                let value = if is_equal { &Value::Null } else { value };
                return Ok(value.clone());
            }
            _ if arguments.contains(&Value::Null) => return Ok(Value::Null),
            _ => {}
        }
        Ok(match (self.what, arguments) {
            (What::Length, [Value::Text(text)]) => count(text.chars().count()),
            (What::Length, [Value::Bytes(bytes)]) => count(bytes.len()),
            (What::Lower, [Value::Text(text)]) => Value::Text(text.to_ascii_lowercase()),
            (What::Upper, [Value::Text(text)]) => Value::Text(text.to_ascii_uppercase()),
            (What::Trim, [Value::Text(text)]) => Value::text(text.trim_matches(' ')),
            (What::LeftTrim, [Value::Text(text)]) => Value::text(text.trim_start_matches(' ')),
            (What::RightTrim, [Value::Text(text)]) => Value::text(text.trim_end_matches(' ')),
            (
                What::Trim | What::LeftTrim | What::RightTrim,
                [Value::Text(text), Value::Text(of)],
            ) => Value::text(self.trimmed(text, of)),
            (What::Instr, [Value::Text(text), Value::Text(part)]) => {
                let before = text.split_once(part.as_str()).map(|(before, _)| before);
                count(before.map_or(0, |before| before.chars().count() + 1))
            }
            (What::Replace, [Value::Text(text), Value::Text(from), Value::Text(to)]) => {
                Value::Text(self.replaced(text, from, to)?)
            }
            (What::Substr, [Value::Text(text), Value::Number(start)]) => {
                let start = self.whole(*start)?;
                Value::Text(part(text, start, i64::MAX))
            }
            (What::Substr, [Value::Text(text), Value::Number(start), Value::Number(size)]) => {
                let (start, size) = (self.whole(*start)?, self.whole(*size)?);
                Value::Text(part(text, start, size))
            }
            (What::Abs, [Value::Number(number)]) => Value::Number(number.abs()),
            (What::Abs, [Value::Float(float)]) => self::float(float.get().abs()),
            (What::Round, [Value::Number(number)]) => Value::Number(number.rounded(0)),
            (What::Round, [Value::Float(float)]) => self::float(float.get().round()),
            (What::Round, [Value::Number(number), Value::Number(places)]) => {
                let places = self.whole(*places)?.max(0);
                Value::Number(number.rounded(u32::try_from(places).unwrap_or(u32::MAX)))
            }
            (_, [Value::Timestamp(micros)]) => match self.of_time(*micros) {
                Some(value) => value,
                None => return Err(kinds(self.name, arguments)),
            },
            _ => return Err(kinds(self.name, arguments)),
        })
    }

    /// A part of a date or a time, if that is what it gives.
    fn of_time(&self, timestamp: i64) -> Option<Value> {
        let (date, time) = (Date::of(timestamp), Time::of(timestamp));
        let part = match self.what {
            What::Year => date.year,
            What::Month => date.month,
            What::Day => date.day,
            What::Hour => time.hour,
            What::Minute => time.minute,
            What::Second => time.second,
            What::Date => return Some(Value::Text(date.to_string())),
            _ => return None,
        };
        Some(Value::Number(part.into()))
    }

    fn trimmed<'a>(&self, text: &'a str, of: &str) -> &'a str {
        let of: BTreeSet<char> = of.chars().collect();
        let is_of = |c: char| of.contains(&c);
        match self.what {
            What::LeftTrim => text.trim_start_matches(is_of),
            What::RightTrim => text.trim_end_matches(is_of),
            _ => text.trim_matches(is_of),
        }
    }

    fn replaced(&self, text: &str, from: &str, to: &str) -> Result<String, EvalError> {
        if from.is_empty() {
            return Ok(text.to_owned());
        }
        let found = text.matches(from).count();
        let bytes = (to.len().checked_mul(found))
            .and_then(|added| added.checked_add(text.len() - from.len() * found));
        if bytes.is_none_or(|bytes| bytes > EXPR_RESULT_BYTES_MAX) {
            let operation = self.name;
            return Err(EvalError::TooLong { operation });
        }
        Ok(text.replace(from, to))
    }

    /// A whole number of 64 bits.
    fn whole(&self, number: Number) -> Result<i64, EvalError> {
        let operation = self.name;
        if !number.is_whole() {
            return Err(EvalError::NotWhole { operation });
        }
        10_i128
            .checked_pow(number.power().unsigned_abs())
            .and_then(|scale| number.coefficient().checked_mul(scale))
            .and_then(|whole| i64::try_from(whole).ok())
            .ok_or(EvalError::Range { operation })
    }
}

/// The part of a text that begins with a position, where the first is 1 and the last is -1, and has so many characters,
/// which are those before it if the size is negative.
fn part(text: &str, start: i64, size: i64) -> String {
    let (start, size) = (i128::from(start), i128::from(size));
    let first = match start {
        ..0 => start + text.chars().count() as i128,
        _ => start - 1,
    };
    let (from, to) = match size {
        ..0 => (first + size, first),
        _ => (first, first + size),
    };
    let at = |position: i128| usize::try_from(position.max(0)).unwrap_or(usize::MAX);
    let (from, to) = (at(from), at(to));
    text.chars().skip(from).take(to - from).collect()
}

fn count(count: usize) -> Value {
    Value::Number(i64::try_from(count).unwrap_or(i64::MAX).into())
}

/// A float, or null if it is NaN (VIEW-14).
pub(super) fn float(float: f64) -> Value {
    Float::new(float).map_or(Value::Null, Value::Float)
}

/// How many letters have to be added, left out or changed to make one name the other.
fn changes(one: &str, two: &str) -> usize {
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (nth, left) in one.bytes().enumerate() {
        let mut before = nth + 1;
        let mut next = vec![before];
        for (right, pair) in two.bytes().zip(row.windows(2)) {
            let [diagonal, above] = *pair else { break };
            before = (diagonal + usize::from(left != right))
                .min(above + 1)
                .min(before + 1);
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
