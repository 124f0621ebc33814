//! Trees that others make of a state and keep beside its projections (PROJ-24).

use std::collections::BTreeMap;

use allod_tree::Tree;

use crate::error::ViewError;
use crate::memo::Place;
use crate::views::{Snapshot, lock};

impl Snapshot {
    /// The tree that is kept under the digest of a name, of whatever state it was made; none if there is none, or its
    /// blocks are lost.
    pub fn beside(&self, name: [u8; 32]) -> Result<Option<Tree>, ViewError> {
        let latest = lock(&self.views().inner.memo).latest(name);
        match latest {
            Some(latest) => self.kept(&latest),
            None => Ok(None),
        }
    }

    /// Changes the tree that is kept under the digest of a name, and keeps it as that of this state, and of no
    /// other. A key with nothing goes.
    ///
    /// Of two that do so at once, what the one changed may be lost: what is kept here must be right without
    /// it.
    pub fn edit_beside(
        &self,
        name: [u8; 32],
        edits: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Result<(), ViewError> {
        let in_use = self.repo().store().uses().hold();
        let tree = self.beside(name)?.unwrap_or_else(Tree::empty);
        let mut blocks = Vec::new();
        let tree = tree.edit(edits, &mut |block| blocks.push(block))?;
        let place = Place::named(name, &self.view().tree().root());
        {
            let mut memo = lock(&self.views().inner.memo);
            memo.hold(vec![(place, tree)], blocks, in_use);
            memo.keep_only(&place);
        }
        self.views().save()
    }
}
