//! Tests of the crate over loopback.

mod connections;
mod hostile;
mod limits;
mod streams;

use std::net::SocketAddr;
use std::time::Duration;

use allod_identity::SecretKey;
use allod_quic::{Config, Connection, Endpoint, Limits};

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn bind(n: u8, limits: Limits) -> Endpoint {
    let (listen, key) = (loopback(), &key(n));
    Endpoint::bind(Config {
        listen,
        key,
        limits,
    })
    .expect("an endpoint")
}

/// Limits under which silence is noticed quickly.
fn brisk() -> Limits {
    Limits {
        idle_timeout: Duration::from_secs(1),
        keep_alive: Duration::from_millis(200),
        handshake_timeout: Duration::from_secs(2),
        stream_timeout: Duration::from_millis(300),
        ..Limits::default()
    }
}

/// Dials `to` from `from` and gives both ends.
async fn pair(from: &Endpoint, to: &Endpoint) -> (Connection, Connection) {
    let addr = to.local_addr().expect("an address");
    let (dialled, accepted) = tokio::join!(from.connect(addr, to.device_id()), to.accept());
    (
        dialled.expect("a connection"),
        accepted.expect("a connection"),
    )
}
