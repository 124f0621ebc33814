//! SQL by SQLite's engine over tables of the caller, each bound to one state of versioned data.
//!
//! Spec: `specs/29-sql.md` (SQL).
//!
//! # What this crate is
//! A caller gives a [`Catalog`]: for a name and a state, a [`Table`]. A [`Session`] runs statements
//! over it. The engine parses, plans and computes; tables give rows, by whatever index they
//! have. `user AS OF '...'`, `user ON BRANCH '...'` and `DIFF` are bound before the engine sees them.
//!
//! # What it is not
//! It knows no trees, commits or documents, and stores nothing. It reads no file and opens no connection.
//!
//! # The flow
//! ```text
//! text --Outline--> tables and their states --Catalog--> Table --Session--> Statement --query--> rows
//!                                                          |  plan, open, next, column     ^
//!                                                          +------- the engine ------------+
//! ```
//!
//! # Invariants
//! - A statement that asks for a state is answered from that state or not at all (SQL-5).
//! - What a plan of a table finds is what the engine would find without it (SQL-9).
//! - A statement does nothing but read tables of the catalog, and write to them (SQL-12).

mod bind;
mod bound;
mod error;
mod faults;
mod functions;
mod guard;
mod limits;
mod module;
mod offer;
mod outline;
mod pass;
mod plan;
mod scan;
mod session;
mod sorted;
mod suggest;
mod table;
mod token;
mod totals;
mod value;
mod words;

pub use crate::error::{SqlError, StateFault, TableError};
pub use crate::guard::Cancel;
pub use crate::limits::{Limit, Limits};
pub use crate::outline::{Outline, Source, Wanted};
pub use crate::plan::{
    Arg, Ask, Constraint, Op, Open, OrderBy, Plan, ShouldStop, glob_range, like_range,
};
pub use crate::session::{Done, PlanRow, ResultColumn, Row, Session, Statement};
pub use crate::table::{
    At, Catalog, Column, ColumnSet, ColumnType, Identity, OnConflict, Rows, Table,
};
pub use crate::totals::{Comparison, Function, Item, Totals};
pub use crate::value::{Scalar, ScalarRef};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
