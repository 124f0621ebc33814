//! People and replicas for the tests.

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_blocks::{MemoryStore, Store};
use allod_identity::SecretKey;
use allod_repo::{
    Author, BranchName, CommitId, Content, Edit, Genesis, Heads, Refusal, Rejected, Repo,
    RepoError, SpaceClass, Span,
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

pub(crate) fn main() -> BranchName {
    BranchName::main()
}

pub(crate) fn space(owner: &Person) -> Repo {
    space_in(owner, Arc::new(MemoryStore::new()))
}

pub(crate) fn space_in(owner: &Person, store: Arc<dyn Store>) -> Repo {
    let genesis = Genesis {
        at: START,
        class: SpaceClass::Convergent,
        name: "test".into(),
        nonce: [0; 16],
        owner: owner.author().agent,
    };
    Repo::create(store, genesis, owner.author()).unwrap()
}

/// An empty replica of the same space.
pub(crate) fn replica(of: &Repo) -> Repo {
    Repo::adopt(Arc::new(MemoryStore::new()), of.genesis().bytes().clone()).unwrap()
}

pub(crate) fn put(repo: &Repo, who: &Person, edits: &[(&str, Option<&str>)], now: u64) -> CommitId {
    put_on(repo, who, "main", edits, now)
}

pub(crate) fn put_on(
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

/// The branch of this name.
pub(crate) fn on(branch: &str) -> BranchName {
    branch.parse().unwrap()
}

pub(crate) fn get(repo: &Repo, key: &str) -> Option<String> {
    value_on(repo, "main", key)
}

pub(crate) fn value_on(repo: &Repo, branch: &str, key: &str) -> Option<String> {
    match repo
        .state(&on(branch))
        .unwrap()
        .get(key.as_bytes())
        .unwrap()?
    {
        Content::Bytes(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
        Content::File(cid) => Some(cid.to_string()),
    }
}

pub(crate) fn all(repo: &Repo) -> Vec<(String, String)> {
    all_of(repo, "main")
}

pub(crate) fn all_of(repo: &Repo, branch: &str) -> Vec<(String, String)> {
    let view = repo.state(&on(branch)).unwrap();
    view.range(&Span::all(), false)
        .map(|item| {
            let (key, _) = item.unwrap();
            let key = String::from_utf8(key.to_vec()).unwrap();
            let value = value_on(repo, branch, &key).unwrap();
            (key, value)
        })
        .collect()
}

/// By how much the property tests are multiplied.
pub(crate) fn scale() -> u32 {
    std::env::var("ALLOD_TEST_SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok())
        .unwrap_or(1)
}

/// Sends what `from` has of a branch and `to` has not, commit by commit, as changes.
pub(crate) fn send(from: &Repo, to: &Repo, branch: &BranchName, now: u64) -> Result<(), Rejected> {
    let heads = from.heads(branch).unwrap();
    let known: BTreeSet<CommitId> = to.heads(branch).unwrap();
    for id in from.missing(&heads, &known).unwrap() {
        if !to.has_commit(id)? {
            deliver(from, to, id, branch, now)?;
        }
    }
    to.join_branch(branch, &heads)?;
    Ok(())
}

/// Sends one commit with its changes and the blocks that they link to.
pub(crate) fn deliver(
    from: &Repo,
    to: &Repo,
    id: CommitId,
    branch: &BranchName,
    now: u64,
) -> Result<(), Rejected> {
    let commit = from.commit(id).unwrap();
    let changes = from.changes_of(&commit, usize::MAX).unwrap().unwrap();
    let reviewed = to.review(commit.bytes().clone(), now)?;
    let complete = to.with_changes(reviewed, &changes)?;
    for cid in to.missing_blocks(complete.links(), 100).unwrap().blocks {
        let mut batch = allod_blocks::Batch::new();
        batch.put(from.store().get(&cid).unwrap().unwrap());
        let _outcome = to.store().commit(batch).unwrap();
    }
    to.accept(complete, branch)
}

pub(crate) fn refusal(result: Result<(), Rejected>) -> Refusal {
    match result {
        Err(Rejected::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub(crate) fn heads(repo: &Repo) -> Heads {
    repo.heads(&main()).unwrap()
}

pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T, RepoError>) -> RepoError {
    result.unwrap_err()
}

/// `main` with some keys, and a branch `side` that starts there.
pub(crate) fn two_branches(ada: &Person) -> Repo {
    let repo = space(ada);
    let base = [("a", Some("0")), ("b", Some("0")), ("c", Some("0"))];
    put(&repo, ada, &base, START);
    repo.create_branch(&on("side"), &heads(&repo)).unwrap();
    repo
}
