//! Dates and moments as texts that sort as they do (TAB-26).

use std::fmt;

/// Days from the first of March of the year 0 to the first of January 1970.
const EPOCH: i64 = 719_468;

/// Days of 400 years, after which the calendar is the same again.
const ERA: i64 = 146_097;

/// Year, month and day of a day since 1970, in the calendar of Gregory without a beginning.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day.saturating_add(EPOCH);
    let (era, of_era) = (day.div_euclid(ERA), day.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // From March on months have a pattern of five: 153 days.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// A day since 1970 as a text.
pub(crate) fn date(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A moment, as a text with six digits of a fraction or nine.
pub(crate) struct Moment {
    seconds: i64,
    fraction: i64,
    digits: usize,
    is_utc: bool,
}

impl Moment {
    /// So many units since 1970, each a second divided by a power of ten.
    pub(crate) const fn new(units: i64, digits: u32, is_utc: bool) -> Self {
        let second = 10_i64.pow(digits);
        let (seconds, rest) = (units.div_euclid(second), units.rem_euclid(second));
        let (fraction, digits) = if digits > 6 {
            (rest, 9)
        } else {
            (rest * 10_i64.pow(6 - digits), 6)
        };
        Self {
            seconds,
            fraction,
            digits,
            is_utc,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: i64 = 86_400;
        let second = self.seconds.rem_euclid(DAY);
        write!(
            f,
            "{}T{:02}:{:02}:{:02}.{:0width$}{}",
            date(self.seconds.div_euclid(DAY)),
            second / 3600,
            second / 60 % 60,
            second % 60,
            self.fraction,
            if self.is_utc { "Z" } else { "" },
            width = self.digits
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (day, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_783, "2026-11-26"),
            (-719_528, "0000-01-01"),
            (2_932_896, "9999-12-31"),
        ] {
            assert_eq!(date(day), text);
        }
    }

    #[test]
    fn moments_sort_as_they_are() {
        let text = |units, digits, is_utc| Moment::new(units, digits, is_utc).to_string();
        assert_eq!(text(1_500, 3, true), "1970-01-01T00:00:01.500000Z");
        assert_eq!(text(-1, 6, false), "1969-12-31T23:59:59.999999");
        assert_eq!(text(1, 9, true), "1970-01-01T00:00:00.000000001Z");
        assert_eq!(text(i64::MAX, 9, true), "2262-04-11T23:47:16.854775807Z");
        drop(text(i64::MIN, 3, true));
    }
}
