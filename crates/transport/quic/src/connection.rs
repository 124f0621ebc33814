//! A connection to a device that proved its key.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use allod_identity::DeviceId;
use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::{CloseCode, QuicError};
use crate::frame::StreamKind;
use crate::limits::Limits;
use crate::stream::Stream;
use crate::tls;

/// A connection to one device. Cheap to clone; it closes when the last clone and the last of its
/// streams are dropped.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    opening: Arc<Mutex<JoinSet<Result<Stream, QuicError>>>>,
}

/// What a connection and its streams hold together.
pub(crate) struct Shared {
    quic: quinn::Connection,
    peer: DeviceId,
    dialer: DeviceId,
    stream_timeout: Duration,
    /// The place among the connections that others dialled; none for one dialled here.
    _place: Option<OwnedSemaphorePermit>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.peer, self.quic.remote_address())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({:?})", self.shared)
    }
}

/// Figures about a connection since it began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stats {
    /// Bytes sent, with all headers of QUIC.
    pub sent_bytes: u64,
    /// Bytes received, with all headers of QUIC.
    pub received_bytes: u64,
    /// The round trip time, smoothed.
    pub rtt: Duration,
    /// Packets sent that did not arrive.
    pub lost_packets: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// The largest UDP payload that the path is known to take, in bytes.
    pub mtu_bytes: u16,
}

/// Which side began a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Dialled,
    Accepted,
}

impl Connection {
    /// Takes over an established QUIC connection: reads who the peer is.
    pub(crate) fn new(
        quic: quinn::Connection,
        side: Side,
        here: DeviceId,
        limits: &Limits,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, QuicError> {
        let peer = peer_of(&quic).ok_or(QuicError::Handshake { alert: 0 })?;
        let dialer = match side {
            Side::Dialled => here,
            Side::Accepted => peer,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                quic,
                peer,
                dialer,
                stream_timeout: limits.stream_timeout,
                _place: place,
            }),
            opening: Arc::default(),
        })
    }

    /// Whether both are handles on one connection.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The device on the other side, which proved its key.
    #[must_use]
    pub fn peer(&self) -> DeviceId {
        self.shared.peer
    }

    /// The device that began the connection: the peer or this one.
    #[must_use]
    pub fn dialer(&self) -> DeviceId {
        self.shared.dialer
    }

    /// Where the peer is now; it may move.
    #[must_use]
    pub fn remote_addr(&self) -> SocketAddr {
        self.shared.quic.remote_address()
    }

    /// Opens a stream. Waits while the peer allows no further one.
    pub async fn open(&self, kind: StreamKind) -> Result<Stream, QuicError> {
        let halves = self.shared.quic.open_bi().await?;
        Stream::open(self.shared.clone(), halves, kind).await
    }

    /// The next stream that the peer opens, once it has said what it is for.
    ///
    /// Streams of an unknown kind, or that do not say, are given up without notice here (TRANS-13).
    /// An error means that the connection has ended. Cancel-safe.
    pub async fn accept(&self) -> Result<Stream, QuicError> {
        // Streams whose first frame is awaited; as many as the peer may open.
        let mut opening = self.opening.lock().await;
        loop {
            tokio::select! {
                Some(opened) = opening.join_next() => match opened {
                    Ok(Ok(stream)) => return Ok(stream),
                    Ok(Err(error)) => {
                        tracing::debug!(peer = %self.shared.peer, %error, "stream refused");
                    }
                    Err(_cancelled) => {}
                },
                halves = self.shared.quic.accept_bi() => {
                    let halves = halves?;
                    let shared = self.shared.clone();
                    opening.spawn(async move {
                        let limit = shared.stream_timeout;
                        timeout(limit, Stream::accept(shared, halves))
                            .await
                            .unwrap_or(Err(QuicError::StreamKind))
                    });
                }
            }
        }
    }

    /// Closes the connection at once; what was sent may not arrive. The reason is for people.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.shared.quic.close(code.into(), reason.as_bytes());
    }

    /// Waits until the connection has ended, and says why.
    pub async fn closed(&self) -> QuicError {
        self.shared.quic.closed().await.into()
    }

    /// Why the connection has ended; `None` while it has not.
    #[must_use]
    pub fn close_reason(&self) -> Option<QuicError> {
        self.shared.quic.close_reason().map(Into::into)
    }

    /// Figures since the connection began.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let stats = self.shared.quic.stats();
        Stats {
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            rtt: stats.path.rtt,
            lost_packets: stats.path.lost_packets,
            sent_packets: stats.path.sent_packets,
            mtu_bytes: stats.path.current_mtu,
        }
    }
}

/// Which of two connections with the same peer both sides keep (TRANS-16): the one that the device
/// with the smaller key dialled; of two by the same device the first given.
#[must_use]
pub fn prefer<'a>(first: &'a Connection, second: &'a Connection) -> &'a Connection {
    if second.dialer() < first.dialer() {
        second
    } else {
        first
    }
}

fn peer_of(quic: &quinn::Connection) -> Option<DeviceId> {
    let chain = quic.peer_identity()?;
    let chain = chain.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    tls::device_of(chain.first()?).ok()
}
