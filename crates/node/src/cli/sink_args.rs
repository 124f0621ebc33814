//! What can be said about sinks.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::events_args::Which;

#[derive(Debug, Subcommand)]
pub(crate) enum SinkCommand {
    /// Carry events to a broker, a server or a file, from now on or from a cursor
    #[command(after_help = "Examples:\n  \
        allod sink add broker --nats nats://127.0.0.1:4222 --stream allod --from beginning\n  \
        allod sink add topic --kafka 127.0.0.1:9092 --topic allod --partitions 12 --from snapshot\n  \
        allod sink add hook --webhook https://example.org/events --secret ~/hook.key --mode batch\n  \
        allod sink add typed --nats nats://127.0.0.1:4222 --stream typed --data avro --registry http://127.0.0.1:8081\n  \
        allod sink add audit --file /var/log/allod.ndjson --kind commit --space notes\n\n\
        A running node carries them. Events are CloudEvents, each delivered at least once; a stream of NATS, a\n\
        topic of Kafka and a file have each once, whatever is interrupted when.")]
    Add(Box<Add>),
    /// List the sinks
    List,
    /// Show how a sink stands, or all
    Status {
        /// The sink
        name: Option<String>,
    },
    /// Let a sink rest
    Pause {
        /// The sink
        name: String,
    },
    /// Let a sink go on that rests, or that has stopped
    Resume {
        /// The sink
        name: String,
        /// From this cursor instead: `now`, `beginning`, `snapshot`, or what `allod events cursor` prints
        #[arg(long, value_name = "CURSOR")]
        from: Option<String>,
    },
    /// Forget a sink; what its target has stays there
    Remove {
        /// The sink
        name: String,
    },
    /// List the events that the target of a sink refused
    Dead {
        /// The sink
        name: String,
        /// Drop them; a sink that has stopped for them goes on
        #[arg(long)]
        drop: bool,
    },
    /// Carry a sink here until there is no more, without a running node
    Run {
        /// The sink
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// What to call it
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) to: ToArgs,
    /// The stream of NATS, which is made if it is not there and has to be this sink's own [default: allod]
    #[arg(long, conflicts_with_all = ["kafka", "webhook", "file", "stdout"])]
    pub(crate) stream: Option<String>,
    /// What the subjects of NATS begin with [default: the stream]
    #[arg(long, conflicts_with_all = ["kafka", "webhook", "file", "stdout"])]
    pub(crate) subject: Option<String>,
    /// A file with credentials for NATS
    #[arg(long, conflicts_with_all = ["kafka", "webhook", "file", "stdout"], value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,
    /// The topic of Kafka, which is made if it is not there and has to be this sink's own [default: allod]
    #[arg(long, conflicts_with_all = ["nats", "webhook", "file", "stdout"])]
    pub(crate) topic: Option<String>,
    /// How many partitions a topic is made with [default: what the brokers say]
    #[arg(long, conflicts_with_all = ["nats", "webhook", "file", "stdout"], value_name = "COUNT")]
    pub(crate) partitions: Option<u16>,
    /// A file of properties for the client of Kafka, such as those of SASL
    #[arg(long, conflicts_with_all = ["nats", "webhook", "file", "stdout"], value_name = "FILE")]
    pub(crate) properties: Option<PathBuf>,
    /// A file with the secret that signs POSTs, as Standard Webhooks has it
    #[arg(long, conflicts_with_all = ["nats", "kafka", "file", "stdout"], value_name = "FILE")]
    pub(crate) secret: Option<PathBuf>,
    /// A file with a bearer token for POSTs
    #[arg(long, conflicts_with_all = ["nats", "kafka", "file", "stdout"], value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// `structured`, `binary` (NATS, Kafka, webhooks), or `batch` (webhooks)
    #[arg(long, default_value = "structured")]
    pub(crate) mode: String,
    /// What the data of events is: `json`, `avro`, `protobuf` or `protobuf-described`
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(crate) data: String,
    /// The schema registry that numbers the schemas of `avro` and `protobuf`, as Confluent's does
    #[arg(long, value_name = "URL")]
    pub(crate) registry: Option<String>,
    /// A file with a bearer token for the registry
    #[arg(long, value_name = "FILE", requires = "registry")]
    pub(crate) registry_token: Option<PathBuf>,
    /// `now`, `beginning`, `snapshot`, or a cursor
    #[arg(long, value_name = "CURSOR", default_value = "now")]
    pub(crate) from: String,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ToArgs {
    /// To JetStream at this address
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// To these brokers of Kafka, `HOST:PORT` with commas between them
    #[arg(long, value_name = "BROKERS")]
    pub(crate) kafka: Option<String>,
    /// To a server that takes POSTs
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// To a file, a line each
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// To the standard output of the running node
    #[arg(long)]
    pub(crate) stdout: bool,
}
