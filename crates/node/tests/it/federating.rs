//! Spaces that are federated: two real nodes, their commands, and what they tell each other (FED-50 to FED-56).

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{Message, client};

use crate::home::{Home, Up};
use crate::hooks::hook;
use crate::http_client::{Served, answer};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_mins(1);

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The address of a space of a running node.
fn url(up: &Up, path: &str) -> String {
    format!("ws://{}{path}", up.http.split_once("://").unwrap().1)
}

/// Where a node that is started again is to listen.
fn place(up: &Up) -> String {
    up.http.split_once("://").unwrap().1.to_owned()
}

/// Says something about an object; the id of the delta.
#[track_caller]
fn say(home: &Home, text: &str) -> String {
    let value = format!("text={text}");
    let args = [
        "delta",
        "add",
        "--to",
        "post=post-1#title",
        "--value",
        &value,
    ];
    home.json(&args)["delta"].as_str().unwrap().to_owned()
}

fn ids(home: &Home) -> BTreeSet<String> {
    let rows = home.run(&["delta", "list", "--json"]).rows();
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

fn status(home: &Home, link: &str) -> Value {
    home.json(&["federate", "status", link])
}

fn until_status(home: &Home, link: &str, word: &str) {
    until(word, || status(home, link)["status"] == word);
}

#[track_caller]
fn until_same(a: &Home, b: &Home, count: usize) {
    until("both have the same", || {
        let (a, b) = (ids(a), ids(b));
        a == b && a.len() == count
    });
}

/// A node that serves its space `notes`, also at `/federation`, and one with a link to it.
fn pair(serve: &[&str], connect: &[&str]) -> (Home, Up, Home, Up) {
    let server = Home::with_space();
    let args = [&["federate", "serve", "--default"], serve].concat();
    let said = server.json(&args);
    assert_eq!(said["path"], "/federation/notes");
    let up = server.up_http(&[]);
    let client = Home::with_space();
    let to = url(&up, "/federation");
    let args = [&["federate", "connect", &to, "--name", "hub"], connect].concat();
    client.run(&args).ok();
    let client_up = client.up();
    (server, up, client, client_up)
}

/// What either says reaches the other: of before, while it is paused, and while one of them is dead.
#[test]
fn two_nodes_come_to_have_the_same_whatever_stops_when() {
    let server = Home::with_space();
    say(&server, "of before, there");
    server.run(&["federate", "serve", "--default"]).ok();
    let up = server.up_http(&[]);
    let client = Home::with_space();
    say(&client, "of before, here");
    // It is kept, and opened once a node runs.
    let to = url(&up, "/federation");
    client
        .run(&["federate", "connect", &to, "--name", "hub"])
        .ok();
    assert_eq!(status(&client, "hub")["status"], "waiting");
    let client_up = client.up();
    until_same(&server, &client, 2);
    until_status(&client, "hub", "connected");
    let device = server.json(&["id"])["device"].clone();
    assert_eq!(status(&client, "hub")["remote"], device);
    let peers = server.run(&["federate", "status", "--json"]).rows();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0]["remote"], client.json(&["id"])["device"]);
    // What commands of either say goes over as it comes.
    say(&server, "live, there");
    say(&client, "live, here");
    until_same(&server, &client, 4);

    client.run(&["federate", "pause", "hub"]).ok();
    until("it rests there", || {
        let peers = server.run(&["federate", "status", "--json"]).rows();
        peers[0]["status"] == "paused"
    });
    say(&server, "paused, there");
    let paused = say(&client, "paused, here");
    assert!(!ids(&server).contains(&paused));
    until("it waits", || status(&client, "hub")["pending"] == 1);
    client.run(&["federate", "resume", "hub"]).ok();
    until_same(&server, &client, 6);

    // The server dies, both go on, and it comes back.
    let place = place(&up);
    up.kill();
    say(&client, "the server is dead");
    say(&server, "nothing runs here");
    until("it is noticed", || {
        status(&client, "hub")["why"].is_string()
    });
    let up = server.up_http(&["--http", &place]);
    until_same(&server, &client, 8);
    // The client dies, and goes on from where it was.
    until_status(&client, "hub", "connected");
    client_up.kill();
    say(&server, "the client is dead");
    say(&client, "nothing runs there");
    let client_up = client.up();
    until_same(&server, &client, 10);
    until("all is answered", || status(&client, "hub")["pending"] == 0);
    // What is known of a link outlives a node that is stopped.
    let before = status(&client, "hub");
    assert_eq!(client_up.stop(), Some(0));
    let after = status(&client, "hub");
    assert_eq!(after["status"], "waiting");
    for name in ["sent", "received", "remote", "sent_ms", "received_ms"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    assert_eq!(up.stop(), Some(0));
}

/// FED-35: a link that packs sends a fraction, and says how much it was; one to this machine does not unless it is
/// told to.
#[test]
fn a_link_says_what_packing_saves() {
    let server = Home::with_space();
    server.run(&["federate", "serve", "--default"]).ok();
    let value = format!("text={}", "the same words ".repeat(400));
    for of in 0..10 {
        let to = format!("post=post-{of}#title");
        server
            .run(&["delta", "add", "--to", &to, "--value", &value])
            .ok();
    }
    let up = server.up_http(&[]);
    let to = url(&up, "/federation");
    for (when, is_packed) in [("always", true), ("elsewhere", false)] {
        let client = Home::with_space();
        let args = [
            "federate",
            "connect",
            &to,
            "--name",
            "hub",
            "--deflate",
            when,
        ];
        client.run(&args).ok();
        let client_up = client.up();
        until_same(&server, &client, 10);
        until("all is counted", || {
            status(&client, "hub")["received"] == 10
        });
        let known = status(&client, "hub");
        let bytes = |name: &str| known[name].as_u64().unwrap();
        assert!(bytes("bytes_received") > 60_000);
        let is_less = bytes("wire_bytes_received") < bytes("bytes_received") / 4;
        assert_eq!(is_less, is_packed, "{known}");
        let shown = client.run(&["federate", "status", "hub"]).ok();
        assert_eq!(shown.contains("packed into"), is_packed, "{shown}");
        // It is counted over all runs of the node.
        assert_eq!(client_up.stop(), Some(0));
        assert_eq!(
            status(&client, "hub")["wire_bytes_received"],
            known["wire_bytes_received"]
        );
    }
    let connect = |when: &str| {
        let args = ["federate", "connect", &to, "--deflate", when];
        server.run(&args)
    };
    connect("sometimes").fails(1, &["elsewhere, always or never"]);
    drop(up);
}

/// A link that rests does so when the node is started again, and one that was ended is forgotten.
#[test]
fn links_are_kept_as_they_were() {
    let (server, up, client, client_up) = pair(&[], &[]);
    until_status(&client, "hub", "connected");
    client.run(&["federate", "pause", "hub"]).ok();
    assert_eq!(client_up.stop(), Some(0));
    say(&server, "while it rests");
    let client_up = client.up();
    assert_eq!(status(&client, "hub")["status"], "paused");
    assert_eq!(ids(&client).len(), 0);
    client.run(&["federate", "resume", "hub"]).ok();
    until_same(&server, &client, 1);
    client.run(&["federate", "disconnect", "hub"]).ok();
    client
        .run(&["federate", "status", "hub"])
        .fails(1, &["no link hub"]);
    until("the peer is gone", || {
        server.run(&["federate", "status"]).ok().is_empty()
    });
    // A space that is served no more is not there.
    server.run(&["federate", "serve", "--off"]).ok();
    let to = url(&up, "/federation/notes");
    client
        .run(&["federate", "connect", &to, "--name", "again"])
        .ok();
    until("it is refused", || {
        let why = status(&client, "again")["why"].to_string();
        why.contains("404")
    });
    drop(client_up);
}

/// Who does not show the token of the space is not let in, and it opens nothing else.
#[test]
fn a_token_opens_a_space_and_nothing_else() {
    let token = "a-token-of-this-space-alone";
    let server = Home::with_space();
    server.run(&["http", "token", "new"]).ok();
    let file = server.write("peers.token", token);
    private(&server, "peers.token");
    server
        .run(&["federate", "serve", "--token-file", &file])
        .ok();
    let served = Served::of(server, &[]);
    let said = say(&served.home, "for members");
    let client = Home::with_space();
    let to = url(&served.up, "/federation/notes");
    let wrong = client.write("wrong", "another-token-than-that");
    private(&client, "wrong");
    let connect = |name: &str, file: &str| {
        let args = [
            "federate",
            "connect",
            &to,
            "--name",
            name,
            "--token-file",
            file,
        ];
        client.run(&args)
    };
    connect("hub", &wrong).ok();
    let client_up = client.up();
    until("it is refused", || {
        status(&client, "hub")["why"].to_string().contains("401")
    });
    connect("second", &wrong).fails(1, &["the link hub leads there"]);
    client.run(&["federate", "disconnect", "hub"]).ok();
    let right = client.write("right", token);
    private(&client, "right");
    connect("hub", &right).ok();
    until("it is let in", || ids(&client).contains(&said));
    // Of HTTP it opens nothing.
    let bearer = format!("Bearer {token}");
    let with = [("authorization", bearer.as_str())];
    served
        .send("GET", "/v1/spaces", &with, b"")
        .fails(401, "E_HTTP_TOKEN");
    served
        .ask("GET", "/federation/notes")
        .fails(401, "E_HTTP_TOKEN");
    served
        .ask("GET", "/federation/other")
        .fails(401, "E_HTTP_TOKEN");
    served
        .send("GET", "/federation/notes", &with, b"")
        .fails(400, "E_HTTP_REQUEST");
    drop(client_up);
}

#[track_caller]
fn private(home: &Home, name: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(home.file(name), mode).unwrap();
}

/// A server that asks for keys lets in whose key is named, and over TLS who the certificate is believed.
#[test]
fn keys_are_proved_over_tls() {
    let (server, client, other) = (Home::with_space(), Home::with_space(), Home::with_space());
    let key = client.json(&["id"])["device"].as_str().unwrap().to_owned();
    server
        .run(&["federate", "serve", "--require-key", "--key", &key])
        .ok();
    let said = say(&server, "for one peer");
    let up = server.up_http(&["--http-tls", "self-signed"]);
    let to = format!(
        "wss://{}/federation/notes",
        up.http.strip_prefix("https://").unwrap()
    );
    let certificate = server.path().join("http-cert.pem");
    let link = |home: &Home, more: &[&str]| {
        let args = ["federate", "connect", &to, "--name", "hub"];
        home.run(&[&args[..], more].concat()).ok();
    };
    let authority = ["--authority", certificate.to_str().unwrap()];
    link(&client, &authority);
    link(&other, &authority);
    let ups = [client.up(), other.up()];
    until("it proves its key", || ids(&client).contains(&said));
    let why = |home: &Home| status(home, "hub")["why"].to_string();
    until("its key is another", || why(&other).contains("AUTH_FAILED"));
    assert_eq!(ids(&other).len(), 0);
    // Without the certificate nobody knows who that is.
    other.run(&["federate", "disconnect", "hub"]).ok();
    link(&other, &[]);
    until("the certificate is refused", || {
        why(&other).to_lowercase().contains("certificate")
    });
    drop(ups);
}

/// The door is that of all routes: names, origins, upgrades.
#[test]
fn the_door_is_that_of_every_route() {
    let home = Home::with_space();
    home.run(&["federate", "serve"]).ok();
    let served = Served::of(home, &[]);
    let ask = |path: &str, more: &str| {
        let mut stream = served.connect();
        let text = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n",
            served.addr()
        );
        stream.write_all(text.as_bytes()).unwrap();
        // What was upgraded has no end of its own.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        if head.starts_with(b"HTTP/1.1 101") {
            answer(&mut &head[..], false).unwrap()
        } else {
            answer(&mut (&head[..]).chain(stream), false).unwrap()
        }
    };
    until("it is served", || {
        ask("/federation/notes", "").status == 101
    });
    let answered = ask("/federation/notes", "").is(101);
    // RFC 6455, 1.3.
    assert_eq!(
        answered.header("sec-websocket-accept"),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    ask("/federation", "").fails(404, "E_HTTP_SPACE");
    ask("/federation/other", "").fails(404, "E_HTTP_SPACE");
    ask("/federation/notes", "origin: http://evil.example\r\n").fails(403, "E_HTTP_ORIGIN");
    served
        .ask("GET", "/federation/notes")
        .fails(400, "E_HTTP_REQUEST");
    served
        .ask("POST", "/federation/notes")
        .fails(405, "E_HTTP_METHOD");
}

/// What is taken, the space and the link allow, both; and what is refused is counted on either side.
#[test]
fn policies_narrow_and_never_widen() {
    let (server, _up, client, _client_up) = pair(&["--policy", r#"{"trustedAuthors":[]}"#], &[]);
    say(&client, "nobody is trusted there");
    until("it is refused", || status(&client, "hub")["refused"] == 1);
    assert_eq!(ids(&server).len(), 0);
    let peers = server.run(&["federate", "status", "--json"]).rows();
    assert_eq!(peers[0]["rejected"], 1);
    // The server trusts one of two authors now; whoever is connected meets that at once.
    let author = client.json(&["id"])["device"].as_str().unwrap().to_owned();
    let policy = format!(r#"{{"trustedAuthors":["{author}"],"deniedSystems":["spam"]}}"#);
    server
        .run(&["federate", "serve", "--default", "--policy", &policy])
        .ok();
    let said = say(&client, "now somebody is");
    until("it is taken", || ids(&server).contains(&said));
    // Without a signature nothing is, whoever is named.
    let bare = r#"{"id":"u1","timestamp":1,"author":"alice","system":"laptop","pointers":[]}"#;
    client
        .feed(
            &["delta", "add", "--file", "-"],
            format!("{bare}\n").as_bytes(),
        )
        .ok();
    until("it is refused", || status(&client, "hub")["refused"] == 2);
    assert!(!ids(&server).contains("u1"));
    // A link takes no more than its space.
    let narrow = Home::with_space();
    let open = r#"{"signatures":"optional"}"#;
    narrow
        .run(&[
            "federate",
            "serve",
            "--policy",
            r#"{"deniedAuthors":["x"]}"#,
        ])
        .ok();
    let to = format!("ws://{}/federation", "127.0.0.1:1");
    narrow
        .run(&["federate", "connect", &to, "--policy", open])
        .ok();
    let rows = narrow.run(&["federate", "list", "--json"]).rows();
    assert_eq!(rows[0]["federation"]["trust"]["signatures"], "required");
    assert_eq!(rows[1]["definition"]["trust"]["signatures"], "optional");
}

/// Entries of one space become deltas, and entries again in another, as they change; nothing goes in circles.
#[test]
fn entries_are_told_and_brought_while_nodes_run() {
    let open = ["--policy", r#"{"signatures":"optional"}"#];
    let (server, up, client, _client_up) = pair(&open, &open);
    server.run(&["federate", "export", "--follow"]).ok();
    client.run(&["federate", "import", "--follow"]).ok();
    let space = server.run(&["space", "list", "--json"]).rows()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = |name: &str| format!("delta/allod://{space}/main/{name}");
    let get = |name: &str| client.run(&["get", &key(name), "--raw"]);
    server.commit("greeting", "hello");
    until("it is there", || get("greeting").out == "hello");
    server.commit("greeting", "hello again");
    until("it follows", || get("greeting").out == "hello again");
    server.run(&["del", "greeting"]).ok();
    server.run(&["commit", "-m", "no more"]).ok();
    until("it is deleted", || get("greeting").code == Some(1));
    // The other way too; what was brought is not told again.
    client.run(&["federate", "export", "--follow"]).ok();
    server.run(&["federate", "import", "--follow"]).ok();
    client.commit("answer", "yes");
    until("it is there", || {
        let keys = server.run(&["ls", "--from", "delta/"]).ok();
        keys.contains("/main/answer")
    });
    server.commit("last", "word");
    until("it is there", || get("last").out == "word");
    assert!(!client.run(&["ls"]).ok().contains("main/delta/"));
    // Settings that change close links, which go on counting.
    let filter = format!(r#"{{"authors":["allod://{space}"],"includeNegated":true}}"#);
    let came = client.run(&["delta", "list", &filter, "--json"]).rows();
    let received = status(&client, "hub")["received"].as_u64();
    assert!(
        received >= Some(came.len() as u64),
        "{received:?} {}",
        came.len()
    );
    let told = client.json(&["federate", "export"]);
    assert_eq!((&told["commits"], &told["deltas"]), (&0.into(), &0.into()));
    assert_eq!(up.stop(), Some(0));
}

/// What cannot be brought in is told of, and links go on.
#[test]
fn what_cannot_be_brought_is_told_of() {
    let (server, _up, client, _client_up) = pair(&[], &[]);
    client
        .run(&["values", "define", "delta/*", "pn-counter"])
        .ok();
    client.run(&["federate", "import", "--follow"]).ok();
    let said = say(&server, "it has no place");
    until("it came", || ids(&client).contains(&said));
    let trouble = || {
        let rows = client.run(&["federate", "list", "--json"]).rows();
        rows[0]["trouble"].as_str().unwrap_or_default().to_owned()
    };
    until("it is told of", || trouble().contains("delta/"));
    assert!(client.run(&["federate", "list"]).ok().contains(&trouble()));
    let more = say(&server, "links go on");
    until("it came", || ids(&client).contains(&more));
}

/// What other devices of a space say reaches its links, by sync.
#[test]
fn what_comes_by_sync_goes_to_links() {
    let (server, up, client, client_up) = pair(&[], &[]);
    until_status(&client, "hub", "connected");
    let ticket = client.run(&["space", "ticket"]).ok();
    let other = Home::new();
    other.run(&["space", "join", ticket.trim()]).ok();
    let said = say(&other, "of another device");
    other.run(&["sync"]).ok();
    until("it came over two ways", || ids(&server).contains(&said));
    drop((up, client_up));
}

/// Deltas by hand: said, listed, looked at now and then, taken back.
#[test]
fn deltas_are_said_and_looked_at_by_hand() {
    let home = Home::with_space();
    let draft = say(&home, "Draft");
    let file = home.write(
        "deltas.ndjson",
        "{\"id\":\"u1\",\"timestamp\":5,\"author\":\"alice\",\"system\":\"laptop\",\"pointers\":[{\"role\":\"post\",\"target\":{\"id\":\"post-1\",\"context\":\"stars\"}},{\"role\":\"stars\",\"target\":4}]}\n\
         \n{\"pointers\":[{\"role\":\"post\",\"target\":{\"id\":\"post-2\",\"context\":\"title\"}},{\"role\":\"text\",\"target\":\"Two\"}],\"timestamp\":7}\n",
    );
    let added = home.json(&["delta", "add", "--file", &file]);
    assert_eq!(added["new"], 2);
    assert_eq!(home.json(&["delta", "add", "--file", &file])["new"], 0);
    assert_eq!(ids(&home).len(), 3);
    let view = |args: &[&str]| {
        let args = [&["delta", "view", "post-1"], args].concat();
        home.run(&args).json()
    };
    assert_eq!(view(&[]), serde_json::json!({"stars": 4, "title": "Draft"}));
    assert_eq!(view(&["--at", "6"]), serde_json::json!({"stars": 4}));
    let schema = r#"{"n":{"source":"stars","resolve":"max"}}"#;
    assert_eq!(view(&["--view", schema]), serde_json::json!({"n": 4}));
    assert_eq!(view(&["--hyper"])["title"][0]["id"], draft.as_str());
    let filter = r#"{"targetIds":["post-1"],"targetContexts":["title"]}"#;
    let found = home.run(&["delta", "list", filter, "--json"]).rows();
    assert_eq!(found.len(), 1);
    let shown = home.json(&["delta", "show", &draft]);
    assert_eq!(
        (&shown["about"]["verified"], &shown["about"]["visible"]),
        (&true.into(), &true.into())
    );
    let shown = home.json(&["delta", "show", "u1"]);
    assert_eq!(shown["about"]["why"], "E_DELTA_UNSIGNED");
    home.run(&["delta", "negate", &draft, "--reason", "a mistake"])
        .ok();
    assert_eq!(view(&[]), serde_json::json!({"stars": 4}));
    let shown = home.json(&["delta", "show", &draft]);
    assert_eq!(shown["about"]["visible"], false);
    assert_eq!(shown["about"]["negations"].as_array().unwrap().len(), 1);
    let all = r#"{"includeNegated":true}"#;
    assert_eq!(home.run(&["delta", "list", all, "--json"]).rows().len(), 4);
    // What makes no sense says so.
    home.run(&["delta", "show", "nobody"])
        .fails(1, &["no delta nobody"]);
    home.run(&["delta", "negate", "nobody"])
        .fails(1, &["no delta nobody"]);
    home.run(&["delta", "add"]).fails(2, &["--to"]);
    home.run(&["delta", "add", "--to", "post"])
        .fails(2, &["ROLE="]);
    home.run(&["delta", "list", "[]"]).fails(1, &["filter"]);
    let bad = home.write("bad.ndjson", "{\"id\":\"\",\"timestamp\":1}\n");
    home.run(&["delta", "add", "--file", &bad])
        .fails(1, &["line 1"]);
    let other = home.write(
        "other.ndjson",
        "{\"id\":\"u1\",\"timestamp\":6,\"author\":\"bob\",\"system\":\"x\",\"pointers\":[]}\n",
    );
    home.run(&["delta", "add", "--file", &other])
        .fails(1, &["another content"]);
    for (args, word) in [
        (&["federate", "connect", "http://x"][..], "ws://"),
        (
            &["federate", "connect", "ws://x", "--mode", "both"],
            "bidirectional",
        ),
        (
            &["federate", "connect", "ws://x", "--from", "5"],
            "from_timestamp",
        ),
        (&["federate", "connect", "ws://x", "--name", "a b"], "a-z"),
        (
            &["federate", "connect", "ws://x", "--push-filter", "1"],
            "filter",
        ),
        (&["federate", "serve", "--links", "0"], "links"),
        (&["federate", "export", "--branch", "deltas"], "not told"),
        (&["federate", "import", "--branch", "deltas"], "not told"),
        (&["federate", "import", "--view", "1"], "view"),
        (&["federate", "pause", "nobody"], "no link nobody"),
    ] {
        home.run(args).fails(1, &[word]);
    }
    home.run(&["federate", "serve", "--policy", r#"{"trusted":[]}"#])
        .fails(2, &["policy"]);
}

/// Deltas that come over a link go to the other devices of the space, which wait for no turn of theirs.
#[test]
fn what_comes_over_a_link_goes_to_other_devices() {
    let (server, _up, client, _client_up) = pair(&[], &[]);
    until_status(&client, "hub", "connected");
    let ticket = client.run(&["space", "ticket"]).ok();
    let other = Home::new();
    other.run(&["space", "join", ticket.trim()]).ok();
    let _other_up = other.up();
    let first = say(&client, "it is in touch");
    until("it came by sync", || ids(&other).contains(&first));
    // Devices look by themselves twice a minute; these are told.
    for text in ["one", "two", "three"] {
        let said = say(&server, text);
        let began = Instant::now();
        until("it came over two ways", || ids(&other).contains(&said));
        assert!(began.elapsed() < Duration::from_secs(20), "it was not told");
    }
}

/// What a policy refused comes once it does not any more.
#[test]
fn what_was_refused_comes_when_it_is_taken() {
    let server = Home::with_space();
    server.run(&["federate", "serve", "--default"]).ok();
    let said = say(&server, "of somebody");
    let up = server.up_http(&[]);
    let client = Home::with_space();
    // Without a door of its own.
    let policy = |json: &str| {
        let args = ["federate", "serve", "--off", "--policy", json];
        client.run(&args).ok()
    };
    policy(r#"{"trustedAuthors":[]}"#);
    let to = url(&up, "/federation");
    let args = [
        "federate", "connect", &to, "--name", "hub", "--policy", "{}",
    ];
    client.run(&args).ok();
    let client_up = client.up();
    until("it is refused", || status(&client, "hub")["rejected"] == 1);
    assert_eq!(ids(&client).len(), 0);
    policy("{}");
    until("it came", || ids(&client).contains(&said));
    drop((up, client_up));
}

/// A link that makes no sense changes nothing of its space, and a token goes where nobody reads along.
#[test]
fn what_is_refused_is_not_half_done() {
    let home = Home::with_space();
    let connect = |args: &[&str]| home.run(&[&["federate", "connect"], args].concat());
    let policy = r#"{"signatures":"optional"}"#;
    connect(&["http://x", "--policy", policy]).fails(1, &["ws://"]);
    let many: Vec<String> = (0..1025).map(|of| format!("\"a{of}\"")).collect();
    let policy = format!(r#"{{"trustedAuthors":[{}]}}"#, many.join(","));
    connect(&["ws://127.0.0.1:1/x", "--policy", &policy]).fails(1, &["1024"]);
    assert!(home.run(&["federate", "list"]).ok().is_empty());
    // Its deltas stay where they are.
    connect(&["ws://127.0.0.1:1/x", "--name", "a"]).ok();
    connect(&["ws://127.0.0.1:2/x", "--branch", "other"]).fails(1, &["on the branch deltas"]);
    assert_eq!(home.run(&["federate", "list", "--json"]).rows().len(), 2);
    let file = home.write("token", "a-token-of-that-hub-alone");
    private(&home, "token");
    let to = "ws://hub.example/federation";
    connect(&[to, "--token-file", &file]).fails(1, &["wss://"]);
    connect(&[to, "--token-file", &file, "--token-in-clear"]).ok();
    // What cannot be read would let nobody in.
    home.run(&["federate", "serve", "--token-file", "nothing-there"])
        .fails(1, &["nothing-there"]);
    assert!(!home.run(&["federate", "list"]).ok().contains("served at"));
}

/// A file that cannot be read any more opens nothing, and says nothing to strangers.
#[test]
fn a_token_that_is_gone_fits_nobody() {
    let server = Home::with_space();
    let file = server.write("peers.token", "a-token-of-this-space-alone");
    private(&server, "peers.token");
    server
        .run(&["federate", "serve", "--token-file", &file])
        .ok();
    let served = Served::of(server, &[]);
    let with = [("authorization", "Bearer a-token-of-this-space-alone")];
    let is_let_in = || {
        let answer = served.send("GET", "/federation/notes", &with, b"");
        answer.status == 400
    };
    until("it is served, and fits", is_let_in);
    std::fs::remove_file(&file).unwrap();
    served
        .send("GET", "/federation/notes", &with, b"")
        .fails(401, "E_HTTP_TOKEN");
    served
        .ask("GET", "/federation/notes")
        .fails(401, "E_HTTP_TOKEN");
    let listed = served.home.run(&["federate", "list"]).ok();
    assert!(listed.contains("no token opens it"), "{listed}");
}

/// What strangers wrote is shown as what it is, and numbers are kept or refused.
#[test]
fn deltas_of_strangers_are_plain_and_numbers_are_kept() {
    let home = Home::with_space();
    let add = |line: &str| {
        let line = format!("{line}\n");
        home.feed(&["delta", "add", "--file", "-"], line.as_bytes())
    };
    add(r#"{"id":"u\u001b[2J","timestamp":1,"author":"a\u0007","system":"s","pointers":[{"role":"r\u009b","target":{"id":"o\u202e","context":"c\r"}}]}"#).ok();
    let shown = home.run(&["delta", "list"]).ok();
    assert!(
        shown.chars().all(|c| !c.is_control() || c == '\n') && !shown.contains('\u{202e}'),
        "{shown:?}"
    );
    assert!(shown.contains(r"u\u{1b}[2J"), "{shown:?}");
    let pointers = |target: &str| format!(r#"{{"pointers":[{{"role":"n","target":{target}}}]}}"#);
    add(&pointers("12345678901234567891234")).fails(1, &["double"]);
    add(&pointers("1,\"target\":2")).fails(1, &["line 1"]);
    add(r#"{"pointers":[],"pointers":[]}"#).fails(1, &["duplicate"]);
    add(&pointers("0.1")).ok();
    let value = |text: &str| home.run(&["delta", "add", "--value", text]);
    value("n=9007199254740993").fails(1, &["double"]);
    value("n=1e400").fails(1, &["finite"]);
    value("n=1.2.3").ok();
}

/// DELTA-59: a value that a hook refuses holds no other up, and is named where somebody looks.
#[test]
fn a_value_that_is_refused_holds_no_other_up() {
    let (server, _up, client, _client_up) = pair(&[], &[]);
    // Of what is brought, not of the deltas themselves.
    let refuses = "[ $ALLOD_BRANCH = main ] || exit 0\n\
        if grep -q 'unwanted words'; then echo 'mind your words'; exit 3; fi";
    hook(&client, "pre-commit", refuses);
    let add = |object: &str, text: &str| {
        let (to, value) = (format!("post={object}#title"), format!("text={text}"));
        server.json(&["delta", "add", "--to", &to, "--value", &value]);
    };
    for of in 0..12 {
        add(&format!("post-{of}"), "fine");
    }
    add("post-bad", "unwanted words");
    add("post-last", "fine");
    until("all came", || ids(&client).len() == 14);
    client.run(&["federate", "import", "--follow"]).ok();
    let keys = || client.run(&["ls", "--from", "delta/post"]).ok();
    until("the others are there", || {
        keys().contains("delta/post-last")
    });
    assert!(!keys().contains("post-bad"));
    assert_eq!(keys().matches("delta/post-").count(), 13);
    let trouble = || {
        let rows = client.run(&["federate", "list", "--json"]).rows();
        rows[0]["trouble"].as_str().unwrap_or_default().to_owned()
    };
    until("it is told of", || {
        let trouble = trouble();
        trouble.contains("delta/post-bad") && trouble.contains("mind your words")
    });
    // What comes later is brought too; the command says the same.
    add("post-later", "fine");
    until("it is there", || keys().contains("delta/post-later"));
    let said = client.json(&["federate", "import", "--prefix", "again/"]);
    assert_eq!((&said["set"], &said["refused"]), (&14.into(), &1.into()));
    assert_eq!(said["refusals"][0]["key"], "again/post-bad");
    // A hook that is mended changes nothing by itself: somebody says so.
    hook(&client, "pre-commit", "exit 0");
    let args = ["federate", "import", "--follow"];
    assert_eq!(client.json(&args)["set"], 0);
    assert!(!keys().contains("post-bad"));
    let again = client.json(&[&args[..], &["--again"]].concat());
    assert_eq!((&again["set"], &again["refused"]), (&1.into(), &0.into()));
    assert!(keys().contains("post-bad"));
    until("nothing is refused any more", || trouble().is_empty());
}

/// FED-52: who sets a link up hears where its space is stricter.
#[test]
fn a_link_that_says_more_than_its_space_is_warned_of() {
    let home = Home::with_space();
    let policy = r#"{"trustedAuthors":["alice"]}"#;
    let args = ["federate", "serve", "--off", "--policy", policy];
    home.run(&args).ok();
    let connect = |name: &str, more: &[&str]| {
        let to = format!("ws://127.0.0.1:1/{name}");
        home.run(&[&["federate", "connect", &to, "--name", name], more].concat())
    };
    let same = connect("same", &["--json"]).json();
    assert_eq!(same["stricter"], serde_json::json!([]));
    let wider = r#"{"trustedAuthors":["alice","bob"],"signatures":"optional"}"#;
    let said = connect("wider", &["--policy", wider, "--json"]).json();
    assert_eq!(
        said["stricter"],
        serde_json::json!([
            { "what": "signatures", "space": "required", "link": "optional" },
            { "what": "trustedAuthors", "space": ["alice"], "link": ["alice", "bob"] },
        ])
    );
    let said = connect("told", &["--policy", wider]);
    assert!(said.err.contains("stricter: signatures"), "{}", said.err);
}

/// FED-54: links hear of what came by other ways though bringing takes its time.
#[test]
fn links_do_not_wait_for_what_is_brought() {
    let (server, _up, client, _client_up) = pair(&[], &[]);
    until_status(&client, "hub", "connected");
    let (began, end) = (client.file("began"), client.file("end"));
    let waits = format!(
        "[ $ALLOD_BRANCH = main ] || exit 0\nif grep -q slow; then touch {}; while [ ! -e {} ]; do sleep 0.05; done; fi",
        began.display(),
        end.display()
    );
    hook(&client, "pre-commit", &waits);
    client.run(&["federate", "import", "--follow"]).ok();
    say(&server, "slow");
    until("it is being brought", || began.exists());
    let meanwhile = say(&client, "meanwhile");
    until("it went over", || ids(&server).contains(&meanwhile));
    // The hook is still at it: one that took too long would be told of.
    let rows = client.run(&["federate", "list", "--json"]).rows();
    assert!(rows[0]["trouble"].is_null(), "{rows:?}");
    assert!(!end.exists());
    std::fs::write(&end, "").unwrap();
    until("it was brought", || {
        client.run(&["ls"]).ok().contains("delta/post-1")
    });
}

/// FED-56: peers of a node that stops hear that it goes away, of whatever space, also those that do not answer.
#[test]
fn a_node_that_stops_says_so_to_its_peers() {
    let server = Home::with_space();
    server.run(&["space", "new", "other"]).ok();
    let open = ["federate", "serve", "--anyone"];
    for space in ["notes", "other"] {
        server.run(&[&["--space", space], &open[..]].concat()).ok();
    }
    let up = server.up_http(&[]);
    let mut sockets = Vec::new();
    for space in ["notes", "other"] {
        let to = url(&up, &format!("/federation/{space}"));
        let place = place(&up);
        let mut upgraded = None;
        until("it is served", || {
            let stream = std::net::TcpStream::connect(&place).unwrap();
            upgraded = client(to.as_str(), stream).ok();
            upgraded.is_some()
        });
        let (mut socket, _) = upgraded.unwrap();
        let hello = r#"{"type":"hello","timestamp":1,"systemId":"x","config":{},"protocol":"rhizomedb-federation-v1"}"#;
        socket.send(Message::text(hello)).unwrap();
        assert!(
            socket
                .read()
                .unwrap()
                .into_text()
                .unwrap()
                .contains("hello_ack")
        );
        sockets.push(socket);
    }
    assert_eq!(up.stop(), Some(0));
    for mut socket in sockets {
        match socket.read().unwrap() {
            Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
            other => panic!("{other:?}"),
        }
    }
}

/// DELTA-53: who keeps a part of the history cannot tell it, and says so in words.
#[test]
fn a_replica_of_a_part_does_not_tell() {
    let whole = Home::with_space();
    whole.commit("a", "1");
    whole.commit("a", "2");
    whole.commit("b", "3");
    let up = whole.up();
    let ticket = whole.run(&["space", "ticket"]).ok();
    let part = Home::new();
    let clone = ["space", "clone", ticket.trim(), "--depth", "1"];
    part.run(&clone).ok();
    let words = ["cannot be told", "commits of before are not kept here"];
    part.run(&["federate", "export"]).fails(1, &words);
    // Nothing is half told.
    assert!(ids(&part).is_empty());
    part.run(&["federate", "export", "--follow"])
        .fails(1, &words);
    let rows = part.run(&["federate", "list", "--json"]).rows();
    assert!(rows.iter().all(|row| row["federation"]["tell"].is_null()));
    assert_eq!(up.stop(), Some(0));
}
