//! The join of trees: of two, and of those of many commits at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use allod_blocks::{Batch, Block, Cid, Codec};
use allod_tree::{Change, Resolve, Tree};
use bytes::Bytes;

use crate::accept::RECENT;
use crate::error::RepoError;
use crate::joining::{Joining, Load, join_entries};
use crate::part::Part;
use crate::repo::{Heads, Repo, lock};
use crate::write::{Entries, apply};

/// Joins kept at hand: what those who write at a time see, each a little else.
const KEPT: usize = 32;

/// Bytes of their blocks; the newest is kept whatever it has.
const KEPT_BYTES: usize = 32 * 1024 * 1024;

/// By how many entries two trees may differ for these to be looked at one by one: gathered with those of others, so
/// that the nodes of a join are made once for all. Where there are more it pays to take whole subtrees over.
const FEW: usize = 1024;

/// The last joins of several commits.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    /// The one that was used last is last.
    kept: VecDeque<Joined>,
}

/// A join of several commits, with the blocks that no commit has.
#[derive(Clone, Debug)]
struct Joined {
    commits: Heads,
    part: Option<Arc<Part>>,
    tree: Tree,
    blocks: Arc<[Block]>,
    /// States that no commit has. They are stored, and a collection of garbage may take them.
    states: Vec<Cid>,
}

impl Joined {
    fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes().len()).sum()
    }
}

impl Joins {
    fn find(&mut self, commits: &Heads, part: Option<&Arc<Part>>) -> Option<Joined> {
        let is_it = |known: &Joined| known.commits == *commits && known.part.as_ref() == part;
        let at = self.kept.iter().rposition(is_it)?;
        let found = self.kept.remove(at)?;
        self.kept.push_back(found.clone());
        Some(found)
    }

    fn keep(&mut self, joined: Joined) {
        let mut bytes: usize = self.kept.iter().map(Joined::bytes).sum();
        bytes += joined.bytes();
        while self.kept.len() >= KEPT || bytes > KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            bytes -= oldest.bytes();
        }
        self.kept.push_back(joined);
    }
}

impl Repo {
    /// The join of the trees of `commits` (REPO-5), and the blocks it has that no commit has.
    pub(crate) fn joined(&self, commits: &Heads) -> Result<(Tree, Arc<[Block]>), RepoError> {
        let mut ids = commits.iter();
        let Some(first) = ids.next() else {
            return Ok((Tree::empty(), Arc::default()));
        };
        if commits.len() == 1 {
            return Ok((self.held_tree(*first)?, Arc::default()));
        }
        let part = self.part();
        let known = lock(&self.inner.joins).find(commits, part.as_ref());
        if let Some(known) = known
            && self.has_blocks(&known.states)?
        {
            return Ok((known.tree, known.blocks));
        }
        let (tree, made) = match self.joined_by_changes(commits)? {
            Some(joined) => joined,
            None => {
                let first = self.held_tree(*first)?;
                let others: Vec<Tree> = ids
                    .map(|id| self.held_tree(*id))
                    .collect::<Result<_, _>>()?;
                join_all(first, &others, &|cid| self.raw(cid))?
            }
        };
        // States are read by their names, also before a commit has them.
        let (mut batch, mut states) = (Batch::new(), Vec::new());
        for block in made.iter().filter(|block| is_state(block)) {
            states.push(*block.cid());
            batch.put(block.clone());
        }
        if !batch.is_empty() {
            let _outcome = self.inner.store.commit(batch)?;
        }
        let blocks: Arc<[Block]> = made.into();
        lock(&self.inner.joins).keep(Joined {
            commits: commits.clone(),
            part,
            tree: tree.clone(),
            blocks: Arc::clone(&blocks),
            states,
        });
        Ok((tree, blocks))
    }

    /// The join of the tree of one of the commits and of what the others' commits changed which that one has not.
    /// A commit has what its parents have and its changes, which are newer (REPO-16), so what all of them have is
    /// the join of all changes. `None` if those are not all at hand.
    fn joined_by_changes(&self, commits: &Heads) -> Result<Option<(Tree, Vec<Block>)>, RepoError> {
        if self.part().is_some() {
            return Ok(None);
        }
        let mut last = None;
        for id in commits {
            last = last.max(Some(self.place(*id)?));
        }
        let Some((_, base)) = last else {
            return Ok(None);
        };
        let known = Heads::from([base]);
        let Some(missing) = self.missing_near(commits, &known, RECENT)? else {
            return Ok(None);
        };
        let Some(changes) = lock(&self.inner.changes).of_all(missing) else {
            return Ok(None);
        };
        let load: Load<'_> = &|cid| self.raw(cid);
        let (mut gathered, mut made) = (Entries::new(), Made::default());
        for (key, entry) in changes.iter().flat_map(|changes| changes.iter()) {
            let entry = match made.join_entry(gathered.get(key), entry.clone(), load) {
                // A state that others have replaced since may be gone.
                Err(RepoError::Missing(_)) => return Ok(None),
                entry => entry?,
            };
            gathered.insert(key.clone(), entry);
        }
        let tree = made.set(self.held_tree(base)?, gathered, load)?;
        Ok(Some((tree, made.blocks)))
    }

    fn has_blocks(&self, cids: &[Cid]) -> Result<bool, RepoError> {
        for cid in cids {
            if !self.inner.store.has(cid)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn is_state(block: &Block) -> bool {
    block.cid().codec() == Codec::Raw.code()
}

/// The join of trees, and the blocks that it made on the way. Entries that few trees have differently are
/// gathered and set at once: the join does not depend on the order (REPO-5).
fn join_all(first: Tree, others: &[Tree], load: Load<'_>) -> Result<(Tree, Vec<Block>), RepoError> {
    let (mut joined, mut gathered) = (first, Entries::new());
    let mut made = Made::default();
    for other in others {
        match few_changes(&joined, other)? {
            Some(changes) => {
                let entries = changes.into_iter();
                let entries = entries.filter_map(|change| Some((change.key, change.right?)));
                for (key, entry) in entries {
                    let entry = made.join_entry(gathered.get(&key), entry, load)?;
                    gathered.insert(key, entry);
                }
            }
            None => joined = made.join(&joined, other, load)?,
        }
    }
    joined = made.set(joined, gathered, load)?;
    Ok((joined, made.blocks))
}

/// What differs between two trees, if that is little.
pub(crate) fn few_changes(left: &Tree, right: &Tree) -> Result<Option<Vec<Change>>, RepoError> {
    let mut few = Vec::new();
    for change in left.diff(right) {
        if few.len() == FEW {
            return Ok(None);
        }
        few.push(change?);
    }
    Ok(Some(few))
}

/// Blocks that a join made, each once.
#[derive(Default)]
pub(crate) struct Made {
    blocks: Vec<Block>,
    names: BTreeSet<Cid>,
    /// States among them, which may be joined again before they are stored.
    states: BTreeMap<Cid, Bytes>,
}

impl Made {
    fn put(&mut self, block: Block) {
        if self.names.insert(*block.cid()) {
            if is_state(&block) {
                self.states.insert(*block.cid(), block.bytes().clone());
            }
            self.blocks.push(block);
        }
    }

    /// Reads a state, also one that was made here.
    fn load(&self, cid: &Cid, load: Load<'_>) -> Result<Bytes, RepoError> {
        match self.states.get(cid) {
            Some(state) => Ok(state.clone()),
            None => load(cid),
        }
    }

    /// The join of an entry with the one that is there.
    pub(crate) fn join_entry(
        &mut self,
        there: Option<&Bytes>,
        entry: Bytes,
        load: Load<'_>,
    ) -> Result<Bytes, RepoError> {
        let Some(there) = there else {
            return Ok(entry);
        };
        match join_entries(there, &entry, &|cid| self.load(cid, load))? {
            Joining::Left => Ok(there.clone()),
            Joining::Right => Ok(entry),
            Joining::Made(entry, block) => {
                if let Some(block) = block {
                    self.put(block);
                }
                Ok(entry)
            }
        }
    }

    /// The join of a tree and of gathered entries.
    fn set(&mut self, tree: Tree, gathered: Entries, load: Load<'_>) -> Result<Tree, RepoError> {
        let mut changes = Entries::new();
        for (key, entry) in gathered {
            let there = tree.get(&key)?;
            let entry = self.join_entry(there.as_ref(), entry, load)?;
            if there.as_ref() != Some(&entry) {
                changes.insert(key, entry);
            }
        }
        if changes.is_empty() {
            return Ok(tree);
        }
        apply(&tree, &changes, &mut |block| self.put(block))
    }

    fn join(&mut self, left: &Tree, right: &Tree, load: Load<'_>) -> Result<Tree, RepoError> {
        let mut new = Vec::new();
        let load: Load<'_> = &|cid| self.load(cid, load);
        let joined = join(left, right, load, &mut |block| new.push(block))?;
        for block in new {
            self.put(block);
        }
        Ok(joined)
    }
}

/// The join of two trees of entries (REPO-4, REPO-5). `load` reads the raw blocks of states that join; new
/// ones are handed to `out` as those of nodes are.
pub fn join(
    left: &Tree,
    right: &Tree,
    load: Load<'_>,
    out: &mut dyn FnMut(Block),
) -> Result<Tree, RepoError> {
    let mut fault = None;
    // Many keys may have one state.
    let mut states = BTreeMap::new();
    let mut resolve = |_key: &[u8], left: &[u8], right: &[u8]| match join_entries(left, right, load)
    {
        Ok(Joining::Left) => Resolve::Left,
        Ok(Joining::Right) => Resolve::Right,
        Ok(Joining::Made(entry, block)) => {
            states.extend(block.map(|block| (*block.cid(), block)));
            Resolve::Value(entry)
        }
        Err(error) => {
            fault.get_or_insert(error);
            Resolve::Left
        }
    };
    let joined = left.join(right, &mut resolve, out)?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    states.into_values().for_each(out);
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::{Entry, State};
    use crate::stamp::Stamp;

    fn no_block(_: &Cid) -> Result<Bytes, RepoError> {
        unreachable!("no entry links to a block")
    }

    /// A tree of keys with the times of their values.
    fn tree(times: &BTreeMap<u16, u64>) -> Tree {
        let entries = times.iter().map(|(key, time)| {
            let entry = Entry {
                stamp: Stamp::from_bits(*time),
                state: State::Value(time.to_be_bytes().to_vec().into()),
            };
            (Bytes::from(key.to_be_bytes().to_vec()), entry.encode())
        });
        let entries: Entries = entries.collect();
        apply(&Tree::empty(), &entries, &mut |_block| {}).unwrap()
    }

    proptest! {
        /// REPO-5: however many are joined at once, few or many of their entries differ, in any order.
        #[test]
        fn many_at_once_are_what_they_are_one_by_one(
            shared in 0u16..3000,
            own in prop::collection::vec(
                (0u16..3000, 0u16..1500, 2u64..6), 1..6
            ),
        ) {
            let trees: Vec<Tree> = own
                .iter()
                .map(|(from, count, time)| {
                    let mut times: BTreeMap<u16, u64> = (0..shared).map(|key| (key, 1)).collect();
                    times.extend((*from..from + count).map(|key| (key, time + u64::from(key % 3))));
                    tree(&times)
                })
                .collect();
            let mut expected = trees[0].clone();
            for other in &trees[1..] {
                expected = join(&expected, other, &no_block, &mut |_block| {}).unwrap();
            }
            let (joined, _) = join_all(trees[0].clone(), &trees[1..], &no_block).unwrap();
            prop_assert_eq!(joined.root(), expected.root());
            let reversed: Vec<Tree> = trees.iter().rev().cloned().collect();
            let (joined, _) = join_all(reversed[0].clone(), &reversed[1..], &no_block).unwrap();
            prop_assert_eq!(joined.root(), expected.root());
        }
    }
}
