//! Tests of types and projections through their public interface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod adopt;
mod definitions;
mod forget;
mod guard;
mod maintain;
mod naive;
mod projections;
mod types;
mod vectors;
mod world;
