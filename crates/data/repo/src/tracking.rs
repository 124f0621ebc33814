//! Tracking branches: what a device last took of the branches of a remote (REPO-80 to REPO-83).
//!
//! They are this device's alone: no branch here moves by them, and nobody is told of them.

use allod_blocks::{Batch, BatchOutcome, Expect};
use bytes::Bytes;

use crate::error::{Refusal, RepoError};
use crate::ids::BranchName;
use crate::layout;
use crate::repo::{BRANCHES_MAX, HEADS_MAX, Heads, Repo, decode_heads, encode_heads};
use crate::write::TRIES;

/// A branch of a remote as it was when it was last fetched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tracking {
    /// What the remote is called here.
    pub remote: String,
    /// The branch there.
    pub branch: BranchName,
    /// Its heads, as far as they were accepted here.
    pub heads: Heads,
}

impl Tracking {
    /// What it is called wherever a commit can be named.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.remote, self.branch)
    }
}

impl Repo {
    /// The tracking branches of a remote, or of all of them, by name.
    pub fn tracking(&self, remote: Option<&str>) -> Result<Vec<Tracking>, RepoError> {
        let all = layout::tracking(self.id());
        let prefix =
            remote.map_or_else(|| all.clone(), |remote| layout::tracked(self.id(), remote));
        let mut tracking = Vec::new();
        let mut after: Option<Bytes> = None;
        loop {
            let page = self
                .store()
                .scan_refs(&prefix, after.as_deref(), BRANCHES_MAX)?;
            let Some((last, _)) = page.last() else {
                return Ok(tracking);
            };
            after = Some(last.clone());
            for (name, value) in &page {
                let name = std::str::from_utf8(name.get(all.len()..).unwrap_or_default()).ok();
                let name = name.and_then(|name| name.split_once('/'));
                let name = name.and_then(|(remote, branch)| Some((remote, branch.parse().ok()?)));
                let (remote, branch) =
                    name.ok_or(RepoError::Damaged("a stored tracking branch is malformed"))?;
                tracking.push(Tracking {
                    remote: remote.to_owned(),
                    branch,
                    heads: decode_heads(value)?,
                });
            }
        }
    }

    /// The heads of the tracking branch that a text names as `remote/branch`; none if it names none.
    pub fn tracked_as(&self, text: &str) -> Result<Heads, RepoError> {
        let Some((remote, Ok(branch))) = text
            .split_once('/')
            .map(|(remote, branch)| (remote, branch.parse::<BranchName>()))
        else {
            return Ok(Heads::new());
        };
        let name = layout::tracking_branch(self.id(), remote, &branch);
        let stored = self.store().get_ref(&name)?;
        Ok(stored
            .as_ref()
            .map(decode_heads)
            .transpose()?
            .unwrap_or_default())
    }

    /// Notes where branches of a remote stand; none of the heads for one that is forgotten. All heads are
    /// commits here.
    ///
    /// # Errors
    /// [`RepoError::NoCommit`], also of a commit that was removed meanwhile.
    pub fn track(&self, remote: &str, branches: &[(BranchName, Heads)]) -> Result<(), RepoError> {
        let _hold = self.store().uses().hold();
        for _ in 0..TRIES {
            let mut batch = Batch::new();
            let (mut fresh, mut forgotten) = (0, 0);
            for (branch, heads) in branches {
                if heads.len() > HEADS_MAX {
                    return Err(Refusal::TooManyHeads.into());
                }
                for head in heads {
                    self.commit(*head)?;
                    self.rely_on(*head, &mut batch)?;
                }
                let name = layout::tracking_branch(self.id(), remote, branch);
                let before = self.store().get_ref(&name)?;
                fresh += usize::from(before.is_none() && !heads.is_empty());
                forgotten += usize::from(before.is_some() && heads.is_empty());
                let value = (!heads.is_empty())
                    .then(|| encode_heads(heads))
                    .transpose()?;
                batch.set_ref(name, Expect::read(before), value);
            }
            // Renamed and fetched again, a remote that deletes and makes branches would fill the store.
            if fresh > forgotten {
                let known = self.tracking(Some(remote))?.len();
                if known + fresh > BRANCHES_MAX + forgotten {
                    return Err(Refusal::TooManyBranches.into());
                }
            }
            if let BatchOutcome::Done { .. } = self.store().commit(batch)? {
                return Ok(());
            }
        }
        Err(RepoError::Contended(BranchName::main()))
    }

    /// Gives the tracking branches of a remote to another name of it, or forgets them.
    pub fn rename_tracking(&self, remote: &str, to: Option<&str>) -> Result<(), RepoError> {
        if Some(remote) == to {
            return Ok(());
        }
        for _ in 0..TRIES {
            let mut batch = Batch::new();
            for tracking in self.tracking(Some(remote))? {
                // What a fetch moves or forgets meanwhile is neither lost nor brought back (REPO-66).
                let heads = Bytes::from(encode_heads(&tracking.heads)?);
                let before = layout::tracking_branch(self.id(), remote, &tracking.branch);
                batch.set_ref(before, Expect::Value(heads.clone()), None::<Bytes>);
                if let Some(to) = to {
                    let name = layout::tracking_branch(self.id(), to, &tracking.branch);
                    batch.set_ref(name, Expect::Any, Some(heads));
                }
            }
            if let BatchOutcome::Done { .. } = self.store().commit(batch)? {
                return Ok(());
            }
        }
        Err(RepoError::Contended(BranchName::main()))
    }
}
