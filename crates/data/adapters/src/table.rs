//! A source of text as a table.

use std::fmt;
use std::sync::Arc;

use allod_sql::{Ask, Column, Identity, Open, Plan, Rows, ScalarRef, Table, TableError};

use crate::columns::OutsideColumn;
use crate::error::AdapterError;
use crate::kept::{self, Keeping};
use crate::reading::{Format, Reading, Row};
use crate::source::Source;

/// A table of what a source has.
///
/// It is of one moment: the source is what it was when it was first opened, or a statement fails (TAB-20).
pub struct OutsideTable {
    format: Format,
    source: Arc<dyn Source>,
    columns: Vec<OutsideColumn>,
    declared: Vec<Column>,
    keeping: Keeping,
}

impl fmt::Debug for OutsideTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutsideTable")
            .field("place", &self.format.place(self.source.as_ref()))
            .finish_non_exhaustive()
    }
}

impl OutsideTable {
    /// A table with columns that [`find`](crate::find) found. The source is opened by the first statement
    /// that reads it.
    #[must_use]
    pub fn new(format: Format, source: Arc<dyn Source>, columns: Vec<OutsideColumn>) -> Self {
        Self {
            declared: columns.iter().map(OutsideColumn::column).collect(),
            format,
            source,
            columns,
            keeping: Keeping::default(),
        }
    }

    fn read(&self, should_stop: &dyn Fn() -> bool) -> Result<Box<dyn Rows>, AdapterError> {
        let source = self.source.as_ref();
        Ok(Box::new(ReadRows {
            reading: Reading::open(&self.format, source, &self.columns, should_stop)?,
            row: Row::default(),
            number: 0,
        }))
    }
}

impl Table for OutsideTable {
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
        let read = || Ok(self.read(open.should_stop)?);
        match self.keeping.lookup(open, self.columns.len(), read)? {
            Some(found) => Ok(found),
            None => read(),
        }
    }
}

/// Rows as they come.
struct ReadRows {
    reading: Reading,
    row: Row,
    number: i64,
}

impl Rows for ReadRows {
    fn next(&mut self) -> Result<bool, TableError> {
        self.number += 1;
        Ok(self.reading.next(&mut self.row)?)
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        Ok(self.row.get(index))
    }

    fn row_id(&self) -> i64 {
        self.number
    }
}
