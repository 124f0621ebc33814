//! What differs between two states, as a stream.

use std::collections::{BTreeSet, btree_map};
use std::iter::Peekable;

use allod_tree::{Change, Diff};
use bytes::Bytes;

use crate::entry::{Entry, State};
use crate::error::RepoError;
use crate::ids::CommitId;
use crate::repo::{Repo, lock};
use crate::view::{Span, View, decode};

/// A key whose value is not the same in two states. A tombstone stands for *none*, whether the key
/// was deleted or never written (MERGE, "Terms").
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The key.
    pub key: Bytes,
    /// Its value in the first state.
    pub before: State,
    /// Its value in the second.
    pub after: State,
}

/// The differences between two states, in key order. After an error it is over.
pub struct Differences {
    left: View,
    right: View,
    span: Span,
    stored: Option<Peekable<Diff>>,
    staged: BTreeSet<Bytes>,
}

impl View {
    /// The keys of a range whose value is not the same here (before) and in `other` (after), what
    /// is staged included. Reads only the nodes that are not in both trees, those before the range
    /// among them.
    #[must_use]
    pub fn diff(&self, other: &Self, span: &Span) -> Differences {
        let mut staged = BTreeSet::new();
        if !span.is_empty() {
            staged = self.staged_keys(span);
            staged.extend(other.staged_keys(span));
        }
        Differences {
            stored: Some(self.tree().diff(other.tree()).peekable()),
            left: self.clone(),
            right: other.clone(),
            span: span.clone(),
            staged,
        }
    }
}

impl std::fmt::Debug for Differences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Differences")
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

impl Iterator for Differences {
    type Item = Result<Difference, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.stored = None;
        }
        item
    }
}

impl Differences {
    fn step(&mut self) -> Result<Option<Difference>, RepoError> {
        while let Some(stored) = &mut self.stored {
            let change = match stored.peek() {
                Some(Ok(change)) if !is_past(&self.span, &change.key) => Some(change.key.clone()),
                Some(Err(_)) => None,
                _ => {
                    let Some(key) = self.staged.pop_first() else {
                        return Ok(None);
                    };
                    if let Some(found) = self.of_staged(key)? {
                        return Ok(Some(found));
                    }
                    continue;
                }
            };
            if let (Some(change), Some(first)) = (&change, self.staged.first())
                && first <= change
            {
                if first == change {
                    stored.next();
                }
                let key = self.staged.pop_first().unwrap_or_default();
                if let Some(found) = self.of_staged(key)? {
                    return Ok(Some(found));
                }
                continue;
            }
            let Some(change) = stored.next().transpose()? else {
                continue;
            };
            if self.span.contains(&change.key)
                && let Some(found) = of_stored(change)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A key that is staged on a side: the trees alone do not say what it holds.
    fn of_staged(&self, key: Bytes) -> Result<Option<Difference>, RepoError> {
        let before = state(self.left.entry(&key)?);
        let after = state(self.right.entry(&key)?);
        Ok((before != after).then_some(Difference { key, before, after }))
    }
}

/// The entries by which a state differs from one before it, with their keys, in key order; `None` where there is none
/// any more. After an error it is over.
pub struct Changes {
    from: ChangesFrom,
}

enum ChangesFrom {
    /// They were at hand.
    Entries(btree_map::IntoIter<Bytes, Bytes>),
    Trees(Diff),
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl View {
    /// The entries by which `other` differs from this, without what is staged.
    #[must_use]
    pub fn changes_to(&self, other: &Self) -> Changes {
        let from = ChangesFrom::Trees(self.tree().diff(other.tree()));
        Changes { from }
    }
}

impl Repo {
    /// The entries by which a commit differs from the join of its parents: of what is kept here.
    ///
    /// # Errors
    /// [`RepoError::Bare`] if of it, or of a parent, only the statement is here (PART-5).
    pub fn changes(&self, id: CommitId) -> Result<Changes, RepoError> {
        let commit = self.commit(id)?;
        let said = commit.payload();
        let known = match self.part_of(&said.branch) {
            Some(_) => None,
            None => lock(&self.inner.changes).of(id),
        };
        let from = match known {
            Some(known) => ChangesFrom::Entries((*known).clone().into_iter()),
            None => {
                let parents = said.parents.iter().copied().collect();
                let (base, _) = self.joined(&parents)?;
                ChangesFrom::Trees(base.diff(&self.held_tree(id)?))
            }
        };
        Ok(Changes { from })
    }
}

impl Iterator for Changes {
    type Item = Result<(Bytes, Option<Entry>), RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, entry) = match &mut self.from {
            ChangesFrom::Entries(entries) => {
                let (key, entry) = entries.next()?;
                (key, Some(entry))
            }
            ChangesFrom::Trees(diff) => match diff.next()? {
                Ok(change) => (change.key, change.right),
                Err(error) => return Some(Err(error.into())),
            },
        };
        let entry = entry.as_ref().map(decode).transpose();
        Some(entry.map(|entry| (key, entry)))
    }
}

fn of_stored(change: Change) -> Result<Option<Difference>, RepoError> {
    let read = |bytes: Option<Bytes>| bytes.map(|bytes| decode(&bytes)).transpose();
    let before = state(read(change.left)?);
    let after = state(read(change.right)?);
    let key = change.key;
    Ok((before != after).then_some(Difference { key, before, after }))
}

fn is_past(span: &Span, key: &[u8]) -> bool {
    span.is_empty() || span.to.as_deref().is_some_and(|to| key >= to)
}

pub(crate) fn state(entry: Option<Entry>) -> State {
    entry.map_or(State::Tombstone, |entry| entry.state)
}
