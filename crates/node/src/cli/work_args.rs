//! What can be said about what is staged.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Unstage {
    /// The keys
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) keys: Vec<String>,
    /// Everything that is staged
    #[arg(long)]
    pub(crate) all: bool,
}
