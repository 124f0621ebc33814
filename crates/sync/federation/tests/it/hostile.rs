//! What peers should not send (FED-4, FED-5).

use allod_federation::{FederationConfig, Input, Status};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::network::{delta, open};
use crate::scripts::{Scripted, json_of};

#[test]
fn what_is_no_message_is_complained_about_and_not_for_ever() {
    for bad in [
        "",
        "x",
        "[]",
        "{",
        "{}",
        "null",
        "{\"type\":\"ping\"}",
        "{\"type\":\"ping\",\"timestamp\":0}",
        "{\"type\":\"ping\",\"timestamp\":\"now\"}",
        "{\"type\":\"ping\",\"timestamp\":null}",
        "{\"type\":7,\"timestamp\":1}",
        "{\"timestamp\":1}",
        "{\"type\":\"ping\",\"timestamp\":1,\"timestamp\":1}",
        "{\"type\":\"delta\",\"timestamp\":1}",
        "{\"type\":\"delta_ack\",\"timestamp\":1,\"deltaId\":7}",
        "{\"type\":\"sync_request\",\"timestamp\":1,\"filter\":7}",
        "{\"type\":\"hello\",\"timestamp\":1}",
        "{\"type\":\"hello_ack\",\"timestamp\":1,\"systemId\":\"x\"}",
        "{\"type\":\"sync_batch\",\"timestamp\":1,\"deltas\":[]}",
        "{\"type\":\"reconcile\",\"timestamp\":1,\"estimate\":\"!\",\"have\":0}",
        "{\"type\":\"reconcile_want\",\"timestamp\":1,\"elements\":[\"xyz\"]}",
    ] {
        let mut server = Scripted::greeted(open(), json!({}));
        server.hear_text(bad);
        let error = server.next();
        let said = (
            error["type"].as_str(),
            error["code"].as_str(),
            error["fatal"].as_bool(),
        );
        assert_eq!(
            said,
            (Some("error"), Some("MESSAGE_ERROR"), Some(false)),
            "{bad}"
        );
        assert_eq!(server.link.status(), Status::Connected, "{bad}");
        for _ in 0..14 {
            server.hear_text(bad);
            assert!(server.close.is_none());
        }
        server.hear_text(bad);
        assert_eq!(server.close.as_ref().unwrap().0, 1002, "{bad}");
        assert_eq!(server.link.stats().faults, 16);
    }
}

/// FED-4: a server takes a mebibyte, a client eight.
#[test]
fn a_frame_that_is_too_large_ends_the_link() {
    const MEBIBYTE: usize = 1024 * 1024;
    let frame = |bytes: usize| {
        let frame = "{\"type\":\"x\",\"timestamp\":1,\"a\":\"\"}";
        frame.replace(
            "\"\"}",
            &format!("\"{}\"}}", "x".repeat(bytes - frame.len())),
        )
    };
    let server = || Scripted::greeted(open(), json!({}));
    let client = || Scripted::client(open(), FederationConfig::default());
    for (mut link, bytes_max) in [(server(), MEBIBYTE), (client(), 8 * MEBIBYTE)] {
        link.hear_text(&frame(bytes_max));
        assert!(link.close.is_none());
        link.hear_text(&frame(bytes_max + 1));
        assert_eq!(link.close.as_ref().unwrap().0, 1009);
    }
}

#[test]
fn what_nobody_knows_is_passed_over() {
    let mut server = Scripted::greeted(open(), json!({}));
    server.hear(json!({ "type": "gossip", "deltas": 7, "x": [1, 2, { "y": null }] }));
    server.hear(json!({ "type": "ping", "extra": { "a": 1 } }));
    server.hear(json!({ "type": "pong" }));
    assert_eq!(server.names(), ["pong"]);
    assert_eq!(server.link.stats().faults, 0);
}

#[test]
fn deep_nesting_is_refused_before_it_is_read() {
    let mut server = Scripted::greeted(open(), json!({}));
    let deep = format!(
        "{{\"type\":\"x\",\"timestamp\":1,\"a\":{}{}}}",
        "[".repeat(500_000),
        "]".repeat(500_000)
    );
    server.hear_text(&deep);
    assert_eq!(server.next()["code"], "MESSAGE_ERROR");
    server.hear_text(&"[".repeat(1_000_000));
    assert_eq!(server.next()["code"], "MESSAGE_ERROR");
}

/// FED-20: a delta that is none is refused by its id, if it has one; the others in its message are taken.
#[test]
fn a_bad_delta_takes_no_good_one_with_it() {
    let mut server = Scripted::greeted(open(), json!({}));
    let mut zero = json_of(&delta("zero", 1));
    zero["timestamp"] = json!(0);
    let bad: Vec<Value> = vec![
        zero,
        json!({ "id": "empty" }),
        json!(7),
        json!({ "id": 7 }),
        json!(null),
    ];
    for delta in &bad {
        server.hear(json!({ "type": "delta", "delta": delta }));
    }
    server.hear(json!({ "type": "delta", "delta": json_of(&delta("good", 1)) }));
    let nacked: Vec<String> = (0..2)
        .map(|_| {
            let nack = server.next();
            assert_eq!(nack["type"], "delta_nack");
            nack["deltaId"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(nacked, ["zero", "empty"]);
    assert_eq!(server.names(), ["delta_ack"]);
    assert_eq!(server.link.stats().deltas_rejected, 5);
    // The same in a batch of a sync.
    let mut client = Scripted::client(open(), FederationConfig::default());
    client.next();
    client.hear(json!({ "type": "hello_ack", "systemId": "them" }));
    client.names();
    client.hear(json!({ "type": "sync_start", "totalDeltas": 6.5, "batchSize": 100 }));
    let mut deltas = bad.clone();
    deltas.push(json_of(&delta("good", 1)));
    client.hear(
        json!({ "type": "sync_batch", "deltas": deltas, "batchNumber": 0, "isLastBatch": true }),
    );
    client.hear(json!({ "type": "sync_complete", "deltasProcessed": 6 }));
    assert_eq!(client.names(), ["delta_nack", "delta_nack"]);
    assert_eq!(client.store.len(), 1);
    assert_eq!(client.link.status(), Status::Connected);
}

#[test]
fn a_second_hello_changes_nothing() {
    let mut server = Scripted::greeted(open(), json!({ "mode": "push" }));
    server.append(&[delta("secret", 1)]);
    server.hear(json!({
        "type": "hello", "systemId": "other", "config": { "mode": "pull" },
        "protocol": "rhizomedb-federation-v1",
    }));
    assert_eq!(server.names(), ["error"]);
    assert_eq!(server.link.remote_system_id(), Some("peer"));
    server.hear(json!({ "type": "sync_request" }));
    let said = server.names();
    assert_eq!(
        said,
        ["sync_start", "sync_complete"],
        "who pushes is given nothing"
    );
}

#[test]
fn one_sync_at_a_time() {
    let mut server = Scripted::greeted(open(), json!({}));
    // The store is not asked before the second request is there.
    for _ in 0..2 {
        let request = json!({ "type": "sync_request", "timestamp": 1 }).to_string();
        server.link.handle(server.now, Input::Frame(&request));
    }
    server.run();
    let mut codes = server.said.iter().filter(|said| said["type"] == "error");
    assert_eq!(codes.next().unwrap()["code"], "SYNC_ERROR");
    assert_eq!(codes.count(), 0);
}

#[test]
fn who_asks_for_the_past_over_and_over_is_refused_it() {
    let mut server = Scripted::greeted(open(), json!({}));
    for _ in 0..32 {
        server.hear(json!({ "type": "sync_request" }));
        assert_eq!(server.names(), ["sync_start", "sync_complete"]);
    }
    for message in ["sync_request", "reconcile_want"] {
        server.hear(json!({ "type": message, "elements": [] }));
        assert_eq!(server.next()["code"], "SYNC_ERROR");
    }
    server.now += 60_000;
    server.hear(json!({ "type": "sync_request" }));
    assert_eq!(server.names(), ["sync_start", "sync_complete"]);
}

/// FED-14, FED-19: who is not read is not taken for silent.
#[test]
fn who_is_held_back_is_not_taken_for_gone() {
    let mut rules = open();
    rules.bytes_per_second = 1;
    let mut server = Scripted::greeted(rules, json!({}));
    server.hear(json!({ "type": "ping" }));
    assert!(!server.link.reads(server.now));
    for _ in 0..5 {
        server.now += 20_000;
        server.input(Input::Tick);
    }
    assert!(server.close.is_none());
}

/// A server that fails at the past, or has none, is a server still.
#[test]
fn a_server_without_a_past_is_one() {
    let mut client = Scripted::client(open(), FederationConfig::default());
    client.next();
    client.hear(json!({ "type": "hello_ack", "systemId": "them" }));
    client.names();
    client.hear(json!({ "type": "error", "code": "SYNC_NOT_SUPPORTED", "message": "no" }));
    assert_eq!(client.link.status(), Status::Connected);
    client.hear(json!({ "type": "delta", "delta": json_of(&delta("d", 1)) }));
    assert_eq!(client.names(), ["delta_ack"]);
    client.hear(json!({ "type": "error", "code": "X", "message": "y", "fatal": true }));
    assert_eq!(client.link.status(), Status::Error);
}

fn any_message() -> impl Strategy<Value = Value> {
    let id = "[a-c]{0,2}";
    let delta = (id, 0..3u64).prop_map(|(id, at)| {
        json!({ "id": id, "timestamp": at, "author": "a", "system": "s", "pointers": [] })
    });
    let deltas = proptest::collection::vec(delta.clone(), 0..4);
    let cursor = proptest::option::of("[0-9]{1,3}\\.[0-9]@(store|x)|.{0,9}");
    prop_oneof![
        Just(json!({ "type": "hello", "systemId": "p", "config": {}, "protocol": "rhizomedb-federation-v1",
            "capabilities": ["auth", "cursors", "delta_batch", "reconcile"] })),
        Just(json!({ "type": "hello_ack", "systemId": "p", "linkId": "l",
            "capabilities": ["auth", "cursors", "delta_batch", "reconcile"] })),
        (delta, cursor.clone()).prop_map(|(delta, cursor)| json!({ "type": "delta", "delta": delta, "cursor": cursor })),
        (deltas.clone(), cursor.clone()).prop_map(|(deltas, cursor)| json!({ "type": "delta_batch", "deltas": deltas, "cursor": cursor })),
        deltas.prop_map(|deltas| json!({ "type": "sync_batch", "deltas": deltas, "batchNumber": -1.5 })),
        (0..9u8, cursor.clone()).prop_map(|(n, cursor)| json!({ "type": "sync_complete", "deltasProcessed": n, "cursor": cursor })),
        Just(json!({ "type": "sync_start", "totalDeltas": 1e300, "batchSize": -1 })),
        cursor.clone().prop_map(|cursor| json!({ "type": "sync_request", "cursor": cursor })),
        id.prop_map(|id| json!({ "type": "delta_ack", "deltaId": id })),
        id.prop_map(|id| json!({ "type": "delta_nack", "deltaId": id })),
        proptest::collection::vec(id, 0..3).prop_map(|ids| json!({ "type": "delta_ack_batch", "deltaIds": ids })),
        Just(json!({ "type": "pause" })),
        Just(json!({ "type": "resume" })),
        Just(json!({ "type": "ping" })),
        any::<bool>().prop_map(|fatal| json!({ "type": "error", "code": "SYNC_ERROR", "fatal": fatal })),
        Just(json!({ "type": "auth_challenge", "nonce": "x", "systemId": "y" })),
        Just(json!({ "type": "auth_response", "key": "x", "sig": "y" })),
        (0..100_000u64, "[A-Za-z0-9_-]{0,20}").prop_map(|(have, text)| json!({ "type": "reconcile", "have": have, "estimate": text })),
        (0..100u64, cursor).prop_map(|(have, cursor)| {
            // An estimate of nothing is 128 zeros.
            json!({ "type": "reconcile", "have": have, "estimate": "A".repeat(171), "cursor": cursor })
        }),
        (0..9u64, "[A-Za-z0-9_-]{0,40}").prop_map(|(first, text)| json!({ "type": "reconcile_symbols", "total": 3, "first": first, "symbols": text })),
        proptest::collection::vec("[0-9a-f]{1,17}", 0..3).prop_map(|elements| json!({ "type": "reconcile_want", "elements": elements })),
    ]
}

proptest! {
    /// Whatever comes in whatever order, both sides hold their bounds, say nothing with a time of zero, and
    /// acknowledge nothing that is not in the store.
    #[test]
    fn any_messages_in_any_order(
        messages in proptest::collection::vec(any_message(), 0..40),
        is_server: bool,
        pauses in proptest::collection::vec(any::<u16>(), 0..8),
    ) {
        let mut scripted = if is_server {
            Scripted::server(open())
        } else {
            Scripted::client(open(), FederationConfig::default())
        };
        scripted.append(&[delta("b", 1), delta("x", 1)]);
        for (at, message) in messages.into_iter().enumerate() {
            scripted.hear(message);
            if let Some(pause) = pauses.get(at % 9) {
                scripted.now += u64::from(*pause);
                scripted.input(Input::Tick);
            }
        }
        for said in &scripted.said {
            prop_assert!(said["timestamp"].as_f64().unwrap() > 0.0);
            if let Some(id) = said["deltaId"].as_str().filter(|_| said["type"] == "delta_ack") {
                use allod_deltas::DeltaStore as _;
                prop_assert!(scripted.store.get(id).unwrap().is_some());
            }
        }
        prop_assert_eq!(scripted.close.is_some(), scripted.link.is_closed());
    }
}
