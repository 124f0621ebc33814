//! Who wrote what a key holds, and all that it ever held (MERGE-30, MERGE-31).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_identity::{AgentId, DeviceId, Verified};
use allod_tree::Tree;
use bytes::Bytes;

use crate::entry::Entry;
use crate::error::RepoError;
use crate::history::Place;
use crate::ids::CommitId;
use crate::repo::{Heads, Repo};
use crate::statements::Commit;
use crate::view::{Span, decode};

/// An entry, and the commit that introduced it.
#[derive(Clone, Debug)]
pub struct Blame {
    /// The key.
    pub key: Bytes,
    /// Its entry.
    pub entry: Entry,
    /// The commit that introduced the entry.
    pub id: CommitId,
    /// That commit: its author, message and time.
    pub commit: Arc<Verified<Commit>>,
}

impl Blame {
    /// Who wrote it.
    #[must_use]
    pub fn author(&self) -> AgentId {
        self.commit.payload().author
    }

    /// The device that signed for the author.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::from(*self.commit.signer())
    }
}

/// Encoded entries that were found in a commit, by key.
type Held = BTreeMap<Bytes, Bytes>;

impl Repo {
    /// Who wrote the entry, tombstones included, that a key has in the state of `heads`.
    pub fn blame(&self, heads: &Heads, key: &[u8]) -> Result<Option<Blame>, RepoError> {
        self.check_kept(heads, key)?;
        let entry = self.joined(heads)?.0.get(key)?;
        let held = entry.map(|entry| (Bytes::copy_from_slice(key), entry));
        Ok(self.blame_all(heads, held.into_iter().collect())?.pop())
    }

    /// Who wrote each live entry of a range in the state of `heads`: at most `limit`, in key
    /// order. Walks the history once, for all of them.
    pub fn blame_range(
        &self,
        heads: &Heads,
        span: &Span,
        limit: usize,
    ) -> Result<Vec<Blame>, RepoError> {
        let mut held = Held::new();
        for item in self.joined(heads)?.0.range(span.bounds()) {
            let (key, entry) = item?;
            if held.len() >= limit {
                break;
            }
            if decode(&entry)?.is_live() {
                held.insert(key, entry);
            }
        }
        self.blame_all(heads, held)
    }

    fn blame_all(&self, heads: &Heads, held: Held) -> Result<Vec<Blame>, RepoError> {
        let mut found: BTreeMap<Bytes, Blame> = BTreeMap::new();
        let mut frontier: BTreeMap<Place, Held> = BTreeMap::new();
        self.hand_down(heads, held, None, &mut frontier)?;
        while let Some(((_, id), held)) = frontier.pop_last() {
            let commit = self.commit(id)?;
            let said = commit.payload();
            let tree = self.held_tree(id)?;
            let parents = said.parents.iter().copied().collect();
            let own = self.hand_down(&parents, held, Some(&tree), &mut frontier)?;
            for (key, entry) in own {
                let blame = Blame {
                    entry: decode(&entry)?,
                    key: key.clone(),
                    id,
                    commit: Arc::clone(&commit),
                };
                found.insert(key, blame);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Leaves each entry to the first of `commits` that holds it; returns those that none holds.
    /// `tree` holds all of them, if given.
    fn hand_down(
        &self,
        commits: &Heads,
        mut held: Held,
        tree: Option<&Tree>,
        frontier: &mut BTreeMap<Place, Held>,
    ) -> Result<Held, RepoError> {
        for id in commits {
            if held.is_empty() {
                break;
            }
            let theirs = self.held_tree(*id)?;
            let taken = split_held(&mut held, tree, &theirs)?;
            if !taken.is_empty() {
                frontier.entry(self.place(*id)?).or_default().extend(taken);
            }
        }
        Ok(held)
    }

    fn check_kept(&self, heads: &Heads, key: &[u8]) -> Result<(), RepoError> {
        match heads.first() {
            Some(head) => self.check_part(&self.commit(*head)?.payload().branch, key),
            None => Ok(()),
        }
    }

    /// The commits that introduced entries of a key, newest first (MERGE-31).
    ///
    /// # Errors
    /// [`RepoError::OutOfPart`] if the key is not kept here.
    pub fn key_history(&self, heads: &Heads, key: &[u8]) -> Result<KeyHistory, RepoError> {
        self.check_kept(heads, key)?;
        let mut history = KeyHistory {
            repo: self.clone(),
            key: Bytes::copy_from_slice(key),
            frontier: BTreeSet::new(),
        };
        for head in heads {
            history.look_at(*head)?;
        }
        Ok(history)
    }
}

/// Takes out of `held` the entries that `theirs` holds as well.
fn split_held(held: &mut Held, tree: Option<&Tree>, theirs: &Tree) -> Result<Held, RepoError> {
    let mut kept = Held::new();
    match tree {
        Some(tree) if tree == theirs => {}
        // A commit changes little, so what differs is sooner found than every key is read.
        Some(tree) if held.len() > 1 => {
            for change in theirs.diff(tree) {
                let key = change?.key;
                kept.extend(held.remove_entry(&key));
            }
        }
        _ => {
            for (key, entry) in std::mem::take(held) {
                let there = theirs.get(&key)?.as_ref() == Some(&entry);
                if there { &mut *held } else { &mut kept }.insert(key, entry);
            }
        }
    }
    Ok(std::mem::replace(held, kept))
}

/// The history of a key, newest first: see [`Repo::key_history`]. After an error it is over.
///
/// Reads one path of the tree for each commit that has the key, and nothing of the others.
#[derive(Debug)]
pub struct KeyHistory {
    repo: Repo,
    key: Bytes,
    /// Commits that hold an entry of the key.
    frontier: BTreeSet<(Place, Bytes)>,
}

impl KeyHistory {
    /// Puts a commit in the frontier if it holds the key; returns the entry.
    fn look_at(&mut self, id: CommitId) -> Result<Option<Bytes>, RepoError> {
        let entry = self.repo.held_tree(id)?.get(&self.key)?;
        if let Some(entry) = &entry {
            self.frontier.insert((self.repo.place(id)?, entry.clone()));
        }
        Ok(entry)
    }

    fn step(&mut self) -> Result<Option<Blame>, RepoError> {
        while let Some(((_, id), entry)) = self.frontier.pop_last() {
            let commit = self.repo.commit(id)?;
            let mut is_own = true;
            for parent in &commit.payload().parents {
                is_own &= self.look_at(*parent)?.as_ref() != Some(&entry);
            }
            if is_own {
                return Ok(Some(Blame {
                    key: self.key.clone(),
                    entry: decode(&entry)?,
                    id,
                    commit,
                }));
            }
        }
        Ok(None)
    }
}

impl Iterator for KeyHistory {
    type Item = Result<Blame, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.frontier.clear();
        }
        item
    }
}
