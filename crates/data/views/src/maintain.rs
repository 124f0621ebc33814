//! What is left to compute, in which order, and who said to wait (PROJ-20 to PROJ-22).

use std::collections::BTreeSet;

use allod_blocks::{Batch, Expect};
use allod_identity::canonical;
use allod_repo::{BranchName, CommitId, Heads};
use serde::{Deserialize, Serialize};

use crate::error::ViewError;
use crate::types::Name;
use crate::views::{GoOn, OnStale, Snapshot, Views, lock};

/// Commits of the history that are looked at for one that is left to compute; older ones wait until
/// somebody asks.
const HISTORY_MAX: usize = 4096;

/// The longest record of who said to wait, in bytes: that of a reference.
const WAITING_BYTES_MAX: usize = allod_blocks::REF_VALUE_BYTES_MAX;

/// Before the id of a space, the reference that says who said to wait.
const PREFIX: &[u8] = b"views/waiting/";

/// How far a projection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    /// Commits of all branches but `meta`.
    pub total: u64,
    /// Those whose state has it computed.
    pub rebuilt: u64,
    /// The others.
    pub pending: u64,
    /// Whether it is being computed now.
    pub is_rebuilding: bool,
    /// Whether nothing is computed unless somebody asks for it.
    pub is_waiting: bool,
}

/// How soon something is to be computed; the first is the most urgent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Priority {
    /// The state of the current branch.
    CurrentHead,
    /// Commits of the current branch.
    CurrentHistory,
    /// The states of other branches.
    OtherHeads,
    /// Commits of other branches.
    OtherHistory,
}

/// A projection of a state that is to be computed.
#[derive(Clone, Debug)]
pub struct Job {
    /// How soon.
    pub priority: Priority,
    /// The projection.
    pub name: Name,
    snapshot: Snapshot,
}

/// What somebody said to leave until it is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
struct Waiting {
    all: bool,
    names: BTreeSet<String>,
}

impl Job {
    /// Computes it, or waits for whoever does. `go_on` is asked now and then.
    pub fn run(&self, go_on: GoOn<'_>) -> Result<(), ViewError> {
        self.snapshot
            .projection(&self.name, OnStale::Block, go_on)
            .map(drop)
    }
}

impl Views {
    /// What is to be computed next without anybody asking: the most urgent of what is not kept
    /// (PROJ-20). What is left is no record of its own, so a crash loses none of it.
    pub fn next_job(&self, current: &BranchName) -> Result<Option<Job>, ViewError> {
        let waiting = self.waiting()?;
        let defined = self.definitions()?;
        let names = defined.projections().map(|(name, _)| name);
        let names: Vec<&Name> = names
            .filter(|name| !waiting.names.contains(name.as_str()))
            .collect();
        if waiting.all || names.is_empty() {
            return Ok(None);
        }
        let branches = self.repo().branches()?.into_iter();
        let mut branches: Vec<(BranchName, Heads)> =
            branches.filter(|(name, _)| !name.is_meta()).collect();
        branches.sort_by_key(|(name, _)| name != current);
        let mut history = BTreeSet::new();
        // The current branch with its history before the heads of others, and their history last.
        let (own, others) = branches.split_at(usize::from(
            branches.first().is_some_and(|(name, _)| name == current),
        ));
        for (part, head, commits) in [
            (own, Priority::CurrentHead, Priority::CurrentHistory),
            (others, Priority::OtherHeads, Priority::OtherHistory),
        ] {
            for (branch, _) in part {
                let snapshot = self.branch(branch)?;
                if let Some(job) = stale(&snapshot, &names, head)? {
                    return Ok(Some(job));
                }
            }
            if self.is_half_full() {
                continue;
            }
            for (_, heads) in part {
                for id in self.commits(heads, &mut history)? {
                    if let Some(job) = stale(&self.commit(id)?, &names, commits)? {
                        return Ok(Some(job));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Commits from some heads on that are not in `seen` yet, children before parents.
    fn commits(
        &self,
        heads: &Heads,
        seen: &mut BTreeSet<CommitId>,
    ) -> Result<Vec<CommitId>, ViewError> {
        let mut found = Vec::new();
        for item in self.repo().log(heads)?.take(HISTORY_MAX) {
            let (id, _) = item?;
            if seen.insert(id) {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// The commits of all branches but `meta`, the newest first.
    fn all_commits(&self) -> Result<Vec<CommitId>, ViewError> {
        let mut heads = Heads::new();
        for (branch, of) in self.repo().branches()? {
            if !branch.is_meta() {
                heads.extend(of);
            }
        }
        let ids = self.repo().log(&heads)?.map(|item| Ok(item?.0));
        ids.collect()
    }

    /// How far a projection is.
    pub fn status(&self, name: &Name) -> Result<Status, ViewError> {
        let waiting = self.waiting()?;
        let (mut total, mut rebuilt) = (0, 0);
        let mut names = BTreeSet::new();
        for id in self.all_commits()? {
            let snapshot = self.commit(id)?;
            total += 1;
            rebuilt += u64::from(snapshot.is_fresh(name)?);
            names.insert(snapshot.place_of(name)?.name);
        }
        Ok(Status {
            total,
            rebuilt,
            pending: total - rebuilt,
            is_rebuilding: self.is_computing(&names),
            is_waiting: waiting.all || waiting.names.contains(name.as_str()),
        })
    }

    /// Computes a projection anew for the states of all branches and all commits, the newest first.
    /// `progress` is asked with how many of how many are done. Returns how many there were.
    pub fn rebuild(
        &self,
        name: &Name,
        progress: &mut dyn FnMut(u64, u64) -> std::ops::ControlFlow<()>,
    ) -> Result<u64, ViewError> {
        let mut snapshots = Vec::new();
        for (branch, _) in self.repo().branches()? {
            if !branch.is_meta() {
                snapshots.push(self.branch(&branch)?);
            }
        }
        let commits = self.all_commits()?;
        for snapshot in &snapshots {
            self.forget(snapshot.place_of(name)?.name)?;
        }
        for id in &commits {
            self.forget(self.commit(*id)?.place_of(name)?.name)?;
        }
        let total = (snapshots.len() + commits.len()) as u64;
        let rest = commits.into_iter().map(|id| self.commit(id));
        for (done, snapshot) in (0..).zip(snapshots.into_iter().map(Ok).chain(rest)) {
            if progress(done, total).is_break() {
                return Err(ViewError::Cancelled);
            }
            let go_on = &mut |_| progress(done, total);
            snapshot?.projection(name, OnStale::Block, go_on)?;
        }
        Ok(total)
    }

    /// Says that a projection is not computed unless somebody asks for it, or that it is again.
    pub fn wait(&self, name: &Name, wait: bool) -> Result<(), ViewError> {
        if self.definitions()?.projection(name).is_none() {
            return Err(ViewError::NoProjection(name.clone()));
        }
        self.change_waiting(|waiting| {
            if wait {
                waiting.names.insert(name.to_string());
            } else {
                waiting.names.remove(name.as_str());
            }
        })
    }

    /// Says that nothing is computed unless somebody asks for it, or that it is again.
    pub fn wait_all(&self, wait: bool) -> Result<(), ViewError> {
        self.change_waiting(|waiting| waiting.all = wait)
    }

    /// Whether a projection is to wait until somebody asks for it.
    pub fn is_waiting(&self, name: &Name) -> Result<bool, ViewError> {
        let waiting = self.waiting()?;
        Ok(waiting.all || waiting.names.contains(name.as_str()))
    }

    fn waiting_ref(&self) -> Vec<u8> {
        [PREFIX, &self.repo().id().cid().to_bytes()].concat()
    }

    fn waiting(&self) -> Result<Waiting, ViewError> {
        let kept = self.repo().store().get_ref(&self.waiting_ref())?;
        let kept = kept.and_then(|bytes| canonical::decode(&bytes, WAITING_BYTES_MAX).ok());
        Ok(kept.unwrap_or_default())
    }

    fn change_waiting(&self, change: impl FnOnce(&mut Waiting)) -> Result<(), ViewError> {
        // One at a time, so that none takes back what another said.
        let _memo = lock(&self.inner.memo);
        let mut waiting = self.waiting()?;
        change(&mut waiting);
        let mut batch = Batch::new();
        // Names that are no longer defined are of no use, and a definition of the same name is another.
        let defined = self.definitions()?;
        waiting.names.retain(|name| {
            name.parse()
                .is_ok_and(|name| defined.projection(&name).is_some())
        });
        // Booleans and texts always encode.
        let value = canonical::encode(&waiting).unwrap_or_default();
        batch.set_ref(self.waiting_ref(), Expect::Any, Some(value));
        // Without an expectation nothing can have moved.
        drop(self.repo().store().commit(batch)?);
        Ok(())
    }
}

fn stale(
    snapshot: &Snapshot,
    names: &[&Name],
    priority: Priority,
) -> Result<Option<Job>, ViewError> {
    for name in names {
        if !snapshot.is_fresh(name)? {
            return Ok(Some(Job {
                priority,
                name: (*name).clone(),
                snapshot: snapshot.clone(),
            }));
        }
    }
    Ok(None)
}
