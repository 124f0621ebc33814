//! What can be said about remotes, and of pushing and pulling.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  allod remote add home did:key:z6Mk...@192.0.2.7:4040\n  allod remote add phone 7Qb2xLwT\n  \
    allod push home\n\nThe node whose ticket one joined with is `origin`."
)]
pub(crate) struct RemoteArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RemoteCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RemoteCommand {
    /// List the remotes of the space
    List,
    /// Call a device a remote of the space, in place of the name that it had
    Add {
        /// What to call it
        name: String,
        /// DEVICE@ADDRESS:PORT, a device, or a peer that is known: the end of a device, an agent, an address
        peer: String,
    },
    /// Give a remote another name
    Rename {
        /// What it is called
        name: String,
        /// What to call it
        to: String,
    },
    /// Have no sessions with a peer until it is resumed: a running node begins none, and ends those of the peer
    #[command(
        after_help = "Examples:\n  allod remote pause home\n  allod remote pause --all\n\n\
        `allod sync home`, `push` and `pull` go through all the same: somebody says so."
    )]
    Pause(Which),
    /// Have sessions with a peer again
    Resume(Which),
    /// Take its name away; a device that there was a session with stays a peer of the space
    Remove {
        /// What it is called
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// A remote, or another peer as `allod sync` takes it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) name: Option<String>,
    /// All peers of the space
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod fetch\n  allod fetch home main drafts\n  allod log origin/main\n  \
    allod diff main origin/main\n  allod merge origin/main\n\n\
    No branch here moves, but for meta, which governs the space. What came is named REMOTE/BRANCH wherever a commit\n\
    can be named, and listed by `allod branch --remotes`. A running node exchanges by itself, and then branches\n\
    move: `allod remote pause` has it wait."
)]
pub(crate) struct Fetch {
    /// A remote [default: origin, or the only peer]
    pub(crate) remote: Option<String>,
    /// The branches [default: all]
    #[arg(value_name = "BRANCH", conflicts_with = "prune")]
    pub(crate) branches: Vec<String>,
    /// Forget what was fetched of branches that the remote has no more
    #[arg(long)]
    pub(crate) prune: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod push\n  allod push home main drafts\n  allod pull --all\n\n\
    What is pulled joins the branch: what is here stays, and what both changed is under `allod conflicts`.\n\
    What governs the space, the branch meta, comes along. A running node exchanges by itself, in both directions."
)]
pub(crate) struct Transfer {
    /// A remote, or another peer as `allod sync` takes it [default: origin, or the only peer]
    pub(crate) remote: Option<String>,
    /// The branches [default: the current branch]
    #[arg(value_name = "BRANCH", conflicts_with = "all")]
    pub(crate) branches: Vec<String>,
    /// All branches
    #[arg(long)]
    pub(crate) all: bool,
}
