//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use allod::StoreKind;
use allod_blocks::Compression;
use allod_repo::Reach;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::cli::access_args::{Gift, GrantArgs, GrantsArgs, MemberCommand, RulesCommand};
use crate::cli::ask_args::{BisectArgs, BlameArgs};
use crate::cli::branch_args::BranchArgs;
use crate::cli::delta_args::DeltaCommand;
use crate::cli::events_args::EventsCommand;
use crate::cli::federate_args::FederateCommand;
use crate::cli::hooks::Hooks;
use crate::cli::http_args::{HttpArgs, HttpCommand};
use crate::cli::id_args::IdCommand;
use crate::cli::join_args::{
    CounterCommand, DocCommand, ListCommand, MapCommand, RegisterCommand, SetCommand, ValuesCommand,
};
use crate::cli::list_args::{Log, Ls};
use crate::cli::merge_args::{Merge, MergeTypes, Pick, Rebase, Resolve};
use crate::cli::part_args::PartArgs;
use crate::cli::patch_args::{ApplyArgs, DiffArgs};
use crate::cli::remote_args::{Fetch, RemoteArgs, Transfer};
use crate::cli::sink_args::SinkCommand;
use crate::cli::source_args::SourceCommand;
use crate::cli::sql_args::SqlArgs;
use crate::cli::status_args::{Await, CommitArgs, Sync};
use crate::cli::table_args::TableArgs;
use crate::cli::trust_args::{Attest, Attestations, CircleCommand, PolicyCommand, TrustCommand};
use crate::cli::view_args::{ProjectionCommand, TypeCommand};
use crate::cli::work_args::{StashArgs, TagArgs, Undo, Unstage};

/// A sovereign node: your data, on your device, versioned, signed, shared with whom you choose.
#[derive(Debug, Parser)]
#[command(
    name = "allod",
    version,
    propagate_version = true,
    infer_subcommands = true
)]
#[command(after_help = "Start with:\n  allod init\n  allod space new notes\n  \
    allod put hello world\n  allod commit -m 'First words'\n\nSee it all at work:\n  allod demo")]
pub(crate) struct Cli {
    /// The home's directory [default: the platform's data directory]
    #[arg(long, global = true, env = "ALLOD_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// The space, by its name here or its id [default: the home's current space]
    #[arg(long, short = 's', global = true, value_name = "NAME")]
    pub(crate) space: Option<String>,
    /// Print data as JSON: one value, or one object a line for lists
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print data and errors only
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(long, short = 'v', global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a home: keys, a store, an agent
    Init(Init),
    /// Show who this is; devices, the agent's key, guardians and recovery
    Id {
        #[command(subcommand)]
        command: Option<IdCommand>,
    },
    /// Run the node until it is told to stop
    Up(Up),
    /// The token of those who ask over HTTP: `allod up --http ADDR`
    Http {
        #[command(subcommand)]
        command: HttpCommand,
    },
    /// Make, list, choose, share and join spaces
    Space {
        #[command(subcommand)]
        command: SpaceCommand,
    },
    /// Stage a value under a key
    #[command(
        after_help = "Examples:\n  allod put greeting hello\n  allod put notes/today - < today.md"
    )]
    Put {
        /// The key
        key: String,
        /// The value; `-` or nothing reads standard input
        value: Option<String>,
    },
    /// Print the value of a key
    Get(Get),
    /// Stage the removal of keys
    Del {
        /// The keys
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// List keys
    Ls(Ls),
    /// Stage the rows of files: a JSON array, NDJSON, CSV, or the files of a directory
    Import(Import),
    /// Write keys and values to a file or directory
    Export(Export),
    /// Add a file as a blob, pin it and print its CID
    Add {
        /// The file; `-` reads standard input
        file: PathBuf,
    },
    /// Write a blob to standard output
    Cat {
        /// Its name: a CID, `ipfs://...`, `proto://<sha256>`, `sha256-...`
        cid: String,
    },
    /// Record what is staged
    Commit(CommitArgs),
    /// Drop staged edits of the current branch, all of them or none
    Unstage(Unstage),
    /// Put by what is staged on the current branch, and bring it back later
    Stash(StashArgs),
    /// Show where a space stands, and what of it is at which peers
    #[command(after_help = "Examples:\n  allod status\n  allod status --json\n\n\
        A peer has what it said it has in a session, and what that stands on; of the rest it is said that it is\n\
        not known. The bytes that a peer lacks are those of commits and of the entries that they changed, without\n\
        files.")]
    Status,
    /// Show the history, newest first
    Log(Log),
    /// Show who wrote what a key holds
    Blame(BlameArgs),
    /// Find the commit that made the data bad, with few tests
    Bisect(BisectArgs),
    /// Take a move of a branch back
    Undo(Undo),
    /// Show a commit and what it changed
    Show {
        /// The commit, or enough of its id, or a branch
        commit: String,
    },
    /// Show what differs between two states, or what is staged
    Diff(DiffArgs),
    /// Stage the changes of a patch that `diff --patch` wrote: all of them or none
    Apply(ApplyArgs),
    /// List branches, make one, or delete one
    Branch(BranchArgs),
    /// List tags, make one, or delete one; only the owner of the space may
    Tag(TagArgs),
    /// Go to a branch; what is staged stays with the branch it was staged on
    Switch {
        /// The branch, or with --detach a commit
        name: String,
        /// Go to a commit, to look at it
        #[arg(long)]
        detach: bool,
        /// Make the branch first
        #[arg(long, short = 'c', conflicts_with = "detach")]
        create: bool,
    },
    /// Bring another branch into the current one
    Merge(Merge),
    /// Apply to the current branch what a commit changed
    CherryPick(Pick),
    /// Undo on the current branch what a commit changed
    Revert(Pick),
    /// Replay the commits of a branch onto another
    Rebase(Rebase),
    /// Show the conflicts of what is under way, and what was put aside where two people changed the same key
    Conflicts {
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 100)]
        limit: usize,
        /// Of a branch other than the current one
        #[arg(long, value_name = "BRANCH")]
        on: Option<String>,
    },
    /// Decide a conflict
    Resolve(Resolve),
    /// Say how conflicts of some keys are decided in the whole space
    MergeType {
        #[command(subcommand)]
        command: MergeTypes,
    },
    /// Exchange with the peers of the space, or with one
    Sync(Sync),
    /// Wait until peers have a commit
    Await(Await),
    /// Give a remote what it lacks of a branch, and take nothing
    Push(Transfer),
    /// Take what a remote has of a branch, and give nothing
    Pull(Transfer),
    /// Take what a remote has, and move no branch: what came is REMOTE/BRANCH
    Fetch(Fetch),
    /// List the remotes of the space: peers that have a name here
    Remote(RemoteArgs),
    /// List the peers of the space
    Peers,
    /// Follow what happens here: commits, what they change, where branches go
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Exchange deltas of a space with instances of RhizomeDB and other nodes
    Federate {
        #[command(subcommand)]
        command: FederateCommand,
    },
    /// Say something of objects as deltas, and look at what was said
    Delta {
        #[command(subcommand)]
        command: DeltaCommand,
    },
    /// Carry events to brokers, servers and files
    Sink {
        #[command(subcommand)]
        command: SinkCommand,
    },
    /// Import events from brokers and files into the space
    Source {
        #[command(subcommand)]
        command: SourceCommand,
    },
    /// Say which keys have values that join, and look at them
    #[command(
        after_help = "Examples:\n  allod values define 'likes:*' pn-counter\n  \
        allod values list\n  \
        allod values show likes:home"
    )]
    Values {
        #[command(subcommand)]
        command: ValuesCommand,
    },
    /// Count together with others
    #[command(after_help = "Examples:\n  allod counter incr likes:home\n  \
        allod counter decr likes:home 2\n  \
        allod counter show likes:home\n\n\
        First the owner of the space says that such keys have a g-counter or a pn-counter: `allod values define`.")]
    Counter {
        #[command(subcommand)]
        command: CounterCommand,
    },
    /// Keep a set together with others
    #[command(after_help = "Examples:\n  allod set add tags red green\n  \
        allod set rm tags red\n  \
        allod set count votes:tea ada 2\n  \
        allod set show tags\n\n\
        First the owner of the space says that such keys have an or-set, a 2p-set or a counted-set: `allod values define`.")]
    Set {
        #[command(subcommand)]
        command: SetCommand,
    },
    /// Write one value that others write too
    #[command(after_help = "Examples:\n  allod register set title 'Groceries'\n  \
        allod register set offset -- -5\n  \
        allod register show title\n\n\
        First the owner of the space says that such keys have an lww-register or an mv-register: `allod values define`.")]
    Register {
        #[command(subcommand)]
        command: RegisterCommand,
    },
    /// Keep fields together with others
    #[command(after_help = "Examples:\n  allod map put person:ada city Turin\n  \
        allod map rm person:ada city\n  \
        allod map show person:ada\n\n\
        First the owner of the space says that such keys have an lww-map: `allod values define`.")]
    Map {
        #[command(subcommand)]
        command: MapCommand,
    },
    /// Keep a list together with others
    #[command(
        after_help = "Examples:\n  allod list insert todo:home 'Buy bread' 'Buy milk'\n  \
        allod list insert todo:home 'Get up' --at 0\n  \
        allod list rm todo:home 1\n  \
        allod list show todo:home\n\n\
        First the owner of the space says that such keys have a list: `allod values define`."
    )]
    List {
        #[command(subcommand)]
        command: ListCommand,
    },
    /// Edit a document together with others
    #[command(
        after_help = "Examples:\n  allod doc edit note:1 --set /title=Groceries --set '/items=[]'\n  \
        allod doc show note:1\n  \
        allod doc history note:1\n\n\
        First the owner of the space says that such keys have a document: `allod values define`."
    )]
    Doc {
        #[command(subcommand)]
        command: DocCommand,
    },
    /// Say what records have, and check them
    Type {
        #[command(subcommand)]
        command: TypeCommand,
    },
    /// Indexes, totals, joins and words, of any branch or commit
    Projection {
        #[command(subcommand)]
        command: ProjectionCommand,
    },
    /// List, register and remove tables of outside data: files, answers of servers, other spaces
    Table(TableArgs),
    /// Ask by SQL, of any branch or commit, and change what there is
    Sql(SqlArgs),
    /// Verify every block here, and every commit, node, entry and file of the space
    Check {
        /// Put damaged blocks aside, so that what --heal brings can take their place; remove nothing
        #[arg(long)]
        repair: bool,
        /// Repair, and fetch what is damaged or missing from a peer, another home or a CAR archive
        #[arg(long, value_name = "PEER|PATH")]
        heal: Option<String>,
    },
    /// Show how much the space and the store hold, and how long the store takes
    Stats(Stats),
    /// Show what a commit, tree or block is made of
    Inspect {
        #[command(subcommand)]
        command: InspectCommand,
    },
    /// Show the bytes of a block and what they say
    Dump {
        /// The block
        cid: String,
        /// Write the bytes as they are
        #[arg(long)]
        raw: bool,
    },
    /// List the programs that see commits, and where they stand
    Hooks(Hooks),
    /// Claim something of somebody or something, signed, for everybody to read
    Attest(Attest),
    /// List what is claimed
    Attestations(Attestations),
    /// Say that a claim of somebody else is true
    Witness {
        /// Its CID
        record: String,
    },
    /// Let somebody do something in a space
    Grant(GrantArgs),
    /// List what was granted in a space
    Grants(GrantsArgs),
    /// Who may do what to which keys and branches of a space
    Rules {
        #[command(subcommand)]
        command: RulesCommand,
    },
    /// Who is a member of a space, with which roles
    Member {
        #[command(subcommand)]
        command: MemberCommand,
    },
    /// Take back a grant, or a record of yours; `allod grants`, `attestations`, `trust list` and `circle list` show them
    Revoke {
        /// Its CID
        record: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Groups of people with roles
    Circle {
        #[command(subcommand)]
        command: CircleCommand,
    },
    /// Whom you know, how close, and what is taken from whom
    Trust {
        #[command(subcommand)]
        command: TrustCommand,
    },
    /// Say why: about an agent, a commit, or a decision of the node; without any, the last decisions
    #[command(
        after_help = "Examples:\n  allod explain\n  allod explain did:key:z6Mk...\n  allod explain main"
    )]
    Explain {
        /// An agent's DID, the end of a decision's name, or a commit
        what: Option<String>,
        /// So many decisions
        #[arg(long, default_value_t = 20)]
        last: usize,
    },
    /// Remove what nothing refers to, and give its room back to the disk
    Gc(Gc),
    /// Keep a block and all below it; list what is kept so
    Pin {
        /// The block or file
        cid: Option<String>,
        /// Keep it no longer
        #[arg(long, requires = "cid")]
        remove: bool,
    },
    /// Settings of the store
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Print a completion script
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Three nodes show what Allod does, on this machine
    Demo(Demo),
}

impl Command {
    /// Whether the command needs the keys.
    pub(crate) fn signs(&self) -> bool {
        match self {
            Self::Get(options) => options.ask,
            Self::Attest(_)
            | Self::Witness { .. }
            | Self::Revoke { .. }
            | Self::Grant(_)
            | Self::Commit(_)
            | Self::Delta { .. }
            | Self::Sync(_)
            | Self::Await(_)
            | Self::Push(_)
            | Self::Pull(_)
            | Self::Fetch(_)
            | Self::Up(_)
            | Self::Merge(_)
            | Self::CherryPick(_)
            | Self::Revert(_)
            | Self::Rebase(_) => true,
            // What is no path is a peer, to be spoken to.
            Self::Check {
                heal: Some(from), ..
            } => !Path::new(from).exists(),
            Self::Federate { command } => matches!(
                command,
                FederateCommand::Status { .. }
                    | FederateCommand::Export(_)
                    | FederateCommand::Import(_)
            ),
            Self::Http { command } => command.signs(),
            Self::Circle { command } => !matches!(command, CircleCommand::List { .. }),
            Self::Trust { command } => matches!(
                command,
                TrustCommand::Relate { .. }
                    | TrustCommand::Policy {
                        command: PolicyCommand::Set { .. } | PolicyCommand::Clear,
                    }
                    | TrustCommand::TakeIn { .. }
                    | TrustCommand::Take { .. }
            ),
            Self::Tag(options) => options.name.is_some(),
            Self::Branch(options) => options.protect.is_some() || options.unprotect.is_some(),
            Self::Type { command } => {
                matches!(command, TypeCommand::Define(_) | TypeCommand::Drop { .. })
            }
            Self::Source { command } => matches!(command, SourceCommand::Run { .. }),
            Self::Projection { command } => matches!(
                command,
                ProjectionCommand::Create(_)
                    | ProjectionCommand::Drop { .. }
                    | ProjectionCommand::Fetch(_)
            ),
            Self::Values { command } => matches!(command, ValuesCommand::Define { .. }),
            Self::Rules { command } => {
                !matches!(command, RulesCommand::Show | RulesCommand::Test { .. })
            }
            Self::Member { command } => !matches!(command, MemberCommand::List),
            Self::MergeType { command } => !matches!(command, MergeTypes::List),
            Self::Id { command } => command.as_ref().is_some_and(IdCommand::signs),
            Self::Space { command } => !matches!(
                command,
                SpaceCommand::List | SpaceCommand::Use { .. } | SpaceCommand::Leave { .. }
            ),
            _ => false,
        }
    }
}

impl Command {
    /// Whether the command changes which keys the home holds.
    pub(crate) fn seals(&self) -> bool {
        matches!(self, Self::Id { command: Some(command) } if command.seals())
    }

    /// Whether the command shows more if the keys are open.
    pub(crate) const fn shows_keys(&self) -> bool {
        matches!(
            self,
            Self::Id {
                command: None | Some(IdCommand::Show { .. })
            }
        )
    }
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The key
    pub(crate) key: String,
    /// Print the bytes as they are
    #[arg(long)]
    pub(crate) raw: bool,
    /// As of a branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
    /// Ask a peer for what is not kept here of a space of which a part is kept; a running node does so
    /// by itself
    #[arg(long)]
    pub(crate) ask: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Seal the keys with a random secret in this file instead of a passphrase
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// What to call this device
    #[arg(long, default_value = "device")]
    pub(crate) device_name: String,
    /// Make a device that an agent on another one will take in
    #[arg(long)]
    pub(crate) device_only: bool,
    /// Make the agent of a key that is there already: a file of mode 0600 with an ed25519 key as a seed, as PKCS#8 or as OpenSSH
    /// has it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["device_only", "pair"])]
    pub(crate) agent_key: Option<PathBuf>,
    /// Make this a device of the agent whose device shows this code (`allod id device add`), and fetch its spaces; - reads it
    #[arg(long, value_name = "CODE", conflicts_with = "device_only")]
    pub(crate) pair: Option<String>,
    /// Do not ask whether the digits of a pairing are the same: for tests and programs that compare them themselves
    #[arg(long, requires = "pair")]
    pub(crate) yes: bool,
    /// The engine of the store
    #[arg(long, value_enum, default_value_t = Engine::Fjall)]
    pub(crate) store: Engine,
    /// How the store compresses blocks: none, snappy, zstd or zstd:LEVEL; may be changed later
    #[arg(long, default_value_t, value_name = "HOW")]
    pub(crate) compression: Compression,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Show or choose how new blocks are compressed
    Compression {
        /// none, snappy, zstd or zstd:LEVEL with a level from 1 to 19
        how: Option<Compression>,
    },
    /// Copy all that can be read into a new store, which takes the place of this one
    #[command(
        after_help = "For a store whose engine is damaged, so that `check --heal` does not help. No node may be running.\n\
        The former store stays beside the new one until you remove it."
    )]
    Rebuild,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Engine {
    Fjall,
    Sled,
}

impl From<Engine> for StoreKind {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Fjall => Self::Fjall,
            Engine::Sled => Self::Sled,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Without what takes reading every block: their number, sizes and compression
    #[arg(long)]
    pub(crate) fast: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// Parents, tree, message, author and time
    Commit {
        /// The commit, or enough of its id, or a branch
        commit: String,
    },
    /// Depth, nodes, leaves, entries and bytes
    Tree {
        /// The root of the tree, or a commit or branch that has it
        tree: String,
        /// Draw it into a file, as SVG; - for standard output
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        svg: Option<PathBuf>,
        /// Show which nodes another tree has too
        #[arg(long, value_name = "TREE", requires = "svg")]
        beside: Option<String>,
    },
    /// Definition, root, depth, nodes and entries of a projection; compute it if it is not kept
    Projection {
        /// Its name
        name: String,
        /// As of a branch or commit
        #[arg(long, value_name = "COMMIT")]
        at: Option<String>,
    },
    /// Kind, sizes and links
    Block {
        /// The block
        cid: String,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "What a space, its history, a pin or the latest moves of branches \
    refer to is kept.\nReaders and writers may go on meanwhile."
)]
pub(crate) struct Gc {
    /// Count only
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Keep what the last N moves of branches name, so that they can be undone
    #[arg(long, value_name = "N", default_value_t = allod_repo::MOVES_KEPT)]
    pub(crate) keep_moves: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where to listen; port 0 lets the system choose
    #[arg(long, default_value = "0.0.0.0:0", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Seconds until a peer that could not be reached is tried again, the first time
    #[arg(long, default_value_t = 1, value_name = "SECONDS")]
    pub(crate) retry_first: u64,
    /// What that is multiplied by each time
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) retry_factor: u64,
    /// The longest such wait, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) retry_most: u64,
    /// How often a peer is tried in a row; 0 for ever
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) retries: u32,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpaceCommand {
    /// Begin a space
    New {
        /// What to call it
        name: String,
    },
    /// List the spaces here
    List,
    /// Make a space the current one
    Use {
        /// Its name or id
        name: String,
    },
    /// Show whom a space is meant for, or say so
    #[command(
        after_help = "Examples:\n  allod space reach\n  allod space reach public\n\n\
        It gives nobody a right. Consumers of events can ask for spaces of some reach alone, so that a sink carries\n\
        what is public and nothing else: `allod sink add NAME --reach public ...`. It is said in the space, by its\n\
        owner, and is private until then."
    )]
    Reach {
        /// `private`, `invited`, `circle` or `public`
        reach: Option<Reach>,
        /// The space [default: the current one]
        #[arg(long = "of", value_name = "NAME")]
        name: Option<String>,
    },
    /// Print a ticket: whoever holds it may join, as a member or with what it grants
    #[command(after_help = "Examples:\n  allod space ticket\n  \
        allod space ticket --can read --branch public --expires 7d\n  \
        allod space ticket --can read,write --prefix notes/ --expires 7d --days 1\n\n\
        With --can, whoever joins is granted that, for so long as --expires says; `allod grants` shows it. Without, they are\n\
        members, who may read and write what rules do not say otherwise.")]
    Ticket {
        /// The space [default: the current one]
        name: Option<String>,
        /// Addresses to put into it [default: those of the running node]
        #[arg(long, value_name = "ADDR")]
        addr: Vec<SocketAddr>,
        /// Days until it expires
        #[arg(long, default_value_t = 7)]
        days: u64,
        #[command(flatten)]
        gift: Gift,
    },
    /// Join the space of a ticket and fetch it, or a part of it
    #[command(
        visible_alias = "clone",
        after_help = "Examples:\n  allod space join allod-ticket:b...\n  \
        allod space clone allod-ticket:b... --prefix note: --prefix photo/2026 --depth 1\n  \
        allod space clone allod-ticket:b... --max-value 10M"
    )]
    Join {
        /// The ticket
        ticket: String,
        /// What to call the space here [default: as its owner does]
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        part: PartArgs,
    },
    /// Leave a space on this device: it does not come back by itself; other devices and members keep it
    #[command(
        after_help = "Examples:\n  allod space leave notes\n  allod space leave notes --undo\n\n\
        Another device of yours that has the space goes on with it. What it has stays in the store here, so that it can be \n\
        taken back: with --undo, or with a ticket."
    )]
    Leave {
        /// Its name or id
        name: String,
        /// Take a space back that was left
        #[arg(long)]
        undo: bool,
        /// Leave it although no other device is known to have all that is here
        #[arg(long, conflicts_with = "undo")]
        yes: bool,
    },
    /// Show which part of a space is kept here, or change that
    #[command(
        after_help = "Without options it shows the part. To keep another, say all of it:\n  \
        allod space part --prefix note: --prefix user: --depth 1 --max-value 10M\n\nWhat is not here comes from \
        peers; what falls out goes with the next `allod gc`. A larger file is read by `allod get KEY --raw --ask`, \
        from a peer."
    )]
    Part {
        /// The space [default: the current one]
        name: Option<String>,
        #[command(flatten)]
        part: PartArgs,
        /// Do not ask a peer whether it still has what falls out, but go by what it told last
        #[arg(long)]
        offline: bool,
        /// Give up a change that was begun and did not come to its end
        #[arg(long, conflicts_with_all = ["prefix", "depth", "max_value", "offline"])]
        give_up: bool,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  allod import people.csv --key email --prefix person/\n  \
    allod import examples/learning-paths\n\nAll rows are staged, or none. Then: allod commit -m '...'"
)]
pub(crate) struct Import {
    /// The files or directories
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The field that names a row
    #[arg(long, value_name = "FIELD", default_value = "id")]
    pub(crate) key: String,
    /// What to put before each key
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) prefix: String,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Keys that begin with this
    pub(crate) prefix: Option<String>,
    /// A file for ndjson and car, a directory for dir [default: standard output]
    #[arg(long, short = 'o', value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// ndjson: a row a key; dir: a file a key; car: the tree and all it refers to as a CAR archive
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    pub(crate) format: Format,
    /// As of a branch or commit
    #[arg(long, value_name = "COMMIT")]
    pub(crate) at: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Ndjson,
    Dir,
    Car,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the homes of the three nodes in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Entries that the space is brought to
    #[arg(long, default_value_t = 50_000)]
    pub(crate) entries: usize,
}
