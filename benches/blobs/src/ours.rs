//! Two nodes: the sender has a space with the blob under one key, and the receiver has joined it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use allod::{Home, HomeConfig, KeySource, Node, Peer, StoreKind, random};
use allod_blocks::{FileProfile, add_file, read_file};
use allod_identity::{Keystore, SecretKey};
use allod_repo::{BranchName, Content, Edit};
use allod_sync::{Backoff, Ticket};
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
    let usage = Usage::begin();
    let (stop, stopped) = watch::channel(false);
    let serving = node.clone();
    let serving =
        tokio::spawn(async move { serving.serve(&served, Backoff::default(), stopped).await });
    say(json!({ "seconds": seconds, "invitation": ticket.to_text() }));
    asked_to_end().await;
    say(json!({
        "peak_mib": usage.peak_mib(),
        "processor_seconds": usage.processor_seconds(),
    }));
    stop.send_replace(true);
    serving.await.expect("serves to the end");
}

pub(crate) async fn receive(dir: &Path, invitation: &Value) {
    let ticket: Ticket = invitation
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a ticket");
    let node = node(dir);
    let endpoint = node.listen(local()).expect("listens");
    let joined = node.join(&endpoint, &ticket, None, None).await;
    let copy = joined.expect("joins");
    let peer = Peer {
        addrs: ticket.addrs.clone(),
        ..Peer::default()
    };
    let usage = Usage::begin();
    let started = Instant::now();
    let synced = node
        .sync_with(&endpoint, &copy, ticket.device, &peer, &mut |_| {})
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
    let view = copy.state(&BranchName::main()).expect("a state");
    let Some(Content::File(cid)) = view.get(KEY).expect("a value") else {
        panic!("the blob is not there");
    };
    let mut hashing = content::Hashing::default();
    read_file(node.store().as_ref(), &cid, &mut hashing).expect("reads");
    say(json!({ "hash": hashing.hash() }));
    endpoint.close().await;
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
