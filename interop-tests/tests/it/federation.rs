//! Federation with a peer in plain JavaScript on `ws`, in both roles and at the route of a node (FED), and content ids by `@ipld/dag-cbor`
//! (DELTA-6).

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use allod::http::{HttpListener, HttpOptions};
use allod::{Home, HomeConfig, KeySource, Node, Shared, Signing, StoreKind, now_ms};
use allod_deltas::{Delta, DeltaStore, MemoryDeltas, Number, Pointer};
use allod_federation::{
    Clock, Dial, Federation, FederationConfig, FederationOptions, Me, Reconnect, Rules, TrustPolicy,
};
use allod_identity::{Keystore, SecretKey};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::node::{is_there, run, script};

/// The servers that the scripted peer asks for.
const NAMES: [&str; 6] = ["full", "open", "trusting", "signed", "small", "token"];

/// What the scripted peer shows.
const TOKEN: &str = "a-secret-of-peers";

struct Here;

impl Clock for Here {
    fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(now.as_millis()).unwrap()
    }

    fn random(&self) -> [u8; 32] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&now.as_nanos().to_le_bytes());
        bytes
    }
}

fn delta(id: &str, at: u64) -> Arc<Delta> {
    let pointers = vec![Pointer::text("is", id).unwrap()];
    Arc::new(Delta::new(id, Number::of(at), "alice", "laptop", pointers).unwrap())
}

fn open() -> Rules {
    Rules {
        trust: TrustPolicy::open(),
        ..Rules::default()
    }
}

fn federation(change: impl FnOnce(&mut FederationOptions)) -> (Federation, Arc<MemoryDeltas>) {
    let me = Me {
        system_id: "ours".to_owned(),
        store: "store".to_owned(),
        key: None,
    };
    let mut options = FederationOptions::new(me, open(), Arc::new(Here));
    change(&mut options);
    let store = Arc::new(MemoryDeltas::new());
    let kept: Arc<dyn DeltaStore> = Arc::clone(&store) as Arc<dyn DeltaStore>;
    (Federation::new(kept, options), store)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn our_server_and_clients_of_the_original() {
    if !is_there() {
        return;
    }
    let runtime = runtime();
    let urls: Value = runtime.block_on(async {
        let mut urls = serde_json::Map::new();
        for name in NAMES {
            let (server, _) = federation(|options| match name {
                "trusting" => {
                    options.rules.trust.trusted_authors = Some(["alice".to_owned()].into());
                }
                "signed" => options.rules = Rules::default(),
                "small" => options.connections_max = 2,
                "token" => options.token = Some(TOKEN.to_owned()),
                _ => {}
            });
            if name == "full" {
                let deltas = (1..=250)
                    .map(|at| delta(&format!("d{at:03}"), at))
                    .collect();
                server.append(deltas).await.unwrap();
            }
            let listening = server.listen("127.0.0.1:0").await.unwrap();
            let url = format!("ws://{}/federation", listening.address());
            urls.insert(name.to_owned(), json!(url));
        }
        Value::Object(urls)
    });
    let said = run("federation-peer.mjs", &["client", &urls.to_string()], "");
    assert!(said.lines().count() >= 20, "{said}");
}

/// A node that serves a space for each way to be one.
fn node(dir: &Path) -> Node {
    let keys = Keystore {
        agent: Some(SecretKey::from_seed([1; 32])),
        next_agent: Some(SecretKey::from_seed([2; 32])),
        device: SecretKey::from_seed([3; 32]),
    };
    let key_file = dir.join("key");
    let secret = allod::make_key_file(&key_file).unwrap();
    let home = Home::at(dir.join("home"));
    let (device, agent) = (keys.device.device_id(), keys.agent.as_ref());
    let config = HomeConfig::new(
        StoreKind::default(),
        KeySource::File(key_file),
        device,
        "test".into(),
        agent.map(SecretKey::agent_id),
    );
    home.create(&config, &keys, &secret).unwrap();
    let node = Node::open(home, Some(keys)).unwrap();
    node.begin_log("test").unwrap();
    let token = dir.join("token");
    std::fs::write(&token, TOKEN).unwrap();
    std::fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    for name in NAMES {
        let repo = node.create_space(name).unwrap();
        let mut shared = Shared::new("deltas".parse().unwrap());
        shared.served = true;
        if name != "signed" {
            shared.trust.signatures = Signing::Optional;
        }
        match name {
            "trusting" => shared.trust.trusted_authors = Some(["alice".to_owned()].into()),
            "small" => shared.links = 2,
            "token" => shared.token = Some(token.clone()),
            "full" => {
                let deltas: Vec<_> = (1..=250)
                    .map(|at| delta(&format!("d{at:03}"), at))
                    .collect();
                let store = node.deltas(&repo, &shared.branch).unwrap();
                store.append(&deltas, now_ms()).unwrap();
            }
            _ => {}
        }
        node.federations().share(repo.id(), &shared).unwrap();
    }
    node
}

/// The same peer against the route of a node: deltas of its spaces, durable in its store.
#[test]
fn the_route_of_a_node_and_clients_of_the_original() {
    if !is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path());
    let options = HttpOptions::new("127.0.0.1:0".parse().unwrap());
    let listener = HttpListener::bind(&node, options).unwrap();
    let address = listener.local_addr();
    let runtime = runtime();
    let (stop, stopped) = watch::channel(false);
    let serving = runtime.spawn(listener.serve(stopped.clone()));
    let federating = runtime.spawn({
        let node = node.clone();
        async move { node.federate(stopped).await }
    });
    let urls = NAMES.map(|name| {
        let url = format!("ws://{address}/federation/{name}");
        (name.to_owned(), json!(url))
    });
    let urls = Value::Object(urls.into_iter().collect());
    // All are opened together, a moment after the node began.
    let mut waits = 0;
    while !is_served(address) {
        std::thread::sleep(Duration::from_millis(10));
        waits += 1;
        assert!(waits < 3000, "the node serves its spaces");
    }
    let said = run("federation-peer.mjs", &["client", &urls.to_string()], "");
    assert!(said.lines().count() >= 20, "{said}");
    stop.send_replace(true);
    runtime.block_on(serving).unwrap().unwrap();
    runtime.block_on(federating).unwrap();
    let repo = node.space(Some("open")).unwrap();
    let store = node.deltas(&repo, &"deltas".parse().unwrap()).unwrap();
    assert!(store.get("fine").unwrap().is_some());
    assert!(store.get("smuggled").unwrap().is_none());
}

/// Whether a space is there: then what is no upgrade is refused for that.
fn is_served(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = "GET /federation/full HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.1 400")
}

struct Scripted(Child);

impl Drop for Scripted {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().unwrap_or_default();
        drop(self.0.wait());
    }
}

#[test]
fn our_client_and_servers_of_the_original() {
    if !is_there() {
        return;
    }
    let mut command = Command::new("node");
    command.arg(script("federation-peer.mjs")).arg("server");
    let mut child = Scripted(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(Result::unwrap);
    let port = next().unwrap();
    let port = port.strip_prefix("listening ").unwrap();
    let url = format!("ws://127.0.0.1:{port}/federation");
    let (client, store) = federation(|_| {});
    let runtime = runtime();
    runtime
        .block_on(client.append(vec![delta("local 0", 1)]))
        .unwrap();
    let config = FederationConfig {
        reconnect: Reconnect {
            initial_delay_ms: 50,
            max_delay_ms: 200,
            max_attempts: 0,
            ..Reconnect::default()
        },
        ..FederationConfig::default()
    };
    let guard = runtime.enter();
    let link = client.keep_connected(&url, config, Arc::new(|| Ok(Dial::default())));
    drop(guard);
    let mut is_done = false;
    while let Some(line) = next() {
        if let Some(id) = line.strip_prefix("append ") {
            runtime.block_on(client.append(vec![delta(id, 1)])).unwrap();
        }
        is_done |= line == "done";
    }
    assert!(is_done && child.0.wait().unwrap().success());
    client.close();
    // What was good came, whatever it came with.
    let mut waits = 0;
    while store.len() < 8 && waits < 100 {
        std::thread::sleep(Duration::from_millis(10));
        waits += 1;
    }
    let expected = [
        "local 0", "local 1", "local 2", "s1", "s2", "s3", "s4", "s5",
    ];
    assert_eq!(store.len(), expected.len());
    for id in expected {
        assert!(store.get(id).unwrap().is_some(), "{id}");
    }
    assert!(link.stats().deltas_refused == 1 && link.stats().deltas_rejected == 1);
}

#[test]
fn content_ids_are_those_of_others() {
    if !is_there() {
        return;
    }
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../specs/vectors/deltas/delta.json"
    );
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    let valid: Vec<&Value> = cases
        .iter()
        .filter(|case| !case["expect"]["ok"].is_null())
        .collect();
    let lines: String = valid
        .iter()
        .map(|case| case["input"]["json"].as_str().unwrap().replace('\n', " ") + "\n")
        .collect();
    let said = run("content-id.mjs", &[], &lines);
    let expected: Vec<&str> = valid
        .iter()
        .map(|case| case["expect"]["ok"]["contentId"].as_str().unwrap())
        .collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
