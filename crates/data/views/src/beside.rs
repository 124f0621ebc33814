//! Trees that others make of a state and keep beside its projections (PROJ-24).

use std::collections::BTreeMap;

use allod_blocks::Block;
use allod_tree::Tree;

use crate::error::ViewError;
use crate::memo::Place;
use crate::views::{Snapshot, lock, lost_is_none};

/// What a tree gets: the digest of its name, and entries.
pub type BesidePart = ([u8; 32], BTreeMap<Vec<u8>, Vec<u8>>);

/// Bytes that are taken over from a tree of which blocks are lost: they are in memory at one time.
const RESCUED_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Snapshot {
    /// The tree that is kept under the digest of a name: that of this state, or else the latest of
    /// whatever state. None if there is none, or its blocks are lost.
    pub fn beside(&self, name: [u8; 32]) -> Result<Option<Tree>, ViewError> {
        let held = {
            let memo = lock(&self.views().inner.beside);
            let own = memo.get(&Place::named(name, &self.view().tree().root()));
            own.or_else(|| memo.get(&memo.latest(name)?))
        };
        self.held(held)
    }

    /// Adds entries to trees that are kept beside projections, all at once, and keeps each as that of this
    /// state. Of what such a tree has already, what `stays` says no to goes, asked with its value, and what
    /// cannot be read. Of each name the trees of states stay that a branch has; if none has this one,
    /// nothing is kept. Whether something was.
    ///
    /// Of two that do so at once, what the one added may be lost: what is kept here must be right without
    /// it.
    pub fn put_beside(
        &self,
        parts: &[BesidePart],
        stays: &dyn Fn(&[u8]) -> bool,
    ) -> Result<bool, ViewError> {
        let states = self.views().head_states()?;
        let root = self.view().tree().root();
        if !states.contains(&Place::digest_of(&root)) {
            return Ok(false);
        }
        let store = &**self.repo().store();
        let in_use = store.uses().hold();
        let (mut trees, mut blocks) = (Vec::new(), Vec::new());
        for (name, entries) in parts {
            let mut made = Vec::new();
            let tree = match self.beside(*name)? {
                Some(before) => lost_is_none(renewed(&before, entries, stays, &mut made))?,
                None => None,
            };
            let tree = match tree {
                Some(tree) => tree,
                None => {
                    made.clear();
                    let mut all = match self.beside(*name)? {
                        Some(before) => rescued(&before, stays),
                        None => BTreeMap::new(),
                    };
                    all.extend(entries.clone());
                    Tree::build(&all, &mut |block| made.push(block))?
                }
            };
            trees.push((Place::named(*name, &root), tree));
            blocks.append(&mut made);
        }
        let saved = {
            let mut memo = lock(&self.views().inner.beside);
            memo.hold(trees, blocks, in_use);
            for (name, _) in parts {
                memo.keep_only(*name, &states);
            }
            memo.save(store)?
        };
        for tree in &saved {
            self.repo().keep_tree(tree);
        }
        Ok(true)
    }
}

/// What can be read of a tree of which blocks are lost, from its first entry on.
fn rescued(before: &Tree, stays: &dyn Fn(&[u8]) -> bool) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut bytes = 0;
    let readable = before.iter().map_while(Result::ok);
    let readable = readable.filter(|(_, value)| stays(value));
    let readable = readable.take_while(|(key, value)| {
        bytes += key.len() + value.len();
        bytes <= RESCUED_BYTES_MAX
    });
    let readable = readable.map(|(key, value)| (key.to_vec(), value.to_vec()));
    readable.collect()
}

/// A tree with more entries, and without what does not stay.
fn renewed(
    before: &Tree,
    entries: &BTreeMap<Vec<u8>, Vec<u8>>,
    stays: &dyn Fn(&[u8]) -> bool,
    made: &mut Vec<Block>,
) -> Result<Option<Tree>, ViewError> {
    let mut edits: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
    let mut gone = Vec::new();
    for entry in before {
        let (key, value) = entry?;
        if !stays(&value) {
            gone.push(key);
        }
    }
    edits.extend(gone.iter().map(|key| (&key[..], None)));
    edits.extend(
        entries
            .iter()
            .map(|(key, value)| (&key[..], Some(&value[..]))),
    );
    let tree = before.edit(edits, &mut |block| made.push(block))?;
    Ok(Some(tree))
}
