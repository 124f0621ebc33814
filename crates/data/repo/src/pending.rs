//! What is under way on a branch until its conflicts are resolved (MERGE-7, MERGE-8).

use std::collections::BTreeMap;

use allod_blocks::{
    Batch, BatchOutcome, Block, Cid, Codec, Expect, REF_VALUE_BYTES_MAX, sha256_cid,
};
use allod_identity::canonical;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, State, StateRef};
use crate::error::RepoError;
use crate::hooks::Act;
use crate::ids::{BranchName, CommitId};
use crate::layout;
use crate::repo::Repo;
use crate::resolve::Rule;
use crate::stamp::Stamp;
use crate::threeway::Values;

/// The most rules of one call: with patterns of 1 KiB they fit a reference beside the rest.
pub const RULES_MAX: usize = 16;

/// References read at a time.
const PAGE: usize = 4096;

/// What is done to a branch.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Task {
    /// These commits are merged into it.
    Merge(Vec<CommitId>),
    /// This commit is applied to it.
    Pick(Applied),
    /// This commit is undone on it.
    Revert(Applied),
    /// Its commits are replayed elsewhere.
    Replay(Replay),
}

impl Task {
    pub(crate) const fn act(&self) -> Act {
        match self {
            Self::Merge(_) => Act::Merge,
            Self::Pick(_) => Act::Pick,
            Self::Revert(_) => Act::Revert,
            Self::Replay(_) => Act::Replay,
        }
    }
}

/// A commit that is applied or undone (MERGE-20).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// The commit.
    pub commit: CommitId,
    /// The parent that its difference leads from; the join of all parents if none is named.
    pub mainline: Option<CommitId>,
}

impl From<CommitId> for Applied {
    fn from(commit: CommitId) -> Self {
        let mainline = None;
        Self { commit, mainline }
    }
}

/// A branch that is replayed, commit by commit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The branch that will stand at the result: another one, or the same.
    pub to: BranchName,
    /// The commits that the next one is applied to.
    pub at: Vec<CommitId>,
    /// What is still to be applied, in order.
    pub todo: Vec<CommitId>,
}

/// What is under way on a branch.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnderWay {
    /// What is done.
    pub task: Task,
    /// The heads of the branch when it began.
    pub heads: Vec<CommitId>,
    /// The message of the commit, if one was given.
    pub message: Option<String>,
    /// How many times a conflict of it was resolved, so that each makes another record: who ends
    /// the task has seen all that was decided.
    pub(crate) resolutions: u64,
    /// The rules that were given, as pattern and strategy.
    pub rules: Vec<(String, String)>,
}

impl UnderWay {
    pub(crate) fn parsed_rules(&self) -> Result<Vec<Rule>, RepoError> {
        let parse =
            |(pattern, strategy): &(String, String)| Ok((pattern.parse()?, strategy.parse()?));
        self.rules.iter().map(parse).collect()
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, RepoError> {
        canonical::encode(self)
            .ok()
            .filter(|bytes| bytes.len() <= REF_VALUE_BYTES_MAX)
            .ok_or(RepoError::TooLong {
                what: "what is to be remembered of the merge",
                limit: REF_VALUE_BYTES_MAX,
            })
    }
}

/// A stored resolution: the value, and the values that its author saw (MERGE-8).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resolved {
    /// No link: what follows the links of references must not look for it.
    seen: serde_bytes::ByteBuf,
    link: Option<Cid>,
    value: Option<serde_bytes::ByteBuf>,
}

impl Resolved {
    pub(crate) fn new(seen: &Values<'_>, state: State) -> Self {
        let (link, value) = match state {
            State::Value(value) => (None, Some(serde_bytes::ByteBuf::from(value.to_vec()))),
            State::Link(cid) => (Some(cid), None),
            // What joins is never a conflict (MERGE-2).
            State::Tombstone | State::Joining(..) | State::JoiningLink(..) => (None, None),
        };
        let seen = seen_name(seen);
        Self { seen, link, value }
    }

    /// The value, if it was decided for these values.
    pub(crate) fn state(&self, values: &Values<'_>) -> Option<State> {
        (self.seen == seen_name(values)).then(|| match (&self.value, self.link) {
            (Some(value), _) => State::Value(Bytes::copy_from_slice(value)),
            (None, Some(cid)) => State::Link(cid),
            (None, None) => State::Tombstone,
        })
    }
}

/// A name for the values of ours and theirs.
fn seen_name(values: &Values<'_>) -> serde_bytes::ByteBuf {
    let encode = |state: StateRef<'_>| {
        let (stamp, state) = (Stamp::default(), state.to_state());
        Entry { stamp, state }.encode()
    };
    let both = [encode(values.ours), encode(values.theirs)].concat();
    serde_bytes::ByteBuf::from(sha256_cid(Codec::Raw, &both).hash().digest())
}

/// What is stored of a task: the record as it was read, and the resolutions.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) raw: Option<Bytes>,
    pub(crate) resolved: BTreeMap<Bytes, Resolved>,
}

impl Repo {
    /// What is under way on a branch.
    pub fn under_way(&self, branch: &BranchName) -> Result<Option<UnderWay>, RepoError> {
        let raw = self.store().get_ref(&layout::merge(self.id(), branch))?;
        raw.as_ref().map(decode).transpose()
    }

    /// What is stored of the task on a branch.
    pub(crate) fn stored_task(
        &self,
        branch: &BranchName,
    ) -> Result<Option<(UnderWay, Stored)>, RepoError> {
        let prefix = layout::merge(self.id(), branch);
        let Some(raw) = self.store().get_ref(&prefix)? else {
            return Ok(None);
        };
        let task = decode(&raw)?;
        let mut stored = Stored {
            raw: Some(raw),
            resolved: BTreeMap::new(),
        };
        let mut after = Bytes::from(prefix.clone());
        loop {
            let page = self.store().scan_refs(&prefix, Some(&after), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(Some((task, stored)));
            };
            after = last.clone();
            for (name, value) in &page {
                let resolved = canonical::decode(value, REF_VALUE_BYTES_MAX)
                    .map_err(|_error| RepoError::Damaged("a resolution does not decode"))?;
                stored.resolved.insert(name.slice(prefix.len()..), resolved);
            }
        }
    }

    /// Adds to `batch` that the task on a branch is over.
    pub(crate) fn end_task(&self, branch: &BranchName, stored: &Stored, batch: &mut Batch) {
        let name = layout::merge(self.id(), branch);
        batch.set_ref(name, Expect::read(stored.raw.clone()), None::<Bytes>);
        self.end_resolutions(branch, stored, batch);
    }

    /// Adds to `batch` that no resolution is needed any more.
    pub(crate) fn end_resolutions(&self, branch: &BranchName, stored: &Stored, batch: &mut Batch) {
        for key in stored.resolved.keys() {
            let name = layout::resolution(self.id(), branch, key);
            batch.set_ref(name, Expect::Any, None::<Bytes>);
        }
    }

    /// Keeps a resolution of a key, durably. `false` if the task changed meanwhile.
    pub(crate) fn keep_resolution(
        &self,
        branch: &BranchName,
        stored: &Stored,
        (key, resolved, block): (&[u8], &Resolved, Option<Block>),
    ) -> Result<bool, RepoError> {
        let Some(raw) = &stored.raw else {
            return Ok(false);
        };
        let mut record = decode(raw)?;
        record.resolutions += 1;
        let mut batch = Batch::new();
        if let Some(block) = block {
            batch.put(block);
        }
        let task = layout::merge(self.id(), branch);
        batch.set_ref(task, Expect::Value(raw.clone()), Some(record.encode()?));
        let value = canonical::encode(resolved)
            .map_err(|_error| RepoError::Damaged("a resolution does not encode"))?;
        let name = layout::resolution(self.id(), branch, key);
        batch.set_ref(name, Expect::Any, Some(value));
        Ok(matches!(
            self.store().commit(batch)?,
            BatchOutcome::Done { .. }
        ))
    }

    /// Gives up what is under way on a branch, with its resolutions. Nothing else changes: the
    /// branch and its working set were never touched (MERGE-7).
    pub fn abort(&self, branch: &BranchName) -> Result<UnderWay, RepoError> {
        loop {
            let (task, stored) = self.task_of(branch)?;
            if self.give_up(branch, &stored)? {
                return Ok(task);
            }
        }
    }

    /// Gives up a task as it was read. `false` if it changed meanwhile.
    pub(crate) fn give_up(&self, branch: &BranchName, stored: &Stored) -> Result<bool, RepoError> {
        let mut batch = Batch::new();
        self.end_task(branch, stored, &mut batch);
        let outcome = self.store().commit(batch)?;
        Ok(matches!(outcome, BatchOutcome::Done { .. }))
    }
}

fn decode(raw: &Bytes) -> Result<UnderWay, RepoError> {
    canonical::decode(raw, REF_VALUE_BYTES_MAX)
        .map_err(|_error| RepoError::Damaged("what is under way does not decode"))
}
