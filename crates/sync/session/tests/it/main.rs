//! Tests of the session through its public interface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod comparing;
mod fetching;
mod hostile;
mod in_parts;
mod join;
mod pair;
mod parts;
mod readers;
mod scopes;
mod sessions;
mod sources;
mod values;
mod vectors;
