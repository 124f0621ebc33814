//! Trees that somebody else computed, taken after a part of them was checked (PROJ-26, PROJ-27).

use std::collections::BTreeMap;

use allod_blocks::Cid;
use allod_repo::{Content, RepoError, Span};
use allod_tree::Tree;
use bytes::Bytes;

use crate::definition::{Projection, Shape};
use crate::derive::Resolved;
use crate::entries::{Changes, EXTREME, GROUP, OTHER, OWN, RECORD, Side};
use crate::error::ViewError;
use crate::memo::{Held, Place};
use crate::query::take_values;
use crate::record::RecordReader;
use crate::types::Name;
use crate::views::{GoOn, Snapshot, Views, lock};

/// Multiplied with a number, spreads it: the golden ratio of 2^64 (Knuth, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// How much of a tree was compared with the records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Compared {
    /// Entries of the tree, looked for in the records.
    pub entries: u64,
    /// Records, whose entries were looked for in the tree.
    pub records: u64,
}

impl Views {
    /// The root of the tree that is stored of a projection, by its name (PROJ-10) and the root of the
    /// state.
    #[must_use]
    pub fn stored_root(&self, name: &Cid, state: &Cid) -> Option<Cid> {
        match lock(&self.inner.memo).get(&Place::new(name, state)) {
            Some(Held::Saved(root)) => Some(root),
            Some(Held::Unsaved(_)) | None => None,
        }
    }
}

impl Snapshot {
    /// The name of a projection under the types of this state (PROJ-10).
    pub fn name_of(&self, name: &Name) -> Result<Cid, ViewError> {
        let projection = self.definition(name)?;
        Ok(self.types().resolve(&projection).name())
    }

    /// Keeps a tree, whose blocks are in the store, as that of a projection of this state, after `samples`
    /// of its entries and as many of its records were compared; `seed` chooses which. All of the tree is
    /// checked to be one.
    ///
    /// Hold the blocks until then (BLOCKS-51).
    ///
    /// # Errors
    /// [`ViewError::Untrue`] if the tree is not what the records make of the projection.
    pub fn adopt(
        &self,
        name: &Name,
        root: Cid,
        (samples, seed): (u64, u64),
        go_on: GoOn<'_>,
    ) -> Result<Compared, ViewError> {
        let projection = self.definition(name)?;
        let in_use = self.repo().store().uses().hold();
        let untrue = |key: &[u8]| ViewError::Untrue {
            name: name.clone(),
            key: key.to_vec(),
        };
        let tree = self.open(root)?.ok_or_else(|| untrue(&[]))?;
        if tree.verify().is_err() {
            return Err(untrue(&[]));
        }
        let part = Part {
            snapshot: self,
            projection: &projection,
            tree: &tree,
            resolved: self.types().resolve(&projection),
        };
        let compared = part.compare((samples, seed), go_on, &untrue)?;
        let place = self.place_of(name)?;
        self.views().hold(vec![(place, tree)], Vec::new(), in_use);
        self.views().save()?;
        Ok(compared)
    }
}

/// A tree beside the records that it should be of.
struct Part<'a> {
    snapshot: &'a Snapshot,
    projection: &'a Projection,
    tree: &'a Tree,
    resolved: Resolved<'a>,
}

type Untrue<'a> = &'a dyn Fn(&[u8]) -> ViewError;

impl Part<'_> {
    fn compare(
        &self,
        (samples, seed): (u64, u64),
        go_on: GoOn<'_>,
        untrue: Untrue<'_>,
    ) -> Result<Compared, ViewError> {
        let mut compared = Compared::default();
        for sample in 0..samples {
            if go_on(sample).is_break() {
                return Err(ViewError::Cancelled);
            }
            let chance = sample.wrapping_add(seed).wrapping_mul(SPREAD);
            if let Some((key, value)) = self.tree.nth(rank(chance, self.tree.len()))? {
                compared.entries += u64::from(self.entry_is_true(&key, &value, untrue)?);
            }
            for (side, prefix, reader) in self.resolved.sides() {
                let span = Span::prefix(prefix);
                let view = self.snapshot.view();
                let count = view.count(&span)?;
                let Some((key, entry)) = view.nth(&span, rank(chance, count))? else {
                    continue;
                };
                if let Some(Content::Bytes(bytes)) = view.content(&entry)? {
                    self.record_is_there(side, reader, (&key, &bytes), untrue)?;
                    compared.records += 1;
                }
            }
        }
        Ok(compared)
    }

    /// The entries that a record has, but for what a group has of all its records.
    fn entries_of(
        &self,
        (side, mut reader): (Side, RecordReader),
        record: (&[u8], &[u8]),
    ) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut changes = Changes::default();
        changes.record(self.projection, (side, &mut reader), record, 1);
        let entries = changes.entries.iter();
        let put = entries.filter_map(|(key, value)| Some((key.to_vec(), value?.to_vec())));
        let mut all: BTreeMap<Vec<u8>, Vec<u8>> = put.collect();
        let groups = changes.groups.into_keys();
        all.extend(groups.map(|group| (crate::entries::group_key(&group), Vec::new())));
        all
    }

    /// Whether an entry is of one record, which has it then.
    fn entry_is_true(
        &self,
        key: &[u8],
        value: &[u8],
        untrue: Untrue<'_>,
    ) -> Result<bool, ViewError> {
        let Some((side, record)) = record_of(&self.projection.shape, key) else {
            // What a group has of all its records. Anything else is no entry at all.
            let is_total = matches!(self.projection.shape, Shape::Group { .. });
            return match key.first() {
                Some(&GROUP) if is_total => Ok(false),
                _ => Err(untrue(key)),
            };
        };
        let mut sides = self.resolved.sides().into_iter();
        let Some((side, prefix, reader)) = sides.find(|(known, _, _)| *known == side) else {
            return Err(untrue(key));
        };
        let content = self.snapshot.view().tree().get(record)?;
        let content = content
            .filter(|_| record.starts_with(prefix))
            .map(|entry| allod_repo::Entry::decode(&entry))
            .transpose()
            .map_err(|_error| RepoError::Damaged("a stored entry does not decode"))?;
        let content = content.map(|entry| self.snapshot.view().content(&entry));
        let Some(Content::Bytes(bytes)) = content.transpose()?.flatten() else {
            return Err(untrue(key));
        };
        let entries = self.entries_of((side, reader), (record, &bytes));
        match entries.get(key) {
            Some(known) if known == value => Ok(true),
            _ => Err(untrue(key)),
        }
    }

    /// That the tree has all entries of a record.
    fn record_is_there(
        &self,
        side: Side,
        reader: RecordReader,
        record: (&Bytes, &Bytes),
        untrue: Untrue<'_>,
    ) -> Result<(), ViewError> {
        let (key, bytes) = record;
        for (key, value) in self.entries_of((side, reader), (key, bytes)) {
            let there = self.tree.get(&key)?;
            let is_total =
                key.first() == Some(&GROUP) && matches!(self.projection.shape, Shape::Group { .. });
            if there.is_none_or(|there| there != value && !is_total) {
                return Err(untrue(&key));
            }
        }
        Ok(())
    }
}

/// A number below `count`, by chance.
fn rank(chance: u64, count: u64) -> u64 {
    // The upper half of the product: each number is as likely as another, but for one in 2^64 / count.
    let product = u128::from(chance) * u128::from(count);
    u64::try_from(product >> 64).unwrap_or_default()
}

/// The record that an entry is of, if it is of one.
fn record_of<'a>(shape: &Shape, key: &'a [u8]) -> Option<(Side, &'a [u8])> {
    let behind = |key: &'a [u8], values: usize| {
        let (_, rest) = take_values(key, values).ok()?;
        rest.strip_prefix(&[RECORD])
    };
    match shape {
        Shape::Index { by, .. } => Some((Side::Own, behind(key, by.len())?)),
        Shape::Words { .. } => Some((Side::Own, behind(key, 1)?)),
        Shape::Join { .. } => match behind(key, 1)?.split_first()? {
            (&OWN, record) => Some((Side::Own, record)),
            (&OTHER, record) => Some((Side::Other, record)),
            _ => None,
        },
        Shape::Group { by, .. } => {
            let (_, rest) = take_values(key.strip_prefix(&[EXTREME])?, by.len()).ok()?;
            let (_place, rest) = rest.split_first()?;
            Some((Side::Own, behind(rest, 1)?))
        }
    }
}
