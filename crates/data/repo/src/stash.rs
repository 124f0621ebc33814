//! Staged edits that are put by and applied later, to whatever the branch is then (WORK-1 to WORK-6).

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Expect, REF_VALUE_BYTES_MAX};
use allod_identity::canonical;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::error::{Refusal, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::layout;
use crate::plan::{Keys, Plan, Sides, Terms};
use crate::repo::{Repo, lock};
use crate::resolve::{Judge, MergeConflict, Resolving};
use crate::statements::MESSAGE_BYTES_MAX;
use crate::view::decode;
use crate::work::forget;
use crate::write::{TRIES, apply};

/// The most stashes of a space: listing them reads each.
pub const STASHES_MAX: usize = 256;

/// References read at a time.
const PAGE: usize = 4096;

/// What is known of a stash, but for its edits.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stash {
    /// The branch that the edits were staged on.
    pub branch: BranchName,
    /// The heads that it had.
    pub heads: Vec<CommitId>,
    /// When it was made, in milliseconds since 1970.
    pub at: u64,
    /// How many keys it holds.
    pub keys: u64,
    /// What was said of it.
    pub message: String,
}

/// What became of applying a stash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unstashed {
    /// Its edits are staged.
    Staged {
        /// Keys that were staged; an edit that the branch has already is not.
        keys: Keys,
        /// Conflicts that were decided.
        decided: u64,
    },
    /// Nothing changed, and the stash is kept.
    Conflicts {
        /// The first conflicts, in key order.
        conflicts: Vec<MergeConflict>,
        /// How many there are.
        count: u64,
    },
}

impl Repo {
    /// Puts by what is staged on a branch, and returns the number of the stash (WORK-1).
    ///
    /// Fails with [`RepoError::NothingStaged`], or a limit: [`STASHES_MAX`], or a message of more
    /// than [`MESSAGE_BYTES_MAX`] bytes.
    pub fn stash(&self, branch: &BranchName, message: &str, now_ms: u64) -> Result<u64, RepoError> {
        let _hold = self.store().uses().hold();
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(RepoError::TooLong {
                what: "the message",
                limit: MESSAGE_BYTES_MAX,
            });
        }
        for _ in 0..TRIES {
            let staged = self.staged(branch)?;
            if staged.is_empty() {
                return Err(RepoError::NothingStaged);
            }
            let there = self.stashes()?;
            if there.len() >= STASHES_MAX {
                return Err(RepoError::TooMany {
                    what: "stashes",
                    limit: STASHES_MAX,
                });
            }
            let number = there.last().map_or(1, |(last, _)| last.saturating_add(1));
            let (raw, heads) = self.read_heads(branch)?;
            // The heads have what arrived since: what is put by goes on from that (REPO-44).
            let edits = self.joined_staged(&self.joined(&heads)?.0, Arc::clone(&staged))?;
            let stash = Stash {
                branch: branch.clone(),
                heads: heads.into_iter().collect(),
                at: now_ms,
                keys: staged.len() as u64,
                message: message.to_owned(),
            };
            let record = canonical::encode(&stash)
                .map_err(|_error| RepoError::Damaged("a stash does not encode"))?;
            let mut batch = Batch::new();
            // The base that is remembered is the one at which the edits leave the branch.
            batch.set_ref(
                layout::head(self.id(), branch),
                Expect::read(raw.clone()),
                raw,
            );
            batch.set_ref(
                layout::stash(self.id(), number),
                Expect::Absent,
                Some(record),
            );
            for (key, entry) in edits.iter() {
                let name = layout::stashed(self.id(), number, key);
                batch.set_ref(name, Expect::Absent, Some(entry.encode()));
            }
            self.consume(branch, &staged, &mut batch);
            let mut all = lock(&self.inner.staged);
            if let BatchOutcome::Done { .. } = self.store().commit(batch)? {
                forget(all.entry(branch.clone()).or_default(), &staged);
                return Ok(number);
            }
        }
        Err(RepoError::Contended(branch.clone()))
    }

    /// The stashes of the space with their numbers, the oldest first.
    pub fn stashes(&self) -> Result<Vec<(u64, Stash)>, RepoError> {
        let prefix = layout::stashes(self.id());
        let mut found = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.store().scan_refs(&prefix, after.as_deref(), 1)?;
            let Some((name, value)) = page.first() else {
                return Ok(found);
            };
            let number = name[prefix.len()..]
                .try_into()
                .map(u64::from_be_bytes)
                .map_err(|_error| RepoError::Damaged("a stash has no number"))?;
            found.push((number, decode_stash(value)?));
            after = Some(layout::stash_end(self.id(), number));
        }
    }

    /// The edits of a stash, in key order. Fails with [`RepoError::NoStash`].
    pub fn stash_edits(&self, number: u64) -> Result<Vec<(Bytes, Entry)>, RepoError> {
        self.read_stash(number)?;
        self.stashed(number)
    }

    /// Stages the edits of a stash on a branch: what they changed since the heads that they were
    /// made on is merged with what the branch has now, staged edits included (WORK-3).
    ///
    /// If nothing is left to be decided it is done, with `pop` the stash is gone in the same
    /// batch; otherwise nothing changes. Fails with [`RepoError::NoStash`], and with
    /// [`Refusal::Branch`] between `meta` and other branches.
    pub fn unstash(
        &self,
        branch: &BranchName,
        number: u64,
        pop: bool,
        resolving: Resolving<'_>,
        now_ms: u64,
    ) -> Result<Unstashed, RepoError> {
        let _hold = self.store().uses().hold();
        for _ in 0..TRIES {
            let (record, stash) = self.read_stash(number)?;
            if stash.branch.is_meta() != branch.is_meta() {
                return Err(Refusal::Branch.into());
            }
            let edits = self.stashed(number)?;
            let (raw, heads) = self.read_heads(branch)?;
            let staged = self.staged(branch)?;
            let base = self.joined(&stash.heads.iter().copied().collect())?.0;
            let theirs = edits
                .iter()
                .map(|(key, entry)| (key.clone(), entry.encode()));
            let tree = self.joined(&heads)?.0;
            let here = self.joined_staged(&tree, Arc::clone(&staged))?;
            let ours = here
                .iter()
                .map(|(key, entry)| (key.clone(), entry.encode()));
            let sides = Sides {
                theirs: apply(&base, &theirs.collect(), &mut |_block| {})?,
                ours: apply(&tree, &ours.collect(), &mut |_block| {})?,
                base,
                joins: false,
            };
            let plan = self.plan_unstash(&sides, resolving, now_ms)?;
            if plan.open_count > 0 {
                return Ok(Unstashed::Conflicts {
                    conflicts: plan.open,
                    count: plan.open_count,
                });
            }
            let (entries, _) = plan.entries(self, now_ms);
            let mut batch = Batch::new();
            plan.blocks
                .iter()
                .for_each(|block| batch.put(block.clone()));
            batch.set_ref(
                layout::head(self.id(), branch),
                Expect::read(raw.clone()),
                raw,
            );
            if pop {
                self.end_stash(number, record, &edits, &mut batch);
            } else {
                let name = layout::stash(self.id(), number);
                batch.set_ref(name, Expect::Value(record.clone()), Some(record));
            }
            let keys = edits.iter().map(|(key, _)| key);
            if self.stage_over(branch, &staged, keys, &entries, batch)? {
                return Ok(Unstashed::Staged {
                    keys: plan.merged,
                    decided: plan.decided,
                });
            }
        }
        Err(RepoError::Contended(branch.clone()))
    }

    /// Drops a stash with its edits. Fails with [`RepoError::NoStash`].
    pub fn drop_stash(&self, number: u64) -> Result<Stash, RepoError> {
        let (record, stash) = self.read_stash(number)?;
        let mut batch = Batch::new();
        self.end_stash(number, record, &self.stashed(number)?, &mut batch);
        match self.store().commit(batch)? {
            BatchOutcome::Done { .. } => Ok(stash),
            // The edits of a stash never change: it is somebody else who dropped it.
            BatchOutcome::Moved { .. } => Err(RepoError::NoStash(number)),
        }
    }

    fn plan_unstash(
        &self,
        sides: &Sides,
        resolving: Resolving<'_>,
        now_ms: u64,
    ) -> Result<Plan, RepoError> {
        let mut rules = resolving.rules.to_vec();
        rules.extend(self.merge_rules()?);
        let terms = Terms {
            judge: Judge {
                repo: self,
                rules,
                types: resolving.types,
                callback: resolving.callback,
            },
            now_ms,
            resolved: &BTreeMap::new(),
            // What is staged is part of ours, and not in the way.
            staged: Arc::default(),
        };
        Plan::make(sides, &terms)
    }

    fn read_stash(&self, number: u64) -> Result<(Bytes, Stash), RepoError> {
        let record = self.store().get_ref(&layout::stash(self.id(), number))?;
        let record = record.ok_or(RepoError::NoStash(number))?;
        let stash = decode_stash(&record)?;
        Ok((record, stash))
    }

    fn stashed(&self, number: u64) -> Result<Vec<(Bytes, Entry)>, RepoError> {
        let prefix = layout::stashed(self.id(), number, b"");
        let mut edits = Vec::new();
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.store().scan_refs(&prefix, after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(edits);
            };
            after = Some(last.clone());
            for (name, value) in &page {
                edits.push((name.slice(prefix.len()..), decode(value)?));
            }
        }
    }

    /// Adds to `batch` that a stash is gone.
    fn end_stash(&self, number: u64, record: Bytes, edits: &[(Bytes, Entry)], batch: &mut Batch) {
        let name = layout::stash(self.id(), number);
        batch.set_ref(name, Expect::Value(record), None::<Bytes>);
        for (key, _) in edits {
            let name = layout::stashed(self.id(), number, key);
            batch.set_ref(name, Expect::Any, None::<Bytes>);
        }
    }
}

fn decode_stash(value: &Bytes) -> Result<Stash, RepoError> {
    canonical::decode(value, REF_VALUE_BYTES_MAX)
        .map_err(|_error| RepoError::Damaged("a stash does not decode"))
}
