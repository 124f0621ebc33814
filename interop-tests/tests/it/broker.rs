//! A stream of NATS JetStream, read by what others wrote in JavaScript (SINK-10, EVENT-41).

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use allod::Node;
use allod_events::Renderer;
use allod_feed::{Feed, Filter};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::http::node;
use crate::node::{is_there, run};
use crate::python::program;

/// A server of NATS with JetStream.
struct Nats(Child);

impl Nats {
    /// Starts it, and waits until it answers.
    fn start(program: &Path, dir: &Path) -> (Self, String) {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new(program);
        command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]);
        command.arg(dir).stdout(Stdio::null()).stderr(Stdio::null());
        let nats = Self(command.spawn().unwrap());
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "it starts");
            std::thread::sleep(Duration::from_millis(10));
        }
        (nats, format!("nats://127.0.0.1:{port}"))
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What the log has, as CloudEvents.
fn log(node: &Node, renderer: &Renderer) -> Vec<Value> {
    let feed: &Feed = node.feed();
    let mut reader = feed
        .read(feed.beginning(), Filter::default().into())
        .unwrap();
    let mut told = Vec::new();
    loop {
        let page = reader.page(node, 100, usize::MAX).unwrap();
        for (event, cursor) in page.events.iter().zip(&page.cursors) {
            let cloud = renderer.render_at(node, event, cursor).unwrap().unwrap();
            told.push(serde_json::from_str(&cloud.to_json().unwrap()).unwrap());
        }
        if page.is_end {
            return told;
        }
    }
}

/// A time without zeros at the end of its fraction.
fn without_zeros(time: &str) -> String {
    let time = time.trim_end_matches('Z');
    if time.contains('.') {
        time.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        time.to_owned()
    }
}

#[test]
fn the_sdk_for_javascript_reads_what_the_log_has() {
    if !is_there() {
        return;
    }
    let Some(nats) = program("nats-server") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path());
    let (_nats, url) = Nats::start(&nats, &dir.path().join("nats"));
    let expected = log(&node, &node.renderer().unwrap());
    for mode in ["structured", "binary"] {
        let to = json!({ "nats": { "url": url, "stream": mode } });
        let definition = json!({ "to": to, "mode": mode }).to_string();
        let definition = definition.parse().unwrap();
        let from = node.feed().beginning();
        node.sinks().add(mode, &definition, from).unwrap();
        let (_stop, stopped) = watch::channel(false);
        let standing = node.carry_sink(mode, stopped).unwrap();
        assert_eq!(standing.state.words, None);
        let lines = run("read-stream.mjs", &[&url, mode], "");
        let rows: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows.len(), expected.len(), "{mode}");
        for (place, (row, told)) in rows.iter().zip(&expected).enumerate() {
            assert_eq!(row["at"], json!(place + 1), "{mode}");
            let mut told = told.clone();
            told["allodsink"] = json!(mode);
            let mut read = row["event"].clone();
            // The SDK spells times with three digits of a fraction, and makes one up where there is none.
            if told["time"].is_null() {
                read["time"] = Value::Null;
                told["time"] = Value::Null;
            }
            for event in [&mut told, &mut read] {
                let time = event["time"].as_str().map(without_zeros);
                event["time"] = json!(time);
            }
            assert_eq!(read, told, "{mode}");
        }
    }
}
