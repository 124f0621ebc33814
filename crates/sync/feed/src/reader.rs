//! Reading the log from a cursor on, event by event.

use std::collections::VecDeque;
use std::sync::Arc;

use allod_blocks::LogEntry;
use allod_repo::{RefMove, RepoError};

use crate::cursor::{Check, Cursor, Place, Within};
use crate::error::FeedError;
use crate::event::Event;
use crate::feed::{Feed, Spaces};
use crate::filter::Filter;
use crate::snapshot::Snapshot;
use crate::walk::{Walk, Walked};

/// Events of a page at most (FEED, "Limits").
pub const PAGE_EVENTS_MAX: usize = 1024;

/// Bytes of a page at most, but for its first event: what is held for a consumer while it is slow.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// What is passed over before the caller is asked whether to go on: some milliseconds of work.
const PASSED_MAX: usize = 4096;

/// Log entries read at a time.
const ENTRIES: usize = 64;

/// Some events, and where they end.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Of each event, the cursor after it.
    pub cursors: Vec<Cursor>,
    /// The cursor after them, and after all that the filter kept back before the next one.
    pub next: Cursor,
    /// Whether there is no more now. If not, there may be, also if the page is empty.
    pub is_end: bool,
}

/// One step of a [`Reader`].
enum Step {
    Event(Box<Event>),
    /// Something was passed over.
    Passed,
    /// There is no more now.
    End,
}

/// Reads a log from a cursor on. It holds a place, and no more than a few nodes of trees; it may be dropped at
/// any time and made anew from [`cursor`](Self::cursor).
#[derive(Debug)]
pub struct Reader {
    feed: Feed,
    filter: Arc<Filter>,
    position: u64,
    /// Of the entry before the position.
    check: Option<Check>,
    at: At,
    entries: VecDeque<LogEntry>,
}

#[derive(Debug)]
enum At {
    /// Before the move at the position, or somewhere in it.
    Log(Option<Within>),
    Move(Box<Walk>, Check),
    Snapshot(Box<Snapshot>),
}

impl Reader {
    pub(crate) fn new(feed: Feed, from: Cursor, filter: Arc<Filter>) -> Self {
        let at = match from.place {
            Place::Before => At::Log(None),
            Place::In(within) => At::Log(Some(within)),
            Place::At(shown) => At::Snapshot(Box::new(Snapshot::new(shown))),
        };
        Self {
            feed,
            filter,
            position: from.position,
            check: from.check,
            at,
            entries: VecDeque::new(),
        }
    }

    /// Where it is: after the last event that it gave.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let within = |within: &Option<Within>| within.clone().map_or(Place::Before, Place::In);
        Cursor {
            epoch: self.feed.epoch(),
            position: self.position,
            check: self.check,
            place: match &self.at {
                At::Log(last) => within(last),
                At::Move(walk, _) => within(&walk.last),
                At::Snapshot(snapshot) => Place::At(snapshot.last.clone()),
            },
        }
    }

    /// The next events: at most so many, and so many bytes, but one at least if there is one close by.
    ///
    /// # Errors
    /// [`FeedError::Expired`] if what comes next is not kept any more. After any error it is where it was after the
    /// last page.
    pub fn page(
        &mut self,
        spaces: &dyn Spaces,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Page, FeedError> {
        let before = self.cursor();
        self.page_from(spaces, events_max, bytes_max)
            .inspect_err(|_error| {
                *self = Self::new(self.feed.clone(), before, Arc::clone(&self.filter));
            })
    }

    fn page_from(
        &mut self,
        spaces: &dyn Spaces,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Page, FeedError> {
        self.ask_reach(spaces)?;
        let (mut events, mut cursors) = (Vec::new(), Vec::new());
        let (mut bytes, mut passed) = (0, 0);
        let mut is_end = false;
        while events.len() < events_max.clamp(1, PAGE_EVENTS_MAX)
            && bytes < bytes_max.min(PAGE_BYTES_MAX)
            && passed < PASSED_MAX
        {
            let step = match self.step(spaces) {
                // What was read before is told; the error comes with the next page.
                Err(_) if let Some(last) = cursors.last() => {
                    *self = Self::new(
                        self.feed.clone(),
                        Cursor::clone(last),
                        Arc::clone(&self.filter),
                    );
                    break;
                }
                step => step?,
            };
            match step {
                Step::Event(event) => {
                    bytes += event.bytes();
                    events.push(*event);
                    cursors.push(self.cursor());
                }
                Step::Passed => passed += 1,
                Step::End => {
                    is_end = true;
                    break;
                }
            }
        }
        Ok(Page {
            events,
            cursors,
            next: self.cursor(),
            is_end,
        })
    }

    /// Leaves the space that it is within if that is no longer meant for whom the filter asks: a page takes moments, and
    /// what it belongs to may take hours.
    fn ask_reach(&mut self, spaces: &dyn Spaces) -> Result<(), FeedError> {
        if !self.filter.has_reach() {
            return Ok(());
        }
        let wants = |space| -> Result<bool, FeedError> {
            let repo = spaces.repo(space)?;
            let reach = repo.map(|repo| repo.reach()).transpose()?;
            Ok(reach.is_some_and(|reach| self.filter.wants_reach(reach)))
        };
        match &mut self.at {
            At::Log(_) => {}
            At::Move(walk, check) => {
                if !wants(walk.space())? {
                    let check = *check;
                    self.pass(check);
                }
            }
            At::Snapshot(snapshot) => {
                if let Some(space) = snapshot.space()
                    && !wants(space)?
                {
                    snapshot.leave();
                }
            }
        }
        Ok(())
    }

    /// Goes on to a position where nothing of what was passed over is for this consumer, as somebody says who looked.
    pub(crate) fn skip_to(&mut self, cursor: &Cursor) {
        if cursor.position > self.position && matches!(self.at, At::Log(None)) {
            self.position = cursor.position;
            self.check = cursor.check;
            self.entries.clear();
        }
    }

    fn step(&mut self, spaces: &dyn Spaces) -> Result<Step, FeedError> {
        match &mut self.at {
            At::Snapshot(snapshot) => {
                match snapshot.step((&self.feed, spaces), self.position, &self.filter)? {
                    Walked::Event(event) => return Ok(Step::Event(event)),
                    Walked::Passed => {}
                    Walked::Over => self.at = At::Log(None),
                }
                Ok(Step::Passed)
            }
            At::Move(walk, check) => {
                match walk.step(&self.filter) {
                    Err(error) if walk.is_gone(&error)? => {
                        return Err(self.feed.expired("a commit is not kept any more")?);
                    }
                    walked => match walked? {
                        Walked::Event(event) => return Ok(Step::Event(event)),
                        Walked::Passed => {}
                        Walked::Over => {
                            let check = *check;
                            self.pass(check);
                        }
                    },
                }
                Ok(Step::Passed)
            }
            At::Log(last) => {
                let last = last.clone();
                self.enter(spaces, last)
            }
        }
    }

    /// Goes into the move at the position, or past it.
    fn enter(&mut self, spaces: &dyn Spaces, last: Option<Within>) -> Result<Step, FeedError> {
        if self.position >= self.feed.log_end().get() {
            return Ok(Step::End);
        }
        if self.entries.is_empty() {
            self.entries = self.feed.store().read_log(self.position, ENTRIES)?.into();
        }
        let entry = self.entries.pop_front();
        let Some(entry) = entry.filter(|entry| entry.position == self.position) else {
            return Err(self.feed.expired("the log begins after it")?);
        };
        let check = Check::of(&entry.bytes);
        let said = RefMove::decode(&entry.bytes)?;
        let mut repo = None;
        if self.filter.wants_branch(said.space, &said.branch) {
            repo = spaces.repo(said.space)?;
        }
        if self.filter.has_reach()
            && let Some(found) = &repo
            && !self.filter.wants_reach(found.reach()?)
        {
            repo = None;
        }
        let Some(repo) = repo else {
            self.pass(check);
            return Ok(Step::Passed);
        };
        let moved = self.feed.moves().get(&repo, self.position, &said)?;
        let Some(moved) = moved else {
            return Err(self.feed.expired("a commit is not kept any more")?);
        };
        self.at = At::Move(Box::new(Walk::new(repo, moved, last)), check);
        Ok(Step::Passed)
    }

    fn pass(&mut self, check: Check) {
        self.position += 1;
        self.check = Some(check);
        self.at = At::Log(None);
    }
}

/// Whether an error says that something is not here which was.
pub(crate) const fn says_missing(error: &RepoError) -> bool {
    matches!(
        error,
        RepoError::NoCommit(_) | RepoError::Missing(_) | RepoError::Tree(_)
    )
}
