//! Records of a known shape as Avro and Protobuf.
//!
//! Spec: `specs/33-events.md` (EVENT-20 to EVENT-32).
//!
//! # What this crate is
//! A [`RecordShape`] says which fields records have. A [`Schema`] says the same in the language of Avro or Protobuf,
//! and turns records into their bytes and back. [`frame`] puts before the bytes what tells a reader which schema they
//! have.
//!
//! # What it is not
//! It knows nothing of events and sends nothing. The formats are those of `apache-avro` and `prost-reflect`.
//!
//! # The flow
//! ```text
//! RecordShape --Schema::new--> Schema --encode--> datum --frame--> bytes
//!                                                 <--decode--
//! ```
//!
//! # Invariants
//! - A shape has one schema of each format, byte for byte, and so one CID.
//! - What was encoded is decoded to the same record, but that Protobuf has no list that is none (EVENT-22).
//! - Bytes of a stranger are refused or read in memory bounded by [`PAYLOAD_BYTES_MAX`], without panics.

mod avro;
mod framing;
mod names;
mod proto;
mod proto_text;
mod schema;
mod shape;

pub use crate::framing::{Framing, frame, unframe};
pub use crate::names::unique_names;
pub use crate::schema::{Format, PAYLOAD_BYTES_MAX, PayloadError, Schema};
pub use crate::shape::{Field, Kind, RecordShape, Value};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
