//! One QUIC endpoint, peers named by key.
//!
//! Spec: `specs/40-transport.md` (TRANS).
//!
//! # What this crate is
//! An [`Endpoint`] owns one UDP port. It dials a device by address *and* key, and accepts devices
//! that prove theirs; both sides of a [`Connection`] know whom they talk to. On a connection either
//! side opens [`Stream`]s, typed by their first frame, that carry frames both ways.
//!
//! # What it is not
//! It does not find addresses, does not decide who may connect, and does not know what frames
//! mean.
//!
//! # The flow
//! ```text
//! Endpoint --connect(addr, device) / accept()--> Connection --open(kind) / accept()--> Stream
//! ```
//!
//! # Invariants
//! - A [`Connection`] exists only if its peer proved the key it is named by.
//! - A length that a peer announces is checked before memory is taken for it.
//! - Everything a peer can make grow has a limit with a reason: see [`Limits`].
//! - The process's default TLS provider and its environment are not looked at.
//!
//! An endpoint runs on the tokio runtime it is bound in.

mod connection;
mod endpoint;
mod error;
mod frame;
mod incoming;
mod limits;
mod stream;
mod tls;

pub use crate::connection::{Connection, Stats, prefer};
pub use crate::endpoint::{Config, Endpoint};
pub use crate::error::{BindError, CloseCode, QuicError};
pub use crate::frame::{FRAME_BYTES_MAX, StreamKind};
pub use crate::limits::Limits;
pub use crate::stream::{RecvHalf, SendHalf, Stream};
pub use crate::tls::ALPN;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
