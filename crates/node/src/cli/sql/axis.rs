//! Axes with round numbers on them.

/// The most digits behind a point; what needs more is written with an exponent.
const DECIMALS_MAX: i32 = 6;

/// From here on numbers are written with an exponent: a longer one is counted, not read.
const PLAIN_MAX: f64 = 1e9;

/// Numbers whose difference is less than this part of them are drawn as equal: ticks between them could
/// not be told apart.
const DIFFERENCE_MIN: f64 = 1e-9;

/// An axis from one round number to another, with round numbers between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    step: f64,
    steps: u32,
}

impl Axis {
    /// An axis on which all these numbers are, with about so many steps. Numbers are finite.
    pub(crate) fn over(numbers: impl Iterator<Item = f64>, steps: u32) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for number in numbers {
            (low, high) = (low.min(number), high.max(number));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let size = low.abs().max(high.abs());
        if high - low <= size * DIFFERENCE_MIN || high - low < f64::MIN_POSITIVE * 1e9 {
            // One number stands in the middle.
            let around = if size < f64::MIN_POSITIVE * 1e9 {
                1.0
            } else {
                size / 2.0
            };
            (low, high) = (low - around, high + around);
        }
        let step = round_up((high - low) / f64::from(steps.max(1)));
        let first = (low / step).floor();
        let count = ((high / step).ceil() - first).max(1.0);
        Self {
            low: first * step,
            step,
            // At most two more than was asked for: a step is a part of the whole, rounded up.
            #[expect(clippy::cast_sign_loss, reason = "it is at least 1")]
            steps: count as u32,
        }
    }

    /// Where a number is, from 0 at the low end to 1 at the high end.
    pub(crate) fn place(&self, number: f64) -> f64 {
        (number - self.low) / (self.step * f64::from(self.steps))
    }

    /// The round numbers, from the lowest to the highest, and how they are written.
    pub(crate) fn ticks(&self) -> impl Iterator<Item = (f64, String)> + '_ {
        (0..=self.steps).map(|index| {
            let number = self.low + self.step * f64::from(index);
            (number, self.text(number))
        })
    }

    fn text(&self, number: f64) -> String {
        let step_power = power(self.step);
        let size = number.abs();
        // What is left of a sum that should be 0.
        if size < self.step / 2.0 {
            return "0".to_owned();
        }
        if size < PLAIN_MAX && -step_power <= DECIMALS_MAX {
            return format!("{number:.*}", usize::try_from(-step_power).unwrap_or(0));
        }
        let digits = usize::try_from(power(size) - step_power).unwrap_or(0);
        let text = format!("{number:.digits$e}");
        match text.split_once('e') {
            Some((digits, power)) if digits.contains('.') => {
                let digits = digits.trim_end_matches('0').trim_end_matches('.');
                format!("{digits}e{power}")
            }
            _ => text,
        }
    }
}

/// The power of ten of the first digit.
fn power(number: f64) -> i32 {
    // The logarithm of a round number may be a little below what it should be.
    (number.log10() + 1e-9).floor() as i32
}

/// The next number of the form 1, 2 or 5 times a power of ten.
fn round_up(number: f64) -> f64 {
    let base = 10_f64.powi(power(number));
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * base)
        // A step that is right is not taken for too small.
        .find(|step| *step >= number * (1.0 - 1e-9))
        .unwrap_or(base * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(numbers: &[f64], steps: u32) -> Vec<String> {
        let axis = Axis::over(numbers.iter().copied(), steps);
        axis.ticks().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(&[0.0, 10.0], 5), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(ticks(&[0.0, 97.0], 5), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(
            ticks(&[-3.0, 7.0], 5),
            ["-4", "-2", "0", "2", "4", "6", "8"]
        );
        assert_eq!(
            ticks(&[0.1, 0.3], 4),
            ["0.10", "0.15", "0.20", "0.25", "0.30"]
        );
        assert_eq!(ticks(&[1e9, 2e9], 2), ["1e9", "1.5e9", "2e9"]);
        assert_eq!(ticks(&[0.0, 2e-7], 2), ["0", "1e-7", "2e-7"]);
        assert_eq!(
            ticks(&[1999.0, 2026.0], 3),
            ["1990", "2000", "2010", "2020", "2030"]
        );
    }

    #[test]
    fn numbers_that_are_one_stand_in_the_middle() {
        for number in [0.0, 5.0, -5.0, 1e300, -1e300, 1e-300, 5e-324, 1e17] {
            let axis = Axis::over([number].into_iter(), 5);
            let place = axis.place(number);
            assert!((0.2..=0.8).contains(&place), "{number} at {place}");
            assert!(axis.ticks().count() >= 3, "{number}");
        }
        assert_eq!(ticks(&[], 2), ["0", "0.5", "1.0"]);
    }

    #[test]
    fn every_number_is_on_the_axis_and_every_tick_is_told_apart() {
        let numbers = [
            -1e300, -7.3, -1e-9, 0.0, 1e-300, 0.017, 1.0, 3.0, 1234.5, 1e12, 1e300,
        ];
        for low in numbers {
            for high in numbers {
                for steps in [1, 4, 10] {
                    let axis = Axis::over([low, high].into_iter(), steps);
                    let ends = [axis.place(low), axis.place(high)];
                    assert!(
                        ends.iter().all(|it| (-1e-9..=1.0 + 1e-9).contains(it)),
                        "{low} {high} {ends:?}"
                    );
                    let texts: Vec<String> = axis.ticks().map(|tick| tick.1).collect();
                    assert!(
                        (2..=steps as usize + 3).contains(&texts.len()),
                        "{low} {high} {texts:?}"
                    );
                    let mut apart = texts.clone();
                    apart.dedup();
                    assert_eq!(apart, texts, "{low} {high}");
                }
            }
        }
    }
}
