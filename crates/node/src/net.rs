//! The drivers: sessions over connections, joining, and a node that serves and keeps in touch.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use allod_identity::DeviceId;
use allod_quic::{
    CloseCode, Config, Connection, Endpoint, Limits, QuicError, SendHalf, Stream, StreamKind,
};
use allod_repo::{Repo, SpaceId};
use allod_sync::{
    IDLE_MS, Input, JoinReply, JoinRequest, Me, Outcome, Output, Session, Stats, Ticket, admit,
    enter,
};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::heal::in_time;
use crate::home::random;
use crate::node::{Node, TICKET_MS_DEFAULT};
use crate::peers::Peer;
use crate::places::Places;

/// Frames handed to a session at a time: the store is visited once for all of them.
const FRAMES_AT_ONCE: usize = 4;

/// Frames that wait to be sent before the session is told to hold: at most a few MiB.
const QUEUE_HELD: usize = 4;

/// Frames that may wait to be sent. While the session holds, only short answers are added.
const QUEUE_MAX: usize = 4096;

/// Silence after which a session ends (SYNC-13).
const SILENCE: Duration = Duration::from_millis(IDLE_MS);

/// How long a dial may take before the next address is tried.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may be open without a stream (TRANS-18): whoever dials does it to open one. A peer
/// that only takes a place would keep others out.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);

/// How often a serving node tries the peers that it could not reach.
const RETRY_EVERY: Duration = Duration::from_secs(30);

/// What a session did.
#[derive(Clone, Debug)]
pub struct SyncReport {
    /// The peer.
    pub peer: DeviceId,
    /// Figures.
    pub stats: Stats,
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

    /// Makes a ticket for a space that leads to `addrs`.
    pub fn ticket(
        &self,
        repo: &Repo,
        addrs: Vec<String>,
        valid_ms: Option<u64>,
    ) -> Result<Ticket, NodeError> {
        if !repo.is_owner(&self.agent()?) {
            return Err(NodeError::Refused(allod_repo::Refusal::NotOwner));
        }
        let secret = random()?;
        let expires = now_ms().saturating_add(valid_ms.unwrap_or(TICKET_MS_DEFAULT));
        self.tickets().issue(repo.id(), &secret, expires)?;
        Ok(Ticket {
            addrs,
            device: self.device()?,
            secret,
            space: repo.id(),
        })
    }

    /// Joins the space of a ticket under the name `name`, or the one its owner gave it.
    pub async fn join(
        &self,
        endpoint: &Endpoint,
        ticket: &Ticket,
        name: Option<&str>,
    ) -> Result<Repo, NodeError> {
        if ticket.device == self.device()? {
            return Err(NodeError::OwnTicket);
        }
        let spaces = self.spaces()?;
        let here = spaces.iter().find(|(_, id)| *id == ticket.space);
        match (name, here.map(|(name, _)| name)) {
            (Some(name), Some(known)) if name != known => {
                return Err(NodeError::HasName(known.clone()));
            }
            (Some(name), None) => self.check_free(name)?,
            _ => {}
        }
        let connection = dial(endpoint, ticket.device, &ticket.addrs).await?;
        let log = self.agents().key_log(&self.agent()?)?;
        let request = JoinRequest {
            agent: self.agent()?,
            events: log
                .events()
                .iter()
                .map(|event| event.bytes().to_vec().into())
                .collect(),
            secret: ticket.secret,
            space: ticket.space,
        };
        let mut stream = connection.open(StreamKind::Join).await?;
        stream.send(request.encode()).await?;
        stream.finish()?;
        let frame = stream.recv().await?.ok_or(QuicError::FrameCut)?;
        let reply = JoinReply::decode(&frame).map_err(|error| NodeError::Session {
            code: "E_FRAME".to_owned(),
            reason: error.to_string(),
        })?;
        let welcome = match reply {
            JoinReply::Welcome(welcome) => welcome,
            JoinReply::Refused { code, reason } => {
                return Err(NodeError::NotAdmitted { code, reason });
            }
        };
        let entered = enter(Arc::clone(self.store()), ticket.space, &welcome)?.id();
        // The one handle of this process on the space, which may be open already.
        let repo = self.repo(entered)?;
        let known = self.spaces()?.iter().any(|(_, id)| *id == repo.id());
        if !known {
            let name = name.unwrap_or(&repo.genesis().payload().name);
            self.register(&repo, name)?;
        }
        self.note_peer(&repo, ticket.device, |peer| {
            let fresh = ticket.addrs.iter().cloned();
            peer.addrs.splice(0..0, fresh);
        })?;
        Ok(repo)
    }

    /// One session with a peer about a space. `progress` hears of the figures as they grow.
    pub async fn sync_with(
        &self,
        endpoint: &Endpoint,
        repo: &Repo,
        device: DeviceId,
        peer: &Peer,
        progress: &mut (dyn FnMut(&Stats) + Send),
    ) -> Result<SyncReport, NodeError> {
        let started = std::time::Instant::now();
        let connection = dial(endpoint, device, &peer.addrs).await?;
        let stream = connection.open(StreamKind::Sync).await?;
        // The key log comes along each time: it is short, and a peer that does not know it says no
        // more than to any stranger.
        let me = Me {
            agent: self.agent()?,
            initiator: true,
            introduce: true,
        };
        let session = Session::new(repo.clone(), me, device, now_ms());
        let mut sent = false;
        let mut progress = |stats: &Stats| {
            self.note_sent(repo, device, stats, &mut sent);
            progress(stats);
        };
        let (session, outcome) = drive(session, stream, None, &mut progress).await?;
        match outcome {
            Outcome::Complete => {
                self.note_session(repo, device, &session, &connection, true)?;
                let stats = session.stats().clone();
                Ok(SyncReport {
                    peer: device,
                    stats,
                    elapsed: started.elapsed(),
                })
            }
            Outcome::Ended { code, reason } => Err(NodeError::Session {
                code: code.to_owned(),
                reason,
            }),
            Outcome::EndedByPeer { code, reason } => Err(NodeError::Session { code, reason }),
        }
    }

    /// Notes that a peer may have what is here, before the first commit goes out to it (MERGE-24):
    /// a session that is cut tells nothing of what arrived.
    fn note_sent(&self, repo: &Repo, device: DeviceId, stats: &Stats, noted: &mut bool) {
        if stats.commits_out > 0 && !*noted {
            // If that fails it is tried again with the next step.
            let note = self.note_peer(repo, device, |peer| peer.was_sent = true);
            *noted = note.is_ok();
        }
    }

    fn note_session(
        &self,
        repo: &Repo,
        device: DeviceId,
        session: &Session,
        connection: &Connection,
        dialled: bool,
    ) -> Result<(), NodeError> {
        self.note_peer(repo, device, |peer| {
            peer.agent = session.peer_agent().map(|agent| agent.to_string());
            peer.synced_ms = Some(now_ms());
            peer.note_has(session.shared_heads());
            peer.note_addr(connection.remote_addr().to_string(), dialled);
        })?;
        if session.stats().commits_in > 0 {
            self.touch();
        }
        Ok(())
    }

    /// Serves peers until `stop` becomes true, and keeps in touch with those that are known.
    pub async fn serve(&self, endpoint: &Endpoint, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let places = Places::default();
        let (node, own) = (self.clone(), endpoint.clone());
        tasks.spawn(async move { node.keep_in_touch(&own).await });
        let node = self.clone();
        tasks.spawn(async move { node.keep_telling().await });
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
                Some(_) = tasks.join_next() => {}
            }
        }
        tasks.shutdown().await;
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

    /// A round of sessions after each change and every half minute, one round at a time: changes
    /// that come meanwhile are one more round.
    async fn keep_in_touch(&self, endpoint: &Endpoint) {
        let mut changes = self.watch();
        let mut retry = tokio::time::interval(RETRY_EVERY);
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = retry.tick() => {}
            }
            self.sync_all(endpoint).await;
        }
    }

    /// One session with each peer that may lack something. Failures are left to the next round.
    async fn sync_all(&self, endpoint: &Endpoint) {
        let Ok(spaces) = self.spaces() else { return };
        for (_, id) in spaces {
            let Ok(repo) = self.repo(id) else { continue };
            let Ok(peers) = self.peers(&repo) else {
                continue;
            };
            for (device, peer) in peers {
                if peer.is_current(&repo).unwrap_or(false) {
                    continue;
                }
                // What cannot be reached now is tried again with the next change or round.
                let outcome = self
                    .sync_with(endpoint, &repo, device, &peer, &mut |_| {})
                    .await;
                drop(outcome);
            }
        }
    }

    async fn serve_connection(&self, connection: Connection) {
        let mut streams = JoinSet::new();
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
                () = tokio::time::sleep(IDLE_CONNECTION), if streams.is_empty() => break,
            }
        }
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
            _ => {
                stream.abort(CloseCode::SHUTDOWN);
                Ok(())
            }
        }
    }

    fn answer_join(&self, peer: DeviceId, frame: &[u8]) -> Result<JoinReply, NodeError> {
        let Ok(request) = JoinRequest::decode(frame) else {
            return Ok(JoinReply::Refused {
                code: "E_FRAME".to_owned(),
                reason: "the request is malformed".to_owned(),
            });
        };
        let Ok(repo) = self.repo(request.space) else {
            return Ok(JoinReply::no_such_ticket());
        };
        Ok(admit(
            &repo,
            &self.tickets(),
            &peer,
            &request,
            self.author()?,
            now_ms(),
        )?)
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
        let me = Me {
            agent: self.agent()?,
            initiator: false,
            introduce: true,
        };
        let session = Session::new(repo.clone(), me, device, now_ms());
        let mut sent = false;
        let mut progress = |stats: &Stats| self.note_sent(&repo, device, stats, &mut sent);
        let (session, outcome) = drive(session, stream, Some(first), &mut progress).await?;
        if outcome == Outcome::Complete {
            self.note_session(&repo, device, &session, connection, false)?;
        }
        Ok(())
    }

    fn known_repo(&self, space: SpaceId) -> Option<Repo> {
        self.repo(space).ok()
    }
}

/// What whoever asks about a space that is not here is told: the same as a stranger to one that is.
pub(crate) fn no_such_space() -> Bytes {
    let close = allod_sync::Message::Close {
        code: "E_NOT_MEMBER".to_owned(),
        reason: "not a space that this agent shares here".to_owned(),
    };
    close.encode()
}

/// Dials the addresses of a device one after the other.
pub(crate) async fn dial(
    endpoint: &Endpoint,
    device: DeviceId,
    addrs: &[String],
) -> Result<Connection, NodeError> {
    let mut last = "no address is known".to_owned();
    for addr in addrs {
        let Ok(addr) = addr.parse::<SocketAddr>() else {
            last = format!("{addr} is no address");
            continue;
        };
        match tokio::time::timeout(DIAL_TIMEOUT, endpoint.connect(addr, device)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => last = format!("{addr}: {error}"),
            Err(_) => last = format!("{addr}: {}", QuicError::Unreachable),
        }
    }
    Err(NodeError::Unreachable {
        peer: device.to_string(),
        reason: last,
    })
}

/// Runs a session over a stream to its end: the only place where the two meet.
///
/// Reading and writing go on at the same time (SYNC-15): frames wait in a queue while the peer does
/// not take them, and the session makes no more of its own meanwhile.
async fn drive(
    session: Session,
    stream: Stream,
    first: Option<Bytes>,
    progress: &mut (dyn FnMut(&Stats) + Send),
) -> Result<(Session, Outcome), NodeError> {
    let (send, mut recv) = stream.split();
    let (frames, waiting) = mpsc::channel(1);
    let (sent, mut sending) = watch::channel(());
    let writer = tokio::spawn(write(send, waiting, sent));
    let mut line = Line::new(session, first);
    loop {
        line.work(progress).await?;
        if line.queue.is_empty()
            && let (Some(session), Some(outcome)) = (
                line.session.take_if(|_| line.outcome.is_some()),
                line.outcome.take(),
            )
        {
            // The last frame must arrive before the connection may be closed; if it cannot, the
            // peer finds out by itself.
            drop(frames);
            drop(writer.await);
            return Ok((session, outcome));
        }
        let open = line.outcome.is_none();
        tokio::select! {
            permit = frames.reserve(), if !line.queue.is_empty() => {
                let permit = permit.map_err(|_| ended("E_FRAME", "the peer closed the stream"))?;
                if let Some(frame) = line.take() {
                    permit.send(frame);
                }
            }
            frame = recv.recv(), if open => {
                let frame = frame?.ok_or_else(|| ended("E_FRAME", "the peer ended the stream"))?;
                line.hear(frame);
            }
            Ok(()) = sending.changed() => line.silent_at = Instant::now() + SILENCE,
            () = tokio::time::sleep_until(line.silent_at) => {
                if !open {
                    return Err(ended("E_TIMEOUT", "the peer does not read"));
                }
                line.queue.clear();
                line.inputs.push(Input::Silence);
            }
            () = std::future::ready(()), if line.is_busy() => {
                line.inputs.push(Input::Tick);
            }
        }
    }
}

/// A session and what is on its way to and from it.
struct Line {
    /// Away while it works.
    session: Option<Session>,
    inputs: Vec<Input>,
    queue: VecDeque<Bytes>,
    outcome: Option<Outcome>,
    silent_at: Instant,
}

impl Line {
    fn new(session: Session, first: Option<Bytes>) -> Self {
        let mut inputs = vec![Input::Tick];
        inputs.extend(first.map(Input::Frame));
        Self {
            session: Some(session),
            inputs,
            queue: VecDeque::new(),
            outcome: None,
            silent_at: Instant::now() + SILENCE,
        }
    }

    /// Hands the inputs to the session, apart from the runtime, as it visits the store.
    async fn work(&mut self, progress: &mut (dyn FnMut(&Stats) + Send)) -> Result<(), NodeError> {
        if self.inputs.is_empty() {
            return Ok(());
        }
        let inputs = std::mem::take(&mut self.inputs);
        let session = self.session.take();
        let session = session.ok_or_else(|| ended("E_FAULT", "the session is gone"))?;
        let (session, outputs) = spawn_blocking(move || step(session, inputs))
            .await
            .map_err(|error| ended("E_FAULT", &error.to_string()))?;
        progress(session.stats());
        self.session = Some(session);
        for output in outputs {
            match output {
                Output::Send(frame) => self.queue.push_back(frame),
                Output::Event(_) => {}
                Output::Close(how) => self.outcome = Some(how),
            }
        }
        if self.queue.len() > QUEUE_MAX {
            return Err(ended("E_LIMIT", "the peer asks and does not read"));
        }
        self.hold();
        Ok(())
    }

    fn take(&mut self) -> Option<Bytes> {
        let frame = self.queue.pop_front();
        self.hold();
        frame
    }

    /// Lets the session make no more of its own while frames wait.
    fn hold(&mut self) {
        let hold = self.queue.len() >= QUEUE_HELD;
        if let Some(session) = &mut self.session {
            session.hold(hold);
        }
    }

    fn is_busy(&self) -> bool {
        self.outcome.is_none() && self.session.as_ref().is_some_and(Session::is_busy)
    }

    fn hear(&mut self, frame: Bytes) {
        self.silent_at = Instant::now() + SILENCE;
        self.inputs.push(Input::Frame(frame));
    }
}

fn ended(code: &str, reason: &str) -> NodeError {
    NodeError::Session {
        code: code.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Sends what is handed over, and tells of each frame that went.
async fn write(
    mut send: SendHalf,
    mut frames: mpsc::Receiver<Bytes>,
    sent: watch::Sender<()>,
) -> Result<(), QuicError> {
    while let Some(frame) = frames.recv().await {
        send.send(frame).await?;
        sent.send_replace(());
    }
    send.finish()?;
    send.finished().await
}

/// Hands inputs to the session, and lets it work until it has something to send.
fn step(mut session: Session, inputs: Vec<Input>) -> (Session, Vec<Output>) {
    let mut outputs = Vec::new();
    for input in inputs {
        session.handle(now_ms(), input);
        outputs.extend(std::iter::from_fn(|| session.poll()));
    }
    while session.is_busy() && outputs.len() < FRAMES_AT_ONCE {
        session.handle(now_ms(), Input::Tick);
        outputs.extend(std::iter::from_fn(|| session.poll()));
    }
    (session, outputs)
}
