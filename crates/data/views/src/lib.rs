//! Values that are compared exactly, index keys that keep their order, and expressions over fields.
//!
//! Spec: `specs/28-views.md` (VIEW).
//!
//! # What this crate is
//! A [`Value`] is what a field has: null, a boolean, an exact [`Number`], a float, a timestamp, a text or bytes.
//! [`encode_key`] makes several of them a key whose bytes sort as they do, and [`decode_key`] reads
//! it back, strictly. An [`Expr`] makes one of the fields of a record: a filter, a check or a computed field.
//!
//! # What it is not
//! No storage, no types of fields, no queries.
//!
//! # The flow
//! ```text
//! text --parse--> Number --+
//!                          +--> Value --encode_key--> key of a sorted map --decode_key--> Value
//! f64 --Float::new---------+
//!
//! text --parse--> Expr --eval, with Fields--> Value
//! ```
//!
//! # Invariants
//! - Equal values have equal keys, and `a < b` exactly if `encode_key(a) < encode_key(b)` (VIEW-6).
//! - A number is never rounded unless a quotient, a float or `round` makes it: what does not fit is refused (VIEW-2).
//! - An expression gives the same on every machine: it sees its record and nothing else (VIEW-12).
//! - A key that is accepted is the one that would be written (VIEW-7).

mod arithmetic;
mod expr;
mod key;
mod number;
mod timestamp;
mod value;
#[cfg(test)]
mod vectors;

pub use crate::expr::{
    BadExpr, EXPR_BYTES_MAX, EXPR_DEPTH_MAX, EXPR_NODES_MAX, EXPR_PATTERN_BYTES_MAX,
    EXPR_RESULT_BYTES_MAX, EvalError, Expr, ExprFault, FieldPath, Fields,
};
pub use crate::key::{BadKey, decode_key, encode_key, push_key};
pub use crate::number::{BadNumber, NUMBER_DIGITS_MAX, NUMBER_POWER_MAX, Number};
pub use crate::value::{Float, Kind, NotANumber, Value};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
