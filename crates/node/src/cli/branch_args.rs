//! What can be said to `branch`.

use clap::Args;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod branch\n  allod branch draft\n  allod branch draft origin/main\n  allod branch -d draft\n  \
    allod branch --remotes\n  allod branch --protect main\n\n\
    A protected branch takes what goes on from where it stands, and refuses the rest: to bring in what others made,\n\
    `allod fetch`, `allod merge origin/main`, `allod push`.\n\n\
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
    /// Let a branch only go forward, for everybody; only the owner of the space may
    #[arg(long, value_name = "BRANCH", conflicts_with_all = ["name", "at", "remotes"])]
    pub(crate) protect: Option<String>,
    /// Let it move as others do again
    #[arg(long, value_name = "BRANCH", conflicts_with_all = ["name", "at", "remotes", "protect"])]
    pub(crate) unprotect: Option<String>,
    /// Delete the branch
    #[arg(long, short = 'd', requires = "name", conflicts_with = "at")]
    pub(crate) delete: bool,
    /// Delete it with commits that no other branch has, and with what is staged
    #[arg(long, requires = "delete")]
    pub(crate) force: bool,
}
