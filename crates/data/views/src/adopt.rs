//! Trees that somebody else computed, taken after a part of them was checked (PROJ-26, PROJ-27).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use allod_blocks::Cid;
use allod_repo::{Content, RepoError, Span, View};
use allod_tree::{Tree, TreeError};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::definition::{Projection, Shape};
use crate::derive::Resolved;
use crate::entries::{Changes, OTHER, OWN, RECORD, Side};
use crate::error::ViewError;
use crate::memo::{Held, Place};
use crate::query::take_values;
use crate::record::RecordReader;
use crate::types::Name;
use crate::views::{GoOn, Snapshot, Views, lock};

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
    /// of its entries and as many of its records were compared, or all if there are not more. `secret`
    /// chooses which: random, and made after the tree is here. All of the tree is checked to be one.
    /// `go_on` hears of how many were compared.
    ///
    /// Hold the blocks until then (BLOCKS-51).
    ///
    /// # Errors
    /// [`ViewError::OfGroups`]; [`ViewError::Untrue`] if the tree is not what the records make of the
    /// projection; [`ViewError::Incomplete`] if a node of it is not here.
    pub fn adopt(
        &self,
        (name, root): (&Name, Cid),
        (samples, secret): (u64, [u8; 32]),
        go_on: GoOn<'_>,
    ) -> Result<Compared, ViewError> {
        self.may_be_fetched(name)?;
        let projection = self.definition(name)?;
        let in_use = self.repo().store().uses().hold();
        let untrue = |key: &[u8]| ViewError::Untrue {
            name: name.clone(),
            key: key.to_vec(),
        };
        let tree = match self.whole_tree(root) {
            Ok(tree) => tree,
            Err(RepoError::Tree(TreeError::Missing { cid })) => {
                return Err(ViewError::Incomplete {
                    name: name.clone(),
                    node: Box::new(cid),
                });
            }
            Err(RepoError::Tree(
                TreeError::Node { .. } | TreeError::Link { .. } | TreeError::Name { .. },
            )) => return Err(untrue(&[])),
            // Nothing that whoever told of it could help.
            Err(error) => return Err(error.into()),
        };
        let part = Part {
            source: self.source_view(),
            projection: &projection,
            tree: &tree,
            resolved: self.types().resolve(&projection),
        };
        let choice = Choice { samples, secret };
        let compared = part.compare(&choice, go_on, &untrue)?;
        let place = self.place_of(name)?;
        self.views().hold(vec![(place, tree)], Vec::new(), in_use);
        self.views().save()?;
        Ok(compared)
    }

    /// A tree, all of whose nodes are here and as they must be.
    fn whole_tree(&self, root: Cid) -> Result<Tree, RepoError> {
        let empty = Tree::empty();
        if root == empty.root() {
            return Ok(empty);
        }
        let tree = self.repo().tree(root)?;
        tree.verify()?;
        Ok(tree)
    }
}

/// Which are compared.
struct Choice {
    samples: u64,
    secret: [u8; 32],
}

impl Choice {
    /// Places among `count`: all, or some by chance, each drawn by itself, so that whoever knows some of
    /// them knows nothing of the others. `of` tells apart what they are places among.
    fn places(&self, of: u8, count: u64) -> impl Iterator<Item = u64> {
        let are_all = self.samples >= count;
        (0..self.samples.min(count)).map(move |sample| {
            if are_all {
                return sample;
            }
            let digest = Sha256::new()
                .chain_update(self.secret)
                .chain_update(sample.to_be_bytes())
                .chain_update([of])
                .finalize();
            let first = digest.first_chunk().copied().unwrap_or_default();
            // The upper half of the product: each is as likely as another, but for one in 2^64 / count.
            let product = u128::from(u64::from_be_bytes(first)) * u128::from(count);
            u64::try_from(product >> 64).unwrap_or_default()
        })
    }
}

/// A tree beside the records that it should be of.
struct Part<'a> {
    /// The state, without what is staged.
    source: View,
    projection: &'a Projection,
    tree: &'a Tree,
    resolved: Resolved<'a>,
}

type Untrue<'a> = &'a dyn Fn(&[u8]) -> ViewError;

impl Part<'_> {
    fn compare(
        &self,
        choice: &Choice,
        go_on: GoOn<'_>,
        untrue: Untrue<'_>,
    ) -> Result<Compared, ViewError> {
        let mut compared = Compared::default();
        let mut go_on = |compared: &Compared| match go_on(compared.entries + compared.records) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ViewError::Cancelled),
        };
        for place in choice.places(0, self.tree.len()) {
            go_on(&compared)?;
            if let Some((key, value)) = self.tree.nth(place)? {
                self.entry_is_true(&key, &value, untrue)?;
                compared.entries += 1;
            }
        }
        let view = &self.source;
        for (of, (side, prefix, mut reader)) in (1..).zip(self.resolved.sides()) {
            let span = Span::prefix(prefix);
            for place in choice.places(of, view.count(&span)?) {
                go_on(&compared)?;
                let Some((key, entry)) = view.nth(&span, place)? else {
                    continue;
                };
                if let Some(Content::Bytes(bytes)) = view.content(&entry)? {
                    self.record_is_there((side, &mut reader), (&key, &bytes), untrue)?;
                    compared.records += 1;
                }
            }
        }
        Ok(compared)
    }

    /// The entries that a record has.
    fn entries_of(
        &self,
        of: (Side, &mut RecordReader),
        record: (&[u8], &[u8]),
    ) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut changes = Changes::default();
        changes.record(self.projection, of, record, 1);
        let entries = changes.entries.iter();
        let put = entries.filter_map(|(key, value)| Some((key.to_vec(), value?.to_vec())));
        put.collect()
    }

    /// That an entry is of a record, which has it.
    fn entry_is_true(&self, key: &[u8], value: &[u8], untrue: Untrue<'_>) -> Result<(), ViewError> {
        let Some((side, record)) = record_of(&self.projection.shape, key) else {
            return Err(untrue(key));
        };
        let mut sides = self.resolved.sides().into_iter();
        let Some((side, prefix, mut reader)) = sides.find(|(known, _, _)| *known == side) else {
            return Err(untrue(key));
        };
        let content = self.source.tree().get(record)?;
        let content = content
            .filter(|_| record.starts_with(prefix))
            .map(|entry| allod_repo::Entry::decode(&entry))
            .transpose()
            .map_err(|_error| RepoError::Damaged("a stored entry does not decode"))?;
        let content = content.map(|entry| self.source.content(&entry));
        let Some(Content::Bytes(bytes)) = content.transpose()?.flatten() else {
            return Err(untrue(key));
        };
        let entries = self.entries_of((side, &mut reader), (record, &bytes));
        match entries.get(key) {
            Some(known) if known == value => Ok(()),
            _ => Err(untrue(key)),
        }
    }

    /// That the tree has all entries of a record.
    fn record_is_there(
        &self,
        of: (Side, &mut RecordReader),
        (key, bytes): (&Bytes, &Bytes),
        untrue: Untrue<'_>,
    ) -> Result<(), ViewError> {
        for (key, value) in self.entries_of(of, (key, bytes)) {
            if self.tree.get(&key)?.is_none_or(|there| there != value) {
                return Err(untrue(&key));
            }
        }
        Ok(())
    }
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
        // None is taken from others.
        Shape::Group { .. } => None,
    }
}
