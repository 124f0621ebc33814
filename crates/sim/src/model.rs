//! What the final state must be: every acknowledged edit, per key the one that wins; and of keys that join, all
//! that was done to them.

use std::collections::{BTreeMap, BTreeSet};

use allod_repo::{BranchName, Entry};
use bytes::Bytes;

use crate::ledger::Ledger;

/// Which of two edits of a key counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// The later stamp, and of equal stamps the greater encoding (REPO-4).
    #[default]
    LaterWins,
    /// The earlier one. Wrong on purpose: shows that the checks would notice.
    EarlierWins,
}

/// The acknowledged edits of a world, by branch and key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    rule: Rule,
    winners: BTreeMap<(BranchName, Bytes), Entry>,
    edits: u64,
    /// What was done to keys that join.
    pub(crate) ledger: Ledger,
}

impl Model {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            rule,
            ..Self::default()
        }
    }

    /// Takes note of an edit whose commit was acknowledged.
    pub(crate) fn acknowledge(&mut self, branch: &BranchName, key: &Bytes, entry: Entry) {
        self.edits += 1;
        let place = (branch.clone(), key.clone());
        let counts = self.winners.get(&place).is_none_or(|known| {
            let order = (entry.stamp, entry.encode()) > (known.stamp, known.encode());
            order == (self.rule == Rule::LaterWins)
        });
        if counts {
            self.winners.insert(place, entry);
        }
    }

    /// How many edits were acknowledged.
    pub(crate) const fn edits(&self) -> u64 {
        self.edits
    }

    /// The branches on which edits or deeds were acknowledged.
    pub(crate) fn branches(&self) -> BTreeSet<BranchName> {
        let edited = self.winners.keys().map(|(branch, _)| branch);
        edited.chain(self.ledger.branches()).cloned().collect()
    }

    /// The entries that a branch must have of keys that do not join, tombstones included.
    pub(crate) fn branch(&self, branch: &BranchName) -> BTreeMap<Bytes, Entry> {
        let of_branch = self.winners.iter().filter(|((name, _), _)| name == branch);
        of_branch
            .map(|((_, key), entry)| (key.clone(), entry.clone()))
            .collect()
    }
}
