//! The entries of a commit's tree that a replica of a part keeps, as a tree (PART-3, PART-4).

use std::ops::Bound;

use allod_blocks::{Batch, Block};
use allod_tree::{KeySpans, Tree};
use bytes::Bytes;

use crate::error::{Refusal, Rejected, RepoError};
use crate::part::{Holding, Part};
use crate::repo::Repo;
use crate::write::{Entries, apply};

/// Bytes of changed entries that are kept in memory. If there are more, the slice is made anew from the
/// tree.
const CHANGED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of new nodes that are stored at a time.
const STORE_BYTES: usize = 4 * 1024 * 1024;

/// What is kept of a tree on its way.
pub(crate) struct Slice {
    pub(crate) keys: KeySpans,
    of: Vec<u8>,
    /// What differs from the base; none if that is too much.
    changed: Option<Entries>,
    changed_bytes: usize,
}

impl Slice {
    pub(crate) fn new(part: &Part) -> Self {
        Self {
            keys: part.keys(),
            of: part.digest(),
            changed: Some(Entries::new()),
            changed_bytes: 0,
        }
    }

    /// Takes entries of a leaf that are not as they are in the base.
    pub(crate) fn note(&mut self, entries: Vec<(Bytes, Bytes)>) {
        let Some(changed) = &mut self.changed else {
            return;
        };
        for (key, entry) in entries {
            self.changed_bytes += key.len() + entry.len();
            changed.insert(key, entry);
        }
        if self.changed_bytes > CHANGED_BYTES_MAX {
            self.changed = None;
        }
    }

    /// The slice of `trees`, whose nodes with these keys are all here, stored: of one tree, or of one for each prefix.
    /// `added` of its keys the base has not.
    pub(crate) fn finish(
        self,
        repo: &Repo,
        (trees, base): (&[Tree], &Tree),
        added: u64,
    ) -> Result<(Tree, Holding), Rejected> {
        let mut count = 0;
        for tree in trees {
            count += count_within(tree, &self.keys)?;
        }
        // A key that vanished would come back with the next join (REPO-19).
        if base.len() + added != count {
            return Err(Refusal::Tree.into());
        }
        let mut nodes = Nodes::new(repo);
        let slice = match &self.changed {
            // The node of the empty map may be nowhere yet.
            _ if count == 0 => Tree::build([(b"", b""); 0], &mut |block| nodes.put(block))
                .map_err(RepoError::from)?,
            Some(changed) => apply(base, changed, &mut |block| nodes.put(block))?,
            None => self.anew(trees, &mut nodes)?,
        };
        nodes.flush()?;
        let holding = Holding::slice(self.of, slice.root());
        Ok((slice, holding))
    }

    /// Trees are in the order of their keys.
    fn anew(&self, trees: &[Tree], nodes: &mut Nodes<'_>) -> Result<Tree, RepoError> {
        let mut fault = None;
        let spans = trees.iter().flat_map(|tree| {
            self.keys.iter().map(|(from, to)| {
                let to = to.map_or(Bound::Unbounded, |to| Bound::Excluded(&to[..]));
                tree.range((Bound::Included(&from[..]), to))
            })
        });
        let entries = spans.flatten().map_while(|item| match item {
            Ok(entry) => Some(entry),
            Err(error) => {
                fault = Some(error);
                None
            }
        });
        let slice = Tree::build(entries, &mut |block| nodes.put(block))?;
        match fault {
            Some(fault) => Err(fault.into()),
            None => Ok(slice),
        }
    }
}

impl Repo {
    /// Whether all keys of a tree begin with one of some prefixes.
    pub fn is_under<P: AsRef<[u8]>>(
        tree: &Tree,
        prefixes: impl IntoIterator<Item = P>,
    ) -> Result<bool, RepoError> {
        Ok(count_within(tree, &KeySpans::of_prefixes(prefixes))? == tree.len())
    }
}

/// How many entries with these keys a tree has, by the counts in its nodes.
pub(crate) fn count_within(tree: &Tree, keys: &KeySpans) -> Result<u64, RepoError> {
    let mut count = 0;
    for (from, to) in keys.iter() {
        let end = to.map_or(Ok(tree.len()), |to| tree.rank(to))?;
        count += end.saturating_sub(tree.rank(from)?);
    }
    Ok(count)
}

/// New nodes on their way to the store.
pub(super) struct Nodes<'a> {
    repo: &'a Repo,
    batch: Batch,
    bytes: usize,
    fault: Option<RepoError>,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(repo: &'a Repo) -> Self {
        Self {
            repo,
            batch: Batch::new(),
            bytes: 0,
            fault: None,
        }
    }

    pub(super) fn put(&mut self, block: Block) {
        self.bytes += block.bytes().len();
        self.batch.put(block);
        if self.bytes >= STORE_BYTES
            && let Err(fault) = self.store()
        {
            self.fault = Some(fault);
        }
    }

    fn store(&mut self) -> Result<(), RepoError> {
        self.bytes = 0;
        if !self.batch.is_empty() {
            let _outcome = self.repo.store().commit(std::mem::take(&mut self.batch))?;
        }
        Ok(())
    }

    pub(super) fn flush(mut self) -> Result<(), RepoError> {
        self.store()?;
        self.fault.map_or(Ok(()), Err)
    }
}
