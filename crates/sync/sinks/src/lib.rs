//! The log of a node to brokers, servers and files; and from brokers and files into its spaces.
//!
//! Spec: `specs/34-sinks.md` (SINK), `specs/35-sources.md` (SRC).
//!
//! # What this crate is
//! A sink has a [`Definition`], which a [`Register`] keeps with its cursor. [`run`] carries the log to its [`Target`]:
//! a stream of NATS JetStream (feature `nats`), a topic of Kafka (feature `kafka`), a server that takes POSTs
//! (feature `webhook`), a file, standard output.
//! The module [`source`] is the other way: [`source::run_source`] carries the records of a [`source::Origin`] into a
//! space.
//!
//! # What it is not
//! It starts no thread but for clients and POSTs: a [`Host`] calls [`run`] in one for each sink. It does not say who may
//! have which events.
//!
//! # The flow
//! ```text
//! Register --get--> Definition --Host::open--> Target --has--> cursor
//!     feed --Subscription::page--> events --Renderer--> Target::deliver --> Register::keep
//! ```
//!
//! # Invariants
//! - How far a source has come is in the commit that has what it brought (SRC-10).
//! - A cursor goes past an event when its target keeps it, or the event is a dead letter (SINK-1, SINK-5).
//! - What a target says that it has is believed: after a crash of either side its content is the log (SINK-2).

mod definition;
mod driver;
mod file;
mod gather;
mod kept;
mod open;
mod parts;
mod payload;
mod register;
mod run;
pub mod source;
mod target;

pub use crate::definition::{BadSink, DataAs, Definition, Mode, Registry, To};
pub use crate::kept::DEAD_MAX;
pub use crate::open::{Stopping, open, open_registry};
pub use crate::payload::Numbers;
pub use crate::register::{DeadLetter, Listed, PartState, Register, SINKS_MAX, SinkError, State};
pub use crate::run::{Host, run};
pub use crate::target::{Fault, Form, Has, Last, Outgoing, Part, Target};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
