//! What can be said to `ls` and `log`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  allod ls notes/ --limit 100\n  \
    allod ls notes/ --limit 100 --after notes/today      # the next page, at any time\n  \
    allod ls --count notes/\n  allod ls --nth 49999\n  allod ls --sample 10 --json\n\n\
    A key that is no text is printed, and taken, as hex: and its bytes. With --at COMMIT pages \
    show one state, whatever happens meanwhile.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Ls {
    /// Keys that begin with this
    pub(crate) prefix: Option<String>,
    /// From this key on
    #[arg(long, value_name = "KEY", conflicts_with = "prefix")]
    pub(crate) from: Option<String>,
    /// Up to and without this key
    #[arg(long, value_name = "KEY", conflicts_with = "prefix")]
    pub(crate) to: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// After this key in the order of the list: where a list with a limit goes on
    #[arg(long, value_name = "KEY")]
    pub(crate) after: Option<String>,
    /// Only how many keys are committed, deleted ones included
    #[arg(long, conflicts_with_all = ["limit", "reverse"])]
    pub(crate) count: bool,
    /// Count what is there, without deleted keys and with what is staged: reads all of it
    #[arg(long, requires = "count")]
    pub(crate) live: bool,
    /// Only the key before which N committed ones stand, deleted ones included
    #[arg(long, value_name = "N", conflicts_with_all = ["limit", "reverse", "count"])]
    pub(crate) nth: Option<u64>,
    /// Only so many committed keys, chosen at random
    #[arg(long, value_name = "N", conflicts_with_all = ["limit", "reverse", "count", "nth"])]
    pub(crate) sample: Option<usize>,
    /// Choose the same ones again [default: the time]
    #[arg(long, value_name = "N", requires = "sample")]
    pub(crate) seed: Option<u64>,
    /// Backwards
    #[arg(long)]
    pub(crate) reverse: bool,
    /// With kinds, sizes and times
    #[arg(long, short = 'l')]
    pub(crate) long: bool,
    /// As of a branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod log -n 10\n  allod log --graph --all\n  \
    allod log --all --svg history.svg\n  allod log --key notes/today\n  allod log --where -n 10        # which peers have each commit"
)]
pub(crate) struct Log {
    /// At most so many commits
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only what wrote this key, with what it wrote
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// With lines that lead from commits to their parents
    #[arg(long, conflicts_with = "key")]
    pub(crate) graph: bool,
    /// Draw it into a file, as SVG; - for standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "graph", "json"])]
    pub(crate) svg: Option<PathBuf>,
    /// With the peers that have each commit, as far as they have said
    #[arg(long = "where", conflicts_with_all = ["key", "svg"])]
    pub(crate) where_: bool,
    /// From all branches but meta
    #[arg(long, conflicts_with_all = ["key", "from"])]
    pub(crate) all: bool,
    /// From a branch or commit instead of the current branch
    pub(crate) from: Option<String>,
}
