//! Connections that stay open: what either side has for the other goes over them at once (SYNC-41).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use allod_identity::DeviceId;
use allod_quic::{Connection, prefer};
use allod_repo::SpaceId;
use tokio::sync::{mpsc, watch};

use crate::hooks::lock;

/// Connections that stay open without a stream: each takes some 100 KiB, and a space has fewer peers that
/// are there at a time.
const LINKS_MAX: usize = 256;

/// Dialled connections that wait to be served.
const WAITING_MAX: usize = LINKS_MAX;

/// A peer of a space.
pub(crate) type Tie = (SpaceId, DeviceId);

/// The connections of a running node, one for each device that it had a session with.
#[derive(Clone, Default)]
pub(crate) struct Links(Arc<Inner>);

#[derive(Default)]
struct Inner {
    open: Mutex<BTreeMap<DeviceId, Connection>>,
    /// Where dialled connections are served, while the node runs.
    serving: Mutex<Option<mpsc::Sender<Connection>>>,
    changed: watch::Sender<u64>,
    /// Devices whose connections came or went since somebody asked.
    stirred: Mutex<BTreeSet<DeviceId>>,
    served: Mutex<Served>,
    ended: watch::Sender<u64>,
}

/// Sessions that peers began.
#[derive(Default)]
struct Served {
    /// How many are under way with whom.
    open: BTreeMap<Tie, usize>,
    /// With whom one ended since somebody asked, and how long it took.
    ended: BTreeMap<Tie, Duration>,
}

/// A session that a peer began, while it is under way.
#[derive(Debug)]
pub(crate) struct Serving {
    links: Links,
    tie: Tie,
    began: Instant,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut served = lock(&self.links.0.served);
        if let Some(count) = served.open.get_mut(&self.tie) {
            *count -= 1;
            if *count == 0 {
                served.open.remove(&self.tie);
            }
        }
        served.ended.insert(self.tie, self.began.elapsed());
        drop(served);
        self.links.0.ended.send_modify(|count| *count += 1);
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links")
            .field("open", &lock(&self.0.open).len())
            .finish_non_exhaustive()
    }
}

impl Links {
    /// Begins to keep connections; gives those that this node dials, to be served like others.
    pub(crate) fn begin(&self) -> mpsc::Receiver<Connection> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        *lock(&self.0.serving) = Some(sender);
        receiver
    }

    /// Keeps none any more.
    pub(crate) fn end(&self) {
        *lock(&self.0.serving) = None;
        lock(&self.0.open).clear();
    }

    /// The connection to a device, if one is open.
    pub(crate) fn get(&self, device: DeviceId) -> Option<Connection> {
        let open = lock(&self.0.open);
        let found = open.get(&device);
        found.filter(|link| link.close_reason().is_none()).cloned()
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        let open = lock(&self.0.open);
        let open = open.values().filter(|link| link.close_reason().is_none());
        open.count()
    }

    /// Keeps a connection on which a session came to its end; `is_dialled` by this node. Of two to one
    /// device both sides keep the same.
    pub(crate) fn keep(&self, connection: &Connection, is_dialled: bool) {
        let Some(serving) = lock(&self.0.serving).clone() else {
            return;
        };
        let mut open = lock(&self.0.open);
        open.retain(|_, link| link.close_reason().is_none());
        let peer = connection.peer();
        match open.get(&peer) {
            Some(known) if known.is_same(connection) => return,
            Some(known) if !prefer(known, connection).is_same(connection) => return,
            None if open.len() >= LINKS_MAX => return,
            _ => {}
        }
        if is_dialled && serving.try_send(connection.clone()).is_err() {
            return;
        }
        open.insert(peer, connection.clone());
        drop(open);
        self.stir(peer);
    }

    /// Whether this very connection is kept.
    pub(crate) fn has(&self, connection: &Connection) -> bool {
        let open = lock(&self.0.open);
        let known = open.get(&connection.peer());
        known.is_some_and(|known| known.is_same(connection))
    }

    /// Lets a connection go that is closed, or of no more use.
    pub(crate) fn remove(&self, connection: &Connection) {
        let mut open = lock(&self.0.open);
        let known = open.get(&connection.peer());
        if known.is_some_and(|known| known.is_same(connection)) {
            open.remove(&connection.peer());
            drop(open);
            self.stir(connection.peer());
        }
    }

    /// Notes that a session is under way that a peer began.
    pub(crate) fn serve(&self, tie: Tie) -> Serving {
        *lock(&self.0.served).open.entry(tie).or_default() += 1;
        let (links, began) = (self.clone(), Instant::now());
        Serving { links, tie, began }
    }

    /// Whether a session is under way that the peer began.
    pub(crate) fn is_served(&self, tie: Tie) -> bool {
        lock(&self.0.served).open.contains_key(&tie)
    }

    /// With whom sessions ended that they began, since the last call, and how long those took.
    pub(crate) fn take_ended(&self) -> BTreeMap<Tie, Duration> {
        std::mem::take(&mut lock(&self.0.served).ended)
    }

    /// Hears of sessions that end which peers began.
    pub(crate) fn watch_ended(&self) -> watch::Receiver<u64> {
        self.0.ended.subscribe()
    }

    fn stir(&self, device: DeviceId) {
        lock(&self.0.stirred).insert(device);
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// The devices whose connections came or went since the last call.
    pub(crate) fn take_stirred(&self) -> BTreeSet<DeviceId> {
        std::mem::take(&mut lock(&self.0.stirred))
    }

    /// Hears of connections that come and go.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }
}
