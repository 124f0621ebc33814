//! What can be said about federation.

use std::path::PathBuf;

use allod_repo::BranchName;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum FederateCommand {
    /// Let others connect to a space, at /federation/NAME of the HTTP listener
    #[command(after_help = "Examples:\n  \
        allod --space notes federate serve --default\n  \
        allod federate serve --token-file ~/peers.token\n  \
        allod federate serve --policy '{\"trustedAuthors\":[\"did:key:z6Mk...\"],\"deniedSystems\":[\"spam\"]}'\n  \
        allod federate serve --anyone --policy '{\"signatures\":\"optional\"}' --take '{\"targetContexts\":[\"title\"]}'\n\n\
        What is not said is as at first: a list that is absent names anyone, one that is empty nobody, and deltas\n\
        without a signature are refused. Peers of the original neither sign nor show tokens.")]
    Serve(Box<Serve>),
    /// Open a link to a server, and keep it open while a node runs
    #[command(after_help = "Examples:\n  \
        allod federate connect ws://192.0.2.7:8080/federation --name hub\n  \
        allod federate connect wss://example.org/federation/notes --token-file ~/hub.token --mode pull\n  \
        allod federate connect ws://10.0.0.2:8080/federation --initial-sync from_timestamp --from 1730000000000\n  \
        allod federate connect ws://10.0.0.2:8080/federation --pull-filter '{\"authors\":[\"alice\"]}' \
        --policy '{\"signatures\":\"optional\"}'\n\n\
        What is taken is what the space takes (`federate serve --policy`) and the link too.")]
    Connect(Box<Connect>),
    /// List the spaces that are federated, and the links
    List,
    /// Show how a link stands, or all, those of peers among them
    Status {
        /// The link
        name: Option<String>,
    },
    /// Send nothing on a link, and be sent nothing, until it goes on; nothing is lost
    Pause {
        /// The link
        name: String,
    },
    /// Go on with a link
    Resume {
        /// The link
        name: String,
    },
    /// End a link and forget it; what it brought stays
    Disconnect {
        /// The link
        name: String,
    },
    /// Tell the entries of a branch as deltas
    #[command(after_help = "Examples:\n  allod federate export\n  \
        allod federate export --branch main --follow\n  allod federate export --off")]
    Export(Export),
    /// Make entries of what deltas say: a record of each object, and the values of other spaces
    #[command(after_help = "Examples:\n  allod federate import\n  \
        allod federate import --prefix net/ --follow\n  \
        allod federate import --view '{\"title\":{\"source\":\"title\",\"resolve\":\"mostRecent\"}}'\n  \
        allod federate import --off")]
    Import(Import),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Serve {
    /// The branch that has the deltas [default: the one it has, or deltas]
    #[arg(long)]
    pub(crate) branch: Option<BranchName>,
    /// Let nobody connect any more; a policy and filters that are said with it count for the links of this node
    #[arg(long)]
    pub(crate) off: bool,
    /// Serve it at /federation too, where peers of the original look
    #[arg(long)]
    pub(crate) default: bool,
    /// Let whoever reaches the listener connect without a token
    #[arg(long, conflicts_with = "token_file")]
    pub(crate) anyone: bool,
    /// A file with a token that opens this space to peers, and nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Whose deltas are taken, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) policy: Option<String>,
    /// A filter: what is given at all
    #[arg(long, value_name = "JSON")]
    pub(crate) give: Option<String>,
    /// A filter: what is taken at all
    #[arg(long, value_name = "JSON")]
    pub(crate) take: Option<String>,
    /// Ask who connects to prove a key
    #[arg(long)]
    pub(crate) require_key: bool,
    /// A key that may be proved, as did:key:z6Mk...; any unless one is given
    #[arg(long, value_name = "KEY", requires = "require_key")]
    pub(crate) key: Vec<String>,
    /// Links that may be open at once
    #[arg(long, value_name = "N", default_value_t = allod_federation::CONNECTIONS_MAX)]
    pub(crate) links: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// The server, as ws://host:port/federation
    pub(crate) url: String,
    /// What to call the link [default: chosen]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The branch that has the deltas [default: the one it has, or deltas]
    #[arg(long)]
    pub(crate) branch: Option<BranchName>,
    /// `push` (send), `pull` (be sent) or `bidirectional`
    #[arg(long, default_value = "bidirectional")]
    pub(crate) mode: String,
    /// What of the past is asked for: `full`, `from_timestamp` or `none`
    #[arg(long, value_name = "WHAT", default_value = "full")]
    pub(crate) initial_sync: String,
    /// The time for `from_timestamp`, in milliseconds since 1970
    #[arg(long, value_name = "MS")]
    pub(crate) from: Option<u64>,
    /// A filter: what is sent
    #[arg(long, value_name = "JSON")]
    pub(crate) push_filter: Option<String>,
    /// A filter: what is asked for
    #[arg(long, value_name = "JSON")]
    pub(crate) pull_filter: Option<String>,
    /// Whose deltas are taken on this link, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) policy: Option<String>,
    /// A file with the token that the server asks for
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Whether messages with deltas are packed, if the server takes that: `elsewhere` (unless it is on this machine),
    /// `always` or `never`
    #[arg(long, value_name = "WHEN", default_value = "elsewhere")]
    pub(crate) deflate: String,
    /// Show the token though whoever is on the way can read it: over ws:// to another machine
    #[arg(long, requires = "token_file")]
    pub(crate) token_in_clear: bool,
    /// A file with certificates that are believed, in PEM [default: those of the web]
    #[arg(long, value_name = "FILE")]
    pub(crate) authority: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The branch that is told
    #[arg(long, default_value = "main")]
    pub(crate) branch: BranchName,
    /// Go on with what comes, while a node runs
    #[arg(long, conflicts_with = "off")]
    pub(crate) follow: bool,
    /// Do not go on any more
    #[arg(long)]
    pub(crate) off: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The branch that gets the entries
    #[arg(long, default_value = "main")]
    pub(crate) branch: BranchName,
    /// What their keys begin with
    #[arg(long, default_value = "delta/")]
    pub(crate) prefix: String,
    /// A hyperschema, as JSON [default: by target context]
    #[arg(long, value_name = "JSON")]
    pub(crate) schema: Option<String>,
    /// A view schema, as JSON [default: the last value of each property]
    #[arg(long, value_name = "JSON")]
    pub(crate) view: Option<String>,
    /// Go on with what comes, while a node runs
    #[arg(long, conflicts_with = "off")]
    pub(crate) follow: bool,
    /// Begin with the first delta: keys that were refused before are tried again
    #[arg(long, conflicts_with = "off")]
    pub(crate) again: bool,
    /// Do not go on any more
    #[arg(long)]
    pub(crate) off: bool,
}
