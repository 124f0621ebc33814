//! What can be said about what is staged, about moves, and about tags.

use clap::{Args, Subcommand};

use crate::cli::merge_args::Decide;

#[derive(Debug, Args)]
pub(crate) struct Unstage {
    /// The keys
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) keys: Vec<String>,
    /// Everything that is staged
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  allod stash -m 'half a thought'\n  allod stash pop\n  allod stash pop 3 --theirs\n\n\
    What changed on the branch meanwhile is merged with the stash. With conflicts nothing changes and\n\
    the stash is kept; --ours, --theirs, --newest and --strategy decide them, theirs being the stash."
)]
pub(crate) struct StashArgs {
    /// What to say of it
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "")]
    pub(crate) message: String,
    #[command(subcommand)]
    pub(crate) command: Option<StashCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StashCommand {
    /// List the stashes of the space, the oldest first
    List,
    /// Show the edits of a stash
    Show {
        /// Its number [default: the newest]
        number: Option<u64>,
    },
    /// Stage the edits of a stash on the current branch, and drop it
    Pop(Unstash),
    /// Stage the edits of a stash on the current branch, and keep it
    Apply(Unstash),
    /// Drop a stash
    Drop {
        /// Its number
        number: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Unstash {
    /// Its number [default: the newest]
    pub(crate) number: Option<u64>,
    #[command(flatten)]
    pub(crate) decide: Decide,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  allod undo --list\n  allod undo 41\n\n\
    An undo is a move like any other, and can be undone. What a peer has comes back with the next sync.")]
pub(crate) struct Undo {
    /// The move [default: the last one of the current branch]
    pub(crate) number: Option<u64>,
    /// List the moves of all branches, the newest first
    #[arg(long, conflicts_with = "number")]
    pub(crate) list: bool,
    /// List at most so many
    #[arg(long, short = 'n', default_value_t = 100, requires = "list")]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod tag\n  allod tag v1.0 -m 'First release'\n  allod tag -d v1.0\n\n\
    A tag is signed, goes to everybody in the space, and never changes. A tag is read wherever a\n\
    commit or branch is: allod get KEY --at v1.0"
)]
pub(crate) struct TagArgs {
    /// The new tag
    #[arg(conflicts_with = "list")]
    pub(crate) name: Option<String>,
    /// The commit, or a branch with one head [default: that of the current branch]
    pub(crate) commit: Option<String>,
    /// What to say of it
    #[arg(
        short = 'm',
        long,
        value_name = "TEXT",
        default_value = "",
        requires = "name"
    )]
    pub(crate) message: String,
    /// Delete the tag
    #[arg(long, short = 'd', requires = "name", conflicts_with_all = ["commit", "message"])]
    pub(crate) delete: bool,
    /// List the tags, as without a name
    #[arg(long, short = 'l')]
    pub(crate) list: bool,
}
