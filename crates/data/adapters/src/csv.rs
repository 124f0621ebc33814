//! Records of CSV, one at a time: RFC 4180, with the delimiter of one's choice.
//!
//! Stricter than most readers where they guess: a quote that is not closed, and what stands behind one that
//! is, are errors. A quote within a field that does not begin with one is a character like others.

use crate::error::AdapterError;
use crate::input::Input;
use crate::limits::{COLUMNS_MAX, ROW_BYTES_MAX};

/// A record: its fields, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The fields without quotes.
    pub(crate) text: String,
    /// Where each field ends, and whether it was quoted.
    ends: Vec<(usize, bool)>,
    /// The line on which it begins.
    pub(crate) line: u64,
}

impl Record {
    /// How many fields there are.
    pub(crate) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where a field is in the text, and whether it was quoted.
    pub(crate) fn field(&self, at: usize) -> Option<(usize, usize, bool)> {
        let start = match at.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before)?.0,
        };
        let (end, is_quoted) = *self.ends.get(at)?;
        Some((start, end, is_quoted))
    }

    /// The fields, and whether each was quoted.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, bool)> {
        (0..self.len()).map_while(|at| {
            let (start, end, is_quoted) = self.field(at)?;
            Some((self.text.get(start..end)?, is_quoted))
        })
    }
}

/// Reads the next record; false at the end. Lines without a byte are none.
pub(crate) fn read(
    input: &mut Input,
    delimiter: u8,
    record: &mut Record,
) -> Result<bool, AdapterError> {
    record.ends.clear();
    let mut bytes = std::mem::take(&mut record.text).into_bytes();
    bytes.clear();
    record.line = input.line();
    while let Some(byte @ (b'\n' | b'\r')) = input.peek()? {
        input.skip();
        if byte == b'\r' && !matches!(input.peek()?, None | Some(b'\n')) {
            bytes.push(byte);
            break;
        }
        record.line = input.line();
    }
    if input.peek()?.is_none() && bytes.is_empty() {
        return Ok(false);
    }
    loop {
        let start = record.ends.last().map_or(0, |end| end.0);
        let is_quoted = bytes.len() == start && input.peek()? == Some(b'"');
        let is_last = if is_quoted {
            quoted(input, delimiter, &mut bytes)?
        } else {
            plain(input, delimiter, &mut bytes)?
        };
        record.ends.push((bytes.len(), is_quoted));
        if record.len() > COLUMNS_MAX {
            return Err(input.limit_fault(record.line, "too many fields", COLUMNS_MAX));
        }
        if is_last {
            break;
        }
    }
    let line = record.line;
    record.text =
        String::from_utf8(bytes).map_err(|_error| input.format_fault(line, "is no UTF-8"))?;
    Ok(true)
}

/// A field without quotes around it. Returns whether it is the last of its record.
fn plain(input: &mut Input, delimiter: u8, bytes: &mut Vec<u8>) -> Result<bool, AdapterError> {
    let line = input.line();
    loop {
        let run = input.run(|byte| byte == delimiter || byte == b'\r')?;
        bytes.extend(run);
        check_length(input, line, bytes)?;
        match input.next()? {
            None | Some(b'\n') => return Ok(true),
            Some(b'\r') => {
                if matches!(input.peek()?, None | Some(b'\n')) {
                    input.skip();
                    return Ok(true);
                }
                bytes.push(b'\r');
            }
            Some(byte) if byte == delimiter => return Ok(false),
            // The first byte of what was read next.
            Some(byte) => bytes.push(byte),
        }
    }
}

/// A field in quotes. Returns whether it is the last of its record.
fn quoted(input: &mut Input, delimiter: u8, bytes: &mut Vec<u8>) -> Result<bool, AdapterError> {
    let line = input.line();
    input.skip();
    loop {
        let run = input.run(|byte| byte == b'"')?;
        bytes.extend(run);
        check_length(input, line, bytes)?;
        match input.next()? {
            None => return Err(input.format_fault(line, "a quote is not closed")),
            Some(b'"') if input.peek()? == Some(b'"') => {
                input.skip();
                bytes.push(b'"');
            }
            Some(b'"') => break,
            Some(byte) => bytes.push(byte),
        }
    }
    let line = input.line();
    match input.next()? {
        None | Some(b'\n') => Ok(true),
        Some(b'\r') if matches!(input.peek()?, None | Some(b'\n')) => {
            input.skip();
            Ok(true)
        }
        Some(byte) if byte == delimiter => Ok(false),
        Some(_) => Err(input.format_fault(line, "a closing quote stands within a field")),
    }
}

fn check_length(input: &Input, line: u64, bytes: &[u8]) -> Result<(), AdapterError> {
    if bytes.len() > ROW_BYTES_MAX {
        return Err(input.limit_fault(line, "too many bytes in a row", ROW_BYTES_MAX));
    }
    Ok(())
}
