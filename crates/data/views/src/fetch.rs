//! Fetching the nodes of a tree that a peer has computed (SYNC-37).

use std::collections::HashSet;

use allod_blocks::{Batch, Block, Cid, Store, StoreErrorKind};
use allod_repo::{BlockPeer, RepoError};
use allod_tree::Node;

/// Nodes asked for at a time: with the path to them they stay below what a question may have.
const ASK: usize = 256;

/// Levels of a tree.
const LEVELS_MAX: usize = allod_tree::LEVEL_MAX as usize + 1;

/// Fetches what is not here of a tree whose root the peer told of (SYNC-37). Returns how many nodes came;
/// whether they are a tree, and of what, remains to be checked ([`Snapshot::adopt`](crate::Snapshot::adopt)).
/// `progress` hears of how many came.
///
/// Nothing refers to them yet: hold them (BLOCKS-51). Memory: 40 bytes for each inner node and its
/// children.
pub fn fetch_tree<P: BlockPeer>(
    store: &dyn Store,
    root: Cid,
    peer: &mut P,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, P::Error> {
    let mut came = fetch_lost(store, (&[], &[root]), peer)?;
    let mut seen = HashSet::new();
    let mut path = Vec::new();
    let mut open = vec![(0, root)];
    while let Some((depth, cid)) = open.pop() {
        progress(came);
        let node = read(store, &cid)?.and_then(|block| Node::decode(block.bytes()).ok());
        let Some(node) = node.filter(|node| !node.is_leaf() && depth < LEVELS_MAX) else {
            continue;
        };
        path.truncate(depth);
        path.push(cid);
        let children = (0..node.len()).filter_map(|index| node.link(index));
        let children: Vec<Cid> = children.filter(|child| seen.insert(*child)).collect();
        came += fetch_lost(store, (&path, &children), peer)?;
        if node.level() > 1 {
            open.extend(children.into_iter().rev().map(|child| (depth + 1, child)));
        }
    }
    Ok(came)
}

/// Asks for those of the blocks that are not here, which the last of `path` leads to, and stores what
/// comes.
fn fetch_lost<P: BlockPeer>(
    store: &dyn Store,
    (path, names): (&[Cid], &[Cid]),
    peer: &mut P,
) -> Result<u64, P::Error> {
    let mut lost = Vec::new();
    for cid in names {
        if read(store, cid)?.is_none() {
            lost.push(*cid);
        }
    }
    let mut came = 0;
    for names in lost.chunks(ASK) {
        peer.fetch(path, names, &mut |blocks| {
            let mut batch = Batch::new();
            came += blocks.len() as u64;
            for block in blocks {
                batch.put(block);
            }
            if !batch.is_empty() {
                // Without an expectation nothing can have moved.
                drop(store.commit(batch)?);
            }
            Ok(())
        })?;
    }
    Ok(came)
}

/// A block, if it is here whole.
fn read(store: &dyn Store, cid: &Cid) -> Result<Option<Block>, RepoError> {
    match store.get(cid) {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(None),
        block => Ok(block?),
    }
}
