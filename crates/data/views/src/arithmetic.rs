//! Exact arithmetic of numbers, and numbers beside floats (VIEW-13, VIEW-14).

use std::cmp::Ordering;
use std::ops::Neg;

use crate::number::{BadNumber, NUMBER_DIGITS_MAX, Number};
use crate::value::Float;

/// The least whole number with more digits than a number has.
const TOO_MANY: u128 = 10_u128.pow(NUMBER_DIGITS_MAX);

/// Behind the point, so many digits are all that a binary64 has, written with one digit before it.
const FLOAT_PLACES: usize = 766;

/// So many digits tell every binary64 from all others.
const FLOAT_DIGITS: usize = 17;

impl Number {
    /// The exact sum. Fails with [`BadNumber::Range`].
    pub fn plus(self, other: Self) -> Result<Self, BadNumber> {
        let (high, low) = if self.power() < other.power() {
            (other, self)
        } else {
            (self, other)
        };
        if high.coefficient() == 0 {
            return Ok(low);
        }
        if low.coefficient() == 0 {
            return Ok(high);
        }
        // The last digit of the lower one stays where it is unless both powers are one. So what is beyond 128 bits here
        // has too many digits, even after up to 38 of them were taken away.
        let shift = high.power().abs_diff(low.power());
        let (one, two) = 10_u128
            .checked_pow(shift)
            .and_then(|scale| high.magnitude().checked_mul(scale))
            .map(|scaled| (scaled, low.magnitude()))
            .ok_or(BadNumber::Range)?;
        if high.is_negative() == low.is_negative() {
            let sum = one.checked_add(two).ok_or(BadNumber::Range)?;
            return from_parts(high.is_negative(), sum, low.power());
        }
        let is_negative = high.is_negative() == (one > two);
        from_parts(is_negative, one.abs_diff(two), low.power())
    }

    /// The exact difference. Fails with [`BadNumber::Range`].
    pub fn minus(self, other: Self) -> Result<Self, BadNumber> {
        self.plus(-other)
    }

    /// The exact product. Fails with [`BadNumber::Range`].
    pub fn times(self, other: Self) -> Result<Self, BadNumber> {
        let (mut one, mut two) = (self.magnitude(), other.magnitude());
        if one == 0 || two == 0 {
            return Ok(Self::default());
        }
        // Without the tens that a 2 of one and a 5 of the other make, the product does not end with the digit 0:
        // it has as many digits as it needs.
        let tens = take_tens(&mut one, &mut two) + take_tens(&mut two, &mut one);
        let product = one.checked_mul(two).ok_or(BadNumber::Range)?;
        let is_negative = self.is_negative() != other.is_negative();
        from_parts(is_negative, product, self.power() + other.power() + tens)
    }

    /// The quotient: exact if it can be kept, otherwise its first 38 digits, rounded to the even one if it is in the
    /// middle. None if the divisor is 0. Fails with [`BadNumber::Range`] if it is too large or too small.
    pub fn divided_by(self, divisor: Self) -> Result<Option<Self>, BadNumber> {
        let by = divisor.magnitude();
        if by == 0 {
            return Ok(None);
        }
        let mut quotient = self.magnitude() / by;
        let mut rest = self.magnitude() % by;
        let mut power = self.power() - divisor.power();
        while rest != 0 && quotient < TOO_MANY / 10 {
            let (digit, left) = next_digit(rest, by);
            quotient = 10 * quotient + digit;
            rest = left;
            power -= 1;
        }
        quotient += u128::from(rounds_up(quotient, (2 * rest).cmp(&by)));
        let is_negative = self.is_negative() != divisor.is_negative();
        from_parts(is_negative, quotient, power).map(Some)
    }

    /// What is left of a division whose quotient is a whole number, with the sign of the dividend; exact. None if the
    /// divisor is 0.
    #[must_use]
    pub fn remainder(self, divisor: Self) -> Option<Self> {
        let by = divisor.magnitude();
        if by == 0 {
            return None;
        }
        let shift = self.power().abs_diff(divisor.power());
        let (rest, power) = if self.power() < divisor.power() {
            // A divisor beyond 128 bits is larger than the dividend.
            let scaled = 10_u128
                .checked_pow(shift)
                .and_then(|scale| by.checked_mul(scale));
            let rest = scaled.map_or(self.magnitude(), |by| self.magnitude() % by);
            (rest, self.power())
        } else {
            let start = self.magnitude() % by;
            let rest = (0..shift).fold(start, |rest, _digit| next_digit(rest, by).1);
            (rest, divisor.power())
        };
        // Not more digits than one of the two has, and a power that one of them has.
        Some(from_parts(self.is_negative(), rest, power).unwrap_or_default())
    }

    /// The number with so many digits behind the point, of two that are as near the one that is farther from 0.
    #[must_use]
    pub fn rounded(self, places: u32) -> Self {
        self.cut(places, |rest, unit| 2 * rest >= unit)
    }

    /// The number without the digits behind the point.
    #[must_use]
    pub fn truncated(self) -> Self {
        self.cut(0, |_rest, _unit| false)
    }

    /// The number without the digits behind so many places, and one more if that is due.
    fn cut(self, places: u32, is_more: impl Fn(u128, u128) -> bool) -> Self {
        let kept = i64::from(places) + i64::from(self.power());
        if kept >= 0 {
            return self;
        }
        let dropped = u32::try_from(-kept).unwrap_or(u32::MAX);
        if dropped > NUMBER_DIGITS_MAX {
            return Self::default();
        }
        let unit = 10_u128.pow(dropped);
        let (whole, rest) = (self.magnitude() / unit, self.magnitude() % unit);
        let whole = whole + u128::from(is_more(rest, unit));
        let power = self.power() + dropped.cast_signed();
        // Not more digits than before, and a power between the one before and 0.
        from_parts(self.is_negative(), whole, power).unwrap_or_default()
    }

    /// Whether it has no digits behind the point.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.power() >= 0
    }

    /// The number without its sign.
    #[must_use]
    pub fn abs(self) -> Self {
        if self.is_negative() { -self } else { self }
    }

    /// The float that is nearest, as IEEE 754 rounds: to the even one of two, and to an infinite one beyond the
    /// largest.
    #[must_use]
    pub fn to_float(self) -> Float {
        let text = format!("{}e{}", self.coefficient(), self.power());
        // A text of this form is always read.
        let float = text.parse().unwrap_or_default();
        Float::new(float).unwrap_or_default()
    }

    /// The exact value of a float if it can be kept, otherwise its first 38 digits, rounded to the even one if it is in
    /// the middle. Fails with [`BadNumber::Range`] if it is infinite.
    pub fn from_float(float: Float) -> Result<Self, BadNumber> {
        Self::of_digits(float, NUMBER_DIGITS_MAX as usize)
    }

    /// The value of a float, rounded to as few digits as make it the same float again. Fails with
    /// [`BadNumber::Range`] if it is infinite.
    pub fn from_float_short(float: Float) -> Result<Self, BadNumber> {
        // Not what the standard library prints: of two that are as near it may take either.
        (1..FLOAT_DIGITS)
            .filter_map(|count| Self::of_digits(float, count).ok())
            .find(|number| number.to_float() == float)
            .map_or_else(|| Self::of_digits(float, FLOAT_DIGITS), Ok)
    }

    /// The value of a float, rounded to so many digits.
    fn of_digits(float: Float, count: usize) -> Result<Self, BadNumber> {
        let float = float.get();
        if float.is_infinite() {
            return Err(BadNumber::Range);
        }
        let (digits, point) = float_digits(float);
        let (kept, rest) = digits.split_at_checked(count).unwrap_or((&digits, ""));
        // Of 38 digits at most.
        let magnitude = kept.parse::<u128>().unwrap_or_default();
        // Without zeros at its end, the rest is in the order of its text.
        let is_more = rounds_up(magnitude, rest.cmp("5"));
        let power = point - i32::try_from(kept.len()).unwrap_or_default();
        from_parts(float < 0.0, magnitude + u128::from(is_more), power)
    }

    /// How its value compares with that of a float, exactly.
    #[must_use]
    pub fn cmp_float(self, float: Float) -> Ordering {
        // Rounding keeps the order, so only what is rounded to the same needs a closer look.
        self.to_float().cmp(&float).then_with(|| {
            let float = float.get();
            let sign = self.coefficient().signum();
            if float.is_infinite() {
                return 0.cmp(&sign);
            }
            if float == 0.0 {
                return sign.cmp(&0);
            }
            let (digits, point) = float_digits(float);
            let sizes = (self.point(), self.digits()).cmp(&(point, digits));
            if sign < 0 { sizes.reverse() } else { sizes }
        })
    }

    const fn magnitude(self) -> u128 {
        self.coefficient().unsigned_abs()
    }

    const fn is_negative(self) -> bool {
        self.coefficient() < 0
    }
}

impl Neg for Number {
    type Output = Self;

    fn neg(self) -> Self {
        // What can be kept can be kept with the other sign.
        Self::new(-self.coefficient(), self.power()).unwrap_or_default()
    }
}

/// A number from a magnitude that may have more digits than it, if they are zeros.
fn from_parts(is_negative: bool, magnitude: u128, power: i32) -> Result<Number, BadNumber> {
    let (mut magnitude, mut power) = (magnitude, power);
    while magnitude >= TOO_MANY && magnitude.is_multiple_of(10) {
        magnitude /= 10;
        power += 1;
    }
    let coefficient = i128::try_from(magnitude).map_err(|_error| BadNumber::Range)?;
    Number::new(
        if is_negative {
            -coefficient
        } else {
            coefficient
        },
        power,
    )
}

/// Divides one by 2 and the other by 5 for as long as that leaves nothing; how often.
fn take_tens(twos: &mut u128, fives: &mut u128) -> i32 {
    let mut tens = 0;
    while twos.is_multiple_of(2) && fives.is_multiple_of(5) {
        *twos /= 2;
        *fives /= 5;
        tens += 1;
    }
    tens
}

/// The next digit of a division and what is left, of what is left so far, which is less than the divisor.
fn next_digit(rest: u128, by: u128) -> (u128, u128) {
    // Ten times 38 digits would not fit 128 bits; the sum of two such numbers does.
    (0..10).fold((0, 0), |(digit, left), _step| {
        let sum = left + rest;
        if sum >= by {
            (digit + 1, sum - by)
        } else {
            (digit, sum)
        }
    })
}

/// Whether what is rounded goes up, where the rest is less than, as much as or more than half.
fn rounds_up(kept: u128, rest: Ordering) -> bool {
    match rest {
        Ordering::Less => false,
        Ordering::Equal => kept % 2 == 1,
        Ordering::Greater => true,
    }
}

/// All digits of a finite float, without zeros at either end, and behind which of them the point is.
fn float_digits(float: f64) -> (String, i32) {
    let text = format!("{:.FLOAT_PLACES$e}", float.abs());
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.replace('.', "");
    let power: i32 = power.parse().unwrap_or_default();
    (digits.trim_end_matches('0').to_owned(), power + 1)
}

#[cfg(test)]
mod tests;
