//! Accepting: one task for each handshake, and the one place that routes by protocol.

use std::sync::Arc;

use allod_identity::DeviceId;
use quinn::crypto::rustls::HandshakeData;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::connection::{Connection, Side};
use crate::error::{CloseCode, QuicError};
use crate::limits::{Limits, Paths};
use crate::tls::ALPN;

/// Connections of which QUIC holds anything: open ones, handshakes, and those that are over until they are drained. Most
/// are drained in three probe timeouts; one whose first packet closes it stays for the idle timeout. 1024: several times
/// what may be open, and some tens of MiB.
const REMEMBERED_MAX: usize = 1024;

/// What every accepting task needs.
#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) here: DeviceId,
    pub(crate) limits: Limits,
    pub(crate) servers: Paths<Arc<quinn::ServerConfig>>,
    pub(crate) accepted: mpsc::Sender<Connection>,
    /// Places for connections that others dialled.
    pub(crate) places: Arc<Semaphore>,
    /// Places for handshakes that others began.
    pub(crate) handshakes: Arc<Semaphore>,
}

impl Acceptor {
    /// Takes what comes to the endpoint until it closes.
    pub(crate) async fn run(self: Arc<Self>, endpoint: quinn::Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            // Those that are over have no place any more, and QUIC remembers them until they are drained.
            let remembered = endpoint.open_connections();
            self.admit(incoming, remembered);
        }
    }

    /// Refuses what exceeds a limit before any cryptography, and gives the rest a task (TRANS-9).
    fn admit(self: &Arc<Self>, incoming: quinn::Incoming, remembered: usize) {
        let few_left = self.handshakes.available_permits() <= self.limits.handshakes_max / 2
            || remembered >= REMEMBERED_MAX / 2;
        if few_left && incoming.may_retry() && !incoming.remote_address_validated() {
            // Fails only if the address was validated meanwhile, which it was not.
            incoming.retry().ok();
            return;
        }
        let handshake = self.handshakes.clone().try_acquire_owned();
        let place = self.places.clone().try_acquire_owned();
        let (Ok(handshake), Ok(place), true) = (handshake, place, remembered < REMEMBERED_MAX)
        else {
            tracing::debug!(addr = %incoming.remote_address(), "connection refused: limit");
            incoming.refuse();
            return;
        };
        let acceptor = self.clone();
        tokio::spawn(async move {
            let addr = incoming.remote_address();
            let work = acceptor.handshake(incoming, place);
            match timeout(acceptor.limits.handshake_timeout, work).await {
                Ok(Ok(connection)) => acceptor.hand_over(connection).await,
                Ok(Err(error)) => tracing::debug!(%addr, %error, "connection not established"),
                Err(_elapsed) => tracing::debug!(%addr, "handshake took too long"),
            }
            drop(handshake);
        });
    }

    async fn handshake(
        &self,
        incoming: quinn::Incoming,
        place: OwnedSemaphorePermit,
    ) -> Result<Connection, QuicError> {
        let server = self.servers.to(incoming.remote_address()).clone();
        let mut connecting = incoming.accept_with(server)?;
        let data = connecting.handshake_data().await?;
        let protocol = data
            .downcast::<HandshakeData>()
            .ok()
            .and_then(|data| data.protocol);
        let quic = connecting.await?;
        // The one place that routes by protocol. TLS refuses those that were not offered.
        if protocol.as_deref() != Some(ALPN) {
            quic.close(CloseCode::PROTOCOL.into(), b"unknown protocol");
            return Err(QuicError::NoCommonProtocol);
        }
        Connection::new(quic, Side::Accepted, self.here, &self.limits, Some(place))
    }

    /// Waits for somebody to accept; the handshake's place stays taken, which pushes back.
    async fn hand_over(&self, connection: Connection) {
        let slot = timeout(self.limits.handshake_timeout, self.accepted.reserve()).await;
        match slot {
            Ok(Ok(slot)) => slot.send(connection),
            Ok(Err(_closed)) => connection.close(CloseCode::SHUTDOWN, ""),
            Err(_elapsed) => connection.close(CloseCode::BUSY, "nobody accepts"),
        }
    }
}
