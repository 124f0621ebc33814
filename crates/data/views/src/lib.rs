//! Values that are compared exactly, and index keys that keep their order.
//!
//! Spec: `specs/28-views.md` (VIEW).
//!
//! # What this crate is
//! A [`Value`] is what a field has: null, a boolean, an exact [`Number`], a float, a timestamp, a text or bytes.
//! [`encode_key`] makes several of them a key whose bytes sort as they do, and [`decode_key`] reads
//! it back, strictly.
//!
//! # What it is not
//! No storage, no types of fields, no queries.
//!
//! # The flow
//! ```text
//! text --parse--> Number --+
//!                          +--> Value --encode_key--> key of a sorted map --decode_key--> Value
//! f64 --Float::new---------+
//! ```
//!
//! # Invariants
//! - Equal values have equal keys, and `a < b` exactly if `encode_key(a) < encode_key(b)` (VIEW-6).
//! - A number is never rounded: what does not fit is refused (VIEW-2).
//! - A key that is accepted is the one that would be written (VIEW-7).

mod key;
mod number;
mod value;

pub use crate::key::{BadKey, decode_key, encode_key, push_key};
pub use crate::number::{BadNumber, NUMBER_DIGITS_MAX, NUMBER_POWER_MAX, Number};
pub use crate::value::{Float, NotANumber, Value};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
