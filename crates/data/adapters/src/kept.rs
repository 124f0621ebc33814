//! Rows that are kept, so that joins find them again.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use allod_sql::{Ask, Op, Open, Plan, Rows, Scalar, ScalarRef, TableError};

use crate::limits::{KEPT_BYTES_MAX, LOOK_ROWS};

/// What a source is taken to have for the engine to plan by, as nobody has counted: more than a page, and
/// fewer than would not be joined.
const ROWS_GUESSED: u64 = 10_000;

/// What it costs to read a row of a source, in units of a row that is read in passing.
const READ_COST: f64 = 4.0;

/// The name of the plan that looks rows up in what is kept.
const LOOKUP: &str = "lookup";

/// What is kept of the rows of a table.
#[derive(Default)]
pub(crate) struct Keeping(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Nothing,
    All(Arc<Kept>),
    /// They are too many.
    TooMuch,
}

/// All rows, and the order of columns that were looked up.
struct Kept {
    rows: Vec<Box<[Scalar]>>,
    orders: Vec<OnceLock<Vec<u32>>>,
}

/// How rows are given: looked up where another table asks for each value, else as they come.
pub(crate) fn plan(ask: &Ask<'_>) -> Plan {
    // A value that is known already is looked for once, and a scan keeps nothing.
    let joined = ask.constraints.iter().position(|constraint| {
        constraint.column.is_some() && constraint.op == Op::Eq && constraint.value.is_none()
    });
    match joined {
        Some(place) => Plan {
            name: LOOKUP.to_owned(),
            takes: vec![place],
            cost: READ_COST * 10.0,
            rows: 10,
            ..Plan::default()
        },
        None => Plan {
            cost: READ_COST * ROWS_GUESSED as f64,
            ..Plan::scan(ROWS_GUESSED)
        },
    }
}

impl Keeping {
    /// The rows that a [`plan`] looks up; `None` if it looks none up, or there are too many to be kept. All
    /// rows, with so many columns, come from `read`.
    pub(crate) fn lookup(
        &self,
        open: &Open<'_>,
        columns: usize,
        read: impl FnOnce() -> Result<Box<dyn Rows>, TableError>,
    ) -> Result<Option<Box<dyn Rows>>, TableError> {
        let Some((column, value)) = open
            .args
            .first()
            .and_then(|arg| Some((arg.column?, arg.value)))
        else {
            return Ok(None);
        };
        let kept = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*state, State::Nothing) {
                *state = keep(read()?, columns, open.should_stop)?;
            }
            match &*state {
                State::All(kept) => Arc::clone(kept),
                State::Nothing | State::TooMuch => return Ok(None),
            }
        };
        let found = kept.equal(column, value);
        Ok(Some(Box::new(FoundRows {
            kept,
            found,
            next: 0,
        })))
    }
}

fn keep(
    mut read: Box<dyn Rows>,
    columns: usize,
    should_stop: &dyn Fn() -> bool,
) -> Result<State, TableError> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while read.next()? {
        let values = (0..columns).map(|at| read.column(at).map(ScalarRef::to_scalar));
        let row: Box<[Scalar]> = values.collect::<Result<_, _>>()?;
        bytes += row.iter().map(size).sum::<usize>();
        if bytes > KEPT_BYTES_MAX {
            return Ok(State::TooMuch);
        }
        rows.push(row);
        if (rows.len() as u64).is_multiple_of(LOOK_ROWS) && should_stop() {
            return Err(TableError::Fault {
                code: "E_SQL_CANCELLED",
                message: "the statement has to end".to_owned(),
            });
        }
    }
    let orders = (0..columns).map(|_| OnceLock::new()).collect();
    Ok(State::All(Arc::new(Kept { rows, orders })))
}

fn size(value: &Scalar) -> usize {
    let more = match value {
        Scalar::Text(text) => text.len(),
        Scalar::Blob(bytes) => bytes.len(),
        Scalar::Null | Scalar::Integer(_) | Scalar::Real(_) => 0,
    };
    size_of::<Scalar>() + more
}

impl Kept {
    fn get(&self, row: u32, column: usize) -> ScalarRef<'_> {
        let value = self.rows.get(row as usize).and_then(|row| row.get(column));
        value.map_or(ScalarRef::Null, Scalar::borrow)
    }

    /// The rows in which a column is this value, in their order.
    fn equal(&self, column: usize, value: ScalarRef<'_>) -> Vec<u32> {
        let Some(order) = self.orders.get(column) else {
            return Vec::new();
        };
        let order = order.get_or_init(|| {
            let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
            order.sort_by(|one, other| self.get(*one, column).compare(self.get(*other, column)));
            order
        });
        let start = order.partition_point(|row| self.get(*row, column).compare(value).is_lt());
        let rest = order.get(start..).unwrap_or_default();
        rest.iter()
            .take_while(|row| self.get(**row, column).compare(value).is_eq())
            .copied()
            .collect()
    }
}

/// Rows that were looked up.
struct FoundRows {
    kept: Arc<Kept>,
    found: Vec<u32>,
    next: usize,
}

impl FoundRows {
    fn row(&self) -> u32 {
        let at = self.next.checked_sub(1);
        at.and_then(|at| self.found.get(at))
            .copied()
            .unwrap_or_default()
    }
}

impl Rows for FoundRows {
    fn next(&mut self) -> Result<bool, TableError> {
        self.next += 1;
        Ok(self.next <= self.found.len())
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        Ok(self.kept.get(self.row(), index))
    }

    fn row_id(&self) -> i64 {
        i64::from(self.row()) + 1
    }
}
