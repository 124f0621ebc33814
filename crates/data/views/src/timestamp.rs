//! Timestamps as dates and times of UTC, and their one spelling (VIEW-11).

use std::fmt;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Of 400 years, after which the calendar begins again.
const DAYS_OF_ERA: i64 = 146_097;

/// From the first of March of the year 0 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// The most digits of a year: that of the last timestamp has six.
const YEAR_DIGITS_MAX: usize = 6;

/// A day of the Gregorian calendar, also of the time before it was in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

/// A time of a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Time {
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    micros: i64,
}

impl Date {
    pub(crate) const fn of(timestamp: i64) -> Self {
        // Years that begin in March have the day that may be missing at their end.
        let days = timestamp.div_euclid(DAY) + EPOCH;
        let (era, day) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let is_next_year = month >= 10;
        Self {
            year: 400 * era + year + is_next_year as i64,
            month: if is_next_year { month - 9 } else { month + 3 },
            day: day - (153 * month + 2) / 5 + 1,
        }
    }

    /// Days since 1970-01-01. Of a day that the month does not have: that of a later month.
    const fn days(self) -> i64 {
        let is_next_year = self.month <= 2;
        let year = self.year - is_next_year as i64;
        let month = if is_next_year {
            self.month + 9
        } else {
            self.month - 3
        };
        let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
        let day = (153 * month + 2) / 5 + self.day - 1;
        DAYS_OF_ERA * era + 365 * year + year / 4 - year / 100 + day - EPOCH
    }
}

impl Time {
    pub(crate) const fn of(timestamp: i64) -> Self {
        let micros = timestamp.rem_euclid(DAY);
        let seconds = micros / SECOND;
        Self {
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: micros % SECOND,
        }
    }

    const fn micros(self) -> i64 {
        (self.hour * 3600 + self.minute * 60 + self.second) * SECOND + self.micros
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            0..=9999 => write!(f, "{:04}", self.year)?,
            10_000.. => write!(f, "+{}", self.year)?,
            _ => write!(f, "-{:04}", self.year.unsigned_abs())?,
        }
        write!(f, "-{:02}-{:02}", self.month, self.day)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)?;
        if self.micros == 0 {
            return Ok(());
        }
        let digits = format!("{:06}", self.micros);
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

/// The one spelling of a timestamp.
pub(crate) fn spell(timestamp: i64) -> String {
    format!("{}T{}Z", Date::of(timestamp), Time::of(timestamp))
}

/// The timestamp of its spelling, which may have zeros at the end of its fraction.
pub(crate) fn read(text: &str) -> Option<i64> {
    let body = text.strip_suffix('Z')?;
    let (date, clock) = body.split_once('T')?;
    let (is_past, days) = match date.strip_prefix('-') {
        Some(days) => (true, days),
        None => (false, date.strip_prefix('+').unwrap_or(date)),
    };
    let mut parts = days.split('-').map(digits);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let year = if is_past { -year } else { year };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':').map(digits);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    digits(fraction)?;
    let date = Date { year, month, day };
    let time = Time {
        hour,
        minute,
        second,
        micros: digits(&format!("{fraction:0<6}"))?,
    };
    let micros = i128::from(date.days()) * i128::from(DAY) + i128::from(time.micros());
    let timestamp = i64::try_from(micros).ok()?;
    let kept = if body.contains('.') {
        body.trim_end_matches('0').trim_end_matches('.')
    } else {
        body
    };
    // A month, a day, an hour or a spelling that there is not does not come back.
    (spell(timestamp) == format!("{kept}Z")).then_some(timestamp)
}

/// A few digits as a number.
fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty()
        && text.len() <= YEAR_DIGITS_MAX
        && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}
