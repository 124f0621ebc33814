//! What a join put aside (REPO-9): recorded, readable, never silent.

use std::collections::BTreeMap;

use allod_blocks::{Batch, Cid, Codec, Expect, REF_VALUE_BYTES_MAX, sha256_cid};
use allod_identity::canonical;
use allod_tree::{Tree, TreeError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::accept::RECENT;
use crate::entry::Entry;
use crate::error::RepoError;
use crate::history::{Paint, first};
use crate::ids::{BranchName, CommitId};
use crate::joining::{Joining, Made, are_both_kept, few_changes, join_entries};
use crate::layout;
use crate::repo::{Heads, Repo, lock};
use crate::threeway::{Three, ThreeWay, value_of};
use crate::view::decode;

/// Conflicts recorded for one meeting of heads; beyond that the history still has them all.
const RECORDED_MAX: usize = 10_000;

/// A key that was changed on two sides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// The key.
    pub key: Bytes,
    /// The entry that the join keeps.
    pub kept: Entry,
    /// The entry that it put aside.
    pub aside: Entry,
    /// The commit whose arrival made the two meet.
    pub met: CommitId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(with = "serde_bytes")]
    aside: Vec<u8>,
    #[serde(with = "serde_bytes")]
    kept: Vec<u8>,
    met: CommitId,
}

impl Repo {
    /// At most `limit` recorded conflicts of a branch, in key order.
    pub fn conflicts(&self, branch: &BranchName, limit: usize) -> Result<Vec<Conflict>, RepoError> {
        let prefix = layout::clashes(self.inner.id, branch);
        let page = self.inner.store.scan_refs(&prefix, None, limit)?;
        page.iter()
            .map(|(name, value)| {
                let damaged = || RepoError::Damaged("a conflict record does not decode");
                let record: Record =
                    canonical::decode(value, REF_VALUE_BYTES_MAX).map_err(|_error| damaged())?;
                let end = name.len().checked_sub(33).ok_or_else(damaged)?;
                Ok(Conflict {
                    key: name.slice(prefix.len()..end),
                    kept: decode(&record.kept.into())?,
                    aside: decode(&record.aside.into())?,
                    met: record.met,
                })
            })
            .collect()
    }
}

/// Adds to `batch` what `met` and each of `new` changed differently, of those that join a branch one after the other.
pub(crate) fn record_each(
    repo: &Repo,
    branch: &BranchName,
    met: &Heads,
    new: &[CommitId],
    batch: &mut Batch,
) -> Result<(), RepoError> {
    let mut met = met.clone();
    let clashing = may_clash(repo, &met, new)?;
    for commit in new {
        let is_clear = clashing
            .as_ref()
            .is_some_and(|clashing| !clashing.contains(commit));
        if !met.is_empty() && !is_clear {
            record(repo, branch, &met, *commit, batch)?;
        }
        met.insert(*commit);
    }
    Ok(())
}

/// Those of `new` that have changed a key which those before them have changed without them; `None` if what each
/// commit changed is not at hand. Where many write most have not, and one walk tells it of all of them.
fn may_clash(repo: &Repo, met: &Heads, new: &[CommitId]) -> Result<Option<Heads>, RepoError> {
    if repo.part().is_some() || met.len() + new.len() < 2 {
        return Ok(None);
    }
    let heads: Vec<CommitId> = met.iter().chain(new).copied().collect();
    let Some(apart) = repo.apart(&heads, RECENT)? else {
        return Ok(None);
    };
    let ids = apart.iter().map(|(id, _)| *id);
    let Some(changed) = lock(&repo.inner.changes).of_all(ids) else {
        return Ok(None);
    };
    let mut by_key: BTreeMap<&Bytes, Vec<Paint>> = BTreeMap::new();
    for (changes, (_, reaching)) in changed.iter().zip(&apart) {
        for key in changes.keys() {
            by_key.entry(key).or_default().push(*reaching);
        }
    }
    by_key.retain(|_key, reaching| reaching.len() > 1);
    let mut clashing = Heads::new();
    let mut before = first(met.len());
    for (place, id) in (met.len()..).zip(new) {
        let own: Paint = 1 << place;
        let is_left = |by: &Paint| by & before != 0 && by & own == 0;
        let is_right = |by: &Paint| by & own != 0 && by & before == 0;
        let mut keys = by_key.values();
        if keys.any(|by| by.iter().any(is_left) && by.iter().any(is_right)) {
            clashing.insert(*id);
        }
        before |= own;
    }
    Ok(Some(clashing))
}

/// Adds to `batch` a record for each key that `others` and `commit` changed differently since
/// their merge bases.
fn record(
    repo: &Repo,
    branch: &BranchName,
    others: &Heads,
    commit: CommitId,
    batch: &mut Batch,
) -> Result<(), RepoError> {
    let heads = Heads::from([commit]);
    let ((left, _), (right, _)) = (repo.joined(others)?, repo.joined(&heads)?);
    let Some(changes) = few_changes(&left, &right)? else {
        let (base, _) = match repo.joined(&repo.merge_bases(others, &heads)?) {
            // What was changed on both sides cannot be told from what was on one (PART-5).
            Err(RepoError::Bare(_)) => return Ok(()),
            base => base?,
        };
        let clashes = clashes(&base, &left, &right).take(RECORDED_MAX);
        return record_all(repo, branch, clashes, commit, batch);
    };
    let both = changes.into_iter();
    let both: Vec<Clash> = both
        .filter_map(|change| Some((change.key, change.left?, change.right?)))
        .collect();
    if both.is_empty() {
        return Ok(());
    }
    let mut bases = Vec::new();
    for base in repo.merge_bases(others, &heads)? {
        match repo.held_tree(base) {
            Err(RepoError::Bare(_)) => return Ok(()),
            base => bases.push(base?),
        }
    }
    let mut found = Vec::new();
    for (key, left, right) in both {
        let base = entry_of(repo, &bases, &key)?;
        if base.as_ref() != Some(&left) && base.as_ref() != Some(&right) {
            found.push(Ok((key, left, right)));
        }
    }
    record_all(repo, branch, found.into_iter(), commit, batch)
}

/// What trees together have under a key.
fn entry_of(repo: &Repo, trees: &[Tree], key: &[u8]) -> Result<Option<Bytes>, RepoError> {
    let (mut joined, mut made) = (None, Made::default());
    for tree in trees {
        if let Some(entry) = tree.get(key)? {
            joined = Some(made.join_entry(joined.as_ref(), entry, &|cid| repo.raw(cid))?);
        }
    }
    Ok(joined)
}

fn record_all(
    repo: &Repo,
    branch: &BranchName,
    clashes: impl Iterator<Item = Result<Clash, TreeError>>,
    commit: CommitId,
    batch: &mut Batch,
) -> Result<(), RepoError> {
    for clash in clashes {
        let (key, left, right) = clash?;
        if let Some((kept, aside)) = kept_and_aside(repo, left, right)? {
            keep(repo, branch, &key, (&kept, &aside), commit, batch)?;
        }
    }
    Ok(())
}

/// Adds to `batch` a record of one key: the entry that is kept, and the one put aside.
pub(crate) fn keep(
    repo: &Repo,
    branch: &BranchName,
    key: &[u8],
    (kept, aside): (&Bytes, &Bytes),
    met: CommitId,
    batch: &mut Batch,
) -> Result<(), RepoError> {
    let digest = sha256_cid(Codec::Raw, aside);
    let digest: [u8; 32] = digest
        .hash()
        .digest()
        .try_into()
        .map_err(|_error| RepoError::Damaged("a digest has 32 bytes"))?;
    let record = Record {
        aside: aside.to_vec(),
        kept: kept.to_vec(),
        met,
    };
    let value = canonical::encode(&record)
        .map_err(|_error| RepoError::Damaged("a conflict record does not encode"))?;
    let name = layout::clash(repo.id(), branch, key, &digest);
    batch.set_ref(name, Expect::Any, Some(value));
    Ok(())
}

/// The entry that the join of two keeps, and the one that it puts aside; none if it has both.
fn kept_and_aside(
    repo: &Repo,
    left: Bytes,
    right: Bytes,
) -> Result<Option<(Bytes, Bytes)>, RepoError> {
    let load = &|cid: &Cid| repo.raw(cid);
    Ok(match join_entries(&left, &right, load)? {
        _ if are_both_kept(&left, &right, load)? => None,
        Joining::Left => Some((left, right)),
        Joining::Right => Some((right, left)),
        // One of them, with the stamp of the other.
        Joining::Made(kept, _) => {
            let aside = if value_of(Some(&kept))? == value_of(Some(&left))? {
                right
            } else {
                left
            };
            Some((kept, aside))
        }
    })
}

type Clash = (Bytes, Bytes, Bytes);

/// The keys that `left` and `right` both hold differently from `base` and from each other.
fn clashes(
    base: &Tree,
    left: &Tree,
    right: &Tree,
) -> impl Iterator<Item = Result<Clash, TreeError>> {
    let both = |change: Three<'_>| match (change.ours, change.theirs) {
        (Some(ours), Some(theirs)) if ours != theirs && change.base != Some(ours) => Some(
            [change.key, ours, theirs]
                .map(Bytes::copy_from_slice)
                .into(),
        ),
        _ => None,
    };
    let mut changes = ThreeWay::walked(base, left, right);
    std::iter::from_fn(move || {
        loop {
            match changes.next_key().transpose()?.map(both).transpose() {
                None => {}
                clash => return clash,
            }
        }
    })
}
