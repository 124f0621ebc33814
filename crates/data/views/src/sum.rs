//! Exact sums of any size (PROJ-7).

use num_bigint::BigInt;

use crate::number::{NUMBER_DIGITS_MAX, NUMBER_POWER_MAX, Number};
use crate::value::Value;

/// The least power of ten that a sum has: the last digit of the least float, which is 2 to the power of -1074.
const POWER_MIN: i32 = -1074;

/// No sum reaches ten to this power: that of the longest number, times 2^63 of them.
const POWER_END: i32 = NUMBER_POWER_MAX + NUMBER_DIGITS_MAX.cast_signed() + 19;

/// A sum of numbers and floats, exact, with how many there are. Taking one away leaves what was there
/// before it came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sum {
    /// How many.
    pub(crate) count: i64,
    /// Times ten to the power.
    digits: BigInt,
    power: i32,
}

impl Sum {
    /// What was written: the count, and digits and power in normal form. None if no values have such a sum:
    /// what is damaged must not become a number of a thousand million digits (PROJ-29).
    pub(crate) fn from_parts(count: u64, bytes: &[u8], power: i32) -> Option<Self> {
        let count = i64::try_from(count).ok().filter(|count| *count > 0)?;
        let places = POWER_END.checked_sub(power)?;
        if places <= 0 || power < POWER_MIN || bytes.len() > places.unsigned_abs() as usize {
            return None;
        }
        let digits = BigInt::from_signed_bytes_be(bytes);
        let zero = BigInt::default();
        let is_normal = if digits == zero {
            power == 0
        } else {
            &digits % 10 != zero
        };
        // A decimal digit takes less than ten thirds of a bit.
        let is_short = digits.bits() <= u64::from(places.unsigned_abs()) * 10 / 3 + 1;
        let is_written_so = digits.to_signed_bytes_be() == bytes;
        (is_normal && is_short && is_written_so).then_some(Self {
            count,
            digits,
            power,
        })
    }

    /// Its digits as two's complement and its power, in normal form.
    pub(crate) fn parts(&self) -> (Vec<u8>, i32) {
        let (digits, power) = self.normal();
        (digits.to_signed_bytes_be(), power)
    }

    /// Adds a value `times` times, with 1 or -1; whether it is one that can be added.
    pub(crate) fn add(&mut self, value: &Value, times: i64) -> bool {
        let (digits, power) = match value {
            Value::Number(number) => (BigInt::from(number.coefficient()), number.power()),
            Value::Float(float) => match exactly(float.get()) {
                Some(exact) => exact,
                None => return false,
            },
            _ => return false,
        };
        self.merge(&digits * times, power);
        self.count += times;
        true
    }

    /// Adds another sum; none if that is of more values than can be counted, or of fewer than none.
    #[must_use]
    pub(crate) fn absorb(mut self, other: &Self) -> Option<Self> {
        self.count = self.count.checked_add(other.count)?;
        self.merge(other.digits.clone(), other.power);
        (self.count >= 0).then_some(self)
    }

    fn merge(&mut self, digits: BigInt, power: i32) {
        let scaled = |digits: &BigInt, by: i32| digits * ten_to(by.unsigned_abs());
        if power >= self.power {
            self.digits += scaled(&digits, power - self.power);
        } else {
            self.digits = scaled(&self.digits, self.power - power) + digits;
            self.power = power;
        }
    }

    fn normal(&self) -> (BigInt, i32) {
        let (mut digits, mut power) = (self.digits.clone(), self.power);
        let zero = BigInt::default();
        if digits == zero {
            return (zero, 0);
        }
        // Whole chunks first, as a sum of floats may end with a thousand zeros.
        for step in [512, 64, 8, 1_u32] {
            let by = ten_to(step);
            while &digits % &by == zero {
                digits /= &by;
                power += step.cast_signed();
            }
        }
        (digits, power)
    }

    /// The sum, if VIEW-2 can keep it; null if there was nothing to add.
    pub(crate) fn total(&self) -> Value {
        if self.count == 0 {
            return Value::Null;
        }
        let (digits, power) = self.normal();
        let number = i128::try_from(digits).ok();
        let number = number.and_then(|digits| Number::new(digits, power).ok());
        number.map_or(Value::Null, Value::Number)
    }

    /// The sum divided by the count, rounded half to even to 38 digits; null if there was nothing, or
    /// VIEW-2 cannot keep it.
    pub(crate) fn average(&self) -> Value {
        if self.count == 0 {
            return Value::Null;
        }
        let (digits, mut power) = self.normal();
        let count = BigInt::from(self.count);
        let zero = BigInt::default();
        let is_negative = digits < zero;
        let mut left = if is_negative { -digits } else { digits };
        // So many digits more that the quotient has 38 and one to round by, and no fewer.
        let length = |number: &BigInt| i32::try_from(number.to_string().len()).unwrap_or(i32::MAX);
        let wanted = NUMBER_DIGITS_MAX.cast_signed() + 2;
        let more = (wanted + length(&count) - length(&left)).max(0);
        left *= ten_to(more.unsigned_abs());
        power -= more;
        let mut quotient = &left / &count;
        let mut exact = &left % &count == zero;
        let surplus = length(&quotient) - NUMBER_DIGITS_MAX.cast_signed();
        if surplus > 0 {
            let by = ten_to(surplus.unsigned_abs());
            let rest = &quotient % &by;
            quotient /= &by;
            power += surplus;
            let twice = &rest * 2;
            let is_half = twice == by && exact;
            let is_odd = &quotient % 2 != zero;
            if twice > by || (twice == by && !exact) || (is_half && is_odd) {
                quotient += 1;
            }
            exact = true;
        }
        debug_assert!(exact, "a quotient with fewer digits has no rest");
        let signed = if is_negative { -quotient } else { quotient };
        let number = i128::try_from(signed).ok();
        let number = number.and_then(|digits| Number::new(digits, power).ok());
        number.map_or(Value::Null, Value::Number)
    }
}

fn ten_to(power: u32) -> BigInt {
    BigInt::from(10).pow(power)
}

/// A finite float as a whole number times a power of ten.
fn exactly(float: f64) -> Option<(BigInt, i32)> {
    /// Bits of a binary64 behind its first, and what its exponent is off by.
    const FRACTION: u32 = 52;
    const BIAS: i32 = 1075;
    if !float.is_finite() {
        return None;
    }
    let bits = float.to_bits();
    let exponent = i32::try_from((bits >> FRACTION) & 0x7ff).unwrap_or_default();
    let fraction = bits & ((1 << FRACTION) - 1);
    let (whole, exponent) = match exponent {
        0 => (fraction, 1 - BIAS),
        _ => (fraction | 1 << FRACTION, exponent - BIAS),
    };
    let whole = BigInt::from(whole) * if float < 0.0 { -1 } else { 1 };
    Some(if exponent >= 0 {
        (whole * BigInt::from(2).pow(exponent.unsigned_abs()), 0)
    } else {
        // Halves are tenths times five.
        (
            whole * BigInt::from(5).pow(exponent.unsigned_abs()),
            exponent,
        )
    })
}

#[cfg(test)]
mod tests;
