//! Sinks against targets that fail in every way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod definitions;
mod delivering;
mod files;
mod imports;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kafka_imports;
mod payloads;
#[cfg(feature = "webhook")]
mod server;
#[cfg(feature = "webhook")]
mod webhooks;
mod world;
