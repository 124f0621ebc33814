//! The states that a space goes through, for whoever watches it (PROJ-30, PROJ-32).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use allod_repo::{CommitId, Heads, Repo, RepoError};

use crate::node::Position;

/// The states of a space from one on, in order, as they are asked for.
///
/// Along a branch each state is that of a commit, and the next one has it among its parents. Where commits
/// meet, the course is that of the branch: what the others brought comes with the commit that joined them.
/// Several heads are one state more. What does not follow from the state at hand - another branch, an older
/// commit - is one step.
///
/// The ids of the commits that come are held, some 100 bytes each while the way is looked for; nothing else of
/// them is read before it is asked for.
#[derive(Debug)]
pub struct Course {
    repo: Repo,
    at: Heads,
    /// Where the steps ahead lead.
    toward: Option<Position>,
    ahead: VecDeque<Heads>,
}

impl Course {
    /// A course from these commits together; from the beginning if there are none.
    #[must_use]
    pub const fn new(repo: Repo, from: Heads) -> Self {
        Self {
            repo,
            at: from,
            toward: None,
            ahead: VecDeque::new(),
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn at(&self) -> &Heads {
        &self.at
    }

    /// The next state on the way to where the space stands; `None` if it is there. The course is where it was
    /// until [`advance`](Self::advance).
    pub fn next(&mut self, position: &Position) -> Result<Option<&Heads>, RepoError> {
        let heads = match position {
            Position::Branch(branch) => self.repo.heads(branch)?,
            Position::Detached(id) => Heads::from([*id]),
        };
        // The way to another place is not by what the former one still had ahead.
        let is_other = self.toward.as_ref() != Some(position);
        if is_other || self.ahead.is_empty() {
            self.toward = Some(position.clone());
            self.ahead = self.way(&heads)?;
        }
        Ok(self.ahead.front())
    }

    /// Takes the step that [`next`](Self::next) told of.
    pub fn advance(&mut self) {
        if let Some(next) = self.ahead.pop_front() {
            self.at = next;
        }
    }

    /// The states from where it is.
    fn way(&self, to: &Heads) -> Result<VecDeque<Heads>, RepoError> {
        if *to == self.at {
            return Ok(VecDeque::new());
        }
        let following = self.following(to)?;
        let mut way = VecDeque::new();
        let mut nearest = self.nearest(to, &following)?;
        while let Some(id) = nearest {
            way.push_front(Heads::from([id]));
            let commit = self.repo.commit(id)?;
            // None once what the course comes from meets here, and nowhere before.
            nearest = self.nearest(&commit.payload().parents, &following)?;
        }
        if way.back() != Some(to) {
            way.push_back(to.clone());
        }
        Ok(way)
    }

    /// The commits on the way to others that follow from all that the course is at.
    fn following(&self, to: &Heads) -> Result<BTreeSet<CommitId>, RepoError> {
        // Of each commit, how many of them it follows from: as a set of bits, as there are few.
        let bits: BTreeMap<CommitId, u64> = (0..u64::BITS)
            .zip(&self.at)
            .map(|(bit, id)| (*id, 1 << bit))
            .collect();
        if bits.len() < self.at.len() {
            return Ok(BTreeSet::new());
        }
        let all = bits.values().fold(0, |all, bit| all | bit);
        let mut reached: BTreeMap<CommitId, u64> = BTreeMap::new();
        for id in self.repo.missing(to, &self.at)? {
            let commit = self.repo.commit(id)?;
            let parents = commit.payload().parents.iter();
            let from = parents.map(|parent| {
                let of_at = bits.get(parent).copied().unwrap_or(0);
                of_at | reached.get(parent).copied().unwrap_or(0)
            });
            let from = from.fold(0, |all, bits| all | bits);
            reached.insert(id, from);
        }
        let following = reached.into_iter().filter(|(_, from)| *from == all);
        Ok(following.map(|(id, _)| id).collect())
    }

    /// Of commits that follow, the one that the branch came by: made on it, of the latest generation.
    fn nearest<'a>(
        &self,
        commits: impl IntoIterator<Item = &'a CommitId>,
        following: &BTreeSet<CommitId>,
    ) -> Result<Option<CommitId>, RepoError> {
        let mut nearest = None;
        for id in commits {
            if following.contains(id) {
                let commit = self.repo.commit(*id)?;
                let said = commit.payload();
                let is_own = matches!(&self.toward, Some(Position::Branch(branch)) if *branch == said.branch);
                nearest = nearest.max(Some((is_own, said.generation, *id)));
            }
        }
        Ok(nearest.map(|(_, _, id)| id))
    }
}
