//! Commits that count though their own history does not say so: others that count answer for them (REPO-100).

use std::collections::{BTreeMap, BTreeSet};

use crate::error::RepoError;
use crate::history::Place;
use crate::ids::CommitId;
use crate::repo::{Heads, Repo};
use crate::rights::Rights;

/// What a commit has to do with those before it.
struct Ties {
    /// Those that it rests on.
    rests: Vec<CommitId>,
    parents: Vec<CommitId>,
    /// Whether its author answers for all that is below it, should it count and stand.
    may_answer: bool,
}

/// Commits in the order of history, the oldest first.
type Region = BTreeMap<Place, Ties>;

impl Repo {
    /// Of some commits and of those below them that are not clean, those that count all the same by what `tips` lead to.
    pub(crate) fn saved(
        &self,
        rights: &Rights,
        tips: &Heads,
        of: &Heads,
    ) -> Result<Heads, RepoError> {
        let mut open = Heads::new();
        let mut more = of.clone();
        loop {
            self.unclean_below(rights, more, &mut open)?;
            if open.is_empty() {
                return Ok(open);
            }
            let tips = tips.union(of).copied().collect();
            let region = self.region(rights, &tips, &open)?;
            let counting;
            (counting, more) = self.counting_in(rights, &region)?;
            more.retain(|id| !open.contains(id));
            if more.is_empty() {
                return Ok(open.intersection(&counting).copied().collect());
            }
        }
    }

    /// Of a commit that does not stand, the first after it that stands for it: that counts, and whose author may do the same, or answers
    /// for all (REPO-112). `None` if nobody does.
    ///
    /// # Errors
    /// [`RepoError::NoCommit`] if it is not here.
    pub fn voucher_of(&self, id: CommitId) -> Result<Option<CommitId>, RepoError> {
        let (rights, of) = (self.rights()?, Heads::from([id]));
        let tips = self.tips(self.commit(id)?.payload().branch.is_meta())?;
        let mut resting = of.clone();
        for ((_, after), ties) in self.region(&rights, &tips, &of)? {
            let rests = ties.rests.iter().any(|it| resting.contains(it));
            if rests {
                resting.insert(after);
            }
            if after == id || !self.stands_by(&rights, after)? {
                continue;
            }
            let commit = self.commit(after)?;
            let said = commit.payload();
            let who = (&said.author, said.stamp.millis());
            let may = ties.may_answer || (rests && self.may_as_well(&rights, who, id)?);
            if may && self.counts(after)? {
                return Ok(Some(after));
            }
        }
        Ok(None)
    }

    /// Whether a commit that stands answers for one below it that is not clean, and that none between them answers for: what
    /// somebody else merged before, from whatever branch.
    pub(crate) fn answers_anew(&self, rights: &Rights, id: CommitId) -> Result<bool, RepoError> {
        if !rights.answers_for_all(self.commit(id)?.payload()) {
            return Ok(false);
        }
        let (mut open, mut seen) = (vec![id], Heads::new());
        while let Some(id) = open.pop() {
            for parent in &self.commit(id)?.payload().parents {
                if !seen.insert(*parent) || !self.has_commit(*parent)? {
                    continue;
                }
                if !self.is_clean(rights, *parent)? {
                    return Ok(true);
                }
                if !rights.answers_for_all(self.commit(*parent)?.payload()) {
                    open.push(*parent);
                }
            }
        }
        Ok(false)
    }

    /// Adds to `open` those of some commits, and those below them up to the first on each way, that are not clean.
    fn unclean_below(&self, rights: &Rights, of: Heads, open: &mut Heads) -> Result<(), RepoError> {
        let mut next: Vec<CommitId> = of.into_iter().collect();
        while let Some(id) = next.pop() {
            if open.contains(&id) || !self.has_commit(id)? || self.is_clean(rights, id)? {
                continue;
            }
            open.insert(id);
            next.extend(&self.commit(id)?.payload().parents);
        }
        Ok(())
    }

    /// The commits that `tips` lead to which are some of `open` or come after one of them.
    fn region(&self, rights: &Rights, tips: &Heads, open: &Heads) -> Result<Region, RepoError> {
        let mut floor = u64::MAX;
        for id in open {
            floor = floor.min(self.place(*id)?.0);
        }
        let mut walked: BTreeSet<Place> = BTreeSet::new();
        let mut next: Vec<CommitId> = tips.union(open).copied().collect();
        while let Some(id) = next.pop() {
            if !self.has_commit(id)? {
                continue;
            }
            let place = self.place(id)?;
            if place.0 >= floor && walked.insert(place) {
                next.extend(&self.commit(id)?.payload().parents);
            }
        }
        let (mut region, mut within) = (Region::new(), BTreeSet::new());
        for place in walked {
            let commit = self.commit(place.1)?;
            let said = commit.payload();
            let comes_after = said.parents.iter().any(|it| within.contains(it));
            if !comes_after && !open.contains(&place.1) {
                continue;
            }
            within.insert(place.1);
            let rests = self.rests_on(said)?;
            let ties = Ties {
                rests,
                parents: said.parents.clone(),
                may_answer: rights.answers_for_all(said),
            };
            region.insert(place, ties);
        }
        Ok(region)
    }

    /// Those that count of a region; and those that are not in it, and not clean, on which it depends whether more do.
    fn counting_in(&self, rights: &Rights, region: &Region) -> Result<(Heads, Heads), RepoError> {
        let within: BTreeSet<CommitId> = region.keys().map(|(_, id)| *id).collect();
        let (mut counting, mut more) = (Heads::new(), Heads::new());
        // Those that somebody answers for with all that is below them.
        let mut answered = Heads::new();
        loop {
            let before = counting.len();
            for ((_, id), ties) in region {
                if counting.contains(id) || !self.stands_by(rights, *id)? {
                    continue;
                }
                let mut does = true;
                for of in &ties.rests {
                    let counts = counting.contains(of)
                        || (!within.contains(of) && self.is_clean(rights, *of)?);
                    if !counts && !within.contains(of) {
                        more.insert(*of);
                    }
                    does &= counts;
                }
                if does || self.is_clean(rights, *id)? {
                    counting.insert(*id);
                }
            }
            for ((_, id), ties) in region.iter().rev() {
                if !counting.contains(id) {
                    continue;
                }
                let answers = ties.may_answer && self.stands_by(rights, *id)?;
                let all = answers || answered.contains(id);
                let below = if all { &ties.parents } else { &ties.rests };
                let below = below.iter().filter(|it| within.contains(it));
                if all {
                    answered.extend(below.clone());
                }
                counting.extend(below);
            }
            if counting.len() == before {
                return Ok((counting, more));
            }
        }
    }
}
