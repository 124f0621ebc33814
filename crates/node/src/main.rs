//! The `allod` binary: a thin layer over the library of the same name.

#![expect(clippy::print_stderr, reason = "a command line speaks to people")]

mod cli;

use std::process::ExitCode;

/// A commit of a thousand entries makes and drops as many nodes of 4 KiB; the system's allocator gives
/// their memory back and takes it anew each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
