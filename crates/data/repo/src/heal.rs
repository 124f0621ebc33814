//! Fetching what is damaged or missing from a peer of the space (SYNC-30 to SYNC-36), and noting what
//! is known to be lost until then (REPO-69).

use std::collections::BTreeSet;

use allod_blocks::{
    Batch, Block, Cid, Codec, Expect, Marked, Store, StoreError, StoreErrorKind, cbor_links,
};
use bytes::Bytes;

use crate::error::RepoError;
use crate::files::ALL;
use crate::ids::SpaceId;
use crate::layout;
use crate::reach::{Parts, named_by, tree_of};
use crate::repair::lost_blocks;

/// Marks of commits or references read at a time; a question to a peer may have as many links.
const PAGE: usize = 1024;

/// Blocks asked for at a time: with the path to them they stay below what a question may have.
const ASK: usize = 256;

/// Steps of a path that can be asked for. A tree has at most 32 levels and a file 16.
const PATH_MAX: usize = 64;

/// Blocks that are noted as lost; to fetch any of them walks all of a space.
const NOTED_MAX: usize = 1024;

/// A peer of a space that serves blocks of it to whoever shows the way to them.
pub trait BlockPeer {
    /// Why it cannot be asked, or why this side cannot go on.
    type Error: From<RepoError>;

    /// Those of these commits, at most 1,024, that it has whole.
    fn known(&mut self, commits: &[Cid]) -> Result<BTreeSet<Cid>, Self::Error>;

    /// Hands what it has of `names`, at most 256, to `keep`. They are what the last block of `path`
    /// leads to; the first of that is a commit. With an empty path they belong to the space
    /// themselves. The name of a [`Block`] was checked against its content.
    fn fetch(&mut self, path: &[Cid], names: &[Cid], keep: Keep<'_>) -> Result<(), Self::Error>;
}

/// Takes blocks that a peer sent.
pub type Keep<'a> = &'a mut dyn FnMut(Vec<Block>) -> Result<(), RepoError>;

/// Asks `peer` for what is damaged or missing of `space`, as far as commits lead to it that both
/// have. Returns what came. `progress` hears of how many blocks were looked at.
///
/// Walks all of the space that is here, so it is worth it only if something is known to be lost.
/// Memory: 20 to 30 bytes a block.
pub fn heal_space<P: BlockPeer>(
    store: &dyn Store,
    space: SpaceId,
    peer: &mut P,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Cid>, P::Error> {
    let _hold = store.uses().hold();
    let mut healing = Healing {
        store,
        peer,
        progress,
        seen: Marked::new(),
        fetched: Vec::new(),
    };
    let mut roots = vec![*space.cid()];
    roots.extend(key_events(store)?);
    healing.fetch_lost(&[], &roots)?;
    let parts = Parts::of(store).map_err(RepoError::from)?;
    let prefix = layout::commits(space);
    let mut after: Option<Bytes> = None;
    loop {
        let page = store.scan_refs(&prefix, after.as_deref(), PAGE);
        let page = page.map_err(RepoError::from)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        // The names of commits are in their marks, whatever became of their blocks.
        let marked = page
            .iter()
            .filter_map(|(name, _)| layout::marked_commit(name));
        let marked: Vec<Cid> = marked.collect();
        let known: Vec<Cid> = healing.peer.known(&marked)?.into_iter().collect();
        healing.fetch_lost(&[], &known)?;
        for commit in known {
            healing.below(&parts, commit)?;
        }
    }
    Ok(healing.fetched)
}

struct Healing<'a, P> {
    store: &'a dyn Store,
    peer: &'a mut P,
    progress: &'a mut dyn FnMut(u64),
    seen: Marked,
    fetched: Vec<Cid>,
}

impl<P: BlockPeer> Healing<'_, P> {
    /// Walks what a commit leads to, but for its parents, and fetches what is lost on the way.
    fn below(&mut self, parts: &Parts, commit: Cid) -> Result<(), P::Error> {
        let mut path = Vec::new();
        let mut open = vec![(0, commit)];
        while let Some((depth, cid)) = open.pop() {
            (self.progress)(self.seen.len());
            let Some(block) = read(self.store, &cid)? else {
                continue;
            };
            // What is not kept is not lost; a slice is no peer's to give.
            if depth == 0 && parts.has(self.store, &block).map_err(RepoError::from)? {
                continue;
            }
            path.truncate(depth);
            path.push(cid);
            let mut links: Vec<Cid> = if depth == 0 {
                tree_of(&block).into_iter().collect()
            } else {
                let named = named_by(&block, ALL).unwrap_or_default();
                named.links.into_iter().map(|(link, _)| link).collect()
            };
            links.retain(|link| self.seen.insert(link));
            if path.len() <= PATH_MAX {
                self.fetch_lost(&path, &links)?;
            }
            let nodes = links.into_iter().rev().filter(|link| !is_leaf(link));
            open.extend(nodes.map(|link| (depth + 1, link)));
        }
        Ok(())
    }

    /// Asks for those of `names` that are not here, or damaged.
    fn fetch_lost(&mut self, path: &[Cid], names: &[Cid]) -> Result<(), P::Error> {
        let mut lost = Vec::new();
        for cid in names {
            if !is_here(self.store, cid)? {
                lost.push(*cid);
            }
        }
        for names in lost.chunks(ASK) {
            let (store, fetched) = (self.store, &mut self.fetched);
            self.peer.fetch(path, names, &mut |blocks| {
                let mut batch = Batch::new();
                let came = fetched.len();
                for block in blocks {
                    fetched.push(*block.cid());
                    batch.put(block);
                }
                if fetched.len() > came {
                    let _outcome = store.commit(batch)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn is_leaf(cid: &Cid) -> bool {
    cid.codec() == Codec::Raw.code()
}

/// Whether a block is here. A leaf is not read: one that was found damaged was put aside.
fn is_here(store: &dyn Store, cid: &Cid) -> Result<bool, RepoError> {
    if is_leaf(cid) {
        return match store.has(cid) {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(false),
            has => Ok(has?),
        };
    }
    Ok(read(store, cid)?.is_some())
}

/// A block, if it is here whole.
fn read(store: &dyn Store, cid: &Cid) -> Result<Option<Block>, RepoError> {
    match store.get(cid) {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(None),
        block => Ok(block?),
    }
}

/// The events of all key logs here. Those of strangers to the space are few, and its peers have none.
fn key_events(store: &dyn Store) -> Result<Vec<Cid>, RepoError> {
    let mut events = Vec::new();
    each_reference(store, layout::KEY_LOGS, &mut |_, value| {
        events.extend(cbor_links(value).unwrap_or_default());
    })?;
    Ok(events)
}

fn each_reference(
    store: &dyn Store,
    prefix: &[u8],
    on: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), StoreError> {
    let mut after: Option<Bytes> = None;
    loop {
        let page = store.scan_refs(prefix, after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (name, value) in &page {
            on(name, value);
        }
    }
}

/// Notes blocks that are damaged or missing, as many as are noted in all (REPO-69).
pub fn note_lost(store: &dyn Store, lost: &[Cid]) -> Result<(), RepoError> {
    let noted: BTreeSet<Cid> = noted_lost(store)?.into_iter().collect();
    let room = NOTED_MAX.saturating_sub(noted.len());
    let mut new: BTreeSet<Cid> = lost.iter().copied().collect();
    new.retain(|cid| !noted.contains(cid));
    let mut batch = Batch::new();
    for cid in new.iter().take(room) {
        batch.set_ref(layout::lost(cid), Expect::Any, Some(Bytes::new()));
    }
    if !batch.is_empty() {
        let _outcome = store.commit(batch)?;
    }
    Ok(())
}

/// The blocks that are noted as lost.
pub fn noted_lost(store: &dyn Store) -> Result<Vec<Cid>, RepoError> {
    let mut noted = Vec::new();
    each_reference(store, layout::LOST, &mut |name, _| {
        let cid = name.strip_prefix(layout::LOST).unwrap_or_default();
        noted.extend(Cid::try_from(cid).ok());
    })?;
    Ok(noted)
}

/// Takes back the notes on what is here whole again, or is not needed any more.
pub fn forget_found(store: &dyn Store) -> Result<(), RepoError> {
    let (mut whole, mut rest) = (Vec::new(), Vec::new());
    for cid in noted_lost(store)? {
        match read(store, &cid)? {
            Some(_) => whole.push(cid),
            None => rest.push(cid),
        }
    }
    if !rest.is_empty() {
        let lost: BTreeSet<Cid> = lost_blocks(store)?.into_iter().collect();
        let is_gone = |cid: &Cid| !lost.contains(cid) && matches!(store.has(cid), Ok(false));
        whole.extend(rest.into_iter().filter(is_gone));
    }
    let mut batch = Batch::new();
    for cid in whole {
        batch.set_ref(layout::lost(&cid), Expect::Any, None::<Bytes>);
    }
    if !batch.is_empty() {
        let _outcome = store.commit(batch)?;
    }
    Ok(())
}
