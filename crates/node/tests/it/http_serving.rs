//! Who is served, and until when: HTTP-40, HTTP-41, HTTP-45, HTTP-46.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::home::Home;
use crate::http_client::{Served, answer, request};

const SPACE: &str = "/v1/spaces/notes";

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_token_opens_the_node() {
    let home = Home::with_space();
    home.run(&["http", "token", "show"])
        .fails(1, &["allod http token new"]);
    let token = home.run(&["http", "token", "new"]).ok();
    let token = token.trim();
    assert_eq!(token.len(), 43);
    assert_eq!(home.run(&["http", "token", "show"]).ok().trim(), token);
    let file = home.path().join("http-token");
    assert_eq!(mode(&file), 0o600);
    let served = Served::of(home, &[]);
    let path = format!("{SPACE}/entries/k");
    let shown = format!("Bearer {token}");
    served
        .send("PUT", &path, &[("authorization", &shown)], b"1")
        .is(201);
    let wrong = format!("Bearer {}", "A".repeat(43));
    for path in [&path[..], "/v1/node", "/metrics", "/v1/nothing", SPACE] {
        let refused = served.ask("GET", path);
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"allod\"");
        refused.fails(401, "E_HTTP_TOKEN");
        for wrong in [&wrong[..], "Bearer ", "Basic YTpi", token] {
            served
                .send("GET", path, &[("authorization", wrong)], b"")
                .fails(401, "E_HTTP_TOKEN");
        }
    }
    served
        .send("PUT", &path, &[("authorization", &wrong)], b"2")
        .fails(401, "E_HTTP_TOKEN");
    assert_eq!(
        served
            .send("GET", &path, &[("authorization", &shown)], b"")
            .is(200)
            .text(),
        "1"
    );
    for open in ["/", "/healthz", "/openapi.json", "/style.css"] {
        served.ask("GET", open).is(200);
    }
    // Another token is made while the node runs, and counts when it is started again.
    let other = served.home.run(&["http", "token", "new"]).ok();
    assert_ne!(other.trim(), token);
    let Served { home, up } = served;
    assert_eq!(up.stop(), Some(0));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    home.run(&["up", "--http", "127.0.0.1:0"])
        .fails(1, &["can be read by others"]);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, "short").unwrap();
    home.run(&["up", "--http", "127.0.0.1:0"])
        .fails(1, &["no token"]);
    // A file elsewhere stands before that of the home.
    let elsewhere = home.write("token", "abcdefghijklmnopqrst\n");
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).unwrap();
    let served = Served::of(home, &["--http-token-file", &elsewhere]);
    served
        .send(
            "GET",
            SPACE,
            &[("authorization", "Bearer abcdefghijklmnopqrst")],
            b"",
        )
        .is(200);
    served.stop();
}

#[test]
fn others_are_served_with_a_token_and_tls_or_not_at_all() {
    let home = Home::with_space();
    let up = |args: &[&str]| home.run(&[&["up", "--http", "0.0.0.0:0"], args].concat());
    up(&[]).fails(1, &["no token", "allod http token new"]);
    up(&["--http-tls", "self-signed"]).fails(1, &["no token"]);
    home.run(&["http", "token", "new"]).ok();
    up(&[]).fails(1, &["read the token", "--http-tls", "--http-insecure"]);
    up(&["--http-origin", "app.example"]).fails(1, &["--http-tls"]);
    home.run(&[
        "up",
        "--http",
        "127.0.0.1:0",
        "--http-origin",
        "https://a/b",
    ])
    .fails(1, &["no origin"]);
    home.run(&["up", "--http-insecure"]).fails(2, &["--http"]);
    let missing = [
        "--http-tls-cert",
        "missing.pem",
        "--http-tls-key",
        "missing.pem",
    ];
    up(&missing).fails(1, &["missing.pem"]);
    let served = Served::of(home, &["--http", "0.0.0.0:0", "--http-insecure"]);
    let token = served.home.run(&["http", "token", "show"]).ok();
    let port = served.addr().rsplit_once(':').unwrap().1.to_owned();
    let ask = |headers: &[(&str, &str)]| {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream
            .write_all(&request("anything.example", ("GET", SPACE), headers, b""))
            .unwrap();
        answer(&mut stream, false).unwrap()
    };
    // Also this machine shows the token there.
    ask(&[]).fails(401, "E_HTTP_TOKEN");
    ask(&[("authorization", &format!("Bearer {}", token.trim()))]).is(200);
    served.stop();
}

/// Asks over TLS, trusting one certificate.
fn ask_tls(addr: &str, certificate: &[u8], path: &str) -> Result<u16, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(certificate).unwrap())
        .unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::StreamOwned::new(client, TcpStream::connect(addr).unwrap());
    let asked = request("localhost", ("GET", path), &[], b"");
    stream
        .write_all(&asked)
        .map_err(|error| error.to_string())?;
    answer(&mut stream, false)
        .map(|answer| answer.status)
        .ok_or_else(|| "no answer".to_owned())
}

#[test]
fn a_certificate_of_the_node_is_kept_and_one_of_files_is_used() {
    let served = Served::of(Home::with_space(), &["--http-tls", "self-signed"]);
    assert!(served.up.http.starts_with("https://"));
    let (file, key) = (
        served.home.path().join("http-cert.pem"),
        served.home.path().join("http-key.pem"),
    );
    assert_eq!(mode(&key), 0o600);
    let certificate = std::fs::read(&file).unwrap();
    assert_eq!(ask_tls(served.addr(), &certificate, SPACE), Ok(200));
    let der = CertificateDer::from_pem_slice(&certificate).unwrap();
    let digest = allod_blocks::sha256_cid(allod_blocks::Codec::Raw, &der);
    assert_eq!(
        served.up.fingerprint,
        allod::shown::hex(digest.hash().digest())
    );
    // Plain HTTP is none of its languages.
    assert!(
        served
            .raw(&request(served.addr(), ("GET", SPACE), &[], b""))
            .is_none()
    );
    let fingerprint = served.up.fingerprint.clone();
    let Served { home, up } = served;
    assert_eq!(up.stop(), Some(0));
    let again = Served::of(home, &["--http-tls", "self-signed"]);
    assert_eq!(again.up.fingerprint, fingerprint);
    let Served { home, up } = again;
    assert_eq!(up.stop(), Some(0));

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = [
        home.write("c.pem", other.cert.pem()),
        home.write("k.pem", other.key_pair.serialize_pem()),
    ];
    let args = ["--http-tls-cert", &files[0], "--http-tls-key", &files[1]];
    let served = Served::of(home, &args);
    assert_eq!(
        ask_tls(served.addr(), other.cert.pem().as_bytes(), SPACE),
        Ok(200)
    );
    assert!(ask_tls(served.addr(), &certificate, SPACE).is_err());
    served.stop();
}

#[test]
fn what_is_under_way_is_finished_when_the_node_stops() {
    let served = Served::new();
    let long = vec![b'x'; 30_000_000];
    served.put("long", &long, &[]).is(201);
    // A download of which nothing was read yet but the head, and an upload that has half of its body.
    let mut down = served.connect();
    down.write_all(&request(
        served.addr(),
        ("GET", &format!("{SPACE}/entries/long")),
        &[],
        b"",
    ))
    .unwrap();
    let mut first = [0; 15];
    down.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let mut up = served.connect();
    let head = request(
        served.addr(),
        ("PUT", &format!("{SPACE}/entries/k")),
        &[("content-length", "10")],
        b"12345",
    );
    up.write_all(&head).unwrap();
    // It is in its handler once another request that came later was answered.
    served.ask("GET", "/healthz").is(200);
    let idle = served.connect();
    let Served { home, up: node } = served;
    let addr = node.http.split_once("://").unwrap().1.to_owned();
    node.terminate();
    // Nobody new is let in.
    while TcpStream::connect(&addr).is_ok() {
        std::thread::yield_now();
    }
    up.write_all(b"67890").unwrap();
    assert_eq!(answer(&mut up, false).unwrap().status, 201);
    let rest = [&first[..], &{
        let mut rest = Vec::new();
        down.read_to_end(&mut rest).unwrap();
        rest
    }]
    .concat();
    let whole = answer(&mut &rest[..], false).unwrap();
    assert!(whole.is_whole && whole.body == long);
    drop(idle);
    assert_eq!(node.wait(), Some(0));
    assert_eq!(home.run(&["get", "k"]).ok(), "1234567890\n");
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

/// Up and down again, a file takes no more memory than a few chunks.
#[test]
fn a_large_file_is_never_in_memory() {
    const BYTES: usize = 200_000_000;
    let served = Served::new();
    let path = format!("{SPACE}/entries/large");
    let block: Vec<u8> = (0..1_000_003_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut up = served.connect();
    let length = BYTES.to_string();
    up.write_all(&request(
        served.addr(),
        ("PUT", &path),
        &[("content-length", &length)],
        b"",
    ))
    .unwrap();
    let mut sent = 0;
    while sent < BYTES {
        let part = &block[..block.len().min(BYTES - sent)];
        up.write_all(part).unwrap();
        sent += part.len();
    }
    let put = answer(&mut up, false).unwrap().is(201);
    let cid = put.header("etag").trim_matches('"').to_owned();
    for path in [path, format!("/v1/blobs/{cid}?space=notes&key=large")] {
        let mut down = served.connect();
        down.write_all(&request(served.addr(), ("GET", &path), &[], b""))
            .unwrap();
        let mut buffer = vec![0; block.len()];
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            down.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let mut read = 0;
        while read < BYTES {
            let part = block.len().min(BYTES - read);
            down.read_exact(&mut buffer[..part]).unwrap();
            assert!(buffer[..part] == block[..part], "at {read}");
            read += part;
        }
    }
    let kib = served.up.memory_kib();
    println!("the node had {kib} KiB at most");
    assert!(kib * 1024 < BYTES as u64 * 3 / 4, "{kib} KiB");
    served.stop();
}
