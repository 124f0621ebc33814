//! A sovereign node: the embedding API and the binary.
//!
//! # What this crate is
//! [`Node`] opens a home - keys, a store, the spaces in it - and connects it to other nodes. The
//! binary `allod` is a thin layer over it.
//!
//! # What it is not
//! It defines no format and no protocol: those belong to the crates it composes, and to `specs/`.
//!
//! # The flow
//! ```text
//! Home --Node::open--> Node --space--> Repo
//!                      Node --listen--> Endpoint --serve / sync_with / push / pull / join--> peers
//! ```
//!
//! # Invariants
//! - One process has a home open at a time; others ask it through its control socket.
//! - Secrets leave the keystore only into signing.

mod clock;
mod course;
mod doors;
mod error;
mod federating;
mod fetch;
mod follow;
mod heal;
mod home;
mod hooks;
pub mod http;
mod identity;
mod joins;
mod kits;
mod known;
mod leaving;
mod line;
mod links;
mod naming;
mod net;
mod node;
mod outside;
mod own;
mod pairing;
mod part;
mod peers;
mod places;
mod program;
mod query_watch;
mod reached;
mod recovering;
mod remotes;
mod result_rows;
mod retaining;
mod seeing;
pub mod shown;
mod sinks;
mod sources;
mod telling;
mod tokens;
mod touch;
mod trusting;
mod views;

pub use crate::clock::{now_ms, utc};
pub use crate::course::Course;
pub use crate::error::NodeError;
pub use crate::federating::{
    BadSetting, Bring, FederatingError, LinkDefinition, LinkStanding, LinkState, Narrowed,
    Register as Federations, Shared, Signing, Trust,
};
pub use crate::follow::HookProgress;
pub use crate::heal::{FetchProgress, FetchStep, Fetched};
pub use crate::home::{
    Home, HomeConfig, HomeLock, KeySource, StoreKind, beside, make_key_file, random, read_key_file,
};
pub use crate::hooks::{HookFile, HookKind};
pub use crate::identity::{IdentityError, Rotation};
pub use crate::kits::{KitLogs, LogEnd};
pub use crate::leaving::LeftSpace;
pub use crate::naming::{branch_heads, heads_at, one_commit};
pub use crate::net::SyncReport;
pub use crate::node::{Node, Position, TICKET_MS_DEFAULT};
pub use crate::outside::{NodeCatalog, Outside, OutsideDefinition, Registered};
pub use crate::pairing::{Joining, PairingEvent};
pub use crate::peers::{Peer, Told};
pub use crate::query_watch::{QueryWatch, ShouldStop, WatchError, WatchStep, WatchedQuery};
pub use crate::reached::{Lag, NotReached, PeerLag, Reached, Unknown, Whereabouts};
pub use crate::recovering::{RecoveryError, Said, UnknownObjections};
pub use crate::remotes::Moved;
pub use crate::result_rows::ResultChange;
pub use crate::retaining::{LogReader, LogStanding, ReaderKind};
pub use crate::seeing::{Seen, Sight};
pub use crate::sinks::{EventSchema, SinkStanding};
pub use crate::sources::SourceStanding;
pub use crate::tokens::TokenFor;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
