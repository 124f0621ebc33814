//! Letting go of what was computed and is of no more use (PROJ-25).

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_repo::{Author, BranchName, CommitId, RepoError};

use crate::definition::Projection;
use crate::definitions::{Definitions, drop_projection_definition};
use crate::error::ViewError;
use crate::guard::unique_indexes;
use crate::memo::Place;
use crate::types::Name;
use crate::views::{Views, lock};

impl Views {
    /// Takes a projection away, with what was computed of it: a commit on `meta`, by the owner. What another
    /// projection or a unique field has in common with it stays.
    pub fn drop_projection(
        &self,
        name: &Name,
        by: (Author<'_>, u64),
    ) -> Result<CommitId, ViewError> {
        let before = self.definitions()?;
        let dropped = drop_projection_definition(self.repo(), name, by)?;
        let Some(projection) = before.projection(name) else {
            return Ok(dropped);
        };
        // It has a name for each definition of its types that ever was in force.
        let mut names = BTreeSet::from([Place::digest_of(&before.resolve(projection).name())]);
        let mut others = BTreeSet::new();
        let now = self.definitions()?;
        self.each_definitions(&mut |types| {
            names.insert(Place::digest_of(&types.resolve(projection).name()));
            add_names(&now, types, &mut others)
        })?;
        for name in names.difference(&others) {
            self.forget(*name)?;
        }
        Ok(dropped)
    }

    /// Forgets what belongs to states that no branch and no commit of one has any more, what is of no
    /// projection and no unique field, and all that is kept beside projections. Returns how many trees that
    /// were.
    pub fn forget_unused(&self) -> Result<usize, ViewError> {
        let mut states = self.head_states()?;
        for (_, heads) in self.repo().branches()? {
            for item in self.repo().log(&heads)? {
                let (id, _) = item?;
                // Of a part of a space some states are not here.
                if self.repo().is_held(id)? {
                    states.insert(Place::digest_of(&self.repo().state_root(id)?));
                }
            }
        }
        let mut names = BTreeSet::new();
        let now = self.definitions()?;
        self.each_definitions(&mut |types| add_names(&now, types, &mut names))?;
        let store = &**self.repo().store();
        // It has no other bounds than that of its states, and whoever reads leaves fills it again.
        let beside = lock(&self.inner.beside).forget(store, None)?;
        Ok(beside + lock(&self.inner.memo).keep(store, (&names, &states))?)
    }

    /// The states of all branches, as digests of their roots.
    pub(crate) fn head_states(&self) -> Result<BTreeSet<[u8; 32]>, RepoError> {
        let mut states = BTreeSet::new();
        for (_, heads) in self.repo().branches()? {
            let root = match heads.first().filter(|_| heads.len() == 1) {
                Some(head) => self.repo().state_root(*head)?,
                None => self.repo().together(&heads)?.tree().root(),
            };
            states.insert(Place::digest_of(&root));
        }
        Ok(states)
    }

    /// Tells of all definitions that `meta` ever had; of none first, which commits have that were made
    /// before the first.
    fn each_definitions(
        &self,
        each: &mut dyn FnMut(&Definitions) -> Result<(), ViewError>,
    ) -> Result<(), ViewError> {
        each(&Definitions::default())?;
        let mut seen = BTreeSet::new();
        let mut tell = |root, types: &mut dyn FnMut() -> Result<Arc<Definitions>, ViewError>| {
            if seen.insert(root) {
                each(&*types()?)?;
            }
            Ok::<(), ViewError>(())
        };
        let heads = self.repo().heads(&BranchName::meta())?;
        let now = self.repo().together(&heads)?.tree().root();
        tell(now, &mut || self.definitions())?;
        for item in self.repo().log(&heads)? {
            let (id, commit) = item?;
            tell(commit.payload().tree, &mut || self.definitions_at(id))?;
        }
        Ok(())
    }
}

/// Adds the names that the projections of now, and the unique fields of types, have under these types.
fn add_names(
    now: &Definitions,
    types: &Definitions,
    names: &mut BTreeSet<[u8; 32]>,
) -> Result<(), ViewError> {
    let name_of = |projection: &Projection| Place::digest_of(&types.resolve(projection).name());
    for (_, projection) in now.projections() {
        names.insert(name_of(projection));
    }
    for (name, kind) in types.types() {
        for index in unique_indexes(name, kind) {
            let (_, index) = index?;
            names.insert(name_of(&index));
        }
    }
    Ok(())
}
