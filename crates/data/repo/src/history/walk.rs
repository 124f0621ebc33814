//! Walks from commits to what is below them, over a graph that is at hand.

use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};

use crate::error::RepoError;
use crate::history::ByCommit;
use crate::ids::CommitId;
use crate::repo::{Repo, lock};

/// Commits whose places and parents stay at hand after a walk: what many writers make in minutes, in a few MiB.
const COMMITS_MAX: usize = 16 * 1024;

/// From where a commit was reached: a set, by bits.
pub(crate) type Paint = u128;

/// The first so many bits of a paint.
pub(crate) fn first(count: usize) -> Paint {
    (0..count).fold(0, |paint, bit| paint | 1 << bit)
}

/// A commit in the order in which history is walked: later generations first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Spot {
    generation: u64,
    number: u32,
}

/// Commits by small numbers, in the order in which they were met: most edges of a walk lead to one that was met before,
/// and cost no look-up of an id.
#[derive(Debug, Default)]
struct Graph {
    numbers: ByCommit<u32>,
    commits: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    id: CommitId,
    generation: u64,
    /// Of those that a walk went on from.
    parents: Option<Arc<[Spot]>>,
}

/// The graph at hand. What is in it never changes; only that it is here ends with a collection of garbage.
#[derive(Debug, Default)]
pub(crate) struct AtHand {
    graph: Arc<Mutex<Graph>>,
    sweeps: u64,
}

impl Graph {
    fn spot(&mut self, repo: &Repo, id: CommitId) -> Result<Spot, RepoError> {
        let number = self.numbers.get(&id).copied();
        let known = number.and_then(|number| Some((number, self.commits.get(number as usize)?)));
        if let Some((number, known)) = known {
            let generation = known.generation;
            return Ok(Spot { generation, number });
        }
        let generation = repo.commit(id)?.payload().generation;
        let number = u32::try_from(self.commits.len()).unwrap_or(u32::MAX);
        self.commits.push(Known {
            id,
            generation,
            parents: None,
        });
        self.numbers.insert(id, number);
        Ok(Spot { generation, number })
    }

    /// The id and the parents of a commit that was met.
    fn step(&mut self, repo: &Repo, spot: Spot) -> Result<(CommitId, Arc<[Spot]>), RepoError> {
        let number = spot.number as usize;
        let known = self.commits.get(number);
        let known = known.ok_or(RepoError::Damaged("a walk met no such commit"))?;
        let id = known.id;
        if let Some(parents) = &known.parents {
            return Ok((id, Arc::clone(parents)));
        }
        let commit = repo.commit(id)?;
        let parents = commit.payload().parents.iter();
        let parents = parents.map(|parent| self.spot(repo, *parent));
        let parents: Arc<[Spot]> = parents.collect::<Result<_, _>>()?;
        if let Some(known) = self.commits.get_mut(number) {
            known.parents = Some(Arc::clone(&parents));
        }
        Ok((id, parents))
    }
}

impl Repo {
    fn graph(&self) -> Arc<Mutex<Graph>> {
        let sweeps = self.store().uses().sweeps();
        let mut at_hand = lock(&self.inner.graph);
        // Walks that are under way keep theirs.
        if at_hand.sweeps != sweeps {
            let graph = Arc::default();
            *at_hand = AtHand { graph, sweeps };
        }
        Arc::clone(&at_hand.graph)
    }

    /// Lets go of the graph.
    pub(crate) fn forget_graph(&self) {
        lock(&self.inner.graph).graph = Arc::default();
    }
}

/// A walk where each commit comes after all that is above it, so that its paint is whole when it is taken.
pub(crate) struct Walk<'a, F> {
    repo: &'a Repo,
    graph: Arc<Mutex<Graph>>,
    ahead: BinaryHeap<Spot>,
    /// Commits that had a number when the walk began, the last one first: what is walked over most is what came last.
    paint: Vec<Paint>,
    numbered: u32,
    /// Those that had none.
    paint_of_new: Vec<Paint>,
    is_open: F,
    /// How many of those ahead are open.
    pub(crate) open: usize,
}

impl<F> Drop for Walk<'_, F> {
    /// A walk over a long history leaves no more at hand than others do.
    fn drop(&mut self) {
        let mut at_hand = lock(&self.repo.inner.graph);
        let is_full = lock(&at_hand.graph).commits.len() > COMMITS_MAX;
        if is_full {
            at_hand.graph = Arc::default();
        }
    }
}

/// A commit that a walk has come to.
pub(crate) struct Taken {
    pub(crate) id: CommitId,
    pub(crate) generation: u64,
    pub(crate) paint: Paint,
    parents: Arc<[Spot]>,
}

impl<'a, F: Fn(Paint) -> bool> Walk<'a, F> {
    /// A walk that is of interest as long as a commit ahead is open by its paint.
    pub(crate) fn new(repo: &'a Repo, is_open: F) -> Self {
        let graph = repo.graph();
        let numbered = lock(&graph).commits.len();
        Self {
            repo,
            graph,
            ahead: BinaryHeap::new(),
            paint: Vec::new(),
            numbered: u32::try_from(numbered).unwrap_or(u32::MAX),
            paint_of_new: Vec::new(),
            is_open,
            open: 0,
        }
    }

    /// Begins at a commit, with a paint that is not empty.
    pub(crate) fn meet(&mut self, id: CommitId, paint: Paint) -> Result<(), RepoError> {
        let spot = lock(&self.graph).spot(self.repo, id)?;
        self.reach(spot, paint);
        Ok(())
    }

    fn reach(&mut self, spot: Spot, reaching: Paint) {
        let paint = self.paint_at(spot.number);
        let before = *paint;
        let after = before | reaching;
        *paint = after;
        let was_open = before != 0 && (self.is_open)(before);
        match (was_open, (self.is_open)(after)) {
            (false, true) => self.open += 1,
            (true, false) => self.open -= 1,
            _ => {}
        }
        if before == 0 {
            self.ahead.push(spot);
        }
    }

    fn paint_at(&mut self, number: u32) -> &mut Paint {
        let (all, at) = match number.checked_sub(self.numbered) {
            Some(at) => (&mut self.paint_of_new, at as usize),
            None => (&mut self.paint, (self.numbered - 1 - number) as usize),
        };
        if at >= all.len() {
            all.resize(at + 1, 0);
        }
        &mut all[at]
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Result<Option<Taken>, RepoError> {
        let Some(spot) = self.ahead.pop() else {
            return Ok(None);
        };
        let paint = *self.paint_at(spot.number);
        self.open -= usize::from((self.is_open)(paint));
        let (id, parents) = lock(&self.graph).step(self.repo, spot)?;
        let generation = spot.generation;
        Ok(Some(Taken {
            id,
            generation,
            paint,
            parents,
        }))
    }

    /// Goes on to the parents of one that was taken.
    pub(crate) fn go_on(&mut self, taken: &Taken, paint: Paint) {
        for parent in &*taken.parents {
            self.reach(*parent, paint);
        }
    }
}
