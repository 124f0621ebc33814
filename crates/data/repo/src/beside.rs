//! Commits that do not count: they stay beside their branch until one that does comes after them (REPO-100 to REPO-104).

mod judging;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;

use allod_blocks::{Batch, BatchOutcome, Expect};
use allod_identity::{Standing, Verified};
use bytes::Bytes;

use crate::conflict;
use crate::error::RepoError;
use crate::event::RefMove;
use crate::hooks::Act;
use crate::ids::{BranchName, CommitId};
use crate::layout;
use crate::repo::{
    Author, BRANCHES_MAX, HEADS_MAX, HEADS_TOTAL_MAX, Heads, Repo, decode_heads, encode_heads,
};
use crate::stamp::Stamp;
use crate::statements::{Commit, PARENTS_MAX};
use crate::write::{Draft, Entries, TRIES};

pub(crate) use judging::sweep_notes;
pub use judging::{Judge, Judgement};

/// The newest commits that are kept beside a branch (REPO-102).
pub const BESIDE_MAX: usize = 64;

/// Commits below one that does not count that are looked at (REPO-101): a fifth of a second.
const BELOW_MAX: usize = 65_536;

/// Where a branch stands: its heads, and the newest commits beside it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Stand {
    pub(crate) heads: Heads,
    pub(crate) beside: Heads,
}

impl Stand {
    pub(crate) fn all(&self) -> Heads {
        self.heads.union(&self.beside).copied().collect()
    }
}

/// Why somebody commits on top of a branch without a change.
enum Why<'a> {
    /// For one of its heads.
    Needed(&'a dyn Fn(&Verified<Commit>) -> bool),
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
        let (_, stand) = self.read_stand(branch)?;
        if stand.beside.is_empty() {
            return Ok(stand.beside);
        }
        let newest = self.newest_of(&stand.all())?;
        Ok(newest.intersection(&stand.beside).copied().collect())
    }

    /// What is told to others of each branch (REPO-103): its heads, and what is beside it.
    pub fn offered(&self) -> Result<Vec<(BranchName, Heads)>, RepoError> {
        let mut offered: BTreeMap<_, _> = self.branches()?.into_iter().collect();
        let prefix = layout::all_beside(self.id());
        let page = self.store().scan_refs(&prefix, None, BRANCHES_MAX)?;
        let mut room = offered.values().map(Heads::len).sum::<usize>();
        room = HEADS_TOTAL_MAX.saturating_sub(room);
        for (name, _) in page {
            let name = std::str::from_utf8(&name[prefix.len()..]).ok();
            let branch: Option<BranchName> = name.and_then(|name| name.parse().ok());
            let branch = branch.ok_or(RepoError::Damaged("a stored branch name is malformed"))?;
            let beside = self.beside(&branch)?;
            if beside.is_empty()
                || (!offered.contains_key(&branch) && offered.len() >= BRANCHES_MAX)
            {
                continue;
            }
            let heads = offered.entry(branch).or_default();
            let most = room.min(HEADS_MAX.saturating_sub(heads.len()));
            room -= most.min(beside.len());
            heads.extend(beside.into_iter().take(most));
        }
        Ok(offered.into_iter().collect())
    }

    /// Whether a commit counts by itself: the key that signed it speaks for its author now, and it is not in quarantine
    /// (REPO-100).
    pub fn stands(&self, id: CommitId) -> Result<bool, RepoError> {
        let commit = self.commit(id)?;
        let log = self.agents().key_log(&commit.payload().author)?;
        let speaks =
            log.equivocation().is_none() && log.standing(commit.signer()) == Some(Standing::Now);
        Ok(speaks
            && self
                .store()
                .get_ref(&layout::quarantined(self.id(), id))?
                .is_none())
    }

    /// Whether a commit counts (REPO-100): by itself, or as a commit that does is built on it.
    pub fn counts(&self, id: CommitId) -> Result<bool, RepoError> {
        if self.stands(id)? {
            return Ok(true);
        }
        let is_meta = self.commit(id)?.payload().branch.is_meta();
        let branches = self.branches()?.into_iter();
        let branches = branches.filter(|(name, _)| name.is_meta() == is_meta);
        let heads = branches.flat_map(|(_, heads)| heads).collect();
        self.has_all(&heads, &Heads::from([id]))
    }

    /// Decides anew which commits count, if something was learned of agents through this space since it was last
    /// decided (REPO-104). Whether a branch stands elsewhere now.
    pub fn heed_logs(&self) -> Result<bool, RepoError> {
        let learned = self.agents().learned();
        if self.inner.heeded.swap(learned, Ordering::Relaxed) == learned {
            return Ok(false);
        }
        self.reconsider()
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

    /// Decides anew which commits of a branch count. No hook is asked, and no protection: that a key spoke for nobody
    /// any more is no change that somebody makes here.
    pub(crate) fn settle(&self, branch: &BranchName) -> Result<bool, RepoError> {
        let _hold = self.store().uses().hold();
        for _ in 0..TRIES {
            let (raw, before) = self.read_stand(branch)?;
            let stand = self.stand_of(branch, &before.all(), &Stand::default())?;
            if stand == before {
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
            let mut parents = Heads::new();
            let is_needed = match why {
                Why::Beside => {
                    parents = self.beside(branch)?;
                    !parents.is_empty()
                }
                Why::Needed(needs) => {
                    let mut is_needed = false;
                    for head in &stand.heads {
                        is_needed |= needs(&*self.commit(*head)?);
                    }
                    is_needed
                }
            };
            if !is_needed {
                return Ok(made);
            }
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
                Some(id) => made = Some(id),
                None => tries += 1,
            }
            let _moved = self.settle(branch)?;
        }
        Err(RepoError::Contended(branch.clone()))
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
        for id in stand.beside.difference(&before.beside) {
            self.rely_on(*id, batch)?;
        }
        let value = (!stand.beside.is_empty()).then(|| encode_heads(&stand.beside));
        let name = layout::beside(self.id(), branch);
        batch.set_ref(name, Expect::read(raw.beside.clone()), value.transpose()?);
        Ok(())
    }

    /// Where a branch stands that has these commits and what is before them (REPO-101). What was `decided` already is not
    /// looked at once more.
    pub(crate) fn stand_of(
        &self,
        branch: &BranchName,
        commits: &Heads,
        decided: &Stand,
    ) -> Result<Stand, RepoError> {
        let (mut heads, mut beside) = (Heads::new(), Heads::new());
        let all = commits.union(&decided.all()).copied().collect();
        for id in self.newest_of(&all)? {
            if decided.heads.contains(&id) || self.stands(id)? {
                heads.insert(id);
            } else {
                beside.insert(id);
            }
        }
        if beside.is_empty() {
            return Ok(Stand { heads, beside });
        }
        // What counts may be below what does not.
        heads.extend(&decided.heads);
        let known = &decided.beside;
        let new: Heads = beside.difference(known).copied().collect();
        let below = self.counting_below(branch, &new)?;
        if self.held_of(&below)? != below {
            // Of a part the state before them may not be here.
            heads.append(&mut beside);
            return Ok(Stand { heads, beside });
        }
        beside.retain(|id| !below.contains(id));
        heads.extend(below);
        let heads = self.newest_of(&heads)?;
        let most = BESIDE_MAX.min(HEADS_MAX.saturating_sub(heads.len()));
        // Those that are here already stay.
        let (here, new): (Heads, Heads) = beside.iter().partition(|id| known.contains(id));
        let beside = here.into_iter().chain(new).take(most).collect();
        Ok(Stand { heads, beside })
    }

    /// The first commits that count on each way down from some that do not by themselves; these too, if they are before
    /// what counts on another branch.
    fn counting_below(&self, branch: &BranchName, from: &Heads) -> Result<Heads, RepoError> {
        let (mut counting, mut seen) = (Heads::new(), from.clone());
        if from.is_empty() {
            return Ok(counting);
        }
        let mut open: VecDeque<CommitId> = from.iter().copied().collect();
        while let Some(id) = open.pop_front() {
            if seen.len() > BELOW_MAX {
                break;
            }
            for parent in &self.commit(id)?.payload().parents {
                if seen.contains(parent) || counting.contains(parent) {
                    continue;
                }
                match self.stands(*parent) {
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
        let mut elsewhere = self.standing_elsewhere(branch)?;
        if !elsewhere.is_empty() {
            elsewhere.extend(&counting);
            let apart: Heads = self.missing(from, &elsewhere)?.into_iter().collect();
            counting.extend(seen.difference(&apart));
        }
        Ok(counting)
    }

    /// The heads of the other branches that count by themselves.
    fn standing_elsewhere(&self, branch: &BranchName) -> Result<Heads, RepoError> {
        let mut standing = Heads::new();
        for (name, heads) in self.branches()? {
            for head in heads {
                let may = name != *branch && name.is_meta() == branch.is_meta();
                if may && self.stands(head)? {
                    standing.insert(head);
                }
            }
        }
        Ok(standing)
    }
}
