//! The endpoint: one UDP port, one identity.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use allod_identity::{DeviceId, SecretKey};
use quinn::{ClientConfig, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::connection::{Connection, Side};
use crate::error::{BindError, CloseCode, QuicError};
use crate::incoming::Acceptor;
use crate::limits::{LOCAL_MTU_MAX, Limits, Paths, SOCKET_BUFFER_BYTES};
use crate::tls::{Identity, Verifier};

/// Connections that are established and wait for [`Endpoint::accept`]: a burst. Those beyond keep
/// their place among the handshakes.
const ACCEPTED_MAX: usize = 16;

/// The name that TLS asks for; the key is what counts.
const SERVER_NAME: &str = "l";

/// How long an endpoint that closes answers what is still under way to it. 500 ms: three probe timeouts of a path with
/// 100 ms of round trip.
const DRAIN_MAX: Duration = Duration::from_millis(500);

/// What an endpoint is made of.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Where to listen, and where to dial from. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The device's key.
    pub key: &'a SecretKey,
    /// What others can make the node spend.
    pub limits: Limits,
}

/// One UDP port that dials and accepts. Cheap to clone; it closes when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    quic: quinn::Endpoint,
    here: DeviceId,
    identity: Identity,
    limits: Limits,
    transports: Paths<Arc<TransportConfig>>,
    accepted: Mutex<mpsc::Receiver<Connection>>,
    acceptor: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.quic.close(CloseCode::SHUTDOWN.into(), b"");
    }
}

impl Endpoint {
    /// Opens the port. Call it within the tokio runtime that the endpoint is to run on.
    pub fn bind(config: Config<'_>) -> Result<Self, BindError> {
        let limits = config.limits;
        let here = config.key.device_id();
        let identity = Identity::new(config.key)?;
        let crypto = Arc::new(identity.server()?);
        let servers = Paths::build(&limits, |transport| {
            let mut server = ServerConfig::with_crypto(crypto.clone());
            let mut tokens = quinn::ValidationTokenConfig::default();
            // TRANS-6: nothing of one connection is recognised in another.
            tokens.sent(0);
            server
                .transport_config(transport)
                .validation_token_config(tokens)
                .migration(true);
            Arc::new(server)
        });
        let socket = open_socket(config.listen)?;
        let quic = quinn::Endpoint::new(
            endpoint_config()?,
            Some(ServerConfig::clone(servers.to(config.listen))),
            socket,
            Arc::new(TokioRuntime),
        )?;
        let (sender, receiver) = mpsc::channel(ACCEPTED_MAX);
        let acceptor = Arc::new(Acceptor {
            here,
            limits,
            servers,
            accepted: sender,
            places: Arc::new(Semaphore::new(limits.connections_max)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes_max)),
        });
        let acceptor = tokio::spawn(acceptor.run(quic.clone())).abort_handle();
        Ok(Self {
            inner: Arc::new(Inner {
                quic,
                here,
                identity,
                limits,
                transports: Paths::build(&limits, |transport| transport),
                accepted: Mutex::new(receiver),
                acceptor,
            }),
        })
    }

    /// The device that this endpoint speaks as.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        self.inner.here
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.quic.local_addr()
    }

    /// Dials the device `expected` at `addr`. Whoever else answers is refused (TRANS-5).
    pub async fn connect(
        &self,
        addr: SocketAddr,
        expected: DeviceId,
    ) -> Result<Connection, QuicError> {
        self.dial(addr, Some(expected)).await
    }

    /// Dials whoever answers at `addr`, who proves a key and no more than that (TRANS-5): for a pairing, in which the two
    /// sides find out whether they are meant.
    pub async fn connect_to_any(&self, addr: SocketAddr) -> Result<Connection, QuicError> {
        self.dial(addr, None).await
    }

    async fn dial(
        &self,
        addr: SocketAddr,
        expected: Option<DeviceId>,
    ) -> Result<Connection, QuicError> {
        let inner = &self.inner;
        let verifier = expected.map_or_else(Arc::default, Verifier::expecting);
        let crypto = inner
            .identity
            .client(verifier.clone())
            .map_err(|_error| QuicError::ClosedHere)?;
        let mut client = ClientConfig::new(Arc::new(crypto));
        client.transport_config(inner.transports.to(addr).clone());
        let connecting = inner
            .quic
            .connect_with(client, addr, SERVER_NAME)
            .map_err(|error| match error {
                quinn::ConnectError::EndpointStopping => QuicError::ClosedHere,
                _ => QuicError::Unreachable,
            })?;
        // Apart: who gives the dial up leaves the handshake to its end. A close in place of the first packet makes
        // some servers (quinn-proto 0.11.19 among them) forget to let the connection go before its idle timeout.
        let connecting = tokio::spawn(timeout(inner.limits.handshake_timeout, connecting));
        let outcome = connecting
            .await
            .map_err(|_stopped| QuicError::ClosedHere)?
            .map_err(|_elapsed| QuicError::Unreachable)?;
        let quic = outcome.map_err(|error| match (verifier.seen(), expected) {
            (Some(answered), Some(expected)) if answered != expected => {
                QuicError::WrongPeer { expected, answered }
            }
            _ => QuicError::dial(error),
        })?;
        let connection = Connection::new(quic, Side::Dialled, inner.here, &inner.limits, None)?;
        // The verifier has seen to this; it is asked again of the connection that came out.
        let answered = connection.peer();
        if let Some(expected) = expected
            && answered != expected
        {
            return Err(QuicError::WrongPeer { expected, answered });
        }
        Ok(connection)
    }

    /// The next connection that somebody dialled; `None` once the endpoint is closed. Cancel-safe.
    pub async fn accept(&self) -> Option<Connection> {
        self.inner.accepted.lock().await.recv().await
    }

    /// Moves to another address. Connections dialled here follow; those that others dialled end by
    /// their idle timeout, as QUIC lets only the dialling side move.
    pub fn rebind(&self, listen: SocketAddr) -> Result<(), BindError> {
        Ok(self.inner.quic.rebind(open_socket(listen)?)?)
    }

    /// Closes all connections and waits until the peers were told, but not long: RFC 9000, section 10.2, lets those end
    /// early who close their socket, and a handshake with somebody who is not there takes 3 s to drain.
    pub async fn close(&self) {
        self.inner.quic.close(CloseCode::SHUTDOWN.into(), b"");
        timeout(DRAIN_MAX, self.inner.quic.wait_idle()).await.ok();
    }
}

fn endpoint_config() -> Result<EndpointConfig, BindError> {
    let mut config = EndpointConfig::default();
    config
        .max_udp_payload_size(LOCAL_MTU_MAX)
        .map_err(io::Error::other)?;
    Ok(config)
}

/// A UDP socket with room for bursts. An unspecified IPv6 address takes IPv4 too.
fn open_socket(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if listen.is_ipv6() {
        socket.set_only_v6(listen.ip() != IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED))?;
    }
    // Less than asked for is no fault: the kernel has its own limit.
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES).ok();
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES).ok();
    socket.bind(&listen.into())?;
    Ok(socket.into())
}
