//! What a peer can make a node spend, and the transport's parameters.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::{MtuDiscoveryConfig, TransportConfig, VarInt};

/// Bytes a peer may send on one stream before it has been read (TRANS-10).
///
/// 8 MiB: a gigabit at 64 ms of round trip in one stream, and room for three of the largest frames.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// Bytes a peer may send on all streams before they have been read (TRANS-10): two busy streams.
/// Times [`Limits::connections_max`] it bounds the memory of data that nobody reads.
const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;

/// Bytes kept for sending again, over all streams of a connection: what the peer's window allows.
const SEND_WINDOW_BYTES: u64 = CONNECTION_WINDOW_BYTES as u64;

/// The largest UDP payload that is tried on a loopback or private network (TRANS-7).
///
/// 6000 bytes: over twice the throughput of 1452 on a path that takes them. Ten packets go to the
/// kernel at once and must stay below 64 KiB together, which rules out 9000.
pub(crate) const LOCAL_MTU_MAX: u16 = 6000;

/// The largest UDP payload that is tried elsewhere (TRANS-7): Ethernet's 1500 less the headers of
/// IPv6 and UDP. Larger probes would be lost one after the other before each connection got fast.
const INTERNET_MTU_MAX: u16 = 1452;

/// Socket buffers, in bytes: about 5 ms at 10 Gbit/s. The kernel may grant less.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Streams that a peer may open and that wait to be accepted do not count apart: they are among the
/// open ones.
const STREAMS_MAX: u32 = 64;

/// Limits of an endpoint. The defaults suit a node of one person; each has its reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections that others dialled and that are open at once. 128: everyone in a large circle,
    /// and at most 2 GiB of data that nobody reads.
    pub connections_max: usize,
    /// Handshakes of others that run at once. 32: some 20 ms of work in the queue. Beyond half of
    /// it an address has to prove that it can be reached before more is spent on it.
    pub handshakes_max: usize,
    /// How long a handshake may take, dialled or accepted. 10 s: several losses on a slow path.
    pub handshake_timeout: Duration,
    /// Silence after which a connection is given up. 30 s: what routers commonly keep a UDP
    /// mapping for.
    pub idle_timeout: Duration,
    /// How often a silent connection is kept alive. 10 s: two may be lost.
    pub keep_alive: Duration,
    /// Streams that the peer may have open at once. 64: a session for each space two people share.
    pub streams_max: u32,
    /// How long the first frame of a stream may take. 10 s: it comes with the opening.
    pub stream_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 128,
            handshakes_max: 32,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
            streams_max: STREAMS_MAX,
            stream_timeout: Duration::from_secs(10),
        }
    }
}

/// The transport's parameters for each kind of path.
#[derive(Clone, Debug)]
pub(crate) struct Paths<T> {
    local: T,
    internet: T,
}

impl<T> Paths<T> {
    /// Builds one of each.
    pub(crate) fn build(limits: &Limits, make: impl Fn(Arc<TransportConfig>) -> T) -> Self {
        Self {
            local: make(Arc::new(transport(limits, LOCAL_MTU_MAX))),
            internet: make(Arc::new(transport(limits, INTERNET_MTU_MAX))),
        }
    }

    /// The one for a path to `peer`.
    pub(crate) fn to(&self, peer: SocketAddr) -> &T {
        if is_local(peer.ip()) {
            &self.local
        } else {
            &self.internet
        }
    }
}

fn transport(limits: &Limits, mtu_max: u16) -> TransportConfig {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(mtu_max);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(limits.streams_max.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(limits.idle_timeout.try_into().ok())
        .keep_alive_interval(Some(limits.keep_alive))
        .mtu_discovery_config(Some(discovery));
    config
}

/// Whether an address is on this machine or a private network, where large packets may pass.
fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_packets_are_tried_on_local_paths_only() {
        for local in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.9",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        for distant in ["8.8.8.8", "100.64.0.1", "2001:db8::1", "::ffff:1.1.1.1"] {
            assert!(!is_local(distant.parse().unwrap()), "{distant}");
        }
    }

    #[test]
    fn ten_packets_fit_one_call() {
        assert!(usize::from(LOCAL_MTU_MAX) * 10 < 64 * 1024);
    }
}
