//! What can be said about deltas.

use std::path::PathBuf;

use allod_repo::BranchName;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum DeltaCommand {
    /// Say something: a delta of pointers, signed by this device, or deltas of others as they are
    #[command(after_help = "Examples:\n  \
        allod delta add --to post=post-1#title --value text='On deltas'\n  \
        allod delta add --to reader=ada --to book=book-7#readers --value stars=5\n  \
        allod delta add --file deltas.ndjson\n\n\
        Each line of a file is a delta of somebody's, with an id, which is kept as it is; or an object with pointers\n\
        and at most a timestamp, which is signed here.")]
    Add(AddDelta),
    /// List deltas that meet a filter and that nobody took back
    #[command(after_help = "Examples:\n  \
        allod delta list\n  \
        allod delta list '{\"targetIds\":[\"post-1\"],\"targetContexts\":[\"title\"]}'\n  \
        allod delta list '{\"authors\":[\"alice\"],\"includeNegated\":true}' --at 1730000000000")]
    List(ListDeltas),
    /// Show a delta, whether its author signed it, and whether somebody took it back
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        look: Look,
    },
    /// Take a delta back: say a delta that negates it
    #[command(after_help = "Examples:\n  allod delta negate bafyrei... --reason 'a mistake'")]
    Negate {
        /// Its id
        id: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        on: OnBranch,
    },
    /// Show what is said of an object, by a schema
    #[command(after_help = "Examples:\n  \
        allod delta view post-1\n  \
        allod delta view post-1 --at 1730000000000\n  \
        allod delta view post-1 --hyper\n  \
        allod delta view post-1 --view '{\"titles\":{\"source\":\"title\",\"resolve\":\"allValues\"}}'")]
    View(ViewDeltas),
}

#[derive(Debug, Args)]
pub(crate) struct OnBranch {
    /// The branch that has the deltas [default: that of `allod federate`, or deltas]
    #[arg(long)]
    pub(crate) branch: Option<BranchName>,
}

#[derive(Debug, Args)]
pub(crate) struct Look {
    /// As it was at a time, in milliseconds since 1970
    #[arg(long, value_name = "MS")]
    pub(crate) at: Option<u64>,
    #[command(flatten)]
    pub(crate) on: OnBranch,
}

#[derive(Debug, Args)]
pub(crate) struct AddDelta {
    /// A pointer to an object, and the property of it under which the delta is found
    #[arg(long, value_name = "ROLE=ID[#CONTEXT]")]
    pub(crate) to: Vec<String>,
    /// A pointer to a number, true, false or a text
    #[arg(long, value_name = "ROLE=VALUE")]
    pub(crate) value: Vec<String>,
    /// A file with a delta a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "value"])]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) on: OnBranch,
}

#[derive(Debug, Args)]
pub(crate) struct ListDeltas {
    /// A filter, as JSON
    #[arg(default_value = "{}")]
    pub(crate) filter: String,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) look: Look,
}

#[derive(Debug, Args)]
pub(crate) struct ViewDeltas {
    /// The object
    pub(crate) object: String,
    /// A hyperschema, as JSON [default: by target context]
    #[arg(long, value_name = "JSON")]
    pub(crate) schema: Option<String>,
    /// A view schema, as JSON [default: the last value of each property]
    #[arg(long, value_name = "JSON", conflicts_with = "hyper")]
    pub(crate) view: Option<String>,
    /// The deltas themselves, by property
    #[arg(long)]
    pub(crate) hyper: bool,
    #[command(flatten)]
    pub(crate) look: Look,
}
