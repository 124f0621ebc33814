//! Blocks copied over raw quinn into a store: no session, no commits, nothing checked but the hashes that
//! name them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allod_blocks::{Batch, Block, Codec, FjallStore, Store as _};
use bytes::Bytes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Endpoint, RecvStream};

const WINDOW: u32 = 8 << 20;

/// Bytes stored in one batch, as a session does.
const BATCH_BYTES: usize = 4 << 20;

/// How long it takes to copy `blocks` into a new store at `path`, the handshake included.
pub(crate) async fn copy(blocks: &[Block], path: &Path) -> Duration {
    let certificate = rcgen::generate_simple_self_signed(["bench".to_owned()]).expect("made");
    let der = certificate.cert.der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certificate.key_pair.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key.into())
        .expect("a certificate");
    let server = QuicServerConfig::try_from(server).expect("a configuration");
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(transport());
    let listen: SocketAddr = ([127, 0, 0, 1], 0).into();
    let served = Endpoint::server(server, listen).expect("an endpoint");
    let addr = served.local_addr().expect("an address");
    let frames: Vec<Bytes> = blocks.iter().map(|block| block.bytes().clone()).collect();
    let serving = tokio::spawn(async move {
        let connection = served
            .accept()
            .await
            .expect("a client")
            .await
            .expect("a handshake");
        let (mut send, _recv) = connection.accept_bi().await.expect("a stream");
        for frame in frames {
            let head = Bytes::copy_from_slice(&(frame.len() as u32).to_be_bytes());
            send.write_all_chunks(&mut [head, frame])
                .await
                .expect("sends");
        }
        send.finish().expect("ends");
        connection.closed().await;
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der).expect("a root");
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = QuicClientConfig::try_from(client).expect("a configuration");
    let mut client = quinn::ClientConfig::new(Arc::new(client));
    client.transport_config(transport());
    let endpoint = Endpoint::client(listen).expect("an endpoint");
    let store = FjallStore::open(path).expect("a store");
    let started = Instant::now();
    let connection = endpoint.connect_with(client, addr, "bench").expect("dials");
    let connection = connection.await.expect("a handshake");
    let (mut send, recv) = connection.open_bi().await.expect("a stream");
    send.write_all(b"!").await.expect("asks");
    receive(recv, &store).await;
    let elapsed = started.elapsed();
    connection.close(0u32.into(), b"");
    endpoint.wait_idle().await;
    serving.await.expect("serves");
    elapsed
}

async fn receive(mut recv: RecvStream, store: &FjallStore) {
    let (mut batch, mut bytes) = (Batch::new(), 0);
    let mut head = [0; 4];
    while recv.read_exact(&mut head).await.is_ok() {
        let mut content = vec![0; u32::from_be_bytes(head) as usize];
        recv.read_exact(&mut content).await.expect("a block");
        bytes += content.len();
        batch.put(Block::new(Codec::DagCbor, Bytes::from(content)).expect("a block"));
        if bytes >= BATCH_BYTES {
            drop(store.commit(std::mem::take(&mut batch)).expect("stores"));
            bytes = 0;
        }
    }
    drop(store.commit(batch).expect("stores"));
}

fn transport() -> Arc<quinn::TransportConfig> {
    let mut config = quinn::TransportConfig::default();
    config
        .stream_receive_window(WINDOW.into())
        .receive_window((2 * WINDOW).into())
        .send_window(u64::from(2 * WINDOW));
    Arc::new(config)
}
