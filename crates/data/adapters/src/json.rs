//! Values of JSON, one at a time: the elements of an array, or values one behind the other.
//!
//! What is around the rows is only looked through: that strings, arrays and objects end where they should. Each row
//! itself is parsed by whoever takes it.

use crate::error::AdapterError;
use crate::input::Input;
use crate::limits::{DEPTH_MAX, ROW_BYTES_MAX};

/// Where rows stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shape {
    /// Elements of an array, of which some were read or none.
    Elements { has_some: bool },
    /// One behind the other, with white space between (NDJSON is this).
    Sequence,
    /// The one value that the pointer leads to.
    One,
    /// There are no more.
    Over,
}

/// Reads rows.
pub(crate) struct Values {
    input: Input,
    shape: Shape,
    /// The arrays and objects around the rows, which have to end behind them.
    around: Vec<u8>,
    /// The bytes of the value that was read last.
    pub(crate) value: Vec<u8>,
    /// The line on which it begins.
    pub(crate) line: u64,
}

impl Values {
    /// Goes to where the pointer leads (RFC 6901).
    pub(crate) fn new(input: Input, pointer: Option<&str>) -> Result<Self, AdapterError> {
        let mut values = Self {
            input,
            shape: Shape::Over,
            around: Vec::new(),
            value: Vec::new(),
            line: 1,
        };
        let mut walked = String::new();
        for part in pointer.unwrap_or_default().split('/').skip(1) {
            walked = format!("{walked}/{part}");
            let part = part.replace("~1", "/").replace("~0", "~");
            if values.around.len() >= DEPTH_MAX {
                return Err(values.deep());
            }
            if !values.descend(&part)? {
                return Err(values.fault(format!("there is nothing at {walked}")));
            }
        }
        let is_pointed = !values.around.is_empty();
        values.shape = match values.token()? {
            None if is_pointed => return Err(values.cut()),
            None => Shape::Over,
            Some(b'[') => {
                values.input.skip();
                values.around.push(b'[');
                Shape::Elements { has_some: false }
            }
            Some(_) if is_pointed => Shape::One,
            Some(_) => Shape::Sequence,
        };
        Ok(values)
    }

    /// Reads the next value; false behind the last, once all that is around has ended.
    pub(crate) fn next(&mut self) -> Result<bool, AdapterError> {
        match self.shape {
            Shape::Over => Ok(false),
            Shape::Sequence => {
                let is_there = self.token()?.is_some();
                if is_there {
                    self.keep()?;
                }
                Ok(is_there)
            }
            Shape::One => {
                self.keep()?;
                self.end()?;
                Ok(true)
            }
            Shape::Elements { has_some } => {
                match (self.token()?, has_some) {
                    (Some(b']'), _) => {
                        self.input.skip();
                        self.around.pop();
                        self.end()?;
                        return Ok(false);
                    }
                    (Some(b','), true) => {
                        self.input.skip();
                    }
                    (Some(_), false) => {}
                    (None, _) => return Err(self.cut()),
                    (Some(_), true) => return Err(self.fault("a comma is missing")),
                }
                self.shape = Shape::Elements { has_some: true };
                self.keep()?;
                Ok(true)
            }
        }
    }

    pub(crate) fn fault(&self, fault: impl Into<String>) -> AdapterError {
        self.input.format_fault(self.input.line(), fault)
    }

    pub(crate) fn place(&self) -> &str {
        self.input.place()
    }

    fn cut(&self) -> AdapterError {
        self.fault("ends in the middle")
    }

    fn deep(&self) -> AdapterError {
        let line = self.input.line();
        self.input
            .limit_fault(line, "arrays and objects in each other", DEPTH_MAX)
    }

    /// The next byte that is no white space.
    fn token(&mut self) -> Result<Option<u8>, AdapterError> {
        while let Some(byte) = self.input.peek()? {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Ok(Some(byte));
            }
            self.input.skip();
        }
        Ok(None)
    }

    /// Goes to a member of an object or an element of an array; false if there is none.
    fn descend(&mut self, part: &str) -> Result<bool, AdapterError> {
        let open = self.token()?;
        let Some(open @ (b'{' | b'[')) = open else {
            return open.map(|_| false).ok_or_else(|| self.cut());
        };
        self.input.skip();
        self.around.push(open);
        let mut index = 0_usize;
        loop {
            match self.token()? {
                Some(b'}' | b']') => return Ok(false),
                None => return Err(self.cut()),
                Some(_) => {}
            }
            let is_it = if open == b'{' {
                let name = self.name()?;
                name == part
            } else {
                index += 1;
                (index - 1).to_string() == part
            };
            if is_it {
                return Ok(true);
            }
            self.walk(false)?;
            match self.token()? {
                Some(b',') => self.input.skip(),
                Some(b'}' | b']') => {}
                _ => return Err(self.fault("a comma is missing")),
            }
        }
    }

    /// The name of a member, and the colon behind it.
    fn name(&mut self) -> Result<String, AdapterError> {
        if self.token()? != Some(b'"') {
            return Err(self.fault("the name of a member is missing"));
        }
        self.walk(true)?;
        let name = serde_json::from_slice(&self.value);
        let name = name.map_err(|error| self.fault(words(&error)))?;
        if self.token()? != Some(b':') {
            return Err(self.fault("a colon is missing"));
        }
        self.input.skip();
        Ok(name)
    }

    /// Reads a value and keeps it.
    fn keep(&mut self) -> Result<(), AdapterError> {
        if self.token()?.is_none() {
            return Err(self.cut());
        }
        self.line = self.input.line();
        self.walk(true)
    }

    /// Goes through a value: a string, a number or word, or all that is between brackets.
    fn walk(&mut self, is_kept: bool) -> Result<(), AdapterError> {
        let line = self.input.line();
        let mut depth = 0_usize;
        self.value.clear();
        loop {
            let Some(byte) = self.input.peek()? else {
                let is_word = depth == 0 && !self.value.is_empty();
                return if is_word { Ok(()) } else { Err(self.cut()) };
            };
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => {
                    return Ok(());
                }
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth > DEPTH_MAX {
                return Err(self.deep());
            }
            self.input.skip();
            self.value.push(byte);
            if byte == b'"' {
                self.string(line, is_kept)?;
            }
            self.check_length(line, is_kept)?;
            if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
                return Ok(());
            }
        }
    }

    /// Goes through a string behind its first quote.
    fn string(&mut self, line: u64, is_kept: bool) -> Result<(), AdapterError> {
        loop {
            let run = self.input.run(|byte| matches!(byte, b'"' | b'\\'))?;
            self.value.extend(run);
            self.check_length(line, is_kept)?;
            let Some(byte) = self.input.next()? else {
                return Err(self.cut());
            };
            self.value.push(byte);
            match byte {
                b'"' => return Ok(()),
                b'\n' => return Err(self.input.format_fault(line, "a string is not closed")),
                b'\\' => {
                    let escaped = self.input.next()?;
                    self.value.extend(escaped);
                }
                _ => {}
            }
        }
    }

    fn check_length(&mut self, line: u64, is_kept: bool) -> Result<(), AdapterError> {
        if self.value.len() <= ROW_BYTES_MAX {
            return Ok(());
        }
        if is_kept {
            return Err(self
                .input
                .limit_fault(line, "too many bytes in a row", ROW_BYTES_MAX));
        }
        self.value.clear();
        // It is not empty, so that a word is seen to be one.
        self.value.push(b'.');
        Ok(())
    }

    /// Goes through what is behind the rows, to its end.
    fn end(&mut self) -> Result<(), AdapterError> {
        self.shape = Shape::Over;
        while let Some(open) = self.around.last().copied() {
            match self.token()? {
                Some(b'}') if open == b'{' => {
                    self.input.skip();
                    self.around.pop();
                }
                Some(b']') if open == b'[' => {
                    self.input.skip();
                    self.around.pop();
                }
                Some(b',' | b':') => self.input.skip(),
                Some(b'}' | b']') => return Err(self.fault("a bracket closes another")),
                Some(_) => {
                    // What a row was in is not overwritten while it is used: it is put back.
                    let value = std::mem::take(&mut self.value);
                    let walked = self.walk(false);
                    self.value = value;
                    walked?;
                }
                None => return Err(self.cut()),
            }
        }
        match self.token()? {
            None => Ok(()),
            Some(_) => Err(self.fault("there is more behind the end")),
        }
    }
}

/// What the parser says, without its own line and column, which are those of the row.
pub(crate) fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}
