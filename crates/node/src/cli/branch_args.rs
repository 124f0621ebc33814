//! What can be said to `branch`.

use clap::Args;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod branch\n  allod branch draft\n  allod branch draft origin/main\n  allod branch -d draft\n  \
    allod branch --remotes\n\n\
    A deleted branch comes back with the next sync if a peer has it: everybody deletes it."
)]
pub(crate) struct BranchArgs {
    /// The new branch
    pub(crate) name: Option<String>,
    /// Where it starts [default: the current branch]
    pub(crate) at: Option<String>,
    /// List what was fetched of the branches of remotes
    #[arg(long, short = 'r', conflicts_with_all = ["name", "at"])]
    pub(crate) remotes: bool,
    /// Delete the branch
    #[arg(long, short = 'd', requires = "name", conflicts_with = "at")]
    pub(crate) delete: bool,
    /// Delete it with commits that no other branch has, and with what is staged
    #[arg(long, requires = "delete")]
    pub(crate) force: bool,
}
