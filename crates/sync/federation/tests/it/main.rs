//! The tests of federation, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and drive what has no clock"
)]

mod convergence;
mod handshakes;
mod hostile;
mod lasting;
mod links;
mod messages;
mod network;
mod packing;
mod policies;
mod scripts;
mod sockets;
mod spaces;
mod tls;
mod topologies;
