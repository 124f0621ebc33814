//! Tables of spaces through the engine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod differential;
mod slt;
mod states;
mod stored;
mod world;
mod writes;
