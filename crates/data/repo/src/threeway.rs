//! A key in three states: at the base, here, and there (MERGE-2).

use std::cmp::Ordering;
use std::iter::Peekable;

use allod_tree::{Diff, Tree, TreeError};
use bytes::Bytes;

use crate::entry::State;
use crate::error::RepoError;
use crate::view::decode;

/// The encoded entries of a key that theirs does not hold as the base does.
#[derive(Debug)]
pub(crate) struct Three {
    pub(crate) key: Bytes,
    pub(crate) base: Option<Bytes>,
    pub(crate) ours: Option<Bytes>,
    pub(crate) theirs: Option<Bytes>,
}

/// The values of a key on the three sides; [`State::Tombstone`] where it has none.
#[derive(Debug)]
pub(crate) struct Values {
    pub(crate) base: State,
    pub(crate) ours: State,
    pub(crate) theirs: State,
}

impl Three {
    pub(crate) fn values(&self) -> Result<Values, RepoError> {
        Ok(Values {
            base: value_of(self.base.as_ref())?,
            ours: value_of(self.ours.as_ref())?,
            theirs: value_of(self.theirs.as_ref())?,
        })
    }
}

impl Values {
    /// The value that stands without anybody's decision; `None` for a conflict (MERGE-2).
    pub(crate) fn agreed(&self) -> Option<&State> {
        if self.theirs == self.base || self.theirs == self.ours {
            Some(&self.ours)
        } else if self.ours == self.base {
            Some(&self.theirs)
        } else {
            None
        }
    }
}

/// The value that an encoded entry gives its key.
pub(crate) fn value_of(entry: Option<&Bytes>) -> Result<State, RepoError> {
    entry.map_or(Ok(State::Tombstone), |entry| Ok(decode(entry)?.state))
}

/// The keys that theirs does not hold as the base does, in key order.
pub(crate) struct ThreeWay {
    theirs: Diff,
    ours: Ours,
}

/// How the entries of ours are found.
enum Ours {
    /// By walking what changed since the base: where both sides changed little of much.
    Walked(Peekable<Diff>),
    /// One by one: where ours may differ from the base by anything.
    Read(Tree),
}

impl ThreeWay {
    /// Costs what both sides changed.
    pub(crate) fn walked(base: &Tree, ours: &Tree, theirs: &Tree) -> Self {
        Self {
            theirs: base.diff(theirs),
            ours: Ours::Walked(base.diff(ours).peekable()),
        }
    }

    /// Costs what theirs changed, and a read for each key of it.
    pub(crate) fn read(base: &Tree, ours: &Tree, theirs: &Tree) -> Self {
        Self {
            theirs: base.diff(theirs),
            ours: Ours::Read(ours.clone()),
        }
    }
}

impl Ours {
    fn entry(&mut self, key: &[u8], base: Option<&Bytes>) -> Result<Option<Bytes>, TreeError> {
        let changes = match self {
            Self::Read(tree) => return tree.get(key),
            Self::Walked(changes) => changes,
        };
        loop {
            let order = match changes.peek() {
                None => return Ok(base.cloned()),
                Some(Ok(change)) => change.key[..].cmp(key),
                Some(Err(_)) => Ordering::Equal,
            };
            match order {
                Ordering::Less => drop(changes.next()),
                Ordering::Greater => return Ok(base.cloned()),
                Ordering::Equal => {
                    return match changes.next() {
                        None => Ok(base.cloned()),
                        Some(change) => change.map(|change| change.right),
                    };
                }
            }
        }
    }
}

impl Iterator for ThreeWay {
    type Item = Result<Three, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let change = match self.theirs.next()? {
            Ok(change) => change,
            Err(error) => return Some(Err(error)),
        };
        let ours = self.ours.entry(&change.key, change.left.as_ref());
        Some(ours.map(|ours| Three {
            key: change.key,
            base: change.left,
            ours,
            theirs: change.right,
        }))
    }
}
