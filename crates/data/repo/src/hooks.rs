//! Hooks before a commit (HOOK-1 to HOOK-6).

use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use allod_blocks::{Block, Cid, Codec};
use allod_identity::AgentId;
use allod_tree::Tree;
use bytes::Bytes;

use crate::diff::Differences;
use crate::entry::State;
use crate::error::RepoError;
use crate::ids::{BranchName, CommitId};
use crate::patch::{PatchError, write_changes};
use crate::repo::{Heads, Repo};
use crate::view::{Content, Span, View, shown};

/// What is about to be done to a branch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Act {
    /// A commit of what is staged, or of a transaction.
    Commit,
    /// A merge commit.
    Merge,
    /// A commit of another place is applied.
    Pick,
    /// A commit is undone by another.
    Revert,
    /// A commit of a branch that is replayed elsewhere; at the end the move of the branch.
    Replay,
    /// A branch moves to commits that are there.
    FastForward,
    /// A commit that somebody else made, or a move to such commits.
    Receive,
}

impl Act {
    /// Its name (HOOK, "Terms").
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Merge => "merge",
            Self::Pick => "pick",
            Self::Revert => "revert",
            Self::Replay => "replay",
            Self::FastForward => "fast-forward",
            Self::Receive => "receive",
        }
    }
}

/// A change of a branch that has not happened.
pub struct Proposal<'a> {
    pub(crate) repo: &'a Repo,
    /// What is to be done.
    pub act: Act,
    /// The branch that it is done to.
    pub branch: &'a BranchName,
    /// Who signs the commit; nobody for a move to commits that are there.
    pub author: Option<AgentId>,
    /// The message of the commit; empty for a move.
    pub message: &'a str,
    /// Of a commit that somebody else made, the head of `meta` in force when it was made.
    pub policy: Option<CommitId>,
    /// The parents of the commit; the heads that a move leads to.
    pub parents: &'a Heads,
    /// Where the branch stands, or what the commit was made on. Joined when somebody looks.
    pub(crate) stands: &'a Heads,
    /// The tree of the commit; that of a move is the join of where it leads.
    pub(crate) after: Option<Tree>,
    /// What new entries link to and the store does not have yet.
    pub(crate) blocks: &'a [Block],
}

impl fmt::Debug for Proposal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proposal")
            .field("act", &self.act)
            .field("branch", &self.branch)
            .finish_non_exhaustive()
    }
}

/// Why a hook does not let a proposal happen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "it says no, or it says nothing")]
pub enum Objection {
    /// It says no, in these words (HOOK-3). Blame: nobody, its owner chose so.
    #[error("{0}")]
    Refused(String),
    /// It has not judged: it is not there, could not be run, or did not come to an end (HOOK-4). Asked again it may.
    /// Blame: the environment.
    #[error("{0}")]
    Failed(String),
}

impl From<String> for Objection {
    fn from(words: String) -> Self {
        Self::Refused(words)
    }
}

/// A hook: says why a proposal must not happen.
pub type PreCommit = dyn Fn(&Proposal<'_>) -> Result<(), Objection> + Send + Sync;

impl Proposal<'_> {
    /// The space. Writing to it from within the hook puts no proposal to this hook.
    #[must_use]
    pub fn space(&self) -> Repo {
        self.repo.unhooked()
    }

    /// The state of the branch now, without what is staged; of a commit that does not go onto the
    /// branch at once, the state that it was made on.
    pub fn before(&self) -> Result<View, RepoError> {
        self.joined(self.stands)
    }

    /// The state that the commit was made on: the join of its parents.
    pub fn made_on(&self) -> Result<View, RepoError> {
        self.joined(self.parents)
    }

    /// The state that there would be. What is linked to is read by [`content`](Self::content).
    pub fn after(&self) -> Result<View, RepoError> {
        match &self.after {
            Some(tree) => Ok(self.view(tree)),
            None => self.joined(self.parents),
        }
    }

    /// The whole change set, in key order, read as it is asked for (HOOK-2).
    pub fn changes(&self) -> Result<Differences, RepoError> {
        Ok(self.before()?.diff(&self.after()?, &Span::all()))
    }

    /// What a value of a change is, also one that is not stored yet.
    pub fn content(&self, value: &State) -> Result<Option<Content>, RepoError> {
        match value {
            State::Tombstone => Ok(None),
            State::Value(value) => Ok(Some(Content::Bytes(value.clone()))),
            State::Link(cid) if cid.codec() == Codec::Raw.code() => {
                self.block(cid).map(|block| Some(Content::Bytes(block)))
            }
            State::Link(cid) => Ok(Some(Content::File(*cid))),
            joining => shown(joining.into(), &|cid| self.block(cid)),
        }
    }

    /// Writes the change set as a patch (PATCH), of any length; returns how many changes it has.
    pub fn write_patch(&self, out: &mut dyn Write) -> Result<u64, PatchError> {
        let block = |cid: &Cid| self.block(cid);
        let no_limit = (u64::MAX, u64::MAX);
        let (before, after) = (self.before()?, self.after()?);
        let changes = || before.diff(&after, &Span::all());
        write_changes(&changes, &block, no_limit, out)
    }

    fn joined(&self, commits: &Heads) -> Result<View, RepoError> {
        Ok(self.view(&self.repo.joined(commits)?.0))
    }

    fn view(&self, tree: &Tree) -> View {
        View::new(self.space(), self.parents.clone(), tree.clone())
    }

    fn block(&self, cid: &Cid) -> Result<Bytes, RepoError> {
        if let Some(block) = self.blocks.iter().find(|block| block.cid() == cid) {
            return Ok(block.bytes().clone());
        }
        let block = self.repo.store().get(cid)?;
        Ok(block.ok_or(RepoError::Missing(*cid))?.into_bytes())
    }
}

impl Repo {
    /// The same space with a hook that is asked before commits made or accepted through this handle
    /// and its clones; in place of the one that it had.
    #[must_use]
    pub fn hooked(mut self, hook: Arc<PreCommit>) -> Self {
        self.hook = Some(hook);
        self
    }

    /// The same space without a hook.
    #[must_use]
    pub fn unhooked(&self) -> Self {
        let mut repo = self.clone();
        repo.hook = None;
        repo
    }

    /// Puts to the hook that a branch moves to commits that are there.
    pub(crate) fn propose_move(
        &self,
        act: Act,
        branch: &BranchName,
        heads: &Heads,
        next: &Heads,
    ) -> Result<(), RepoError> {
        self.propose(&Proposal {
            repo: self,
            act,
            branch,
            author: None,
            message: "",
            policy: None,
            parents: next,
            stands: heads,
            after: None,
            blocks: &[],
        })
    }

    /// Puts a proposal to the hook, if there is one. Called without a lock held (HOOK-5).
    pub(crate) fn propose(&self, proposal: &Proposal<'_>) -> Result<(), RepoError> {
        let Some(hook) = &self.hook else {
            return Ok(());
        };
        // What the hook has of its own is its own affair; here nothing is half done.
        match catch_unwind(AssertUnwindSafe(|| hook(proposal))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Objection::Refused(words))) => Err(RepoError::Hook(words)),
            Ok(Err(Objection::Failed(words))) => Err(RepoError::HookFailed(words)),
            Err(_) => Err(RepoError::HookFailed("it panicked".to_owned())),
        }
    }
}
