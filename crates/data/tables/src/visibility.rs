//! Which rows a reader sees (TAB-9).

use std::fmt;
use std::sync::Arc;

use allod_repo::{BranchName, CommitId};
use allod_sql::{At, TableError};

/// Decides, key by key, what a reader sees: asked before a row is given, by every table.
pub trait Visibility: Send + Sync + fmt::Debug {
    /// Whether the reader sees what is under this key.
    fn sees(&self, key: &[u8]) -> bool;

    /// Whether it sees everything. Who does not is given no totals and no words: they tell of rows that
    /// it does not see.
    fn sees_all(&self) -> bool {
        false
    }

    /// What the reader sees of another state than the own one; `None` if that is what it sees of the own one.
    ///
    /// # Errors
    /// [`TableError::State`] if it sees nothing of it.
    fn elsewhere(&self, _at: &At) -> Result<Option<Arc<dyn Visibility>>, TableError> {
        Ok(None)
    }

    /// Whether it hears that there is a branch.
    fn sees_branch(&self, _branch: &BranchName) -> bool {
        self.sees_all()
    }

    /// Whether it hears that there is a commit.
    fn sees_commit(&self, _commit: CommitId) -> bool {
        self.sees_all()
    }
}

/// What two readers both see.
#[derive(Debug)]
pub(crate) struct Both(pub(crate) [Arc<dyn Visibility>; 2]);

impl Visibility for Both {
    fn sees(&self, key: &[u8]) -> bool {
        self.0.iter().all(|one| one.sees(key))
    }

    fn sees_all(&self) -> bool {
        self.0.iter().all(|one| one.sees_all())
    }
}

/// The owner of the store: everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Visibility for Everything {
    fn sees(&self, _key: &[u8]) -> bool {
        true
    }

    fn sees_all(&self) -> bool {
        true
    }
}
