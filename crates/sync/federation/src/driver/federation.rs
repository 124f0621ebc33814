//! A federated store: links that were opened to it, and those that it opens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use allod_deltas::{Appended, Delta, DeltaStore, StoreFault};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};

use super::client::{self, ConnectError, Dial, Dialing};
use super::handle::{Listeners, RemoteLink, Unsubscribe, lock, subscribe, tell};
use super::server::{self, Listening};
use crate::config::FederationConfig;
use crate::event::Event;
use crate::limits::CONNECTIONS_MAX;
use crate::link::{Command, Me, Positions, Rules, Start};

/// The time and chance, which come from the program.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// 32 bytes that nobody can guess.
    fn random(&self) -> [u8; 32];
}

/// Where a client keeps how far it has come with each server.
pub trait PositionStore: Send + Sync {
    /// What was kept last of a server; nothing if there is nothing.
    fn load(&self, remote_url: &str) -> Positions;

    /// Keeps it. Losing the last few costs a few deltas that are sent again.
    fn save(&self, remote_url: &str, positions: &Positions);
}

/// Positions that are gone with the process: then servers are asked for what differs.
#[derive(Debug, Default)]
pub struct MemoryPositions(Mutex<BTreeMap<String, Positions>>);

impl PositionStore for MemoryPositions {
    fn load(&self, remote_url: &str) -> Positions {
        lock(&self.0).get(remote_url).cloned().unwrap_or_default()
    }

    fn save(&self, remote_url: &str, positions: &Positions) {
        lock(&self.0).insert(remote_url.to_owned(), positions.clone());
    }
}

/// What a federation needs to know.
pub struct FederationOptions {
    /// Who this side is.
    pub me: Me,
    /// What it allows on every link.
    pub rules: Rules,
    /// Links that others may have open.
    pub connections_max: usize,
    /// The token that is asked for before the upgrade (FED-34).
    pub token: Option<String>,
    /// The path of the server.
    pub path: String,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// How far it has come with each server.
    pub positions: Arc<dyn PositionStore>,
}

impl FederationOptions {
    /// The usual: 1,000 links, the path `/federation`, no token, positions in memory.
    pub fn new(me: Me, rules: Rules, clock: Arc<dyn Clock>) -> Self {
        Self {
            me,
            rules,
            connections_max: CONNECTIONS_MAX,
            token: None,
            path: "/federation".to_owned(),
            clock,
            positions: Arc::new(MemoryPositions::default()),
        }
    }
}

impl fmt::Debug for FederationOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FederationOptions")
            .field("me", &self.me)
            .field("rules", &self.rules)
            .field("connections_max", &self.connections_max)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Why a federation did not do what it was asked. Blame: the environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FederationError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The address cannot be listened on.
    #[error("the address cannot be listened on: {0}")]
    Listen(#[from] std::io::Error),
    /// It was closed.
    #[error("it was closed")]
    Closed,
}

/// A store of deltas and its links. Cheap to clone; dropping the last one does not end the links,
/// [`close`](Self::close) does.
#[derive(Clone)]
pub struct Federation {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) store: Arc<dyn DeltaStore>,
    pub(super) options: FederationOptions,
    links: Mutex<BTreeMap<String, RemoteLink>>,
    listeners: Arc<Mutex<Listeners>>,
    arrived: watch::Sender<u64>,
    closed: watch::Sender<bool>,
    /// Links that others have open.
    pub(super) incoming: AtomicUsize,
}

impl fmt::Debug for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Federation")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl Federation {
    /// A federation of a store, without links yet.
    #[must_use]
    pub fn new(store: Arc<dyn DeltaStore>, options: FederationOptions) -> Self {
        let inner = Inner {
            store,
            options,
            links: Mutex::default(),
            listeners: Arc::default(),
            arrived: watch::Sender::new(0),
            closed: watch::Sender::new(false),
            incoming: AtomicUsize::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn DeltaStore> {
        &self.inner.store
    }

    /// Takes connections at an address. It goes on until the federation is closed.
    pub async fn listen(&self, address: &str) -> Result<Listening, FederationError> {
        server::listen(self, address).await
    }

    /// Takes a connection that somebody else accepted, a TLS stream for example: upgrades it, and runs it as
    /// a link until it ends.
    pub async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(&self, stream: S) {
        // A link is large, and whoever serves it has futures of its own.
        Box::pin(server::serve(self, stream)).await;
    }

    /// Runs a link over a connection that somebody else upgraded to WebSocket, having asked for path and token,
    /// until it ends.
    pub async fn serve_upgraded<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Box::pin(server::serve_upgraded(self, stream)).await;
    }

    /// Opens a link, and waits until the server agreed. From then on it comes back as `config` says.
    pub async fn connect_to_remote(
        &self,
        url: &str,
        config: FederationConfig,
        dial: Dial,
    ) -> Result<RemoteLink, ConnectError> {
        client::connect(self, url, config, dial).await
    }

    /// Opens a link when that is possible: as `config` says of coming back, from the first attempt on.
    #[must_use]
    pub fn keep_connected(
        &self,
        url: &str,
        config: FederationConfig,
        dialing: Dialing,
    ) -> RemoteLink {
        client::keep(self, url, config, dialing)
    }

    /// The links that there are, opened here or elsewhere.
    #[must_use]
    pub fn links(&self) -> Vec<RemoteLink> {
        lock(&self.inner.links).values().cloned().collect()
    }

    /// The link of a name.
    #[must_use]
    pub fn link(&self, id: &str) -> Option<RemoteLink> {
        lock(&self.inner.links).get(id).cloned()
    }

    /// Ends a link; whether there was one.
    pub async fn disconnect_from_remote(&self, id: &str) -> bool {
        let link = self.link(id);
        if let Some(link) = &link {
            link.disconnect().await;
        }
        link.is_some()
    }

    /// Calls `hear` with the name of a link and each of its events, until what is returned is dropped. It is
    /// called where frames are handled, so it is to be quick.
    pub fn on_event(&self, hear: impl Fn(&str, &Event) + Send + Sync + 'static) -> Unsubscribe {
        subscribe(&self.inner.listeners, hear)
    }

    /// Appends deltas of this side, which then go to all links that take them.
    pub async fn append(&self, deltas: Vec<Arc<Delta>>) -> Result<Vec<Appended>, FederationError> {
        let (store, now_ms) = (Arc::clone(&self.inner.store), self.inner.now_ms());
        let appending = tokio::task::spawn_blocking(move || store.append(&deltas, now_ms));
        let said = appending
            .await
            .map_err(|_error| FederationError::Closed)??;
        self.arrived();
        Ok(said)
    }

    /// Says that something was appended to the store by others.
    pub fn arrived(&self) {
        self.inner.notify();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Returns once it is closed.
    pub async fn closed(&self) {
        self.inner.closing().closed().await;
    }

    /// Ends all links and all listening: peers hear that this side goes away (FED-56), and those that do not answer
    /// within a second are cut off.
    pub fn close(&self) {
        self.inner.closed.send_replace(true);
    }
}

/// Waits until the federation is closed.
pub(super) struct Closing(watch::Receiver<bool>);

impl Closing {
    pub(super) async fn closed(&mut self) {
        // A federation that is gone is closed as well.
        drop(self.0.wait_for(|closed| *closed).await);
    }
}

impl Inner {
    pub(super) fn now_ms(&self) -> u64 {
        self.options.clock.now_ms()
    }

    pub(super) fn notify(&self) {
        self.arrived.send_modify(|count| *count += 1);
    }

    pub(super) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrived.subscribe()
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(super) fn closing(&self) -> Closing {
        Closing(self.closed.subscribe())
    }

    /// A link with a name that chance gives it.
    pub(super) fn add(&self, remote_url: Option<String>) -> (RemoteLink, mpsc::Receiver<Command>) {
        let random = self.options.clock.random();
        let id: String = random
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (link, commands) = RemoteLink::new(id.clone(), remote_url);
        lock(&self.links).insert(id, link.clone());
        (link, commands)
    }

    pub(super) fn remove(&self, link: &RemoteLink) {
        lock(&self.links).remove(link.id());
    }

    pub(super) fn start(&self, link: &RemoteLink, positions: Positions) -> Start {
        Start {
            link_id: link.id().to_owned(),
            nonce: self.options.clock.random(),
            positions,
            stats: link.stats(),
        }
    }

    pub(super) fn tell(&self, link: &RemoteLink, event: &Event) {
        tell(&self.listeners, link.id(), event);
    }
}
