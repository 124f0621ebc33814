//! A key in three states: at the base, here, and there (MERGE-2).

use std::cmp::Ordering;
use std::iter::Peekable;

use allod_tree::{Diff, Tree, TreeError};
use bytes::Bytes;

use crate::entry::StateRef;
use crate::error::RepoError;
use crate::view::damaged;

/// The encoded entries of a key that theirs does not hold as the base does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Three<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) base: Option<&'a [u8]>,
    pub(crate) ours: Option<&'a [u8]>,
    pub(crate) theirs: Option<&'a [u8]>,
}

/// The values of a key on the three sides; [`StateRef::Tombstone`] where it has none.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    pub(crate) base: StateRef<'a>,
    pub(crate) ours: StateRef<'a>,
    pub(crate) theirs: StateRef<'a>,
}

impl<'a> Three<'a> {
    pub(crate) fn values(&self) -> Result<Values<'a>, RepoError> {
        Ok(Values {
            base: value_of(self.base)?,
            ours: value_of(self.ours)?,
            theirs: value_of(self.theirs)?,
        })
    }
}

impl<'a> Values<'a> {
    /// Whether one of them is a state that joins.
    pub(crate) const fn join(&self) -> bool {
        self.base.joins() || self.ours.joins() || self.theirs.joins()
    }

    /// The value that stands without anybody's decision; `None` for a conflict (MERGE-2).
    pub(crate) fn agreed(&self) -> Option<StateRef<'a>> {
        if self.theirs == self.base || self.theirs == self.ours {
            Some(self.ours)
        } else if self.ours == self.base {
            Some(self.theirs)
        } else {
            None
        }
    }
}

/// The value that an encoded entry gives its key.
pub(crate) fn value_of(entry: Option<&[u8]>) -> Result<StateRef<'_>, RepoError> {
    entry.map_or(Ok(StateRef::Tombstone), |entry| {
        let (_stamp, state) = StateRef::decode(entry).map_err(damaged)?;
        Ok(state)
    })
}

/// The keys that theirs does not hold as the base does, in key order. They are lent one by one:
/// most of them are looked at and passed.
pub(crate) struct ThreeWay {
    theirs: Diff,
    ours: Ours,
    found: Found,
}

/// How the entries of ours are found.
enum Ours {
    /// By walking what changed since the base: where both sides changed little of much.
    Walked(Box<Peekable<Diff>>),
    /// One by one: where ours may differ from the base by anything.
    Read(Tree),
}

/// What ours has under a key.
enum Found {
    AsBase,
    Entry(Option<Bytes>),
}

impl ThreeWay {
    /// Costs what both sides changed.
    pub(crate) fn walked(base: &Tree, ours: &Tree, theirs: &Tree) -> Self {
        Self {
            theirs: base.diff(theirs),
            ours: Ours::Walked(Box::new(base.diff(ours).peekable())),
            found: Found::AsBase,
        }
    }

    /// Costs what theirs changed, and a read for each key of it.
    pub(crate) fn read(base: &Tree, ours: &Tree, theirs: &Tree) -> Self {
        Self {
            theirs: base.diff(theirs),
            ours: Ours::Read(ours.clone()),
            found: Found::AsBase,
        }
    }

    pub(crate) fn next_key(&mut self) -> Result<Option<Three<'_>>, TreeError> {
        let Some(change) = self.theirs.next_ref()? else {
            return Ok(None);
        };
        self.found = self.ours.find(change.key)?;
        let ours = match &self.found {
            Found::AsBase => change.left,
            Found::Entry(entry) => entry.as_deref(),
        };
        Ok(Some(Three {
            key: change.key,
            base: change.left,
            ours,
            theirs: change.right,
        }))
    }
}

impl Ours {
    fn find(&mut self, key: &[u8]) -> Result<Found, TreeError> {
        let changes = match self {
            Self::Read(tree) => return tree.get(key).map(Found::Entry),
            Self::Walked(changes) => changes,
        };
        loop {
            let order = match changes.peek() {
                None => return Ok(Found::AsBase),
                Some(Ok(change)) => change.key[..].cmp(key),
                Some(Err(_)) => Ordering::Equal,
            };
            match order {
                Ordering::Less => drop(changes.next()),
                Ordering::Greater => return Ok(Found::AsBase),
                Ordering::Equal => {
                    return match changes.next() {
                        None => Ok(Found::AsBase),
                        Some(change) => change.map(|change| Found::Entry(change.right)),
                    };
                }
            }
        }
    }
}
