//! Nodes: the sender has a space with the blob under one key, the receiver has joined it, and so has a second
//! sender where there is one.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use allod::{Home, HomeConfig, KeySource, Node, Peer, StoreKind, random};
use allod_blocks::{FileProfile, add_file, read_file};
use allod_identity::{DeviceId, Keystore, SecretKey};
use allod_quic::Endpoint;
use allod_repo::{BranchName, Content, Edit, Repo};
use allod_sync::{Backoff, Branches, Ticket};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{Usage, asked_to_end, content, say};

const SECRET: &[u8] = b"a bench needs no secret";

const KEY: &[u8] = b"blob";

pub(crate) async fn send(dir: &Path, bytes: u64) {
    let node = node(dir);
    let repo = node.create_space("bench").expect("a space");
    let started = Instant::now();
    let (adding, profile) = (node.clone(), FileProfile::UNIXFS_V1_2025);
    let add = move || {
        let mut content = content::Content::new(bytes);
        add_file(adding.store().as_ref(), profile, &mut content, &mut |_| {})
    };
    let added = tokio::task::spawn_blocking(add).await.expect("ends");
    let file = added.expect("adds");
    assert_eq!(file.size, bytes);
    let main = BranchName::main();
    let edit = (Bytes::from_static(KEY), Edit::Link(file.cid));
    repo.stage(&main, [edit], allod::now_ms()).expect("stages");
    let author = node.author().expect("an author");
    repo.commit_staged(&main, author, "bench", allod::now_ms())
        .expect("commits");
    let seconds = started.elapsed().as_secs_f64();
    let served = node.listen(local()).expect("listens");
    let addr = served.local_addr().expect("an address").to_string();
    let ticket = node.ticket(&repo, vec![addr], None).expect("a ticket");
    let said = json!({ "seconds": seconds, "invitation": ticket.to_text() });
    serve(node, served, said).await;
}

/// Gets the blob from the sender, and serves it too.
pub(crate) async fn pass_on(dir: &Path, invitation: &Value) {
    let (node, endpoint, copy, sender) = join(dir, invitation).await;
    let progress = &mut |_: &_| {};
    let synced = node.sync_with(&endpoint, &copy, sender.0, &sender.1, progress);
    synced.await.expect("syncs");
    let addr = endpoint.local_addr().expect("an address").to_string();
    let device = node.device().expect("a device").to_string();
    serve(node, endpoint, json!({ "device": device, "addr": addr })).await;
}

/// Serves until nobody waits for this process any more.
async fn serve(node: Node, endpoint: Endpoint, said: Value) {
    let usage = Usage::begin();
    let (stop, stopped) = watch::channel(false);
    let serving =
        tokio::spawn(async move { node.serve(&endpoint, Backoff::default(), stopped).await });
    say(said);
    asked_to_end().await;
    say(json!({
        "peak_mib": usage.peak_mib(),
        "processor_seconds": usage.processor_seconds(),
    }));
    stop.send_replace(true);
    serving.await.expect("serves to the end");
}

async fn join(dir: &Path, invitation: &Value) -> (Node, Endpoint, Repo, (DeviceId, Peer)) {
    let ticket: Ticket = invitation
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a ticket");
    let node = node(dir);
    let endpoint = node.listen(local()).expect("listens");
    let joined = node.join(&endpoint, &ticket, None, None).await;
    let peer = Peer {
        addrs: ticket.addrs.clone(),
        ..Peer::default()
    };
    let copy = joined.expect("joins");
    (node, endpoint, copy, (ticket.device, peer))
}

pub(crate) async fn receive(dir: &Path, invitation: &Value) {
    let (node, endpoint, copy, sender) = join(dir, invitation).await;
    let usage = Usage::begin();
    let started = Instant::now();
    let synced = node
        .sync_with(&endpoint, &copy, sender.0, &sender.1, &mut |_| {})
        .await;
    let seconds = started.elapsed().as_secs_f64();
    let stats = synced.expect("syncs").stats;
    assert!(stats.refused.is_empty(), "{:?}", stats.refused);
    // Nothing is said to be done that is not durable.
    say(json!({
        "seconds": seconds,
        "done_seconds": seconds,
        "peak_mib": usage.peak_mib(),
        "processor_seconds": usage.processor_seconds(),
    }));
    say(json!({ "hash": hash(&node, &copy) }));
    endpoint.close().await;
}

/// Joins, and once somebody says where a second sender is, gets the blob from both at once.
pub(crate) async fn receive_from_two(dir: &Path, invitation: &Value) {
    let (node, endpoint, copy, sender) = join(dir, invitation).await;
    say(json!({ "joined": true }));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    let said: Value = serde_json::from_str(&line).expect("where the second sender is");
    let text = |name: &str| said[name].as_str().expect("a text").to_owned();
    let second: DeviceId = text("device").parse().expect("a device");
    let peer = Peer {
        addrs: vec![text("addr")],
        ..Peer::default()
    };
    // Whoever is not known for a member is not listened to.
    let meta = Branches::Only(vec![BranchName::meta()]);
    let progress = &mut |_: &_| {};
    let governed = node.pull(&endpoint, &copy, (sender.0, &sender.1), meta, progress);
    governed.await.expect("pulls");
    let usage = Usage::begin();
    let started = Instant::now();
    let (one, two) = (&mut |_: &_| {}, &mut |_: &_| {});
    let (one, two) = tokio::join!(
        node.sync_with(&endpoint, &copy, sender.0, &sender.1, one),
        node.sync_with(&endpoint, &copy, second, &peer, two),
    );
    let seconds = started.elapsed().as_secs_f64();
    let came = [one, two].map(|report| {
        let stats = report.expect("syncs").stats;
        assert!(stats.refused.is_empty(), "{:?}", stats.refused);
        stats.bytes_in
    });
    say(json!({
        "seconds": seconds,
        "came": came,
        "peak_mib": usage.peak_mib(),
        "processor_seconds": usage.processor_seconds(),
    }));
    say(json!({ "hash": hash(&node, &copy) }));
    endpoint.close().await;
}

/// The hash of the blob as it is read back.
fn hash(node: &Node, copy: &Repo) -> String {
    let view = copy.state(&BranchName::main()).expect("a state");
    let Some(Content::File(cid)) = view.get(KEY).expect("a value") else {
        panic!("the blob is not there");
    };
    let mut hashing = content::Hashing::default();
    read_file(node.store().as_ref(), &cid, &mut hashing).expect("reads");
    hashing.hash()
}

fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn node(dir: &Path) -> Node {
    let seed = || SecretKey::from_seed(random().expect("randomness"));
    let keys = Keystore {
        agent: Some(seed()),
        next_agent: Some(seed()),
        device: seed(),
    };
    let agent = keys.agent.as_ref().map(SecretKey::agent_id);
    let source = KeySource::File(dir.join("none"));
    let device = keys.device.device_id();
    let config = HomeConfig::new(StoreKind::Fjall, source, device, "bench".into(), agent);
    let home = Home::at(dir.join("home"));
    home.create(&config, &keys, SECRET).expect("a home");
    let node = Node::open(home, Some(keys)).expect("opens");
    node.begin_log("bench").expect("a key log");
    node
}
