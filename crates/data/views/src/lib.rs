//! Types, and projections that belong to a state.
//!
//! Specs: `specs/28-views.md` (VIEW), `28-types.md` (TYPE), `28-projections.md` (PROJ).
//!
//! # What this crate is
//! A [`Value`] is what a field has, and [`encode_key`] makes several of them a key whose bytes sort as
//! they do. An [`Expr`] computes one from the fields of a record. A [`Type`] says what records of a kind
//! have. A [`Projection`] is what a space keeps in an order, counted, joined or searched; [`Views`] gives
//! that of any [`Snapshot`], computed once and derived from what differs.
//!
//! # What it is not
//! No SQL, no threads, no clock: who computes in the background drives [`Views::next_job`].
//!
//! # The flow
//! ```text
//! meta --Definitions--> Type, Projection
//! state --Views::branch, commit--> Snapshot --projection--> Projected --rows, search, changes--> Row
//! Proposal --Views::judge--> Broken
//! ```
//!
//! # Invariants
//! - Equal values have equal keys, and `a < b` exactly if `encode_key(a) < encode_key(b)` (VIEW-6).
//! - A number is never rounded unless a quotient, a float or `round` makes it: what does not fit is refused (VIEW-2).
//! - What an expression gives depends on it and the record alone.
//! - The tree of a projection is the same wherever and however it was computed (PROJ-3).

mod adopt;
mod arithmetic;
mod beside;
mod definition;
mod definitions;
mod derive;
mod entries;
mod error;
mod expr;
mod fetch;
mod forget;
mod guard;
mod json;
mod key;
mod maintain;
mod memo;
mod migrate;
mod number;
mod query;
mod record;
mod rfc3339;
mod schema;
mod seek;
mod sum;
mod timestamp;
mod together;
mod turn;
mod types;
mod validate;
mod value;
#[cfg(test)]
mod vectors;
mod views;
mod watch;

pub use crate::adopt::Compared;
pub use crate::beside::BesidePart;
pub use crate::definition::{
    BY_MAX, BadProjection, Function, Projection, ProjectionDefinition, ShapeDefinition,
};
pub use crate::definitions::{
    DEFINITIONS_MAX, Definitions, create_projection, define_type, drop_type,
};
pub use crate::entries::RECORD_KEY_BYTES_MAX;
pub use crate::error::ViewError;
pub use crate::expr::{
    BadExpr, EXPR_BYTES_MAX, EXPR_DEPTH_MAX, EXPR_NODES_MAX, EXPR_PATTERN_BYTES_MAX,
    EXPR_RESULT_BYTES_MAX, EvalError, Expr, ExprFault, FieldPath, Fields,
};
pub use crate::guard::Broken;
pub use crate::key::{BadKey, decode_key, encode_key, push_key};
pub use crate::maintain::{Job, Priority, Status};
pub use crate::migrate::{Migration, MigrationError, object_of};
pub use crate::number::{BadNumber, NUMBER_DIGITS_MAX, NUMBER_POWER_MAX, Number};
pub use crate::query::{Page, Row, Rows};
pub use crate::record::{
    BadField, BadKind, Datum, FieldKind, Malformed, RECORD_BYTES_MAX, Record, RecordReader,
    fields_of, plain_text,
};
pub use crate::rfc3339::{format_timestamp, parse_timestamp};
pub use crate::seek::{IndexEntry, IndexScan, Lookup};
pub use crate::types::{
    BadName, BadType, DEFINITION_BYTES_MAX, FIELDS_MAX, FieldDefinition, Name, Received, Type,
    TypeDefinition,
};
pub use crate::validate::{BadRecord, Fault, is_record_key};
pub use crate::value::{Float, Kind, NotANumber, Value};
pub use crate::views::{Checked, GoOn, OnStale, Projected, Snapshot, Views};
pub use crate::watch::RowChange;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
