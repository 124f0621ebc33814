//! Requests that mean harm: HTTP-10, HTTP-11, HTTP-32, HTTP-33, HTTP-40 to HTTP-44.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::json;

use crate::home::Home;
use crate::http_client::{Served, answer, request};

const SPACE: &str = "/v1/spaces/notes";

#[test]
fn paths_and_parameters_are_taken_apart_once() {
    let served = Served::new();
    for (path, status, code) in [
        ("/../../etc/passwd", 404, "E_HTTP_PATH"),
        ("/v1/spaces/notes/entries/", 404, "E_HTTP_PATH"),
        ("/v1/spaces/%2e%2e%2fkeys", 404, "E_HTTP_SPACE"),
        ("/v1/spaces/../../keys/entries/x", 404, "E_HTTP_PATH"),
        (
            "/v1/spaces/notes/entries/..%2f..%2fkeys",
            404,
            "E_HTTP_ENTRY",
        ),
        ("/v1/spaces/notes/entries/../../keys", 404, "E_HTTP_ENTRY"),
        ("/v1/spaces/notes/entries/%", 400, "E_HTTP_REQUEST"),
        ("/v1/spaces/notes/entries/%zz", 400, "E_HTTP_REQUEST"),
        ("/v1/spaces/notes/entries/%00", 404, "E_HTTP_ENTRY"),
        ("/v1/spaces/%FF", 400, "E_HTTP_REQUEST"),
        ("/v1/spaces/notes/branches/%FF", 400, "E_HTTP_REQUEST"),
        ("/v1/spaces/notes/branches/..", 404, "E_HTTP_STATE"),
        ("/v1/spaces/notes/commits/%2e%2e", 404, "E_HTTP_STATE"),
        ("/v1/spaces/notes/entries/x?at=%FF", 400, "E_HTTP_REQUEST"),
        ("/v1/spaces/notes/entries/x?at=../x", 404, "E_HTTP_STATE"),
        ("/v1/blobs/..%2fkeys", 400, "E_HTTP_REQUEST"),
        ("//v1/node", 404, "E_HTTP_PATH"),
        ("/v1/node/", 404, "E_HTTP_PATH"),
        ("/v1/node?x=1", 400, "E_HTTP_REQUEST"),
    ] {
        let refused = served.ask("GET", path);
        assert!(
            !refused
                .text()
                .contains(served.home.path().to_str().unwrap()),
            "{path}"
        );
        refused.fails(status, code);
    }
    // A key of the most bytes, each of them spelled, and one more.
    let longest = "%2F".repeat(4096);
    served.put(&longest, b"deep", &[]).is(201);
    assert_eq!(
        served
            .ask("GET", &format!("{SPACE}/entries/{longest}"))
            .is(200)
            .text(),
        "deep"
    );
    served
        .put(&format!("{longest}%2F"), b"x", &[])
        .fails(400, "E_HTTP_KEY");
    for path in [
        format!("{SPACE}/entries/{longest}%2F"),
        format!("{SPACE}/entries?prefix={longest}%2F"),
        format!("{SPACE}/entries?after={longest}%2F"),
    ] {
        served.ask("GET", &path).fails(400, "E_HTTP_KEY");
    }
    served
        .ask("GET", &format!("{SPACE}/entries?after={longest}"))
        .is(200);
    served.put("..", b"dots", &[]).is(201);
    assert_eq!(served.home.run(&["get", ".."]).ok(), "dots\n");
    served.stop();
}

#[test]
fn heads_are_bounded() {
    let served = Served::new();
    let host = served.addr().to_owned();
    let long = "x".repeat(40_000);
    let refused = served.raw(&request(&host, ("GET", "/healthz"), &[("x", &long)], b""));
    assert_eq!(refused.unwrap().status, 431);
    let path = format!("/healthz?{long}");
    let refused = served
        .raw(&request(&host, ("GET", &path), &[], b""))
        .unwrap();
    assert!(matches!(refused.status, 414 | 431), "{}", refused.status);
    let many: Vec<_> = (0..200).map(|_| ("x", "y")).collect();
    assert_eq!(
        served
            .raw(&request(&host, ("GET", "/healthz"), &many, b""))
            .unwrap()
            .status,
        431
    );
    for nonsense in [
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9\r\n\r\n",
        "\x16\x03\x01\x02\0\x01",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = served.raw(nonsense.as_bytes());
        assert!(
            answer.is_none_or(|answer| answer.status == 400),
            "{nonsense:?}"
        );
    }
    // Two lengths, or a length and chunks, could be read as two requests by somebody before us.
    let two = [("content-length", "1"), ("content-length", "2")];
    assert_eq!(
        served
            .raw(&request(&host, ("PUT", "/x"), &two, b"ab"))
            .unwrap()
            .status,
        400
    );
    served.stop();
}

#[test]
fn bodies_are_bounded_and_plain() {
    let served = Served::new();
    let host = served.addr().to_owned();
    // Bodies: said to be too large, and too large without saying so.
    let json = ("content-type", "application/json");
    let commits = format!("{SPACE}/commits");
    let large = [json, ("content-length", "8388609")];
    served
        .raw(&request(&host, ("POST", &commits), &large, b""))
        .unwrap()
        .fails(413, "E_HTTP_SIZE");
    let entry = format!("{SPACE}/entries/x");
    let large = [("content-length", "4294967297")];
    served
        .raw(&request(&host, ("PUT", &entry), &large, b""))
        .unwrap()
        .fails(413, "E_HTTP_SIZE");
    let mut stream = served.connect();
    stream.set_nodelay(true).unwrap();
    let head = request(
        &host,
        ("POST", &commits),
        &[json, ("transfer-encoding", "chunked")],
        b"",
    );
    stream.write_all(&head).unwrap();
    let chunk = [b"100000\r\n", &vec![b' '; 0x10_0000][..], b"\r\n"].concat();
    let sent = (0..9).all(|_| stream.write_all(&chunk).is_ok());
    match answer(&mut stream, false) {
        Some(refused) => refused.fails(413, "E_HTTP_SIZE"),
        // It was refused before all was sent, and the answer went with the connection.
        None => assert!(!sent),
    }
    served.ask("GET", &entry).fails(404, "E_HTTP_ENTRY");
    served
        .put("x", b"packed", &[("content-encoding", "gzip")])
        .fails(415, "E_HTTP_TYPE");
    served
        .put("x", b"part", &[("content-range", "bytes 0-3/8")])
        .fails(400, "E_HTTP_REQUEST");
    // JSON that nests without end, or is none.
    let post = |body: &[u8]| served.send("POST", &commits, &[json], body);
    post("[".repeat(1_000_000).as_bytes()).fails(400, "E_HTTP_REQUEST");
    post(b"").fails(400, "E_HTTP_REQUEST");
    post(b"{\"changes\":[{\"key\":\"a\",\"text\":\"\xff\"}]}").fails(400, "E_HTTP_REQUEST");
    post(b"{\"changes\":[],\"changes\":[]}").fails(400, "E_HTTP_REQUEST");
    served.ask("GET", "/healthz").is(200);
    served.stop();
}

#[test]
fn who_is_slow_or_silent_is_let_go() {
    let served = Served::new();
    let mut silent = served.connect();
    let mut slow = served.connect();
    let mut idle = served.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n")
        .unwrap();
    let trickling = std::thread::spawn(move || {
        // A header more now and then does not make it a request.
        while slow.write_all(b"x: y\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    idle.read_to_end(&mut rest).unwrap();
    assert!(
        rest.starts_with(b"HTTP/1.1 200 OK"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
    trickling.join().unwrap();
    served.ask("GET", "/healthz").is(200);
    served.stop();
}

#[test]
fn an_upload_that_breaks_writes_nothing() {
    let served = Served::new();
    let path = format!("{SPACE}/entries/half");
    for (headers, body) in [
        (("content-length", "3000000"), vec![b'x'; 2_000_000]),
        (("content-length", "30"), b"short".to_vec()),
        (("transfer-encoding", "chunked"), b"5\r\nshort\r\n".to_vec()),
    ] {
        let mut stream = served.connect();
        stream
            .write_all(&request(served.addr(), ("PUT", &path), &[headers], &body))
            .unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = answer(&mut stream, false);
        assert!(answer.is_none_or(|answer| answer.status == 400));
    }
    served.ask("GET", &path).fails(404, "E_HTTP_ENTRY");
    assert_eq!(
        served.get(&format!("{SPACE}/commits"))["commits"],
        json!([])
    );
    served.stop();
}

#[test]
fn connections_have_a_limit_and_come_back() {
    let served = Served::new();
    let held: Vec<_> = (0..300).map(|_| served.connect()).collect();
    let mut stream = served.connect();
    stream
        .write_all(&request(served.addr(), ("GET", "/healthz"), &[], b""))
        .ok();
    assert!(answer(&mut stream, false).is_none(), "there is no place");
    drop(held);
    let mut tries = 0;
    loop {
        let mut stream = served.connect();
        stream
            .write_all(&request(served.addr(), ("GET", "/healthz"), &[], b""))
            .ok();
        match answer(&mut stream, false) {
            Some(answer) => break assert_eq!(answer.status, 200),
            None => tries += 1,
        }
        assert!(tries < 100, "no place is given back");
        std::thread::sleep(Duration::from_millis(20));
    }
    served.stop();
}

#[test]
fn pages_of_elsewhere_neither_read_nor_write() {
    let served = Served::new();
    let path = format!("{SPACE}/entries/k");
    served.put("k", b"1", &[]).is(201);
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
    ] {
        served
            .send("GET", &path, &[("host", host)], b"")
            .fails(421, "E_HTTP_HOST");
        served
            .send("GET", "/healthz", &[("host", host)], b"")
            .fails(421, "E_HTTP_HOST");
    }
    for host in ["localhost", "127.0.0.1", "[::1]:80"] {
        served.send("GET", &path, &[("host", host)], b"").is(200);
    }
    for origin in ["https://evil.example", "null", "http://localhost"] {
        let headers = [("origin", origin)];
        served
            .send("GET", &path, &headers, b"")
            .fails(403, "E_HTTP_ORIGIN");
        served
            .send("PUT", &path, &headers, b"2")
            .fails(403, "E_HTTP_ORIGIN");
        let asked = [("origin", origin), ("access-control-request-method", "PUT")];
        let preflight = served.send("OPTIONS", &path, &asked, b"");
        assert!(
            !preflight
                .headers
                .contains_key("access-control-allow-origin")
        );
        assert!(preflight.status >= 400);
    }
    served
        .send("GET", &path, &[("sec-fetch-site", "cross-site")], b"")
        .fails(403, "E_HTTP_ORIGIN");
    // What a form or a script may send without asking first is no write.
    let body = json!({ "changes": [{ "key": "k", "text": "2" }] }).to_string();
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ] {
        for path in ["commits", "branches", "sql"] {
            let path = format!("{SPACE}/{path}");
            served
                .send("POST", &path, &[("content-type", media)], body.as_bytes())
                .fails(415, "E_HTTP_TYPE");
        }
    }
    assert_eq!(served.ask("GET", &path).is(200).text(), "1");
    assert_eq!(
        served
            .ask("GET", &path)
            .header("cross-origin-resource-policy"),
        "same-origin"
    );
    served.stop();
}

#[test]
fn pages_of_an_allowed_origin_ask() {
    let path = format!("{SPACE}/entries/k");
    let args = [
        "--http-origin",
        "https://app.example",
        "--http-host",
        "node.example",
    ];
    let served = Served::of(Home::with_space(), &args);
    let origin = ("origin", "https://app.example");
    let asked = [
        origin,
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "if-match"),
    ];
    let preflight = served.send("OPTIONS", &path, &asked, b"").is(200);
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(
        preflight
            .header("access-control-allow-methods")
            .contains("PUT")
    );
    let put = served.put("k", b"1", &[origin]).is(201);
    assert_eq!(
        put.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(put.header("access-control-expose-headers").contains("etag"));
    served
        .put("k", b"1", &[("origin", "https://evil.example")])
        .fails(403, "E_HTTP_ORIGIN");
    served
        .send("GET", "/healthz", &[("host", "node.example")], b"")
        .is(200);
    served.stop();
}
