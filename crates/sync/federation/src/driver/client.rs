//! Connections that this side opens, and opens again (FED-40).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use allod_deltas::Delta;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

use super::federation::Federation;
use super::handle::RemoteLink;
use super::here::leads_here;
use super::run::{Connection, note_pause, socket_config};
use crate::config::FederationConfig;
use crate::event::{Event, Status};
use crate::limits::{CLIENT_FRAME_BYTES_MAX, HANDSHAKE_MS, QUEUE_DELTAS};
use crate::link::{Command, Deflate, Input, Link, Rules};

/// How a server is reached.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    /// For `wss`: which certificates are believed. Without it a `wss` address is not reached.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The token that the server asks for (FED-34).
    pub token: Option<String>,
    /// Rules of this link, instead of those of all.
    pub rules: Option<Rules>,
}

/// How a server is reached, asked before each attempt, on a thread that may wait: a token or a certificate that
/// changed counts from then on, and one that cannot be read now ends nothing.
pub type Dialing = Arc<dyn Fn() -> Result<Dial, String> + Send + Sync>;

/// Why no link came to be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address, or the token, is none. Blame: the caller.
    #[error("not an address of WebSocket: {0}")]
    Address(String),
    /// How to reach the server cannot be told now. Blame: the environment.
    #[error("{0}")]
    Dialing(String),
    /// The server cannot be reached, or is none. Blame: the environment.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server did not agree. Blame: the peer, or what was asked of it.
    #[error("the server did not agree: {0}")]
    Refused(String),
}

impl ConnectError {
    /// The registered error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Address(_) | Self::Dialing(_) | Self::Unreachable(_) | Self::Refused(_) => {
                "E_FED_CONNECT"
            }
        }
    }
}

/// A link that is opened, and opened again.
struct Opening {
    federation: Federation,
    handle: RemoteLink,
    commands: mpsc::Receiver<Command>,
    paused: bool,
    /// Deltas that a program wants sent, while there is no connection to send them on.
    waiting: VecDeque<Arc<Delta>>,
    config: FederationConfig,
    dialing: Dialing,
    first: Option<oneshot::Sender<Result<(), ConnectError>>>,
}

pub(super) async fn connect(
    federation: &Federation,
    url: &str,
    config: FederationConfig,
    dial: Dial,
) -> Result<RemoteLink, ConnectError> {
    let (sender, first) = oneshot::channel();
    let dialing = Arc::new(move || Ok(dial.clone()));
    let handle = open(federation, url, config, dialing, Some(sender));
    let gone = || ConnectError::Refused("it was closed".to_owned());
    first.await.unwrap_or_else(|_| Err(gone()))?;
    Ok(handle)
}

pub(super) fn keep(
    federation: &Federation,
    url: &str,
    config: FederationConfig,
    dialing: Dialing,
) -> RemoteLink {
    open(federation, url, config, dialing, None)
}

fn open(
    federation: &Federation,
    url: &str,
    config: FederationConfig,
    dialing: Dialing,
    first: Option<oneshot::Sender<Result<(), ConnectError>>>,
) -> RemoteLink {
    let (handle, commands) = federation.inner.add(Some(url.to_owned()));
    let opening = Opening {
        federation: federation.clone(),
        handle: handle.clone(),
        commands,
        paused: false,
        waiting: VecDeque::new(),
        config,
        dialing,
        first,
    };
    tokio::spawn(opening.run());
    handle
}

impl Opening {
    /// Opens the link until it is not to be opened again.
    async fn run(mut self) {
        let mut failures = 0u32;
        loop {
            let (agreed, wanted, reason) = Box::pin(self.once()).await;
            failures = if agreed {
                1
            } else {
                failures.saturating_add(1)
            };
            if let Some(first) = self.first.take() {
                // Whoever waits for the first attempt hears of it, and decides.
                let refused = Err(ConnectError::Refused(reason.clone()));
                first.send(refused).unwrap_or_default();
                break;
            }
            let [a, b, c, d, e, f, g, h, ..] = self.federation.inner.options.clock.random();
            let chance = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            let wait = self.config.reconnect.wait_ms(failures, chance);
            let Some(wait) = wait.filter(|_| !wanted) else {
                break;
            };
            if !self.wait(wait).await {
                break;
            }
        }
        if self.handle.status() != Status::Error {
            self.handle.set_status(Status::Disconnected);
        }
        self.federation.inner.remove(&self.handle);
    }

    /// Waits; `false` if the link is ended meanwhile.
    async fn wait(&mut self, wait_ms: u64) -> bool {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => true,
            () = self.ended() => false,
        }
    }

    /// Returns once the link is to end, or the federation.
    async fn ended(&mut self) {
        let mut closing = self.federation.inner.closing();
        loop {
            tokio::select! {
                () = closing.closed() => return,
                command = self.commands.recv() => match command {
                    Some(Command::Disconnect | Command::Leave) | None => return,
                    Some(Command::Send(delta)) => self.hold(delta),
                    Some(command) => note_pause(&command, &mut self.paused),
                },
            }
        }
    }

    /// Keeps a delta for the next connection; what does not fit is said so (FED-17).
    fn hold(&mut self, delta: Arc<Delta>) {
        if self.waiting.len() < QUEUE_DELTAS {
            self.waiting.push_back(delta);
            return;
        }
        let rejected = Event::too_many_wait(&delta);
        self.federation.inner.tell(&self.handle, &rejected);
    }

    /// Opens the link once: whether both sides agreed, whether it was to end, and why it did.
    async fn once(&mut self) -> (bool, bool, String) {
        let inner = Arc::clone(&self.federation.inner);
        let url = self.handle.remote_url().unwrap_or_default().to_owned();
        self.handle.set_status(Status::Connecting);
        let remote_url = url.clone();
        inner.tell(&self.handle, &Event::Connecting { remote_url });
        let reaching = reach(Arc::clone(&self.dialing), url.clone());
        let reached = tokio::select! {
            reached = reaching => reached,
            () = self.ended() => return (false, true, "disconnected".to_owned()),
        };
        let (socket, rules) = match reached {
            Ok(reached) => reached,
            Err(error) => {
                self.handle.set_status(Status::Error);
                let reason = error.to_string();
                inner.tell(
                    &self.handle,
                    &Event::Error {
                        reason: reason.clone(),
                    },
                );
                if let Some(first) = self.first.take() {
                    first.send(Err(error)).unwrap_or_default();
                    return (false, true, reason);
                }
                return (false, false, reason);
            }
        };
        let start = inner.start(&self.handle, inner.options.positions.load(&url));
        let mut rules = rules.unwrap_or_else(|| inner.options.rules.clone());
        // On this machine bytes cost less than packing them.
        if rules.deflate == Deflate::Elsewhere && leads_here(&url) {
            rules.deflate = Deflate::Never;
        }
        let me = inner.options.me.clone();
        let (agreed, mut has_agreed) = oneshot::channel();
        let now_ms = inner.now_ms();
        let mut machine = Link::client(me, rules, self.config.clone(), start, now_ms);
        for delta in self.waiting.drain(..) {
            machine.handle(now_ms, Input::Command(Command::Send(delta)));
        }
        let connection = Connection {
            machine,
            inner: &inner,
            handle: &self.handle,
            commands: &mut self.commands,
            paused: &mut self.paused,
            agreed: Some(agreed),
        };
        let running = connection.run(socket);
        tokio::pin!(running);
        let mut is_agreed = false;
        let mut ended = loop {
            tokio::select! {
                ended = &mut running => break ended,
                told = &mut has_agreed, if !is_agreed && !has_agreed.is_terminated() => {
                    is_agreed = told.is_ok();
                    if is_agreed && let Some(first) = self.first.take() {
                        first.send(Ok(())).unwrap_or_default();
                    }
                }
            }
        };
        is_agreed |= has_agreed.try_recv().is_ok();
        self.handle.see(&ended.machine);
        self.waiting = ended.machine.take_unsent();
        let reason = ended.machine.end_reason().to_owned();
        (is_agreed, ended.wanted, reason)
    }
}

/// A connection, and the rules of the link if it has its own.
async fn reach(dialing: Dialing, url: String) -> Result<(Socket, Option<Rules>), ConnectError> {
    let asked = tokio::task::spawn_blocking(move || dialing()).await;
    let broken = |_error| ConnectError::Dialing("it broke off".to_owned());
    let to = asked.map_err(broken)?.map_err(ConnectError::Dialing)?;
    let within = Duration::from_millis(HANDSHAKE_MS);
    let dialled = tokio::time::timeout(within, dial(&url, &to)).await;
    let late = |_elapsed| ConnectError::Unreachable("no answer in time".to_owned());
    Ok((dialled.map_err(late)??, to.rules))
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn dial(url: &str, dial: &Dial) -> Result<Socket, ConnectError> {
    let address = |error: &dyn std::fmt::Display| ConnectError::Address(error.to_string());
    let mut request = url.into_client_request().map_err(|error| address(&error))?;
    if let Some(token) = &dial.token {
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
        let bearer = bearer.map_err(|error| address(&error))?;
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let connector = match (&dial.tls, request.uri().scheme_str()) {
        (Some(tls), Some("wss")) => Connector::Rustls(Arc::clone(tls)),
        (_, Some("ws")) => Connector::Plain,
        _ => {
            return Err(ConnectError::Address(
                "a wss address takes a configuration of TLS".to_owned(),
            ));
        }
    };
    let config = Some(socket_config(CLIENT_FRAME_BYTES_MAX));
    let connected = connect_async_tls_with_config(request, config, true, Some(connector)).await;
    let (socket, _) = connected.map_err(|error| ConnectError::Unreachable(error.to_string()))?;
    Ok(socket)
}
