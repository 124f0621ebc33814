//! A page in a real browser that follows a node by `EventSource` (HTTP-72).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use allod::http::{HttpListener, HttpOptions};
use allod::{Node, now_ms};
use allod_repo::{BranchName, Edit};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::http::node;
use crate::node::{is_there, script};

/// The browser, if there is one; says why not.
fn chromium() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        });
    if found.is_none() {
        println!("skipped: chromium is not installed");
    }
    found
}

/// Serves a node until what is returned is called.
fn serve(
    node: &Node,
    runtime: &Runtime,
    listen: SocketAddr,
    origin: &str,
) -> (String, impl FnOnce()) {
    let (stop, stopped) = watch::channel(false);
    let mut options = HttpOptions::new(listen);
    options.origins = vec![origin.to_owned()];
    let listener = {
        let _inside = runtime.enter();
        HttpListener::bind(node, options).unwrap()
    };
    let url = listener.url();
    let serving = runtime.spawn(listener.serve(stopped));
    let handle = runtime.handle().clone();
    let end = move || {
        stop.send_replace(true);
        handle.block_on(serving).unwrap().unwrap();
    };
    (url, end)
}

fn commit(node: &Node, key: &'static str) {
    let repo = node.space(None).unwrap();
    let main = BranchName::main();
    repo.stage(&main, [(key.into(), Edit::Put("v".into()))], now_ms())
        .unwrap();
    let author = node.author().unwrap();
    repo.commit_staged(&main, author, key, now_ms()).unwrap();
}

fn subject(row: &Value) -> &str {
    row["event"]["subject"].as_str().unwrap()
}

/// It hears what was and what comes, and where the node ends and is there again it goes on after what it has heard
/// last, by itself.
#[test]
fn a_page_follows_a_node_that_comes_and_goes() {
    if !is_there() {
        return;
    }
    let Some(chromium) = chromium() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path());
    let runtime = Runtime::new().unwrap();
    let mut page = Command::new("node")
        .arg(script("event-source.mjs"))
        .args([chromium, dir.path().join("profile").to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(page.stdout.take().unwrap()).lines();
    let mut next = || -> String { lines.next().expect("the page goes on").unwrap() };
    let origin = next();
    let (url, end) = serve(
        &node,
        &runtime,
        SocketAddr::from(([127, 0, 0, 1], 0)),
        &origin,
    );
    let mut input = page.stdin.take().unwrap();
    writeln!(input, "{url}/v1/events?from=beginning&kind=change").unwrap();
    let mut hear = || -> Value { serde_json::from_str(&next()).unwrap() };
    let first: Vec<Value> = (0..4).map(|_| hear()).collect();
    let subjects: Vec<&str> = first.iter().map(subject).collect();
    assert_eq!(subjects, ["main/0", "main/bytes", "main/json", "main/long"]);
    for row in &first {
        assert_eq!(row["id"], row["event"]["allodcursor"]);
        assert_eq!(row["event"]["specversion"], json!("1.0"));
    }
    commit(&node, "live");
    assert_eq!(subject(&hear()), "main/live");
    // The node goes, something happens, and it is there again.
    end();
    commit(&node, "meanwhile");
    let listen: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let (_, end) = serve(&node, &runtime, listen, &origin);
    assert_eq!(subject(&hear()), "main/meanwhile");
    commit(&node, "after");
    assert_eq!(subject(&hear()), "main/after");
    drop(input);
    assert!(page.wait().unwrap().success());
    end();
}
