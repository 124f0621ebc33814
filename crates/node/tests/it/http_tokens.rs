//! Session tokens over HTTP: HTTP-80 to HTTP-82, ACCESS-30 to ACCESS-33.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use crate::home::{Home, files};
use crate::http_client::{Answer, Served, request};

/// A home whose node has a token, which is given too.
fn guarded() -> (Served, String) {
    let home = Home::with_space();
    home.commit("a", "1");
    let token = home.json(&["http", "token", "new"])["token"].clone();
    let served = Served::of(home, &[]);
    (served, token.as_str().unwrap().to_owned())
}

/// Asks with a token.
pub(crate) fn with(
    served: &Served,
    token: &str,
    (method, path): (&str, &str),
    body: &Value,
) -> Answer {
    let shown = format!("Bearer {token}");
    let headers = [
        ("authorization", &shown[..]),
        ("content-type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    served.send(method, path, &headers, body.as_bytes())
}

pub(crate) fn begin(served: &Served, own: &str, asked: &Value) -> String {
    let begun = with(served, own, ("POST", "/v1/session"), asked).is(201);
    assert_eq!(begun.header("cache-control"), "no-store");
    begun.json()["token"].as_str().unwrap().to_owned()
}

fn refused(served: &Served, token: &str) {
    let answer = with(served, token, ("GET", "/v1/spaces"), &Value::Null).is(401);
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"allod\"");
    assert!(!answer.text().contains(token), "{}", answer.text());
    answer.fails(401, "E_TOKEN");
}

#[test]
fn a_session_lasts_until_its_token_is_given_back() {
    let (served, own) = guarded();
    let asked = json!({ "user": "ada", "roles": ["owner"], "can": ["read"], "minutes": 5 });
    let first = begin(&served, &own, &asked);
    assert!(first.starts_with("at1."));
    with(&served, &first, ("GET", "/v1/spaces"), &Value::Null).is(200);
    let next = with(
        &served,
        &first,
        ("POST", "/v1/session/refresh"),
        &Value::Null,
    )
    .is(201);
    let next = next.json()["token"].as_str().unwrap().to_owned();
    refused(&served, &first);
    with(&served, &next, ("GET", "/v1/spaces"), &Value::Null).is(200);
    // The same one again gives nothing.
    let again = with(
        &served,
        &first,
        ("POST", "/v1/session/refresh"),
        &Value::Null,
    );
    again.fails(401, "E_TOKEN");
    with(&served, &next, ("DELETE", "/v1/session"), &Value::Null).is(204);
    refused(&served, &next);
    // One that another process asked for.
    let issue = ["http", "token", "issue", "bob", "--role", "owner"];
    let issue = [&issue[..], &["--can", "read", "--in", "notes"]].concat();
    let third = served.home.json(&issue)["token"].clone();
    let third = third.as_str().unwrap().to_owned();
    with(&served, &third, ("GET", "/v1/spaces"), &Value::Null).is(200);
    let Served { home, up } = served;
    assert_eq!(up.stop(), Some(0));
    let served = Served::of(home, &[]);
    refused(&served, &first);
    refused(&served, &next);
    with(&served, &third, ("GET", "/v1/spaces"), &Value::Null).is(200);
    // Nothing of the home, and no figure, has one (ACCESS-33).
    let metrics = with(&served, &own, ("GET", "/metrics"), &Value::Null).is(200);
    for token in [&first, &next, &third] {
        assert!(!metrics.text().contains(token.as_str()));
        for file in files(&served.home.path()) {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let has = bytes
                .windows(token.len())
                .any(|part| part == token.as_bytes());
            assert!(!has, "{}", file.display());
        }
    }
    served.stop();
}

#[test]
fn a_token_is_taken_where_it_was_issued_and_for_what_it_says() {
    let (served, own) = guarded();
    let own_only = json!({ "user": "ada", "can": ["read"] });
    let token = begin(&served, &own, &own_only);
    // Who bears one begins no session, and sees no figures.
    with(&served, &token, ("POST", "/v1/session"), &own_only).fails(403, "E_HTTP_DENIED");
    with(&served, &token, ("GET", "/metrics"), &Value::Null).fails(403, "E_HTTP_DENIED");
    // The node's agent has no session to end.
    with(&served, &own, ("DELETE", "/v1/session"), &Value::Null).fails(400, "E_HTTP_REQUEST");
    let elsewhere = Home::with_space();
    let other = elsewhere.json(&["http", "token", "issue", "ada", "--can", "read"]);
    refused(&served, other["token"].as_str().unwrap());
    let mut broken = token.clone();
    broken.truncate(token.len() - 8);
    for bad in [&broken[..], "at1.", "at1.AAAA"] {
        let answer = with(&served, bad, ("GET", "/v1/spaces"), &Value::Null);
        answer.fails(401, "E_TOKEN");
    }
    for bad in [
        json!({ "user": "ada", "can": ["read"], "minutes": 61 }),
        json!({ "user": "ada", "can": ["read"], "minutes": 0 }),
        json!({ "user": "ada", "can": [] }),
        json!({ "user": "ada", "can": ["fly"] }),
        json!({ "user": "did:key:none", "can": ["read"] }),
        json!({ "user": "", "can": ["read"] }),
    ] {
        with(&served, &own, ("POST", "/v1/session"), &bad).fails(422, "E_HTTP_VALUE");
    }
    let unknown = json!({ "user": "ada", "can": ["read"], "space": "none" });
    with(&served, &own, ("POST", "/v1/session"), &unknown).fails(404, "E_HTTP_SPACE");
    served.stop();
}

#[test]
fn a_stream_of_events_ends_with_its_token() {
    let (served, own) = guarded();
    let asked = json!({ "user": "ada", "roles": ["owner"], "can": ["read", "events"] });
    let token = begin(&served, &own, &asked);
    let shown = format!("Bearer {token}");
    let headers = [
        ("authorization", &shown[..]),
        ("accept", "text/event-stream"),
    ];
    let mut stream = served.connect();
    let path = "/v1/events?from=beginning";
    stream
        .write_all(&request(served.addr(), ("GET", path), &headers, b""))
        .unwrap();
    // It has begun, and so passed the gate.
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    with(&served, &token, ("DELETE", "/v1/session"), &Value::Null).is(204);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(
        rest.contains("event: problem") && rest.contains("E_TOKEN"),
        "{rest}"
    );
    assert!(!rest.contains(&token));
    served.stop();
}
