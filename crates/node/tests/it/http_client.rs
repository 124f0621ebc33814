//! A client of HTTP/1.1 that sends what it is told, right or wrong.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::home::{Home, Up};

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_mins(1);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end.
    pub(crate) is_whole: bool,
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// A problem with this code.
    #[track_caller]
    pub(crate) fn fails(self, status: u16, code: &str) {
        let problem = self.is(status);
        let value = problem.json();
        assert_eq!(problem.header("content-type"), "application/problem+json");
        assert_eq!(value["code"], code, "{value}");
        assert_eq!(value["status"], status, "{value}");
        assert_eq!(value["type"], format!("/#{code}"), "{value}");
        assert!(
            value["detail"].is_string() && value["title"].is_string(),
            "{value}"
        );
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }
}

/// A node with a space called `notes` that is served over HTTP.
pub(crate) struct Served {
    pub(crate) home: Home,
    pub(crate) up: Up,
}

impl Served {
    pub(crate) fn new() -> Self {
        Self::of(Home::with_space(), &[])
    }

    pub(crate) fn of(home: Home, args: &[&str]) -> Self {
        let up = home.up_http(args);
        Self { home, up }
    }

    pub(crate) fn addr(&self) -> &str {
        self.up.http.split_once("://").unwrap().1
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, &[], b"")
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.ask("GET", path).is(200).json()
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = self.connect();
        stream
            .write_all(&request(self.addr(), (method, path), headers, body))
            .unwrap();
        answer(&mut stream, method == "HEAD").unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send("POST", path, &headers, body.to_string().as_bytes())
    }

    pub(crate) fn put(&self, key: &str, value: &[u8], headers: &[(&str, &str)]) -> Answer {
        self.send(
            "PUT",
            &format!("/v1/spaces/notes/entries/{key}"),
            headers,
            value,
        )
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes as they are, and reads what is answered, if anything is.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        // Who is refused early may not be read to the end.
        stream.write_all(bytes).ok();
        answer(&mut stream, false)
    }

    pub(crate) fn stop(self) {
        assert_eq!(self.up.stop(), Some(0));
    }
}

/// A whole request.
pub(crate) fn request(
    host: &str,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if headers.iter().all(|(name, _)| *name != "host") {
        text += &format!("host: {host}\r\n");
    }
    let is_sized = headers
        .iter()
        .any(|(name, _)| matches!(*name, "content-length" | "transfer-encoding"));
    if !is_sized && (!body.is_empty() || matches!(method, "PUT" | "POST")) {
        text += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

/// Reads an answer until the connection ends.
pub(crate) fn answer(stream: &mut impl Read, is_head: bool) -> Option<Answer> {
    let mut bytes = Vec::new();
    // A connection that breaks ends what there is.
    let ended = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let chunked = headers
        .get("transfer-encoding")
        .is_some_and(|how| how == "chunked");
    let (body, is_whole) = if chunked {
        unchunked(rest)
    } else {
        let length = headers
            .get("content-length")
            .and_then(|length| length.parse().ok());
        (
            rest.to_vec(),
            is_head || length.is_none_or(|length: usize| length == rest.len()),
        )
    };
    Some(Answer {
        status,
        headers,
        body,
        is_whole: is_whole && ended.is_ok(),
    })
}

fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, true);
        }
        if rest.len() < size + 2 {
            return (body, false);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}
