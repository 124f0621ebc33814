//! The changefeed over HTTP (HTTP-70 to HTTP-73).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{Message, client};

use crate::home::Home;
use crate::http_client::{Served, request};

fn ids(events: &[Value]) -> Vec<String> {
    let ids = events.iter().map(|event| event["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// Server-sent events, as they come: an id and a value each.
struct Stream {
    reader: BufReader<TcpStream>,
    /// What is left of the chunk.
    rest: String,
}

impl Stream {
    fn open(served: &Served, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = served.connect();
        let headers = [headers, &[("accept", "text/event-stream")]].concat();
        stream
            .write_all(&request(served.addr(), ("GET", path), &headers, b""))
            .unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Self {
            reader,
            rest: String::new(),
        }
    }

    /// The next line, out of the chunks that the body comes in; `None` at its end.
    fn line(&mut self) -> Option<String> {
        while !self.rest.contains('\n') {
            let mut length = String::new();
            if self.reader.read_line(&mut length).unwrap() == 0 {
                return None;
            }
            let length = usize::from_str_radix(length.trim(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            std::io::Read::read_exact(&mut self.reader, &mut chunk).unwrap();
            if length == 0 {
                return None;
            }
            self.rest += std::str::from_utf8(&chunk[..length]).unwrap();
        }
        let (line, rest) = self.rest.split_once('\n').unwrap();
        let (line, rest) = (line.to_owned(), rest.to_owned());
        self.rest = rest;
        Some(line)
    }

    /// The next event, with its id.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut id = String::new();
        loop {
            let line = self.line()?;
            if let Some(found) = line.strip_prefix("id: ") {
                found.clone_into(&mut id);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((id, serde_json::from_str(data).unwrap()));
            }
        }
    }
}

/// A batch after the other, and a stream that goes on from any of them, tell the same.
#[test]
fn batches_and_streams_tell_the_same() {
    let served = Served::new();
    for number in 0..4 {
        served.put("k", number.to_string().as_bytes(), &[]);
    }
    let all = served.get("/v1/events?from=beginning");
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 8);
    let mut from = "beginning".to_owned();
    let mut pieces = Vec::new();
    loop {
        let page = served
            .ask("GET", &format!("/v1/events?limit=3&from={from}"))
            .is(200);
        assert_eq!(
            page.header("content-type"),
            "application/cloudevents-batch+json"
        );
        from = page.header("allod-cursor").to_owned();
        let events = page.json().as_array().unwrap().clone();
        if events.is_empty() {
            break;
        }
        pieces.extend(events);
    }
    assert_eq!(&pieces, all);
    // A stream from the beginning tells them, and then what comes.
    let mut stream = Stream::open(&served, "/v1/events?from=beginning", &[]);
    let told: Vec<(String, Value)> = (0..8).map(|_| stream.next().unwrap()).collect();
    assert!(told.iter().all(|(id, event)| *id == event["allodcursor"]));
    assert_eq!(
        told.iter()
            .map(|(_, event)| event.clone())
            .collect::<Vec<_>>(),
        *all
    );
    served.put("later", b"x", &[]);
    let (id, later) = stream.next().unwrap();
    assert_eq!(later["type"], "org.allod.commit.v1");
    // One that comes back says what it has heard.
    let mut again = Stream::open(&served, "/v1/events", &[("last-event-id", &id)]);
    assert!(
        again.next().unwrap().1["id"]
            .as_str()
            .unwrap()
            .ends_with("/later")
    );
    // All of them end with the node, at once.
    let began = Instant::now();
    served.stop();
    assert!(
        stream.next().is_some(),
        "the change of the commit that it has heard of"
    );
    assert!(stream.next().is_none() && again.next().is_none());
    assert!(began.elapsed() < Duration::from_secs(9));
}

/// What is asked for and nothing else; and what is wrong is a problem.
#[test]
fn what_is_wrong_is_a_problem() {
    let served = Served::new();
    served.put("notes/a", b"1", &[]);
    served.put("person:1", b"{}", &[]);
    let count = |query: &str| {
        let events = served.get(&format!("/v1/events?from=beginning&{query}"));
        events.as_array().unwrap().len()
    };
    assert_eq!(count("kind=change"), 2);
    assert_eq!(count("prefix=notes/"), 2);
    assert_eq!(count("type=person&kind=change"), 1);
    assert_eq!(count("space=notes&branch=ma*"), 4);
    assert_eq!(count("filter=%7B%22kinds%22%3A%5B%5D%7D"), 0);
    let ask = |query: &str| served.ask("GET", &format!("/v1/events?{query}"));
    ask("from=yesterday").fails(400, "E_CURSOR");
    ask("kind=changes").fails(400, "E_FILTER");
    ask("filter=%7B%22x%22%3A1%7D").fails(400, "E_FILTER");
    ask("filter=%7B%7D&kind=move").fails(400, "E_HTTP_REQUEST");
    ask("form=now").fails(400, "E_HTTP_REQUEST");
    ask("limit=0").fails(400, "E_HTTP_REQUEST");
    ask("space=elsewhere").fails(404, "E_HTTP_SPACE");
    ask(&format!("from={}", "A".repeat(9000))).fails(400, "E_CURSOR");
    served
        .ask("GET", "/v1/events/socket")
        .fails(400, "E_HTTP_REQUEST");
    // A cursor of another log leads to a snapshot.
    let stranger = Home::with_space();
    stranger.commit("a", "1");
    let cursor = stranger.run(&["events", "cursor"]).ok();
    let gone = ask(&format!("from={}", cursor.trim()));
    let snapshot = gone.header("allod-cursor").to_owned();
    gone.fails(410, "E_CURSOR_EXPIRED");
    let shown = served.get(&format!("/v1/events?from={snapshot}"));
    let keys: Vec<&Value> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["data"]["key"])
        .collect();
    assert_eq!(keys, ["notes/a", "person:1"]);
}

/// HTTP-73: a socket is sent as many events as its client takes.
#[test]
fn a_socket_sends_what_its_client_takes() {
    let served = Served::new();
    let changes: Vec<Value> = (0..400)
        .map(|number| serde_json::json!({ "key": format!("k{number:03}"), "text": "v" }))
        .collect();
    let body = serde_json::json!({ "message": "", "changes": changes });
    served.post("/v1/spaces/notes/commits", &body).is(201);
    let expected = served.get("/v1/events?from=beginning&limit=1000");
    let expected = ids(expected.as_array().unwrap());
    assert_eq!(expected.len(), 401);
    let url = format!("ws://{}/v1/events/socket?from=beginning", served.addr());
    let (mut socket, _) = client(&url, served.connect()).unwrap();
    let mut heard = Vec::new();
    let hear = |socket: &mut tokio_tungstenite::tungstenite::WebSocket<TcpStream>,
                heard: &mut Vec<Value>,
                count: usize| {
        while heard.len() < count {
            if let Message::Text(text) = socket.read().unwrap() {
                heard.push(serde_json::from_str(&text).unwrap());
            }
        }
    };
    hear(&mut socket, &mut heard, 256);
    // No more without a word.
    socket
        .get_ref()
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(socket.read().is_err());
    socket
        .get_ref()
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    socket.send(Message::text(r#"{"credit":100}"#)).unwrap();
    hear(&mut socket, &mut heard, 356);
    socket.send(Message::text(r#"{"credit":1000}"#)).unwrap();
    hear(&mut socket, &mut heard, 401);
    assert_eq!(ids(&heard), expected);
    served.put("later", b"x", &[]);
    hear(&mut socket, &mut heard, 403);
    // Who says something else is done.
    socket.send(Message::text("more, please")).unwrap();
    while socket.read().is_ok() {}
    served.stop();
}
