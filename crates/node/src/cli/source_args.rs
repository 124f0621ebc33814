//! What can be said about sources.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Import events from a broker or a file into the space
    #[command(after_help = "Examples:\n  \
        allod source add orders --nats nats://127.0.0.1:4222 --stream orders --key 'order/{id}'\n  \
        allod source add mirror --kafka 127.0.0.1:9092 --topic allod --prefix mirror/\n  \
        allod --space notes source add log --file /var/log/app.ndjson --whole\n\n\
        A running node imports them. What another node's sink tells of entries becomes these entries; any other\n\
        CloudEvent becomes an entry with its data, and a message that is no event one with what it says. How far\n\
        it came is in the commit that has what was imported, so that each event counts once, whatever is\n\
        interrupted when.")]
    Add(Box<Add>),
    /// List the sources
    List,
    /// Show how a source stands, or all
    Status {
        /// The source
        name: Option<String>,
    },
    /// Let a source rest
    Pause {
        /// The source
        name: String,
    },
    /// Let a source go on that rests, or that has stopped
    Resume {
        /// The source
        name: String,
        /// From the `beginning`, or from the `end`, of what is there now
        #[arg(long, value_name = "PLACE", value_parser = ["beginning", "end"])]
        from: Option<String>,
    },
    /// Forget a source; what it has imported stays, and so does its position in the space
    Remove {
        /// The source
        name: String,
    },
    /// List the records that could not be imported
    Dead {
        /// The source
        name: String,
        /// Drop them; a source that has stopped for them goes on
        #[arg(long)]
        drop: bool,
    },
    /// Import here until there is no more, without a running node
    Run {
        /// The source
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// What to call it; a space that knows the name goes on from where that came
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) from: FromArgs,
    /// The stream of NATS
    #[arg(long, conflicts_with_all = ["kafka", "file"], default_value = "allod")]
    pub(crate) stream: String,
    /// Only these subjects of the stream
    #[arg(long, conflicts_with_all = ["kafka", "file"])]
    pub(crate) subject: Option<String>,
    /// A file with credentials for NATS
    #[arg(long, conflicts_with_all = ["kafka", "file"], value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,
    /// The topic of Kafka
    #[arg(long, conflicts_with_all = ["nats", "file"], default_value = "allod")]
    pub(crate) topic: String,
    /// A file of properties for the client of Kafka, such as those of SASL
    #[arg(long, conflicts_with_all = ["nats", "file"], value_name = "FILE")]
    pub(crate) properties: Option<PathBuf>,
    /// The branch that it goes to [default: where the space stands]
    #[arg(long)]
    pub(crate) branch: Option<String>,
    /// What keys of other events are made of: text, and names of attributes in braces [default:
    /// `events/{name}/{source}/{id}`, of a message that is no event `events/{name}/{id}`]
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) key: Option<String>,
    /// Take entries of this branch of another space
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    pub(crate) their_branch: String,
    /// Take entries of this space alone, named by its id [default: of any other]
    #[arg(long, value_name = "SPACE")]
    pub(crate) their_space: Option<String>,
    /// What keys of another space's entries begin with here
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// Keep the whole event rather than its data
    #[arg(long)]
    pub(crate) whole: bool,
    /// From the `beginning`, or from the `end`, of what is there now [default: where the space says that it came, or
    /// the beginning]
    #[arg(long = "from", value_name = "PLACE", value_parser = ["beginning", "end"])]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct FromArgs {
    /// From JetStream at this address
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// From these brokers of Kafka, `HOST:PORT` with commas between them
    #[arg(long, value_name = "BROKERS")]
    pub(crate) kafka: Option<String>,
    /// From a file, a line each
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}
