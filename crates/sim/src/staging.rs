//! What a writer staged, and what it does not know the outcome of.

use std::collections::BTreeMap;

use allod_crdt::{Kind, Value};
use allod_repo::{BranchName, Entry, Heads, Repo, State};
use bytes::Bytes;

use crate::error::Failure;
use crate::ledger::{Change, Deeds};
use crate::model::Model;
use crate::node::{Node, Shown};

/// What a writer asked for, by key; of keys that join, the state that it was given.
pub(crate) type Wanted = BTreeMap<Bytes, State>;

/// A call that failed, so that its writer does not know what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) enum Doubt {
    #[default]
    None,
    Stage(BranchName, Wanted),
    Operate(Box<Pending>),
    /// A commit over these heads.
    Commit(BranchName, Heads),
    /// A merge into a branch that had these heads.
    Merge(BranchName, Heads),
}

/// A change of a value that joins, which was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) branch: BranchName,
    pub(crate) key: Bytes,
    pub(crate) kind: Kind,
    pub(crate) change: Change,
    /// The deeds that were known.
    pub(crate) seen: Deeds,
    /// What the value showed.
    pub(crate) shown: Option<Value>,
}

/// What is staged on the branches of a node, as its writer was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staging {
    wanted: BTreeMap<BranchName, Wanted>,
    /// Of keys that join, the deeds that the staged state stands for.
    deeds: BTreeMap<BranchName, BTreeMap<Bytes, Deeds>>,
    pub(crate) doubt: Doubt,
}

impl Staging {
    pub(crate) fn want(&mut self, branch: &BranchName, wanted: Wanted) {
        self.wanted
            .entry(branch.clone())
            .or_default()
            .extend(wanted);
    }

    pub(crate) fn is_empty(&self, branch: &BranchName) -> bool {
        self.wanted.get(branch).is_none_or(BTreeMap::is_empty)
    }

    /// The deeds that what is staged of a key stands for.
    pub(crate) fn deeds(&self, branch: &BranchName, key: &Bytes) -> Deeds {
        let deeds = self.deeds.get(branch).and_then(|deeds| deeds.get(key));
        deeds.cloned().unwrap_or_default()
    }

    /// Takes all of a branch.
    pub(crate) fn take(&mut self, branch: &BranchName) -> (Wanted, BTreeMap<Bytes, Deeds>) {
        let wanted = self.wanted.remove(branch).unwrap_or_default();
        let deeds = self.deeds.remove(branch).unwrap_or_default();
        (wanted, deeds)
    }
}

impl Node {
    /// Looks at what came of a change that was asked for, on the disk, and takes note of it.
    pub(crate) fn conclude(&mut self, pending: Pending, model: &mut Model) -> Result<(), Failure> {
        let staged = match self.running()?.staged(&pending.branch) {
            Ok(staged) => staged,
            // It is looked at again when the node starts.
            Err(_) if self.disk.struck() => {
                self.staging.doubt = Doubt::Operate(Box::new(pending));
                return Ok(());
            }
            Err(error) => return Err(self.fault("staged", &error)),
        };
        let Pending {
            branch,
            key,
            kind,
            change,
            seen,
            shown,
        } = pending;
        let before = self.staging.wanted.get(&branch);
        let before = before.and_then(|wanted| wanted.get(&key));
        let entry = staged.get(&key);
        let Some(entry) = entry.filter(|entry| Some(&entry.state) != before) else {
            return Ok(());
        };
        let joinable = self.joinable(entry)?;
        let epoch = joinable.and_then(|joinable| joinable.epoch());
        let list = match shown {
            Some(Value::List(values)) if kind == Kind::List => values,
            _ => Vec::new(),
        };
        let list = list.into_iter().filter_map(|value| match value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        });
        let (told, list) = ((entry.stamp.bits(), epoch), list.collect());
        let known = model.ledger.record(&change, told, &seen, list);
        let wanted = Wanted::from([(key.clone(), entry.state.clone())]);
        self.staging.want(&branch, wanted);
        let deeds = self.staging.deeds.entry(branch.clone()).or_default();
        deeds.insert(key.clone(), known);
        self.shows(&branch, &key, kind, model)
    }

    /// A key that joins shows what was done to it, with what is staged.
    fn shows(
        &self,
        branch: &BranchName,
        key: &Bytes,
        kind: Kind,
        model: &Model,
    ) -> Result<(), Failure> {
        let known = self.known(branch, key, model)?;
        let Shown::Value(shown) = self.read(branch, key)? else {
            return Ok(());
        };
        match model.ledger.wrong(kind, &known, shown.as_ref()) {
            None => Ok(()),
            Some(wrong) => {
                let what = format!("staged on {branch}: {}: {wrong}", key.escape_ascii());
                Err(self.lost(what))
            }
        }
    }

    /// Starts the node from its disk, after a crash or while it runs, and settles every doubt.
    pub(crate) fn restart(&mut self, model: &mut Model) -> Result<(), Failure> {
        self.disarm();
        if self.part().is_some() {
            self.witness = self.reopened()?;
        }
        let repo = match self.open() {
            // It stays down until what is damaged has been mended.
            Err(_) if self.disk.struck() => return Ok(()),
            repo => repo?,
        };
        match std::mem::take(&mut self.staging.doubt) {
            Doubt::None => {}
            Doubt::Stage(branch, wanted) => self.settle_stage(&repo, branch, wanted)?,
            Doubt::Operate(pending) => self.conclude(*pending, model)?,
            Doubt::Merge(branch, before) => self.learn_merge(&branch, &before, model)?,
            Doubt::Commit(branch, before) => {
                if self.on_disk(&repo, &branch)?.is_empty() {
                    let heads = repo.heads(&branch);
                    let heads = heads.map_err(|error| self.fault("heads", &error))?;
                    let Some(id) = heads.difference(&before).next() else {
                        return Err(self.lost("a commit that consumed its edits".to_owned()));
                    };
                    self.acknowledge(&branch, *id, &before, model)?;
                }
            }
        }
        for (branch, wanted) in &self.staging.wanted {
            if self.on_disk(&repo, branch)? != *wanted {
                return Err(self.lost(format!("what was staged on {branch}")));
            }
            if let Some(running) = &self.repo
                && self.on_disk(running, branch)? != *wanted
            {
                return Err(self.lost(format!("what was staged on {branch}, in memory")));
            }
            for key in self.staging.deeds.get(branch).into_iter().flatten() {
                if let State::Joining(kind, _) | State::JoiningLink(kind, _) = &wanted[key.0] {
                    self.shows(branch, key.0, *kind, model)?;
                }
            }
        }
        if self.repo.is_none() {
            self.repo = Some(repo);
        }
        self.tracks()
    }

    /// All of a failed stage is there, or none of it.
    fn settle_stage(
        &mut self,
        repo: &Repo,
        branch: BranchName,
        wanted: Wanted,
    ) -> Result<(), Failure> {
        let before = self.staging.wanted.get(&branch);
        let before = before.cloned().unwrap_or_default();
        let mut after = before.clone();
        after.extend(wanted);
        let now = self.on_disk(repo, &branch)?;
        if now != before && now != after {
            return Err(self.lost(format!("a part of what was staged on {branch}")));
        }
        self.staging.wanted.insert(branch, now);
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
}
