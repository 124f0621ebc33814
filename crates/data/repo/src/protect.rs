//! Protected branches: they only go forward, and have one head (REPO-90 to REPO-93).

use crate::error::{Refusal, RepoError};
use crate::ids::{BranchName, CommitId};
use crate::repo::{Author, Heads, Repo};
use crate::view::{Content, Span};

/// What the keys of protections in `meta` begin with; the name of the branch follows.
const PREFIX: &str = "protect/";

/// The value of such a key.
const FORWARD: &[u8] = b"forward";

/// How often a change of `meta` is tried again that another one overtook.
const RETRIES: u32 = 16;

impl Repo {
    /// Protects a branch, or lets it go, for everybody: a commit on `meta`, by the owner of the space. `None`
    /// if it is so already. What the branch has stays.
    ///
    /// Fails with [`Refusal::NotOwner`], and for `meta` with [`RepoError::BranchKept`].
    pub fn protect(
        &self,
        branch: &BranchName,
        protected: bool,
        owner: Author<'_>,
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        if branch.is_meta() {
            return Err(RepoError::BranchKept(branch.clone()));
        }
        if self.is_protected(branch)? == protected {
            return Ok(None);
        }
        let said = if protected {
            format!("Protect the branch {branch}")
        } else {
            format!("Protect the branch {branch} no longer")
        };
        let key = key(branch);
        let made = self.transact(&BranchName::meta(), owner, &said, (RETRIES, now_ms), |tx| {
            if protected {
                tx.put(key.clone(), FORWARD)
            } else {
                tx.delete(key.clone())
            }
        });
        Ok(Some(made?.0))
    }

    /// Whether a branch is protected, by the `meta` that is here.
    pub fn is_protected(&self, branch: &BranchName) -> Result<bool, RepoError> {
        if branch.is_meta() {
            return Ok(false);
        }
        let meta = self.state(&BranchName::meta())?;
        // By its entry: what a move looks up is no read that somebody asked for, and is not timed as one.
        let entry = meta.entry(key(branch).as_bytes())?;
        let value = entry.map(|entry| meta.content(&entry)).transpose()?;
        let value = value.flatten();
        Ok(is_forward(value.as_ref()))
    }

    /// The branches that are protected, whether they are here or not.
    pub fn protected(&self) -> Result<Vec<BranchName>, RepoError> {
        let meta = self.state(&BranchName::meta())?;
        let mut protected = Vec::new();
        for item in meta.range(&Span::prefix(PREFIX.as_bytes()), false) {
            let (key, entry) = item?;
            let name = std::str::from_utf8(&key[PREFIX.len()..]).ok();
            if is_forward(meta.content(&entry)?.as_ref()) {
                protected.extend(name.and_then(|name| name.parse::<BranchName>().ok()));
            }
        }
        Ok(protected)
    }

    /// Refuses a move of a protected branch that is none forward (REPO-91). A head of `next` that is not
    /// stored yet is one that is made over all its parents.
    pub(crate) fn check_forward(
        &self,
        branch: &BranchName,
        heads: &Heads,
        next: &Heads,
    ) -> Result<(), RepoError> {
        // Most moves are from one head to one that is being made; what it costs is this look at meta.
        if heads == next || !self.is_protected(branch)? {
            return Ok(());
        }
        let mut ids = next.iter();
        let is_forward = match (ids.next(), ids.next()) {
            (Some(head), None) => !self.has_commit(*head)? || self.has_all(next, heads)?,
            _ => false,
        };
        if is_forward {
            Ok(())
        } else {
            Err(Refusal::Protected.into())
        }
    }
}

fn key(branch: &BranchName) -> String {
    format!("{PREFIX}{branch}")
}

fn is_forward(value: Option<&Content>) -> bool {
    matches!(value, Some(Content::Bytes(value)) if *value == FORWARD)
}
