//! Links over WebSocket: the one place with tokio.
//!
//! `driver/federation.rs` is what a program holds, `driver/server.rs` takes connections, `driver/client.rs` opens
//! them and comes back, `driver/run.rs` moves frames between a connection and a machine.

mod client;
mod federation;
mod handle;
mod here;
mod run;
mod server;

pub use client::{ConnectError, Dial, Dialing};
pub use federation::{
    Clock, Federation, FederationError, FederationOptions, MemoryPositions, PositionStore,
};
pub use handle::{RemoteLink, Unsubscribe};
pub use here::{is_here, leads_here};
pub use server::Listening;
