//! Messages as they are written and read (FED-1 to FED-6).

use allod_federation::{Frame, Message, Reconnect};
use proptest::prelude::*;
use serde_json::json;

use crate::network::delta;

/// Every message that this side writes reads back, with what was added to it on the way.
#[test]
fn messages_read_back() {
    let d = serde_json::from_str::<serde_json::Value>(&delta("d", 1).encode()).unwrap();
    for message in [
        json!({ "type": "hello", "systemId": "s", "protocol": "p", "capabilities": ["a", "b"], "challenge": "c", "config": {
            "mode": "pull", "initialSync": "from_timestamp", "syncFromTimestamp": 7.5,
            "pushFilter": { "ids": ["a"] }, "pullFilter": { "timestampRange": { "start": 1 } },
            "trustPolicy": { "trustedAuthors": ["x"], "trustedSystems": [] },
            "reconnect": { "enabled": false, "maxAttempts": 0, "initialDelay": 10, "maxDelay": 20, "backoffMultiplier": 1.5 },
        } }),
        json!({ "type": "hello_ack", "systemId": "s", "linkId": "l", "protocol": "p", "capabilities": [], "store": "t", "key": "k", "sig": "g" }),
        json!({ "type": "sync_request" }),
        json!({ "type": "sync_request", "filter": { "authors": [] }, "fromTimestamp": 1.25, "cursor": "1.0@s" }),
        json!({ "type": "sync_start", "totalDeltas": 12, "batchSize": 100 }),
        json!({ "type": "sync_batch", "deltas": [d, d], "batchNumber": 3, "isLastBatch": true }),
        json!({ "type": "sync_complete", "deltasProcessed": 9, "cursor": "c" }),
        json!({ "type": "delta", "delta": d, "cursor": "c" }),
        json!({ "type": "delta_ack", "deltaId": "d" }),
        json!({ "type": "delta_nack", "deltaId": "d", "reason": "r" }),
        json!({ "type": "pause" }),
        json!({ "type": "resume" }),
        json!({ "type": "ping" }),
        json!({ "type": "pong" }),
        json!({ "type": "error", "code": "c", "message": "m", "fatal": true }),
        json!({ "type": "auth_challenge", "nonce": "n", "systemId": "s" }),
        json!({ "type": "auth_response", "key": "k", "sig": "s" }),
        json!({ "type": "delta_batch", "deltas": [d], "cursor": "c" }),
        json!({ "type": "delta_ack_batch", "deltaIds": ["a", "b"] }),
        json!({ "type": "reconcile", "estimate": "e", "have": 3 }),
        json!({ "type": "reconcile_symbols", "total": 1, "first": 2, "symbols": "s", "cursor": "c" }),
        json!({ "type": "reconcile_want", "elements": ["00", "ff"] }),
    ] {
        let mut given = message.clone();
        given["timestamp"] = json!(1_730_000_000_000.5);
        given["x-more"] = json!({ "a": [1, "two"] });
        let frame = Frame::decode(&given.to_string()).unwrap().unwrap();
        assert_eq!(frame.message.name(), message["type"].as_str().unwrap());
        assert_eq!(frame.extras.get("x-more"), Some("{\"a\":[1,\"two\"]}"));
        let again = frame.encode();
        assert_eq!(Frame::decode(&again).unwrap().unwrap(), frame);
        let written: serde_json::Value = serde_json::from_str(&again).unwrap();
        for (name, value) in given.as_object().unwrap() {
            if !["config", "filter"].contains(&name.as_str()) {
                assert_eq!(&written[name], value, "{name}");
            }
        }
    }
}

#[test]
fn a_reconnection_waits_longer_each_time_and_not_for_ever() {
    let reconnect = Reconnect::default();
    let longest = |failures| {
        (0..40_000u64)
            .filter_map(|chance| reconnect.wait_ms(failures, chance))
            .max()
    };
    assert_eq!(
        (1..=6).map(longest).collect::<Vec<_>>(),
        [
            Some(1000),
            Some(2000),
            Some(4000),
            Some(8000),
            Some(16_000),
            None,
        ],
        "five attempts"
    );
    let never = Reconnect {
        enabled: false,
        ..reconnect
    };
    assert_eq!(never.wait_ms(1, 0), None);
    let for_ever = Reconnect {
        max_attempts: 0,
        ..reconnect
    };
    assert!(
        for_ever
            .wait_ms(1000, 7)
            .is_some_and(|wait| (15_000..=30_000).contains(&wait))
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}", name in "[a-z_]{1,12}", value in "[\\[\\]{}:,\"a-z0-9.-]{0,20}") {
        let read = |text: &str| Frame::decode(text).ok().flatten();
        read(&text);
        let text = format!("{{\"type\":\"{name}\",\"timestamp\":1,\"{name}\":{value}}}");
        if let Some(frame) = read(&text) {
            prop_assert_eq!(read(&frame.encode()), Some(frame));
        }
    }
}

#[test]
fn a_message_never_has_a_time_of_zero() {
    assert!(Frame::decode("{\"type\":\"ping\",\"timestamp\":-0.0}").is_err());
    let frame = Frame::decode("{\"type\":\"ping\",\"timestamp\":-5}")
        .unwrap()
        .unwrap();
    assert_eq!(
        frame.message,
        Message::Ping,
        "what is true in JavaScript is taken"
    );
}
