//! Faults and refusals.

use allod_blocks::{Cid, StoreError};
use allod_crdt::{BadState, DocumentError, Kind, OpError, TooLarge};
use allod_tree::TreeError;

use crate::entry::EntryError;
use crate::ids::{BadBranchName, BranchName, CommitId, SpaceId, TagName};
use crate::pattern::BadPattern;
use crate::resolve::BadStrategy;
use crate::rights::Denial;
use crate::statements::PARENTS_MAX;

/// Why something could not be done with a space.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// The store failed. Blame: the environment.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tree could not be read or written. Blame: the environment, or the caller's keys.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What is stored for the space makes no sense. Blame: the environment.
    #[error("the space is damaged: {0}")]
    Damaged(&'static str),
    /// A block that is referred to is not in the store. Blame: the environment.
    #[error("block {0} is missing")]
    Missing(Cid),
    /// No such space here. Blame: the caller.
    #[error("no space {0} here")]
    NoSpace(SpaceId),
    /// No such branch. Blame: the caller.
    #[error("no branch {0}; `branch` lists them")]
    NoBranch(BranchName),
    /// No such commit here. Blame: the caller.
    #[error("no commit {0} in this space")]
    NoCommit(CommitId),
    /// What was named as the main line of a commit is none of its parents. Blame: the caller.
    #[error("{0} is no parent of that commit")]
    NotAParent(CommitId),
    /// The branch exists already. Blame: the caller.
    #[error("branch {0} exists already")]
    BranchExists(BranchName),
    /// A branch or tag has this name but for the case of its letters (REPO-32). Blame: the caller.
    #[error("a branch or tag is called {taken}; names that differ in case alone are one to many")]
    NameTaken {
        /// The name that is there.
        taken: String,
    },
    /// The tag exists already (REPO-31). Blame: the caller.
    #[error("tag {0} exists already, and a tag does not change; delete it first")]
    TagExists(TagName),
    /// No such tag. Blame: the caller.
    #[error("no tag {0}; `tag` lists them")]
    NoTag(TagName),
    /// The branch belongs to the space and is not deleted. Blame: the caller.
    #[error("branch {0} belongs to the space and is not deleted")]
    BranchKept(BranchName),
    /// The branch has commits that no other branch has. Blame: the caller.
    #[error("branch {0} has commits that no other branch has; --force deletes it all the same")]
    Unmerged(BranchName),
    /// Not a branch name. Blame: the caller.
    #[error(transparent)]
    BranchName(#[from] BadBranchName),
    /// A key is empty or too long (REPO-2). Blame: the caller.
    #[error("a key has 1 to 4,096 bytes, this one has {got}")]
    BadKey {
        /// Its length in bytes.
        got: usize,
    },
    /// A message or name exceeds its limit. Blame: the caller.
    #[error("{what} exceeds {limit} bytes")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// There is nothing to commit. Blame: the caller.
    #[error("nothing is staged")]
    NothingStaged,
    /// A key is not staged, so it cannot be unstaged. Blame: the caller.
    #[error("key {} is not staged", key.escape_ascii())]
    NotStaged {
        /// The key.
        key: Vec<u8>,
    },
    /// The log has no move of this space at this position. Blame: the caller.
    #[error("no move {0} of this space; `undo --list` shows them")]
    NoMove(u64),
    /// The branch has moved after what is to be undone (WORK-11). Blame: the caller.
    #[error("branch {branch} has moved since, at last by {last}; undo that first")]
    MovedSince {
        /// The branch.
        branch: BranchName,
        /// The position of its last move in the log.
        last: u64,
    },
    /// Moves of this branch are not undone (WORK-13). Blame: the caller.
    #[error("moves of {0} are not undone; commit there what is to hold instead")]
    NotUndone(BranchName),
    /// No stash has this number. Blame: the caller.
    #[error("no stash {0}; `stash list` shows them")]
    NoStash(u64),
    /// A transaction lost against another change of the branch (REPO-22). Blame: nobody; try again.
    #[error("key {} was changed by another commit since the transaction began", key.escape_ascii())]
    Conflict {
        /// The first key that changed.
        key: Vec<u8>,
    },
    /// The transaction went back to before this savepoint was made. Blame: the caller.
    #[error("the transaction has gone back to before this savepoint")]
    NoSavepoint,
    /// The branch moved too often while a commit was tried. Blame: nobody; try again.
    #[error("branch {0} keeps moving; try again")]
    Contended(BranchName),
    /// The histories have nothing in common (MERGE-5). Blame: the caller.
    #[error("the two histories have nothing in common; --allow-unrelated merges them all the same")]
    Unrelated,
    /// The branch stands at no commit of another one, as rules or grants tell branches apart (REPO-116). Blame: the caller.
    #[error(
        "rights differ between branches here, so {0} stands at commits of its own alone; begin it, or merge into it, with a commit"
    )]
    MadeElsewhere(BranchName),
    /// What lets somebody do it was said of them apart, and no head of `meta` alone does (REPO-113). Blame: nobody; it can be done
    /// once somebody who administers the space has committed on `meta`.
    #[error(
        "what allows this is on two heads of meta that nobody has merged; whoever administers the space commits there first"
    )]
    RightsApart,
    /// The commit does not count, so nothing stands at it (REPO-100). Blame: the caller.
    #[error(
        "commit {0} does not count: who signed it speaks no more, or may not do what it does; `take-in` takes it in"
    )]
    NotCounting(CommitId),
    /// The branch cannot simply move to the other commits (MERGE-4). Blame: the caller.
    #[error("branch {0} has commits of its own, so it cannot be fast-forwarded")]
    NotFastForward(BranchName),
    /// More parents than a commit may name. Blame: the caller; commit on the branches first.
    #[error("the merge would have more than {PARENTS_MAX} parents; commit on the branches first")]
    TooManyParents,
    /// A staged edit is of a key that would be changed (MERGE-10). Blame: the caller.
    #[error("key {} is staged and would be changed; commit, unstage or stash it first", key.escape_ascii())]
    InTheWay {
        /// The first such key.
        key: Vec<u8>,
    },
    /// A merge, pick or replay is under way on the branch (MERGE-7). Blame: the caller.
    #[error("a merge or the like is under way on {0}; continue or abort it first")]
    UnderWay(BranchName),
    /// The branch has other heads than when its replay, or a transaction that expects them, began. Blame:
    /// nobody; abort it and begin anew.
    #[error("branch {0} moved since it began; abort, and begin anew")]
    MovedOn(BranchName),
    /// Nothing is under way on the branch. Blame: the caller.
    #[error("nothing is under way on {0}")]
    NothingUnderWay(BranchName),
    /// A key has no conflict to be resolved. Blame: the caller.
    #[error("key {} has no conflict", key.escape_ascii())]
    NoConflict {
        /// The key.
        key: Vec<u8>,
    },
    /// More rules or commits than can be kept at once. Blame: the caller.
    #[error("more than {limit} {what} at once")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The bad commit does not descend from the good one (MERGE-32). Blame: the caller.
    #[error("the bad commit does not descend from the good one")]
    NotBefore,
    /// What was to be done to a value that joins cannot be done. Blame: the caller.
    #[error(transparent)]
    Operation(#[from] OpError),
    /// A document cannot be read or changed. Blame: the caller, or whoever made its changes.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// What led from one value to another cannot be done, or undone, to the value of a key (REPO-43). Blame:
    /// nobody; what is left out of the commit can be applied.
    #[error("key {}: {source}", key.escape_ascii())]
    Carried {
        /// The key.
        key: Vec<u8>,
        /// Why not.
        source: OpError,
    },
    /// A state that joins, or a part of it, is too large. Blame: the caller, or whoever let it grow.
    #[error(transparent)]
    StateTooLarge(#[from] TooLarge),
    /// The key has a value that joins, which nobody can put another in the place of (REPO-40). Blame: the
    /// caller.
    #[error("key {} has a {kind}, which is changed by operations and not put; `del` takes its value", key.escape_ascii())]
    Joins {
        /// The key.
        key: Vec<u8>,
        /// The kind of its value.
        kind: Kind,
    },
    /// Of the commit only the statement is here (PART-5). Blame: this side, which keeps a part.
    #[error("of commit {0} only the statement is kept here")]
    Bare(CommitId),
    /// The key is not in the part of the space that is kept here (PART-7). Blame: the caller.
    #[error("key {} is not in the part of the space that is kept here", key.escape_ascii())]
    OutOfPart {
        /// The key.
        key: Vec<u8>,
    },
    /// The value is a file larger than what is kept here, and not here (PART-15). Blame: the caller.
    #[error("the value of key {} is larger than what is kept here; `get --raw --ask` reads it from a peer", key.escape_ascii())]
    NotKept {
        /// The key.
        key: Vec<u8>,
    },
    /// A commit is nowhere else, and what it changed may fall out of the part that is to be kept
    /// (PART-12). Blame: the caller.
    #[error(
        "commit {0} is at no whole replica yet, as far as is known, and its changes may fall out of the new part"
    )]
    OnlyHere(CommitId),
    /// No prefix of a part that can be declared, or not for such a branch (PART-20). Blame: the caller.
    #[error("a declared part has a prefix of 1 to 256 bytes, and branches other than meta")]
    BadPart,
    /// What is kept here is not enough to make the commit (PART-8). Blame: this side, which keeps a part.
    #[error("the part of the space that is kept here is not enough for this commit")]
    Beside,
    /// The key has a value that does not join, and that nothing is to take the place of unasked. Blame: the
    /// caller.
    #[error("key {} has a value that does not join; take it away first, with `del`", key.escape_ascii())]
    PlainValue {
        /// The key.
        key: Vec<u8>,
    },
    /// The key has a value that joins by another kind, or is to have one (REPO-42). Blame: the caller.
    #[error("key {} has a {has}, and no {asked}", key.escape_ascii())]
    OtherKind {
        /// The key.
        key: Vec<u8>,
        /// The kind that it has.
        has: Kind,
        /// The kind that was asked for.
        asked: Kind,
    },
    /// The key is to have a value that joins, and no rule of the space says so (REPO-42). Blame: the caller.
    #[error("key {} has no values that join; its owner says so first: `allod values define PATTERN {asked}`", key.escape_ascii())]
    NoKind {
        /// The key.
        key: Vec<u8>,
        /// The kind that was asked for.
        asked: Kind,
    },
    /// The handle on the space is no device's, so it cannot change values that join (REPO-41). Blame: the
    /// program.
    #[error("this handle is on no device, so it changes no values that join")]
    NoDevice,
    /// Not a pattern (MERGE-12). Blame: whoever wrote it.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// Not the name of a strategy. Blame: whoever wrote it.
    #[error(transparent)]
    Strategy(#[from] BadStrategy),
    /// A hook refused (HOOK-3); its words. Blame: nobody, the owner of the hook chose so.
    #[error("not committed: {0}")]
    Hook(String),
    /// A hook has not judged (HOOK-4); why. Blame: the environment, and it may pass.
    #[error("not committed, as a hook could not be asked: {0}")]
    HookFailed(String),
    /// An own commit would be refused by others. Blame: the caller.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The same for want of a right; its words are those of the refusal. Blame: the caller.
    #[error("{refusal}")]
    Denied {
        /// What others would say.
        refusal: Refusal,
        /// Which right it is, for who reads `meta`.
        denial: Box<Denial>,
    },
}

impl RepoError {
    /// What others would refuse an own commit with, if that is what it is.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) | Self::Denied { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }
}

/// Why a commit or key event from elsewhere is not accepted. Blame: its author or the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// REPO-10.
    #[error("its signature does not verify")]
    Signature,
    /// REPO-10, REPO-12.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// REPO-11.
    #[error("it belongs to another space")]
    WrongSpace,
    /// REPO-12.
    #[error("its parent is unknown here")]
    Parent,
    /// REPO-13.
    #[error("its device does not act for its author")]
    Device,
    /// REPO-13.
    #[error("its author is not a member of the space")]
    NotMember,
    /// REPO-17.
    #[error("only who administers the space changes meta")]
    NotOwner,
    /// REPO-113.
    #[error("its author may not do what it does")]
    Rights,
    /// REPO-113.
    #[error("the commit of meta that it names is unknown here")]
    Policy,
    /// PART-21.
    #[error("the parts that it signs are not those of its tree")]
    Parts,
    /// REPO-111.
    #[error("a grant, or what takes one back, stays in meta as it is")]
    Kept,
    /// REPO-17.
    #[error("it does not belong on that branch")]
    Branch,
    /// REPO-14.
    #[error("its stamp is more than 5 minutes ahead of this clock")]
    Future,
    /// REPO-15.
    #[error("its tree breaks a rule")]
    Tree,
    /// REPO-15.
    #[error("the changes do not give the tree that was signed")]
    Root,
    /// REPO-16.
    #[error("an entry is malformed: {0}")]
    Entry(EntryError),
    /// REPO-16.
    #[error("an entry is stamped later than its commit")]
    EntryStamp,
    /// REPO-16.
    #[error("a state that joins is malformed: {0}")]
    State(BadState),
    /// REPO-42.
    #[error("a key has a state that joins, and no rule of the space says so")]
    Kind,
    /// REPO-42.
    #[error("it changes how values of some keys join, or takes that away")]
    Rule,
    /// REPO-3.
    #[error("a state that joins is in a block of its own, or not, against its size")]
    StateSize,
    /// REPO-18.
    #[error("a block that it links to was not sent")]
    Missing,
    /// More heads than a branch may have.
    #[error("the branch has too many concurrent heads")]
    TooManyHeads,
    /// More branches than a space may have.
    #[error("the space has too many branches")]
    TooManyBranches,
    /// REPO-91.
    #[error(
        "the branch is protected: it only goes on from where it stands. Merge what is there into this first, or have the owner unprotect it"
    )]
    Protected,
    /// A key log does not continue the one known here.
    #[error("the key log does not verify")]
    KeyLog,
    /// Two different key events at one position: the agent cannot be trusted.
    #[error("the author's key log says two things at once")]
    Equivocation,
    /// REPO-31.
    #[error("it gives a tag another meaning")]
    Tag,
    /// HOOK-3.
    #[error("a hook of the receiver refused it")]
    Hook,
    /// REPO-106.
    #[error("the receiver takes nothing like it from its author")]
    Untrusted,
}

impl Refusal {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Signature => "E_SIGNATURE",
            Self::Malformed(_) => "E_COMMIT",
            Self::WrongSpace => "E_WRONG_SPACE",
            Self::Parent => "E_PARENT",
            Self::Device => "E_DEVICE",
            Self::NotMember => "E_NOT_MEMBER",
            Self::NotOwner => "E_NOT_OWNER",
            Self::Rights => "E_RIGHTS",
            Self::Policy => "E_COMMIT_POLICY",
            Self::Parts => "E_PARTS",
            Self::Kept => "E_KEPT",
            Self::Branch => "E_BRANCH",
            Self::Future => "E_FUTURE",
            Self::Tree => "E_TREE",
            Self::Root => "E_ROOT",
            Self::Entry(_) | Self::StateSize => "E_ENTRY",
            Self::EntryStamp => "E_ENTRY_STAMP",
            Self::State(bad) => bad.code(),
            Self::Kind | Self::Rule => "E_CRDT_KIND",
            Self::Missing => "E_MISSING",
            Self::TooManyHeads => "E_HEADS",
            Self::TooManyBranches => "E_BRANCHES",
            Self::Protected => "E_PROTECTED",
            Self::KeyLog => "E_KEY_LOG",
            Self::Equivocation => "E_EQUIVOCATION",
            Self::Tag => "E_TAG",
            Self::Hook => "E_HOOK",
            Self::Untrusted => "E_UNTRUSTED",
        }
    }
}

/// The outcome of looking at something from elsewhere: a fault here, or a refusal of it.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// It was looked at and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be looked at.
    #[error(transparent)]
    Fault(RepoError),
}

impl From<RepoError> for Rejected {
    fn from(error: RepoError) -> Self {
        match error {
            // Which right it is they are not told: rules are for who reads meta.
            RepoError::Refused(refusal) | RepoError::Denied { refusal, .. } => {
                Self::Refused(refusal)
            }
            // Its words are not for the peer (HOOK-3).
            RepoError::Hook(_) | RepoError::HookFailed(_) => Self::Refused(Refusal::Hook),
            fault => Self::Fault(fault),
        }
    }
}

impl From<StoreError> for Rejected {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<TreeError> for Rejected {
    fn from(error: TreeError) -> Self {
        Self::Fault(error.into())
    }
}
