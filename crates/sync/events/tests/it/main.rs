//! CloudEvents: what is written is read, what is none is refused, and events keep their names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod formats;
mod records;
mod rendering;
mod vectors;
mod world;
