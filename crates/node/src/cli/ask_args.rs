//! What can be asked of the history.

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "The whole history of a key: allod log --key KEY")]
pub(crate) struct BlameArgs {
    /// The key
    pub(crate) key: String,
    /// All keys that begin with KEY
    #[arg(long)]
    pub(crate) prefix: bool,
    /// At most so many keys
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000)]
    pub(crate) limit: usize,
    /// As of a branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod bisect GOOD BAD --key config --equals on\n  \
    allod bisect GOOD BAD -- sh -c 'allod get config --at $ALLOD_COMMIT | grep -q on'\n\n\
    The command has ALLOD_HOME and ALLOD_COMMIT in its environment. It ends with 0 for good, 125 if it\n\
    cannot tell, and 1 to 127 for bad. Without --key and command the next commit to test is printed."
)]
pub(crate) struct BisectArgs {
    /// A commit that is good
    pub(crate) good: String,
    /// A commit that is bad and descends from it
    pub(crate) bad: String,
    /// Good is that this key has a value
    #[arg(long, value_name = "KEY", conflicts_with = "command")]
    pub(crate) key: Option<String>,
    /// Good is that it has this value
    #[arg(long, value_name = "VALUE", requires = "key")]
    pub(crate) equals: Option<String>,
    /// A commit between them that was found to be good
    #[arg(long, value_name = "COMMIT")]
    pub(crate) is_good: Vec<String>,
    /// A commit between them that was found to be bad
    #[arg(long, value_name = "COMMIT")]
    pub(crate) is_bad: Vec<String>,
    /// A commit between them that cannot be tested
    #[arg(long, value_name = "COMMIT")]
    pub(crate) skip: Vec<String>,
    /// The test
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}
