//! The records of peers in memory, and when they are written down.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard};

use allod_blocks::{Batch, Expect, Store};
use allod_identity::DeviceId;
use allod_repo::{RepoError, SpaceId};
use bytes::Bytes;

use crate::error::NodeError;
use crate::hooks::lock;
use crate::peers::Peer;

/// Peers of a space that are read: as many as a space has devices, by far.
const PEERS_MAX: usize = 10_000;

/// The records of the peers of all spaces, read when they are first asked for. The only writer of those in the
/// store.
#[derive(Debug, Default)]
pub(crate) struct KnownPeers(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    spaces: BTreeMap<SpaceId, BTreeMap<DeviceId, Known>>,
    /// Whether what makes a record no less true than the one in the store may be written later.
    is_lazy: bool,
}

/// A record as it is, and as it was written.
#[derive(Debug, Default)]
struct Known {
    peer: Peer,
    written: Option<Peer>,
}

impl Known {
    fn is_written(&self) -> bool {
        self.written.as_ref() == Some(&self.peer)
    }
}

impl KnownPeers {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }

    /// Those of the peers of a space that `which` takes.
    pub(crate) fn find(
        &self,
        store: &dyn Store,
        space: SpaceId,
        mut which: impl FnMut(DeviceId, &Peer) -> bool,
    ) -> Result<Vec<(DeviceId, Peer)>, NodeError> {
        let mut inner = self.lock();
        let known = inner.of(store, space)?.iter();
        let found = known.filter(|(device, known)| which(**device, &known.peer));
        let found = found.map(|(device, known)| (*device, known.peer.clone()));
        Ok(found.collect())
    }

    /// What is known of a peer, if anything is.
    pub(crate) fn get(
        &self,
        store: &dyn Store,
        space: SpaceId,
        device: DeviceId,
    ) -> Result<Option<Peer>, NodeError> {
        let mut inner = self.lock();
        let known = inner.of(store, space)?.get(&device);
        Ok(known.map(|known| known.peer.clone()))
    }

    /// Changes what is known of a peer. Durable when it returns, unless records may be written later and the one in
    /// the store says nothing that is wrong meanwhile: `may_wait` is asked about that one and the new one.
    pub(crate) fn change(
        &self,
        store: &dyn Store,
        (space, device): (SpaceId, DeviceId),
        change: impl FnOnce(&mut Peer),
        may_wait: impl FnOnce(&Peer, &Peer) -> bool,
    ) -> Result<(), NodeError> {
        let mut inner = self.lock();
        let is_lazy = inner.is_lazy;
        let all = inner.of(store, space)?;
        let was = all.get(&device);
        let mut peer = was.map(|known| known.peer.clone()).unwrap_or_default();
        let written = was.and_then(|known| known.written.clone());
        change(&mut peer);
        let waits = is_lazy && written.as_ref().is_some_and(|old| may_wait(old, &peer));
        let mut known = Known { peer, written };
        if !waits && !known.is_written() {
            let mut batch = Batch::new();
            known.write(space, device, &mut batch)?;
            // Without an expectation nothing can have moved.
            drop(store.commit(batch)?);
        }
        all.insert(device, known);
        Ok(())
    }

    /// Forgets a peer.
    pub(crate) fn forget(
        &self,
        store: &dyn Store,
        space: SpaceId,
        device: DeviceId,
    ) -> Result<(), NodeError> {
        let mut inner = self.lock();
        let mut batch = Batch::new();
        batch.set_ref(peer_ref(space, device), Expect::Any, None::<Vec<u8>>);
        drop(store.commit(batch)?);
        inner.of(store, space)?.remove(&device);
        Ok(())
    }

    /// From now on records may be written later, by [`save`](Self::save); or not any more.
    pub(crate) fn set_lazy(&self, is_lazy: bool) {
        self.lock().is_lazy = is_lazy;
    }

    /// Writes all that was not written.
    pub(crate) fn save(&self, store: &dyn Store) -> Result<(), NodeError> {
        let mut inner = self.lock();
        let mut batch = Batch::new();
        let mut saved = Vec::new();
        for (space, all) in &mut inner.spaces {
            for (device, known) in all.iter_mut().filter(|(_, known)| !known.is_written()) {
                let before = known.written.clone();
                known.write(*space, *device, &mut batch)?;
                saved.push((known, before));
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        store.commit(batch).map(drop).map_err(|error| {
            for (known, before) in saved {
                known.written = before;
            }
            error.into()
        })
    }
}

impl Inner {
    fn of(
        &mut self,
        store: &dyn Store,
        space: SpaceId,
    ) -> Result<&mut BTreeMap<DeviceId, Known>, NodeError> {
        Ok(match self.spaces.entry(space) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(read(store, space)?),
        })
    }
}

impl Known {
    fn write(
        &mut self,
        space: SpaceId,
        device: DeviceId,
        batch: &mut Batch,
    ) -> Result<(), NodeError> {
        let value = serde_json::to_vec(&self.peer)
            .map_err(|_error| NodeError::Repo(RepoError::Damaged("a peer's record")))?;
        batch.set_ref(peer_ref(space, device), Expect::Any, Some(value));
        self.written = Some(self.peer.clone());
        Ok(())
    }
}

fn read(store: &dyn Store, space: SpaceId) -> Result<BTreeMap<DeviceId, Known>, NodeError> {
    let prefix = prefix(space);
    let page = store.scan_refs(&prefix, None, PEERS_MAX)?;
    let known = page.iter().filter_map(|(name, value): &(Bytes, Bytes)| {
        let device = std::str::from_utf8(&name[prefix.len()..]).ok()?;
        // A record that does not read is one that is not known: it is only a hint.
        let peer: Peer = serde_json::from_slice(value).ok()?;
        let written = Some(peer.clone());
        Some((device.parse().ok()?, Known { peer, written }))
    });
    Ok(known.collect())
}

fn prefix(space: SpaceId) -> Vec<u8> {
    [b"node/peer/", &space.cid().to_bytes()[..], b"/"].concat()
}

fn peer_ref(space: SpaceId, device: DeviceId) -> Vec<u8> {
    [&prefix(space)[..], device.to_string().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use allod_blocks::{Codec, MemoryStore, sha256_cid};
    use allod_identity::SecretKey;

    use super::*;

    fn names() -> (SpaceId, DeviceId) {
        let space = sha256_cid(Codec::DagCbor, b"a space");
        (
            SpaceId::from_cid(space),
            SecretKey::from_seed([7; 32]).device_id(),
        )
    }

    fn stored(store: &dyn Store) -> Option<Peer> {
        let known = KnownPeers::default();
        known.get(store, names().0, names().1).unwrap()
    }

    #[test]
    fn what_may_wait_is_written_when_it_is_saved() {
        let (store, known) = (MemoryStore::new(), KnownPeers::default());
        let seen = |at: u64| move |peer: &mut Peer| peer.synced_ms = Some(at);
        known.set_lazy(true);
        // There is no record yet, so that nothing is known of the peer at all.
        known.change(&store, names(), seen(1), |_, _| true).unwrap();
        assert_eq!(stored(&store).unwrap().synced_ms, Some(1));
        known.change(&store, names(), seen(2), |_, _| true).unwrap();
        assert_eq!(stored(&store).unwrap().synced_ms, Some(1));
        known
            .change(&store, names(), seen(3), |old, new| {
                assert_eq!((old.synced_ms, new.synced_ms), (Some(1), Some(3)));
                false
            })
            .unwrap();
        assert_eq!(stored(&store).unwrap().synced_ms, Some(3));
        known.change(&store, names(), seen(4), |_, _| true).unwrap();
        known.save(&store).unwrap();
        assert_eq!(stored(&store).unwrap().synced_ms, Some(4));
        known.set_lazy(false);
        known.change(&store, names(), seen(5), |_, _| true).unwrap();
        assert_eq!(stored(&store).unwrap().synced_ms, Some(5));
        known.forget(&store, names().0, names().1).unwrap();
        assert_eq!(stored(&store), None);
        known.save(&store).unwrap();
        assert_eq!(stored(&store), None);
    }
}
