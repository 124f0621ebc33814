//! Parquet files as tables (TAB-26).

use std::fmt;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;

use allod_sql::{
    Ask, Column, ColumnSet, Identity, Open, Plan, Rows, Scalar, ScalarRef, Table, TableError,
};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use crate::columns::{OutsideColumn, named};
use crate::error::{AdapterError, SourceError, shown};
use crate::find::Found;
use crate::kept::{self, Keeping};
use crate::kind::Kind;
use crate::moment::{Moment, date};
use crate::source::{FileSource, Marked, Source as _};

/// Rows that are decoded at a time: a few hundred kilobytes of usual ones.
const BATCH_ROWS: usize = 1024;

/// Finds the columns of a Parquet file. They are what the file says: no row is read.
pub fn find_parquet(path: &Path) -> Result<Found, AdapterError> {
    let (_, builder) = open(&FileSource::new(path))?;
    let (mut fields, mut left_out) = (Vec::new(), Vec::new());
    for field in builder.schema().fields() {
        match kind_of(field.data_type()) {
            Some(kind) => fields.push((field.name().clone(), kind)),
            None => left_out.push(format!("{} ({})", shown(field.name()), field.data_type())),
        }
    }
    let rows = builder.metadata().file_metadata().num_rows();
    Ok(Found {
        columns: named(fields)?,
        rows: rows.try_into().unwrap_or_default(),
        left_out,
    })
}

/// What the values of a column are; `None` if there is nothing in a table for them.
fn kind_of(kind: &DataType) -> Option<Kind> {
    Some(match kind {
        DataType::Boolean => Kind::Boolean,
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => Kind::Integer,
        DataType::Float32 | DataType::Float64 => Kind::Real,
        DataType::Utf8
        | DataType::Date32
        | DataType::Decimal128(..)
        | DataType::Timestamp(
            TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
            _,
        ) => Kind::Text,
        DataType::Binary | DataType::FixedSizeBinary(_) => Kind::Bytes,
        _ => return None,
    })
}

fn place(source: &FileSource) -> String {
    format!("Parquet {}", source.place())
}

fn unreadable(source: &FileSource, fault: impl fmt::Display) -> AdapterError {
    AdapterError::Source {
        place: place(source),
        error: SourceError::Unreachable(fault.to_string()),
    }
}

type Builder = ParquetRecordBatchReaderBuilder<std::fs::File>;

fn open(source: &FileSource) -> Result<(Marked, Builder), AdapterError> {
    let fault = |error| AdapterError::Source {
        place: place(source),
        error,
    };
    let marked = source.open_file().map_err(fault)?;
    let file = marked.file().map_err(fault)?;
    // What the file says itself, and not what a program of Arrow noted beside it.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    // Others made the file, and others the reader. Where rows are read, the engine takes a panic for an error.
    let opened =
        catch_unwind(|| ParquetRecordBatchReaderBuilder::try_new_with_options(file, options));
    let opened = opened.map_err(|_panic| unreadable(source, "its reader panicked"))?;
    let builder = opened.map_err(|error| unreadable(source, error))?;
    Ok((marked, builder))
}

/// A table of a Parquet file. Of its columns those are read that a statement asks for.
pub struct ParquetTable {
    source: Arc<FileSource>,
    columns: Vec<OutsideColumn>,
    declared: Vec<Column>,
    keeping: Keeping,
}

impl fmt::Debug for ParquetTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetTable")
            .field("place", &place(&self.source))
            .finish_non_exhaustive()
    }
}

impl ParquetTable {
    /// A table with columns that [`find_parquet`] found.
    #[must_use]
    pub fn new(path: &Path, columns: Vec<OutsideColumn>) -> Self {
        Self {
            source: Arc::new(FileSource::new(path)),
            declared: columns.iter().map(OutsideColumn::column).collect(),
            columns,
            keeping: Keeping::default(),
        }
    }

    fn read(&self, used: ColumnSet) -> Result<Box<dyn Rows>, AdapterError> {
        let (marked, builder) = open(&self.source)?;
        let (mut roots, mut wanted) = (Vec::new(), Vec::new());
        for (at, column) in self.columns.iter().enumerate() {
            if !used.contains(at) {
                continue;
            }
            let mut fields = builder.schema().fields().iter().enumerate();
            let found = fields.find(|(_, field)| field.name() == column.field());
            let Some((root, field)) = found else {
                let fault = format!("the column {} is missing", shown(column.field()));
                return Err(unreadable(&self.source, fault));
            };
            if kind_of(field.data_type()) != Some(column.kind) {
                let (name, kind) = (shown(column.field()), field.data_type());
                let fault = format!("the column {name} is {kind} now, and no {}", column.kind);
                return Err(unreadable(&self.source, fault));
            }
            roots.push(root);
            wanted.push((root, at));
        }
        // Columns come in the order of the file.
        wanted.sort_unstable();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        let reader = builder
            .build()
            .map_err(|error| unreadable(&self.source, error))?;
        Ok(Box::new(BatchRows {
            source: Arc::clone(&self.source),
            marked,
            reader,
            names: self.columns.iter().map(|it| it.name.clone()).collect(),
            wanted: wanted.into_iter().map(|(_, at)| at).collect(),
            batch: (0..self.columns.len()).map(|_| Vec::new()).collect(),
            at: 0,
            length: 0,
            number: 0,
        }))
    }
}

impl Table for ParquetTable {
    fn columns(&self) -> &[Column] {
        &self.declared
    }

    fn identity(&self) -> Identity {
        Identity::Number
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        kept::plan(ask)
    }

    fn open(&self, open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        let all = || Ok(self.read(ColumnSet::ALL)?);
        match self.keeping.lookup(open, self.columns.len(), all)? {
            Some(found) => Ok(found),
            None => Ok(self.read(open.used)?),
        }
    }
}

/// Rows, a batch at a time.
struct BatchRows {
    source: Arc<FileSource>,
    marked: Marked,
    reader: ParquetRecordBatchReader,
    names: Vec<String>,
    /// Which columns of the table the columns of a batch are.
    wanted: Vec<usize>,
    /// The values of each column of the table, if it is wanted.
    batch: Vec<Vec<Scalar>>,
    /// The row behind the one that is given.
    at: usize,
    length: usize,
    number: i64,
}

impl BatchRows {
    fn next_batch(&mut self) -> Result<bool, AdapterError> {
        let Some(batch) = self.reader.next() else {
            return Ok(false);
        };
        let batch: RecordBatch = batch.map_err(|error| unreadable(&self.source, error))?;
        self.marked.check().map_err(|error| AdapterError::Source {
            place: place(&self.source),
            error,
        })?;
        for (column, at) in batch.columns().iter().zip(&self.wanted) {
            let scalars = scalars(column.as_ref()).map_err(|row| AdapterError::Value {
                place: place(&self.source),
                line: self.number.unsigned_abs() + row as u64 + 1,
                column: self.names.get(*at).cloned().unwrap_or_default(),
                value: "a number beyond 63 bits".to_owned(),
                kind: Kind::Integer,
            })?;
            if let Some(place) = self.batch.get_mut(*at) {
                *place = scalars;
            }
        }
        (self.at, self.length) = (0, batch.num_rows());
        Ok(true)
    }
}

impl Rows for BatchRows {
    fn next(&mut self) -> Result<bool, TableError> {
        while self.at == self.length {
            if !self.next_batch()? {
                return Ok(false);
            }
        }
        self.at += 1;
        self.number += 1;
        Ok(true)
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        let row = self.at.checked_sub(1);
        let value = row.and_then(|row| self.batch.get(index)?.get(row));
        Ok(value.map_or(ScalarRef::Null, Scalar::borrow))
    }

    fn row_id(&self) -> i64 {
        self.number
    }
}

fn numbers<T: ArrowPrimitiveType>(
    array: &dyn Array,
    of: impl Fn(T::Native) -> Scalar,
) -> Vec<Scalar> {
    let values = array.as_primitive::<T>().iter();
    values.map(|it| it.map_or(Scalar::Null, &of)).collect()
}

fn all<T>(values: impl Iterator<Item = Option<T>>, of: impl Fn(T) -> Scalar) -> Vec<Scalar> {
    values.map(|it| it.map_or(Scalar::Null, &of)).collect()
}

/// The values of a column; else the row of one that no number of a table is.
fn scalars(array: &dyn Array) -> Result<Vec<Scalar>, usize> {
    Ok(match array.data_type() {
        DataType::Boolean => all(array.as_boolean().iter(), |it| i64::from(it).into()),
        DataType::Int8 => numbers::<Int8Type>(array, |it| i64::from(it).into()),
        DataType::Int16 => numbers::<Int16Type>(array, |it| i64::from(it).into()),
        DataType::Int32 => numbers::<Int32Type>(array, |it| i64::from(it).into()),
        DataType::Int64 => numbers::<Int64Type>(array, Scalar::Integer),
        DataType::UInt8 => numbers::<UInt8Type>(array, |it| i64::from(it).into()),
        DataType::UInt16 => numbers::<UInt16Type>(array, |it| i64::from(it).into()),
        DataType::UInt32 => numbers::<UInt32Type>(array, |it| i64::from(it).into()),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().iter().enumerate();
            let value = |(row, it): (usize, Option<u64>)| match it.map(i64::try_from) {
                None => Ok(Scalar::Null),
                Some(Ok(number)) => Ok(Scalar::Integer(number)),
                Some(Err(_)) => Err(row),
            };
            return values.map(value).collect();
        }
        DataType::Float32 => numbers::<Float32Type>(array, |it| f64::from(it).into()),
        DataType::Float64 => numbers::<Float64Type>(array, Scalar::Real),
        DataType::Utf8 => all(array.as_string::<i32>().iter(), Scalar::from),
        DataType::Binary => all(array.as_binary::<i32>().iter(), |it| it.to_vec().into()),
        DataType::FixedSizeBinary(_) => {
            all(array.as_fixed_size_binary().iter(), |it| it.to_vec().into())
        }
        DataType::Date32 => numbers::<Date32Type>(array, |it| date(i64::from(it)).into()),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            numbers::<Decimal128Type>(array, |it| decimal(it, scale).into())
        }
        DataType::Timestamp(unit, zone) => {
            let is_utc = zone.is_some();
            let text = |units, digits| Moment::new(units, digits, is_utc).to_string().into();
            match unit {
                TimeUnit::Millisecond => {
                    numbers::<TimestampMillisecondType>(array, |it| text(it, 3))
                }
                TimeUnit::Microsecond => {
                    numbers::<TimestampMicrosecondType>(array, |it| text(it, 6))
                }
                _ => numbers::<TimestampNanosecondType>(array, |it| text(it, 9)),
            }
        }
        _ => vec![Scalar::Null; array.len()],
    })
}

/// A decimal with all its digits.
fn decimal(units: i128, scale: i8) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let digits = units.unsigned_abs().to_string();
    match usize::try_from(scale) {
        Err(_) => {
            let zeros = if units == 0 {
                0
            } else {
                usize::from(scale.unsigned_abs())
            };
            format!("{sign}{digits}{}", "0".repeat(zeros))
        }
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let digits = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        for (units, scale, text) in [
            (12_345, 2, "123.45"),
            (-5, 3, "-0.005"),
            (0, 2, "0.00"),
            (7, 0, "7"),
            (7, -2, "700"),
            (0, -2, "0"),
            (i128::MIN, 1, "-17014118346046923173168730371588410572.8"),
        ] {
            assert_eq!(decimal(units, scale), text);
        }
    }
}
