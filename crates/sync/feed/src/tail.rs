//! Consumers that wait for what comes next (FEED-40).
//!
//! One pass over each new move tells who is to be woken. A thousand consumers that it does not concern cost a
//! comparison each, and none of them a thread, a queue or a read.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use allod_repo::{RefMove, RepoError};

use crate::cursor::{Check, Cursor, Place};
use crate::error::FeedError;
use crate::feed::{Feed, Spaces};
use crate::filter::Filter;
use crate::outline::Outline;
use crate::reader::{Page, Reader};

/// Log entries looked at in one go.
const ENTRIES: usize = 64;

/// All consumers of a feed. Clones are handles to the same ones.
#[derive(Clone)]
pub struct Tail {
    feed: Feed,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    next: u64,
    consumers: BTreeMap<u64, Consumer>,
    /// What is before was looked at.
    passed: Cursor,
}

struct Consumer {
    filter: Arc<Filter>,
    /// From here on it has read nothing, and wants to know when there is something for it.
    waits_from: Option<u64>,
    /// Before this there is nothing for it, and here there may be.
    woken_at: Option<Cursor>,
    waker: Option<Waker>,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("feed", &self.feed)
            .field("consumers", &self.consumers())
            .finish_non_exhaustive()
    }
}

impl Tail {
    /// Of a feed, with no consumers yet.
    pub fn new(feed: Feed) -> Result<Self, FeedError> {
        let inner = Inner {
            next: 0,
            consumers: BTreeMap::new(),
            passed: feed.now()?,
        };
        Ok(Self {
            feed,
            inner: Arc::new(Mutex::new(inner)),
        })
    }

    /// The feed.
    #[must_use]
    pub const fn feed(&self) -> &Feed {
        &self.feed
    }

    /// How many consumers there are.
    #[must_use]
    pub fn consumers(&self) -> usize {
        self.lock().consumers.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whatever a panicking holder left half done is a consumer that is woken once too often.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A consumer that goes on from a cursor.
    ///
    /// # Errors
    /// [`FeedError::Expired`] if the log does not go on from there, [`FeedError::Filter`] of a filter that is too large.
    pub fn subscribe(&self, from: Cursor, filter: Filter) -> Result<Subscription, FeedError> {
        filter.check()?;
        let filter = Arc::new(filter);
        let reader = self.feed.read(from, Arc::clone(&filter))?;
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        let consumer = Consumer {
            filter,
            waits_from: None,
            woken_at: None,
            waker: None,
        };
        inner.consumers.insert(number, consumer);
        drop(inner);
        Ok(Subscription {
            tail: self.clone(),
            number,
            reader,
        })
    }

    /// Looks at what came since the last time, and wakes whom it may concern. Whoever has a thread calls it when the
    /// log has grown ([`crate::LogEnd::wait`]), and nobody else meanwhile. Returns the position up to which it has
    /// looked.
    pub fn pass(&self, spaces: &dyn Spaces) -> Result<u64, FeedError> {
        loop {
            let from = self.lock().passed.position;
            let end = self.feed.log_end().get();
            if from >= end {
                return Ok(from);
            }
            for entry in self.feed.store().read_log(from, ENTRIES)? {
                if entry.position >= end {
                    break;
                }
                if entry.position != self.lock().passed.position {
                    // What comes next for them is not there any more, and who reads finds out.
                    self.wake(None, |_| true);
                }
                let said = RefMove::decode(&entry.bytes)?;
                // What cannot be read may be for everybody: who reads it finds out why.
                let outline = self.outline(spaces, entry.position, &said).unwrap_or(None);
                let after = Cursor {
                    position: entry.position + 1,
                    check: Some(Check::of(&entry.bytes)),
                    ..self.lock().passed.clone()
                };
                self.wake(Some(after), |consumer| {
                    consumer
                        .waits_from
                        .is_some_and(|from| from <= entry.position)
                        && consumer.filter.wants_branch(said.space, &said.branch)
                        && outline
                            .as_ref()
                            .is_none_or(|outline| outline.may_concern(&consumer.filter))
                });
            }
        }
    }

    /// What a move is about, as far as somebody who waits for it asks.
    fn outline(
        &self,
        spaces: &dyn Spaces,
        position: u64,
        said: &RefMove,
    ) -> Result<Option<Outline>, RepoError> {
        let (mut has_reach, mut has_keys) = (false, false);
        let mut is_asked = false;
        for consumer in self.lock().consumers.values() {
            if consumer.waits_from.is_some()
                && consumer.filter.wants_branch(said.space, &said.branch)
            {
                is_asked = true;
                has_reach |= consumer.filter.has_reach();
                has_keys |= consumer.filter.has_keys();
            }
        }
        if !is_asked {
            return Ok(None);
        }
        let Some(repo) = spaces.repo(said.space)? else {
            return Ok(None);
        };
        match self.feed.moves().get(&repo, position, said)? {
            Some(moved) => Outline::of(&repo, &moved, (has_reach, has_keys)).map(Some),
            None => Ok(None),
        }
    }

    /// Wakes those that wait and are concerned; with `after` all before that was looked at.
    fn wake(&self, after: Option<Cursor>, concerns: impl Fn(&Consumer) -> bool) {
        let mut wakers = Vec::new();
        let mut inner = self.lock();
        let before = inner.passed.clone();
        if let Some(after) = after {
            inner.passed = after;
        }
        for consumer in inner.consumers.values_mut() {
            let waits = consumer.waits_from.is_some() && consumer.woken_at.is_none();
            if waits && concerns(consumer) {
                consumer.woken_at = Some(before.clone());
                wakers.extend(consumer.waker.take());
            }
        }
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A consumer of a feed: it reads what there is, and waits for what comes.
pub struct Subscription {
    tail: Tail,
    number: u64,
    reader: Reader,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.tail.lock().consumers.remove(&self.number);
    }
}

impl Subscription {
    /// Where it is: after the last event that it gave, and what is known not to be for it.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.reader.cursor()
    }

    /// What is there now: at most so many events and bytes, but one event at least if one is close by. One that is
    /// empty and no end took long to find nothing: ask again.
    ///
    /// # Errors
    /// [`FeedError::Expired`] if what comes next is not kept any more.
    pub fn page(
        &mut self,
        spaces: &dyn Spaces,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Page, FeedError> {
        self.catch_up();
        self.reader.page(spaces, events_max, bytes_max)
    }

    /// Passes over what is known not to be for it.
    fn catch_up(&mut self) {
        let mut inner = self.tail.lock();
        let passed = inner.passed.clone();
        if let Some(consumer) = inner.consumers.get_mut(&self.number)
            && consumer.waits_from.take().is_some()
        {
            consumer.waker = None;
            let clean = consumer.woken_at.take().unwrap_or(passed);
            drop(inner);
            self.reader.skip_to(&clean);
        }
    }

    /// Ready when there may be something after the end that a page told of.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let at = self.reader.cursor();
        let mut inner = self.tail.lock();
        // What is before was looked at when nobody waited for it here.
        let is_behind = at.place != Place::Before || at.position < inner.passed.position;
        let Some(consumer) = inner.consumers.get_mut(&self.number) else {
            return Poll::Ready(());
        };
        if consumer.woken_at.is_some() || is_behind && consumer.waits_from.is_none() {
            return Poll::Ready(());
        }
        consumer.waits_from.get_or_insert(at.position);
        consumer.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits until there may be something after the end that a page told of.
    pub async fn ready(&mut self) {
        poll_fn(|context| self.poll_ready(context)).await;
    }

    /// The same, for a thread that waits no longer than `at_most`; whether there may be something.
    pub fn wait(&mut self, at_most: Duration) -> bool {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut context = Context::from_waker(&waker);
        if self.poll_ready(&mut context).is_ready() {
            return true;
        }
        bell.wait(at_most);
        self.poll_ready(&mut context).is_ready()
    }
}

/// Rung once.
#[derive(Default)]
struct Bell {
    is_rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn wait(&self, at_most: Duration) {
        let is_rung = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(is_rung, at_most, |is_rung| !*is_rung);
        drop(waited);
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        // A flag is never half set.
        self.is_rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.lock() = true;
        self.changed.notify_all();
    }
}
