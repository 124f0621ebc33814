//! Rows that are put in an order here, where no plan can be taken that keeps it.

use std::cmp::Ordering;

use crate::bound::Chosen;
use crate::error::TableError;
use crate::guard::{Shared, Stop};
use crate::table::Rows;
use crate::value::{Scalar, ScalarRef};

/// Rows that are sorted between two looks at the clock.
const ROWS_PER_LOOK: usize = 256;

/// Rows that were read to the end, and sorted.
pub(crate) struct Sorted {
    rows: Vec<(i64, Vec<Scalar>)>,
    /// Behind the row.
    at: usize,
}

impl Sorted {
    pub(crate) fn collect(
        mut from: Box<dyn Rows>,
        columns: usize,
        chosen: &Chosen,
        shared: &Shared,
    ) -> Result<Self, TableError> {
        let (mut rows, mut bytes) = (Vec::new(), 0_u64);
        while from.next()? {
            let mut row = Vec::with_capacity(columns);
            for column in 0..columns {
                row.push(if chosen.used.contains(column) {
                    let value = from.column(column)?;
                    bytes += value.bytes() as u64;
                    value.to_scalar()
                } else {
                    Scalar::Null
                });
            }
            bytes += (columns * size_of::<Scalar>()) as u64;
            rows.push((from.row_id(), row));
            if bytes > shared.limits.memory_bytes {
                shared.stop(Stop::Memory);
                return Err(TableError::broken("too much to sort"));
            }
            if rows.len() % ROWS_PER_LOOK == 0 && shared.should_stop() {
                return Err(TableError::broken("stopped"));
            }
        }
        rows.sort_by(|one, two| {
            let mut order = chosen.order_by.iter().map(|by| {
                sorted_by(one, by.column).compare_by(sorted_by(two, by.column), by.descending)
            });
            order.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        Ok(Self { rows, at: 0 })
    }

    fn row(&self) -> Option<&(i64, Vec<Scalar>)> {
        self.rows.get(self.at.checked_sub(1)?)
    }
}

fn sorted_by(row: &(i64, Vec<Scalar>), column: Option<usize>) -> ScalarRef<'_> {
    match column {
        Some(column) => row.1.get(column).map_or(ScalarRef::Null, Scalar::borrow),
        None => ScalarRef::Integer(row.0),
    }
}

impl Rows for Sorted {
    fn next(&mut self) -> Result<bool, TableError> {
        self.at += 1;
        Ok(self.at <= self.rows.len())
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        let value = self.row().and_then(|row| row.1.get(index));
        Ok(value.map_or(ScalarRef::Null, Scalar::borrow))
    }

    fn row_id(&self) -> i64 {
        self.row().map_or(0, |row| row.0)
    }
}
