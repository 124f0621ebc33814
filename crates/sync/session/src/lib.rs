//! The sync session, sans-IO.
//!
//! Spec: `specs/30-sync.md` (SYNC).
//!
//! # What this crate is
//! A [`Session`] brings two replicas of a space to the same heads: it tells what it has, sends the
//! commits that the other lacks with only the entries they changed, and walks trees where that is
//! not enough. A [`Scope`] makes it a push or a pull of some branches. Sessions that share [`Claims`] fetch files together, each block from one peer. [`admit`] and [`enter`] are the two sides of joining by [`Ticket`]; [`Fetching`] and
//! [`Serving`] those of asking for blocks that are damaged here.
//!
//! # What it is not
//! No sockets, no clock, no threads. Frames and the time are arguments; what it may read and write
//! is the repo it is given.
//!
//! # The flow
//! ```text
//! frame --handle(now)--> Session --poll--> frames, events, the outcome
//! ```
//!
//! # Invariants
//! - Nothing that a reader can reach changes before a commit passed every rule of the repo.
//! - What a peer can make this side buffer is bounded by the limits of the spec.
//! - The same inputs on the same repo give the same outputs.

mod backoff;
mod claims;
mod comparing;
mod fetching;
mod inbound;
mod join;
mod limits;
mod message;
mod offering;
mod outbound;
mod readers;
mod reading;
mod recognise;
mod scan;
mod scope;
mod serving;
mod session;
mod sketching;

pub use crate::backoff::Backoff;
pub use crate::claims::Claims;
pub use crate::fetching::{Answer, FetchError, Fetching};
pub use crate::join::{
    Gives, JoinFrameError, JoinReply, JoinRequest, Ticket, TicketError, Tickets, Welcome, admit,
    enter,
};
pub use crate::limits::{FRAME_BYTES_CEILING, FRAME_BYTES_MAX, IDLE_MS};
pub use crate::message::{FrameError, Hello, Message, Mode};
pub use crate::reading::ReadFrame;
pub use crate::scope::{Branches, Scope};
pub use crate::serving::{KeptTrees, Serving};
pub use crate::session::{Event, Input, Me, Outcome, Output, Refused, Session, Stats};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
