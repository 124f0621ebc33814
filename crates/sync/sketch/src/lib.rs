//! Finding what differs between two sets, at the cost of the difference.
//!
//! Spec: `specs/31-sketch.md` (SKETCH), rules 1 to 7.
//!
//! # What this crate is
//! An [`Estimate`] tells how many elements two sets do not share. A [`Sketch`] is any number of coded
//! symbols of a set, and a [`Decoder`] finds from them and the other set which elements those are: a rateless
//! invertible Bloom look-up table (Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation",
//! SIGCOMM 2024).
//!
//! # What it is not
//! It sends nothing and knows of no tree. Its answers are right but for a chance of some 2^-32, unless
//! somebody made elements that collide: a caller checks what it makes of them.
//!
//! # Invariants
//! - The same elements give the same symbols, in whatever order they are added.
//! - Bytes of a stranger never make it run for longer, or keep more, than their number allows.

mod code;
mod decode;
mod element;
mod estimate;
mod sketch;

pub use crate::code::CodeError;
pub use crate::decode::{Decoder, Difference};
pub use crate::element::{element, element_of_digest};
pub use crate::estimate::Estimate;
pub use crate::sketch::Sketch;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
