//! Values that join: states of one key that were changed apart become one, and nobody has to decide.
//!
//! Spec: `specs/23-crdt.md` (CRDT).
//!
//! # What this crate is
//! A [`State`] of some [`Kind`] is what a replica knows of a value. [`State::apply`] does an [`Op`] to it,
//! [`State::join`] makes one of two, [`State::value`] says what it shows. A [`Writer`] names the line of
//! history that an operation belongs to, an [`Epoch`] is where [`State::compact`] begins the history anew.
//!
//! # What it is not
//! No I/O, no clock, no randomness: stamps and writers are arguments. Nothing is signed, and nobody is
//! asked who may change what.
//!
//! # The flow
//! ```text
//! bytes --State::decode--> State --apply, join, compact--> State --encode--> bytes
//!                          State --value--> Value --Display--> JSON
//! document --Document::read, edit--> JSON, State        (feature `documents`)
//! ```
//!
//! # Invariants
//! - Joining is commutative, associative and idempotent, whoever made the states (CRDT-3).
//! - Equal states have equal bytes, and no other bytes are read (CRDT-1).
//! - What was read takes time that is linear in its size times a logarithm, and no recursion.
//! - Features change what can be read of a document, never which states are accepted or how they join.

mod body;
mod causal;
mod counter;
mod document;
#[cfg(feature = "documents")]
mod documents;
mod error;
mod item;
mod kind;
mod lattice;
mod list;
mod op;
mod peek;
mod register;
mod set;
mod state;
mod value;

#[cfg(feature = "documents")]
pub use documents::{Authorship, ChangeInfo, Document, DocumentError, Edit};
pub use error::{BadState, ITEM_BYTES_MAX, JoinError, OpError, STATE_BYTES_MAX, TooLarge};
pub use kind::{Epoch, Kind, UnknownKind, Writer};
pub use op::Op;
pub use peek::has_value;
pub use state::{State, join_encoded};
pub use value::Value;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
