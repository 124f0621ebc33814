//! Letting go of what was computed and is of no more use (PROJ-25).

use std::collections::BTreeSet;

use allod_repo::{Author, BranchName, CommitId};

use crate::definitions::drop_projection;
use crate::error::ViewError;
use crate::memo::Place;
use crate::types::Name;
use crate::views::{Views, lock};

impl Views {
    /// Takes a projection away, with what was computed of it: a commit on `meta`, by the owner.
    pub fn drop_projection(
        &self,
        name: &Name,
        by: (Author<'_>, u64),
    ) -> Result<CommitId, ViewError> {
        let before = self.definitions()?;
        let dropped = drop_projection(self.repo(), name, by)?;
        let Some(projection) = before.projection(name) else {
            return Ok(dropped);
        };
        // It has a name for each definition of its types that ever was in force.
        let mut names = BTreeSet::from([before.resolve(projection).name()]);
        for item in self.repo().log(&self.repo().heads(&BranchName::meta())?)? {
            let types = self.definitions_at(item?.0)?;
            names.insert(types.resolve(projection).name());
        }
        for name in &names {
            self.forget(Place::digest_of(name))?;
        }
        Ok(dropped)
    }

    /// Forgets what belongs to states that no branch and no commit of one has any more. Returns how many
    /// trees that were.
    pub fn forget_unused(&self) -> Result<usize, ViewError> {
        let mut states = BTreeSet::new();
        for (branch, heads) in self.repo().branches()? {
            states.insert(self.repo().state(&branch)?.tree().root());
            for item in self.repo().log(&heads)? {
                states.insert(item?.1.payload().tree);
            }
        }
        let states = states.iter().map(Place::digest_of).collect();
        Ok(lock(&self.inner.memo).keep_states(&**self.repo().store(), &states)?)
    }
}
