//! One node: a replica on a faulty disk, a skewed clock, and what its writer was told.

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Codec, Fault, FaultyStore, Store, sha256_cid};
use allod_identity::{AgentId, DeviceId, SecretKey};
use allod_repo::{
    Author, BranchName, CommitId, Edit, Entry, Repo, RepoError, SpaceId, State,
    VALUE_INLINE_BYTES_MAX,
};
use bytes::Bytes;

use crate::error::Failure;
use crate::model::Model;

/// What a writer asked for, by key.
pub(crate) type Wanted = BTreeMap<Bytes, State>;

/// A call that failed, so that its writer does not know what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) enum Doubt {
    #[default]
    None,
    Stage(BranchName, Wanted),
    Commit(BranchName),
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: usize,
    pub(crate) key: SecretKey,
    pub(crate) agent: AgentId,
    pub(crate) skew_ms: i64,
    pub(crate) hostile: bool,
    pub(crate) disk: FaultyStore,
    /// The disk without its faults, for whoever watches the world.
    pub(crate) platter: Arc<dyn Store>,
    /// The fault that is armed.
    pub(crate) fault: Option<Fault>,
    /// The node as it runs; `None` while it is down.
    pub(crate) repo: Option<Repo>,
    space: SpaceId,
    /// Reads commits past the faults.
    witness: Repo,
    staged: BTreeMap<BranchName, Wanted>,
    doubt: Doubt,
}

impl Node {
    /// A node whose store has the space already.
    pub(crate) fn new(
        name: usize,
        (agent, key): (AgentId, SecretKey),
        skew_ms: i64,
        hostile: bool,
        platter: Arc<dyn Store>,
        space: SpaceId,
    ) -> Result<Self, RepoError> {
        let disk = FaultyStore::new(Arc::clone(&platter));
        Ok(Self {
            name,
            key,
            agent,
            skew_ms,
            hostile,
            repo: Some(Repo::open(Arc::new(disk.clone()), space)?),
            witness: Repo::open(Arc::clone(&platter), space)?,
            disk,
            platter,
            fault: None,
            space,
            staged: BTreeMap::new(),
            doubt: Doubt::None,
        })
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.key.device_id()
    }

    pub(crate) fn author(&self) -> Author<'_> {
        Author {
            agent: self.agent,
            key: &self.key,
        }
    }

    /// The node's own clock at a time of the world.
    pub(crate) fn clock(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.skew_ms)
    }

    /// Arms a fault.
    pub(crate) fn arm(&mut self, fault: Fault) {
        self.disk.inject(fault);
        self.fault = Some(fault);
    }

    /// Whether the fault has happened and was a crash.
    pub(crate) fn crashed(&self) -> bool {
        let deadly = matches!(
            self.fault,
            Some(Fault::CrashBefore(_) | Fault::CrashAfter(_))
        );
        deadly && self.disk.struck()
    }

    pub(crate) fn disarm(&mut self) {
        self.disk.restart();
        self.fault = None;
    }

    /// Stages edits; an error is remembered as a doubt.
    pub(crate) fn stage(
        &mut self,
        branch: &BranchName,
        edits: Vec<(Bytes, Edit)>,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let Some(repo) = &self.repo else {
            return Ok(());
        };
        let wanted: Wanted = edits.iter().map(|(k, e)| (k.clone(), state(e))).collect();
        match repo.stage(branch, edits, now_ms) {
            Ok(()) => {
                self.staged
                    .entry(branch.clone())
                    .or_default()
                    .extend(wanted);
                Ok(())
            }
            Err(_) if self.disk.struck() => {
                self.doubt = Doubt::Stage(branch.clone(), wanted);
                Ok(())
            }
            Err(error) => Err(self.fault("stage", &error)),
        }
    }

    /// Commits what is staged and tells the model; an error is remembered as a doubt.
    pub(crate) fn commit(
        &mut self,
        branch: &BranchName,
        now_ms: u64,
        model: &mut Model,
    ) -> Result<Option<CommitId>, Failure> {
        let Some(repo) = &self.repo else {
            return Ok(None);
        };
        match repo.commit_staged(branch, self.author(), "simulated", now_ms) {
            Ok(id) => {
                let wanted = self.staged.remove(branch).unwrap_or_default();
                self.acknowledge(branch, id, &wanted, model)?;
                Ok(Some(id))
            }
            Err(_) if self.disk.struck() => {
                self.doubt = Doubt::Commit(branch.clone());
                Ok(None)
            }
            // Not let in yet, or nothing to commit.
            Err(RepoError::Refused(_)) => Ok(None),
            Err(RepoError::NothingStaged)
                if self.staged.get(branch).is_none_or(BTreeMap::is_empty) =>
            {
                Ok(None)
            }
            Err(error) => Err(self.fault("commit", &error)),
        }
    }

    fn acknowledge(
        &self,
        branch: &BranchName,
        id: CommitId,
        wanted: &Wanted,
        model: &mut Model,
    ) -> Result<(), Failure> {
        let fault = |error: RepoError| self.fault("reading a commit that was acknowledged", &error);
        let view = self.witness.at(id).map_err(fault)?;
        for (key, state) in wanted {
            let entry = view.entry(key).map_err(fault)?;
            match entry {
                Some(entry) if entry.state == *state => model.acknowledge(branch, key, entry),
                other => {
                    let what = format!("{} of commit {id}: {other:?}", key.escape_ascii());
                    return Err(self.lost(what));
                }
            }
        }
        Ok(())
    }

    /// Starts the node from its disk, after a crash or while it runs, and settles every doubt.
    pub(crate) fn restart(&mut self, model: &mut Model) -> Result<(), Failure> {
        self.disarm();
        let store = Arc::new(self.disk.clone());
        let repo = Repo::open(store, self.space).map_err(|error| self.fault("open", &error))?;
        let doubt = std::mem::take(&mut self.doubt);
        match doubt {
            Doubt::None => {}
            Doubt::Stage(branch, wanted) => {
                let before = self.staged.get(&branch).cloned().unwrap_or_default();
                let mut after = before.clone();
                after.extend(wanted);
                let now = self.on_disk(&repo, &branch)?;
                // All of a failed stage or none of it.
                if now != before && now != after {
                    return Err(self.lost(format!("a part of what was staged on {branch}")));
                }
                self.staged.insert(branch, now);
            }
            Doubt::Commit(branch) => {
                if self.on_disk(&repo, &branch)?.is_empty() {
                    let wanted = self.staged.remove(&branch).unwrap_or_default();
                    let heads = repo.heads(&branch);
                    let heads = heads.map_err(|error| self.fault("heads", &error))?;
                    let Some(id) = heads.first() else {
                        return Err(self.lost("a commit that consumed its edits".to_owned()));
                    };
                    self.acknowledge(&branch, *id, &wanted, model)?;
                }
            }
        }
        for (branch, wanted) in &self.staged {
            if self.on_disk(&repo, branch)? != *wanted {
                return Err(self.lost(format!("what was staged on {branch}")));
            }
            if let Some(running) = &self.repo
                && self.on_disk(running, branch)? != *wanted
            {
                return Err(self.lost(format!("what was staged on {branch}, in memory")));
            }
        }
        if self.repo.is_none() {
            self.repo = Some(repo);
        }
        Ok(())
    }

    /// What is staged on a branch.
    fn on_disk(&self, repo: &Repo, branch: &BranchName) -> Result<Wanted, Failure> {
        let staged = repo
            .staged(branch)
            .map_err(|error| self.fault("staged", &error))?;
        Ok(staged
            .iter()
            .map(|(key, entry): (&Bytes, &Entry)| (key.clone(), entry.state.clone()))
            .collect())
    }

    /// The node as its disk has it.
    pub(crate) fn reopened(&self) -> Result<Repo, Failure> {
        Repo::open(Arc::clone(&self.platter), self.space)
            .map_err(|error| self.fault("open", &error))
    }

    pub(crate) fn fault(&self, call: &str, error: &RepoError) -> Failure {
        Failure::Fault {
            node: self.name,
            what: format!("{call}: {error}"),
        }
    }

    fn lost(&self, what: String) -> Failure {
        Failure::Lost {
            node: self.name,
            what,
        }
    }
}

/// The state that an edit asks for.
fn state(edit: &Edit) -> State {
    match edit {
        Edit::Put(value) if value.len() <= VALUE_INLINE_BYTES_MAX => State::Value(value.clone()),
        Edit::Put(value) => State::Link(sha256_cid(Codec::Raw, value)),
        Edit::Link(cid) => State::Link(*cid),
        Edit::Delete => State::Tombstone,
    }
}
