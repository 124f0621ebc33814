//! What differs between two states, as a stream.

use std::collections::BTreeSet;
use std::iter::Peekable;

use allod_tree::{Change, Diff};
use bytes::Bytes;

use crate::entry::{Entry, State};
use crate::error::RepoError;
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
