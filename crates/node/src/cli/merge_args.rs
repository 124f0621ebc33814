//! What can be said about merges and single commits.

use clap::{ArgGroup, Args, Subcommand};

use crate::cli::hooks::Verify;

/// Who decides conflicts.
#[derive(Debug, Default, Args)]
pub(crate) struct Decide {
    /// Decide every conflict for this branch
    #[arg(long, group = "all")]
    pub(crate) ours: bool,
    /// Decide every conflict for what comes in
    #[arg(long, group = "all")]
    pub(crate) theirs: bool,
    /// Decide every conflict for what was written last
    #[arg(long, group = "all")]
    pub(crate) newest: bool,
    /// Decide conflicts of some keys: ours, theirs, newest, json or a merge type; the first that fits counts
    #[arg(long, value_name = "PATTERN=NAME")]
    pub(crate) strategy: Vec<String>,
}

/// What becomes of something that waits.
#[derive(Debug, Args)]
pub(crate) struct Waiting {
    /// Go on after the conflicts were resolved
    #[arg(long = "continue", group = "waiting")]
    pub(crate) go_on: bool,
    /// Give up; the branch is as it was
    #[arg(long, group = "waiting")]
    pub(crate) abort: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod merge draft\n  allod merge draft --strategy 'doc/*=json' --newest\n\n\
    With conflicts the branch stays as it was. Then:\n  allod conflicts\n  \
    allod resolve KEY --theirs\n  allod merge --continue"
)]
pub(crate) struct Merge {
    /// The branch or commit to merge into the current branch
    #[arg(required_unless_present = "waiting", conflicts_with = "waiting")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) decide: Decide,
    /// Make a commit even if the branch could just move
    #[arg(long)]
    pub(crate) no_ff: bool,
    /// Move the branch, or do nothing
    #[arg(long, conflicts_with = "no_ff")]
    pub(crate) ff_only: bool,
    /// Merge histories that have nothing in common
    #[arg(long)]
    pub(crate) allow_unrelated: bool,
    /// What to say of it
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) verify: Verify,
}

#[derive(Debug, Args)]
pub(crate) struct Pick {
    /// The commit
    #[arg(required_unless_present = "waiting", conflicts_with = "waiting")]
    pub(crate) commit: Option<String>,
    /// Of a merge: what it changed as seen from this parent
    #[arg(long, value_name = "PARENT", conflicts_with = "waiting")]
    pub(crate) mainline: Option<String>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) decide: Decide,
    #[command(flatten)]
    pub(crate) verify: Verify,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without --as the branch itself moves, which is refused if a peer may have it: nobody can \
    take a commit back,\nso the old ones would return with the next sync, beside the new ones."
)]
pub(crate) struct Rebase {
    /// The branch whose commits are replayed [default: the current one]
    pub(crate) branch: Option<String>,
    /// Onto this branch or commit
    #[arg(
        long,
        value_name = "COMMIT",
        required_unless_present = "waiting",
        conflicts_with = "waiting"
    )]
    pub(crate) onto: Option<String>,
    /// Leave the branch as it is, and let a new one stand at the result
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Move the branch even if a peer may have it
    #[arg(long)]
    pub(crate) force: bool,
    /// Leave out the commit that has conflicts, and go on
    #[arg(long, group = "waiting")]
    pub(crate) skip: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) decide: Decide,
    #[command(flatten)]
    pub(crate) verify: Verify,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("side").args(["ours", "theirs", "value", "delete"]).required(true)))]
pub(crate) struct Resolve {
    /// The key
    pub(crate) key: String,
    /// For this branch
    #[arg(long)]
    pub(crate) ours: bool,
    /// For what comes in
    #[arg(long)]
    pub(crate) theirs: bool,
    /// For another value; `-` reads standard input
    #[arg(long, value_name = "VALUE")]
    pub(crate) value: Option<String>,
    /// For no value
    #[arg(long)]
    pub(crate) delete: bool,
    /// Of a branch other than the current one
    #[arg(long, value_name = "BRANCH")]
    pub(crate) on: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MergeTypes {
    /// Decide conflicts of some keys in the whole space; only its owner may
    #[command(after_help = "Example:\n  allod merge-type set 'doc/*' json")]
    Set {
        /// A key, `prefix*`, or `*` for all
        pattern: String,
        /// newest, json, or a merge type
        name: String,
    },
    /// List the rules, the most specific first
    List,
    /// Remove a rule
    Remove {
        /// Its pattern
        pattern: String,
    },
}
