//! Reading from a peer what is not kept here (PART-13).

use std::collections::BTreeSet;

use allod_blocks::{Batch, Block, Cid, Codec, file_links};
use allod_tree::{Node, TreeError};
use bytes::Bytes;

use crate::entry::Entry;
use crate::error::RepoError;
use crate::heal::BlockPeer;
use crate::joining::{Joining, join_entries};
use crate::repo::{Heads, Repo};

/// Blocks asked for at a time.
const ASKED_MAX: usize = 256;

/// Indexes of a file: each has 174 parts or more, so this is more than a terabyte.
const INDEXES_MAX: usize = 65_536;

/// Levels of a tree, and one more (TREE-10).
const LEVELS_MAX: usize = 33;

impl Repo {
    /// The entry of a key in the state of some commits, with the value that it links to, where not all of
    /// that is here: what is missing comes from a peer.
    ///
    /// Each node is one that a signed root leads to, so the peer can withhold and not lie. What came is in
    /// the store, and nothing refers to it: hold the store's uses until it was read.
    pub fn fetch_entry<P: BlockPeer>(
        &self,
        commits: &Heads,
        key: &[u8],
        peer: &mut P,
    ) -> Result<Option<Entry>, P::Error> {
        let mut found: Option<Bytes> = None;
        for id in commits {
            let root = self.commit(*id)?.payload().tree;
            let (entry, path) = self.fetch_path(*id.cid(), root, key, peer)?;
            let Some(entry) = entry else { continue };
            let decoded = Entry::decode(&entry).map_err(|_error| damaged())?;
            if let Some(cid) = decoded.state.link() {
                self.fetch_file(path, *cid, peer)?;
            }
            found = Some(match found {
                None => entry,
                Some(other) => self.join_two(other, entry)?,
            });
        }
        let decoded = found.map(|entry| Entry::decode(&entry));
        Ok(decoded.transpose().map_err(|_error| damaged())?)
    }

    fn join_two(&self, left: Bytes, right: Bytes) -> Result<Bytes, RepoError> {
        Ok(match join_entries(&left, &right, &|cid| self.raw(cid))? {
            Joining::Left => left,
            Joining::Right => right,
            Joining::Made(entry, block) => {
                let mut batch = Batch::new();
                if let Some(block) = block {
                    batch.put(block);
                }
                let _outcome = self.store().commit(batch)?;
                entry
            }
        })
    }

    /// The entry in the tree that a commit signs, and the blocks that lead to it.
    fn fetch_path<P: BlockPeer>(
        &self,
        commit: Cid,
        root: Cid,
        key: &[u8],
        peer: &mut P,
    ) -> Result<(Option<Bytes>, Vec<Cid>), P::Error> {
        for _ in 0..LEVELS_MAX {
            let mut path = vec![commit];
            match self.way(root, key, &mut path)? {
                Some(lost) => self.fetch_blocks(&path, &[lost], peer)?,
                // The tree checks that each node is what the one above says.
                None => {
                    let entry = self.tree(root)?.get(key).map_err(RepoError::from)?;
                    return Ok((entry, path));
                }
            }
        }
        Err(RepoError::from(TreeError::Missing { cid: root }).into())
    }

    /// Goes from a root towards a key, as far as nodes are here: the first that is not.
    fn way(&self, root: Cid, key: &[u8], path: &mut Vec<Cid>) -> Result<Option<Cid>, RepoError> {
        let mut next = root;
        while path.len() <= LEVELS_MAX {
            let Some(block) = self.store().get(&next)? else {
                return Ok(Some(next));
            };
            path.push(next);
            let node = Node::decode(block.bytes()).map_err(|_error| damaged())?;
            let child = node.lower_bound(key).min(node.len().saturating_sub(1));
            match node.link(child) {
                Some(cid) => next = cid,
                None => break,
            }
        }
        Ok(None)
    }

    /// All blocks of a file that are not here.
    fn fetch_file<P: BlockPeer>(
        &self,
        path: Vec<Cid>,
        file: Cid,
        peer: &mut P,
    ) -> Result<(), P::Error> {
        self.fetch_blocks(&path, &[file], peer)?;
        let mut seen = BTreeSet::new();
        let mut open = vec![(path, file)];
        while let Some((mut path, cid)) = open.pop() {
            // The same part may be in a file many times.
            if cid.codec() != Codec::DagPb.code() || !seen.insert(cid) {
                continue;
            }
            if seen.len() > INDEXES_MAX {
                return Err(damaged().into());
            }
            let block = self.store().get(&cid).map_err(RepoError::from)?;
            let block = block.ok_or(RepoError::Missing(cid))?;
            let parts = file_links(&block).map_err(|_error| damaged())?;
            path.push(cid);
            for some in parts.chunks(ASKED_MAX) {
                self.fetch_blocks(&path, some, peer)?;
            }
            let indexes = parts.into_iter();
            let indexes =
                indexes.filter(|part| part.codec() == Codec::DagPb.code() && !seen.contains(part));
            let indexes: BTreeSet<Cid> = indexes.collect();
            open.extend(indexes.into_iter().map(|part| (path.clone(), part)));
        }
        Ok(())
    }

    /// Those of `names` that are not here, which the last block of `path` leads to.
    fn fetch_blocks<P: BlockPeer>(
        &self,
        path: &[Cid],
        names: &[Cid],
        peer: &mut P,
    ) -> Result<(), P::Error> {
        let mut lost = Vec::new();
        for name in names {
            if !self.store().has(name).map_err(RepoError::from)? {
                lost.push(*name);
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        let store = self.store();
        peer.fetch(path, &lost, &mut |blocks: Vec<Block>| {
            let mut batch = Batch::new();
            for block in blocks {
                batch.put(block);
            }
            let _outcome = store.commit(batch)?;
            Ok(())
        })?;
        for name in &lost {
            if !store.has(name).map_err(RepoError::from)? {
                return Err(RepoError::Missing(*name).into());
            }
        }
        Ok(())
    }
}

const fn damaged() -> RepoError {
    RepoError::Damaged("what a peer sent of a key that is not kept here")
}
