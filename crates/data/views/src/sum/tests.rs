//! Sums beside exact arithmetic.

use proptest::prelude::*;

use super::Sum;
use crate::number::Number;
use crate::value::{Float, Value};

fn number(text: &str) -> Value {
    Value::Number(text.parse().unwrap())
}

fn sum(values: &[Value]) -> Sum {
    let mut sum = Sum::default();
    for value in values {
        assert!(sum.add(value, 1));
    }
    sum
}

#[test]
fn sums_are_exact_whatever_their_size() {
    assert_eq!(Sum::default().total(), Value::Null);
    assert_eq!(Sum::default().average(), Value::Null);
    let tenth = |count: usize| sum(&vec![number("0.1"); count]);
    assert_eq!(tenth(10).total(), number("1"));
    assert_eq!(tenth(3).average(), number("0.1"));
    // Beyond 38 digits for a while, and back.
    let mut far = sum(&[number("1e900"), number("1e-900"), number("-1e900")]);
    assert_eq!(far.total(), number("1e-900"));
    assert!(far.add(&number("1e900"), 1));
    assert_eq!(
        far.total(),
        Value::Null,
        "what cannot be kept is not rounded"
    );
    assert_eq!(far.average(), number("2.5e899"), "an average is");
    // Thirds are rounded to 38 digits, half to even.
    let third = sum(&[number("1"), number("0"), number("0")]);
    assert_eq!(third.average(), number(&format!("0.{}", "3".repeat(38))));
    let two_thirds = sum(&[number("-2"), number("0"), number("0")]);
    assert_eq!(
        two_thirds.average(),
        number(&format!("-0.{}7", "6".repeat(37)))
    );
}

#[test]
fn averages_are_rounded_half_to_even() {
    // 39 digits, the last of them a 5 behind an even digit, and behind an odd one.
    for (last, rounded) in [("2", "2"), ("3", "4")] {
        let digits = "1".repeat(37);
        let mut whole = sum(&[number(&format!("{digits}{last}e1")), number("5")]);
        assert_eq!(whole.total(), Value::Null, "one digit too many");
        whole.count = 1;
        assert_eq!(whole.average(), number(&format!("{digits}{rounded}e1")));
    }
}

#[test]
fn floats_are_added_as_what_they_are() {
    let float = |float: f64| Value::Float(Float::new(float).unwrap());
    let values = [float(0.1), float(0.2), float(-0.3)];
    // 0.1 + 0.2 - 0.3 is 5.55e-17 as floats; as decimals it is 2.77e-17.
    let exact = sum(&values);
    let Value::Number(total) = exact.total() else {
        // More digits than are kept.
        assert_eq!(exact.total(), Value::Null);
        assert_ne!(exact.average(), Value::Null);
        return;
    };
    assert_ne!(total, Number::default());
    let whole = sum(&[float(0.5), float(0.25), float(-8.0)]);
    assert_eq!(whole.total(), number("-7.25"));
    for odd in [
        Value::Null,
        Value::text("1"),
        Value::Boolean(true),
        float(f64::INFINITY),
    ] {
        assert!(!Sum::default().add(&odd, 1), "{odd:?}");
    }
    for extreme in [f64::MAX, f64::MIN_POSITIVE, 5e-324, -f64::MAX] {
        let mut sum = sum(&[float(extreme), number("1")]);
        assert!(sum.add(&float(extreme), -1));
        assert_eq!(sum.total(), number("1"), "{extreme}");
    }
}

proptest! {
    /// In any order, taken away again, written and read: the same parts.
    #[test]
    fn a_sum_depends_on_its_values_alone(
        values in prop::collection::vec((-1_000_000i64..1_000_000, -40i32..40), 0..12),
        gone in prop::collection::vec((any::<i64>(), -900i32..900), 0..4),
    ) {
        let value = |(digits, power): &(i64, i32)| {
            Value::Number(Number::new(i128::from(*digits), *power).unwrap())
        };
        let kept: Vec<Value> = values.iter().map(value).collect();
        let expected = sum(&kept);
        let mut other = Sum::default();
        for value in gone.iter().map(value).chain(kept.iter().rev().cloned()) {
            other.add(&value, 1);
        }
        for value in gone.iter().map(value) {
            other.add(&value, -1);
        }
        prop_assert_eq!(other.parts(), expected.parts());
        prop_assert_eq!(other.count, expected.count);
        let (digits, power) = expected.parts();
        let count = u64::try_from(expected.count).unwrap();
        let Some(read) = Sum::from_parts(count, &digits, power) else {
            prop_assert_eq!(count, 0);
            return Ok(());
        };
        prop_assert_eq!(read.total(), expected.total());
        prop_assert_eq!(read.average(), expected.average());
        if let Value::Number(total) = expected.total() {
            let by = Number::from(expected.count);
            let average = total.divided_by(by).unwrap().map(Value::Number);
            prop_assert_eq!(average, Some(expected.average()));
        }
    }
}

/// What no values have as their sum is not read, whatever it would take to compute with it.
#[test]
fn a_sum_that_nobody_computed_is_not_read() {
    let read = |count: u64, digits: &[u8], power: i32| Sum::from_parts(count, digits, power);
    assert!(read(1, &[7], 0).is_some() && read(1, &[0], 0).is_some());
    assert!(read(1, &[7], 1056).is_some() && read(1, &[7], -1074).is_some());
    for (count, digits, power) in [
        (0, &[7][..], 0),
        (u64::MAX, &[7], 0),
        (1, &[7], 1057),
        (1, &[7], -1075),
        (1, &[7], i32::MAX),
        (1, &[7], i32::MIN),
        // Not in normal form.
        (1, &[10], 0),
        (1, &[0], 3),
        (1, &[], 0),
        (1, &[0, 7], 0),
        // Too long for its power.
        (1, &[1; 1000], 0),
        (1, &[1; 3], 1056),
    ] {
        assert!(
            read(count, digits, power).is_none(),
            "{count} {digits:?} {power}"
        );
    }
    let of = |count| Sum {
        count,
        ..Sum::default()
    };
    assert!(of(i64::MAX).absorb(&of(1)).is_none());
    assert!(of(1).absorb(&of(-2)).is_none());
    assert_eq!(of(1).absorb(&of(-1)), Some(Sum::default()));
}
