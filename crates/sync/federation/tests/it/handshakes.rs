//! How links begin (FED-10 to FED-13, FED-33).

use std::collections::BTreeSet;

use allod_federation::{
    FederationConfig, HANDSHAKE_MS, Input, Link, Me, Mode, Rules, Start, Status,
};
use allod_identity::SecretKey;
use serde_json::json;

use crate::network::{delta, legacy, open};
use crate::scripts::Scripted;

#[test]
fn a_hello_has_what_servers_of_the_original_look_at() {
    let config = FederationConfig {
        mode: Mode::Push,
        ..FederationConfig::default()
    };
    let mut client = Scripted::client(legacy(), config);
    let hello = client.next();
    assert_eq!(hello["protocol"], "rhizomedb-federation-v1");
    assert_eq!(hello["systemId"], "this");
    assert_eq!(hello["timestamp"], 1000);
    let expected = json!({
        "mode": "push", "initialSync": "full",
        "reconnect": { "enabled": true, "maxAttempts": 5, "initialDelay": 1000, "maxDelay": 30000, "backoffMultiplier": 2.0 },
    });
    assert_eq!(hello["config"], expected);
    assert_eq!(client.link.status(), Status::Connecting);
}

#[test]
fn another_protocol_is_refused() {
    let mut server = Scripted::server(open());
    server.hear(json!({ "type": "hello", "systemId": "x", "config": {}, "protocol": "rhizomedb-federation-v2" }));
    let error = server.next();
    assert_eq!(
        (error["code"].as_str(), error["fatal"].as_bool()),
        (Some("PROTOCOL_MISMATCH"), Some(true))
    );
    assert!(server.close.is_some() && server.link.is_closed());
    assert!(server.link.poll().is_none());
}

#[test]
fn nothing_but_a_hello_begins_a_link() {
    for message in [
        json!({ "type": "delta", "delta": {} }),
        json!({ "type": "sync_request" }),
        json!({ "type": "resume" }),
        json!({ "type": "delta_ack", "deltaId": "x" }),
        json!({ "type": "auth_response", "key": "k", "sig": "s" }),
        json!({ "type": "reconcile_want", "elements": [] }),
    ] {
        let mut server = Scripted::server(open());
        server.append(&[delta("secret", 1)]);
        server.hear(json!({ "type": "ping" }));
        assert_eq!(server.next()["type"], "pong", "that much is harmless");
        server.hear(message);
        let error = server.next();
        assert_eq!(
            (error["code"].as_str(), error["fatal"].as_bool()),
            (Some("MESSAGE_ERROR"), Some(true))
        );
        assert!(server.said.is_empty());
        assert_eq!(server.close.as_ref().unwrap().0, 1002);
    }
}

#[test]
fn a_handshake_that_takes_too_long_is_given_up() {
    for mut scripted in [
        Scripted::server(open()),
        Scripted::client(open(), FederationConfig::default()),
    ] {
        assert_eq!(
            scripted.link.deadline(scripted.now),
            Some(1000 + HANDSHAKE_MS)
        );
        scripted.now += HANDSHAKE_MS - 1;
        scripted.input(Input::Tick);
        assert!(scripted.close.is_none());
        scripted.now += 1;
        scripted.input(Input::Tick);
        assert_eq!(scripted.close.as_ref().unwrap().0, 1008);
        assert_eq!(scripted.link.status(), Status::Error);
    }
}

#[test]
fn an_error_before_the_answer_ends_the_attempt() {
    let mut client = Scripted::client(open(), FederationConfig::default());
    client.hear(json!({ "type": "error", "code": "NOPE", "message": "not today" }));
    let (_, reason) = client.close.unwrap();
    assert_eq!(reason, "NOPE: not today");
    assert_eq!(client.link.status(), Status::Error);
}

/// What a server of the original says of itself, and what it does not.
#[test]
fn a_client_takes_an_answer_without_extensions() {
    let mut client = Scripted::client(open(), FederationConfig::default());
    client.next();
    client.hear(json!({ "type": "hello_ack", "systemId": "them" }));
    assert_eq!(client.link.status(), Status::Connected);
    assert_eq!(client.link.remote_system_id(), Some("them"));
    let request = client.next();
    assert_eq!(request["type"], "sync_request");
    assert!(request["cursor"].is_null() && request["filter"].is_null());
    // Everything that the client has goes to a server that it never met (FED-32).
    client.append(&[delta("a", 1), delta("b", 1)]);
    assert_eq!(client.names(), ["delta", "delta"], "one by one");
    client.hear(json!({ "type": "delta_ack", "deltaId": "a" }));
    assert!(client.saved.ours.is_none_or(|cursor| cursor.position == 0));
    client.hear(json!({ "type": "delta_ack", "deltaId": "b" }));
    assert_eq!(
        client.saved.ours.unwrap().position,
        2,
        "all before was acknowledged"
    );
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn keyed(seed: u8) -> Me {
    let key = key(seed);
    Me {
        system_id: key.public().to_string(),
        store: format!("store-{seed}"),
        key: Some(key),
    }
}

fn authenticated(keys: Option<&[u8]>) -> Rules {
    Rules {
        authenticate: true,
        keys: keys.map(|keys| {
            keys.iter()
                .map(|seed| key(*seed).public())
                .collect::<BTreeSet<_>>()
        }),
        ..open()
    }
}

/// Brings two links to talk until both are silent; whether both are open.
fn agree(client: Link, server: Link, tamper: fn(&str) -> String) -> (Scripted, Scripted) {
    let (mut client, mut server) = (Scripted::of(client), Scripted::of(server));
    for _ in 0..20 {
        while let Some(said) = client.said.pop_front() {
            server.hear_text(&tamper(&said.to_string()));
        }
        while let Some(said) = server.said.pop_front() {
            client.hear_text(&tamper(&said.to_string()));
        }
    }
    (client, server)
}

fn start(nonce: u8) -> Start {
    Start {
        nonce: [nonce; 32],
        ..Start::default()
    }
}

#[test]
fn both_sides_prove_their_keys() {
    let config = FederationConfig::default;
    let client = |me: Me, rules| Link::client(me, rules, config(), start(1), 1000);
    let server = |me: Me, rules| Link::server(me, rules, start(2), 1000);
    let same = |text: &str| text.to_owned();
    let (one, two) = agree(
        client(keyed(1), authenticated(Some(&[2]))),
        server(keyed(2), authenticated(Some(&[1]))),
        same,
    );
    assert_eq!(one.link.remote_key(), Some(&key(2).public()));
    assert_eq!(two.link.remote_key(), Some(&key(1).public()));
    assert_eq!(
        (one.link.status(), two.link.status()),
        (Status::Connected, Status::Connected)
    );
    // A key that is not allowed, on either side.
    let (one, two) = agree(
        client(keyed(3), open()),
        server(keyed(2), authenticated(Some(&[1]))),
        same,
    );
    assert!(one.link.is_closed() && two.link.is_closed());
    let (one, _) = agree(
        client(keyed(1), authenticated(Some(&[3]))),
        server(keyed(2), open()),
        same,
    );
    assert!(one.link.is_closed());
    // No key, or nobody who knows how.
    let mut nobody = keyed(1);
    nobody.key = None;
    let (_, two) = agree(
        client(nobody, open()),
        server(keyed(2), authenticated(None)),
        same,
    );
    assert!(two.link.remote_key().is_none() && two.link.status() != Status::Connected);
    let (one, two) = agree(
        client(keyed(1), legacy()),
        server(keyed(2), authenticated(None)),
        same,
    );
    assert!(two.link.is_closed());
    assert!(
        one.events
            .iter()
            .any(|event| format!("{event:?}").contains("AUTH_REQUIRED"))
    );
    // Somebody who names another than the key that is proved.
    let mut liar = keyed(1);
    liar.system_id = key(9).public().to_string();
    let (_, two) = agree(
        client(liar, open()),
        server(keyed(2), authenticated(None)),
        same,
    );
    assert!(two.link.is_closed());
    // A signature that was changed on the way.
    let (_, two) = agree(
        client(keyed(1), open()),
        server(keyed(2), authenticated(None)),
        |text| {
            text.replace("\"sig\":\"", "\"sig\":\"00")
                .replacen("0000", "00", 1)
        },
    );
    assert!(two.link.status() != Status::Connected);
}

/// A proof for one challenge is none for another: neither for a later one nor for another server.
#[test]
fn a_proof_is_worth_nothing_elsewhere() {
    let proof_for = |nonce: u8| {
        let server = Link::server(keyed(2), authenticated(None), start(nonce), 1000);
        let client = Link::client(
            keyed(1),
            open(),
            FederationConfig::default(),
            start(7),
            1000,
        );
        let (mut client, mut server) = (Scripted::of(client), Scripted::of(server));
        let hello = client.next();
        server.hear_text(&hello.to_string());
        client.hear_text(&server.next().to_string());
        (hello, client.next(), server)
    };
    let (hello, proof, mut server) = proof_for(1);
    server.hear_text(&proof.to_string());
    assert_eq!(server.link.status(), Status::Connected);
    let replayed = |me: Me, nonce: u8| {
        let link = Link::server(me, authenticated(None), start(nonce), 1000);
        let mut server = Scripted::of(link);
        server.hear_text(&hello.to_string());
        server.next();
        server.hear_text(&proof.to_string());
        server.link.status()
    };
    assert_eq!(
        replayed(keyed(2), 1),
        Status::Connected,
        "the same challenge, which chance does not give twice"
    );
    assert_eq!(replayed(keyed(2), 3), Status::Error);
    assert_eq!(replayed(keyed(4), 1), Status::Error);
}
