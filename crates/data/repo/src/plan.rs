//! What a three-way change does to a tree, and what it cannot decide (MERGE-2, MERGE-11).

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::Block;
use allod_tree::Tree;
use bytes::Bytes;

use crate::entry::{Entry, State, StateRef, left_wins};
use crate::error::RepoError;
use crate::joining::{Joining, join_entries};
use crate::pending::Resolved;
use crate::repo::Repo;
use crate::resolve::{Judge, MergeConflict, Resolution};
use crate::stamp::Stamp;
use crate::threeway::{Three, ThreeWay, Values, value_of};
use crate::view::decode;
use crate::work::Staged;
use crate::write::Entries;

/// The most keys that a result names; the others are counted.
pub const KEYS_LISTED: usize = 1000;

/// Keys, the first of them by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Keys {
    /// How many there are.
    pub count: u64,
    /// The first [`KEYS_LISTED`] of them, in key order.
    pub first: Vec<Bytes>,
}

impl Keys {
    pub(crate) fn add(&mut self, key: &[u8]) {
        self.count += 1;
        if self.first.len() < KEYS_LISTED {
            self.first.push(Bytes::copy_from_slice(key));
        }
    }
}

/// The three trees of a change.
#[derive(Debug)]
pub(crate) struct Sides {
    pub(crate) base: Tree,
    pub(crate) ours: Tree,
    pub(crate) theirs: Tree,
    /// Whether the result is a join of ours and theirs with entries over it (MERGE-3), and not
    /// ours with entries over it (MERGE-20).
    pub(crate) joins: bool,
}

impl Sides {
    pub(crate) fn changes(&self) -> ThreeWay {
        if self.joins {
            ThreeWay::walked(&self.base, &self.ours, &self.theirs)
        } else {
            ThreeWay::read(&self.base, &self.ours, &self.theirs)
        }
    }

    /// The encoded entries of one key: of the base, ours and theirs.
    pub(crate) fn entries(&self, key: &[u8]) -> Result<[Option<Bytes>; 3], RepoError> {
        Ok([
            self.base.get(key)?,
            self.ours.get(key)?,
            self.theirs.get(key)?,
        ])
    }

    /// What the result holds under a key if nobody writes it, and nothing there joins.
    fn stands<'a>(&self, three: &Three<'a>) -> Result<StateRef<'a>, RepoError> {
        value_of(match (three.ours, three.theirs) {
            (Some(ours), Some(theirs)) if self.joins && !left_wins(ours, theirs) => Some(theirs),
            (None, Some(theirs)) if self.joins => Some(theirs),
            (ours, _) => ours,
        })
    }
}

/// What decides conflicts, and what must not be touched.
pub(crate) struct Terms<'a> {
    pub(crate) judge: Judge<'a>,
    pub(crate) now_ms: u64,
    pub(crate) resolved: &'a BTreeMap<Bytes, Resolved>,
    pub(crate) staged: Arc<Staged>,
}

/// The value that a conflict is decided for, with the block that it needs, or the conflict.
pub(crate) type Decided = Result<(State, Option<Block>), MergeConflict>;

impl Terms<'_> {
    /// Asks for a decision, in the order of MERGE-11.
    pub(crate) fn decide(
        &self,
        three: &Three<'_>,
        values: &Values<'_>,
    ) -> Result<Decided, RepoError> {
        let kept = self.resolved.get(three.key);
        if let Some(state) = kept.and_then(|resolved| resolved.state(values)) {
            return Ok(Ok((state, None)));
        }
        let mut conflict = conflict_of(three)?;
        match self.judge.decide(&conflict)? {
            Ok(resolution) => Ok(Ok(state_of(self.judge.repo, resolution, values)?)),
            Err(note) => {
                conflict.note = note;
                Ok(Err(conflict))
            }
        }
    }
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Keys whose value in ours changes.
    pub(crate) merged: Keys,
    /// Conflicts that were decided.
    pub(crate) decided: u64,
    /// Conflicts that were not: the first [`KEYS_LISTED`], and how many.
    pub(crate) open: Vec<MergeConflict>,
    pub(crate) open_count: u64,
    /// What is to be written with new stamps, and the blocks that it needs.
    writes: BTreeMap<Bytes, State>,
    pub(crate) blocks: Vec<Block>,
}

impl Plan {
    pub(crate) fn make(sides: &Sides, terms: &Terms<'_>) -> Result<Self, RepoError> {
        let mut plan = Self::default();
        let mut changes = sides.changes();
        while let Some(three) = changes.next_key()? {
            let values = three.values()?;
            if values.join() {
                plan.joining(sides, terms, &three, &values)?;
                continue;
            }
            let decided;
            let chosen = match values.agreed() {
                Some(state) => Some(state),
                None => {
                    decided = plan.decide(terms, &three, &values)?;
                    decided.as_ref().map(StateRef::from)
                }
            };
            if chosen != Some(values.ours) && terms.staged.get(three.key).is_some() {
                return Err(RepoError::InTheWay {
                    key: three.key.to_vec(),
                });
            }
            let Some(chosen) = chosen else { continue };
            if chosen != values.ours {
                plan.merged.add(three.key);
            }
            if chosen != sides.stands(&three)? {
                let key = Bytes::copy_from_slice(three.key);
                plan.writes.insert(key, chosen.to_state());
            }
        }
        Ok(plan)
    }

    /// A key with a state that joins on some side: a join needs no decision, and what is applied are
    /// operations (REPO-43).
    fn joining(
        &mut self,
        sides: &Sides,
        terms: &Terms<'_>,
        three: &Three<'_>,
        values: &Values<'_>,
    ) -> Result<(), RepoError> {
        let repo = terms.judge.repo;
        let changed = if sides.joins {
            let joined = match (three.ours, three.theirs) {
                (Some(ours), Some(theirs)) => {
                    join_entries(ours, theirs, &|cid| repo.raw(cid))? != Joining::Left
                }
                (ours, theirs) => ours.is_none() && theirs.is_some(),
            };
            joined.then_some(None)
        } else {
            let sides = (values.base, values.theirs, values.ours);
            repo.carried_over(three.key, sides, terms.now_ms)?.map(Some)
        };
        let Some(written) = changed else {
            return Ok(());
        };
        if terms.staged.get(three.key).is_some() {
            return Err(RepoError::InTheWay {
                key: three.key.to_vec(),
            });
        }
        self.merged.add(three.key);
        if let Some((state, block)) = written {
            self.blocks.extend(block);
            self.writes.insert(Bytes::copy_from_slice(three.key), state);
        }
        Ok(())
    }

    fn decide(
        &mut self,
        terms: &Terms<'_>,
        three: &Three<'_>,
        values: &Values<'_>,
    ) -> Result<Option<State>, RepoError> {
        match terms.decide(three, values)? {
            Ok((state, block)) => {
                self.blocks.extend(block);
                self.decided += 1;
                Ok(Some(state))
            }
            Err(conflict) => {
                self.open_count += 1;
                if self.open.len() < KEYS_LISTED {
                    self.open.push(conflict);
                }
                Ok(None)
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// What is to be written, with new stamps, and the newest of these.
    pub(crate) fn entries(&self, repo: &Repo, now_ms: u64) -> (Entries, Stamp) {
        let mut newest = Stamp::default();
        let entries = self.writes.iter().map(|(key, state)| {
            newest = repo.tick(now_ms);
            let state = state.clone();
            let entry = Entry {
                stamp: newest,
                state,
            };
            (key.clone(), entry.encode())
        });
        (entries.collect(), newest)
    }
}

pub(crate) fn conflict_of(three: &Three<'_>) -> Result<MergeConflict, RepoError> {
    let entry = |bytes: Option<&[u8]>| {
        let bytes = bytes.map(Bytes::copy_from_slice);
        bytes.as_ref().map(decode).transpose()
    };
    Ok(MergeConflict {
        key: Bytes::copy_from_slice(three.key),
        base: entry(three.base)?,
        ours: entry(three.ours)?,
        theirs: entry(three.theirs)?,
        note: None,
    })
}

pub(crate) fn state_of(
    repo: &Repo,
    resolution: Resolution,
    values: &Values<'_>,
) -> Result<(State, Option<Block>), RepoError> {
    match resolution {
        Resolution::Ours => Ok((values.ours.to_state(), None)),
        Resolution::Theirs => Ok((values.theirs.to_state(), None)),
        Resolution::Edit(edit) => repo.state_of_edit(edit),
    }
}
