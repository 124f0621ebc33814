//! Finding the commit that made the data bad, with few tests (MERGE-32).

use std::collections::{BTreeMap, BTreeSet};

use crate::error::RepoError;
use crate::ids::CommitId;
use crate::repo::{Heads, Repo};
use crate::view::View;

/// What a test says of a state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is as it should be.
    Good,
    /// It is not.
    Bad,
    /// It cannot be tested.
    Skip,
}

/// A search for the first bad commit, a test at a time: ask [`next`](Self::next), test, tell
/// [`tell`](Self::tell), until there is nothing to test. About log2 of the commits in between.
#[derive(Clone, Debug)]
pub struct Bisect {
    /// The commits that may be the first bad one, with their parents among them, in an order in
    /// which parents come first. The last one is known to be bad.
    open: Vec<(CommitId, Vec<CommitId>)>,
    skipped: BTreeSet<CommitId>,
}

impl Bisect {
    /// The commit to test next; `None` when the search is over.
    ///
    /// It is the one whose ancestors among the open commits are closest to half of them, so that
    /// either verdict leaves about half.
    #[must_use]
    pub fn next(&self) -> Option<CommitId> {
        let all = self.open.len();
        let (_, before) = self.open.split_last()?;
        let weights = self.weights();
        before
            .iter()
            .filter(|(id, _)| !self.skipped.contains(id))
            .max_by_key(|(id, _)| {
                let weight = weights.get(id).copied().unwrap_or_default();
                weight.min(all - weight)
            })
            .map(|(id, _)| *id)
    }

    /// How many open commits each open commit has among its ancestors, itself included.
    fn weights(&self) -> BTreeMap<CommitId, usize> {
        let mut weights = BTreeMap::new();
        for (id, parents) in &self.open {
            let weight = match &parents[..] {
                [] => 1,
                [parent] => weights.get(parent).copied().unwrap_or_default() + 1,
                _ => self.ancestors(*id).len(),
            };
            weights.insert(*id, weight);
        }
        weights
    }

    /// The open ancestors of an open commit, itself included.
    fn ancestors(&self, of: CommitId) -> BTreeSet<CommitId> {
        let mut ancestors = BTreeSet::from([of]);
        // Parents come first, so all children of a commit were seen before it.
        for (id, parents) in self.open.iter().rev() {
            if ancestors.contains(id) {
                ancestors.extend(parents);
            }
        }
        ancestors
    }

    /// Takes note of a verdict. One about a commit that is not open any more changes nothing.
    pub fn tell(&mut self, id: CommitId, verdict: Verdict) {
        if !self.open.iter().any(|(open, _)| *open == id) {
            return;
        }
        match verdict {
            Verdict::Skip => {
                self.skipped.insert(id);
            }
            Verdict::Bad => {
                let ancestors = self.ancestors(id);
                self.open.retain(|(open, _)| ancestors.contains(open));
            }
            Verdict::Good => {
                let ancestors = self.ancestors(id);
                self.open.retain(|(open, _)| !ancestors.contains(open));
                for (_, parents) in &mut self.open {
                    parents.retain(|parent| !ancestors.contains(parent));
                }
            }
        }
    }

    /// The commits of which one is the first bad one: that one alone, unless some were skipped.
    /// Before the search is over, all that are open.
    pub fn suspects(&self) -> impl Iterator<Item = CommitId> {
        self.open.iter().map(|(id, _)| *id)
    }

    /// How many commits may be the first bad one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether every commit was said to be good: the verdicts contradict each other.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl Repo {
    /// A search between a good commit and a bad one, which must descend from it
    /// ([`RepoError::NotBefore`]).
    pub fn bisect(&self, good: CommitId, bad: CommitId) -> Result<Bisect, RepoError> {
        if !self.is_ancestor(good, bad)? {
            return Err(RepoError::NotBefore);
        }
        let open = self.missing(&Heads::from([bad]), &Heads::from([good]))?;
        let known: BTreeSet<CommitId> = open.iter().copied().collect();
        let with_parents = |id: CommitId| {
            let commit = self.commit(id)?;
            let parents = commit.payload().parents.iter().copied();
            Ok((
                id,
                parents.filter(|parent| known.contains(parent)).collect(),
            ))
        };
        Ok(Bisect {
            open: open
                .into_iter()
                .map(with_parents)
                .collect::<Result<_, RepoError>>()?,
            skipped: BTreeSet::new(),
        })
    }

    /// Runs a search to its end with a test over the data.
    pub fn bisect_by(
        &self,
        good: CommitId,
        bad: CommitId,
        test: &mut dyn FnMut(CommitId, &View) -> Result<Verdict, RepoError>,
    ) -> Result<Bisect, RepoError> {
        let mut search = self.bisect(good, bad)?;
        while let Some(id) = search.next() {
            search.tell(id, test(id, &self.at(id)?)?);
        }
        Ok(search)
    }
}
