//! The tests of federation, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod convergence;
mod handshakes;
mod hostile;
mod links;
mod messages;
mod network;
mod policies;
mod scripts;
mod sockets;
mod spaces;
mod tls;
