//! Rows as a table for people.

use allod::shown::hex;
use allod::shown::real_text;
use allod_sql::Scalar;
use anyhow::Result;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::cli::sql::format::Sink;

/// Rows that are kept to find out how wide columns are; those that follow fit or are cut.
const ROWS_KEPT: usize = 1000;

/// The widest that a text is shown, in cells of the terminal: two columns of texts fit side by side.
const CELLS_MAX: usize = 50;

/// Texts that come once widths are known are not cut below this, or nothing could be read.
const CELLS_MIN: usize = 8;

/// How null is shown, as elsewhere on this command line.
const NULL: &str = "-";

/// A value as it is shown.
#[derive(Debug)]
struct Cell {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Null,
    Number,
    Other,
}

/// Columns below their names; numbers on the right.
#[derive(Debug)]
pub(crate) struct Table {
    /// Whether another table is above.
    is_below: bool,
    names: Vec<String>,
    waiting: Vec<Vec<Cell>>,
    /// How wide each column is and whether it has numbers, once that is known.
    columns: Option<Vec<(usize, bool)>>,
}

impl Table {
    /// A table, with another one above it or not.
    pub(crate) const fn new(is_below: bool) -> Self {
        Self {
            is_below,
            names: Vec::new(),
            waiting: Vec::new(),
            columns: None,
        }
    }

    /// Finds out how wide columns are, and writes what waited for that.
    fn begin_rows(&mut self, out: &mut Vec<u8>) {
        if self.columns.is_some() || self.names.is_empty() {
            return;
        }
        let columns: Vec<(usize, bool)> = (0..self.names.len()).map(|at| self.column(at)).collect();
        if self.is_below {
            out.push(b'\n');
        }
        let names = self.names.iter().map(|name| (name.as_str(), Kind::Other));
        line(names, &columns, out);
        let rules: Vec<String> = columns
            .iter()
            .map(|(width, _)| "-".repeat(*width))
            .collect();
        line(
            rules.iter().map(|rule| (rule.as_str(), Kind::Other)),
            &columns,
            out,
        );
        for row in std::mem::take(&mut self.waiting) {
            line(
                row.iter().map(|cell| (cell.text.as_str(), cell.kind)),
                &columns,
                out,
            );
        }
        self.columns = Some(columns);
    }

    fn column(&self, at: usize) -> (usize, bool) {
        let name = self.names.get(at).map_or(0, |name| name.width());
        let cells = || self.waiting.iter().filter_map(|row| row.get(at));
        let width = cells().map(|cell| cell.text.width()).max().unwrap_or(0);
        let has = |kind| cells().any(|cell| cell.kind == kind);
        (name.max(width), has(Kind::Number) && !has(Kind::Other))
    }
}

impl Sink for Table {
    fn begin(&mut self, names: &[String], _out: &mut Vec<u8>) -> Result<()> {
        self.names = names.iter().map(|name| shown(name)).collect();
        Ok(())
    }

    fn row(&mut self, row: &[Scalar], out: &mut Vec<u8>) -> Result<()> {
        let cells: Vec<Cell> = row.iter().map(cell).collect();
        if let Some(columns) = &self.columns {
            line(
                cells.iter().map(|cell| (cell.text.as_str(), cell.kind)),
                columns,
                out,
            );
            return Ok(());
        }
        self.waiting.push(cells);
        if self.waiting.len() >= ROWS_KEPT {
            self.begin_rows(out);
        }
        Ok(())
    }

    fn end(&mut self, _are_all: bool, out: &mut Vec<u8>) -> Result<()> {
        self.begin_rows(out);
        Ok(())
    }
}

/// Writes a line of cells.
fn line<'a>(
    cells: impl Iterator<Item = (&'a str, Kind)>,
    columns: &[(usize, bool)],
    out: &mut Vec<u8>,
) {
    let mut text = String::new();
    for (at, ((cell, kind), (width, is_number))) in cells.zip(columns).enumerate() {
        if at > 0 {
            text.push_str("  ");
        }
        // A number that is cut is another number.
        let cell = match kind {
            Kind::Number => cell.to_owned(),
            Kind::Null | Kind::Other => cut(cell, (*width).max(CELLS_MIN)),
        };
        let space = " ".repeat(width.saturating_sub(cell.width()));
        if *is_number {
            text.push_str(&space);
        }
        text.push_str(&cell);
        if !is_number {
            text.push_str(&space);
        }
    }
    out.extend(text.trim_end().as_bytes());
    out.push(b'\n');
}

fn cell(value: &Scalar) -> Cell {
    let (text, kind) = match value {
        Scalar::Null => (NULL.to_owned(), Kind::Null),
        Scalar::Integer(number) => (number.to_string(), Kind::Number),
        Scalar::Real(number) => (real_text(*number), Kind::Number),
        Scalar::Text(text) => (shown(text), Kind::Other),
        Scalar::Blob(bytes) => {
            // A byte takes two cells.
            let start = bytes.get(..bytes.len().min(CELLS_MAX)).unwrap_or_default();
            (shown(&format!("x'{}'", hex(start))), Kind::Other)
        }
    };
    Cell { text, kind }
}

/// A value as a short text, as tables show it.
pub(crate) fn text(value: &Scalar) -> String {
    cell(value).text
}

/// A text on one line that changes nothing about the terminal, and is not too long.
fn shown(text: &str) -> String {
    let mut plain = String::new();
    // What is beyond would be cut.
    for c in text.chars().take(CELLS_MAX + 1) {
        match c {
            '\n' | '\t' | '\r' => plain.extend(c.escape_default()),
            c if c.is_control() => plain.extend(c.escape_unicode()),
            c => plain.push(c),
        }
    }
    cut(&plain, CELLS_MAX)
}

/// A text of at most so many cells.
pub(crate) fn cut(text: &str, cells: usize) -> String {
    const MARK: &str = "...";
    if text.width() <= cells {
        return text.to_owned();
    }
    let mut room = cells.saturating_sub(MARK.len());
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= room;
        room = room.saturating_sub(width);
        fits
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push_str(MARK);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(names: &[&str], rows: Vec<Vec<Scalar>>) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (mut table, mut out) = (Table::new(false), Vec::new());
        table.begin(&names, &mut out).unwrap();
        for row in rows {
            table.row(&row, &mut out).unwrap();
        }
        table.end(true, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn numbers_stand_on_the_right() {
        let rows = vec![
            vec!["\u{4e2d}\u{6587}".into(), 5.into(), 1.into(), "x".into()],
            vec![
                "a\n\u{1b}[2J".into(),
                Scalar::Null,
                "1".into(),
                Scalar::Null,
            ],
            vec![vec![1, 171].into(), (-1.5).into(), 2.into(), "".into()],
        ];
        assert_eq!(
            drawn(&["text", "n", "mixed", "last"], rows),
            [
                "text             n  mixed  last",
                "------------  ----  -----  ----",
                "\u{4e2d}\u{6587}             5  1      x",
                "a\\n\\u{1b}[2J     -  1      -",
                "x'01ab'       -1.5  2",
            ]
            .map(str::to_owned)
        );
        assert_eq!(drawn(&["a", "b"], Vec::new()), ["a  b", "-  -"]);
        assert!(drawn(&[], Vec::new()).is_empty());
    }

    #[test]
    fn long_texts_are_cut_and_numbers_are_not() {
        let long = "\u{fc}".repeat(51);
        let lines = drawn(&["t"], vec![vec![long.into()], vec!["b".repeat(50).into()]]);
        assert_eq!(lines[2], format!("{}...", "\u{fc}".repeat(47)));
        assert_eq!(lines[3], "b".repeat(50));
        // Half of a wide character is none.
        assert_eq!(cut("\u{4e2d}\u{6587}\u{5b57}", 5), "\u{4e2d}...");

        let mut rows: Vec<Vec<Scalar>> = vec![vec!["ab".into(), 1.into()]; ROWS_KEPT];
        rows.push(vec!["abcdefghij".into(), i64::MAX.into()]);
        let lines = drawn(&["t", "n"], rows);
        assert_eq!(lines[2 + ROWS_KEPT], "abcde...  9223372036854775807");
    }
}
