//! `rhizomedb-federation-v1`: deltas between instances over WebSocket.
//!
//! Spec: `specs/51-federation.md` (FED).
//!
//! # What this crate is
//! A [`Link`] is one side of a connection, a machine without I/O: it agrees with the peer, brings over the past
//! that either lacks, sends what comes, and acknowledges what is durable. A [`Federation`] runs links over
//! WebSocket for one store of deltas: those that others open, and those that it opens and keeps open.
//! [`TrustPolicy`] and [`Rules`] say what is let in and out, [`FederationConfig`] what a client asks for.
//!
//! # What it is not
//! Deltas, their signatures and what they say are `allod-deltas`. It makes no certificates: TLS is the stream
//! that it is given, or the client's configuration.
//!
//! # The flow
//! ```text
//! frame --handle(now)--> Link --poll--> frames, appends, reads, events
//! ```
//!
//! # Invariants
//! - A delta is acknowledged only once the store said that it is durable.
//! - What a peer asks for never widens what this side allows.
//! - What a peer can make this side hold is bounded; it is read more slowly, and loses nothing.
//! - Nothing is sent with a timestamp of zero, and no delta that is none.
//! - The machine has no clock, no chance and no I/O; tokio is in `driver` alone.

mod config;
mod driver;
mod event;
mod limits;
mod link;
mod message;
mod policy;

pub use crate::config::{FederationConfig, InitialSync, Mode, Reconnect, TrustLists};
pub use crate::driver::{
    Clock, ConnectError, Dial, Dialing, Federation, FederationError, FederationOptions, Listening,
    MemoryPositions, PositionStore, RemoteLink, Unsubscribe, is_here, leads_here,
};
pub use crate::event::{Event, LinkStats, Status};
pub use crate::limits::{
    BYTES_PER_SECOND, CLIENT_FRAME_BYTES_MAX, CONNECTIONS_MAX, DELTAS_PER_SECOND, FRAME_BYTES_MAX,
    HANDSHAKE_MS, PING_MS, SILENCE_MS, SYNC_BATCH, close,
};
pub use crate::link::{
    Command, Deflate, Input, Link, Me, Output, Positions, ReadFault, ReadReply, ReadRequest, Role,
    Rules, Start,
};
pub use crate::message::{BadDelta, Frame, FrameError, Message, PROTOCOL, Proof, Sent};
pub use crate::policy::{Judge, Signatures, TrustPolicy, Verdict};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
