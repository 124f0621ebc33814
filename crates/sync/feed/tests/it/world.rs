//! A node with spaces, and another one that sends to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_blocks::{Batch, MemoryStore, Store};
use allod_feed::{AnnouncingStore, Cursor, Event, Feed, FeedError, Filter, Spaces};
use allod_identity::SecretKey;
use allod_repo::{
    Author, BranchName, CommitId, Edit, Genesis, Repo, RepoError, SpaceClass, SpaceId,
};
use bytes::Bytes;

/// Milliseconds at which the tests begin.
pub(crate) const START: u64 = 1_700_000_000_000;

/// Somebody who is a device and an agent in one.
pub(crate) struct Person(pub(crate) SecretKey);

impl Person {
    pub(crate) fn new(number: u8) -> Self {
        Self(SecretKey::from_seed([number; 32]))
    }

    pub(crate) fn author(&self) -> Author<'_> {
        Author {
            agent: self.0.agent_id(),
            key: &self.0,
        }
    }
}

/// A store with some spaces.
pub(crate) struct Node {
    pub(crate) store: Arc<AnnouncingStore>,
    pub(crate) repos: BTreeMap<SpaceId, Repo>,
}

impl Spaces for Node {
    fn repo(&self, id: SpaceId) -> Result<Option<Repo>, RepoError> {
        Ok(self.repos.get(&id).cloned())
    }
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        Self {
            store: Arc::new(AnnouncingStore::new(store).unwrap()),
            repos: BTreeMap::new(),
        }
    }

    pub(crate) fn space(&mut self, owner: &Person, name: &str) -> Repo {
        let genesis = Genesis {
            at: START,
            class: SpaceClass::Convergent,
            name: name.into(),
            nonce: [0; 16],
            owner: owner.author().agent,
        };
        let repo = Repo::create(self.store.clone(), genesis, owner.author()).unwrap();
        self.repos.insert(repo.id(), repo.clone());
        repo
    }

    /// An empty replica of a space.
    pub(crate) fn replica(&mut self, of: &Repo) -> Repo {
        let repo = Repo::adopt(self.store.clone(), of.genesis().bytes().clone()).unwrap();
        self.repos.insert(repo.id(), repo.clone());
        repo
    }

    pub(crate) fn feed(&self) -> Feed {
        Feed::open(self.store.clone(), [7; 16]).unwrap()
    }

    /// All that a filter lets pass from a cursor on, and the cursor after it.
    pub(crate) fn read(
        &self,
        from: Cursor,
        filter: &Filter,
    ) -> Result<(Vec<Event>, Cursor), FeedError> {
        let mut reader = self.feed().read(from, Arc::new(filter.clone()))?;
        let mut events = Vec::new();
        loop {
            let page = reader.page(self, 1000, usize::MAX)?;
            events.extend(page.events);
            if page.is_end {
                return Ok((events, page.next));
            }
        }
    }
}

pub(crate) fn on(branch: &str) -> BranchName {
    branch.parse().unwrap()
}

pub(crate) fn put(
    repo: &Repo,
    who: &Person,
    branch: &str,
    edits: &[(&str, Option<&str>)],
    now: u64,
) -> CommitId {
    let edits = edits.iter().map(|(key, value)| {
        let edit = match value {
            Some(value) => Edit::Put(Bytes::copy_from_slice(value.as_bytes())),
            None => Edit::Delete,
        };
        (Bytes::copy_from_slice(key.as_bytes()), edit)
    });
    repo.stage(&on(branch), edits, now).unwrap();
    repo.commit_staged(&on(branch), who.author(), "test", now)
        .unwrap()
}

/// Sends what `from` has of a branch and `to` has not.
pub(crate) fn send(from: &Repo, to: &Repo, branch: &BranchName, now: u64) {
    let heads = from.heads(branch).unwrap();
    let known: BTreeSet<CommitId> = to.heads(branch).unwrap();
    for id in from.missing(&heads, &known).unwrap() {
        if to.has_commit(id).unwrap() {
            continue;
        }
        let commit = from.commit(id).unwrap();
        let changes = from.changes_of(&commit, usize::MAX).unwrap().unwrap();
        let reviewed = to.review(commit.bytes().clone(), now).unwrap();
        let complete = to.with_changes(reviewed, &changes).unwrap();
        for cid in to.missing_blocks(complete.links(), 100).unwrap().blocks {
            let mut batch = Batch::new();
            batch.put(from.store().get(&cid).unwrap().unwrap());
            let _outcome = to.store().commit(batch).unwrap();
        }
        to.accept(complete, branch).unwrap();
    }
    to.join_branch(branch, &heads).unwrap();
}
