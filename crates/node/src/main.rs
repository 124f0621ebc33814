//! The `allod` binary: a thin layer over the library of the same name.

#![expect(clippy::print_stderr, reason = "a command line speaks to people")]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
