//! iroh-blobs with its store on disk and its defaults, but for relays and look-ups, which loopback does not
//! need.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream;
use iroh::endpoint::presets;
use iroh::protocol::Router;
use iroh::{Endpoint, EndpointAddr, RelayMode, SecretKey};
use iroh_blobs::store::fs::FsStore;
use iroh_blobs::{BlobsProtocol, Hash};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::{Usage, asked_to_end, content, say};

/// Bytes of a piece of the content, as it is added and read back.
const PIECE_BYTES: usize = 1024 * 1024;

const SENDER: [u8; 32] = [1; 32];
const RECEIVER: [u8; 32] = [2; 32];

async fn bind(seed: [u8; 32]) -> Endpoint {
    let addr: SocketAddr = ([127, 0, 0, 1], 0).into();
    Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(&seed))
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr(addr)
        .expect("an address")
        .bind()
        .await
        .expect("an endpoint")
}

pub(crate) async fn send(dir: &Path, bytes: u64) {
    let store = FsStore::load(dir).await.expect("a store");
    let started = Instant::now();
    let tag = store.add_stream(pieces(bytes)).await;
    let tag = tag.temp_tag().await.expect("adds");
    store.sync_db().await.expect("syncs");
    sync(dir).expect("syncs");
    let seconds = started.elapsed().as_secs_f64();
    let endpoint = bind(SENDER).await;
    let addr = endpoint.bound_sockets()[0].to_string();
    let usage = Usage::begin();
    let router = Router::builder(endpoint);
    let router = router.accept(iroh_blobs::ALPN, BlobsProtocol::new(&store, None));
    let router = router.spawn();
    let invitation = json!({ "addr": addr, "hash": tag.hash().to_string() });
    say(json!({ "seconds": seconds, "invitation": invitation }));
    asked_to_end().await;
    say(json!({
        "peak_mib": usage.peak_mib(),
        "processor_seconds": usage.processor_seconds(),
    }));
    router.shutdown().await.expect("ends");
}

pub(crate) async fn receive(dir: &Path, invitation: &Value) {
    let text = |name: &str| invitation[name].as_str().expect("a text");
    let addr: SocketAddr = text("addr").parse().expect("an address");
    let hash: Hash = text("hash").parse().expect("a hash");
    let store = FsStore::load(dir).await.expect("a store");
    let endpoint = bind(RECEIVER).await;
    let sender = SecretKey::from_bytes(&SENDER).public();
    let to = EndpointAddr::new(sender).with_ip_addr(addr);
    let usage = Usage::begin();
    let started = Instant::now();
    let connection = endpoint.connect(to, iroh_blobs::ALPN).await;
    let connection = connection.expect("a connection");
    let fetched = store.remote().fetch(connection, hash).complete().await;
    fetched.expect("fetches");
    let done_seconds = started.elapsed().as_secs_f64();
    store.sync_db().await.expect("syncs");
    sync(dir).expect("syncs");
    say(json!({
        "seconds": started.elapsed().as_secs_f64(),
        "done_seconds": done_seconds,
        "peak_mib": usage.peak_mib(),
        "processor_seconds": usage.processor_seconds(),
    }));
    let mut hashing = content::Hashing::default();
    let mut reader = store.reader(hash);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = reader.read(&mut piece).await.expect("reads");
        if length == 0 {
            break;
        }
        hashing.write_all(&piece[..length]).expect("hashes");
    }
    say(json!({ "hash": hashing.hash() }));
    endpoint.close().await;
    store.shutdown().await.expect("ends");
}

/// The content as what the store takes.
fn pieces(bytes: u64) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + Sync {
    let mut content = content::Content::new(bytes);
    stream::iter(std::iter::from_fn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        let length = content.read(&mut piece).expect("reads");
        piece.truncate(length);
        (length > 0).then(|| Ok(Bytes::from(piece)))
    }))
}

/// Makes durable what is in a directory.
fn sync(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(dir)?.sync_all()
}
