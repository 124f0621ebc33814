//! The graph of commits: order, ancestry, what somebody lacks.

mod hashed;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_identity::Verified;

use crate::error::RepoError;
use crate::ids::{BranchName, CommitId, TagName};
use crate::repo::{Heads, Repo, lock};
use crate::statements::Commit;

pub(crate) use self::hashed::ByCommit;
use self::walk::Walk;
pub(crate) use self::walk::{AtHand, Paint, first};

/// How far back [`Repo::samples`] looks, in commits: what a busy device writes in weeks offline.
const SAMPLE_DEPTH: u64 = 4096;

/// After how many generations the walk of [`Repo::samples`] meets a place from where on its samples are at hand, so
/// that the next hello walks no further than that.
const STRIDE: u64 = 256;

/// Such places that are at hand: those of the heads of one hello, and of a few more.
const PLACES_KEPT: usize = 64;

/// How many of the newest commits are all among [`Repo::samples`]: what several writers made since two replicas
/// met last. Where heads were merged others are at many distances, and those that double pass them over.
const SAMPLES_NEAR: usize = 32;

/// How many of them where nothing was merged: who is some commits behind is known, and a hello stays short.
const LINE_NEAR: usize = 8;

/// A commit in the order in which history is walked: later generations first.
pub(crate) type Place = (u64, CommitId);

/// A walk over history, newest first.
///
/// Each commit appears once, after all of its descendants. Holds the frontier in memory, not the
/// history.
#[derive(Debug)]
pub struct Log {
    repo: Repo,
    frontier: BTreeSet<Place>,
}

impl Iterator for Log {
    type Item = Result<(CommitId, Arc<Verified<Commit>>), RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (_, id) = self.frontier.pop_last()?;
        Some(self.step(id))
    }
}

impl Log {
    /// The commits from which the rest of the walk follows: a walk that begins with them gives what this one
    /// would go on with.
    #[must_use]
    pub fn rest(&self) -> Heads {
        self.frontier.iter().map(|(_, id)| *id).collect()
    }

    fn step(&mut self, id: CommitId) -> Result<(CommitId, Arc<Verified<Commit>>), RepoError> {
        let commit = self.repo.commit(id)?;
        for parent in &commit.payload().parents {
            self.frontier.insert(self.repo.place(*parent)?);
        }
        Ok((id, commit))
    }
}

/// What a painted commit is reachable from.
const WANTED: Paint = 1;
const KNOWN: Paint = 2;
/// Below a merge base.
const BELOW: Paint = 4;

impl Repo {
    pub(crate) fn place(&self, id: CommitId) -> Result<Place, RepoError> {
        Ok((self.commit(id)?.payload().generation, id))
    }

    /// The history of `heads`, newest first.
    pub fn log(&self, heads: &Heads) -> Result<Log, RepoError> {
        let frontier = heads
            .iter()
            .map(|id| self.place(*id))
            .collect::<Result<_, _>>()?;
        Ok(Log {
            repo: self.clone(),
            frontier,
        })
    }

    /// The newest commit of a history that was made no later than a time, in milliseconds; `None` if all were
    /// made later.
    pub fn newest_by(&self, heads: &Heads, time_ms: i64) -> Result<Option<CommitId>, RepoError> {
        for item in self.log(heads)? {
            let (id, commit) = item?;
            if i128::from(commit.payload().stamp.millis()) <= i128::from(time_ms) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Whether `ancestor` is `descendant` or one of its ancestors.
    pub fn is_ancestor(&self, ancestor: CommitId, descendant: CommitId) -> Result<bool, RepoError> {
        let (floor, _) = self.place(ancestor)?;
        let mut frontier = BTreeSet::from([self.place(descendant)?]);
        while let Some((generation, id)) = frontier.pop_last() {
            if id == ancestor {
                return Ok(true);
            }
            if generation > floor {
                for parent in &self.commit(id)?.payload().parents {
                    frontier.insert(self.place(*parent)?);
                }
            }
        }
        Ok(false)
    }

    /// The commits that `heads` have and `known` have not, parents before children.
    ///
    /// Ids in `known` that are not commits here are passed over.
    pub fn missing(
        &self,
        heads: &Heads,
        known: &BTreeSet<CommitId>,
    ) -> Result<Vec<CommitId>, RepoError> {
        let missing = self.missing_near(heads, known, usize::MAX)?;
        Ok(missing.unwrap_or_default())
    }

    /// The same, if the walk that finds them is over after `limit` commits.
    pub(crate) fn missing_near(
        &self,
        heads: &Heads,
        known: &BTreeSet<CommitId>,
        limit: usize,
    ) -> Result<Option<Vec<CommitId>>, RepoError> {
        // The walk ends when nothing ahead is wanted and not known.
        let mut walk = Walk::new(self, |paint| paint == WANTED);
        for id in heads {
            walk.meet(*id, WANTED)?;
        }
        for id in known {
            if self.has_commit(*id)? {
                walk.meet(*id, KNOWN)?;
            }
        }
        let (mut missing, mut walked) = (Vec::new(), 0);
        while walk.open > 0 {
            let Some(taken) = walk.next()? else { break };
            walked += 1;
            if walked > limit {
                return Ok(None);
            }
            if taken.paint == WANTED {
                missing.push((taken.generation, taken.id));
            }
            walk.go_on(&taken, taken.paint);
        }
        missing.sort_unstable();
        Ok(Some(missing.into_iter().map(|(_, id)| id).collect()))
    }

    /// The merge bases of two sets of commits: their common ancestors that are no ancestor of
    /// another common ancestor. Several after merges in both directions; none for histories that
    /// have nothing in common.
    pub fn merge_bases(&self, left: &Heads, right: &Heads) -> Result<Heads, RepoError> {
        let mut walk = Walk::new(self, |paint| paint & BELOW == 0);
        for (side, heads) in [(WANTED, left), (KNOWN, right)] {
            for id in heads {
                walk.meet(*id, side)?;
            }
        }
        let mut bases = Heads::new();
        while walk.open > 0 {
            let Some(taken) = walk.next()? else { break };
            let mut paint = taken.paint;
            if paint == WANTED | KNOWN {
                bases.insert(taken.id);
                paint |= BELOW;
            }
            walk.go_on(&taken, paint);
        }
        Ok(bases)
    }

    /// The commits that not all of `heads` have, each with those that have it, as bits by their places. `None` if there
    /// are too many heads, or if the walk is not over after `limit` commits.
    pub(crate) fn apart(
        &self,
        heads: &[CommitId],
        limit: usize,
    ) -> Result<Option<Vec<(CommitId, Paint)>>, RepoError> {
        if heads.len() > Paint::BITS as usize {
            return Ok(None);
        }
        let all = first(heads.len());
        let mut walk = Walk::new(self, |paint| paint != all);
        for (place, id) in heads.iter().enumerate() {
            walk.meet(*id, 1 << place)?;
        }
        let mut apart = Vec::new();
        while walk.open > 0 {
            let Some(taken) = walk.next()? else { break };
            if taken.paint != all {
                if apart.len() == limit {
                    return Ok(None);
                }
                apart.push((taken.id, taken.paint));
            }
            walk.go_on(&taken, taken.paint);
        }
        Ok(Some(apart))
    }

    /// Those of `commits` that are no ancestor of another one (REPO-7).
    pub(crate) fn newest_of(&self, commits: &Heads) -> Result<Heads, RepoError> {
        let mut walk = Walk::new(self, |_paint| true);
        for id in commits {
            walk.meet(*id, WANTED)?;
        }
        let (mut newest, mut left) = (Heads::new(), commits.len());
        while left > 0 {
            let Some(taken) = walk.next()? else { break };
            if commits.contains(&taken.id) {
                left -= 1;
                if taken.paint == WANTED {
                    newest.insert(taken.id);
                }
            }
            walk.go_on(&taken, BELOW);
        }
        Ok(newest)
    }

    /// Whether each of `commits` is one of `heads` or an ancestor of one.
    pub(crate) fn has_all(&self, heads: &Heads, commits: &Heads) -> Result<bool, RepoError> {
        Ok(self.missing(commits, heads)?.is_empty())
    }

    /// Some ancestors of `heads`, by which a peer finds what both have: their parents, the 8 newest or, where some
    /// of those were merged, 32, and others at distances that double, along first parents, at most 4,096 commits back.
    pub fn samples(&self, heads: &Heads) -> Result<Vec<CommitId>, RepoError> {
        let (mut samples, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for head in heads {
            let mut at = *head;
            for distance in 1..=SAMPLE_DEPTH {
                // From here on another head has the same samples.
                if !seen.insert(at) {
                    break;
                }
                let Some(parent) = self.first_parent(at)? else {
                    samples.insert(at);
                    break;
                };
                if self.place(at)?.0 / STRIDE != self.place(parent)?.0 / STRIDE {
                    samples.extend(self.samples_below(at)?);
                    break;
                }
                at = parent;
                if distance.is_power_of_two() {
                    samples.insert(at);
                }
            }
        }
        samples.extend(self.newest_below(heads)?);
        Ok(samples.difference(heads).copied().collect())
    }

    fn first_parent(&self, id: CommitId) -> Result<Option<CommitId>, RepoError> {
        Ok(self.commit(id)?.payload().parents.first().copied())
    }

    /// A commit and its ancestors at distances that double, from [`STRIDE`] on, as far as they are here.
    fn samples_below(&self, id: CommitId) -> Result<Vec<CommitId>, RepoError> {
        let known = lock(&self.inner.samples).get(&id).cloned();
        let samples = match known {
            Some(known) => known,
            None => {
                let mut samples = vec![id];
                let mut at = id;
                for distance in 1..=SAMPLE_DEPTH {
                    let Some(parent) = self.first_parent(at)? else {
                        samples.push(at);
                        break;
                    };
                    at = parent;
                    if distance >= STRIDE && distance.is_power_of_two() {
                        samples.push(at);
                    }
                }
                let mut known = lock(&self.inner.samples);
                if known.len() >= PLACES_KEPT {
                    known.clear();
                }
                known.insert(id, samples.clone());
                samples
            }
        };
        let mut here = Vec::new();
        for id in samples {
            // A collection of garbage may have removed what was here.
            if self.has_commit(id)? {
                here.push(id);
            }
        }
        Ok(here)
    }

    /// The parents of `heads`, and the newest of their ancestors by their stamps.
    fn newest_below(&self, heads: &Heads) -> Result<Heads, RepoError> {
        let (mut open, mut parents) = (BTreeSet::new(), Heads::new());
        for id in heads {
            let commit = self.commit(*id)?;
            open.insert((commit.payload().stamp, *id));
            parents.extend(commit.payload().parents.iter().copied());
        }
        let (mut newest, mut is_merged) = (Vec::new(), false);
        while let Some((_, id)) = open.pop_last() {
            if !heads.contains(&id) {
                newest.push(id);
            }
            if newest.len() == SAMPLES_NEAR {
                break;
            }
            let commit = self.commit(id)?;
            is_merged |= commit.payload().parents.len() > 1;
            for parent in &commit.payload().parents {
                open.insert((self.commit(*parent)?.payload().stamp, *parent));
            }
        }
        if !is_merged {
            newest.truncate(LINE_NEAR);
        }
        parents.extend(newest);
        Ok(parents)
    }

    /// The heads of all branches and tracking branches, and what is beside them.
    pub(crate) fn all_heads(&self) -> Result<Heads, RepoError> {
        let branches = self.offered()?.into_iter().flat_map(|(_, heads)| heads);
        let tracking = self.tracking(None)?.into_iter();
        Ok(branches.chain(tracking.flat_map(|of| of.heads)).collect())
    }

    /// Finds a commit by the beginning or the end of its id's text, by a branch's name (all of its
    /// heads), by a tag, by a tracking branch (REPO-82), or by its whole id. Fails with [`RepoError::NoCommit`] if the commit of a
    /// tag is not here.
    pub fn find(&self, text: &str) -> Result<Vec<CommitId>, RepoError> {
        if let Ok(branch) = text.parse::<BranchName>() {
            let heads = self.heads(&branch)?;
            if !heads.is_empty() {
                return Ok(heads.into_iter().collect());
            }
        }
        if let Ok(name) = text.parse::<TagName>()
            && let Some(tag) = self.tag(&name)?
        {
            self.commit(tag.commit)?;
            return Ok(vec![tag.commit]);
        }
        let tracked = self.tracked_as(text)?;
        if !tracked.is_empty() {
            return Ok(tracked.into_iter().collect());
        }
        if let Ok(id) = text.parse::<CommitId>() {
            return Ok(if self.has_commit(id)? {
                vec![id]
            } else {
                Vec::new()
            });
        }
        let all = self.all_heads()?;
        let mut found = Vec::new();
        for commit in self.log(&all)? {
            let (id, _) = commit?;
            let name = id.to_string();
            if text.len() >= 4 && (name.starts_with(text) || name.ends_with(text)) {
                found.push(id);
            }
        }
        Ok(found)
    }
}
