//! Connections that others open (FED-13, FED-34).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::SinkExt as _;
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::federation::{Federation, FederationError, FederationOptions};
use super::run::{Connection, socket_config};
use crate::limits::{FRAME_BYTES_MAX, HANDSHAKE_MS, close};
use crate::link::{Link, Positions};

/// Upgrades that go on at once; more wait before they are accepted.
const UPGRADES: usize = 64;

/// How a token is sent by who cannot set a header: as a subprotocol (FED-34).
const TOKEN_PROTOCOL: &str = "bearer.";

/// A server that takes connections until its federation is closed.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
}

impl Listening {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

pub(super) async fn listen(
    federation: &Federation,
    address: &str,
) -> Result<Listening, FederationError> {
    let listener = TcpListener::bind(address).await?;
    let listening = Listening {
        address: listener.local_addr()?,
    };
    tokio::spawn(accept(federation.clone(), listener));
    Ok(listening)
}

async fn accept(federation: Federation, listener: TcpListener) {
    let mut closing = federation.inner.closing();
    let upgrades = Arc::new(Semaphore::new(UPGRADES));
    loop {
        let Ok(permit) = Arc::clone(&upgrades).acquire_owned().await else {
            return;
        };
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let federation = federation.clone();
                    tokio::spawn(async move {
                        // Frames are answers: waiting for more of them helps nobody.
                        stream.set_nodelay(true).unwrap_or_default();
                        let socket = upgrade(&federation, stream).await;
                        drop(permit);
                        if let Some(socket) = socket {
                            link(&federation, socket).await;
                        }
                    });
                }
                // Out of file handles, mostly: it passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            () = closing.closed() => return,
        }
    }
}

pub(super) async fn serve<S>(federation: &Federation, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if let Some(socket) = upgrade(federation, stream).await {
        link(federation, socket).await;
    }
}

pub(super) async fn serve_upgraded<S>(federation: &Federation, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let config = Some(socket_config(FRAME_BYTES_MAX));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, config).await;
    link(federation, socket).await;
}

async fn upgrade<S>(federation: &Federation, stream: S) -> Option<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let door = Door {
        options: &federation.inner.options,
    };
    let config = Some(socket_config(FRAME_BYTES_MAX));
    let upgrading = accept_hdr_async_with_config(stream, door, config);
    let upgraded = tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS), upgrading).await;
    upgraded.ok()?.ok()
}

/// Asks who comes for the path and the token.
struct Door<'a> {
    options: &'a FederationOptions,
}

impl Callback for Door<'_> {
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        if request.uri().path() != self.options.path {
            return Err(refusal(StatusCode::NOT_FOUND));
        }
        let Some(token) = &self.options.token else {
            return Ok(response);
        };
        let matches = |given: &str| bool::from(given.as_bytes().ct_eq(token.as_bytes()));
        let header = |name| request.headers().get_all(name).into_iter();
        let bearer = header(header::AUTHORIZATION)
            .filter_map(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .any(matches);
        if bearer {
            return Ok(response);
        }
        let protocols = header(header::SEC_WEBSOCKET_PROTOCOL)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim);
        for protocol in protocols {
            if protocol.strip_prefix(TOKEN_PROTOCOL).is_some_and(matches)
                && let Ok(value) = HeaderValue::from_str(protocol)
            {
                response
                    .headers_mut()
                    .insert(header::SEC_WEBSOCKET_PROTOCOL, value);
                return Ok(response);
            }
        }
        Err(refusal(StatusCode::UNAUTHORIZED))
    }
}

fn refusal(status: StatusCode) -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = status;
    response
}

/// Runs a link that a peer opened, if there is room for one more.
async fn link<S>(federation: &Federation, mut socket: WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let inner = &federation.inner;
    let Some(_slot) = Slot::take(&inner.incoming, inner.options.connections_max) else {
        let full = CloseFrame {
            code: close::POLICY.into(),
            reason: "Max connections reached".into(),
        };
        let closing = socket.send(Message::Close(Some(full)));
        let closed = tokio::time::timeout(Duration::from_secs(1), closing).await;
        drop(closed);
        return;
    };
    let (handle, mut commands) = inner.add(None);
    let start = inner.start(&handle, Positions::default());
    let (me, rules) = (inner.options.me.clone(), inner.options.rules.clone());
    let mut paused = false;
    let connection = Connection {
        machine: Link::server(me, rules, start, inner.now_ms()),
        inner,
        handle: &handle,
        commands: &mut commands,
        paused: &mut paused,
        agreed: None,
    };
    let ended = connection.run(socket).await;
    handle.see(&ended.machine);
    inner.remove(&handle);
}

/// One of the links that may be open.
struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    fn take(taken: &'a AtomicUsize, most: usize) -> Option<Self> {
        let more = |count| (count < most).then_some(count + 1);
        let counted = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        counted.ok().map(|_| Self(taken))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
