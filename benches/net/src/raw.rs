//! Raw quinn with the settings of our endpoint: no frames, and whoever answers is taken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint, EndpointConfig, RecvStream, SendStream, TokioRuntime};

use crate::{
    BULK_MESSAGE_BYTES, ECHO, ECHO_BYTES, Job, Raw, Ready, SINK, WHOLE, message, rate, timed,
};

/// The largest UDP payload that our endpoint tries on a local path.
pub const MTU_MAX: u16 = 6000;

const WINDOW: u32 = 8 << 20;

fn keypair(seed: u8) -> libp2p_identity::Keypair {
    libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).expect("a key")
}

fn aes_first() -> Arc<rustls::crypto::CryptoProvider> {
    use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
    Arc::new(rustls::crypto::CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..default_provider()
    })
}

fn transport(mtu: u16) -> Arc<quinn::TransportConfig> {
    let mut discovery = quinn::MtuDiscoveryConfig::default();
    discovery.upper_bound(mtu);
    let mut config = quinn::TransportConfig::default();
    config
        .max_concurrent_bidi_streams(64u32.into())
        .stream_receive_window(WINDOW.into())
        .receive_window((2 * WINDOW).into())
        .send_window(u64::from(2 * WINDOW))
        .keep_alive_interval(Some(Duration::from_secs(10)))
        .mtu_discovery_config(Some(discovery));
    Arc::new(config)
}

fn bind(mtu: u16, server: Option<quinn::ServerConfig>) -> Endpoint {
    let socket = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )
    .expect("a socket");
    socket
        .set_recv_buffer_size(WINDOW as usize)
        .expect("a buffer");
    socket
        .set_send_buffer_size(WINDOW as usize)
        .expect("a buffer");
    let addr: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&addr.into()).expect("an address");
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(mtu).expect("a size");
    Endpoint::new(config, server, socket.into(), Arc::new(TokioRuntime)).expect("an endpoint")
}

/// Serves one connection.
pub async fn serve(raw: Raw, ready: Ready) {
    let (certificate, key) = libp2p_tls::certificate::generate(&keypair(1)).expect("made");
    let provider = aes_first();
    let key = provider.key_provider.load_private_key(key).expect("a key");
    let certified = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"bench".to_vec()];
    let config = QuicServerConfig::try_from(config).expect("a configuration");
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(config));
    server.transport_config(transport(raw.mtu));
    let endpoint = bind(raw.mtu, Some(server));
    ready(endpoint.local_addr().expect("an address"));
    let connection = endpoint
        .accept()
        .await
        .expect("a dial")
        .await
        .expect("a connection");
    while let Ok((send, recv)) = connection.accept_bi().await {
        tokio::spawn(answer(send, recv));
    }
}

async fn answer(mut send: SendStream, mut recv: RecvStream) -> Option<()> {
    let mut bytes = [0; ECHO_BYTES];
    recv.read_exact(&mut bytes).await.ok()?;
    if bytes[0] == WHOLE {
        // The first message has lost its beginning above.
        let mut rest = vec![0; BULK_MESSAGE_BYTES - ECHO_BYTES];
        recv.read_exact(&mut rest).await.ok()?;
        loop {
            let mut message = vec![0; BULK_MESSAGE_BYTES];
            if recv.read_exact(&mut message).await.is_err() {
                break;
            }
        }
        send.write_all(&[SINK]).await.ok()?;
        return send.finish().ok();
    }
    if bytes[0] == SINK {
        while recv.read_chunk(usize::MAX, true).await.ok()?.is_some() {}
        send.write_all(&[SINK]).await.ok()?;
        return send.finish().ok();
    }
    loop {
        send.write_all(&bytes).await.ok()?;
        if recv.read_exact(&mut bytes).await.is_err() {
            return send.finish().ok();
        }
    }
}

async fn connect(raw: Raw, addr: SocketAddr) -> (Endpoint, Connection) {
    let mut config = libp2p_tls::make_client_config(&keypair(2), None).expect("a configuration");
    config.alpn_protocols = vec![b"bench".to_vec()];
    let config = QuicClientConfig::try_from(config).expect("a configuration");
    let mut client = quinn::ClientConfig::new(Arc::new(config));
    client.transport_config(transport(raw.mtu));
    let endpoint = bind(raw.mtu, None);
    let dial = endpoint.connect_with(client, addr, "l").expect("a dial");
    let connection = dial.await.expect("a connection");
    (endpoint, connection)
}

async fn echo(send: &mut SendStream, recv: &mut RecvStream, bytes: &[u8]) {
    send.write_all(bytes).await.expect("sent");
    let mut answer = [0; ECHO_BYTES];
    recv.read_exact(&mut answer).await.expect("an answer");
}

pub async fn client(raw: Raw, addr: SocketAddr, job: Job) -> Vec<f64> {
    let (endpoint, connection) = connect(raw, addr).await;
    let bytes = message(ECHO, ECHO_BYTES);
    let samples = match job {
        Job::Bulk(total) => {
            let mut samples = Vec::new();
            for count in [job.warm_up(), total / BULK_MESSAGE_BYTES] {
                let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
                let chunk = message(if raw.whole { WHOLE } else { SINK }, BULK_MESSAGE_BYTES);
                let begun = Instant::now();
                for _ in 0..count {
                    send.write_chunk(chunk.clone()).await.expect("sent");
                }
                send.finish().expect("finished");
                recv.read_to_end(1).await.expect("an answer");
                samples = rate(total, begun);
            }
            samples
        }
        Job::Echo(count) => {
            let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
            timed(job, count, async || {
                echo(&mut send, &mut recv, &bytes).await
            })
            .await
        }
        Job::Streams(count) => {
            timed(job, count, async || {
                let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
                echo(&mut send, &mut recv, &bytes).await;
                send.finish().expect("finished");
            })
            .await
        }
    };
    connection.close(0u32.into(), b"");
    endpoint.wait_idle().await;
    samples
}
