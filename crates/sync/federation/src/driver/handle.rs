//! What a program holds of a link, and of its interest in events.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use allod_deltas::Delta;
use tokio::sync::mpsc;

use crate::event::{Event, LinkStats, Status};
use crate::link::{Command, Link};

/// Commands that wait for a link; whoever gives more waits.
const COMMANDS: usize = 64;

/// A link as a program sees it: FED-41. It is the same over all connections of the link.
#[derive(Clone, Debug)]
pub struct RemoteLink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: String,
    remote_url: Option<String>,
    seen: Mutex<Seen>,
    commands: mpsc::Sender<Command>,
}

#[derive(Clone, Debug)]
struct Seen {
    remote_system_id: Option<String>,
    remote_key: Option<String>,
    status: Status,
    stats: LinkStats,
}

impl RemoteLink {
    pub(super) fn new(id: String, remote_url: Option<String>) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let seen = Seen {
            remote_system_id: None,
            remote_key: None,
            status: Status::Connecting,
            stats: LinkStats::default(),
        };
        let shared = Arc::new(Shared {
            id,
            remote_url,
            seen: Mutex::new(seen),
            commands,
        });
        (Self { shared }, receiver)
    }

    pub(super) fn see(&self, link: &Link) {
        let mut seen = lock(&self.shared.seen);
        if seen.remote_system_id.as_deref() != link.remote_system_id() {
            seen.remote_system_id = link.remote_system_id().map(str::to_owned);
            seen.remote_key = link.remote_key().map(ToString::to_string);
        }
        seen.status = link.status();
        seen.stats = link.stats();
    }

    pub(super) fn set_status(&self, status: Status) {
        lock(&self.shared.seen).status = status;
    }

    /// Its name here.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Where it was opened to; none if the peer opened it.
    #[must_use]
    pub fn remote_url(&self) -> Option<&str> {
        self.shared.remote_url.as_deref()
    }

    /// Who the peer says that it is, once it has said so.
    #[must_use]
    pub fn remote_system_id(&self) -> Option<String> {
        lock(&self.shared.seen).remote_system_id.clone()
    }

    /// The key that the peer proved, as `did:key`.
    #[must_use]
    pub fn remote_key(&self) -> Option<String> {
        lock(&self.shared.seen).remote_key.clone()
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.shared.seen).status
    }

    /// Figures about it.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        lock(&self.shared.seen).stats
    }

    /// Sends nothing, and asks the server to send nothing. Nothing if the link has ended, as with all that
    /// follow.
    pub async fn pause(&self) {
        self.command(Command::Pause).await;
    }

    /// Goes on.
    pub async fn resume(&self) {
        self.command(Command::Resume).await;
    }

    /// Ends the link, for good.
    pub async fn disconnect(&self) {
        self.command(Command::Disconnect).await;
    }

    /// Sends a delta that is in the store: now, or once there is a connection, and on the next one if the peer has not
    /// answered on this. Beyond the thousand that may wait it is told as [`Event::DeltaRejected`] (FED-17).
    pub async fn send_delta(&self, delta: Arc<Delta>) {
        self.command(Command::Send(delta)).await;
    }

    async fn command(&self, command: Command) {
        // A link that has ended hears nothing more, and its status says so.
        self.shared.commands.send(command).await.unwrap_or_default();
    }
}

/// What hears of events.
type Hear = dyn Fn(&str, &Event) + Send + Sync;

/// Who hears of events.
#[derive(Default)]
pub(super) struct Listeners {
    next: u64,
    all: BTreeMap<u64, Arc<Hear>>,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", self.all.len())
    }
}

/// Tells everybody of an event of a link.
pub(super) fn tell(listeners: &Mutex<Listeners>, link_id: &str, event: &Event) {
    // They may subscribe and unsubscribe while they hear.
    let all: Vec<Arc<Hear>> = lock(listeners).all.values().cloned().collect();
    for hear in all {
        hear(link_id, event);
    }
}

pub(super) fn subscribe(
    listeners: &Arc<Mutex<Listeners>>,
    hear: impl Fn(&str, &Event) + Send + Sync + 'static,
) -> Unsubscribe {
    let mut all = lock(listeners);
    let number = all.next;
    all.next += 1;
    all.all.insert(number, Arc::new(hear));
    Unsubscribe {
        number,
        listeners: Arc::downgrade(listeners),
    }
}

/// Somebody hears of events until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Unsubscribe {
    number: u64,
    listeners: Weak<Mutex<Listeners>>,
}

impl Drop for Unsubscribe {
    fn drop(&mut self) {
        if let Some(listeners) = self.listeners.upgrade() {
            lock(&listeners).all.remove(&self.number);
        }
    }
}

/// What a panic left there is whole: nothing that is held under these locks calls what is not ours.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
