//! What the caller provides: a catalog, its tables, and their rows.

use std::sync::Arc;

use crate::error::TableError;
use crate::plan::{Ask, Open, Plan, ShouldStop};
use crate::totals::Totals;
use crate::value::{Scalar, ScalarRef};

/// The tables that statements can name.
///
/// Names are compared without regard to ASCII case, as SQL does: a catalog answers for all
/// spellings of a name with one table. A session asks for each table and state once, and keeps the answer until
/// [`Session::refresh`](crate::Session::refresh).
pub trait Catalog: Send + Sync {
    /// The table of this name in the state that `at` says; `None` if that state has no such table.
    ///
    /// Fails with [`TableError::State`] if there is no such state. It MUST NOT answer with another
    /// state than the one that is asked for.
    fn table(&self, name: &str, at: &At) -> Result<Option<Arc<dyn Table>>, TableError>;

    /// What differs in a table between two states, as a table; `None` if neither has it.
    fn diff(&self, name: &str, from: &str, to: &str) -> Result<Option<Arc<dyn Table>>, TableError>;

    /// The table that a function gives for these arguments, which are literals.
    ///
    /// Asked for the names that [`functions`](Self::functions) has, and for no others.
    fn function(
        &self,
        name: &str,
        arguments: &[Scalar],
    ) -> Result<Option<Arc<dyn Table>>, TableError> {
        let (_, _) = (name, arguments);
        Ok(None)
    }

    /// The names of all tables, to suggest one when a name is misspelt.
    fn names(&self) -> Vec<String>;

    /// The names of the functions that give tables.
    fn functions(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Which state of a table; the session's own if both are `None`.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct At {
    /// What `AS OF '...'` names, as it is written.
    pub as_of: Option<String>,
    /// What `ON BRANCH '...'` names, as it is written.
    pub branch: Option<String>,
}

impl At {
    /// Whether it is the session's own state.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.as_of.is_none() && self.branch.is_none()
    }
}

/// A table in one state, or one that a function gives.
///
/// Reading it twice gives the same rows, but for what was written through it.
pub trait Table: Send + Sync {
    /// The columns, in order; their number, names and types never change.
    fn columns(&self) -> &[Column];

    /// How its rows are told apart when they are written.
    fn identity(&self) -> Identity {
        Identity::Counted
    }

    /// How it would give the rows that are asked for, and at what cost.
    ///
    /// Called several times for a statement, with some of the constraints each time; the engine takes
    /// the plans that are cheapest together.
    fn plan(&self, ask: &Ask<'_>) -> Plan;

    /// Rows by a plan that [`plan`](Self::plan) made.
    ///
    /// They MUST be all rows for which the constraints that the plan takes hold, and may be more: the
    /// engine checks each. With [`Plan::ordered`] they come in the order that was asked for.
    fn open(&self, open: &Open<'_>) -> Result<Box<dyn Rows>, TableError>;

    /// How it would get totals of its rows by itself, for people; `None` if the engine has to take every
    /// row.
    fn totals_plan(&self, totals: &Totals) -> Option<String> {
        let _ = totals;
        None
    }

    /// Totals of its rows, exactly as the engine would compute them, in the order of [`Totals::groups`]: a row of
    /// the items for each group. `None` if it turns out that only the engine can.
    fn totals(
        &self,
        totals: &Totals,
        stop: &ShouldStop,
    ) -> Result<Option<Vec<Vec<Scalar>>>, TableError> {
        let (_, _) = (totals, stop);
        Ok(None)
    }

    /// Adds a row, with a value for every column, and gives its row id if it has one.
    fn insert(&self, row: &[ScalarRef<'_>], conflict: OnConflict) -> Result<i64, TableError> {
        let (_, _) = (row, conflict);
        Err(TableError::ReadOnly)
    }

    /// Changes the row with this key or row id; `None` for the columns that stay as they are.
    fn update(
        &self,
        id: ScalarRef<'_>,
        row: &[Option<ScalarRef<'_>>],
        conflict: OnConflict,
    ) -> Result<(), TableError> {
        let (_, _, _) = (id, row, conflict);
        Err(TableError::ReadOnly)
    }

    /// Removes the row with this key or row id.
    fn delete(&self, id: ScalarRef<'_>) -> Result<(), TableError> {
        let _ = id;
        Err(TableError::ReadOnly)
    }

    /// A statement begins to write. What it writes counts with [`commit`](Self::commit) (SQL-11).
    fn begin(&self) -> Result<(), TableError> {
        Ok(())
    }

    /// The statement has written all it wanted to.
    fn commit(&self) -> Result<(), TableError> {
        Ok(())
    }

    /// The statement failed, or its commit did: nothing of what it wrote since
    /// [`begin`](Self::begin) may stay.
    fn rollback(&self) {}
}

/// Rows, one after the other.
pub trait Rows {
    /// Goes to the next row, at first to the first one; false behind the last.
    fn next(&mut self) -> Result<bool, TableError>;

    /// A column of the row.
    ///
    /// Columns that [`Open::used`] does not have are asked for rarely, or never.
    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError>;

    /// The row id, for a table with [`Identity::Number`].
    fn row_id(&self) -> i64 {
        0
    }
}

/// A column of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Column {
    /// Its name; unlike all others of the table without regard to ASCII case.
    pub name: String,
    /// What its values are. Each is of this type, or null.
    pub kind: ColumnType,
    /// Whether `SELECT *` leaves it out.
    pub hidden: bool,
}

impl Column {
    /// A column that `SELECT *` gives.
    pub fn new(name: impl Into<String>, kind: ColumnType) -> Self {
        Self {
            name: name.into(),
            kind,
            hidden: false,
        }
    }
}

/// What the values of a column are, and so how the engine compares them with others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ColumnType {
    /// Whole numbers.
    Integer,
    /// Numbers with fractions: always [`ScalarRef::Real`].
    Real,
    /// Numbers of both kinds.
    Numeric,
    /// 0 and 1.
    Boolean,
    /// Whole numbers that count time.
    Timestamp,
    /// Texts.
    Text,
    /// Texts that are JSON.
    Json,
    /// Bytes.
    Blob,
    /// Values of any kind. They are never converted, so no index helps to find them.
    Any,
}

impl ColumnType {
    /// How it is declared to the engine.
    pub(crate) const fn declaration(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Numeric => "NUMERIC",
            Self::Boolean => "BOOLEAN",
            Self::Timestamp => "TIMESTAMP",
            Self::Text => "TEXT",
            Self::Json => "JSON TEXT",
            Self::Blob => "BLOB",
            Self::Any => "",
        }
    }
}

/// How rows are told apart (SQL-10).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Identity {
    /// Not at all: `rowid` counts the rows. Such a table is always read from its beginning to its end,
    /// as no constraint and no order is offered to it, and none of its rows is updated or deleted.
    Counted,
    /// By a number, [`Rows::row_id`], which is the row's whatever plan reads it: its place in the
    /// state, for example.
    Number,
    /// By the value of this column, which is never null and never twice.
    Key(usize),
}

/// What becomes of a row that is written where one is already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnConflict {
    /// The statement fails.
    Fail,
    /// The new row is left out: [`TableError::Constraint`] says that it was.
    Ignore,
    /// The old row goes.
    Replace,
}

/// A set of columns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ColumnSet(pub(crate) u64);

/// In the engine's mask the last bit stands for this column and all behind it.
const LAST_BIT: usize = 63;

impl ColumnSet {
    /// No column.
    pub const NONE: Self = Self(0);

    /// All columns.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether it has a column. What it has of the columns from the 64th on it has together.
    #[must_use]
    pub const fn contains(self, column: usize) -> bool {
        let bit = if column < LAST_BIT { column } else { LAST_BIT };
        self.0 >> bit & 1 == 1
    }

    /// Without a column, unless it is one from the 64th on.
    #[must_use]
    pub const fn without(self, column: usize) -> Self {
        match column {
            0..LAST_BIT => Self(self.0 & !(1 << column)),
            _ => self,
        }
    }

    /// With a column more.
    #[must_use]
    pub const fn with(self, column: usize) -> Self {
        let bit = if column < LAST_BIT { column } else { LAST_BIT };
        Self(self.0 | 1 << bit)
    }
}
