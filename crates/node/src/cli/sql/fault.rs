//! How errors of statements are told: with the place, for people and for programs.

use allod_sql::{Limit, SqlError};
use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use crate::cli::sql::script::Piece;

/// Characters of a line that are shown on each side of the place.
const SIDE_CHARS: usize = 50;

/// An error of a statement, in words or as JSON.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// The error of a statement as it is told: for programs as an object, for people with the line and a
/// mark below the place.
pub(crate) fn told(error: &SqlError, piece: &Piece, json: bool) -> anyhow::Error {
    let place = error.offset().and_then(|offset| Place::of(piece, offset));
    if json {
        let mut value = json!({ "code": error.code(), "message": error.to_string() });
        if let Some(place) = &place {
            value["offset"] = json!(place.offset);
            value["line"] = json!(place.line);
            value["column"] = json!(place.before.chars().count() + 1);
        }
        return Told(value.to_string()).into();
    }
    let mut text = format!("{error} ({})", error.code());
    text += match error {
        SqlError::Limit(Limit::Time) => "; --timeout allows more",
        SqlError::Limit(Limit::Rows) => "; --max-rows allows more",
        _ => "",
    };
    if let Some(place) = place {
        text += &place.shown();
    } else if piece.line > 1 {
        text += &format!("\n  in the statement on line {}", piece.line);
    }
    Told(text).into()
}

/// A place in a text.
struct Place<'a> {
    /// In bytes of the statement.
    offset: usize,
    /// The number of its line.
    line: usize,
    before: &'a str,
    behind: &'a str,
}

impl<'a> Place<'a> {
    fn of(piece: &'a Piece, offset: usize) -> Option<Self> {
        let sql = &piece.sql;
        let offset = sql.floor_char_boundary(offset);
        let (before, behind) = sql.split_at_checked(offset)?;
        Some(Self {
            offset,
            line: piece.line + before.matches('\n').count(),
            before: before.rsplit('\n').next()?,
            behind: behind.split('\n').next()?,
        })
    }

    /// The line, and a mark below.
    fn shown(&self) -> String {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let skipped = self.before.chars().count().saturating_sub(SIDE_CHARS);
        let mut before: String = self.before.chars().skip(skipped).map(plain).collect();
        if skipped > 0 {
            before.insert_str(0, "...");
        }
        let mut behind: String = self.behind.chars().take(SIDE_CHARS).map(plain).collect();
        if self.behind.chars().count() > SIDE_CHARS {
            behind += "...";
        }
        let number = self.line.to_string();
        let (margin, left) = (" ".repeat(number.len()), " ".repeat(before.width()));
        let line = format!("{before}{behind}");
        format!("\n  {number} | {}\n  {margin} | {left}^", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(sql: &str, line: usize, offset: Option<usize>, json: bool) -> String {
        let error = SqlError::Syntax {
            message: "bad".to_owned(),
            offset,
        };
        let sql = sql.to_owned();
        told(&error, &Piece { sql, line }, json).to_string()
    }

    #[test]
    fn the_mark_stands_below_the_place() {
        assert_eq!(
            words("SELECT\n  '\u{4e2d}', x\nFROM", 9, Some(16), false),
            "bad (E_SQL)\n  10 |   '\u{4e2d}', x\n     |         ^"
        );
        assert_eq!(
            words("SELECT", 1, Some(6), false),
            "bad (E_SQL)\n  1 | SELECT\n    |       ^"
        );
        let long = format!("{}x{}", "a".repeat(80), "b".repeat(80));
        let shown = words(&long, 1, Some(80), false);
        let lines: Vec<&str> = shown.lines().collect();
        let at = lines[2].find('^').unwrap();
        assert_eq!(&lines[1][at..=at], "x");
        assert!(lines[1].contains("...a") && lines[1].ends_with("b..."));
    }

    #[test]
    fn what_has_no_place_is_told_as_well() {
        assert_eq!(words("x", 1, None, false), "bad (E_SQL)");
        assert!(words("x", 7, None, false).ends_with("on line 7"));
        // Within a character, and behind the end.
        assert!(words("\u{fc}", 1, Some(1), false).ends_with("| ^"));
        assert!(words("x", 1, Some(100), false).ends_with("|  ^"));
    }

    #[test]
    fn programs_get_an_object() {
        let told = words("a\nb\u{fc}c", 3, Some(5), true);
        let value: serde_json::Value = serde_json::from_str(&told).unwrap();
        let expected =
            json!({ "code": "E_SQL", "message": "bad", "offset": 5, "line": 4, "column": 3 });
        assert_eq!(value, expected);
    }
}
