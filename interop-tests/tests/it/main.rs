//! Our files and archives against the tools of others.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests may panic, and one that is skipped says why"
)]

mod archives;
mod broker;
mod browser;
mod federation;
mod files;
mod http;
mod node;
mod python;
