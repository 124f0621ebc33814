//! A node whose sinks carry to targets that a test can break.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allod_blocks::MemoryStore;
use allod_events::Renderer;
use allod_feed::{AnnouncingStore, Cursor, Feed, FeedError, Filter, Spaces, Subscription, Tail};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, Edit, Genesis, Repo, RepoError, SpaceClass, SpaceId};
use allod_sinks::{
    Definition, Fault, Has, Host, Numbers, Outgoing, Register, Registry, SinkError, State, Target,
    run,
};
use bytes::Bytes;

pub(crate) const START: u64 = 1_700_000_000_000;

/// What a delivery does, beside delivering.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// So many events are taken, then the connection is gone; whether it was said how many were.
    Cut(usize, bool),
    /// It is refused for what it is.
    Refuse(usize),
    /// All is taken, and the answer is lost.
    Silent,
}

/// A target as it is outside.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// `SOURCE ID`, and the cursor.
    pub(crate) content: Vec<(String, String)>,
    /// Whether it can say what it has.
    pub(crate) can_say: bool,
    /// Whose sink has delivered what it has.
    pub(crate) sink: String,
    pub(crate) acts: VecDeque<Option<Act>>,
    /// So many of the last events are gone when it is opened next.
    pub(crate) loses: VecDeque<usize>,
    pub(crate) opened: usize,
}

struct Open(Arc<Mutex<Outside>>);

impl Target for Open {
    fn has(&mut self) -> Result<Has, Fault> {
        let outside = self.0.lock().unwrap();
        Ok(match outside.content.last() {
            _ if !outside.can_say => Has::Unknown,
            None => Has::Nothing,
            Some((_, cursor)) => Has::UpTo {
                cursor: cursor.clone(),
                sink: outside.sink.clone(),
            },
        })
    }

    fn events_max(&self) -> usize {
        3
    }

    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        let mut outside = self.0.lock().unwrap();
        let act = outside.acts.pop_front().flatten();
        let (count, answer) = match act {
            None => (events.len(), Ok(())),
            Some(Act::Cut(count, is_told)) => {
                let count = count.min(events.len());
                let taken = if is_told { count } else { 0 };
                let words = "the connection is gone".to_owned();
                (count, Err(away(taken, words)))
            }
            Some(Act::Refuse(at)) => {
                let at = at.min(events.len() - 1);
                let words = "this is not wanted".to_owned();
                (at, Err(Fault::Refused { at, words }))
            }
            Some(Act::Silent) => (events.len(), Err(away(0, "no answer".to_owned()))),
        };
        for event in &events[..count] {
            let cloud = event.cloud().unwrap();
            let name = format!("{} {}", cloud.source, cloud.id);
            outside.content.push((name, event.cursor.to_string()));
        }
        answer
    }
}

const fn away(taken: usize, words: String) -> Fault {
    Fault::Away {
        taken,
        words,
        after: None,
    }
}

/// A node with one space.
pub(crate) struct Node {
    pub(crate) store: Arc<AnnouncingStore>,
    pub(crate) repo: Repo,
    pub(crate) tail: Tail,
    pub(crate) outside: Arc<Mutex<Outside>>,
    pub(crate) is_stopping: Arc<AtomicBool>,
}

impl Spaces for Node {
    fn repo(&self, id: SpaceId) -> Result<Option<Repo>, RepoError> {
        Ok((id == self.repo.id()).then(|| self.repo.clone()))
    }
}

impl Host for Node {
    fn feed(&self) -> &Feed {
        self.tail.feed()
    }

    fn subscribe(&self, from: Cursor, filter: Filter) -> Result<Subscription, FeedError> {
        self.tail.subscribe(from, filter)
    }

    fn now_ms(&self) -> u64 {
        START
    }

    fn chance(&self) -> u64 {
        0
    }

    fn open(&self, definition: &Definition) -> Result<Box<dyn Target>, Fault> {
        if let allod_sinks::To::Stdout {} = definition.to {
            let mut outside = self.outside.lock().unwrap();
            outside.opened += 1;
            let lost = outside.loses.pop_front().unwrap_or(0);
            let kept = outside.content.len().saturating_sub(lost);
            outside.content.truncate(kept);
            drop(outside);
            return Ok(Box::new(Open(Arc::clone(&self.outside))));
        }
        let is_stopping = Arc::clone(&self.is_stopping);
        let stopping = Arc::new(move || is_stopping.load(Ordering::SeqCst));
        allod_sinks::open(definition, || START, stopping)
    }

    fn open_registry(&self, registry: &Registry) -> Result<Box<dyn Numbers>, Fault> {
        allod_sinks::open_registry(registry)
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    fn rest(&self, _at_most: Duration) {}
}

impl Node {
    pub(crate) fn new() -> Self {
        let store = Arc::new(AnnouncingStore::new(Arc::new(MemoryStore::new())).unwrap());
        let key = key();
        let author = Author {
            agent: key.agent_id(),
            key: &key,
        };
        let genesis = Genesis {
            at: START,
            class: SpaceClass::Convergent,
            name: "test".into(),
            nonce: [0; 16],
            owner: author.agent,
        };
        let repo = Repo::create(store.clone(), genesis, author).unwrap();
        let tail = Tail::new(Feed::open(store.clone(), [7; 16]).unwrap()).unwrap();
        Self {
            store,
            repo,
            tail,
            is_stopping: Arc::default(),
            outside: Arc::new(Mutex::new(Outside {
                sink: "sink".to_owned(),
                ..Outside::default()
            })),
        }
    }

    pub(crate) fn put(&self, edits: &[(&str, &str)]) {
        let key = key();
        let author = Author {
            agent: key.agent_id(),
            key: &key,
        };
        let main = BranchName::main();
        let edits = edits.iter().map(|(key, value)| {
            let value = Edit::Put(Bytes::copy_from_slice(value.as_bytes()));
            (Bytes::copy_from_slice(key.as_bytes()), value)
        });
        self.repo.stage(&main, edits, START).unwrap();
        self.repo.commit_staged(&main, author, "", START).unwrap();
    }

    pub(crate) fn register(&self) -> Register {
        Register::new(self.store.clone())
    }

    fn renderer(&self) -> Renderer {
        let device = key().device_id();
        Renderer::new(self.feed().epoch(), None, &device)
    }

    /// Carries until there is no more, or something fails.
    pub(crate) fn carry(&self, name: &str) -> Result<State, SinkError> {
        run(self, &self.register(), &self.renderer(), (name, true))
    }

    /// What the log has, as a target names it.
    pub(crate) fn log(&self) -> Vec<String> {
        let from = self.feed().beginning();
        let mut reader = self.feed().read(from, Arc::default()).unwrap();
        let renderer = self.renderer();
        let mut names = Vec::new();
        loop {
            let page = reader.page(self, 100, usize::MAX).unwrap();
            for event in &page.events {
                let cloud = renderer.render(&self.repo, event).unwrap();
                names.push(format!("{} {}", cloud.source, cloud.id));
            }
            if page.is_end {
                return names;
            }
        }
    }

    pub(crate) fn content(&self) -> Vec<String> {
        let outside = self.outside.lock().unwrap();
        outside
            .content
            .iter()
            .map(|(name, _)| name.clone())
            .collect()
    }
}

pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

pub(crate) fn stdout() -> Definition {
    r#"{"to":{"stdout":{}}}"#.parse().unwrap()
}
