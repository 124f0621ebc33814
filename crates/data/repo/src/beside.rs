//! Commits that do not count: they stay beside their branch until one that does comes after them (REPO-100 to REPO-104).

mod judging;
mod stake;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;

use allod_blocks::{Batch, BatchOutcome, Expect};
use allod_identity::{Standing, Verified};
use bytes::Bytes;

use crate::conflict;
use crate::error::{Refusal, RepoError};
use crate::event::RefMove;
use crate::hooks::Act;
use crate::ids::{BranchName, CommitId};
use crate::layout;
use crate::repo::{
    Author, BRANCHES_MAX, HEADS_MAX, HEADS_TOTAL_MAX, Heads, Repo, decode_heads, encode_heads,
};
use crate::rights::Rights;
use crate::stamp::Stamp;
use crate::statements::{Commit, PARENTS_MAX};
use crate::write::{Draft, Entries, TRIES};

pub(crate) use judging::sweep_notes;
pub use judging::{Judge, Judgement};

/// The newest commits that are kept beside a branch (REPO-102).
pub const BESIDE_MAX: usize = 64;

/// Where a branch stands: its heads, and the newest commits beside it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Stand {
    pub(crate) heads: Heads,
    pub(crate) beside: Heads,
}

impl Stand {
    pub(crate) fn without_beside(heads: Heads) -> Self {
        let beside = Heads::new();
        Self { heads, beside }
    }

    pub(crate) fn all(&self) -> Heads {
        self.heads.union(&self.beside).copied().collect()
    }
}

/// What is below commits that do not count by themselves.
struct Below {
    /// The first on each way down that count; these commits too, if they are before what counts on another branch.
    counting: Heads,
    /// The others that were met, these commits too.
    seen: Heads,
}

/// Why somebody commits on top of a branch without a change.
enum Why<'a> {
    /// For one of its heads.
    Needed(&'a dyn Fn(&Verified<Commit>) -> bool),
    /// For those of its heads that would be none any more.
    Lost(&'a Rights),
    /// For what is beside it.
    Beside,
}

/// References as they were read, for a compare-and-swap.
pub(crate) struct Raw {
    pub(crate) heads: Option<Bytes>,
    beside: Option<Bytes>,
}

impl Repo {
    /// The newest commits beside a branch (REPO-101): those that do not count, and that none which counts comes after.
    pub fn beside(&self, branch: &BranchName) -> Result<Heads, RepoError> {
        Ok(self.read_stand(branch)?.1.beside)
    }

    /// What is beside all branches.
    fn all_beside(&self) -> Result<Vec<(BranchName, Heads)>, RepoError> {
        self.by_branch(&layout::all_beside(self.id()))
    }

    /// What is told to others of each branch (REPO-103): its heads, and what is beside it, as far as a hello lists it.
    pub fn offered(&self) -> Result<Vec<(BranchName, Heads)>, RepoError> {
        let mut offered: BTreeMap<_, _> = self.branches()?.into_iter().collect();
        let mut room = offered.values().map(Heads::len).sum::<usize>();
        room = HEADS_TOTAL_MAX.saturating_sub(room);
        for (branch, beside) in self.all_beside()? {
            let heads = offered.entry(branch).or_default();
            let most = room.min(HEADS_MAX.saturating_sub(heads.len()));
            room -= most.min(beside.len());
            heads.extend(beside.into_iter().take(most));
        }
        Ok(offered.into_iter().collect())
    }

    /// Refuses a branch that is not known yet, beside or not, where there are as many as there may be.
    pub(crate) fn check_names(&self, branch: &BranchName) -> Result<(), RepoError> {
        let offered = self.offered()?;
        if offered.len() < BRANCHES_MAX || offered.iter().any(|(name, _)| name == branch) {
            return Ok(());
        }
        Err(Refusal::TooManyBranches.into())
    }

    /// Whether a commit counts by itself: the key that signed it speaks for its author now, who may do what it does, and it is not
    /// in quarantine (REPO-100).
    pub fn stands(&self, id: CommitId) -> Result<bool, RepoError> {
        self.stands_by(&*self.rights()?, id)
    }

    pub(crate) fn stands_by(&self, rights: &Rights, id: CommitId) -> Result<bool, RepoError> {
        let commit = self.commit(id)?;
        let log = self.agents().key_log(&commit.payload().author)?;
        let speaks = log.standing(commit.signer()) == Some(Standing::Now);
        let note = layout::quarantined(self.id(), id);
        Ok(speaks
            && self.store().get_ref(&note)?.is_none()
            && self.may_now(rights, id, commit.payload())?)
    }

    /// Whether a commit may be a head of a branch by where it was made (REPO-116).
    fn is_of(&self, rights: &Rights, branch: &BranchName, id: CommitId) -> Result<bool, RepoError> {
        let commit = self.commit(id)?;
        Ok(commit.payload().branch == *branch || !rights.is_named_by_commits(branch))
    }

    /// Whether a commit may be a head of a branch by that and by its own history (REPO-112).
    fn is_head(
        &self,
        rights: &Rights,
        branch: &BranchName,
        id: CommitId,
    ) -> Result<bool, RepoError> {
        Ok(self.is_of(rights, branch, id)? && self.is_clean(rights, id)?)
    }

    /// Whether a commit counts (REPO-100): by itself, or as a commit that does answers for it.
    pub fn counts(&self, id: CommitId) -> Result<bool, RepoError> {
        let rights = self.rights()?;
        if self.is_clean(&rights, id)? {
            return Ok(true);
        }
        let tips = self.tips(self.commit(id)?.payload().branch.is_meta())?;
        let saved = self.saved(&rights, &tips, &Heads::from([id]))?;
        Ok(saved.contains(&id))
    }

    /// Refuses commits that do not count.
    pub(crate) fn check_counting(&self, commits: &Heads) -> Result<(), RepoError> {
        for id in commits {
            if !self.counts(*id)? {
                return Err(RepoError::NotCounting(*id));
            }
        }
        Ok(())
    }

    /// Decides anew which commits count, if something was learned of agents through this space since it was last
    /// decided (REPO-104). Whether a branch stands elsewhere now.
    pub fn heed_logs(&self) -> Result<bool, RepoError> {
        let learned = self.agents().learned();
        if self.inner.heeded.load(Ordering::Relaxed) == learned {
            return Ok(false);
        }
        let moved = self.reconsider()?;
        self.inner.heeded.store(learned, Ordering::Relaxed);
        self.heed_rights()?;
        Ok(moved)
    }

    /// Decides anew which commits count (REPO-104). Whether a branch stands elsewhere now.
    pub fn reconsider(&self) -> Result<bool, RepoError> {
        let mut moved = false;
        // What counts on a branch may be beside another one.
        for _ in 0..2 {
            let mut again = false;
            for (branch, _) in self.offered()? {
                again |= self.settle(&branch)?;
            }
            moved |= again;
            if !again {
                break;
            }
        }
        Ok(moved)
    }

    /// Of commits that somebody offers for a branch what counts (REPO-100): the newest of that.
    pub fn counting_of(&self, branch: &BranchName, commits: &Heads) -> Result<Heads, RepoError> {
        Ok(self.stand_with(branch, commits, &Stand::default())?.heads)
    }

    /// After a branch moved: what came with it may have been beside a branch, and counts now; or its signer speaks no
    /// more since somebody looked.
    pub(crate) fn moved_on(
        &self,
        branch: &BranchName,
        (before, next): (&Stand, &Stand),
    ) -> Result<(), RepoError> {
        let rights = self.rights()?;
        for head in next.heads.difference(&before.heads) {
            if !self.is_head(&rights, branch, *head)? {
                let _moved = self.settle(branch)?;
                break;
            }
        }
        if branch.is_meta() {
            self.heed_rights()?;
        }
        let mut all = self.all_beside()?;
        all.retain(|(name, _)| name.is_meta() == branch.is_meta());
        if all.is_empty() {
            return Ok(());
        }
        let rights = self.rights()?;
        // What rests on what counts only now may be beside any branch.
        let (mut passed, mut is_answered) = (Heads::new(), false);
        let led = self.missing(&next.heads, &before.heads)?;
        // What is beside this branch, as it was made on another one, may count.
        let beside = self.missing(&next.beside, &before.all())?;
        for id in led.into_iter().chain(beside) {
            is_answered =
                is_answered || !self.is_clean(&rights, id)? || self.answers_anew(&rights, id)?;
            passed.insert(id);
        }
        for (name, beside) in all {
            if is_answered || !beside.is_disjoint(&passed) {
                let _moved = self.settle(&name)?;
            }
        }
        Ok(())
    }

    /// Decides anew which commits of a branch count. No hook is asked, and no protection: that a key spoke for nobody
    /// any more is no change that somebody makes here.
    pub(crate) fn settle(&self, branch: &BranchName) -> Result<bool, RepoError> {
        let _hold = self.store().uses().hold();
        for _ in 0..TRIES {
            let (raw, before) = self.read_stand(branch)?;
            let stand = self.anew(branch, &before)?;
            if stand == before || !self.may_return(branch, &before, &stand)? {
                return Ok(false);
            }
            let mut batch = Batch::new();
            if stand.heads != before.heads {
                let met: Heads = stand.heads.intersection(&before.heads).copied().collect();
                let new: Vec<CommitId> = stand.heads.difference(&met).copied().collect();
                conflict::record_each(self, branch, &met, &new, &mut batch)?;
                for head in &new {
                    self.observe(self.commit(*head)?.payload().stamp);
                }
                self.put_heads(
                    branch,
                    (raw.heads.clone(), &before.heads),
                    &stand.heads,
                    &mut batch,
                )?;
                let moved = RefMove::new(self.id(), branch, &before.heads, &stand.heads);
                batch.append(moved.of_commits_here().encode()?);
            }
            self.put_beside(branch, (&raw, &before), &stand, &mut batch)?;
            if let BatchOutcome::Done { .. } = self.store().commit(batch)? {
                self.tell_beside(&before.beside, &stand.beside)?;
                return Ok(stand.heads != before.heads);
            }
        }
        Err(RepoError::Contended(branch.clone()))
    }

    /// Commits on top of a branch if one of its heads `needs` it, so that what it has counts whatever becomes of the keys
    /// that signed it (REPO-105). `None` if none does.
    ///
    /// # Errors
    /// Those of a commit by `author`.
    pub fn vouch(
        &self,
        branch: &BranchName,
        needs: &dyn Fn(&Verified<Commit>) -> bool,
        (author, message): (Author<'_>, &str),
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        self.build_on(branch, &Why::Needed(needs), (author, message), now_ms)
    }

    /// Commits on top of a branch and of what is beside it, so that all of that counts. `None` if nothing is beside it.
    ///
    /// # Errors
    /// Those of a commit by `author`.
    pub fn take_in(
        &self,
        branch: &BranchName,
        author: Author<'_>,
        message: &str,
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        self.build_on(branch, &Why::Beside, (author, message), now_ms)
    }

    /// The last of the commits that it takes to name all.
    fn build_on(
        &self,
        branch: &BranchName,
        why: &Why<'_>,
        (author, message): (Author<'_>, &str),
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        let (mut made, mut tries) = (None, 0);
        while tries < TRIES {
            let (raw, stand) = self.read_stand(branch)?;
            let taken = self.needed(branch, &stand, why, (&author, now_ms))?;
            let Some(parents) = taken else {
                return Ok(made);
            };
            // Of many heads some are named at a time, as by any commit.
            let few = stand.heads.len() < PARENTS_MAX;
            let room = PARENTS_MAX.saturating_sub(stand.heads.len());
            let parents = parents.into_iter().take(room).chain(stand.heads.clone());
            let parents = parents.collect();
            let draft = Draft {
                act: Act::Merge,
                branch,
                author,
                message,
                entries: &Entries::new(),
                newest: Stamp::default(),
                blocks: &[],
                merges: few.then_some(&parents),
            };
            let stands = (raw.heads, &stand.heads);
            match self.write(&draft, stands, None, now_ms, Batch::new())? {
                Some(id) if self.needs_another(branch, why, id)? => return Ok(Some(id)),
                Some(id) => made = Some(id),
                None => tries += 1,
            }
        }
        Err(RepoError::Contended(branch.clone()))
    }

    /// Whether a commit that was made for a reason is itself a reason to make one. An error if it did not help.
    fn needs_another(
        &self,
        branch: &BranchName,
        why: &Why<'_>,
        made: CommitId,
    ) -> Result<bool, RepoError> {
        let helped = match why {
            Why::Needed(needs) => return Ok(needs(&*self.commit(made)?)),
            Why::Lost(rights) => self
                .losing(rights, branch, &Heads::from([made]))?
                .is_empty(),
            Why::Beside => self.counts(made)?,
        };
        if helped {
            Ok(false)
        } else {
            Err(Refusal::Rights.into())
        }
    }

    /// What a commit on top of a branch has to have besides its heads, if it is needed at all.
    fn needed(
        &self,
        branch: &BranchName,
        stand: &Stand,
        why: &Why<'_>,
        (author, now_ms): (&Author<'_>, u64),
    ) -> Result<Option<Heads>, RepoError> {
        let is_needed = match why {
            Why::Needed(needs) => {
                let mut is_needed = false;
                for head in &stand.heads {
                    is_needed |= needs(&*self.commit(*head)?);
                }
                is_needed
            }
            Why::Lost(rights) => !self.losing(rights, branch, &stand.heads)?.is_empty(),
            Why::Beside => {
                let rights = self.rights()?;
                let mut taken = Heads::new();
                for id in &stand.beside {
                    if self.may_take_in(&rights, (&author.agent, now_ms), *id)? {
                        taken.insert(*id);
                    }
                }
                if taken.is_empty() && !stand.beside.is_empty() {
                    return Err(Refusal::Rights.into());
                }
                return Ok((!taken.is_empty()).then_some(taken));
            }
        };
        Ok(is_needed.then(Heads::new))
    }

    /// Where a branch stands, as it was stored last.
    pub(crate) fn read_stand(&self, branch: &BranchName) -> Result<(Raw, Stand), RepoError> {
        let (raw, heads) = self.read_heads(branch)?;
        let beside = self.store().get_ref(&layout::beside(self.id(), branch))?;
        let is_beside = beside.as_ref().map(decode_heads).transpose()?;
        let stand = Stand {
            heads,
            beside: is_beside.unwrap_or_default(),
        };
        let raw = Raw { heads: raw, beside };
        Ok((raw, stand))
    }

    /// Adds to `batch` what is beside a branch, where that changes.
    pub(crate) fn put_beside(
        &self,
        branch: &BranchName,
        (raw, before): (&Raw, &Stand),
        stand: &Stand,
        batch: &mut Batch,
    ) -> Result<(), RepoError> {
        if before.beside == stand.beside {
            return Ok(());
        }
        if raw.beside.is_none() {
            self.check_names(branch)?;
        }
        for id in stand.beside.difference(&before.beside) {
            self.rely_on(*id, batch)?;
        }
        let value = (!stand.beside.is_empty()).then(|| encode_heads(&stand.beside));
        let name = layout::beside(self.id(), branch);
        batch.set_ref(name, Expect::read(raw.beside.clone()), value.transpose()?);
        Ok(())
    }

    /// Where a branch stands once these commits have come to it (REPO-101). What was decided before stays so.
    pub(crate) fn stand_with(
        &self,
        branch: &BranchName,
        commits: &Heads,
        before: &Stand,
    ) -> Result<Stand, RepoError> {
        let new = commits.difference(&before.beside);
        let all = before.heads.iter().chain(new).copied().collect();
        let rights = self.rights()?;
        let (mut heads, mut new) = (Heads::new(), Heads::new());
        for id in self.newest_of(&all)? {
            if before.heads.contains(&id) || self.is_head(&rights, branch, id)? {
                heads.insert(id);
            } else {
                new.insert(id);
            }
        }
        let mut beside = before.beside.clone();
        if new.is_empty() {
            return Ok(Stand { heads, beside });
        }
        // What counts may be below what does not.
        heads.extend(&before.heads);
        let below = self.below(&rights, branch, (&new, &all))?;
        heads.extend(self.held_of(&below.counting)?);
        beside.retain(|id| !below.seen.contains(id));
        for id in new {
            let one = Heads::from([id]);
            let is_known = below.counting.contains(&id) || self.has_all(&beside, &one)?;
            if !is_known && beside.len() < BESIDE_MAX {
                beside.insert(id);
            }
        }
        let heads = self.newest_of(&heads)?;
        Ok(Stand { heads, beside })
    }

    /// Where a branch stands by what is known now.
    fn anew(&self, branch: &BranchName, before: &Stand) -> Result<Stand, RepoError> {
        let rights = self.rights()?;
        let (mut heads, mut rest) = (Heads::new(), Heads::new());
        for id in before.all() {
            if self.is_head(&rights, branch, id)? {
                heads.insert(id);
            } else {
                rest.insert(id);
            }
        }
        if rest.is_empty() && before.beside.is_empty() {
            return Ok(before.clone());
        }
        let below = self.below(&rights, branch, (&rest, &before.all()))?;
        let held = self.held_of(&below.counting)?;
        if held != below.counting {
            // Of a part the state before them may not be here: then it goes on with what it has.
            for id in rest.intersection(&before.heads) {
                if self.quarantined(*id)?.is_none() {
                    heads.insert(*id);
                }
            }
        }
        heads.extend(held);
        let heads = self.newest_of(&heads)?;
        if heads.len() > HEADS_MAX {
            // There is no state before what does not count that a branch could have.
            return Ok(before.clone());
        }
        let newest = self.newest_of(&heads.union(&rest).copied().collect())?;
        let beside = newest.difference(&heads).copied();
        // Those that came first stay.
        let (first, then): (Heads, Heads) = beside.partition(|id| before.beside.contains(id));
        let beside = first.into_iter().chain(then).take(BESIDE_MAX).collect();
        Ok(Stand { heads, beside })
    }

    /// Whether a branch may be taken to where it stands by what is known now: one that is protected goes back with what
    /// counts, and not forward with what is no move forward (REPO-91).
    fn may_return(
        &self,
        branch: &BranchName,
        before: &Stand,
        stand: &Stand,
    ) -> Result<bool, RepoError> {
        if before.heads == stand.heads || !self.has_all(&stand.heads, &before.heads)? {
            return Ok(true);
        }
        match self.check_forward(branch, &before.heads, &stand.heads) {
            Ok(()) => Ok(true),
            Err(RepoError::Refused(Refusal::Protected)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is below commits that do not count by themselves; of the branch these are known besides what is stored.
    fn below(
        &self,
        rights: &Rights,
        branch: &BranchName,
        (from, known): (&Heads, &Heads),
    ) -> Result<Below, RepoError> {
        let (mut counting, mut seen) = (Heads::new(), from.clone());
        let mut open: VecDeque<CommitId> = from.iter().copied().collect();
        while let Some(id) = open.pop_front() {
            for parent in &self.commit(id)?.payload().parents {
                if seen.contains(parent) || counting.contains(parent) {
                    continue;
                }
                match self.is_head(rights, branch, *parent) {
                    Ok(true) => drop(counting.insert(*parent)),
                    Ok(false) => {
                        seen.insert(*parent);
                        open.push_back(*parent);
                    }
                    Err(RepoError::NoCommit(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if !from.is_empty() {
            let mut tips = self.tips(branch.is_meta())?;
            tips.extend(known);
            for id in self.saved(rights, &tips, &seen)? {
                if seen.contains(&id) && self.is_of(rights, branch, id)? {
                    counting.insert(id);
                }
            }
        }
        Ok(Below { counting, seen })
    }

    /// The newest commits that are known, of `meta` or of all other branches.
    pub(crate) fn tips(&self, of_meta: bool) -> Result<Heads, RepoError> {
        let (branches, beside) = (self.branches()?, self.all_beside()?);
        let all = branches.into_iter().chain(beside);
        let all = all.filter(|(name, _)| name.is_meta() == of_meta);
        Ok(all.flat_map(|(_, commits)| commits).collect())
    }
}
