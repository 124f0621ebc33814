//! Telling consumers of the log of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use allod_events::Renderer;
use allod_feed::{AnnouncingStore, Cursor, Feed, Filter, Spaces, Subscription, Tail, Text};
use allod_repo::{Repo, RepoError, SpaceId};

use crate::error::NodeError;
use crate::home::random;
use crate::node::{Node, WeakNode};

/// How long the thread that looks at the log sleeps at most before it asks whether the node is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long it waits after the log could not be read, before it tries again.
const AFTER_FAULT: Duration = Duration::from_secs(1);

/// What consumers of a node share.
pub(crate) struct Telling {
    tail: Tail,
    /// Whether a thread looks at what comes.
    has_thread: AtomicBool,
}

impl Telling {
    pub(crate) fn new(store: Arc<AnnouncingStore>) -> Result<Self, NodeError> {
        let feed = Feed::open(store, random()?)?;
        Ok(Self {
            tail: Tail::new(feed)?,
            has_thread: AtomicBool::new(false),
        })
    }
}

impl Spaces for Node {
    fn repo(&self, id: SpaceId) -> Result<Option<Repo>, RepoError> {
        match Self::repo(self, id) {
            Ok(repo) => Ok(Some(repo)),
            Err(NodeError::Repo(RepoError::NoSpace(_))) => Ok(None),
            Err(NodeError::Repo(error)) => Err(error),
            Err(_) => Err(RepoError::Damaged("the configuration of the home")),
        }
    }
}

impl Node {
    /// The log of this node as a changefeed.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        self.telling().tail.feed()
    }

    /// A consumer of the changefeed, from a cursor on. It reads with this node as its [`Spaces`].
    pub fn subscribe(&self, from: Cursor, filter: Filter) -> Result<Subscription, NodeError> {
        let telling = self.telling();
        if !telling.has_thread.swap(true, Ordering::AcqRel) {
            let (node, tail) = (self.weak(), telling.tail.clone());
            let thread = std::thread::Builder::new().name("allod-tail".to_owned());
            let started = thread.spawn(move || look(&node, &tail));
            if let Err(error) = started {
                telling.has_thread.store(false, Ordering::Release);
                return Err(NodeError::file(self.home().path())(error));
            }
        }
        Ok(telling.tail.subscribe(from, filter)?)
    }

    /// The cursor that a text means: `now`, `beginning`, `snapshot`, or one as it is kept.
    ///
    /// # Errors
    /// [`FeedError::Cursor`](allod_feed::FeedError) of any other text, and
    /// [`FeedError::Expired`](allod_feed::FeedError) where the log does not go on from there.
    pub fn cursor_at(&self, text: &str) -> Result<Cursor, NodeError> {
        let feed = self.feed();
        let cursor = match text {
            "now" => feed.now()?,
            "beginning" => feed.beginning(),
            "snapshot" => feed.snapshot()?,
            cursor => cursor.parse()?,
        };
        // Who begins there later hears of it now.
        feed.read(cursor.clone(), Arc::default())?;
        Ok(cursor)
    }

    /// A filter that lets only a space pass, if one is named; `None` if it names spaces by itself.
    pub fn only_of(
        &self,
        space: Option<&str>,
        mut filter: Filter,
    ) -> Result<Option<Filter>, NodeError> {
        if let Some(name) = space {
            if filter.spaces.is_some() {
                return Ok(None);
            }
            filter.spaces = Some(vec![Text(self.space(Some(name))?.id())]);
        }
        Ok(Some(filter))
    }

    /// What makes CloudEvents of what the changefeed of this node tells.
    pub fn renderer(&self) -> Result<Renderer, NodeError> {
        let agent = match self.agent() {
            Ok(agent) => Some(agent),
            Err(NodeError::NoAgent(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(Renderer::new(
            self.feed().epoch(),
            agent.as_ref(),
            &self.device()?,
        ))
    }
}

/// Looks at what comes and wakes whom it concerns, until the node is gone.
fn look(node: &WeakNode, tail: &Tail) {
    let mut passed = 0;
    loop {
        let has_grown = tail.feed().log_end().wait(passed, LOOK_EVERY);
        let Some(node) = node.get() else {
            return;
        };
        if !has_grown {
            continue;
        }
        let looked = tail.pass(&node);
        drop(node);
        match looked {
            Ok(position) => passed = position,
            // A disk that fails tells those who read; here it is tried again.
            Err(_) => std::thread::sleep(AFTER_FAULT),
        }
    }
}
