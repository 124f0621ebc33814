//! Servers that take POSTs (SINK-20 to SINK-22).

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

use allod_events::{CloudEvent, Headers, batch_from_json};
use allod_sinks::Definition;
use serde_json::{Value, json};

use crate::server::{Request, Server, answer};
use crate::world::Node;

fn sink(server: &Server, node: &Node, more: Value) {
    let mut to = json!({ "url": format!("{}/events?key=1", server.url) });
    let mut mode = json!("structured");
    for (name, value) in more.as_object().unwrap() {
        if name == "mode" {
            mode = value.clone();
        } else {
            to[name] = value.clone();
        }
    }
    let text = json!({ "to": { "webhook": to }, "mode": mode }).to_string();
    let definition: Definition = text.parse().unwrap();
    let from = node.tail.feed().beginning();
    node.register().add("hook", &definition, from).unwrap();
}

fn event(request: &Request) -> CloudEvent {
    match &request.headers["content-type"][..] {
        "application/cloudevents+json" => CloudEvent::from_json(&request.body).unwrap(),
        _ => {
            let pairs = request
                .headers
                .iter()
                .map(|(name, value)| (&name[..], &value[..]));
            CloudEvent::from_headers(Headers::Http, pairs, request.body.clone().into()).unwrap()
        }
    }
}

fn name(event: &CloudEvent) -> String {
    format!("{} {}", event.source, event.id)
}

/// Each mode carries the same events.
#[test]
fn all_modes_carry_the_same() {
    for mode in ["structured", "binary", "batch"] {
        let server = Server::new(|_, _| answer("204 No Content"));
        let node = Node::new();
        sink(&server, &node, json!({ "mode": mode }));
        node.put(&[("a", "1"), ("b \u{e9}", r#"{"x":1}"#)]);
        node.put(&[("a", "2")]);
        let state = node.carry("hook").unwrap();
        assert_eq!(state.words, None);
        let requests = server.requests.lock().unwrap();
        let events: Vec<CloudEvent> = if mode == "batch" {
            assert_eq!(requests.len(), 1);
            batch_from_json(&requests[0].body, 1 << 20).unwrap()
        } else {
            requests.iter().map(event).collect()
        };
        assert_eq!(
            events.iter().map(name).collect::<Vec<_>>(),
            node.log(),
            "{mode}"
        );
        let data: Value = serde_json::from_slice(&events[2].data_bytes().unwrap()).unwrap();
        assert_eq!(data["value"], json!({ "json": { "x": 1 } }), "{mode}");
    }
}

/// SINK-20: the signature is that of Standard Webhooks; its example is one of that specification.
#[test]
fn posts_are_signed() {
    use hmac::{Hmac, KeyInit as _, Mac as _};

    let dir = tempfile::tempdir().unwrap();
    let (secret, token) = (dir.path().join("secret"), dir.path().join("token"));
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    std::fs::write(&token, "let me in\n").unwrap();
    let server = Server::new(|_, _| answer("200 OK"));
    let node = Node::new();
    sink(&server, &node, json!({ "secret": secret, "token": token }));
    node.put(&[("a", "1")]);
    node.carry("hook").unwrap();
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), 2);
    for request in requests.iter() {
        assert_eq!(request.headers["authorization"], "Bearer let me in");
        let (id, time) = (
            &request.headers["webhook-id"],
            &request.headers["webhook-timestamp"],
        );
        let key = multibase::Base::Base64Pad
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{id}.{time}.").as_bytes());
        mac.update(&request.body);
        let sum = multibase::Base::Base64Pad.encode(mac.finalize().into_bytes());
        assert_eq!(request.headers["webhook-signature"], format!("v1,{sum}"));
        assert_eq!(*id, event(request).id);
    }
}

/// SINK-21: what each answer does.
#[test]
fn each_answer_does_what_it_says() {
    // One that may pass: what was taken before it is not sent again, the rest is.
    let server = Server::new(|number, _| {
        answer(if number == 1 {
            "503 Service Unavailable"
        } else {
            "200 OK"
        })
    });
    let node = Node::new();
    sink(&server, &node, json!({}));
    node.put(&[("a", "1")]);
    let state = node.carry("hook").unwrap();
    assert_eq!(
        (state.delivered, state.failures, state.stopped),
        (1, 1, false)
    );
    assert!(state.words.unwrap().contains("503"));
    let state = node.carry("hook").unwrap();
    assert_eq!((state.delivered, state.failures, state.words), (2, 0, None));
    let sent: Vec<String> = server
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|post| name(&event(post)))
        .collect();
    let log = node.log();
    assert_eq!(sent, [&log[0][..], &log[1], &log[1]]);
    // One that is refused for what it is; of a batch only that one.
    let server = Server::new(|_, request| {
        let text = String::from_utf8_lossy(&request.body);
        let is_bad = text.contains(r#""text":"bad""#);
        answer(if is_bad {
            "422 Unprocessable"
        } else {
            "200 OK"
        })
    });
    for mode in ["batch", "structured"] {
        let node = Node::new();
        server.requests.lock().unwrap().clear();
        sink(&server, &node, json!({ "mode": mode }));
        // The commits of these are told without their values.
        node.register().pause("hook", true).unwrap();
        let (mut definition, _) = node.register().get("hook").unwrap();
        definition.filter = r#"{"kinds":["change"]}"#.parse().unwrap();
        definition.paused = false;
        node.register().define("hook", &definition).unwrap();
        node.put(&[("a", "good"), ("b", "bad"), ("c", "good")]);
        let state = node.carry("hook").unwrap();
        assert_eq!(
            (state.delivered, state.dead, state.words),
            (2, 1, None),
            "{mode}"
        );
        let dead = node.register().dead("hook").unwrap();
        assert!(dead[0].1.id.ends_with("/b"), "{mode}: {dead:?}");
    }
    // One that is gone.
    let server = Server::new(|_, _| answer("410 Gone"));
    let node = Node::new();
    sink(&server, &node, json!({}));
    node.put(&[("a", "1")]);
    assert!(node.carry("hook").unwrap().stopped);
    // One that sends elsewhere is not followed.
    let server = Server::new(|_, _| {
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
            .to_owned()
    });
    let node = Node::new();
    sink(&server, &node, json!({}));
    node.put(&[("a", "1")]);
    let state = node.carry("hook").unwrap();
    assert_eq!((state.delivered, state.failures), (0, 1));
}

/// SINK-9: a server that does not answer does not keep a node from ending, and what it was sent is sent again.
#[test]
fn a_server_that_takes_its_time_holds_up_no_end() {
    let (asked, is_asked) = channel();
    let (answers, may_answer) = channel::<()>();
    let server = Server::new(move |place, _| {
        asked.send(()).unwrap();
        // The first is answered when nobody waits for it any more, or so late that who still waited would have it.
        if place == 0 {
            may_answer.recv_timeout(Duration::from_secs(10)).ok();
        }
        answer("204 No Content")
    });
    let node = Node::new();
    sink(&server, &node, json!({ "mode": "binary" }));
    node.put(&[("a", "1")]);
    let state = std::thread::scope(|scope| {
        let carried = scope.spawn(|| node.carry("hook").unwrap());
        is_asked.recv().unwrap();
        node.is_stopping.store(true, Ordering::SeqCst);
        carried.join().unwrap()
    });
    assert_eq!((state.delivered, state.failures, state.words), (0, 0, None));
    drop(answers);
    node.is_stopping.store(false, Ordering::SeqCst);
    let state = node.carry("hook").unwrap();
    assert!(state.delivered > 0, "{:?}", state.words);
    let requests = server.requests.lock().unwrap();
    let id = |at: usize| requests[at].headers["ce-id"].clone();
    assert_eq!(id(0), id(1));
}

/// SINK-9: once all has to end, nothing more is sent; and what was taken of a batch that is sent one by one is not sent
/// again.
#[test]
fn what_was_taken_before_the_end_is_not_sent_again() {
    let node = Node::new();
    let is_stopping = Arc::clone(&node.is_stopping);
    let server = Server::new(move |place, _| match place {
        0 => answer("400 Bad Request"),
        3 => {
            is_stopping.store(true, Ordering::SeqCst);
            answer("204 No Content")
        }
        _ => answer("204 No Content"),
    });
    sink(&server, &node, json!({ "mode": "batch" }));
    let keys: Vec<String> = (0..8).map(|key| format!("k{key}")).collect();
    let edits: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], "v")).collect();
    node.put(&edits);
    let state = node.carry("hook").unwrap();
    assert_eq!((state.delivered, state.failures), (3, 0));
    assert_eq!(server.requests.lock().unwrap().len(), 4);
    node.is_stopping.store(false, Ordering::SeqCst);
    let state = node.carry("hook").unwrap();
    assert_eq!(state.words, None);
    let requests = server.requests.lock().unwrap();
    let sent = requests[1..].iter().flat_map(|request| {
        let events = batch_from_json(&request.body, 1 << 20).unwrap();
        events.into_iter().map(|event| name(&event))
    });
    assert_eq!(sent.collect::<Vec<_>>(), node.log());
}

/// SINK-9: the words of an error are waited for no longer than the answer itself.
#[test]
fn words_that_do_not_come_hold_up_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, is_asked) = channel();
    let (answers, may_answer) = channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = vec![0; 1 << 16];
        loop {
            let count = stream.read(&mut read).unwrap();
            if read[..count].ends_with(b"}") {
                break;
            }
        }
        let head = "HTTP/1.1 422 Unprocessable\r\ncontent-length: 4\r\n\r\nso";
        stream.write_all(head.as_bytes()).unwrap();
        asked.send(()).unwrap();
        // The rest comes when nobody waits for it any more, or so late that who still waited would have it.
        may_answer.recv_timeout(Duration::from_secs(10)).ok();
        stream.write_all(b"on").ok();
    });
    let node = Node::new();
    let text = json!({ "to": { "webhook": { "url": url } }, "mode": "structured" }).to_string();
    let from = node.tail.feed().beginning();
    let definition: Definition = text.parse().unwrap();
    node.register().add("hook", &definition, from).unwrap();
    node.put(&[("a", "1")]);
    let state = std::thread::scope(|scope| {
        let carried = scope.spawn(|| node.carry("hook").unwrap());
        is_asked.recv().unwrap();
        node.is_stopping.store(true, Ordering::SeqCst);
        carried.join().unwrap()
    });
    drop(answers);
    assert_eq!((state.delivered, state.dead, state.failures), (0, 0, 0));
}
