//! Bytes one by one, with the line that they stand on.

use std::io::{ErrorKind, Read};

use crate::error::{AdapterError, SourceError};
use crate::limits::READ_BYTES;

/// What a text in UTF-8 may begin with, to say that it is one.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of a source.
pub(crate) struct Input {
    place: String,
    reader: Box<dyn Read>,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    line: u64,
}

impl Input {
    /// Reads from a source that was opened. The mark that UTF-8 may begin with is no part of it.
    pub(crate) fn new(place: String, reader: Box<dyn Read>) -> Result<Self, AdapterError> {
        let mut input = Self {
            place,
            reader,
            buffer: vec![0; READ_BYTES],
            at: 0,
            end: 0,
            line: 1,
        };
        while input.end < MARK.len() && input.fill()? {}
        if input
            .buffer
            .get(..input.end)
            .unwrap_or_default()
            .starts_with(MARK)
        {
            input.at = MARK.len();
        }
        Ok(input)
    }

    /// Reads more behind what there is; false at the end.
    fn fill(&mut self) -> Result<bool, AdapterError> {
        if self.at == self.end {
            (self.at, self.end) = (0, 0);
        }
        loop {
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.reader.read(free) {
                Ok(bytes) => {
                    self.end += bytes;
                    return Ok(bytes > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.source_fault(error.into())),
            }
        }
    }

    /// The next byte, which stays; `None` at the end.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, AdapterError> {
        if self.at == self.end && !self.fill()? {
            return Ok(None);
        }
        Ok(self.buffer.get(self.at).copied())
    }

    /// Goes on behind the byte that [`peek`](Self::peek) gave.
    #[inline]
    pub(crate) fn skip(&mut self) {
        if self.buffer.get(self.at) == Some(&b'\n') {
            self.line += 1;
        }
        self.at = (self.at + 1).min(self.end);
    }

    /// The next byte; `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<u8>, AdapterError> {
        let byte = self.peek()?;
        self.skip();
        Ok(byte)
    }

    /// What is at hand up to the first of these bytes, none of which ends a line.
    pub(crate) fn run(&mut self, is_end: impl Fn(u8) -> bool) -> Result<&[u8], AdapterError> {
        self.peek()?;
        let rest = self.buffer.get(self.at..self.end).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n' || is_end(*byte));
        let length = length.unwrap_or(rest.len());
        let start = self.at;
        self.at += length;
        Ok(self.buffer.get(start..self.at).unwrap_or_default())
    }

    /// The line of the next byte, from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    /// The source, as errors name it.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn source_fault(&self, error: SourceError) -> AdapterError {
        AdapterError::Source {
            place: self.place.clone(),
            error,
        }
    }

    pub(crate) fn format_fault(&self, line: u64, fault: impl Into<String>) -> AdapterError {
        AdapterError::Format {
            place: self.place.clone(),
            line,
            fault: fault.into(),
        }
    }

    pub(crate) fn limit_fault(&self, line: u64, what: &'static str, most: usize) -> AdapterError {
        AdapterError::Limit {
            place: self.place.clone(),
            line,
            what,
            most,
        }
    }
}
