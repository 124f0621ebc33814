//! The changefeed against naive readings of the same logs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod cursors;
mod expiry;
mod follower;
mod vectors;
mod waiting;
mod world;
