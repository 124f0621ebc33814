//! What can be said about events.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Print events as they happen
    #[command(after_help = "Examples:\n  allod events tail\n  \
        allod events tail --from beginning --once --kind change --prefix notes/\n  \
        allod events tail --json --from snapshot\n  \
        allod events tail --from now --filter '{\"branches\":[\"main\"],\"types\":[\"person\"]}'\n\n\
        With --json each line is a CloudEvent; its attribute allodcursor is what --from takes to go on after it.\n\
        Events are told at least once, in order. A cursor from which the log does not go on is refused, with\n\
        one at which a snapshot begins.")]
    Tail(Tail),
    /// Print a cursor: what `tail --from` takes
    #[command(after_help = "Examples:\n  allod events cursor\n  allod events cursor snapshot")]
    Cursor {
        /// `now`, `beginning` or `snapshot`
        #[arg(default_value = "now")]
        at: String,
    },
    /// Show how long the log is and who reads it, set how much of it is kept, or remove what is not
    #[command(
        after_help = "Examples:\n  allod events log\n  allod events log --keep 100000 --max 500000\n  \
        allod events log --trim\n\n\
        The last --keep moves stay. Older ones go, with `allod gc` and while the node runs; but those that a sink, a\n\
        hook or a link has not read stay until there are more than --max. Whoever comes with a cursor from before is\n\
        told that it has expired. A move can be undone while it is in the log."
    )]
    Log(LogOptions),
    /// Print the schema of events' data: what their attribute dataschema names
    #[command(after_help = "Examples:\n  \
        allod events schema allod://schema/bafkreib7m6qs3zvbxu4gtqq2bnkv2ml3wvmhsqjwqyzlxb2d5sbqmmr4fi\n\n\
        A JSON Schema or an Avro schema is text; of Protobuf it is a FileDescriptorSet, in bytes.")]
    Schema {
        /// The value of dataschema, or the CID in it
        schema: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LogOptions {
    /// Keep the last N moves [at first: 1000000]
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<u64>,
    /// Keep at most N moves, though a sink, a hook or a link has not read them [at first: 4000000]
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    /// Remove now what is not to be kept
    #[arg(long)]
    pub(crate) trim: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// `now`, `beginning`, `snapshot` (all that is there, then what comes), or a cursor
    #[arg(long, value_name = "CURSOR", default_value = "now")]
    pub(crate) from: String,
    /// End when there is no more
    #[arg(long)]
    pub(crate) once: bool,
    /// End after so many events
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// What is to be told.
#[derive(Debug, Default, Args)]
pub(crate) struct Which {
    /// Only what this filter lets pass, an object of JSON: specs/32-feed.md has its fields
    #[arg(long, value_name = "JSON", conflicts_with_all = ["branch", "kind", "prefix", "type_name", "author", "reach"])]
    pub(crate) filter: Option<String>,
    /// Only this branch, or those that begin so: `notes/*`; several times for several
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Vec<String>,
    /// Only events of this kind: `commit`, `change` or `move`
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<String>,
    /// Only keys that begin so
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Vec<String>,
    /// Only records of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) type_name: Vec<String>,
    /// Only what this agent wrote
    #[arg(long, value_name = "AGENT")]
    pub(crate) author: Vec<String>,
    /// Only of spaces that their owners mean for `private`, `invited`, `circle` or `public`
    #[arg(long, value_name = "REACH")]
    pub(crate) reach: Vec<String>,
}
