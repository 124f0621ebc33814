//! What happens to a space, as CloudEvents.
//!
//! Spec: `specs/33-events.md` (EVENT).
//!
//! # What this crate is
//! A [`Renderer`] makes a [`CloudEvent`] of what a feed tells, with data as JSON or as a record of Avro or Protobuf.
//! CloudEvents are written and read as JSON, one or a batch, and as headers with data, for HTTP, NATS and Kafka. What is
//! read may come from anybody.
//!
//! # What it is not
//! It sends nothing, and Avro and Protobuf themselves are `allod-payloads`. That a broker has each event once is the affair of who sends.
//!
//! # The flow
//! ```text
//! Event --Renderer::render--> CloudEvent --to_json / to_headers--> text, or headers and bytes
//! ```
//!
//! # Invariants
//! - An event has one id and source, whichever node tells of it, and how often (EVENT-2, EVENT-3).
//! - What is read is bounded before it is held, and nothing of a stranger panics.

mod as_json;
mod as_record;
mod cloud;
mod headers;
mod json;
mod name;
mod render;
mod schemas;
mod spelled;
mod typed;
mod value;

pub use crate::cloud::{CloudEvent, Data, EXTENSIONS_MAX, EventError, Extension};
pub use crate::headers::Headers;
pub use crate::json::{
    BATCH, BATCH_EVENTS_MAX, EVENT_BYTES_MAX, STRUCTURED, batch_from_json, batch_to_json,
};
pub use crate::render::{CURSOR, Renderer};
pub use crate::schemas::{JSON_SCHEMAS, schema_cid};
pub use crate::value::VALUE_BYTES_MAX;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
