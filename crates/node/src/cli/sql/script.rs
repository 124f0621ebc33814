//! Statements one after the other, from an argument or from standard input as it comes.

use std::io::Read;

use allod_sql::{Limit, SqlError};
use anyhow::{Context as _, Result};

use crate::cli::sql::fault::told;
use crate::cli::sql::split;

/// Bytes that are read at a time: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// A statement, and the line that it begins on.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) sql: String,
    pub(crate) line: usize,
}

/// A text of statements. No more of it is kept than the statement that comes next.
#[derive(Debug)]
pub(crate) struct Script {
    rest: Vec<u8>,
    is_over: bool,
    line: usize,
    /// The longest statement, in bytes.
    bytes_max: usize,
}

impl Script {
    /// What standard input has.
    pub(crate) const fn of_input(bytes_max: usize) -> Self {
        Self {
            rest: Vec::new(),
            is_over: false,
            line: 1,
            bytes_max,
        }
    }

    pub(crate) fn of_text(text: &str, bytes_max: usize) -> Self {
        Self {
            rest: text.as_bytes().to_vec(),
            is_over: true,
            ..Self::of_input(bytes_max)
        }
    }

    /// The next statement; `None` behind the last.
    pub(crate) fn next(&mut self, input: &mut dyn Read, json: bool) -> Result<Option<Piece>> {
        loop {
            let end = match split::end(&self.rest) {
                Some(end) => end,
                None if self.is_over => self.rest.len(),
                None if self.rest.len() > self.bytes_max => {
                    let error = SqlError::Limit(Limit::Statement);
                    let piece = Piece {
                        sql: String::new(),
                        line: self.line,
                    };
                    return Err(told(&error, &piece, json));
                }
                None => {
                    self.read(input)?;
                    continue;
                }
            };
            if end == 0 {
                return Ok(None);
            }
            let bytes: Vec<u8> = self.rest.drain(..end).collect();
            let sql = String::from_utf8(bytes)
                .with_context(|| format!("the statement on line {} is no UTF-8", self.line))?;
            let lines = |text: &str| text.matches('\n').count();
            let trimmed = sql.trim_start();
            let next_line = self.line + lines(&sql);
            let line = next_line - lines(trimmed);
            self.line = next_line;
            if !split::is_empty(trimmed) {
                let sql = trimmed.trim_end().to_owned();
                return Ok(Some(Piece { sql, line }));
            }
        }
    }

    fn read(&mut self, input: &mut dyn Read) -> Result<()> {
        let before = self.rest.len();
        self.rest.resize(before + READ_BYTES, 0);
        let read = input.read(self.rest.get_mut(before..).unwrap_or_default());
        let bytes = *read.as_ref().unwrap_or(&0);
        self.rest.truncate(before + bytes);
        match read {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            other => {
                self.is_over = other.context("standard input")? == 0;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, which is as torn as input can be.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn all(mut script: Script, input: &[u8]) -> Result<Vec<(usize, String)>> {
        let mut drops = Drops(input);
        let mut all = Vec::new();
        while let Some(piece) = script.next(&mut drops, false)? {
            all.push((piece.line, piece.sql));
        }
        Ok(all)
    }

    #[test]
    fn statements_come_with_their_lines() {
        let text = "SELECT '\u{fc};\n';;\n\n-- two\nSELECT 2 ; SELECT\n3";
        let expected = [
            (1, "SELECT '\u{fc};\n';"),
            (4, "-- two\nSELECT 2 ;"),
            (5, "SELECT\n3"),
        ]
        .map(|(line, sql)| (line, sql.to_owned()));
        assert_eq!(all(Script::of_text(text, 100), b"").unwrap(), expected);
        assert_eq!(
            all(Script::of_input(100), text.as_bytes()).unwrap(),
            expected
        );
        assert!(all(Script::of_input(100), b" ; -- no").unwrap().is_empty());
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        let long = all(Script::of_input(10), b"SELECT 1234567;").unwrap_err();
        assert!(long.to_string().contains("E_SQL_LIMIT"), "{long}");
        let bytes = all(Script::of_input(100), b"SELECT 1;\nSELECT '\xff'").unwrap_err();
        assert!(bytes.to_string().contains("line 1"), "{bytes}");
    }
}
