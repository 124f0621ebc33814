//! A node with one space, and what it tells.

use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_events::{CloudEvent, Renderer};
use allod_feed::{AnnouncingStore, Cursor, Event, Feed, Filter, Spaces};
use allod_identity::SecretKey;
use allod_repo::{
    Author, BranchName, CommitId, Edit, Genesis, Repo, RepoError, SpaceClass, SpaceId,
};
use bytes::Bytes;

pub(crate) const START: u64 = 1_700_000_000_000;

pub(crate) struct Node {
    pub(crate) store: Arc<AnnouncingStore>,
    pub(crate) repo: Repo,
    epoch: [u8; 16],
}

impl Spaces for Node {
    fn repo(&self, id: SpaceId) -> Result<Option<Repo>, RepoError> {
        Ok((id == self.repo.id()).then(|| self.repo.clone()))
    }
}

pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

pub(crate) fn main_branch() -> BranchName {
    BranchName::main()
}

fn store() -> Arc<AnnouncingStore> {
    Arc::new(AnnouncingStore::new(Arc::new(MemoryStore::new())).unwrap())
}

impl Node {
    pub(crate) fn new() -> Self {
        let (store, key) = (store(), key());
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
        Self {
            store,
            repo,
            epoch: [1; 16],
        }
    }

    pub(crate) fn replica(&self) -> Self {
        let store = store();
        let repo = Repo::adopt(store.clone(), self.repo.genesis().bytes().clone()).unwrap();
        Self {
            store,
            repo,
            epoch: [2; 16],
        }
    }

    pub(crate) fn put(&self, branch: &BranchName, edits: &[(&[u8], &[u8])]) -> CommitId {
        let key = key();
        let author = Author {
            agent: key.agent_id(),
            key: &key,
        };
        let edits = edits.iter().map(|(key, value)| {
            (
                Bytes::copy_from_slice(key),
                Edit::Put(Bytes::copy_from_slice(value)),
            )
        });
        self.repo.stage(branch, edits, START).unwrap();
        self.repo
            .commit_staged(branch, author, "what", START)
            .unwrap()
    }

    /// What it has as CloudEvents, from a cursor on.
    pub(crate) fn tell(&self, from: impl Fn(&Feed) -> Cursor) -> Vec<CloudEvent> {
        self.tell_as(from, |renderer, event| {
            renderer.render(&self.repo, event).unwrap()
        })
    }

    /// What it has, from a cursor on, as somebody makes it.
    pub(crate) fn tell_as<T>(
        &self,
        from: impl Fn(&Feed) -> Cursor,
        make: impl Fn(&Renderer, &Event) -> T,
    ) -> Vec<T> {
        let feed = Feed::open(self.store.clone(), self.epoch).unwrap();
        let device = SecretKey::from_seed([self.epoch[0]; 32]).device_id();
        let renderer = Renderer::new(feed.epoch(), None, &device);
        let mut reader = feed.read(from(&feed), Arc::new(Filter::default())).unwrap();
        let mut told = Vec::new();
        loop {
            let page = reader.page(self, 100, usize::MAX).unwrap();
            told.extend(page.events.iter().map(|event| make(&renderer, event)));
            if page.is_end {
                return told;
            }
        }
    }
}
