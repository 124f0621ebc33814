//! Files and answers of servers as tables of SQL.
//!
//! Spec: `specs/29-tables.md` (TAB-20 to TAB-22).
//!
//! # What this crate is
//! A [`Source`] gives bytes: a file, or whatever the caller has. [`find`] reads it once and says which columns there
//! are; [`OutsideTable`] gives its rows to [`allod_sql`]. CSV and JSON are read row by row, whatever their size. With the feature `arrow` there are Parquet
//! files too, and results are written as Arrow and Parquet.
//!
//! # What it is not
//! No network: whoever has one gives a source. Nothing that is read here goes into a space.
//!
//! # The flow
//! ```text
//! Source --find--> columns, which the caller keeps
//! Source + columns --OutsideTable--> plan, open --> rows
//! ```
//!
//! # Invariants
//! - A table gives the same rows each time, or fails (TAB-20).
//! - No value is converted to another: one that is not of its column's kind is an error that names the line (TAB-21).
//! - What is read never makes this crate take more memory than a row and what is kept (TAB-22).

mod columns;
mod csv;
mod error;
mod find;
mod input;
mod json;
mod kept;
mod kind;
mod limits;
#[cfg(feature = "arrow")]
mod moment;
#[cfg(feature = "arrow")]
mod parquet;
mod reading;
#[cfg(feature = "arrow")]
mod result;
mod source;
#[cfg(feature = "arrow")]
mod spool;
mod table;

pub use crate::columns::{Declared, OutsideColumn};
pub use crate::error::{AdapterError, SourceError};
pub use crate::find::{Found, find};
pub use crate::kind::Kind;
#[cfg(feature = "arrow")]
pub use crate::parquet::{ParquetTable, find_parquet};
pub use crate::reading::Format;
#[cfg(feature = "arrow")]
pub use crate::result::{ColumnForm, ColumnWriter};
pub use crate::source::{FileSource, Source};
pub use crate::table::OutsideTable;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
