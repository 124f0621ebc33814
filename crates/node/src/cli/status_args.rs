//! What can be said to `commit`, `sync` and `await`.

use clap::Args;

use crate::cli::hooks::Verify;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod sync\n  allod sync home\n  allod sync --watch\n  allod sync --watch --json\n\n\
    With --watch it shows what each peer lacks whenever that changes, until it is interrupted. A running node\n\
    exchanges meanwhile; without one, this command does."
)]
pub(crate) struct Sync {
    /// A remote, a device, the end of one, an agent or an address
    pub(crate) peer: Option<String>,
    /// Go on, and show how each peer stands whenever that changes
    #[arg(long, short = 'w')]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod await main\n  allod await 2m4ens4y --peers 2 --timeout 30\n\n\
    Peers that keep a part of the space do not count. What is not there in time stays, and leaves later."
)]
pub(crate) struct Await {
    /// The commit, or enough of its id, or a branch: all heads that it has now
    pub(crate) commit: String,
    /// How many peers that keep the whole space
    #[arg(long, short = 'p', default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) peers: u16,
    /// Fail after so many seconds [default: wait for ever]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u32>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  allod commit -m 'First words'\n  \
    allod commit -m 'To be safe' --until-peers 2 --timeout 30")]
pub(crate) struct CommitArgs {
    /// What to say of it
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) verify: Verify,
    /// Wait until so many peers that keep the whole space have the commit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) until_peers: Option<u16>,
    /// Fail after so many seconds; the commit stays, and leaves later
    #[arg(long, value_name = "SECONDS", requires = "until_peers")]
    pub(crate) timeout: Option<u32>,
}
