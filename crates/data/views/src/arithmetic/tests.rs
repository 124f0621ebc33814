//! Arithmetic against the same with whole numbers of any size, one decimal digit after the other.

use proptest::prelude::*;

use super::*;
use crate::number::NUMBER_POWER_MAX;

/// A whole number: its digits from the last, without zeros in front.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Big(Vec<u8>);

impl Big {
    fn new(number: u128) -> Self {
        Self::of_digits(number.to_string().bytes().rev().map(|digit| digit - b'0'))
    }

    fn of_digits(digits: impl Iterator<Item = u8>) -> Self {
        let mut digits: Vec<u8> = digits.collect();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Self(digits)
    }

    fn power(base: u128, power: u32) -> Self {
        (0..power).fold(Self::new(1), |big, _step| big.times(&Self::new(base)))
    }

    fn tens(&self, power: u32) -> Self {
        Self::of_digits(std::iter::repeat_n(0, power as usize).chain(self.0.iter().copied()))
    }

    fn size(&self) -> usize {
        self.0.len().max(1)
    }

    fn digit(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn plus(&self, other: &Self) -> Self {
        let mut carry = 0;
        let size = self.0.len().max(other.0.len()) + 1;
        Self::of_digits((0..size).map(|at| {
            let sum = self.digit(at) + other.digit(at) + carry;
            carry = sum / 10;
            sum % 10
        }))
    }

    /// The difference to what is not larger.
    fn minus(&self, other: &Self) -> Self {
        let mut borrow = 0;
        Self::of_digits((0..self.0.len()).map(|at| {
            let (have, take) = (self.digit(at), other.digit(at) + borrow);
            borrow = u8::from(have < take);
            have + 10 * borrow - take
        }))
    }

    fn times(&self, other: &Self) -> Self {
        let mut sums = vec![0_u32; self.0.len() + other.0.len() + 1];
        for (at, one) in self.0.iter().enumerate() {
            for (behind, two) in other.0.iter().enumerate() {
                sums[at + behind] += u32::from(*one) * u32::from(*two);
            }
        }
        let mut carry = 0;
        Self::of_digits(sums.into_iter().map(|sum| {
            let sum = sum + carry;
            carry = sum / 10;
            (sum % 10) as u8
        }))
    }

    fn rest(&self, by: &Self) -> Self {
        self.0.iter().rev().fold(Self::new(0), |rest, digit| {
            let mut rest = rest.tens(1).plus(&Self::new(u128::from(*digit)));
            while rest >= *by {
                rest = rest.minus(by);
            }
            rest
        })
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> Ordering {
        let sizes = self.0.len().cmp(&other.0.len());
        sizes.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A sign and a whole number of 10 to the -3000.
type Exact = (bool, Big);

const SCALE: i32 = 3000;

fn exact(number: Number) -> Exact {
    (number.is_negative(), units(number, -SCALE))
}

/// How often a number has ten to a power, which is not above its own.
fn units(number: Number, power: i32) -> Big {
    Big::new(number.magnitude()).tens((number.power() - power).cast_unsigned())
}

/// The number of a sign and a whole number times a power of ten, by VIEW-2.
fn kept(is_negative: bool, big: &Big, power: i32) -> Result<Number, BadNumber> {
    let zeros = big.0.iter().take_while(|digit| **digit == 0).count();
    let digits: String = big.0[zeros..]
        .iter()
        .rev()
        .map(|digit| char::from(digit + b'0'))
        .collect();
    let power = power + i32::try_from(zeros).unwrap();
    match digits.len() {
        0 => Ok(Number::default()),
        1..=38 if power.abs() <= NUMBER_POWER_MAX => {
            let coefficient: i128 = digits.parse().unwrap();
            Number::new(
                if is_negative {
                    -coefficient
                } else {
                    coefficient
                },
                power,
            )
        }
        _ => Err(BadNumber::Range),
    }
}

fn sum((one_sign, one): &Exact, (two_sign, two): &Exact) -> Exact {
    match (one_sign == two_sign, one >= two) {
        (true, _) => (*one_sign, one.plus(two)),
        (false, true) => (*one_sign, one.minus(two)),
        (false, false) => (*two_sign, two.minus(one)),
    }
}

/// Numbers of few and of many digits, of factors whose products end with zeros, and near each other as often as far.
fn number() -> impl Strategy<Value = Number> {
    let limit = 10_i128.pow(38);
    let coefficient = prop_oneof![
        -limit + 1..limit,
        any::<i64>().prop_map(i128::from),
        -20..20_i128,
        (0..54_u32).prop_map(|power| 5_i128.pow(power)),
        (0..126_u32).prop_map(|power| 2_i128.pow(power)),
        (1..39_u32).prop_map(|power| 10_i128.pow(power) - 1),
        (1..=38_u32, 0..limit).prop_map(move |(power, off)| limit - off / 10_i128.pow(power) - 1),
    ];
    let power = prop_oneof![-40..40, -1000..=1000];
    (coefficient, power, any::<bool>()).prop_filter_map("range", |(coefficient, power, minus)| {
        let coefficient = if minus { -coefficient } else { coefficient };
        Number::new(coefficient, power).ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn sums_are_exact(one in number(), two in number()) {
        let (sign, big) = sum(&exact(one), &exact(two));
        prop_assert_eq!(one.plus(two), kept(sign, &big, -SCALE), "{} + {}", one, two);
        let (sign, big) = sum(&exact(one), &exact(-two));
        prop_assert_eq!(one.minus(two), kept(sign, &big, -SCALE), "{} - {}", one, two);
    }

    #[test]
    fn products_are_exact(one in number(), two in number()) {
        let big = Big::new(one.magnitude()).times(&Big::new(two.magnitude()));
        let sign = one.is_negative() != two.is_negative();
        prop_assert_eq!(one.times(two), kept(sign, &big, one.power() + two.power()), "{} * {}", one, two);
    }

    /// Of all numbers with as many digits, no other is nearer, or as near and even.
    #[test]
    fn quotients_are_nearest(one in number(), two in number()) {
        let Ok(quotient) = one.divided_by(two) else {
            // About the size of the quotient, without the digits.
            let size = one.point() - two.point();
            prop_assert!(!(-930..=999).contains(&size), "{} / {}", one, two);
            return Ok(());
        };
        let Some(quotient) = quotient else {
            prop_assert_eq!(two, Number::default());
            return Ok(());
        };
        prop_assert!(quotient.coefficient() == 0 || quotient.is_negative() == (one.is_negative() != two.is_negative()));
        // Both sides of one = quotient * two, and what a 1 as the last of 38 digits makes.
        let power = (one.power() - quotient.power() - two.power() + SCALE).cast_unsigned();
        let dividend = Big::new(one.magnitude()).tens(power);
        let back = Big::new(quotient.magnitude()).times(&Big::new(two.magnitude())).tens(SCALE.cast_unsigned());
        if dividend == back {
            return Ok(());
        }
        let missing = NUMBER_DIGITS_MAX - quotient.digits().len() as u32;
        let unit = Big::new(two.magnitude()).tens(SCALE.cast_unsigned() - missing);
        let away = if dividend > back { dividend.minus(&back) } else { back.minus(&dividend) };
        let is_odd = missing == 0 && quotient.coefficient() % 2 != 0;
        match away.plus(&away).cmp(&unit) {
            Ordering::Less => {}
            Ordering::Equal => prop_assert!(!is_odd, "{} / {} = {}", one, two, quotient),
            Ordering::Greater => prop_assert!(false, "{} / {} = {}", one, two, quotient),
        }
    }

    #[test]
    fn remainders_are_what_is_left(one in number(), two in number()) {
        let Some(rest) = one.remainder(two) else {
            prop_assert_eq!(two, Number::default());
            return Ok(());
        };
        let last = one.power().min(two.power());
        let wanted = units(one, last).rest(&units(two, last));
        prop_assert_eq!(rest, kept(one.is_negative(), &wanted, last).unwrap(), "{} % {}", one, two);
    }

    #[test]
    fn rounded_numbers_are_nearest(number in number(), places in 0..50_u32) {
        let last = number.power().min(-50);
        let unit = Big::new(1).tens(last.unsigned_abs() - places);
        let (sign, big) = (number.is_negative(), units(number, last));
        let rest = big.rest(&unit);
        let down = big.minus(&rest);
        let up = down.plus(&unit);
        let is_up = rest.plus(&rest) >= unit;
        let wanted = if is_up { &up } else { &down };
        prop_assert_eq!(number.rounded(places), kept(sign, wanted, last).unwrap());
        let whole = Big::new(1).tens(last.unsigned_abs());
        prop_assert_eq!(number.truncated(), kept(sign, &big.minus(&big.rest(&whole)), last).unwrap());
        prop_assert_eq!(number.truncated() == number, number.is_whole());
    }
}

/// A float as a whole number of 2 to the -1074, which any is.
fn of_float(float: f64) -> Exact {
    let bits = float.to_bits();
    let (exponent, fraction) = (bits >> 52 & 0x7ff, bits & ((1 << 52) - 1));
    let (mantissa, shift) = match exponent {
        0 => (fraction, 0),
        _ => (fraction | 1 << 52, exponent - 1),
    };
    let big = Big::new(u128::from(mantissa)).times(&Big::power(2, shift as u32));
    (float < 0.0, big)
}

/// A number in the same unit, if it were multiplied by ten to the 1500.
fn in_float_units(number: Number) -> Exact {
    let power = (number.power() + 1500).cast_unsigned();
    let big = Big::new(number.magnitude()).tens(power);
    (number.is_negative(), big.times(&Big::power(2, 1074)))
}

/// Floats of all sizes, and such as are numbers.
fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |float| float.is_finite()),
        (any::<i32>(), 0..1000_i32).prop_map(|(one, two)| f64::from(one) / f64::from(1 + two)),
        (any::<i32>(), -60..60).prop_map(|(one, power)| f64::from(one) * 2_f64.powi(power)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn numbers_compare_with_floats_by_value(float in float(), number in number(), digits in 1..=38_u32, off in -1..=1_i128) {
        let scaled = |(sign, big): Exact| (sign, big.tens(1500));
        let wanted = |number: Number| {
            let ((one_sign, one), (two_sign, two)) = (in_float_units(number), scaled(of_float(float)));
            let is_zero = one == Big::new(0) && two == Big::new(0);
            match (one_sign, two_sign) {
                _ if is_zero => Ordering::Equal,
                (true, true) => two.cmp(&one),
                (false, false) => one.cmp(&two),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
            }
        };
        let value = Float::new(float).unwrap();
        prop_assert_eq!(number.cmp_float(value), wanted(number), "{} and {}", number, float);
        // One that is near, perhaps equal.
        let near = Number::from_float(value).unwrap();
        let places = (digits.cast_signed() - near.point()).max(0).cast_unsigned();
        let near = near.rounded(places);
        let near = Number::new(near.coefficient() + off, near.power()).unwrap_or(near);
        prop_assert_eq!(near.cmp_float(value), wanted(near), "{} and {}", near, float);
    }

    #[test]
    fn floats_become_the_nearest_numbers(float in float()) {
        let number = Number::from_float(Float::new(float).unwrap()).unwrap();
        prop_assert_eq!(number.to_float(), Float::new(float).unwrap());
        let short = Number::from_float_short(Float::new(float).unwrap()).unwrap();
        prop_assert_eq!(short.to_float(), Float::new(float).unwrap());
        // One more than the shortest, if that is not the nearest of its size.
        let shortest = format!("{float:e}").parse::<Number>().unwrap();
        prop_assert!(short.digits().len() <= shortest.digits().len() + 1);
        let (one, two) = (in_float_units(number).1, of_float(float).1.tens(1500));
        let away = if one > two { one.minus(&two) } else { two.minus(&one) };
        if away.size() > 1 {
            // It has 38 digits then, and is off by not more than half of the last.
            let last = NUMBER_DIGITS_MAX - number.digits().len() as u32;
            let power = (number.power() + 1500).cast_unsigned() - last;
            let unit = Big::new(1).tens(power).times(&Big::power(2, 1074));
            prop_assert!(away.plus(&away) <= unit, "{} for {}", number, float);
        }
    }
}

#[test]
fn what_is_in_the_middle_is_rounded() {
    let number = |text: &str| text.parse::<Number>().unwrap();
    // Half of an odd number of 38 digits has 39, of which the last is a 5.
    let half = |text: &str| number(text).divided_by(number("2")).unwrap().unwrap();
    let nines = "9".repeat(37);
    assert_eq!(half(&format!("{nines}9")), number("5e37"));
    assert_eq!(
        half(&format!("{nines}7")).to_string(),
        format!("4{}8", "9".repeat(36))
    );
    let third = number("1").divided_by(number("3")).unwrap().unwrap();
    assert_eq!(third.to_string(), format!("0.{}", "3".repeat(38)));
    let sixths = number("5").divided_by(number("6")).unwrap().unwrap();
    assert_eq!(
        sixths.to_string(),
        format!("0.{}3", "8".to_owned() + &"3".repeat(36))
    );
    for (text, rounded) in [
        ("2.5", "3"),
        ("-2.5", "-3"),
        ("0.5", "1"),
        ("0.49", "0"),
        ("-1.4", "-1"),
    ] {
        assert_eq!(number(text).rounded(0), number(rounded));
    }
}

#[test]
fn a_float_in_the_middle_of_two_short_numbers_takes_the_even_one() {
    let short = |float| Number::from_float_short(Float::new(float).unwrap());
    assert_eq!(
        short(f64::from_bits(0x430b_4d0f_0616_d30a))
            .unwrap()
            .to_string(),
        "960568911649377.2"
    );
    assert_eq!(short(0.1).unwrap().to_string(), "0.1");
    assert_eq!(short(-5e-324).unwrap().to_string(), "-5e-324");
    assert_eq!(
        short(f64::MAX).unwrap().to_string(),
        "1.7976931348623157e308"
    );
    assert_eq!(short(f64::NEG_INFINITY), Err(BadNumber::Range));
}

#[test]
fn sums_at_the_edge_of_what_can_be_kept() {
    let number = |text: &str| text.parse::<Number>().unwrap();
    let nines = "9".repeat(38);
    assert_eq!(number("1e38").minus(number("1")), Ok(number(&nines)));
    assert_eq!(number(&nines).plus(number("1")), Ok(number("1e38")));
    assert_eq!(number("2e38").minus(number("1")), Err(BadNumber::Range));
    // Beyond 128 bits on the way, and within 38 digits at the end.
    assert_eq!(
        number("175e36").minus(number(&nines)).unwrap().to_string(),
        format!("7{}1", "5".to_owned() + &"0".repeat(35))
    );
    assert_eq!(number("95e36").plus(number("95e36")), Ok(number("19e37")));
    assert_eq!(number("1e1000").times(number("10")), Err(BadNumber::Range));
    assert_eq!(
        number("1e-1000").divided_by(number("3")),
        Err(BadNumber::Range)
    );
}
