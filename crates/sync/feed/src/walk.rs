//! The events of one move, in order.

use std::sync::Arc;

use allod_identity::Verified;
use allod_repo::{Changes, Commit, CommitId, Entry, Heads, Repo, RepoError, SpaceId, State};
use bytes::Bytes;

use crate::cursor::Within;
use crate::event::{ChangedBy, Event, Order, Told};
use crate::filter::{Filter, Kind};
use crate::moves::{Course, Move};
use crate::reader::says_missing;

/// One step of a walk.
pub(crate) enum Walked {
    /// The next event.
    Event(Box<Event>),
    /// Something that the filter keeps back.
    Passed,
    /// There is no more.
    Over,
}

/// A walk over the events of a move.
#[derive(Debug)]
pub(crate) struct Walk {
    repo: Repo,
    moved: Arc<Move>,
    stage: Stage,
    /// What was told or passed over last.
    pub(crate) last: Option<Within>,
}

/// What comes next.
#[derive(Debug)]
enum Stage {
    Move,
    /// The commit at a place.
    Commit(usize),
    /// The changes of the commit at a place, those up to a key passed over.
    Changes(usize, Option<Bytes>),
    InChanges(usize, Box<OfCommit>),
    /// The changes that are the move's own, those up to a key passed over.
    Own(Option<Bytes>),
    InOwn(Box<Changes>, u64, Option<Bytes>),
    Over,
}

#[derive(Debug)]
struct OfCommit {
    id: CommitId,
    commit: Arc<Verified<Commit>>,
    changes: Changes,
    count: u64,
    /// Up to here they were told before.
    after: Option<Bytes>,
}

impl Walk {
    /// From its beginning, or after what was told of it last.
    pub(crate) fn new(repo: Repo, moved: Arc<Move>, last: Option<Within>) -> Self {
        let first = || match moved.course {
            Course::Forward => Stage::Commit(0),
            Course::Elsewhere | Course::Alone => Stage::Move,
        };
        let place = |id: &CommitId| moved.commits.iter().position(|known| known == id);
        let stage = match &last {
            None => Some(first()),
            Some(Within::Move) => Some(match moved.course {
                Course::Alone => Stage::Over,
                Course::Forward | Course::Elsewhere => Stage::Commit(0),
            }),
            Some(Within::Commit(id, key)) => place(id).map(|at| Stage::Changes(at, key.clone())),
            Some(Within::Change(key)) if moved.course == Course::Elsewhere => {
                Some(Stage::Own(Some(key.clone())))
            }
            Some(Within::Change(_)) => None,
        };
        // What is not in the move was told of another one in its place (FEED-11).
        let (stage, last) = match stage {
            Some(stage) => (stage, last),
            None => (first(), None),
        };
        Self {
            repo,
            moved,
            stage,
            last,
        }
    }

    /// Whether an error comes of a commit that is not kept any more.
    pub(crate) fn is_gone(&self, error: &RepoError) -> Result<bool, RepoError> {
        if !says_missing(error) {
            return Ok(false);
        }
        for id in self.moved.commits.iter().chain(&self.moved.said.from) {
            if !self.repo.has_commit(*id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn step(&mut self, filter: &Filter) -> Result<Walked, RepoError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => Ok(Walked::Over),
            Stage::Move => self.tell_move(filter),
            Stage::Commit(at) => self.tell_commit(at, filter),
            Stage::Changes(at, after) => self.enter_changes(at, after, filter),
            Stage::InChanges(at, of) => self.tell_change(at, of, filter),
            Stage::Own(after) => {
                self.enter_own(after, filter)?;
                Ok(Walked::Passed)
            }
            Stage::InOwn(differences, count, after) => {
                self.tell_own(differences, (count, after), filter)
            }
        }
    }

    /// The space that the move is of.
    pub(crate) fn space(&self) -> SpaceId {
        self.moved.said.space
    }

    fn event(&self, commit: usize, change: u64, told: Told) -> Walked {
        Walked::Event(Box::new(Event {
            space: self.moved.said.space,
            branch: self.moved.said.branch.clone(),
            order: Order {
                position: self.moved.position,
                commit: commit as u64,
                change,
            },
            told,
        }))
    }

    fn tell_move(&mut self, filter: &Filter) -> Result<Walked, RepoError> {
        self.last = Some(Within::Move);
        if self.moved.course == Course::Elsewhere {
            self.stage = Stage::Commit(0);
        }
        let mut is_told = filter.wants_kind(Kind::Move) && !filter.has_writers();
        if is_told && filter.has_keys() && self.moved.course == Course::Elsewhere {
            is_told = false;
            for changed in self.own()?.into_iter().flatten() {
                if filter.wants_key(&changed?.0) {
                    is_told = true;
                    break;
                }
            }
        }
        if !is_told {
            return Ok(Walked::Passed);
        }
        let said = &self.moved.said;
        let (from, to) = (said.from.clone(), said.to.clone());
        Ok(self.event(0, 0, Told::Move { from, to }))
    }

    fn tell_commit(&mut self, at: usize, filter: &Filter) -> Result<Walked, RepoError> {
        let Some(id) = self.moved.commits.get(at).copied() else {
            if self.moved.course == Course::Elsewhere {
                self.stage = Stage::Own(None);
            }
            return Ok(Walked::Passed);
        };
        let commit = self.repo.commit(id)?;
        self.last = Some(Within::Commit(id, None));
        self.stage = Stage::Commit(at + 1);
        if !filter.wants_writer(&commit.payload().author, commit.signer()) {
            return Ok(Walked::Passed);
        }
        if self.moved.course == Course::Forward {
            self.stage = Stage::Changes(at, None);
        }
        if !filter.wants_kind(Kind::Commit) {
            return Ok(Walked::Passed);
        }
        let mut is_bare = false;
        if filter.has_keys() {
            let Some(changes) = self.changes(id)? else {
                return Ok(Walked::Passed);
            };
            let mut touches = false;
            for change in changes {
                if filter.wants_key(&change?.0) {
                    touches = true;
                    break;
                }
            }
            if !touches {
                return Ok(Walked::Passed);
            }
        } else if self.repo.part().is_some() {
            is_bare = self.changes(id)?.is_none();
        }
        let told = Told::Commit {
            id,
            commit,
            is_bare,
        };
        Ok(self.event(at + 1, 0, told))
    }

    /// What a commit changed; `None` where only statements are here (FEED-6).
    fn changes(&self, id: CommitId) -> Result<Option<Changes>, RepoError> {
        match self.repo.changes(id) {
            Err(RepoError::Bare(_)) => Ok(None),
            changes => changes.map(Some),
        }
    }

    fn enter_changes(
        &mut self,
        at: usize,
        after: Option<Bytes>,
        filter: &Filter,
    ) -> Result<Walked, RepoError> {
        self.stage = Stage::Commit(at + 1);
        let Some(id) = self.moved.commits.get(at).copied() else {
            return Ok(Walked::Passed);
        };
        let commit = self.repo.commit(id)?;
        let is_told = self.moved.course == Course::Forward
            && filter.wants_kind(Kind::Change)
            && filter.wants_writer(&commit.payload().author, commit.signer());
        if is_told && let Some(changes) = self.changes(id)? {
            let of = OfCommit {
                id,
                commit,
                changes,
                count: 0,
                after,
            };
            self.stage = Stage::InChanges(at, Box::new(of));
        }
        Ok(Walked::Passed)
    }

    fn tell_change(
        &mut self,
        at: usize,
        mut of: Box<OfCommit>,
        filter: &Filter,
    ) -> Result<Walked, RepoError> {
        let Some((key, entry)) = of.changes.next().transpose()? else {
            self.stage = Stage::Commit(at + 1);
            return Ok(Walked::Passed);
        };
        of.count += 1;
        let is_past = of.after.as_ref().is_none_or(|after| key > *after);
        let mut walked = Walked::Passed;
        if is_past {
            self.last = Some(Within::Commit(of.id, Some(key.clone())));
            if filter.wants_key(&key) {
                let by = ChangedBy::Commit {
                    id: of.id,
                    commit: Arc::clone(&of.commit),
                };
                let told = change(key, entry, by);
                walked = self.event(at + 1, of.count, told);
            }
        }
        self.stage = Stage::InChanges(at, of);
        Ok(walked)
    }

    /// What differs between the states before and after; `None` where they are not here (FEED-6).
    fn own(&self) -> Result<Option<Changes>, RepoError> {
        let heads = |ids: &[CommitId]| ids.iter().copied().collect::<Heads>();
        let state = |ids: &[CommitId]| match self.repo.together(&heads(ids)) {
            Err(RepoError::Bare(_)) => Ok(None),
            state => state.map(Some),
        };
        let said = &self.moved.said;
        let both = state(&said.from)?.zip(state(&said.to)?);
        Ok(both.map(|(before, after)| before.changes_to(&after)))
    }

    fn enter_own(&mut self, after: Option<Bytes>, filter: &Filter) -> Result<(), RepoError> {
        if filter.wants_kind(Kind::Change)
            && !filter.has_writers()
            && let Some(changes) = self.own()?
        {
            self.stage = Stage::InOwn(Box::new(changes), 0, after);
        }
        Ok(())
    }

    fn tell_own(
        &mut self,
        mut changes: Box<Changes>,
        (count, after): (u64, Option<Bytes>),
        filter: &Filter,
    ) -> Result<Walked, RepoError> {
        let Some((key, entry)) = changes.next().transpose()? else {
            return Ok(Walked::Passed);
        };
        let count = count + 1;
        let mut walked = Walked::Passed;
        if after.as_ref().is_none_or(|after| key > *after) {
            self.last = Some(Within::Change(key.clone()));
            if filter.wants_key(&key) {
                let told = change(key, entry, ChangedBy::Move);
                let after_all = self.moved.commits.len() + 1;
                walked = self.event(after_all, count, told);
            }
        }
        self.stage = Stage::InOwn(changes, count, after);
        Ok(walked)
    }
}

/// What is told of a key that has this entry now.
fn change(key: Bytes, entry: Option<Entry>, by: ChangedBy) -> Told {
    Told::Change {
        key,
        stamp: entry.as_ref().map(|entry| entry.stamp),
        state: entry.map_or(State::Tombstone, |entry| entry.state),
        by,
    }
}
