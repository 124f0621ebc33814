//! Transactions: several reads and writes on one state, committed whole or not at all (REPO-22).

use std::collections::{BTreeMap, BTreeSet};

use allod_blocks::{Batch, Block, Cid};
use bytes::Bytes;

use crate::entry::{Entry, State};
use crate::error::RepoError;
use crate::hooks::Act;
use crate::ids::{BranchName, CommitId};
use crate::repo::{Author, Repo};
use crate::timing::Verb;
use crate::view::{Content, Span, View, check_key};
use crate::work::Edit;
use crate::write::{Draft, Entries};

/// How often a commit is tried on a moving branch before the caller hears of it.
const TRIES: u32 = 16;

/// Reads of one unchanging state of a branch, and writes that nobody sees until
/// [`commit`](Self::commit). Dropping it, or [`rollback`](Self::rollback), leaves no trace.
///
/// Independent of what is staged on the branch.
#[derive(Debug)]
pub struct Transaction {
    repo: Repo,
    branch: BranchName,
    snapshot: View,
    writes: BTreeMap<Bytes, State>,
    /// What writes link to, those that were forgotten among them.
    blocks: Vec<Block>,
    /// Writes by the number of the savepoint, in the order in which they were made.
    savepoints: Vec<(u64, BTreeMap<Bytes, State>)>,
    savepoints_made: u64,
    read_keys: BTreeSet<Bytes>,
    read_spans: Vec<Span>,
    /// Whether any move of the branch is a conflict.
    is_still: bool,
}

/// A moment of a transaction that it can go back to (REPO-24).
#[derive(Clone, Copy, Debug)]
pub struct Savepoint(u64);

impl Repo {
    /// Runs `work` in a transaction and commits it; if the branch was changed by somebody else
    /// meanwhile, all of it again, at most `retries` times more (REPO-25).
    ///
    /// Fails with what `work` fails with, with what [`Transaction::commit`] fails with, and with
    /// its [`RepoError::Conflict`] or [`RepoError::Contended`] after the last try.
    pub fn transact<T, E: From<RepoError>>(
        &self,
        branch: &BranchName,
        author: Author<'_>,
        message: &str,
        (retries, now_ms): (u32, u64),
        mut work: impl FnMut(&mut Transaction) -> Result<T, E>,
    ) -> Result<(CommitId, T), E> {
        let mut left = retries;
        loop {
            let mut transaction = self.begin(branch)?;
            let made = work(&mut transaction)?;
            match transaction.commit(author, message, now_ms) {
                Err(RepoError::Conflict { .. } | RepoError::Contended(_)) if left > 0 => left -= 1,
                other => return Ok((other?, made)),
            }
        }
    }

    /// Begins a transaction on the state that a branch has now.
    pub fn begin(&self, branch: &BranchName) -> Result<Transaction, RepoError> {
        Ok(Transaction {
            snapshot: self.state(branch)?,
            repo: self.clone(),
            branch: branch.clone(),
            writes: BTreeMap::new(),
            blocks: Vec::new(),
            savepoints: Vec::new(),
            savepoints_made: 0,
            read_keys: BTreeSet::new(),
            read_spans: Vec::new(),
            is_still: false,
        })
    }
}

impl Transaction {
    /// The value of a key, as this transaction sees it.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Content>, RepoError> {
        if let Some(state) = self.writes.get(key) {
            // Its block may not be stored yet.
            if let State::Link(cid) = state
                && let Some(block) = self.blocks.iter().find(|block| block.cid() == cid)
            {
                return Ok(Some(Content::Bytes(block.bytes().clone())));
            }
            let stamp = crate::stamp::Stamp::default();
            return self.snapshot.content(&Entry {
                stamp,
                state: state.clone(),
            });
        }
        self.read_keys.insert(Bytes::copy_from_slice(key));
        self.snapshot.get(key)
    }

    /// The live keys of a range, as this transaction sees them, at most `limit`.
    pub fn keys(&mut self, span: &Span, limit: usize) -> Result<Vec<Bytes>, RepoError> {
        let mut keys = BTreeSet::new();
        for item in self.snapshot.range(span, false) {
            let (key, _) = item?;
            if keys.len() >= limit.saturating_add(self.writes.len()) {
                break;
            }
            keys.insert(key);
        }
        for (key, state) in self.writes.iter().filter(|(key, _)| span.contains(key)) {
            if *state == State::Tombstone {
                keys.remove(key);
            } else {
                keys.insert(key.clone());
            }
        }
        self.read_spans.push(span.clone());
        Ok(keys.into_iter().take(limit).collect())
    }

    /// The state that the transaction began with, without its writes. What is read of it does not count
    /// when the transaction commits.
    #[must_use]
    pub const fn snapshot(&self) -> &View {
        &self.snapshot
    }

    /// Lets the commit fail with [`RepoError::MovedOn`] if the branch has other heads by then than when the
    /// transaction began, whatever changed: compare-and-swap of the whole branch (REPO-22).
    pub const fn expect_heads(&mut self) {
        self.is_still = true;
    }

    /// Sets a key to a value of at most 1 MiB.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<(), RepoError> {
        self.edit(key, Edit::Put(value.into()))
    }

    /// Removes a key.
    pub fn delete(&mut self, key: impl Into<Bytes>) -> Result<(), RepoError> {
        self.edit(key, Edit::Delete)
    }

    /// Makes an edit. The file of an [`Edit::Link`] must be here whole, and held in use until the transaction
    /// has committed, as nothing refers to it before (BLOCKS-51).
    pub fn edit(&mut self, key: impl Into<Bytes>, edit: Edit) -> Result<(), RepoError> {
        let key = key.into();
        check_key(&key)?;
        let (state, block) = self.repo.state_of_edit(edit)?;
        self.blocks.extend(block);
        self.writes.insert(key, state);
        Ok(())
    }

    /// Remembers the writes made so far. Costs what they are many.
    pub fn savepoint(&mut self) -> Savepoint {
        self.savepoints_made += 1;
        self.savepoints
            .push((self.savepoints_made, self.writes.clone()));
        Savepoint(self.savepoints_made)
    }

    /// Forgets the writes made since a savepoint, and the savepoints made after it. What was read
    /// since still counts when it commits (REPO-24).
    ///
    /// Fails with [`RepoError::NoSavepoint`], and changes nothing, if it was forgotten.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<(), RepoError> {
        let mut kept = self.savepoints.iter();
        let at = kept.position(|(number, _)| *number == savepoint.0);
        let at = at.ok_or(RepoError::NoSavepoint)?;
        self.savepoints.truncate(at + 1);
        if let Some((_, writes)) = self.savepoints.last() {
            self.writes.clone_from(writes);
        }
        Ok(())
    }

    /// Forgets everything. The same as dropping the transaction, said aloud.
    #[expect(clippy::unused_self, reason = "it consumes the transaction")]
    pub fn rollback(self) {}

    /// Commits the writes. Fails with [`RepoError::Conflict`], and changes nothing, if what the
    /// transaction read or writes was changed on the branch since it began, and with [`RepoError::MovedOn`] as
    /// [`expect_heads`](Self::expect_heads) says.
    pub fn commit(
        mut self,
        author: Author<'_>,
        message: &str,
        now_ms: u64,
    ) -> Result<CommitId, RepoError> {
        let repo = self.repo.clone();
        let _timing = repo.timing(Verb::Commit);
        if self.writes.is_empty() {
            return Err(RepoError::NothingStaged);
        }
        let linked: BTreeSet<&Cid> = self
            .writes
            .values()
            .filter_map(|state| match state {
                State::Link(cid) => Some(cid),
                _ => None,
            })
            .collect();
        self.blocks.retain(|block| linked.contains(block.cid()));
        let mut newest = crate::stamp::Stamp::default();
        let over = repo.over(|| Ok(self.snapshot.clone()))?;
        let mut entries = Entries::new();
        for (key, state) in &self.writes {
            newest = repo.tick(now_ms);
            let (state, block) = over.write(key, state.clone(), newest)?;
            self.blocks.extend(block);
            let stamp = newest;
            entries.insert(key.clone(), Entry { stamp, state }.encode());
        }
        let draft = Draft {
            act: Act::Commit,
            branch: &self.branch,
            author,
            message,
            entries: &entries,
            newest,
            blocks: &self.blocks,
            merges: None,
        };
        for _ in 0..TRIES {
            let (raw, heads) = self.repo.read_heads(&self.branch)?;
            if heads != *self.snapshot.heads() {
                if self.is_still {
                    return Err(RepoError::MovedOn(self.branch));
                }
                self.validate(&self.repo.joined(&heads)?.0)?;
            }
            if let Some(id) = self
                .repo
                .write(&draft, (raw, &heads), None, now_ms, Batch::new())?
            {
                return Ok(id);
            }
        }
        Err(RepoError::Contended(self.branch))
    }

    /// REPO-22: nothing read or written here differs between the snapshot and `now`.
    fn validate(&self, now: &allod_tree::Tree) -> Result<(), RepoError> {
        for change in self.snapshot.tree().diff(now) {
            let key = change?.key;
            let touched = self.read_keys.contains(&key)
                || self.writes.contains_key(&key)
                || self.read_spans.iter().any(|span| span.contains(&key));
            if touched {
                return Err(RepoError::Conflict { key: key.to_vec() });
            }
        }
        Ok(())
    }
}
