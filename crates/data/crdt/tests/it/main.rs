//! The tests of the crate: worlds of replicas, the laws, naive twins, limits, vectors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[cfg(feature = "documents")]
mod documents;
mod laws;
mod limits;
mod lists;
mod rebase;
mod twin;
mod vectors;
mod world;
