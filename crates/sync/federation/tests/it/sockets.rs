//! Links over real sockets on this machine.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use allod_deltas::{DeltaStore, MemoryDeltas};
use allod_federation::{
    Clock, ConnectError, Dial, Federation, FederationConfig, FederationOptions, Me, Mode,
    Reconnect, Rules, Status,
};

use crate::network::{delta, legacy, open};

pub(crate) struct Real(AtomicU8);

impl Clock for Real {
    fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(now.as_millis()).unwrap()
    }

    fn random(&self) -> [u8; 32] {
        // Different each time is enough here.
        [self.0.fetch_add(1, Ordering::Relaxed); 32]
    }
}

pub(crate) fn options(name: &str, rules: Rules) -> FederationOptions {
    let me = Me {
        system_id: name.to_owned(),
        store: format!("store of {name}"),
        key: None,
    };
    FederationOptions::new(me, rules, Arc::new(Real(AtomicU8::new(0))))
}

pub(crate) fn federation(name: &str, rules: Rules) -> (Federation, Arc<MemoryDeltas>) {
    let store = Arc::new(MemoryDeltas::new());
    let kept: Arc<dyn DeltaStore> = Arc::clone(&store) as Arc<dyn DeltaStore>;
    (Federation::new(kept, options(name, rules)), store)
}

/// Waits until something holds; the test ends by the runner's limit if it never does.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn fast() -> FederationConfig {
    FederationConfig {
        reconnect: Reconnect {
            initial_delay_ms: 10,
            max_delay_ms: 50,
            max_attempts: 0,
            ..Reconnect::default()
        },
        ..FederationConfig::default()
    }
}

#[tokio::test]
async fn deltas_go_both_ways_and_events_are_heard() {
    for rules in [open(), legacy()] {
        let (server, of_server) = federation("server", open());
        let (client, of_client) = federation("client", rules);
        server.append(vec![delta("s", 1)]).await.unwrap();
        client.append(vec![delta("c", 1)]).await.unwrap();
        let listening = server.listen("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/federation", listening.address());
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let names = Arc::clone(&heard);
        let hearing =
            client.on_event(move |_, event| names.lock().unwrap().push(event.name().to_owned()));
        let link = client
            .connect_to_remote(&url, fast(), Dial::default())
            .await
            .unwrap();
        until(|| of_client.len() == 2 && of_server.len() == 2).await;
        assert_eq!(link.remote_system_id().as_deref(), Some("server"));
        assert_eq!(link.remote_url(), Some(url.as_str()));
        assert_eq!(client.link(link.id()).unwrap().id(), link.id());
        assert_eq!(server.links().len(), 1);
        let incoming = server.links().remove(0);
        until(|| incoming.remote_system_id().as_deref() == Some("client")).await;
        // Both are told of what comes.
        server.append(vec![delta("s2", 1)]).await.unwrap();
        until(|| of_client.len() == 3).await;
        until(|| {
            heard
                .lock()
                .unwrap()
                .iter()
                .filter(|name| *name == "delta:received")
                .count()
                == 2
        })
        .await;
        assert_eq!(
            heard.lock().unwrap()[..2],
            ["link:connecting", "link:connected"].map(str::to_owned)
        );
        drop(hearing);
        let before = heard.lock().unwrap().len();
        link.pause().await;
        until(|| incoming.status() == Status::Paused).await;
        server.append(vec![delta("s3", 1)]).await.unwrap();
        client.append(vec![delta("c2", 1)]).await.unwrap();
        link.resume().await;
        until(|| of_client.len() == 5 && of_server.len() == 5).await;
        assert_eq!(
            heard.lock().unwrap().len(),
            before,
            "nobody listens any more"
        );
        link.disconnect().await;
        until(|| link.status() == Status::Disconnected).await;
        until(|| server.links().is_empty() && client.links().is_empty()).await;
        server.close();
    }
}

/// FED-40: a client comes back, over and over, and has what came meanwhile.
#[tokio::test]
async fn a_client_comes_back_by_itself() {
    let (client, of_client) = federation("client", open());
    // There is nobody yet, and the address is known.
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = reserved.local_addr().unwrap().to_string();
    drop(reserved);
    let url = format!("ws://{address}/federation");
    let refused = client
        .connect_to_remote(&url, fast(), Dial::default())
        .await;
    assert!(
        matches!(refused, Err(ConnectError::Unreachable(_))),
        "{refused:?}"
    );
    assert!(
        client.links().is_empty(),
        "who waited for it decides what follows"
    );
    let link = client.keep_connected(&url, fast(), Arc::new(|| Ok(Dial::default())));
    until(|| link.status() == Status::Error).await;
    let store: Arc<MemoryDeltas> = Arc::default();
    for round in 0..3u64 {
        let kept: Arc<dyn DeltaStore> = Arc::clone(&store) as Arc<dyn DeltaStore>;
        let server = Federation::new(kept, options("server", open()));
        server
            .append(vec![delta(&format!("s{round}"), 1)])
            .await
            .unwrap();
        client
            .append(vec![delta(&format!("c{round}"), 1)])
            .await
            .unwrap();
        // The port may take a moment to be free again.
        while server.listen(&address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let expected = 2 * (round as usize + 1);
        until(|| of_client.len() == expected && store.len() == expected).await;
        server.close();
        until(|| link.status() != Status::Connected).await;
    }
    let stats = link.stats();
    assert!(
        stats.deltas_received >= 3 && stats.deltas_sent >= 3,
        "over all connections: {stats:?}"
    );
    link.disconnect().await;
    until(|| client.links().is_empty()).await;
    // With attempts that are counted it gives up.
    let mut config = fast();
    config.reconnect.max_attempts = 2;
    let link = client.keep_connected(&url, config, Arc::new(|| Ok(Dial::default())));
    until(|| client.links().is_empty()).await;
    assert_eq!(link.status(), Status::Error);
}

/// FED-24, FED-40: a link that was paused when its connection went is paused when it is back.
#[tokio::test]
async fn a_pause_outlives_a_connection() {
    let (client, of_client) = federation("client", open());
    let store: Arc<MemoryDeltas> = Arc::default();
    let serve = || {
        let kept: Arc<dyn DeltaStore> = Arc::clone(&store) as Arc<dyn DeltaStore>;
        Federation::new(kept, options("server", open()))
    };
    let server = serve();
    let listening = server.listen("127.0.0.1:0").await.unwrap();
    let address = listening.address().to_string();
    let url = format!("ws://{address}/federation");
    let link = client
        .connect_to_remote(&url, fast(), Dial::default())
        .await
        .unwrap();
    until(|| link.stats().last_sync_ms.is_some()).await;
    link.pause().await;
    until(|| link.status() == Status::Paused).await;
    server.close();
    until(|| link.status() != Status::Paused).await;
    let server = serve();
    while server.listen(&address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until(|| link.status() == Status::Paused).await;
    let incoming = server.links().remove(0);
    until(|| incoming.status() == Status::Paused).await;
    server.append(vec![delta("s", 1)]).await.unwrap();
    client.append(vec![delta("c", 1)]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(
        of_client.len() == 1 && store.len() == 1,
        "nothing goes while it is paused"
    );
    link.resume().await;
    until(|| of_client.len() == 2 && store.len() == 2).await;
    client.close();
    server.close();
}

/// FED-34: the door is asked before anything is said.
#[tokio::test]
async fn a_token_is_asked_for_at_the_door() {
    let store: Arc<dyn DeltaStore> = Arc::new(MemoryDeltas::new());
    let mut asking = options("server", open());
    asking.token = Some("secret".to_owned());
    let server = Federation::new(store, asking);
    let listening = server.listen("127.0.0.1:0").await.unwrap();
    let (client, _) = federation("client", open());
    let at = |path: &str| format!("ws://{}{path}", listening.address());
    let token = |token: &str| Dial {
        token: Some(token.to_owned()),
        ..Dial::default()
    };
    let mut once = fast();
    once.mode = Mode::Pull;
    for (url, dial) in [
        (at("/federation"), Dial::default()),
        (at("/federation"), token("secre")),
        (at("/federation"), token("secrets")),
        (at("/"), token("secret")),
        (at("/federation/x"), token("secret")),
    ] {
        let refused = client.connect_to_remote(&url, once.clone(), dial).await;
        assert!(
            matches!(refused, Err(ConnectError::Unreachable(_))),
            "{url}"
        );
    }
    let refused = client
        .connect_to_remote("http://x/", once.clone(), Dial::default())
        .await;
    assert!(matches!(refused, Err(ConnectError::Address(_))));
    let refused = client
        .connect_to_remote("wss://localhost/", once.clone(), Dial::default())
        .await;
    assert!(
        matches!(refused, Err(ConnectError::Address(_))),
        "no certificates are believed"
    );
    let link = client
        .connect_to_remote(&at("/federation"), once, token("secret"))
        .await
        .unwrap();
    assert_eq!(link.status(), Status::Connected);
    client.close();
    server.close();
}

/// FED-13.
#[tokio::test]
async fn one_more_than_there_is_room_for_is_told_so() {
    let store: Arc<dyn DeltaStore> = Arc::new(MemoryDeltas::new());
    let mut small = options("server", open());
    small.connections_max = 2;
    let server = Federation::new(store, small);
    let listening = server.listen("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/federation", listening.address());
    let clients: Vec<Federation> = (0..3)
        .map(|n| federation(&format!("c{n}"), open()).0)
        .collect();
    for client in &clients[..2] {
        client
            .connect_to_remote(&url, fast(), Dial::default())
            .await
            .unwrap();
    }
    let refused = clients[2]
        .connect_to_remote(&url, fast(), Dial::default())
        .await;
    assert!(
        matches!(refused, Err(ConnectError::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(server.links().len(), 2);
    clients[0].close();
    until(|| server.links().len() == 1).await;
    clients[2]
        .connect_to_remote(&url, fast(), Dial::default())
        .await
        .unwrap();
    for federation in clients {
        federation.close();
    }
    server.close();
    until(|| server.links().is_empty()).await;
}

/// FED-15: two sides that both send as much as they can do not wait for each other.
#[tokio::test]
async fn two_floods_pass_each_other() {
    for rules in [open(), legacy()] {
        let big = |name: &str| -> Vec<_> {
            (0..400u64)
                .map(|n| {
                    let text = allod_deltas::Pointer::text("text", "x".repeat(60_000)).unwrap();
                    let id = format!("{name}{n}");
                    let at = allod_deltas::Number::of(n + 1);
                    Arc::new(allod_deltas::Delta::new(id, at, "a", "s", vec![text]).unwrap())
                })
                .collect()
        };
        let unlimited = |mut rules: Rules| {
            rules.bytes_per_second = u64::MAX / 2000;
            rules
        };
        let (server, of_server) = federation("server", unlimited(open()));
        let (client, of_client) = federation("client", unlimited(rules));
        server.append(big("s")).await.unwrap();
        client.append(big("c")).await.unwrap();
        let listening = server.listen("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/federation", listening.address());
        let link = client
            .connect_to_remote(&url, fast(), Dial::default())
            .await
            .unwrap();
        until(|| of_client.len() == 800 && of_server.len() == 800).await;
        assert_eq!(link.stats().deltas_rejected, 0);
        client.close();
        server.close();
    }
}

/// For who upgrades connections by other means: a link over any stream of WebSocket frames.
#[tokio::test]
async fn a_stream_that_somebody_else_upgraded_is_served() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    let (server, store) = federation("server", open());
    let (theirs, ours) = tokio::io::duplex(1024);
    let serving = server.clone();
    let served = tokio::spawn(async move { serving.serve_upgraded(theirs).await });
    let mut socket = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
    let hello = serde_json::json!({
        "type": "hello", "timestamp": 1, "systemId": "x", "config": {},
        "protocol": "rhizomedb-federation-v1",
    });
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let ack = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(ack.contains("\"hello_ack\""));
    let delta = format!(
        "{{\"type\":\"delta\",\"timestamp\":1,\"delta\":{}}}",
        delta("d", 1).encode()
    );
    socket.send(Message::text(delta)).await.unwrap();
    let ack = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(ack.contains("\"delta_ack\"") && store.len() == 1);
    socket.close(None).await.unwrap();
    served.await.unwrap();
    assert!(server.links().is_empty());
}

/// FED-56: whoever closes says that it goes away, on all links at once, and waits for no peer that does not answer.
#[tokio::test]
async fn who_closes_says_so_and_waits_for_nobody_mute() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;

    let (server, _) = federation("server", open());
    let listening = server.listen("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/federation", listening.address());
    let hello = serde_json::json!({
        "type": "hello", "timestamp": 1, "systemId": "x", "config": {},
        "protocol": "rhizomedb-federation-v1",
    });
    let mut mute = Vec::new();
    for _ in 0..64 {
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        socket.send(Message::text(hello.to_string())).await.unwrap();
        mute.push(socket);
    }
    until(|| server.links().len() == 64).await;
    server.close();
    // Nobody reads, so nobody answers: one after the other these would take a minute.
    let ended = until(|| server.links().is_empty());
    let within = tokio::time::timeout(Duration::from_secs(30), ended).await;
    assert!(within.is_ok(), "links wait for each other");
    for mut socket in mute {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Close(Some(frame)) => {
                    assert_eq!(u16::from(frame.code), allod_federation::close::GOING_AWAY);
                    break;
                }
                Message::Close(None) => panic!("it does not say why"),
                _ => {}
            }
        }
    }
}

/// FED-52: it is asked before each attempt how the server is reached, and what cannot be read then ends nothing; an
/// attempt that hangs does not hold up who closes.
#[tokio::test]
async fn a_link_is_dialed_as_is_said_at_the_time() {
    let store: Arc<dyn DeltaStore> = Arc::new(MemoryDeltas::new());
    let mut guarded = options("server", open());
    guarded.token = Some("second".to_owned());
    let server = Federation::new(store, guarded);
    let listening = server.listen("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/federation", listening.address());
    let (client, _) = federation("client", open());
    let asked = Arc::new(AtomicU8::new(0));
    let count = Arc::clone(&asked);
    let dialing = move || match count.fetch_add(1, Ordering::Relaxed) {
        0 => Err("there is no token yet".to_owned()),
        at => Ok(Dial {
            token: Some(if at == 1 { "first" } else { "second" }.to_owned()),
            ..Dial::default()
        }),
    };
    let link = client.keep_connected(&url, fast(), Arc::new(dialing));
    until(|| link.status() == Status::Connected).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    // Nobody asks again while it is up.
    link.pause().await;
    link.resume().await;
    until(|| server.links()[0].status() == Status::Connected).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3);

    // It accepts, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("ws://{}/federation", silent.local_addr().unwrap());
    let hanging = client.keep_connected(&to, fast(), Arc::new(|| Ok(Dial::default())));
    let (_held, _) = silent.accept().await.unwrap();
    assert_eq!(hanging.status(), Status::Connecting);
    client.close();
    let ended = until(|| client.links().is_empty());
    let within = tokio::time::timeout(Duration::from_secs(30), ended).await;
    assert!(within.is_ok(), "an attempt is waited for");
    server.close();
}
