//! Files as tables, asked by SQL.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, and say what they skip"
)]

mod bad;
#[cfg(feature = "arrow")]
mod columns;
mod formats;
mod joins;
mod random;
mod world;
