//! Results as files of columns: Arrow and Parquet (TAB-27).
//!
//! ```text
//! row --note--> kinds of columns
//!     --spool--> rows of any kinds, on the disk
//! finish: kinds are known --batches--> part of a file --rename--> the file
//! ```

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allod_sql::{ResultColumn, Scalar};
use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::{AdapterError, SourceError, shown};
use crate::spool;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Bytes of texts and the like behind which a batch ends even if it has fewer rows: a value may have a
/// mebibyte.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Rows of a row group of Parquet: a reader skips those that it does not want, and a writer has one in memory.
const GROUP_ROWS: usize = 128 * 1024;

/// Bytes of a row group, for the same reason.
const GROUP_BYTES: usize = 64 * 1024 * 1024;

/// A form of files that have columns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ColumnForm {
    /// Arrow, as a file of its IPC format.
    Arrow,
    /// Parquet.
    Parquet,
}

/// What a column of a result is, as far as is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Known {
    /// Only nulls came.
    Nothing,
    Boolean,
    Integer,
    Real,
    Text,
    Blob,
}

impl Known {
    const fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Boolean => "booleans",
            Self::Integer => "whole numbers",
            Self::Real => "numbers",
            Self::Text => "texts",
            Self::Blob => "bytes",
        }
    }
}

/// A column of a result, and what was seen of it.
#[derive(Debug)]
struct Column {
    name: String,
    /// It was declared, so no value changes what it is.
    is_declared: bool,
    known: Known,
    /// A whole number that binary64 does not have, and its row.
    inexact: Option<(i64, u64)>,
}

impl Column {
    fn new(column: &ResultColumn) -> Self {
        let known = match column.declared.as_deref() {
            Some("BOOLEAN") => Known::Boolean,
            Some("INTEGER" | "TIMESTAMP") => Known::Integer,
            Some("REAL") => Known::Real,
            Some("TEXT" | "JSON TEXT") => Known::Text,
            Some("BLOB") => Known::Blob,
            _ => Known::Nothing,
        };
        Self {
            name: column.name.clone(),
            is_declared: known != Known::Nothing,
            known,
            inexact: None,
        }
    }

    /// Sees a value; else why it does not fit.
    fn note(&mut self, value: &Scalar, row: u64) -> Result<(), String> {
        let is = match value {
            Scalar::Null => return Ok(()),
            Scalar::Integer(_) => Known::Integer,
            Scalar::Real(_) => Known::Real,
            Scalar::Text(_) => Known::Text,
            Scalar::Blob(_) => Known::Blob,
        };
        if let Scalar::Integer(number) = value
            && self.inexact.is_none()
            && !is_exact(*number)
        {
            self.inexact = Some((*number, row));
        }
        let known = match (self.known, is) {
            (Known::Boolean, Known::Integer) if matches!(value, Scalar::Integer(0 | 1)) => {
                Known::Boolean
            }
            (Known::Nothing, is) => is,
            (known, is) if known == is => known,
            (Known::Real, Known::Integer) => Known::Real,
            (Known::Integer, Known::Real) if !self.is_declared => Known::Real,
            (known, _) => return Err(format!("{} among {}", described(value), known.words())),
        };
        self.known = known;
        match (known, self.inexact) {
            (Known::Real, Some((number, at))) => Err(format!(
                "{number} in row {at}, which no binary64 is, among numbers with fractions"
            )),
            _ => Ok(()),
        }
    }

    const fn data_type(&self) -> DataType {
        match self.known {
            Known::Boolean => DataType::Boolean,
            Known::Integer => DataType::Int64,
            Known::Real => DataType::Float64,
            Known::Nothing | Known::Text => DataType::Utf8,
            Known::Blob => DataType::Binary,
        }
    }
}

/// Whether a whole number is the same as a binary64.
fn is_exact(number: i64) -> bool {
    // The bits between the first and the last that is set.
    let size = number.unsigned_abs();
    size.checked_ilog2()
        .is_none_or(|high| high - size.trailing_zeros() < f64::MANTISSA_DIGITS)
}

fn described(value: &Scalar) -> String {
    match value {
        Scalar::Null => "null".to_owned(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Real(number) => format!("{number:?}"),
        Scalar::Text(text) => format!("the text {}", shown(text)),
        Scalar::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

/// Writes the rows of one result into a file, which is there when all of it is.
#[derive(Debug)]
pub struct ColumnWriter {
    form: ColumnForm,
    path: PathBuf,
    columns: Vec<Column>,
    spool: BufWriter<File>,
    rows: u64,
}

impl ColumnWriter {
    /// Begins. Columns have names of which none is there twice. What is at the path already is a file, or a
    /// link to one, and stays until all rows were written.
    pub fn new(
        path: &Path,
        form: ColumnForm,
        columns: &[ResultColumn],
    ) -> Result<Self, AdapterError> {
        let path = spool::target(path).map_err(|error| fault(path, form, error))?;
        let spool = spool::open(&path).map_err(|error| fault(&path, form, error))?;
        Ok(Self {
            form,
            path,
            columns: columns.iter().map(Column::new).collect(),
            spool: BufWriter::new(spool),
            rows: 0,
        })
    }

    /// Takes a row. Fails if a value is of another kind than its column.
    pub fn row(&mut self, row: &[Scalar]) -> Result<(), AdapterError> {
        self.rows += 1;
        for (column, value) in self.columns.iter_mut().zip(row) {
            column
                .note(value, self.rows)
                .map_err(|what| AdapterError::Mixed {
                    row: self.rows,
                    column: column.name.clone(),
                    what,
                })?;
        }
        let written = spool::write(&mut self.spool, row);
        written.map_err(|error| fault(&self.path, self.form, error))
    }

    /// Writes the file. Returns how many rows it has.
    pub fn finish(self) -> Result<u64, AdapterError> {
        let (path, form) = (self.path.clone(), self.form);
        self.write().map_err(|error| fault(&path, form, error))
    }

    fn write(self) -> std::io::Result<u64> {
        let mut spool = self.spool.into_inner()?;
        spool.rewind()?;
        let mut spool = BufReader::new(spool);
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| Field::new(column.name.clone(), column.data_type(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let part = spool::Part::new(&self.path)?;
        let mut out = Out::new(self.form, part.file()?, &schema)?;
        let mut builders: Vec<Builder> = self.columns.iter().map(Builder::new).collect();
        let (mut rows, mut bytes) = (0, 0);
        for row in 1..=self.rows {
            for builder in &mut builders {
                bytes += builder.add(spool::read(&mut spool)?);
            }
            rows += 1;
            if rows == BATCH_ROWS || bytes >= BATCH_BYTES || row == self.rows {
                let arrays = builders.iter_mut().map(Builder::finish).collect();
                out.write(&RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(other)?)?;
                (rows, bytes) = (0, 0);
            }
        }
        out.finish()?.sync_all()?;
        part.keep(&self.path)?;
        Ok(self.rows)
    }
}

fn fault(path: &Path, form: ColumnForm, error: std::io::Error) -> AdapterError {
    AdapterError::Source {
        place: format!("{form:?} {}", path.display()),
        error: SourceError::from(error),
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> std::io::Error {
    std::io::Error::other(error)
}

/// A writer of either form.
enum Out {
    Arrow(Box<FileWriter<BufWriter<File>>>),
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
}

impl Out {
    fn new(form: ColumnForm, file: File, schema: &Arc<Schema>) -> std::io::Result<Self> {
        let file = BufWriter::new(file);
        Ok(match form {
            ColumnForm::Arrow => {
                Self::Arrow(Box::new(FileWriter::try_new(file, schema).map_err(other)?))
            }
            ColumnForm::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .set_max_row_group_bytes(Some(GROUP_BYTES))
                    .build();
                let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties));
                Self::Parquet(Box::new(writer.map_err(other)?))
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> std::io::Result<()> {
        match self {
            Self::Arrow(writer) => writer.write(batch).map_err(other),
            Self::Parquet(writer) => writer.write(batch).map_err(other),
        }
    }

    fn finish(self) -> std::io::Result<File> {
        let mut file = match self {
            Self::Arrow(mut writer) => {
                writer.finish().map_err(other)?;
                writer.into_inner().map_err(other)?
            }
            Self::Parquet(writer) => writer.into_inner().map_err(other)?,
        };
        file.flush()?;
        Ok(file.into_inner()?)
    }
}

/// Makes an array of values.
enum Builder {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Real(Float64Builder),
    Text(StringBuilder),
    Blob(BinaryBuilder),
}

impl Builder {
    fn new(column: &Column) -> Self {
        match column.known {
            Known::Boolean => Self::Boolean(BooleanBuilder::new()),
            Known::Integer => Self::Integer(Int64Builder::new()),
            Known::Real => Self::Real(Float64Builder::new()),
            Known::Nothing | Known::Text => Self::Text(StringBuilder::new()),
            Known::Blob => Self::Blob(BinaryBuilder::new()),
        }
    }

    /// Adds a value, of the kind that was noted. Returns how many bytes it has.
    fn add(&mut self, value: Scalar) -> usize {
        match (self, value) {
            (Self::Boolean(builder), Scalar::Integer(flag)) => builder.append_value(flag != 0),
            (Self::Integer(builder), Scalar::Integer(number)) => builder.append_value(number),
            (Self::Real(builder), Scalar::Real(number)) => builder.append_value(number),
            // It was seen to be the same.
            (Self::Real(builder), Scalar::Integer(number)) => builder.append_value(number as f64),
            (Self::Text(builder), Scalar::Text(text)) => {
                builder.append_value(&text);
                return text.len();
            }
            (Self::Blob(builder), Scalar::Blob(bytes)) => {
                builder.append_value(&bytes);
                return bytes.len();
            }
            (Self::Boolean(builder), _) => builder.append_null(),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Real(builder), _) => builder.append_null(),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Blob(builder), _) => builder.append_null(),
        }
        0
    }

    fn finish(&mut self) -> ArrayRef {
        let builder: &mut dyn ArrayBuilder = match self {
            Self::Boolean(builder) => builder,
            Self::Integer(builder) => builder,
            Self::Real(builder) => builder,
            Self::Text(builder) => builder,
            Self::Blob(builder) => builder,
        };
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_that_binary64_has() {
        for number in [
            0,
            1,
            -1,
            1 << 53,
            (1 << 53) + 2,
            i64::MIN,
            1 << 62,
            -(1 << 53),
        ] {
            assert!(is_exact(number), "{number}");
        }
        for number in [(1 << 53) + 1, i64::MAX, i64::MIN + 1, (1 << 60) + 1] {
            assert!(!is_exact(number), "{number}");
        }
    }
}
