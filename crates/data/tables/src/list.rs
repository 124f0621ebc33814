//! Tables whose rows are all at hand.

use std::sync::Arc;

use allod_sql::{Ask, Column, Open, Plan, Rows, Scalar, ScalarRef, Table, TableError};

/// Rows that were computed when the table was bound.
pub(crate) struct List {
    columns: Vec<Column>,
    rows: Arc<Vec<Vec<Scalar>>>,
}

impl List {
    pub(crate) fn new(columns: Vec<Column>, rows: Vec<Vec<Scalar>>) -> Self {
        Self {
            columns,
            rows: Arc::new(rows),
        }
    }
}

impl Table for List {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn plan(&self, _ask: &Ask<'_>) -> Plan {
        Plan::scan(self.rows.len() as u64)
    }

    fn open(&self, _open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        Ok(Box::new(ListRows {
            rows: Arc::clone(&self.rows),
            next: 0,
        }))
    }
}

struct ListRows {
    rows: Arc<Vec<Vec<Scalar>>>,
    next: usize,
}

impl Rows for ListRows {
    fn next(&mut self) -> Result<bool, TableError> {
        self.next += 1;
        Ok(self.next <= self.rows.len())
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        let row = self.next.checked_sub(1).and_then(|row| self.rows.get(row));
        let value = row.and_then(|row| row.get(index));
        Ok(value.map_or(ScalarRef::Null, Scalar::borrow))
    }
}
