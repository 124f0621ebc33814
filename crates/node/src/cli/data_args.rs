//! What can be said about values that are read, and about those that come in and go out.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The key
    pub(crate) key: String,
    /// Print the bytes as they are
    #[arg(long)]
    pub(crate) raw: bool,
    /// As of a branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
    /// Ask a peer for what is not kept here of a space of which a part is kept; a running node does so
    /// by itself
    #[arg(long)]
    pub(crate) ask: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod import people.csv --key email --prefix person/\n  \
    allod import examples/learning-paths\n\nAll rows are staged, or none. Then: allod commit -m '...'"
)]
pub(crate) struct Import {
    /// The files or directories
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The field that names a row
    #[arg(long, value_name = "FIELD", default_value = "id")]
    pub(crate) key: String,
    /// What to put before each key
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) prefix: String,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Keys that begin with this
    pub(crate) prefix: Option<String>,
    /// A file for ndjson and car, a directory for dir [default: standard output]
    #[arg(long, short = 'o', value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// ndjson: a row a key; dir: a file a key; car: the tree and all it refers to as a CAR archive
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    pub(crate) format: Format,
    /// As of a branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Ndjson,
    Dir,
    Car,
}
