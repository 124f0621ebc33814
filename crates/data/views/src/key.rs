//! Keys whose bytes sort as the values do (VIEW-6, VIEW-7).

use crate::number::{NUMBER_DIGITS_MAX, Number};
use crate::value::{Float, Value};

const NULL: u8 = 0x00;
const FALSE: u8 = 0x01;
const TRUE: u8 = 0x02;
const NEGATIVE: u8 = 0x08;
const ZERO: u8 = 0x09;
const POSITIVE: u8 = 0x0a;
const FLOAT: u8 = 0x10;
const TIMESTAMP: u8 = 0x18;
const TEXT: u8 = 0x20;
const BYTES: u8 = 0x28;

/// Behind a 00 that is part of a text; what ends one is followed by less.
const ESCAPED: u8 = 0xff;

/// What is added to a power of one hundred, so that it is not negative.
const BIAS: i32 = 0x8000;

const SIGN: u64 = 1 << 63;

/// The bytes are no index key (`E_INDEX_KEY`). Blame: whoever made the index.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bytes are no index key")]
pub struct BadKey;

impl BadKey {
    /// The registered code (`specs/registry.md`).
    pub const CODE: &'static str = "E_INDEX_KEY";
}

/// The key of values, one behind the other.
#[must_use]
pub fn encode_key(values: &[Value]) -> Vec<u8> {
    let mut key = Vec::new();
    for value in values {
        push_key(&mut key, value);
    }
    key
}

/// Adds a value to a key.
pub fn push_key(key: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => key.push(NULL),
        Value::Boolean(false) => key.push(FALSE),
        Value::Boolean(true) => key.push(TRUE),
        Value::Number(number) => push_number(key, *number),
        Value::Float(float) => {
            let bits = float.get().to_bits();
            let sorted = if bits & SIGN == 0 { bits ^ SIGN } else { !bits };
            key.push(FLOAT);
            key.extend(sorted.to_be_bytes());
        }
        Value::Timestamp(micros) => {
            key.push(TIMESTAMP);
            key.extend((micros.cast_unsigned() ^ SIGN).to_be_bytes());
        }
        Value::Text(text) => push_escaped(key, TEXT, text.as_bytes()),
        Value::Bytes(bytes) => push_escaped(key, BYTES, bytes),
    }
}

fn push_number(key: &mut Vec<u8>, number: Number) {
    if number.coefficient() == 0 {
        return key.push(ZERO);
    }
    let (mut digits, mut point) = (number.digits(), number.point());
    if point % 2 != 0 {
        digits.insert(0, '0');
        point += 1;
    }
    if digits.len() % 2 != 0 {
        digits.push('0');
    }
    let is_negative = number.coefficient() < 0;
    key.push(if is_negative { NEGATIVE } else { POSITIVE });
    let start = key.len();
    // Within 16 bits, as the power of ten is small (VIEW-2).
    let power = u16::try_from(point / 2 + BIAS).unwrap_or_default();
    key.extend(power.to_be_bytes());
    let pairs = digits.as_bytes().as_chunks::<2>().0;
    key.extend(pairs.iter().map(|[ten, one]| {
        let pair = (ten - b'0') * 10 + (one - b'0');
        2 * pair + 1
    }));
    if let Some(last) = key.last_mut() {
        *last -= 1;
    }
    if is_negative {
        for byte in &mut key[start..] {
            *byte = !*byte;
        }
    }
}

fn push_escaped(key: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    key.push(kind);
    for byte in bytes {
        key.push(*byte);
        if *byte == 0 {
            key.push(ESCAPED);
        }
    }
    key.push(0);
}

/// The values of a key. Fails unless it is the key that they have.
pub fn decode_key(mut key: &[u8]) -> Result<Vec<Value>, BadKey> {
    let mut values = Vec::new();
    while !key.is_empty() {
        let (value, rest) = take(key).ok_or(BadKey)?;
        values.push(value);
        key = rest;
    }
    Ok(values)
}

/// The value that a key begins with, and the rest.
pub(crate) fn take(key: &[u8]) -> Option<(Value, &[u8])> {
    let (&kind, rest) = key.split_first()?;
    Some(match kind {
        NULL => (Value::Null, rest),
        FALSE | TRUE => (Value::Boolean(kind == TRUE), rest),
        ZERO => (Value::Number(Number::default()), rest),
        NEGATIVE | POSITIVE => {
            let (number, rest) = take_number(rest, kind == NEGATIVE)?;
            (Value::Number(number), rest)
        }
        FLOAT => {
            let (sorted, rest) = take_u64(rest)?;
            let bits = if sorted & SIGN == 0 {
                !sorted
            } else {
                sorted ^ SIGN
            };
            let float = Float::new(f64::from_bits(bits)).ok()?;
            (float.get().to_bits() == bits).then_some(())?;
            (Value::Float(float), rest)
        }
        TIMESTAMP => {
            let (sorted, rest) = take_u64(rest)?;
            (Value::Timestamp((sorted ^ SIGN).cast_signed()), rest)
        }
        TEXT => {
            let (bytes, rest) = take_escaped(rest)?;
            (Value::Text(String::from_utf8(bytes).ok()?), rest)
        }
        BYTES => {
            let (bytes, rest) = take_escaped(rest)?;
            (Value::Bytes(bytes), rest)
        }
        _ => return None,
    })
}

/// What is behind the value that a key begins with. The value is not checked beyond where it ends.
pub(crate) fn skip(key: &[u8]) -> Option<&[u8]> {
    let (&kind, rest) = key.split_first()?;
    match kind {
        NULL | FALSE | TRUE | ZERO => Some(rest),
        NEGATIVE | POSITIVE => {
            // The last pair of digits has another lowest bit than those before it.
            let last = u8::from(kind == NEGATIVE);
            let digits = rest.get(2..)?;
            let end = digits.iter().position(|byte| byte % 2 == last)?;
            digits.get(end + 1..)
        }
        FLOAT | TIMESTAMP => rest.get(8..),
        TEXT | BYTES => {
            let mut rest = rest;
            loop {
                let end = rest.iter().position(|byte| *byte == 0)?;
                rest = rest.get(end + 1..)?;
                match rest.split_first() {
                    Some((&ESCAPED, after)) => rest = after,
                    _ => return Some(rest),
                }
            }
        }
        _ => None,
    }
}

fn take_u64(key: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = key.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

fn take_number(key: &[u8], is_negative: bool) -> Option<(Number, &[u8])> {
    let read = |byte: u8| if is_negative { !byte } else { byte };
    let (power, digits) = key.split_first_chunk::<2>()?;
    let power = i32::from(u16::from_be_bytes(power.map(read))) - BIAS;
    let end = digits.iter().position(|byte| read(*byte) % 2 == 0)? + 1;
    let (pairs, rest) = digits.split_at_checked(end)?;
    // One more than there can be: a digit in the first pair and one in the last.
    if pairs.len() > NUMBER_DIGITS_MAX as usize / 2 + 1 {
        return None;
    }
    let pairs = pairs.iter().map(|byte| i128::from(read(*byte) / 2));
    let is_pair = |pair: i128| pair > 0 && pair < 100;
    if !is_pair(pairs.clone().next()?) || !is_pair(pairs.clone().next_back()?) {
        return None;
    }
    let mut coefficient = 0_i128;
    for pair in pairs.clone() {
        if pair >= 100 {
            return None;
        }
        coefficient = coefficient.checked_mul(100)?.checked_add(pair)?;
    }
    let power = 2 * (power - i32::try_from(pairs.len()).ok()?);
    let number = Number::new(
        if is_negative {
            -coefficient
        } else {
            coefficient
        },
        power,
    )
    .ok()?;
    Some((number, rest))
}

fn take_escaped(key: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut bytes = Vec::new();
    let mut rest = key;
    loop {
        let end = rest.iter().position(|byte| *byte == 0)?;
        bytes.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix(&[ESCAPED]) {
            Some(after) => {
                bytes.push(0);
                rest = after;
            }
            None => return Some((bytes, rest)),
        }
    }
}

#[cfg(test)]
mod tests;
