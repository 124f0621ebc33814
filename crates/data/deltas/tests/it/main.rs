//! The tests of deltas, in one binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod bringing;
mod laws;
mod materialized;
mod schemas;
mod signing;
mod spaces;
mod stores;
mod telling;
mod vectors;
mod world;
