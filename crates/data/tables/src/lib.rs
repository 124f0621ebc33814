//! The records, projections and history of a space as tables of SQL, in any state.
//!
//! Spec: `specs/29-tables.md` (TAB).
//!
//! # What this crate is
//! [`SpaceCatalog`] is a catalog for [`allod_sql::Session`]: each type of a space is a table, each
//! projection is one, and so is all that has a key; functions give the history. What a projection
//! answers is looked up in it. Records are decoded once for each leaf that they
//! stand in; a large scan stores the columns that it decoded for whoever opens the space next.
//!
//! # What it is not
//! No engine, no output, no clock.
//!
//! # The flow
//! ```text
//! name, AS OF, ON BRANCH --SpaceCatalog--> Snapshot --> Table --plan, open--> rows
//! leaf of the tree --decoded once--> columns, kept in memory and stored, under the name of the leaf
//! INSERT, UPDATE, DELETE --checked by the type--> working set
//! ```
//!
//! # Invariants
//! - A table is of one state, and gives the same rows whatever plan is chosen (TAB-4).
//! - Nothing is staged unless the whole statement succeeds and its records are what their types say.
//! - Every row that is given was shown to the [`Visibility`] first (TAB-9).

mod ahead;
mod catalog;
mod cells;
mod columns;
mod convert;
mod diff;
mod entries;
mod fault;
mod filter;
mod history;
mod kept;
mod keys;
mod leaf;
mod list;
mod plan;
mod projected;
mod records;
mod rows;
mod states;
mod stored;
mod totals;
mod visibility;
mod write;

pub use crate::catalog::{ENTRIES, Own, SpaceCatalog};
pub use crate::kept::Kept;
pub use crate::states::moment;
pub use crate::visibility::{Everything, Visibility};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
