//! Messages with deltas in packed frames (FED-35), between machines and over sockets.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use allod_deltas::{Delta, Number, Pointer};
use allod_federation::{Deflate, Dial, Input, Rules, Status};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};

use crate::network::{delta, open};
use crate::scripts::{Scripted, json_of};
use crate::sockets::{fast, federation, until};

fn packing() -> Rules {
    Rules {
        deflate: Deflate::Always,
        ..open()
    }
}

/// A packed text, by the library alone.
fn pack(text: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn unpack(packed: &[u8]) -> Value {
    let mut text = String::new();
    DeflateDecoder::new(packed)
        .read_to_string(&mut text)
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

fn greeted(rules: Rules, capabilities: &[&str]) -> (Scripted, Value) {
    let mut server = Scripted::server(rules);
    server.hear(json!({
        "type": "hello", "systemId": "peer", "config": {}, "capabilities": capabilities,
        "protocol": "rhizomedb-federation-v1",
    }));
    let ack = server.next();
    (server, ack)
}

/// Only what has deltas is packed, and only for who says that it takes it.
#[test]
fn who_takes_packed_messages_gets_them() {
    for (rules, capabilities, is_packed) in [
        (packing(), &["deflate"][..], true),
        (packing(), &["delta_batch"][..], false),
        (packing(), &[][..], false),
    ] {
        let (mut server, ack) = greeted(rules, capabilities);
        assert!(ack["capabilities"].to_string().contains("deflate"));
        let deltas: Vec<_> = (1..=50).map(|at| delta(&format!("d{at}"), at)).collect();
        server.append(&deltas);
        server.said.clear();
        server.packed = 0;
        server.hear(json!({ "type": "sync_request" }));
        assert_eq!(
            server.names(),
            ["sync_start", "sync_batch", "sync_complete"]
        );
        assert_eq!(server.packed, usize::from(is_packed));
        let stats = server.link.stats();
        let is_less = stats.wire_bytes_sent < stats.bytes_sent;
        assert_eq!(is_less, is_packed, "{stats:?}");
    }
    // Who never does says so by saying nothing.
    let never = Rules {
        deflate: Deflate::Never,
        ..open()
    };
    let (server, ack) = greeted(never, &["deflate"]);
    assert!(!ack["capabilities"].to_string().contains("deflate"));
    assert_eq!(server.packed, 0);
}

/// A short message is as long as it is.
#[test]
fn what_is_short_is_not_packed() {
    let (mut server, _) = greeted(packing(), &["deflate"]);
    server.append(&[delta("d", 1)]);
    assert_eq!(server.names(), ["delta"]);
    assert_eq!(server.packed, 0);
}

/// What comes packed is what it would be unpacked, also where it is none.
#[test]
fn what_comes_packed_is_taken_as_if_it_came_plain() {
    let message = |ids: &[&str]| {
        let deltas: Vec<Value> = ids.iter().map(|id| json_of(&delta(id, 1))).collect();
        json!({ "type": "delta_batch", "timestamp": 1, "deltas": deltas }).to_string()
    };
    let (mut server, _) = greeted(packing(), &["deflate", "delta_batch"]);
    server.input(Input::Packed(&pack(&message(&["a", "b"]))));
    assert_eq!(server.next()["deltaIds"], json!(["a", "b"]));
    assert_eq!(server.store.len(), 2);
    let whole = pack(&message(&["c"]));
    let faults: [&[u8]; 5] = [
        b"",
        b"{}",
        &whole[..whole.len() - 1],
        &[&whole[..], b"more"].concat(),
        &pack("nonsense"),
    ];
    for (at, fault) in faults.into_iter().enumerate() {
        server.input(Input::Packed(fault));
        assert_eq!(server.next()["code"], "MESSAGE_ERROR");
        assert_eq!(server.link.stats().faults, at as u64 + 1);
        assert_eq!(server.link.status(), Status::Connected);
    }
    assert_eq!(server.store.len(), 2);
    // Who did not agree to it has sent a frame that is no text.
    for (rules, capabilities) in [
        (open(), &["deflate"][..]),
        (packing(), &["delta_batch"][..]),
    ] {
        let (mut server, _) = greeted(rules, capabilities);
        server.input(Input::Packed(&whole));
        assert_eq!(server.next()["code"], "MESSAGE_ERROR");
        assert_eq!(server.store.len(), 0);
    }
    // Nothing is unpacked of who has not proved its key.
    let keyed = Rules {
        authenticate: true,
        ..packing()
    };
    let (mut server, challenge) = greeted(keyed, &["auth", "deflate"]);
    assert_eq!(challenge["type"], "auth_challenge");
    server.input(Input::Packed(&pack(
        &json!({ "type": "ping", "timestamp": 1 }).to_string(),
    )));
    assert_eq!(server.next()["fatal"], true);
    assert_eq!(server.close.as_ref().unwrap().0, 1002);
    // Nor of who has not said hello.
    let mut server = Scripted::server(packing());
    server.input(Input::Packed(&whole));
    assert_eq!(server.next()["fatal"], true);
    assert_eq!(server.close.as_ref().unwrap().0, 1002);
}

/// FED-4 counts what comes out.
#[test]
fn what_unpacks_to_too_much_ends_the_link() {
    let text = format!(
        "{{\"type\":\"x\",\"timestamp\":1,\"a\":\"{}\"}}",
        " ".repeat(1024 * 1024)
    );
    let packed = pack(&text);
    assert!(packed.len() < 2048);
    let (mut server, _) = greeted(packing(), &["deflate"]);
    server.input(Input::Packed(&packed));
    assert_eq!(server.close.as_ref().unwrap().0, 1009);
    // Just as much as a frame may have is passed over as what nobody knows.
    let fits = text.replacen(' ', "", text.len() - 1024 * 1024);
    let (mut server, _) = greeted(packing(), &["deflate"]);
    server.input(Input::Packed(&pack(&fits)));
    assert!(server.close.is_none() && server.said.is_empty());
}

fn long(name: &str, count: u64) -> Vec<Arc<Delta>> {
    let one = |at| {
        let to = Pointer::under("post", format!("post-{at}"), "comment").unwrap();
        let text = Pointer::text("text", format!("What comment {at} has to say")).unwrap();
        let id = format!("{name}{at}");
        Arc::new(Delta::new(id, Number::of(at + 1), "alice", "laptop", vec![to, text]).unwrap())
    };
    (0..count).map(one).collect()
}

/// Over sockets: all comes both ways in a fraction of the bytes; on one machine it is sent as it is unless somebody
/// says otherwise.
#[tokio::test]
async fn links_that_pack_send_a_fraction() {
    for (deflate, is_packed) in [
        (Deflate::Always, true),
        (Deflate::Elsewhere, false),
        (Deflate::Never, false),
    ] {
        let rules = Rules { deflate, ..open() };
        let (server, of_server) = federation("server", packing());
        let (client, of_client) = federation("client", rules);
        server.append(long("s", 300)).await.unwrap();
        client.append(long("c", 300)).await.unwrap();
        let listening = server.listen("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/federation", listening.address());
        let link = client
            .connect_to_remote(&url, fast(), Dial::default())
            .await
            .unwrap();
        until(|| of_client.len() == 600 && of_server.len() == 600).await;
        server.append(long("live", 100)).await.unwrap();
        until(|| of_client.len() == 700).await;
        for link in [&link, &server.links()[0]] {
            until(|| link.stats().bytes_received > 20_000).await;
            let stats = link.stats();
            if is_packed {
                assert!(stats.wire_bytes_sent < stats.bytes_sent / 2, "{stats:?}");
                assert!(
                    stats.wire_bytes_received < stats.bytes_received / 2,
                    "{stats:?}"
                );
            } else {
                assert_eq!(stats.wire_bytes_sent, stats.bytes_sent);
                assert_eq!(stats.wire_bytes_received, stats.bytes_received);
            }
        }
        client.close();
        server.close();
    }
}
