//! The graph of commits: order, ancestry, what somebody lacks.

mod apart;
mod hashed;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_identity::Verified;

use crate::error::RepoError;
use crate::ids::{BranchName, CommitId, TagName};
use crate::repo::{Heads, Repo, lock};
use crate::statements::Commit;

pub(crate) use self::apart::Reaching;
pub(crate) use self::hashed::ByCommit;

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
    fn step(&mut self, id: CommitId) -> Result<(CommitId, Arc<Verified<Commit>>), RepoError> {
        let commit = self.repo.commit(id)?;
        for parent in &commit.payload().parents {
            self.frontier.insert(self.repo.place(*parent)?);
        }
        Ok((id, commit))
    }
}

/// What a painted commit is reachable from.
const WANTED: u8 = 1;
const KNOWN: u8 = 2;
/// Below a merge base.
const BELOW: u8 = 4;

/// A walk from commits to what is below them, where each comes after all that is above it. Most edges lead to a
/// commit that was met before, and cost one look-up.
#[derive(Default)]
struct Walk {
    ahead: BTreeSet<Place>,
    paint: ByCommit<u8>,
    /// How many of those ahead are wanted and nothing else.
    wanted: usize,
}

impl Walk {
    fn meet(&mut self, repo: &Repo, id: CommitId, color: u8) -> Result<(), RepoError> {
        let paint = match self.paint.entry(id) {
            Entry::Occupied(met) => met.into_mut(),
            Entry::Vacant(new) => {
                self.ahead.insert(repo.place(id)?);
                new.insert(0)
            }
        };
        let before = *paint;
        *paint |= color;
        match (before == WANTED, *paint == WANTED) {
            (false, true) => self.wanted += 1,
            (true, false) => self.wanted -= 1,
            _ => {}
        }
        Ok(())
    }

    fn next(&mut self) -> Option<(CommitId, u8)> {
        let (_, id) = self.ahead.pop_last()?;
        let color = self.paint.get(&id).copied().unwrap_or_default();
        self.wanted -= usize::from(color == WANTED);
        Some((id, color))
    }
}

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
        let mut walk = Walk::default();
        for id in heads {
            walk.meet(self, *id, WANTED)?;
        }
        for id in known {
            if self.has_commit(*id)? {
                walk.meet(self, *id, KNOWN)?;
            }
        }
        let (mut missing, mut walked) = (Vec::new(), 0);
        // The walk ends when nothing ahead is wanted and not known.
        while walk.wanted > 0 {
            let Some((id, color)) = walk.next() else {
                break;
            };
            walked += 1;
            if walked > limit {
                return Ok(None);
            }
            if color == WANTED {
                missing.push(id);
            }
            for parent in &self.commit(id)?.payload().parents {
                walk.meet(self, *parent, color)?;
            }
        }
        missing.reverse();
        Ok(Some(missing))
    }

    /// The merge bases of two sets of commits: their common ancestors that are no ancestor of
    /// another common ancestor. Several after merges in both directions; none for histories that
    /// have nothing in common.
    pub fn merge_bases(&self, left: &Heads, right: &Heads) -> Result<Heads, RepoError> {
        let mut paint: BTreeMap<Place, u8> = BTreeMap::new();
        for (side, heads) in [(WANTED, left), (KNOWN, right)] {
            for id in heads {
                *paint.entry(self.place(*id)?).or_default() |= side;
            }
        }
        let mut bases = Heads::new();
        // A commit comes after all of its descendants, so its paint is whole when it is taken.
        let mut open = paint.len();
        while open > 0 {
            let Some(((_, id), mut color)) = paint.pop_last() else {
                break;
            };
            open -= usize::from(color & BELOW == 0);
            if color == WANTED | KNOWN {
                bases.insert(id);
                color |= BELOW;
            }
            for parent in &self.commit(id)?.payload().parents {
                let entry = paint.entry(self.place(*parent)?).or_default();
                let was_open = *entry != 0 && *entry & BELOW == 0;
                *entry |= color;
                match (was_open, *entry & BELOW == 0) {
                    (false, true) => open += 1,
                    (true, false) => open -= 1,
                    _ => {}
                }
            }
        }
        Ok(bases)
    }

    /// Those of `commits` that are no ancestor of another one (REPO-7).
    pub(crate) fn newest_of(&self, commits: &Heads) -> Result<Heads, RepoError> {
        let mut walk = Walk::default();
        for id in commits {
            walk.meet(self, *id, WANTED)?;
        }
        let (mut newest, mut open) = (Heads::new(), commits.len());
        while open > 0 {
            let Some((id, color)) = walk.next() else {
                break;
            };
            if commits.contains(&id) {
                open -= 1;
                if color == WANTED {
                    newest.insert(id);
                }
            }
            for parent in &self.commit(id)?.payload().parents {
                walk.meet(self, *parent, BELOW)?;
            }
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

    /// The heads of all branches and tracking branches.
    pub(crate) fn all_heads(&self) -> Result<Heads, RepoError> {
        let branches = self.branches()?.into_iter().flat_map(|(_, heads)| heads);
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
