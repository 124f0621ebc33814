//! How fast the past of a server comes to be durable in a space, and how long a delta takes from being said on one node
//! to being durable on another, both on this machine.
//!
//! Its peers are the figures that the original documents as its targets: a delta is created in less than 1 ms and persisted
//! in less than 10 ms. They are of another program on another machine, so ratios say no more than that they are met.
//!
//! `--quick` takes less of everything.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use allod::{Home, HomeConfig, KeySource, Node, StoreKind, random};
use allod_deltas::{Appended, Delta, DeltaStore, MemoryDeltas, Number, Pointer};
use allod_federation::{
    Clock, Dial, Event, Federation, FederationConfig, FederationOptions, Me, Rules, Status,
};
use allod_identity::{Keystore, SecretKey};
use tokio::sync::mpsc;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: &[u8] = b"a bench needs no secret";

/// What the original aims at, in milliseconds.
const CREATED_MS: f64 = 1.0;
const PERSISTED_MS: f64 = 10.0;

struct Here(AtomicU64);

impl Clock for Here {
    fn now_ms(&self) -> u64 {
        allod::now_ms()
    }

    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        bytes
    }
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (past, live) = if quick {
        (5_000, 100)
    } else {
        (100_000, 2_000)
    };
    runtime.block_on(initial(&dir.path().join("initial"), past));
    runtime.block_on(latency(dir.path(), live));
}

/// The deltas of a space of a new node.
fn space(dir: &Path) -> Arc<dyn DeltaStore> {
    let home = Home::at(dir.to_owned());
    let keys = Keystore {
        agent: Some(SecretKey::from_seed(random().expect("random"))),
        device: SecretKey::from_seed(random().expect("random")),
        next_agent: Some(SecretKey::from_seed(random().expect("random"))),
    };
    let device = keys.device.device_id();
    let agent = keys.agent.as_ref().map(SecretKey::agent_id);
    let source = KeySource::File(dir.join("none"));
    let config = HomeConfig::new(StoreKind::Fjall, source, device, "bench".into(), agent);
    home.create(&config, &keys, SECRET).expect("a home");
    let node = Node::open(home, Some(keys)).expect("opens");
    node.begin_log("bench").expect("a key log");
    let repo = node.create_space("bench").expect("a space");
    let branch = "deltas".parse().expect("a name");
    Arc::new(node.deltas(&repo, &branch).expect("keys"))
}

fn federation(name: &str, store: Arc<dyn DeltaStore>) -> Federation {
    let me = Me {
        system_id: name.to_owned(),
        store: name.to_owned(),
        key: None,
    };
    // What is measured is not how slowly a peer is read that sends too much.
    let rules = Rules {
        deltas_per_second: u64::from(u32::MAX),
        bytes_per_second: u64::from(u32::MAX),
        ..Rules::default()
    };
    let clock = Arc::new(Here(AtomicU64::new(1)));
    Federation::new(store, FederationOptions::new(me, rules, clock))
}

fn said(key: &SecretKey, at: u64) -> Arc<Delta> {
    let pointers = vec![
        Pointer::under("post", format!("post-{}", at % 1000), "comment").expect("a pointer"),
        Pointer::text("text", format!("What comment {at} has to say")).expect("a pointer"),
    ];
    let delta = Delta::sign(key, Number::of(at + 1), "laptop", pointers).expect("a delta");
    Arc::new(delta.into_delta())
}

async fn link(server: &Federation, client: &Federation) {
    let listening = server.listen("127.0.0.1:0").await.expect("listens");
    let url = format!("ws://{}/federation", listening.address());
    let config = FederationConfig::default();
    let linking = client.connect_to_remote(&url, config, Dial::default());
    let link = linking.await.expect("a link");
    while link.status() == Status::Connecting {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// All of the past of a server, each delta verified, into a space where it is durable.
async fn initial(dir: &Path, count: u64) {
    let key = SecretKey::from_seed([7; 32]);
    let all: Vec<Arc<Delta>> = (0..count).map(|at| said(&key, at)).collect();
    let past = Arc::new(MemoryDeltas::new());
    for some in all.chunks(1000) {
        past.append(some, 0).expect("is kept");
    }
    let server = federation("server", past);
    let client = federation("client", space(dir));
    let (tell, mut told) = mpsc::unbounded_channel();
    let _hearing = client.on_event(move |_, event| {
        if let Event::DeltaReceived { .. } = event {
            tell.send(()).ok();
        }
    });
    let began = Instant::now();
    link(&server, &client).await;
    for _ in 0..count {
        told.recv().await.expect("a delta");
    }
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("{count} deltas in {seconds:.2} s");
    let case = format!("initial sync of {count} signed deltas into a space, durable");
    row(&case, "deltas/s", "more", count as f64 / seconds, &[], "-");
    client.close();
    server.close();
}

/// One delta after the other: how long it takes to make it, to keep it, and until another node has it.
async fn latency(dir: &Path, count: u64) {
    let key = SecretKey::from_seed([8; 32]);
    let server = federation("server", space(&dir.join("here")));
    let client = federation("client", space(&dir.join("there")));
    let (tell, mut told) = mpsc::unbounded_channel();
    let _hearing = client.on_event(move |_, event| {
        if let Event::DeltaReceived { delta } = event {
            tell.send((delta.id().to_owned(), Instant::now())).ok();
        }
    });
    link(&server, &client).await;
    let (mut created, mut persisted, mut live) = (Vec::new(), Vec::new(), Vec::new());
    let ms = |passed: Duration| passed.as_secs_f64() * 1000.0;
    for at in 0..count {
        let began = Instant::now();
        let delta = said(&key, at);
        created.push(ms(began.elapsed()));
        let began = Instant::now();
        let id = delta.id().to_owned();
        let kept = server.append(vec![delta]).await.expect("is kept");
        assert_eq!(kept, [Appended::New]);
        persisted.push(ms(began.elapsed()));
        // One that comes while both sides begin may come as the past too.
        let when = loop {
            let (heard, when) = told.recv().await.expect("a delta");
            if heard == id {
                break when;
            }
        };
        live.push(ms(when - began));
    }
    for (case, mut values, peer) in [
        (
            "a delta is made and signed",
            created,
            Some(("the original's target", CREATED_MS)),
        ),
        (
            "a delta is durable",
            persisted,
            Some(("the original's target", PERSISTED_MS)),
        ),
        (
            "a delta is durable here and at a peer, over loopback",
            live,
            None,
        ),
    ] {
        let peers: Vec<(&str, f64)> = peer.into_iter().collect();
        let target = peers
            .first()
            .map_or_else(|| "-".to_owned(), |(_, at)| format!("< {at} ms"));
        for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
            let value = at(&mut values, part);
            row(
                &format!("{case}: {name}"),
                "ms",
                "less",
                value,
                &peers,
                &target,
            );
        }
    }
    client.close();
    server.close();
}

fn at(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}

fn row(case: &str, unit: &str, better: &str, ours: f64, peers: &[(&str, f64)], target: &str) {
    let peers: serde_json::Map<String, serde_json::Value> = peers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    println!(
        "{}",
        serde_json::json!({
            "area": "federation", "case": case, "unit": unit, "better": better,
            "ours": ours, "peers": peers, "target": target,
        })
    );
}
