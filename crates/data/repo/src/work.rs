//! The working set: edits that are durable but not yet committed (REPO-20).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Block, Cid, Expect};
use bytes::Bytes;

use crate::entry::{Entry, State, StateRef};
use crate::error::RepoError;
use crate::files::missing_part;
use crate::ids::BranchName;
use crate::layout;
use crate::repo::{Repo, lock};
use crate::timing::Verb;
use crate::view::{Item, Span, View, check_key, decode, state_of};
use crate::write::Entries;

/// References read or removed at a time.
const PAGE: usize = 4096;

/// One edit to stage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Edit {
    /// Set the key to this value, of at most 1 MiB.
    Put(Bytes),
    /// Set the key to the content of this raw block or UnixFS file, which the store must have.
    Link(Cid),
    /// Remove the key.
    Delete,
}

/// The staged edits of one branch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Staged {
    edits: BTreeMap<Bytes, Entry>,
    /// Those of them that join, which are few.
    joining: BTreeSet<Bytes>,
}

impl Staged {
    /// How many keys are staged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edits.len()
    }

    /// Whether nothing is staged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The staged entry of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.edits.get(key)
    }

    /// All staged entries in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.edits.iter()
    }

    /// The staged entries that join, in key order.
    pub(crate) fn joining(&self) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.joining
            .iter()
            .filter_map(|key| self.edits.get_key_value(key))
    }

    pub(crate) fn insert(&mut self, key: Bytes, entry: Entry) {
        if StateRef::from(&entry.state).joins() {
            self.joining.insert(key.clone());
        } else {
            self.joining.remove(&key);
        }
        self.edits.insert(key, entry);
    }

    fn remove(&mut self, key: &Bytes) {
        self.joining.remove(key);
        self.edits.remove(key);
    }

    pub(crate) fn within(&self, span: &Span, reverse: bool) -> Vec<Item> {
        let from = span
            .from
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Included);
        let to = span.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = self.edits.range::<[u8], _>((from, to));
        let owned = |(key, entry): (&Bytes, &Entry)| (key.clone(), entry.clone());
        if reverse {
            found.rev().map(owned).collect()
        } else {
            found.map(owned).collect()
        }
    }
}

impl Repo {
    /// What is staged on a branch.
    pub fn staged(&self, branch: &BranchName) -> Result<Arc<Staged>, RepoError> {
        if let Some(staged) = lock(&self.inner.staged).get(branch) {
            return Ok(Arc::clone(staged));
        }
        let prefix = layout::work(self.inner.id, branch);
        let mut staged = Staged::default();
        let mut after: Option<Bytes> = None;
        loop {
            let page = self
                .inner
                .store
                .scan_refs(&prefix, after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (name, value) in &page {
                let entry = decode(value)?;
                self.observe(entry.stamp);
                staged.insert(name.slice(prefix.len()..), entry);
            }
        }
        let staged = Arc::new(staged);
        Ok(Arc::clone(
            lock(&self.inner.staged)
                .entry(branch.clone())
                .or_insert(staged),
        ))
    }

    /// The state of a branch with what is staged over it.
    pub fn working(&self, branch: &BranchName) -> Result<View, RepoError> {
        let state = self.state(branch)?;
        let staged = self.joined_staged(state.tree(), self.staged(branch)?)?;
        Ok(state.with_staged(staged))
    }

    /// Stages edits, all of them or none; they are durable when this returns (REPO-20).
    pub fn stage(
        &self,
        branch: &BranchName,
        edits: impl IntoIterator<Item = (Bytes, Edit)>,
        now_ms: u64,
    ) -> Result<(), RepoError> {
        let _timing = self.timing(Verb::Stage);
        self.staged(branch)?;
        let _hold = self.inner.store.uses().hold();
        let mut batch = Batch::new();
        let mut entries = BTreeMap::new();
        let over = self.over(|| self.working(branch))?;
        for (key, edit) in edits {
            check_key(&key)?;
            self.check_part(branch, &key)?;
            let (state, block) = self.state_of_edit(edit)?;
            let stamp = self.tick(now_ms);
            let (state, new_epoch) = over.write(&key, state, stamp)?;
            for block in block.into_iter().chain(new_epoch) {
                batch.put(block);
            }
            entries.insert(key, Entry { stamp, state });
        }
        for (key, entry) in &entries {
            let name = layout::staged(self.inner.id, branch, key);
            batch.set_ref(name, Expect::Any, Some(entry.encode()));
        }
        // The lock is held over the write, so that memory and disk agree on what is staged.
        let mut staged = lock(&self.inner.staged);
        let _outcome = self.inner.store.commit(batch)?;
        let current = staged.entry(branch.clone()).or_default();
        // What somebody still holds is never changed in place.
        let current = Arc::make_mut(current);
        for (key, entry) in entries {
            current.insert(key, entry);
        }
        Ok(())
    }

    /// The state that an edit gives its key, and the block that it needs, if any.
    pub(crate) fn state_of_edit(&self, edit: Edit) -> Result<(State, Option<Block>), RepoError> {
        match edit {
            Edit::Put(value) => state_of(value),
            Edit::Link(cid) => {
                self.check_link(cid)?;
                Ok((State::Link(cid), None))
            }
            Edit::Delete => Ok((State::Tombstone, None)),
        }
    }

    /// A link is to something whole; having looked at every part keeps them all until the batch is
    /// written (BLOCKS-51).
    pub(crate) fn check_link(&self, cid: Cid) -> Result<(), RepoError> {
        match missing_part(self.store().as_ref(), cid)? {
            Some(cid) => Err(RepoError::Missing(cid)),
            None => Ok(()),
        }
    }

    /// Drops what is staged on a branch; returns how many keys that were.
    pub fn unstage(&self, branch: &BranchName) -> Result<usize, RepoError> {
        self.drop_staged(branch, &|_key| true)
    }

    /// Drops what is staged of these keys, all of it or nothing; returns how many there were.
    ///
    /// Fails with [`RepoError::NotStaged`] if one of them is not staged.
    pub fn unstage_keys(
        &self,
        branch: &BranchName,
        keys: &BTreeSet<Bytes>,
    ) -> Result<usize, RepoError> {
        let staged = self.staged(branch)?;
        if let Some(key) = keys.iter().find(|key| staged.get(key).is_none()) {
            return Err(RepoError::NotStaged { key: key.to_vec() });
        }
        self.drop_staged(branch, &|key| keys.contains(key))
    }

    fn drop_staged(
        &self,
        branch: &BranchName,
        which: &dyn Fn(&Bytes) -> bool,
    ) -> Result<usize, RepoError> {
        loop {
            let staged = self.staged(branch)?;
            let mut dropped = Staged::default();
            for (key, entry) in staged.iter().filter(|(key, _)| which(key)) {
                dropped.insert(key.clone(), entry.clone());
            }
            let mut batch = Batch::new();
            self.consume(branch, &dropped, &mut batch);
            let mut all = lock(&self.inner.staged);
            // A key that was staged anew meanwhile is another edit: look again.
            if let BatchOutcome::Done { .. } = self.inner.store.commit(batch)? {
                forget(all.entry(branch.clone()).or_default(), &dropped);
                return Ok(dropped.len());
            }
        }
    }

    /// Stages encoded entries of some of `keys`, in one batch with what `batch` has. `false` if what
    /// is staged of `keys` is not as it was `seen`, or something else that the batch expects.
    pub(crate) fn stage_over<'a>(
        &self,
        branch: &BranchName,
        seen: &Staged,
        keys: impl Iterator<Item = &'a Bytes>,
        entries: &Entries,
        mut batch: Batch,
    ) -> Result<bool, RepoError> {
        let mut added = BTreeMap::new();
        for key in keys {
            let before = seen.get(key).map(Entry::encode);
            let after = entries.get(key).cloned();
            if let Some(entry) = &after {
                added.insert(key.clone(), decode(entry)?);
            }
            let name = layout::staged(self.inner.id, branch, key);
            let after = after.or_else(|| before.clone());
            batch.set_ref(name, Expect::read(before), after);
        }
        let mut staged = lock(&self.inner.staged);
        if let BatchOutcome::Moved { .. } = self.inner.store.commit(batch)? {
            return Ok(false);
        }
        let current = Arc::make_mut(staged.entry(branch.clone()).or_default());
        for (key, entry) in added {
            current.insert(key, entry);
        }
        Ok(true)
    }

    /// Adds to `batch` the removal of the staged edits in `consumed` (REPO-21). An edit that was
    /// staged anew meanwhile is another edit; the expectation keeps it.
    pub(crate) fn consume(&self, branch: &BranchName, consumed: &Staged, batch: &mut Batch) {
        for (key, entry) in &consumed.edits {
            let name = layout::staged(self.inner.id, branch, key);
            batch.set_ref(name, Expect::Value(entry.encode()), None::<Bytes>);
        }
    }
}

/// Takes consumed edits out of memory.
pub(crate) fn forget(staged: &mut Arc<Staged>, consumed: &Staged) {
    let staged = Arc::make_mut(staged);
    for (key, entry) in &consumed.edits {
        if staged.edits.get(key) == Some(entry) {
            staged.remove(key);
        }
    }
}
