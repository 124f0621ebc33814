//! What can be said on the command line.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::access_args::{GrantArgs, GrantsArgs, MemberCommand, RulesCommand};
use crate::cli::ask_args::{BisectArgs, BlameArgs};
use crate::cli::branch_args::BranchArgs;
use crate::cli::data_args::{Export, Get, Import};
use crate::cli::delta_args::DeltaCommand;
use crate::cli::events_args::EventsCommand;
use crate::cli::federate_args::FederateCommand;
use crate::cli::home_args::{Demo, Gc, Init, StoreCommand, Up};
use crate::cli::hooks::Hooks;
use crate::cli::http_args::HttpCommand;
use crate::cli::id_args::IdCommand;
use crate::cli::inspect_args::{InspectCommand, Stats};
use crate::cli::join_args::{
    CounterCommand, DocCommand, ListCommand, MapCommand, RegisterCommand, SetCommand, ValuesCommand,
};
use crate::cli::list_args::{Log, Ls};
use crate::cli::merge_args::{Merge, MergeTypes, Pick, Rebase, Resolve};
use crate::cli::patch_args::{ApplyArgs, DiffArgs};
use crate::cli::remote_args::{Fetch, RemoteArgs, Transfer};
use crate::cli::sink_args::SinkCommand;
use crate::cli::source_args::SourceCommand;
use crate::cli::space_args::SpaceCommand;
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
