//! Dates and times as records have them: RFC 3339 with an offset (TYPE, "Definitions").

use crate::timestamp::{read, spell};

/// Microseconds of a minute.
const MINUTE: i64 = 60_000_000;

/// Reads a date and time of RFC 3339 with an offset, of the years 0001 to 9999, to the microsecond:
/// microseconds since 1970-01-01T00:00:00Z. A leap second is none.
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (clock, minutes) = match text.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let (clock, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            (clock, offset_of(offset)?)
        }
    };
    // Four digits of a year, and both parts.
    let is = |at: usize, byte: u8| {
        let found = clock.as_bytes().get(at);
        found.is_some_and(|found| found.eq_ignore_ascii_case(&byte))
    };
    let has_shape = is(4, b'-') && is(10, b't') && !clock.starts_with("0000");
    let utc = has_shape.then(|| read(&format!("{}Z", clock.to_ascii_uppercase())))??;
    Some(utc - minutes * MINUTE)
}

/// The minutes of `+hh:mm` or `-hh:mm`.
fn offset_of(text: &str) -> Option<i64> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let number = |text: &str, end: i64| -> Option<i64> {
        let is_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_digits.then(|| text.parse().ok())??;
        (number < end).then_some(number)
    };
    let minutes = number(hours, 24)? * 60 + number(minutes, 60)?;
    match text.as_bytes().first()? {
        b'+' => Some(minutes),
        b'-' => Some(-minutes),
        _ => None,
    }
}

/// The one spelling of a timestamp: in UTC, with no more digits of a fraction than it needs.
#[must_use]
pub fn format_timestamp(micros: i64) -> String {
    spell(micros)
}
