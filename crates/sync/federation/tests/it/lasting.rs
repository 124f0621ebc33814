//! What a program wants sent outlives connections, and who closes waits for no peer that does not read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use allod_deltas::{Delta, DeltaStore as _, Number, Pointer};
use allod_federation::{Dial, Event, Rules, Status};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::network::{delta, open};
use crate::sockets::{fast, federation, until};

/// Rules under which nothing is sent but what a program asks for.
fn asked_only() -> Rules {
    Rules {
        auto_broadcast: false,
        ..open()
    }
}

/// FED-17: a delta that is given while there is no connection is sent on the next, as is one that a connection that
/// went had not answered, before it agreed or after.
#[tokio::test]
async fn what_is_to_be_sent_waits_for_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, of_client) = federation("client", asked_only());
    let said: Vec<_> = (0..3).map(|of| delta(&format!("d{of}"), 1)).collect();
    of_client.append(&said, 1).unwrap();
    let url = format!("ws://{address}/federation");
    let link = client.keep_connected(&url, fast(), Arc::new(|| Ok(Dial::default())));
    // The first server accepts and goes.
    link.send_delta(Arc::clone(&said[0])).await;
    drop(listener.accept().await.unwrap());
    // The second goes before it agrees.
    let (stream, _) = listener.accept().await.unwrap();
    let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    link.send_delta(Arc::clone(&said[1])).await;
    drop(socket);
    // The third agrees, and goes without an answer to any.
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    socket.next().await.unwrap().unwrap();
    let ack = r#"{"type":"hello_ack","timestamp":1,"systemId":"x","linkId":"l","protocol":"rhizomedb-federation-v1"}"#;
    socket.send(Message::text(ack)).await.unwrap();
    let mut sent = 0;
    while sent < 2 {
        let frame = socket.next().await.unwrap().unwrap();
        sent += usize::from(frame.to_text().unwrap().contains(r#""type":"delta""#));
    }
    drop((socket, listener));
    let (server, of_server) = federation("server", open());
    // The port may take a moment to be free again.
    while server.listen(&address.to_string()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until(|| of_server.len() == 2).await;
    let third = of_server.get("d2").unwrap();
    assert!(third.is_none(), "nobody asked for that");
    client.close();
    server.close();
}

/// FED-17: what does not fit into the queue is said so.
#[tokio::test]
async fn what_does_not_fit_while_it_is_away_is_told() {
    let (client, _) = federation("client", asked_only());
    let rejected: Arc<Mutex<Vec<String>>> = Arc::default();
    let names = Arc::clone(&rejected);
    let _hearing = client.on_event(move |_, event| {
        if let Event::DeltaRejected { id, by_peer, .. } = event {
            assert!(!by_peer);
            names.lock().unwrap().extend(id.clone());
        }
    });
    // It accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/federation", silent.local_addr().unwrap());
    let link = client.keep_connected(&url, fast(), Arc::new(|| Ok(Dial::default())));
    for of in 0..1002 {
        link.send_delta(delta(&format!("d{of}"), 1)).await;
    }
    until(|| rejected.lock().unwrap().len() == 2).await;
    assert_eq!(*rejected.lock().unwrap(), ["d1000", "d1001"]);
    client.close();
}

fn large(id: &str) -> Arc<Delta> {
    let pointers = vec![
        Pointer::under("of", "o", "name").unwrap(),
        Pointer::text("text", "x".repeat(200 * 1024)).unwrap(),
    ];
    Arc::new(Delta::new(id, Number::of(1), "alice", "laptop", pointers).unwrap())
}

/// FED-56: whoever closes is done with a peer for which more waits than the connection takes.
#[tokio::test]
async fn who_closes_waits_for_nobody_who_does_not_read() {
    let (server, _) = federation("server", open());
    let said = (0..150).map(|of| large(&format!("d{of}"))).collect();
    server.append(said).await.unwrap();
    let listening = server.listen("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/federation", listening.address());
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let hello = r#"{"type":"hello","timestamp":1,"systemId":"x","config":{},"protocol":"rhizomedb-federation-v1"}"#;
    socket.send(Message::text(hello)).await.unwrap();
    let ask = r#"{"type":"sync_request","timestamp":1}"#;
    socket.send(Message::text(ask)).await.unwrap();
    until(|| !server.links().is_empty()).await;
    let link = server.links().remove(0);
    // It stands once nothing more is made ready.
    let mut before = 0;
    while link.stats().bytes_sent < 2 * 1024 * 1024 || link.stats().bytes_sent != before {
        before = link.stats().bytes_sent;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(before < 30_000_000, "all of it fitted: {before}");
    server.close();
    let ended = until(|| server.links().is_empty());
    let within = tokio::time::timeout(Duration::from_secs(30), ended).await;
    assert!(within.is_ok(), "a peer that does not read is waited for");
    assert_eq!(link.status(), Status::Disconnected);
}
