//! What was done to values that join, and what each writer knew of it then (REPO-40 to REPO-44).
//!
//! A deed is known where a commit leads to it, or where it is staged. What a value must show follows from the
//! deeds that are known alone (`twin.rs`), whatever way they came.

use std::collections::{BTreeMap, BTreeSet};

use allod_crdt::{Epoch, Kind, Op, Value};
use allod_repo::{BranchName, CommitId, Heads};
use bytes::Bytes;

use crate::twin;

/// Some deeds, by their numbers.
pub(crate) type Deeds = BTreeSet<usize>;

/// What is done to a value that joins, at one go.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Do(Vec<Op>),
    /// It is deleted: a new epoch without a value.
    Clear,
    /// It begins a new epoch with what it shows.
    Compact,
}

/// One step of a change.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// An operation. That a place of a list is removed is the removal of the value there.
    Do(Op),
    Clear(Epoch),
    Compact(Epoch),
}

/// A step that was made, and may have to be there in the end.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) act: Act,
    pub(crate) stamp: u64,
    /// The deeds that its writer knew.
    pub(crate) seen: Deeds,
    /// The list as its writer saw it then.
    pub(crate) list: Vec<Vec<u8>>,
}

/// The deeds of a world, and which commits lead to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    deeds: Vec<Deed>,
    carried: BTreeMap<CommitId, BTreeMap<Bytes, Deeds>>,
    acknowledged: BTreeMap<(BranchName, Bytes), Deeds>,
}

impl Ledger {
    /// The deeds to a key that these commits lead to.
    pub(crate) fn known(&self, heads: &Heads, key: &Bytes) -> Deeds {
        let carried = heads.iter().filter_map(|id| self.carried.get(id)?.get(key));
        carried.flatten().copied().collect()
    }

    /// All keys that these commits lead to deeds of.
    pub(crate) fn keys(&self, heads: &Heads) -> BTreeSet<Bytes> {
        let carried = heads.iter().filter_map(|id| self.carried.get(id));
        carried.flat_map(BTreeMap::keys).cloned().collect()
    }

    /// Takes note of a change by a writer that knew `seen`, to a list of `list` if it is one; returns what
    /// is known after it.
    pub(crate) fn record(
        &mut self,
        change: &Change,
        (stamp, epoch): (u64, Option<Epoch>),
        seen: &Deeds,
        mut list: Vec<Vec<u8>>,
    ) -> Deeds {
        let mut known = seen.clone();
        let epoch = epoch.map(|epoch| match change {
            Change::Compact => Act::Compact(epoch),
            Change::Do(_) | Change::Clear => Act::Clear(epoch),
        });
        let acts = match change {
            Change::Do(ops) => ops.iter().map(|op| Act::Do(place(op, &mut list))).collect(),
            Change::Clear | Change::Compact => epoch.into_iter().collect::<Vec<Act>>(),
        };
        for act in acts {
            self.deeds.push(Deed {
                act,
                stamp,
                seen: known.clone(),
                list: list.clone(),
            });
            known.insert(self.deeds.len() - 1);
        }
        known
    }

    /// Takes note of a commit whose parents are these, in which keys stand for the given deeds.
    pub(crate) fn committed(
        &mut self,
        branch: &BranchName,
        (id, parents): (CommitId, &Heads),
        changed: &BTreeMap<Bytes, Deeds>,
    ) {
        let mut carried: BTreeMap<Bytes, Deeds> = BTreeMap::new();
        for parent in parents {
            for (key, deeds) in self.carried.get(parent).into_iter().flatten() {
                carried.entry(key.clone()).or_default().extend(deeds);
            }
        }
        for (key, deeds) in changed {
            carried.entry(key.clone()).or_default().extend(deeds);
            let place = (branch.clone(), key.clone());
            self.acknowledged.entry(place).or_default().extend(deeds);
        }
        self.carried.insert(id, carried);
    }

    /// Whether a commit is known here.
    pub(crate) fn has(&self, id: CommitId) -> bool {
        self.carried.contains_key(&id)
    }

    /// The branches on which deeds were acknowledged.
    pub(crate) fn branches(&self) -> impl Iterator<Item = &BranchName> {
        self.acknowledged.keys().map(|(branch, _)| branch)
    }

    /// How many deeds were done.
    pub(crate) const fn len(&self) -> usize {
        self.deeds.len()
    }

    /// A deed that was acknowledged on a branch and that these commits do not lead to.
    pub(crate) fn lost(&self, branch: &BranchName, heads: &Heads) -> Option<(Bytes, Deed)> {
        let of_branch = self.acknowledged.iter();
        let mut of_branch = of_branch.filter(|((name, _), _)| name == branch);
        of_branch.find_map(|((_, key), deeds)| {
            let known = self.known(heads, key);
            let lost = deeds.difference(&known).next()?;
            Some((key.clone(), self.deeds.get(*lost)?.clone()))
        })
    }

    /// What is wrong with a value that shows `shown` after these deeds.
    pub(crate) fn wrong(&self, kind: Kind, known: &Deeds, shown: Option<&Value>) -> Option<String> {
        let what = twin::wrong(kind, &self.deeds, known, shown)?;
        let shown = shown.map_or_else(|| "nothing".to_owned(), Value::to_string);
        Some(format!("{kind}: shows {shown}, {what}"))
    }
}

/// An operation with a place of a list as the value there, done to the list.
fn place(op: &Op, list: &mut Vec<Vec<u8>>) -> Op {
    match op {
        Op::Insert(index, value) if *index <= list.len() => {
            list.insert(*index, value.clone());
            op.clone()
        }
        Op::RemoveAt(index) if *index < list.len() => Op::Remove(list.remove(*index)),
        _ => op.clone(),
    }
}
