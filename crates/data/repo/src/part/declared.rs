//! Parts of branches that `meta` declares, so that they can be had alone (PART-20).

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::Cid;
use allod_identity::{Verified, canonical};
use bytes::Bytes;

use crate::entry::VALUE_INLINE_BYTES_MAX;
use crate::error::RepoError;
use crate::ids::{BranchName, CommitId};
use crate::part::PREFIX_BYTES_MAX;
use crate::repo::{Author, Repo, lock};
use crate::statements::Commit;
use crate::view::{Content, Span, View};

/// In `meta`, before a prefix, the key that declares it.
const DECLARES: &[u8] = b"part/";

/// Parts that are declared in a state of `meta`, at most: one for each member of a large space.
pub(crate) const DECLARED_MAX: usize = 1024;

/// Branches of a declared part, at most: what people name by hand.
pub(crate) const BRANCHES_OF_PART_MAX: usize = 16;

/// States of `meta` whose parts are kept at hand.
const STATES: usize = 64;

/// How often a change of `meta` is tried beside others.
const TRIES: u32 = 16;

/// The parts that a state of `meta` declares: their prefixes, with their branches.
pub type DeclaredParts = BTreeMap<Bytes, Vec<BranchName>>;

/// The same, by the root of the state.
pub(crate) type KnownParts = BTreeMap<Cid, Arc<DeclaredParts>>;

impl Repo {
    /// The parts that are declared now.
    pub fn declared_parts(&self) -> Result<Arc<DeclaredParts>, RepoError> {
        let meta = self.state(&BranchName::meta())?;
        self.declared_in(&meta)
    }

    /// The prefixes that a commit of `meta` declares for a branch, ascending.
    pub(crate) fn declared_by(
        &self,
        policy: Option<CommitId>,
        branch: &BranchName,
    ) -> Result<Vec<Bytes>, RepoError> {
        let Some(policy) = policy else {
            return Ok(Vec::new());
        };
        let commit = match self.commit(policy) {
            // Of the owner's commits nobody asks for it (REPO-113).
            Err(RepoError::NoCommit(_)) => return Ok(Vec::new()),
            commit => commit?,
        };
        let said = commit.payload();
        if !said.branch.is_meta() {
            return Ok(Vec::new());
        }
        let declared = match self.known_parts(&said.tree) {
            Some(known) => known,
            None => self.declared_in(&self.at(policy)?)?,
        };
        let of_branch = declared.iter().filter(|(_, of)| of.contains(branch));
        Ok(of_branch.map(|(prefix, _)| prefix.clone()).collect())
    }

    fn known_parts(&self, root: &Cid) -> Option<Arc<DeclaredParts>> {
        lock(&self.inner.declared).get(root).cloned()
    }

    fn declared_in(&self, meta: &View) -> Result<Arc<DeclaredParts>, RepoError> {
        let root = meta.tree().root();
        if let Some(known) = self.known_parts(&root) {
            return Ok(known);
        }
        let mut parts = DeclaredParts::new();
        for item in meta.range(&Span::prefix(DECLARES), false) {
            let (key, entry) = item?;
            let prefix = key.slice(DECLARES.len()..);
            let Some(Content::Bytes(value)) = meta.content(&entry)? else {
                continue;
            };
            if let (true, Some(branches)) = (is_prefix(&prefix), branches_of(&value)) {
                parts.insert(prefix, branches);
            }
            if parts.len() == DECLARED_MAX {
                break;
            }
        }
        let parts = Arc::new(parts);
        let mut known = lock(&self.inner.declared);
        if known.len() >= STATES {
            known.clear();
        }
        known.insert(root, Arc::clone(&parts));
        Ok(parts)
    }

    /// Declares a part of some branches, or of none any more; who administers the space may. `None` if it is so already.
    ///
    /// # Errors
    /// [`RepoError::TooMany`] for more parts than a space declares, or more branches than a part has;
    /// [`RepoError::BadPart`] for no prefix that a part has.
    pub fn declare_part(
        &self,
        prefix: &[u8],
        branches: &[BranchName],
        author: Author<'_>,
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        let mut branches = branches.to_vec();
        branches.sort();
        branches.dedup();
        let declared = self.declared_parts()?;
        let there = declared.get(prefix).cloned().unwrap_or_default();
        if there == branches {
            return Ok(None);
        }
        if !is_prefix(prefix) || branches.iter().any(BranchName::is_meta) {
            return Err(RepoError::BadPart);
        }
        let is_new = there.is_empty();
        let too_many = [
            (
                "parts are declared",
                DECLARED_MAX,
                declared.len() + usize::from(is_new),
            ),
            ("branches of a part", BRANCHES_OF_PART_MAX, branches.len()),
        ];
        if let Some((what, limit, _)) = too_many.into_iter().find(|(_, limit, got)| got > limit) {
            return Err(RepoError::TooMany { what, limit });
        }
        let key = [DECLARES, prefix].concat();
        let value = canonical::encode(&branches)
            .map_err(|_error| RepoError::Damaged("the branches of a part do not encode"))?;
        let shown = prefix.escape_ascii();
        let message = if branches.is_empty() {
            format!("Declare the part {shown} no more")
        } else {
            format!("Declare the part {shown}")
        };
        let meta = BranchName::meta();
        let made = self.transact(&meta, author, &message, (TRIES, now_ms), |tx| {
            if branches.is_empty() {
                tx.delete(key.clone())
            } else {
                tx.put(key.clone(), value.clone())
            }
        });
        Ok(Some(made?.0))
    }

    /// Commits on top of a branch, so that a commit of it signs what is declared now; who joins has that then, and not first
    /// with the next change. `None` if its heads do so, or a part of it alone is here.
    ///
    /// # Errors
    /// Those of a commit by `author`.
    pub fn sign_parts(
        &self,
        branch: &BranchName,
        author: Author<'_>,
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        if self.part_of(branch).is_some() {
            return Ok(None);
        }
        let meta = self.heads(&BranchName::meta())?;
        let needs = |commit: &Verified<Commit>| {
            let policy = commit.payload().policy;
            policy.is_none_or(|policy| !meta.contains(&policy))
        };
        self.vouch(branch, &needs, (author, "Sign the declared parts"), now_ms)
    }
}

fn is_prefix(prefix: &[u8]) -> bool {
    (1..=PREFIX_BYTES_MAX).contains(&prefix.len())
}

/// The branches of a declared part, if the value is a list of such.
fn branches_of(value: &[u8]) -> Option<Vec<BranchName>> {
    let branches: Vec<BranchName> = canonical::decode(value, VALUE_MAX).ok()?;
    let is_ascending = branches.windows(2).all(|pair| pair[0] < pair[1]);
    let fits = (1..=BRANCHES_OF_PART_MAX).contains(&branches.len());
    let is_list = fits && is_ascending && !branches.iter().any(BranchName::is_meta);
    is_list.then_some(branches)
}

/// Bytes of such a list, at most: of longer ones none has no more than 16 branches.
const VALUE_MAX: usize = 4 * VALUE_INLINE_BYTES_MAX;
