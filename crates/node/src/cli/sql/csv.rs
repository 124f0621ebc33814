//! Rows as CSV, by RFC 4180.

use allod::shown::hex;
use allod::shown::real_text;
use allod_sql::Scalar;
use anyhow::Result;
use csv::{Terminator, Writer, WriterBuilder};

use crate::cli::sql::format::Sink;

/// Bytes that are put together at a time: most rows are shorter.
const BUFFER_BYTES: usize = 512;

/// Lines end with CR and LF; null is an empty field, bytes are base16.
#[derive(Debug)]
pub(crate) struct Csv;

impl Csv {
    pub(crate) const fn new() -> Self {
        Self
    }

    fn record(fields: impl Iterator<Item = String>, out: &mut Vec<u8>) -> Result<()> {
        let mut writer: Writer<_> = WriterBuilder::new()
            .terminator(Terminator::CRLF)
            .buffer_capacity(BUFFER_BYTES)
            .from_writer(out);
        writer.write_record(fields)?;
        Ok(writer.flush()?)
    }
}

impl Sink for Csv {
    fn begin(&mut self, names: &[String], out: &mut Vec<u8>) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        Self::record(names.iter().cloned(), out)
    }

    fn row(&mut self, row: &[Scalar], out: &mut Vec<u8>) -> Result<()> {
        let field = |value: &Scalar| match value {
            Scalar::Null => String::new(),
            Scalar::Integer(number) => number.to_string(),
            Scalar::Real(number) => real_text(*number),
            Scalar::Text(text) => text.clone(),
            Scalar::Blob(bytes) => hex(bytes),
        };
        Self::record(row.iter().map(field), out)
    }

    fn end(&mut self, _are_all: bool, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}
