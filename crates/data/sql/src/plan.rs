//! What a table is asked for, and how it answers.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::table::ColumnSet;
use crate::value::{Scalar, ScalarRef};

/// How rows are compared with a value.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// `=`, with one value or with each of an `IN`.
    Eq,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `<>`.
    Ne,
    /// `IS`: as `=`, but null is null.
    Is,
    /// `IS NOT`.
    IsNot,
    /// `IS NULL`. The value that comes with it says nothing.
    IsNull,
    /// `IS NOT NULL`. The value that comes with it says nothing.
    NotNull,
    /// `LIKE`, see [`like_range`].
    Like,
    /// `GLOB`, see [`glob_range`].
    Glob,
    /// `LIMIT`: no more rows than this are read. The value is a whole number; one below 0 is no limit.
    Limit,
    /// `OFFSET`: so many rows are left out. A table that takes it leaves them out itself. The value is a
    /// whole number of 0 or more.
    Offset,
}

impl Op {
    /// Whether nothing holds for a row if the value is null.
    pub(crate) const fn needs_value(self) -> bool {
        matches!(
            self,
            Self::Eq
                | Self::Lt
                | Self::Le
                | Self::Gt
                | Self::Ge
                | Self::Ne
                | Self::Like
                | Self::Glob
        )
    }

    /// How plans are shown with it.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=?",
            Self::Lt => "<?",
            Self::Le => "<=?",
            Self::Gt => ">?",
            Self::Ge => ">=?",
            Self::Ne => "<>?",
            Self::Is => " IS ?",
            Self::IsNot => " IS NOT ?",
            Self::IsNull => " IS NULL",
            Self::NotNull => " IS NOT NULL",
            Self::Like => " LIKE ?",
            Self::Glob => " GLOB ?",
            Self::Limit => "LIMIT ?",
            Self::Offset => "OFFSET ?",
        }
    }
}

/// What rows have to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Of which column; `None` for the row id, and for [`Op::Limit`] and [`Op::Offset`].
    pub column: Option<usize>,
    /// Compared how.
    pub op: Op,
    /// With what, if that is known already. When rows are opened it may be another value.
    pub value: Option<Scalar>,
    /// It is the `=` of an `IN`: rows are opened for each of several values, and come in no order.
    pub is_list: bool,
}

/// A column by which rows are ordered, nulls first when it ascends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OrderBy {
    /// Which column; `None` for the row id.
    pub column: Option<usize>,
    /// From the last to the first.
    pub descending: bool,
}

/// What a table is asked for.
///
/// Values are in the order of the engine: null, numbers, texts by their bytes, bytes.
/// [`Op::Limit`] and [`Op::Offset`] are there only if there is no other constraint.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What rows have to be, all of it.
    pub constraints: &'a [Constraint],
    /// In which order they should come.
    pub order_by: &'a [OrderBy],
    /// Which columns are read.
    pub used: ColumnSet,
}

/// How a table would give its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The table's own number for it.
    pub number: i32,
    /// The name of the index, or whatever tells people how rows are found. Shown by
    /// `EXPLAIN QUERY PLAN`.
    pub name: String,
    /// Which of the constraints it makes use of, by their places: at most
    /// [`Plan::TAKES_MAX`], each once. Their values come with [`Open::args`], in this order.
    pub takes: Vec<usize>,
    /// The rows come in the order that was asked for.
    pub ordered: bool,
    /// There is at most one row.
    pub unique: bool,
    /// What it costs to read the rows once, in units of a row that is read in passing.
    pub cost: f64,
    /// How many rows there will be.
    pub rows: u64,
}

impl Plan {
    /// The most constraints that a plan takes: an index has fewer columns.
    pub const TAKES_MAX: usize = 32;

    /// All rows, of which there are so many.
    #[must_use]
    pub fn scan(rows: u64) -> Self {
        Self {
            name: "scan".to_owned(),
            cost: rows as f64,
            rows,
            ..Self::default()
        }
    }
}

/// A constraint that a plan takes, with its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arg<'a> {
    /// Of which column; `None` for the row id, and for [`Op::Limit`] and [`Op::Offset`].
    pub column: Option<usize>,
    /// Compared how.
    pub op: Op,
    /// With what. Never null where nothing holds for null.
    pub value: ScalarRef<'a>,
}

/// Rows that are wanted, by a plan.
#[derive(Clone, Copy)]
pub struct Open<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The constraints that it takes, in its order.
    pub args: &'a [Arg<'a>],
    /// The order that was asked for; empty unless the plan says that it keeps it.
    pub order_by: &'a [OrderBy],
    /// Which columns are read.
    pub used: ColumnSet,
    /// Whether the statement has to end: whoever opens a table for long asks now and then, and fails if so.
    pub should_stop: &'a dyn Fn() -> bool,
    /// The same, to be kept by rows that may pass over many before they give one.
    pub stop: &'a ShouldStop,
}

/// Whether a statement has to end.
pub type ShouldStop = Arc<dyn Fn() -> bool + Send + Sync>;

impl fmt::Debug for Open<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("plan", self.plan)
            .field("args", &self.args)
            .field("order_by", &self.order_by)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

/// Where the texts are that a pattern of LIKE matches, in the order of bytes.
///
/// LIKE does not tell ASCII letters of both cases apart, so there are others among them. `None` if the
/// pattern begins with a wildcard.
#[must_use]
pub fn like_range(pattern: &str) -> Option<Range<Vec<u8>>> {
    let prefix = pattern.split(['%', '_']).next()?.as_bytes();
    // In the order of bytes, upper case is before lower case.
    Some(prefix.to_ascii_uppercase()..behind(prefix.to_ascii_lowercase())?)
}

/// Where the texts are that a pattern of GLOB matches, in the order of bytes.
///
/// There may be others among them. `None` if the pattern begins with a wildcard.
#[must_use]
pub fn glob_range(pattern: &str) -> Option<Range<Vec<u8>>> {
    let prefix = pattern.split(['*', '?', '[']).next()?.as_bytes();
    Some(prefix.to_vec()..behind(prefix.to_vec())?)
}

/// The first bytes behind all that begin with these.
fn behind(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    // No byte of UTF-8 is 255.
    let last = prefix.last_mut()?;
    *last = last.saturating_add(1);
    Some(prefix)
}
