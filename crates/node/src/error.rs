//! What can go wrong with a node, in words that say what to do next.

use std::path::PathBuf;

use allod_blocks::{FileError, StoreError};
use allod_deltas::{StoreFault, ViewError};
use allod_feed::FeedError;
use allod_identity::pairing::PairError;
use allod_identity::{DeviceId, KeyLogError, KeystoreError};
use allod_quic::{BindError, QuicError};
use allod_repo::{BranchName, CommitId, Rejected, RepoError};
use allod_sinks::SinkError;
use allod_sinks::source::SourceError;
use allod_sync::TicketError;
use allod_trust::{PolicyError, RecordError};

use crate::federating::FederatingError;
use crate::identity::IdentityError;
use crate::reached::NotReached;
use crate::recovering::RecoveryError;

/// Why a node could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// There is no home at this path.
    #[error("no home at {0}; make one with `allod init`")]
    NoHome(PathBuf),
    /// A consumer of the changefeed was told nothing.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A sink could not do with what it keeps.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A source could not do with what it keeps.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Federation could not do with what it keeps.
    #[error(transparent)]
    Federating(#[from] FederatingError),
    /// Deltas could not be read or written.
    #[error(transparent)]
    Deltas(#[from] StoreFault),
    /// Deltas could not be looked at.
    #[error(transparent)]
    DeltaView(#[from] ViewError),
    /// There is a home already.
    #[error("{0} is a home already")]
    HomeExists(PathBuf),
    /// Another process uses the home, and it is not a node that could be asked.
    #[error("the home {0} is in use by another process; try again when it has ended")]
    HomeLocked(PathBuf),
    /// A file of the home could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// A store was put in the place of another, and the disk did not say that this will last.
    #[error("the new store is in its place, and the former one is {former}; but {source}")]
    Unsynced {
        /// Where the former store is.
        former: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The home's configuration is unreadable.
    #[error("{0} is damaged: {1}")]
    Config(PathBuf, String),
    /// The keys could not be unlocked.
    #[error("the keys cannot be unlocked: {0}")]
    Keystore(#[from] KeystoreError),
    /// A key file is not fit to be one.
    #[error("the key file {0} {1}")]
    KeyFile(PathBuf, &'static str),
    /// A ticket leads to this very node.
    #[error("this ticket was made here, and leads to this node")]
    OwnTicket,
    /// A space that is here is to get another name.
    #[error("the space is here already, under the name {0:?}")]
    HasName(String),
    /// Nobody can be asked for the passphrase.
    #[error("the keys are locked; set ALLOD_PASSPHRASE or run the command in a terminal")]
    NoPassphrase,
    /// The agent's key is not on this device.
    #[error("this device does not hold its agent's key; run the command on the one that does")]
    NoAgentKey,
    /// The device belongs to no agent yet.
    #[error(
        "this device belongs to no agent yet; on a device of the agent run `allod id device add`, then here \
         `allod id join CODE`; or without a network there `allod id add-device {0}`, then here `allod id adopt FILE`"
    )]
    NoAgent(DeviceId),
    /// The system gave no random bytes.
    #[error("the system has no random bytes: {0}")]
    Random(String),
    /// A name of a space is not known here.
    #[error("no space named {0:?} here; `allod space list` shows them")]
    NoSuchSpace(String),
    /// Nothing has this name in the space.
    #[error("no commit or branch {0:?} in this space, nor a tag or a time with commits before it")]
    NoState(String),
    /// There is no branch of this name.
    #[error("no branch {0:?} in this space; `allod branch` shows them")]
    NoBranch(String),
    /// A text names so many commits.
    #[error("{0:?} means {1} commits; give more of the id")]
    ManyCommits(String, usize),
    /// No space was chosen.
    #[error("no space yet; make one with `allod space new NAME` or join one with a ticket")]
    NoCurrentSpace,
    /// A space is here, and not the part of it that was asked for.
    #[error(
        "the space {0:?} is here already, and not this part of it; `allod space part {0}` shows what is \
         kept and changes it"
    )]
    KeptOtherwise(String),
    /// The part of a space that was asked for could not be fetched.
    #[error(
        "not all of the new part could be fetched; what was kept before is kept until it is here, so say \
         it again when a peer that has it can be reached"
    )]
    PartMissing,
    /// A commit was to be at so many peers, and is not yet.
    #[error(transparent)]
    NotReached(Box<NotReached>),
    /// The runtime ended before the work was done.
    #[error("the node stops")]
    Stopped,
    /// Nobody could be asked whether what would fall out of a part is elsewhere.
    #[error(
        "no peer could be asked whether it has what falls out, so nothing was changed; with --offline it \
         counts what peers had when they last told"
    )]
    NobodyAsked,
    /// Something would fall out of the part of a space that is kept, and no peer is known to have it.
    #[error(
        "commit {0} is not known to be at a peer that keeps the whole space, and what it changed may fall \
         out of the new part; run `allod sync` first"
    )]
    OnlyHere(CommitId),
    /// The name is taken.
    #[error("there is a space named {0:?} already; choose another name")]
    NameTaken(String),
    /// Nothing is known of such a peer.
    #[error("no peer {0:?} is known for this space; `allod peers` shows them")]
    NoSuchPeer(String),
    /// What was given is no name of a remote.
    #[error(
        "{0:?} is no name for a remote; 1 to 64 of a-z A-Z 0-9 . _ -, not beginning with . or -"
    )]
    RemoteName(String),
    /// The name belongs to another remote.
    #[error("there is a remote named {0:?} already; `allod remote` shows them")]
    RemoteTaken(String),
    /// There is no remote of this name.
    #[error("no remote named {0:?} for this space; `allod remote` shows them")]
    NoSuchRemote(String),
    /// What is fetched is called after the remote, and a peer has no such name.
    #[error("the peer {0} has no name here; give it one with `allod remote add NAME {0}`")]
    Unnamed(String),
    /// A device would be a remote of itself.
    #[error("this is the device of this very node")]
    OwnDevice,
    /// A space has no peer.
    #[error("no peer is known for this space; join one with a ticket, or let others join")]
    NoPeer,
    /// It does not say which of several peers is meant.
    #[error("{}", many_peers(.0.as_deref()))]
    ManyPeers(Option<String>),
    /// A branch that was to be pushed has no commits here.
    #[error("there is no branch {0} here with a commit to push")]
    NothingToPush(BranchName),
    /// A ticket is unreadable.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The other side did not let this node join.
    #[error("not admitted ({code}): {reason}")]
    NotAdmitted {
        /// The registered code.
        code: String,
        /// The reason it gave.
        reason: String,
    },
    /// A session ended before it was complete.
    #[error("the session ended ({code}): {reason}")]
    Session {
        /// The registered code.
        code: String,
        /// The reason.
        reason: String,
    },
    /// The peer could not be reached at any address.
    #[error("cannot reach {peer}: {reason}")]
    Unreachable {
        /// Who was dialled.
        peer: String,
        /// What went wrong at the last address.
        reason: String,
    },
    /// The transport failed.
    #[error(transparent)]
    Quic(#[from] QuicError),
    /// The endpoint could not be opened.
    #[error("cannot listen: {0}")]
    Bind(#[from] BindError),
    /// The space could not be read or written.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// A key log is not as it should be.
    #[error("the key log is refused: {0}")]
    KeyLog(#[from] KeyLogError),
    /// Something about the agent cannot be done.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Nothing comes of a recovery.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// Nothing came of a pairing.
    #[error("not paired ({code}): {0}", code = .0.code())]
    Pair(#[from] PairError),
    /// A type or projection could not be defined, computed or read.
    #[error(transparent)]
    View(#[from] allod_views::ViewError),
    /// The tables of a space could not be made.
    #[error(transparent)]
    Table(#[from] allod_sql::TableError),
    /// A statement could not be watched.
    #[error(transparent)]
    Watch(#[from] crate::query_watch::WatchError),
    /// What was given is no name of a table of outside data.
    #[error(
        "{0:?} is no name for a table; a letter, then letters, digits and _, beginning with none of allod_ sqlite_ json_each json_tree"
    )]
    TableName(String),
    /// The space has a table of this name already, or one is registered.
    #[error("there is a table {0} already; `allod sql --tables` shows them")]
    TableTaken(String),
    /// No table of outside data has this name.
    #[error("no table {0:?} of outside data for this space; `allod table list` shows them")]
    NoSuchTable(String),
    /// The registration of a table cannot be written or read.
    #[error("the table {0} cannot be registered, or its registration not read: {1}")]
    TableRecord(String, String),
    /// Outside data is not what a table can be made of.
    #[error("{0} ({code})", code = .0.code())]
    Adapter(#[from] allod_adapters::AdapterError),
    /// A file could not be added or read.
    #[error(transparent)]
    Blob(#[from] FileError),
    /// What was given is no record to be believed.
    #[error("no record: {0} ({code})", code = .0.code())]
    Record(#[from] RecordError),
    /// A statement cannot be signed as it is.
    #[error("{0} ({code})", code = .0.code())]
    Sign(#[from] allod_identity::SignError),
    /// The policy of a space cannot be read or written.
    #[error("no policy: {0} ({code})", code = .0.code())]
    Policy(#[from] PolicyError),
    /// Somebody may not pass a door of a space (ACCESS-20).
    #[error("{door} is denied: {why}")]
    Denied {
        /// The door.
        door: &'static str,
        /// Why, in words.
        why: String,
    },
    /// Somebody may pass a door for some of the keys only that were asked for together (ACCESS-23).
    #[error("{door} is denied for some of these keys; name fewer, as a prefix of what may be read")]
    DeniedInPart {
        /// The door.
        door: &'static str,
    },
    /// A session token is not taken (ACCESS-30).
    #[error("{0} ({code})", code = .0.code())]
    Token(#[from] allod_access::TokenError),
    /// A session token was given back (ACCESS-31).
    #[error("the token was given back (E_TOKEN)")]
    TokenGivenBack,
    /// As many session tokens were given back within two hours as are remembered.
    #[error("too many tokens were given back; try again in an hour")]
    ManyTokens,
    /// Something made elsewhere was refused.
    #[error("refused: {0}")]
    Refused(allod_repo::Refusal),
}

fn many_peers(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{name:?} means more than one peer; `allod peers` shows them"),
        None => "the space has more than one peer and no remote named origin; name one, \
                 or call one so with `allod remote add origin PEER`"
            .to_owned(),
    }
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        Self::Repo(error.into())
    }
}

impl From<Rejected> for NodeError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Fault(fault) => Self::Repo(fault),
            Rejected::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl NodeError {
    /// A fault of a file.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
