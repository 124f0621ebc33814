//! Exact decimal numbers (VIEW-1 to VIEW-3).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The most digits that a number has, zeros at its end not counted (VIEW-2).
pub const NUMBER_DIGITS_MAX: u32 = 38;

/// The largest power of ten that the digits of a number are multiplied by; its negative is the smallest
/// (VIEW-2).
pub const NUMBER_POWER_MAX: i32 = 1000;

/// The longest text of a number, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Of a text, up to this position of the point it is written without a power of ten (VIEW-3).
const POINT_MAX: i32 = NUMBER_DIGITS_MAX.cast_signed();
const POINT_MIN: i32 = -5;

/// An exact decimal number: a whole number of up to 38 digits, times a power of ten.
///
/// Equal numbers have one form: `1.50` is `1.5`, and `-0` is `0`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Number {
    /// Does not end with the digit 0, unless it is 0.
    coefficient: i128,
    /// 0 if the coefficient is.
    power: i32,
}

/// Why a text is no number that can be kept. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadNumber {
    /// It is not a number of JSON, or has more than 4096 bytes (VIEW-1).
    #[error("not a number; one is written like -12.5 or 1e9")]
    Syntax,
    /// It cannot be kept exactly (VIEW-2).
    #[error("a number has at most 38 digits, times a power of ten from -1000 to 1000")]
    Range,
}

impl BadNumber {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Syntax => "E_NUMBER",
            Self::Range => "E_NUMBER_RANGE",
        }
    }
}

impl Number {
    /// `coefficient` times ten to the `power`. Fails with [`BadNumber::Range`].
    pub fn new(coefficient: i128, power: i32) -> Result<Self, BadNumber> {
        let (mut coefficient, mut power) = (coefficient, i64::from(power));
        if coefficient == 0 {
            return Ok(Self::default());
        }
        while coefficient % 10 == 0 {
            coefficient /= 10;
            power += 1;
        }
        let power = i32::try_from(power).map_err(|_error| BadNumber::Range)?;
        let is_near = (-NUMBER_POWER_MAX..=NUMBER_POWER_MAX).contains(&power);
        let fits = digits_of(coefficient) <= NUMBER_DIGITS_MAX && is_near;
        fits.then_some(Self { coefficient, power })
            .ok_or(BadNumber::Range)
    }

    /// The whole number that is multiplied: it does not end with the digit 0, unless it is 0.
    #[must_use]
    pub const fn coefficient(self) -> i128 {
        self.coefficient
    }

    /// The power of ten by which it is multiplied.
    #[must_use]
    pub const fn power(self) -> i32 {
        self.power
    }

    /// Behind which of its digits the point is.
    pub(crate) fn point(self) -> i32 {
        digits_of(self.coefficient).cast_signed() + self.power
    }

    /// Its digits, without its sign.
    pub(crate) fn digits(self) -> String {
        self.coefficient.unsigned_abs().to_string()
    }
}

fn digits_of(coefficient: i128) -> u32 {
    coefficient.unsigned_abs().checked_ilog10().unwrap_or(0) + 1
}

impl From<i64> for Number {
    fn from(whole: i64) -> Self {
        // 19 digits at most, and as many zeros.
        Self::new(whole.into(), 0).unwrap_or_default()
    }
}

impl FromStr for Number {
    type Err = BadNumber;

    /// Reads a number as JSON has it (RFC 8259, section 6), exactly.
    fn from_str(text: &str) -> Result<Self, BadNumber> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(BadNumber::Syntax);
        }
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, rest) = digits(rest);
        let is_whole = !whole.is_empty() && (whole == "0" || !whole.starts_with('0'));
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (fraction, rest) = digits(rest);
                (Some(fraction), rest)
            }
            None => (None, rest),
        };
        let power = match rest.strip_prefix(['e', 'E']) {
            Some(rest) => {
                let (sign, rest) = match rest.strip_prefix('-') {
                    Some(rest) => (-1, rest),
                    None => (1, rest.strip_prefix('+').unwrap_or(rest)),
                };
                let (power, rest) = digits(rest);
                (!power.is_empty() && rest.is_empty()).then(|| sign * saturating(power))
            }
            None => rest.is_empty().then_some(0),
        };
        let (true, Some(power), true) = (is_whole, power, fraction != Some("")) else {
            return Err(BadNumber::Syntax);
        };
        let fraction = fraction.unwrap_or_default();
        let all = whole.bytes().chain(fraction.bytes());
        let significant = all.clone().skip_while(|digit| *digit == b'0');
        let zeros = all.rev().take_while(|digit| *digit == b'0').count();
        let count = significant.clone().count().saturating_sub(zeros);
        if count == 0 {
            return Ok(Self::default());
        }
        if count > NUMBER_DIGITS_MAX as usize {
            return Err(BadNumber::Range);
        }
        let coefficient = significant.take(count).fold(0, |number: i128, digit| {
            number * 10 + i128::from(digit - b'0')
        });
        let power = power - fraction.len().cast_signed() as i64 + zeros.cast_signed() as i64;
        let power = i32::try_from(power).map_err(|_error| BadNumber::Range)?;
        Self::new(
            if is_negative {
                -coefficient
            } else {
                coefficient
            },
            power,
        )
    }
}

/// The digits that a text begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

/// Digits as a number, or one beyond every power if they are many.
fn saturating(digits: &str) -> i64 {
    digits.bytes().fold(0, |number: i64, digit| {
        (number * 10 + i64::from(digit - b'0')).min(i64::from(i32::MAX))
    })
}

impl fmt::Display for Number {
    /// Its one spelling (VIEW-3).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, point) = (self.digits(), self.point());
        if self.coefficient < 0 {
            f.write_str("-")?;
        }
        let size = point.unsigned_abs() as usize;
        match point {
            _ if self.coefficient == 0 => f.write_str("0"),
            1..=POINT_MAX => {
                let whole = digits.len().min(size);
                let zeros = size - whole;
                write!(f, "{}{:0<zeros$}", &digits[..whole], "")?;
                match &digits[whole..] {
                    "" => Ok(()),
                    fraction => write!(f, ".{fraction}"),
                }
            }
            POINT_MIN..=0 => write!(f, "0.{:0<zeros$}{digits}", "", zeros = size),
            _ => {
                f.write_str(&digits[..1])?;
                if digits.len() > 1 {
                    write!(f, ".{}", &digits[1..])?;
                }
                write!(f, "e{}", point - 1)
            }
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        // How large they are is said by their points, and then by their digits.
        let sized = |number: &Self| {
            let missing = NUMBER_DIGITS_MAX - digits_of(number.coefficient);
            let digits = number.coefficient.abs() * 10_i128.pow(missing);
            (number.point(), digits)
        };
        let signs = self.coefficient.signum().cmp(&other.coefficient.signum());
        signs.then_with(|| match self.coefficient.signum() {
            0 => Ordering::Equal,
            1 => sized(self).cmp(&sized(other)),
            _ => sized(other).cmp(&sized(self)),
        })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers whose difference can be told with whole numbers of 128 bits.
    fn near() -> impl Strategy<Value = (i64, i32)> {
        let coefficient = prop_oneof![any::<i64>(), -1000..1000_i64, Just(0)];
        (coefficient.prop_map(|it| it >> 8), -9..9)
    }

    proptest! {
        #[test]
        fn numbers_are_in_the_order_of_what_they_are(one in near(), two in near()) {
            let scaled = |(coefficient, power): (i64, i32)| {
                i128::from(coefficient) * 10_i128.pow((power + 9).cast_unsigned())
            };
            let number = |(coefficient, power)| Number::new(i128::from(coefficient), power).unwrap();
            prop_assert_eq!(number(one).cmp(&number(two)), scaled(one).cmp(&scaled(two)));
            prop_assert_eq!(number(one) == number(two), scaled(one) == scaled(two));
        }

        #[test]
        fn a_number_is_read_as_it_is_written(coefficient in any::<i128>(), power in -1100..1100) {
            let coefficient = coefficient / 2;
            match Number::new(coefficient, power) {
                Ok(number) => {
                    prop_assert_eq!(number.to_string().parse(), Ok(number));
                    prop_assert_eq!(format!("{coefficient}e{power}").parse(), Ok(number));
                }
                Err(error) => prop_assert_eq!(format!("{coefficient}e{power}").parse::<Number>(), Err(error)),
            }
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eE]{0,12}|.{0,8}") {
            let number = text.parse::<Number>();
            let is_json = serde_json::from_str::<f64>(&text).is_ok() && text.trim() == text;
            prop_assert!(number != Err(BadNumber::Syntax) || !is_json, "{}", text);
            prop_assert!(number.is_err() || is_json || text.contains(['e', 'E']), "{}", text);
        }
    }

    #[test]
    fn the_least_of_all_has_no_absolute_value_to_overflow() {
        assert_eq!(Number::new(i128::MIN, 0), Err(BadNumber::Range));
        assert_eq!(Number::new(1, i32::MIN), Err(BadNumber::Range));
        assert_eq!(Number::from(i64::MIN).to_string(), "-9223372036854775808");
    }
}
