//! What can be said about differences and patches.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod diff                       what is staged\n  \
    allod diff main draft --stat\n  allod diff main draft --patch > draft.patch\n  allod apply draft.patch"
)]
pub(crate) struct DiffArgs {
    /// The one state, a branch or commit [default: the branch]
    pub(crate) before: Option<String>,
    /// The other state [default: the branch with what is staged]
    pub(crate) after: Option<String>,
    /// Only keys that begin with this
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "to"])]
    pub(crate) prefix: Option<String>,
    /// Only from this key on
    #[arg(long, value_name = "KEY")]
    pub(crate) from: Option<String>,
    /// Only up to and without this key
    #[arg(long, value_name = "KEY")]
    pub(crate) to: Option<String>,
    /// Numbers of keys and bytes only
    #[arg(long, conflicts_with = "patch")]
    pub(crate) stat: bool,
    /// As a patch that `allod apply` reads
    #[arg(long, short = 'p')]
    pub(crate) patch: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "A key that is not as the patch says it was before stops all of it.")]
pub(crate) struct ApplyArgs {
    /// The patch; `-` reads standard input
    pub(crate) file: PathBuf,
    /// Only say whether it can be applied
    #[arg(long)]
    pub(crate) check: bool,
    /// Undo what it does
    #[arg(long, short = 'R')]
    pub(crate) reverse: bool,
}
