//! One node: a replica on a faulty disk, a skewed clock, and what its writer was told.

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_blocks::{Codec, Fault, FaultyStore, MemoryStore, Store, sha256_cid};
use allod_crdt::{Kind, OpError, State as Joinable, Value};
use allod_identity::{AgentId, DeviceId, SecretKey};
use allod_repo::{
    Author, BranchName, CommitId, DRIFT_MS_MAX, Edit, Entry, GcOptions, Heads, Repo, RepoError,
    SpaceId, State, VALUE_INLINE_BYTES_MAX, collect_garbage, log_range, trim_log,
};
use allod_sync::Claims;
use bytes::Bytes;

use crate::apart::Tracking;
use crate::error::Failure;
use crate::ledger::{Change, Deeds};
use crate::model::Model;
use crate::rot::Rot;
use crate::staging::{Doubt, Pending, Staging, Wanted};

/// Moves that stay when a log is trimmed: fewer than most worlds make.
const MOVES_KEPT: u64 = 8;

/// What a reader saw.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    Value(Option<Value>),
    /// The disk failed.
    Failed,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: usize,
    pub(crate) key: SecretKey,
    pub(crate) agent: AgentId,
    skew_ms: i64,
    /// The latest that its clock has shown before it was set.
    latest_ms: u64,
    pub(crate) hostile: bool,
    pub(crate) disk: Drive,
    /// The disk without its faults, for whoever watches the world.
    pub(crate) platter: Arc<dyn Disk>,
    /// The fault that is armed.
    pub(crate) fault: Option<Fault>,
    /// The node as it runs; `None` while it is down.
    pub(crate) repo: Option<Repo>,
    space: SpaceId,
    /// What its sessions fetch together.
    pub(crate) claims: Claims,
    /// Reads commits past the faults.
    pub(crate) witness: Repo,
    pub(crate) staging: Staging,
    pub(crate) tracking: Tracking,
    /// Heads that a peer was told are durable here (SYNC-10).
    pub(crate) promised: BTreeSet<CommitId>,
}

/// The disk of a node.
pub trait Disk: Store {
    /// The power fails: what was to be durable later is gone, as far as it can be (BLOCKS-87). Returns the number of
    /// batches.
    fn lose_unsynced(&self) -> usize;
}

/// What a node reads and writes: a disk some blocks of which may be damaged, and calls of which may fail.
#[derive(Debug)]
pub(crate) struct Drive {
    faults: FaultyStore,
    pub(crate) rot: Arc<Rot>,
}

impl Drive {
    fn new(platter: Arc<dyn Disk>) -> Self {
        let rot = Arc::new(Rot::new(platter));
        let faults = FaultyStore::new(rot.clone());
        Self { faults, rot }
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.faults.clone())
    }

    fn inject(&self, fault: Fault) {
        self.faults.inject(fault);
    }

    fn restart(&self) {
        self.faults.restart();
        self.rot.forget_met();
    }

    /// Whether the fault that is armed has happened, or a damaged block was in the way.
    pub(crate) fn struck(&self) -> bool {
        self.faults.struck() || self.rot.is_met()
    }
}

impl Disk for MemoryStore {
    fn lose_unsynced(&self) -> usize {
        Self::lose_unsynced(self)
    }
}

impl Node {
    /// A node whose store has the space already.
    pub(crate) fn new(
        name: usize,
        (agent, key): (AgentId, SecretKey),
        skew_ms: i64,
        hostile: bool,
        platter: Arc<dyn Disk>,
        space: SpaceId,
    ) -> Result<Self, RepoError> {
        let disk = Drive::new(Arc::clone(&platter));
        let repo = Repo::open(disk.store(), space)?.on_device(key.device_id());
        Ok(Self {
            name,
            key,
            agent,
            skew_ms,
            latest_ms: 0,
            hostile,
            repo: Some(repo),
            witness: Repo::open(platter.clone(), space)?,
            disk,
            platter,
            fault: None,
            space,
            claims: Claims::default(),
            staging: Staging::default(),
            tracking: Tracking::default(),
            promised: BTreeSet::new(),
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

    /// Sets the clock.
    pub(crate) fn set_clock(&mut self, now_ms: u64, skew_ms: i64) {
        self.latest_ms = self.latest_ms.max(self.clock(now_ms));
        self.skew_ms = skew_ms;
    }

    /// Somebody sees to it that the clock is about right; returns the latest that it has shown.
    pub(crate) fn correct_clock(&mut self, now_ms: u64) -> u64 {
        let reach = DRIFT_MS_MAX.cast_signed() / 4;
        self.set_clock(now_ms, self.skew_ms.clamp(-reach, reach));
        self.latest_ms
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
        deadly && self.disk.faults.struck()
    }

    /// The node goes down, and what is not durable with it; returns how many batches those were.
    pub(crate) fn crash(&mut self) -> Result<usize, Failure> {
        self.repo = None;
        let lost = self.platter.lose_unsynced();
        self.witness = self.reopened()?;
        for id in &self.promised {
            let is_here = self.witness.has_commit(*id);
            if !is_here.map_err(|error| self.fault("looking for a commit", &error))? {
                return Err(self.lost(format!("commit {id}, which a peer was told is durable")));
            }
        }
        Ok(lost)
    }

    /// A peer is told that what is here is durable. What a part keeps may become less.
    pub(crate) fn promise(&mut self) -> Result<(), Failure> {
        if self.part().is_none() {
            self.promised.extend(self.all_heads()?);
        }
        Ok(())
    }

    pub(crate) fn disarm(&mut self) {
        self.disk.restart();
        self.fault = None;
    }

    /// Stages edits of keys that do not join; an error is remembered as a doubt.
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
                self.staging.want(branch, wanted);
                Ok(())
            }
            Err(_) if self.disk.struck() => {
                self.staging.doubt = Doubt::Stage(branch.clone(), wanted);
                Ok(())
            }
            Err(error) => Err(self.fault("stage", &error)),
        }
    }

    /// Does to a key that joins what `choose` says of the value that it has; an error is remembered as a
    /// doubt.
    pub(crate) fn operate(
        &mut self,
        (branch, key, kind): (&BranchName, &Bytes, Kind),
        now_ms: u64,
        model: &mut Model,
        choose: &mut dyn FnMut(Option<&Value>) -> Option<Change>,
    ) -> Result<(), Failure> {
        if self.repo.is_none() {
            return Ok(());
        }
        let seen = self.known(branch, key, model)?;
        let Shown::Value(shown) = self.read(branch, key)? else {
            return Ok(());
        };
        if let Some(wrong) = model.ledger.wrong(kind, &seen, shown.as_ref()) {
            return Err(self.lost(format!("{branch}: {}: {wrong}", key.escape_ascii())));
        }
        let (Some(repo), Some(change)) = (&self.repo, choose(shown.as_ref())) else {
            return Ok(());
        };
        let result = match &change {
            Change::Do(ops) => repo.operate(branch, key, (kind, ops), now_ms).map(drop),
            Change::Clear => repo.stage(branch, [(key.clone(), Edit::Delete)], now_ms),
            Change::Compact => repo.compact(branch, key, kind, now_ms).map(drop),
        };
        let pending = Pending {
            branch: branch.clone(),
            key: key.clone(),
            kind,
            change,
            seen,
            shown,
        };
        match result {
            Ok(()) => self.conclude(pending, model),
            Err(_) if self.disk.struck() => {
                self.staging.doubt = Doubt::Operate(Box::new(pending));
                Ok(())
            }
            // The rule of the kind has not come here yet; or it was removed from a 2p-set.
            Err(RepoError::NoKind { .. } | RepoError::Operation(OpError::RemovedForEver)) => Ok(()),
            Err(error) => Err(self.fault("operate", &error)),
        }
    }

    /// The deeds to a key that are known here: by commits, and staged.
    pub(crate) fn known(
        &self,
        branch: &BranchName,
        key: &Bytes,
        model: &Model,
    ) -> Result<Deeds, Failure> {
        let heads = self.witness.heads(branch);
        let heads = heads.map_err(|error| self.fault("heads", &error))?;
        let mut known = model.ledger.known(&heads, key);
        known.extend(self.staging.deeds(branch, key));
        Ok(known)
    }

    /// What a key that joins shows, with what is staged, as whoever reads on the node sees it.
    pub(crate) fn read(&self, branch: &BranchName, key: &Bytes) -> Result<Shown, Failure> {
        let working = self.running()?.working(branch);
        let entry = match working.and_then(|working| working.entry(key)) {
            Ok(entry) => entry,
            Err(_) if self.disk.struck() => return Ok(Shown::Failed),
            Err(error) => return Err(self.fault("reading what is staged", &error)),
        };
        let Some(entry) = entry else {
            return Ok(Shown::Value(None));
        };
        let joinable = self.joinable(&entry)?;
        Ok(Shown::Value(joinable.and_then(|joinable| joinable.value())))
    }

    /// The state that joins which an entry has.
    pub(crate) fn joinable(&self, entry: &Entry) -> Result<Option<Joinable>, Failure> {
        let damaged = |what: String| Failure::Damaged {
            node: self.name,
            what,
        };
        let (kind, bytes) = match &entry.state {
            State::Joining(kind, bytes) => (*kind, bytes.clone()),
            State::JoiningLink(kind, cid) => {
                let block = self.platter.get(cid);
                let block = block.map_err(|error| damaged(error.to_string()))?;
                let block = block.ok_or_else(|| damaged(format!("{cid} is missing")))?;
                (*kind, block.into_bytes())
            }
            State::Value(_) | State::Link(_) | State::Tombstone => return Ok(None),
        };
        let joinable = Joinable::decode(kind, &bytes);
        joinable
            .map(Some)
            .map_err(|error| damaged(error.to_string()))
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
        let before = self.witness.heads(branch);
        let before = before.map_err(|error| self.fault("heads", &error))?;
        match repo.commit_staged(branch, self.author(), "simulated", now_ms) {
            Ok(id) => {
                self.acknowledge(branch, id, &before, model)?;
                Ok(Some(id))
            }
            Err(_) if self.disk.struck() => {
                if !self.staging.is_empty(branch) {
                    self.staging.doubt = Doubt::Commit(branch.clone(), before);
                }
                Ok(None)
            }
            // Not let in yet, or nothing to commit.
            Err(error) if error.refusal().is_some() => Ok(None),
            Err(RepoError::NothingStaged) if self.staging.is_empty(branch) => Ok(None),
            Err(error) => Err(self.fault("commit", &error)),
        }
    }

    /// A commit over the heads `before` is durable: what was staged is in it, and nowhere else.
    pub(crate) fn acknowledge(
        &mut self,
        branch: &BranchName,
        id: CommitId,
        before: &Heads,
        model: &mut Model,
    ) -> Result<(), Failure> {
        let (wanted, deeds) = self.staging.take(branch);
        let fault = |error: RepoError| self.fault("reading a commit that was acknowledged", &error);
        let view = self.witness.at(id).map_err(fault)?;
        let mut changed = std::collections::BTreeMap::new();
        for (key, state) in &wanted {
            let entry = view.entry(key).map_err(fault)?;
            let lost =
                |what: String| self.lost(format!("{} of commit {id}: {what}", key.escape_ascii()));
            let Some(entry) = entry else {
                return Err(lost("not there".to_owned()));
            };
            let Some(staged) = deeds.get(key) else {
                if entry.state != *state {
                    return Err(lost(format!("{entry:?}")));
                }
                model.acknowledge(branch, key, entry);
                continue;
            };
            let joinable = self.joinable(&entry)?;
            let joinable = joinable.ok_or_else(|| lost("does not join".to_owned()))?;
            let mut known = model.ledger.known(before, key);
            known.extend(staged);
            let shown = joinable.value();
            if let Some(wrong) = model.ledger.wrong(joinable.kind(), &known, shown.as_ref()) {
                return Err(lost(wrong));
            }
            changed.insert(key.clone(), known);
        }
        let commit = self.witness.commit(id).map_err(fault)?;
        let parents = commit.payload().parents.iter().copied().collect();
        model.ledger.committed(branch, (id, &parents), &changed);
        Ok(())
    }

    /// Removes the oldest moves from the log, beside whatever is going on; how many.
    pub(crate) fn trim(&self) -> Result<u64, Failure> {
        let Some(repo) = &self.repo else {
            return Ok(0);
        };
        let store = repo.store().as_ref();
        let go_on = &mut |_| std::ops::ControlFlow::Continue(());
        let trimmed = log_range(store)
            .and_then(|there| trim_log(store, there.end.saturating_sub(MOVES_KEPT), go_on));
        match trimmed {
            Err(_) if self.disk.struck() => Ok(0),
            trimmed => trimmed.map_err(|error| self.fault("trimming the log", &error)),
        }
    }

    /// Removes what nothing leads to, beside whatever is going on.
    pub(crate) fn collect(&self) -> Result<u64, Failure> {
        let Some(repo) = &self.repo else {
            return Ok(0);
        };
        let go_on = &mut |_, _| std::ops::ControlFlow::Continue(());
        match collect_garbage(repo.store().as_ref(), GcOptions::default(), go_on) {
            Ok(report) => Ok(report.dead_blocks),
            Err(_) if self.disk.struck() => Ok(0),
            Err(error) => Err(Failure::Fault {
                node: self.name,
                what: format!("collecting garbage: {error}"),
            }),
        }
    }

    /// The node as it runs, or would run.
    pub(crate) fn running(&self) -> Result<Repo, Failure> {
        self.repo.clone().map_or_else(|| self.reopened(), Ok)
    }

    /// The node as its disk has it.
    pub(crate) fn reopened(&self) -> Result<Repo, Failure> {
        Repo::open(self.platter.clone(), self.space).map_err(|error| self.fault("open", &error))
    }

    /// Opens the replica anew, faults and all.
    pub(crate) fn open(&self) -> Result<Repo, Failure> {
        let repo = Repo::open(self.disk.store(), self.space);
        let repo = repo.map_err(|error| self.fault("open", &error))?;
        Ok(repo.on_device(self.device()))
    }

    pub(crate) fn fault(&self, call: &str, error: &RepoError) -> Failure {
        Failure::Fault {
            node: self.name,
            what: format!("{call}: {error}"),
        }
    }

    pub(crate) fn lost(&self, what: String) -> Failure {
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
