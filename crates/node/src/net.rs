//! The drivers: sessions over connections, joining, and a node that serves and keeps in touch.

use std::net::SocketAddr;
use std::time::Duration;

use allod_identity::DeviceId;
use allod_quic::{CloseCode, Config, Connection, Endpoint, Limits, QuicError, Stream, StreamKind};
use allod_repo::{BranchName, Granting, Repo, SpaceId};
use allod_sync::{Backoff, Me, Outcome, Scope, Session, Stats, Ticket};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::heal::in_time;
use crate::home::random;
use crate::line::drive;
use crate::node::{Node, TICKET_MS_DEFAULT};
use crate::peers::Peer;
use crate::places::Places;
use crate::trusting::Heeding;

/// How long a dial may take before the next address is tried.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may be open without a stream (TRANS-18): whoever dials does it to open one. A peer
/// that only takes a place would keep others out.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);

/// How often a serving node looks for what it could not do before.
pub(crate) const RETRY_EVERY: Duration = Duration::from_secs(30);

/// What a session did.
#[derive(Clone, Debug)]
pub struct SyncReport {
    /// The peer.
    pub peer: DeviceId,
    /// Figures.
    pub stats: Stats,
    /// Branches that were to be pulled and are not there.
    pub absent: Vec<BranchName>,
    /// Branches that the peer offered in parts alone which are not what is kept here, so that nothing of them comes: with
    /// the prefixes of these (SYNC-64).
    pub in_other_parts: Vec<(BranchName, Vec<Bytes>)>,
    /// How long it took, handshake included.
    pub elapsed: Duration,
}

impl Node {
    /// Opens this node's endpoint. Call it within a tokio runtime.
    pub fn listen(&self, addr: SocketAddr) -> Result<Endpoint, NodeError> {
        let config = Config {
            listen: addr,
            key: self.device_key()?,
            limits: Limits::default(),
        };
        Ok(Endpoint::bind(config)?)
    }

    /// Makes a ticket for a space that leads to `addrs`: whoever joins with it becomes a member, or is granted what it gives.
    pub fn ticket(
        &self,
        repo: &Repo,
        addrs: Vec<String>,
        valid_ms: Option<u64>,
        gives: Option<&Granting>,
    ) -> Result<Ticket, NodeError> {
        let agent = self.agent()?;
        let rights = repo.authorizer()?;
        let may = match gives {
            None => rights.is_admin(&agent, now_ms()),
            Some(gives) => gives.commands.iter().all(|command| {
                repo.is_owner(&agent) || rights.proof_for(&agent, command, now_ms()).is_some()
            }),
        };
        if !may {
            return Err(NodeError::Refused(allod_repo::Refusal::Rights));
        }
        let secret = random()?;
        let expires = now_ms().saturating_add(valid_ms.unwrap_or(TICKET_MS_DEFAULT));
        self.tickets().issue(repo.id(), &secret, expires, gives)?;
        Ok(Ticket {
            addrs,
            device: self.device()?,
            secret,
            space: repo.id(),
        })
    }

    /// One session with a peer about a space, in both directions. `progress` hears of the figures as
    /// they grow. Not in a `LocalSet` of a runtime with threads: it visits the store on the thread at hand.
    pub async fn sync_with(
        &self,
        endpoint: &Endpoint,
        repo: &Repo,
        device: DeviceId,
        peer: &Peer,
        progress: &mut (dyn FnMut(&Stats) + Send),
    ) -> Result<SyncReport, NodeError> {
        let with = (device, peer);
        let session = self.session_with(endpoint, repo, with, Scope::default(), progress);
        Ok(session.await?.0)
    }

    /// One session of this scope, which has come to its end.
    pub(crate) async fn session_with(
        &self,
        endpoint: &Endpoint,
        repo: &Repo,
        (device, peer): (DeviceId, &Peer),
        scope: Scope,
        progress: &mut (dyn FnMut(&Stats) + Send),
    ) -> Result<(SyncReport, Session), NodeError> {
        let started = std::time::Instant::now();
        let (connection, stream) = self.reach(endpoint, device, &peer.addrs).await?;
        // The key log comes along each time: it is short, and a peer that does not know it says no
        // more than to any stranger.
        let me = Me {
            agent: self.agent()?,
            initiator: true,
            introduce: true,
            scope,
        };
        let session = Session::new(repo.clone(), me, device, now_ms()).sharing(self.claims());
        let mut sent = false;
        let mut progress = |stats: &Stats| {
            self.note_sent(repo, device, stats, &mut sent);
            progress(stats);
        };
        // Whatever becomes of the session: what it learned is heeded.
        let heeding = Heeding::begin(self, repo);
        let (session, outcome) = drive(session, stream, None, &mut progress).await?;
        drop(heeding);
        match outcome {
            Outcome::Complete => {
                self.note_session(repo, device, &session, &connection, true)?;
                self.links().keep(&connection, true);
                let report = SyncReport {
                    peer: device,
                    stats: session.stats().clone(),
                    absent: Vec::new(),
                    in_other_parts: session
                        .offered_in_other_parts()
                        .map(|(branch, of)| (branch.clone(), of.to_vec()))
                        .collect(),
                    elapsed: started.elapsed(),
                };
                Ok((report, session))
            }
            Outcome::Ended { code, reason } => Err(NodeError::Session {
                code: code.to_owned(),
                reason,
            }),
            Outcome::EndedByPeer { code, reason } => Err(NodeError::Session { code, reason }),
        }
    }

    /// A stream for a session with a device: on the connection that is open, or on one to be dialled.
    async fn reach(
        &self,
        endpoint: &Endpoint,
        device: DeviceId,
        addrs: &[String],
    ) -> Result<(Connection, Stream), NodeError> {
        let mut links = self.links().watch();
        if let Some(reached) = self.open_link(device).await {
            return Ok(reached);
        }
        let mut dialling = std::pin::pin!(dial(endpoint, device, addrs));
        let connection = loop {
            tokio::select! {
                dialled = &mut dialling => break dialled?,
                // It came by itself, while its old addresses are tried.
                Ok(()) = links.changed() => if let Some(reached) = self.open_link(device).await {
                    return Ok(reached);
                },
            }
        };
        let stream = open_sync(&connection).await?;
        Ok((connection, stream))
    }

    /// A stream on the connection to a device that is open, if one is.
    async fn open_link(&self, device: DeviceId) -> Option<(Connection, Stream)> {
        let link = self.links().get(device)?;
        match open_sync(&link).await {
            Ok(stream) => Some((link, stream)),
            // It is gone, and nobody has noticed yet.
            Err(_) => {
                self.links().remove(&link);
                None
            }
        }
    }

    /// Serves peers until `stop` becomes true, and keeps in touch with those that are known; `backoff` says
    /// when one that cannot be reached is tried again.
    pub async fn serve(
        &self,
        endpoint: &Endpoint,
        backoff: Backoff,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut tasks = JoinSet::new();
        let places = Places::default();
        let mut dialled = self.links().begin();
        let (node, own) = (self.clone(), endpoint.clone());
        tasks.spawn(async move { node.keep_in_touch(&own, backoff).await });
        let (node, own) = (self.clone(), endpoint.clone());
        tasks.spawn(async move { node.keep_own_told(&own, backoff).await });
        let node = self.clone();
        tasks.spawn(async move { node.keep_telling().await });
        let node = self.clone();
        self.known_peers().set_lazy(true);
        tasks.spawn(async move { node.keep_saving().await });
        let (node, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move { node.keep_computing(stopped).await });
        let (node, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move { node.keep_trimming(stopped).await });
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                connection = endpoint.accept() => {
                    let Some(connection) = connection else { break };
                    let Some(place) = places.take(connection.peer()) else {
                        connection.close(CloseCode::BUSY, "too many connections of one device");
                        continue;
                    };
                    let node = self.clone();
                    tasks.spawn(async move {
                        node.serve_connection(connection).await;
                        drop(place);
                    });
                }
                Some(connection) = dialled.recv() => {
                    let node = self.clone();
                    tasks.spawn(async move { node.serve_connection(connection).await });
                }
                Some(_) = tasks.join_next() => {}
            }
        }
        self.links().end();
        tasks.shutdown().await;
        self.known_peers().set_lazy(false);
        // What cannot be written is told again in the next session.
        drop(self.save_peers());
        endpoint.close().await;
    }

    /// Tells hooks of what happened after each change and every half minute, for those that failed.
    async fn keep_telling(&self) {
        let mut changes = self.watch();
        let mut retry = tokio::time::interval(RETRY_EVERY);
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = retry.tick() => {}
            }
            let node = self.clone();
            // Where each hook stands is kept, and `allod hooks` shows it.
            drop(spawn_blocking(move || node.run_hooks()).await);
        }
    }

    async fn serve_connection(&self, connection: Connection) {
        let mut streams = JoinSet::new();
        let mut links = self.links().watch();
        loop {
            tokio::select! {
                stream = connection.accept() => {
                    let Ok(stream) = stream else { break };
                    let (node, connection) = (self.clone(), connection.clone());
                    streams.spawn(async move {
                        // A fault of one stream is told to its peer and ends that stream alone.
                        drop(node.serve_stream(&connection, stream).await);
                    });
                }
                Some(_) = streams.join_next() => {}
                () = tokio::time::sleep(IDLE_CONNECTION),
                    if streams.is_empty() && !self.links().has(&connection) => break,
                // It may have been kept until now, and another one is.
                Ok(()) = links.changed() => {}
            }
        }
        self.links().remove(&connection);
        // Sessions end by themselves once the connection is gone.
        while streams.join_next().await.is_some() {}
    }

    async fn serve_stream(
        &self,
        connection: &Connection,
        mut stream: Stream,
    ) -> Result<(), NodeError> {
        match stream.kind() {
            StreamKind::Join => {
                let frame = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
                let reply = self.answer_join(connection.peer(), &frame)?;
                stream.send(reply.encode()).await?;
                stream.finish()?;
                Ok(())
            }
            StreamKind::Sync => self.serve_session(connection, stream).await,
            StreamKind::Fetch => self.serve_fetch(connection, stream).await,
            StreamKind::Pair => self.serve_pair(connection, stream).await,
            StreamKind::Own => self.serve_own(connection, stream).await,
            _ => {
                stream.abort(CloseCode::SHUTDOWN);
                Ok(())
            }
        }
    }

    async fn serve_session(
        &self,
        connection: &Connection,
        mut stream: Stream,
    ) -> Result<(), NodeError> {
        let first = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
        let repo = match allod_sync::Message::decode(&first) {
            Ok(allod_sync::Message::Hello(hello)) => self.known_repo(hello.space),
            _ => None,
        };
        let Some(repo) = repo else {
            stream.send(no_such_space()).await?;
            stream.finish()?;
            return Ok(());
        };
        let device = connection.peer();
        if let Some(close) = self.refuses(&repo, device)? {
            stream.send(close).await?;
            return Ok(stream.finish()?);
        }
        let me = Me {
            agent: self.agent()?,
            initiator: false,
            introduce: true,
            scope: Scope::default(),
        };
        let session = Session::new(repo.clone(), me, device, now_ms()).sharing(self.claims());
        let _serving = self.links().serve((repo.id(), device));
        let mut sent = false;
        let mut progress = |stats: &Stats| self.note_sent(&repo, device, stats, &mut sent);
        let heeding = Heeding::begin(self, &repo);
        let (session, outcome) = drive(session, stream, Some(first), &mut progress).await?;
        drop(heeding);
        if outcome == Outcome::Complete {
            self.note_session(&repo, device, &session, connection, false)?;
            self.links().keep(connection, false);
        }
        Ok(())
    }

    fn known_repo(&self, space: SpaceId) -> Option<Repo> {
        self.repo(space).ok()
    }
}

/// What whoever asks about a space that is not here is told: the same as a stranger to one that is.
pub(crate) fn no_such_space() -> Bytes {
    close("E_NOT_MEMBER", "not a space that this agent shares here")
}

/// The frame that ends a session.
pub(crate) fn close(code: &str, reason: &str) -> Bytes {
    let (code, reason) = (code.to_owned(), reason.to_owned());
    allod_sync::Message::Close { code, reason }.encode()
}

/// A stream for a session. A peer that allows none is as good as gone.
async fn open_sync(connection: &Connection) -> Result<Stream, NodeError> {
    match tokio::time::timeout(DIAL_TIMEOUT, connection.open(StreamKind::Sync)).await {
        Ok(stream) => Ok(stream?),
        Err(_) => {
            connection.close(CloseCode::BUSY, "no stream is allowed");
            Err(NodeError::Session {
                code: "E_TIMEOUT".to_owned(),
                reason: "the peer allows no session".to_owned(),
            })
        }
    }
}

/// Dials the addresses of a device one after the other.
pub(crate) async fn dial(
    endpoint: &Endpoint,
    device: DeviceId,
    addrs: &[String],
) -> Result<Connection, NodeError> {
    let connect = |addr| endpoint.connect(addr, device);
    dial_by(&connect, device.to_string(), addrs).await
}

/// Tries one address after the other; `peer` is who is dialled, in words.
pub(crate) async fn dial_by<F: Future<Output = Result<Connection, QuicError>>>(
    connect: &(impl Fn(SocketAddr) -> F + Sync),
    peer: String,
    addrs: &[String],
) -> Result<Connection, NodeError> {
    let mut last = "no address is known".to_owned();
    for addr in addrs {
        let Ok(addr) = addr.parse::<SocketAddr>() else {
            last = format!("{addr} is no address");
            continue;
        };
        match tokio::time::timeout(DIAL_TIMEOUT, connect(addr)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => last = format!("{addr}: {error}"),
            Err(_) => last = format!("{addr}: {}", QuicError::Unreachable),
        }
    }
    Err(NodeError::Unreachable { peer, reason: last })
}
