//! Statements over tables in memory.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_wrap,
    clippy::too_many_lines,
    reason = "tests fail by panicking, their numbers are small, and a table of cases is as long as it is"
)]

mod limits;
mod pass;
mod plans;
mod safety;
mod states;
mod twin;
mod world;
mod writes;
