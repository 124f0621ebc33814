//! Federation with a peer in plain JavaScript on `ws`, in both roles (FED), and content ids by `@ipld/dag-cbor`
//! (DELTA-6).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use allod_deltas::{Delta, DeltaStore, MemoryDeltas, Number, Pointer};
use allod_federation::{
    Clock, Dial, Federation, FederationConfig, FederationOptions, Me, Reconnect, Rules, TrustPolicy,
};
use serde_json::{Value, json};

use crate::node::{is_there, run, script};

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
        for name in ["full", "open", "trusting", "signed", "small", "token"] {
            let (server, _) = federation(|options| match name {
                "trusting" => {
                    options.rules.trust.trusted_authors = Some(["alice".to_owned()].into());
                }
                "signed" => options.rules = Rules::default(),
                "small" => options.connections_max = 2,
                "token" => options.token = Some("secret".to_owned()),
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
    let link = client.keep_connected(&url, config, Dial::default());
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
