//! Paths and times in plain English.

use std::fmt;

use allod_identity::AgentId;

use crate::graph::{Path, Tie};

/// A path with the names that somebody has for agents.
pub(crate) struct Words<'a, N> {
    pub(crate) path: &'a Path,
    pub(crate) name: N,
}

impl<N: Fn(&AgentId) -> String> fmt::Display for Words<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut from = (self.name)(&self.path.from);
        if self.path.steps.is_empty() {
            return f.write_str(&from);
        }
        for (at, step) in self.path.steps.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            let (to, since) = (
                (self.name)(&step.to),
                Day {
                    time_ms: step.since,
                },
            );
            match step.tie {
                Tie::Relationship => {
                    let (level, kind) = (step.level.name(), &step.says);
                    write!(
                        f,
                        "{from} and {to} have a relationship of level {level} ({kind}) since {since}"
                    )?;
                }
                Tie::Vouch => {
                    let claim = &step.says;
                    write!(f, "{from} vouches for {to} since {since}: \"{claim}\"")?;
                }
            }
            from = to;
        }
        Ok(())
    }
}

/// The day of a time, as `2026-05-03`, in the calendar that is used everywhere, without regard to where one is.
pub(crate) struct Day {
    pub(crate) time_ms: u64,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Days in 400 years, after which the calendar repeats; in 100 and in 4 years, where a leap day falls at the end.
const DAYS_400: u64 = 146_097;
const DAYS_100: u64 = 36_524;
const DAYS_4: u64 = 1_461;

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_BEFORE: u64 = 719_468;

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Years that begin in March have their leap day at the end.
        let days = self.time_ms / DAY_MS + DAYS_BEFORE;
        let (cycle, rest) = (days / DAYS_400, days % DAYS_400);
        let century = (rest / DAYS_100).min(3);
        let rest = rest - century * DAYS_100;
        let (four, rest) = (rest / DAYS_4, rest % DAYS_4);
        let year = (rest / 365).min(3);
        let day = rest - year * 365;
        // Months from March on have 31, 30, 31, 30, 31 days, and again.
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        let year = cycle * 400 + century * 100 + four * 4 + year + next;
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(days: u64) -> String {
        let time_ms = days * DAY_MS;
        Day { time_ms }.to_string()
    }

    /// Counts days one by one, as a calendar on the wall has them.
    #[test]
    fn days_follow_each_other_as_in_a_calendar() {
        let (mut year, mut month, mut date) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(day(days), format!("{year:04}-{month:02}-{date:02}"));
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            date += 1;
            if date > length {
                (month, date) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!(Day { time_ms: 0 }.to_string(), "1970-01-01");
        let latest = (1 << 48) - 1;
        assert_eq!(Day { time_ms: latest }.to_string(), "10889-08-02");
    }
}
