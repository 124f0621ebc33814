//! The files that the commit at hand links to, fetched together with other sessions of this node (SYNC-18).

use allod_blocks::{Block, Cid};
use allod_repo::{BranchName, CommitId, Complete, Rejected, Repo};

use super::{Current, Inbound};
use crate::limits::{PARTS_WANTED_BYTES, PARTS_WANTED_MAX};
use crate::message::Message;
use crate::session::{Fault, Refused, Stats};

/// How large a part of a file is thought to be before one came: as large as most are.
pub(super) const PART_BYTES: usize = 1024 * 1024;

/// Missing blocks that are looked up at a time: 6 MiB of names.
const FETCH_SCAN_MAX: usize = 65_536;

/// By how much the latest part changes what is thought of the next one: a 16th.
const PART_BYTES_OLD: usize = 15;

/// Blocks still to be had for a commit.
#[derive(Debug, Default)]
pub(super) struct Todo {
    /// To be asked for, the next one last.
    next: Vec<Cid>,
    /// Passed over, as another session had asked for them.
    passed: Vec<Cid>,
}

impl Todo {
    const fn is_empty(&self) -> bool {
        self.next.is_empty() && self.passed.is_empty()
    }
}

impl Inbound {
    /// Asks for what the commit links to; accepts it once everything is there (SYNC-9).
    pub(super) fn fetch(
        &mut self,
        repo: &Repo,
        (complete, branch): (Box<Complete>, BranchName),
        mut todo: Todo,
        send: &mut Vec<Message>,
        stats: &mut Stats,
    ) -> Result<bool, Fault> {
        let id = complete.id();
        if self.was_accepted_elsewhere(repo, id)? {
            self.came.insert(id);
            self.want_no_more();
            return Ok(true);
        }
        if !todo.is_empty() || !self.wanted.is_empty() {
            let names = self.choose(repo, &mut todo)?;
            if !names.is_empty() {
                self.wanted.extend(names.iter().copied());
                self.ask(names, send);
            }
            // All the rest may have come from elsewhere.
            let again = todo.is_empty() && self.wanted.is_empty();
            self.current = Current::Fetching {
                complete,
                branch,
                todo,
            };
            return Ok(again);
        }
        // Everything asked for has come: see whether it brought links to more.
        self.flush(repo)?;
        self.claimed.look();
        let missing = match repo.missing_of(&complete, FETCH_SCAN_MAX) {
            Ok(missing) => missing,
            Err(Rejected::Refused(refusal)) => {
                send.push(stats.refuse(Refused::new(id, refusal)));
                return Ok(true);
            }
            Err(Rejected::Fault(fault)) => return Err(fault.into()),
        };
        if missing.blocks.is_empty() {
            self.came.insert(id);
            let accepted = if self.scope.apart.is_some() && !branch.is_meta() {
                repo.accept_apart(*complete, &branch).map(drop)
            } else {
                repo.accept(*complete, &branch)
            };
            match accepted {
                Ok(()) => stats.commits_in += 1,
                Err(Rejected::Refused(refusal)) => {
                    send.push(stats.refuse(Refused::new(id, refusal)));
                }
                Err(Rejected::Fault(fault)) => return Err(fault.into()),
            }
            return Ok(true);
        }
        let indexes = missing.indexes.into_iter();
        let untold = indexes.filter(|cid| self.opened.insert(*cid));
        self.untold.extend(untold);
        todo.next = missing.blocks;
        self.current = Current::Fetching {
            complete,
            branch,
            todo,
        };
        Ok(true)
    }

    /// What to ask the peer for now: what no other session has asked for, and once nothing else is left and
    /// the peer has answered everything, some of that all the same.
    fn choose(&mut self, repo: &Repo, todo: &mut Todo) -> Result<Vec<Cid>, Fault> {
        let mut names = self.choose_unclaimed(repo, todo)?;
        if names.is_empty() && self.outstanding() == 0 && !todo.passed.is_empty() {
            self.look_at_passed(repo, todo)?;
            names = self.choose_unclaimed(repo, todo)?;
            // Nothing is on its way here, so without this nothing would wake this session any more.
            if names.is_empty() && self.outstanding() == 0 {
                names = self.choose_passed(todo);
            }
        }
        Ok(names)
    }

    fn choose_unclaimed(&mut self, repo: &Repo, todo: &mut Todo) -> Result<Vec<Cid>, Fault> {
        let most = self.parts_wanted() / 2;
        let mut names = Vec::new();
        while self.outstanding() <= most
            && names.len() < most
            && let Some(cid) = todo.next.pop()
        {
            let is_claimed = self.claimed.claim(cid);
            if self.stale.remove(&cid) {
                // On its way already, for a commit that was refused meanwhile.
                self.wanted.insert(cid);
            } else if !is_claimed {
                todo.passed.push(cid);
            } else if self.claimed.is_outdated() && repo.store().has(&cid)? {
                self.claimed.let_go(&cid);
            } else {
                names.push(cid);
            }
        }
        Ok(names)
    }

    /// Drops what came meanwhile of what was passed over, and takes back what nobody claims any more.
    fn look_at_passed(&mut self, repo: &Repo, todo: &mut Todo) -> Result<(), Fault> {
        // Others look as well, and are to find what came here.
        self.flush(repo)?;
        for cid in std::mem::take(&mut todo.passed) {
            if repo.store().has(&cid)? {
                continue;
            }
            match self.claimed.asked_elsewhere(&cid) {
                Some(_) => todo.passed.push(cid),
                None => todo.next.push(cid),
            }
        }
        todo.next.reverse();
        Ok(())
    }

    /// Some of what was passed over: of what the fewest have asked for the last, which comes last from whoever
    /// asked for it. These few are what may come twice of a peer that is as fast as this one; of one that
    /// is slow or gone it is all that it was asked for.
    fn choose_passed(&mut self, todo: &mut Todo) -> Vec<Cid> {
        let most = (self.parts_wanted() / 4).max(1);
        let asked = |cid: &Cid| self.claimed.asked_elsewhere(cid).unwrap_or(0);
        let fewest = todo.passed.iter().map(asked).min().unwrap_or(0);
        let mut names = Vec::new();
        for cid in std::mem::take(&mut todo.passed).into_iter().rev() {
            let is_next = self.claimed.asked_elsewhere(&cid).unwrap_or(0) <= fewest;
            if is_next && names.len() < most {
                self.claimed.ask_too(cid);
                names.push(cid);
            } else {
                todo.passed.push(cid);
            }
        }
        todo.passed.reverse();
        names
    }

    /// How many parts may be on their way.
    fn parts_wanted(&self) -> usize {
        (PARTS_WANTED_BYTES / self.part_bytes.max(1)).min(PARTS_WANTED_MAX)
    }

    /// A part of a file came: whether it is to be kept.
    pub(super) fn take_part(&mut self, repo: &Repo, block: &Block) -> Result<bool, Fault> {
        let bytes = block.bytes().len();
        self.part_bytes = (self.part_bytes * PART_BYTES_OLD + bytes) / (PART_BYTES_OLD + 1);
        if self.claimed.is_outdated() && repo.store().has(block.cid())? {
            self.claimed.let_go(block.cid());
            return Ok(false);
        }
        self.claimed.arrived(block.cid());
        Ok(true)
    }

    /// Whether a part of a file that the peer lacks is here all the same.
    pub(super) fn came_from_elsewhere(&self, repo: &Repo, cid: &Cid) -> Result<bool, Fault> {
        let is_part = matches!(self.current, Current::Fetching { .. });
        Ok(is_part && repo.store().has(cid)?)
    }

    /// Whether another session was faster with the commit. A replica of a part has commits of which it lacks the
    /// entries, and one that takes all anew has them already.
    fn was_accepted_elsewhere(&self, repo: &Repo, id: CommitId) -> Result<bool, Fault> {
        let tells = repo.part().is_none() && !self.scope.anew;
        Ok(tells && self.claimed.is_outdated() && repo.is_held(id)?)
    }

    /// What is on its way is not waited for any more.
    pub(crate) fn want_no_more(&mut self) {
        self.stale.append(&mut self.wanted);
        self.claimed.let_all_go();
    }
}
