//! The tests of deltas, in one binary.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod laws;
mod materialized;
mod schemas;
mod signing;
mod spaces;
mod stores;
mod vectors;
mod world;
