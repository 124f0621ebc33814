//! What a server answers, as a source of rows (TAB-23).

use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use allod_adapters::{Source, SourceError};
use rustls::crypto::aws_lc_rs;
use ureq::tls::{TlsConfig, TlsProvider};
use ureq::{Agent, Error};

use crate::hooks::lock;

/// The most that an answer has, in bytes. It is kept in memory while statements read it.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How long an answer may take, with all that leads to it: as long as a statement (SQL).
const TIME: Duration = Duration::from_secs(30);

/// How long it may take until there is a connection: a server that does not listen is seen before others are.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How often an answer may send to another address: from a short one, and on to where it is today.
const REDIRECTS_MAX: u32 = 3;

/// The most bytes of an address: what servers take for one.
const URL_BYTES_MAX: usize = 8 * 1024;

/// How often it is looked whether a statement has to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Bytes that are read between two looks.
const READ_BYTES: usize = 64 * 1024;

/// What bounds an answer.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    bytes: u64,
    time: Duration,
    /// Whether the proxies that the environment names are asked.
    by_proxy: bool,
}

impl Bounds {
    const USUAL: Self = Self {
        bytes: BODY_BYTES_MAX,
        time: TIME,
        by_proxy: true,
    };
}

/// What a server answers to a GET. It is fetched once, and is the same from then on.
#[derive(Debug)]
pub(crate) struct HttpSource {
    url: String,
    bounds: Bounds,
    body: Mutex<Option<Arc<[u8]>>>,
}

impl HttpSource {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            bounds: Bounds::USUAL,
            body: Mutex::default(),
        }
    }
}

/// Refuses what is no address of a server that can be asked; why, in words.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    let behind = |scheme: &str| {
        let start = url.get(..scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme)
            .then(|| url.get(scheme.len()..))?
    };
    let rest = behind("http://").or_else(|| behind("https://"));
    let Some(rest) = rest else {
        return Err("an address begins with http:// or https://");
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if url.len() > URL_BYTES_MAX {
        Err("the address is too long")
    } else if host.is_empty() {
        Err("the address names no server")
    } else if host.contains('@') {
        // It would be kept, and shown.
        Err("an address has no name and password in it")
    } else if url.contains(|c: char| !c.is_ascii_graphic()) {
        Err("an address has no spaces, and nothing beyond ASCII; write it with %")
    } else {
        Ok(())
    }
}

impl Source for HttpSource {
    fn place(&self) -> String {
        // What is behind may be a secret.
        let end = self.url.find(['?', '#']).unwrap_or(self.url.len());
        self.url.get(..end).unwrap_or_default().to_owned()
    }

    fn open(&self, should_stop: &dyn Fn() -> bool) -> Result<Box<dyn Read>, SourceError> {
        let mut body = lock(&self.body);
        let bytes = match &*body {
            Some(bytes) => Arc::clone(bytes),
            None => {
                let bytes: Arc<[u8]> = fetch(&self.url, self.bounds, should_stop)?.into();
                Arc::clone(body.insert(bytes))
            }
        };
        Ok(Box::new(Cursor::new(bytes)))
    }
}

/// Fetches in a thread of its own, so that a statement ends when it has to. The thread ends soon
/// after: when the server says something, or takes too long.
fn fetch(
    url: &str,
    bounds: Bounds,
    should_stop: &dyn Fn() -> bool,
) -> Result<Vec<u8>, SourceError> {
    let (give, take) = sync_channel(1);
    let is_over = Arc::new(AtomicBool::new(false));
    let (url, over) = (url.to_owned(), Arc::clone(&is_over));
    thread::spawn(move || answer(&give, &url, bounds, &over));
    loop {
        match take.recv_timeout(LOOK_EVERY) {
            Ok(answer) => return answer,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(SourceError::Unreachable("the request failed".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) if should_stop() => {
                is_over.store(true, Ordering::Relaxed);
                return Err(SourceError::Stopped);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn answer(
    give: &SyncSender<Result<Vec<u8>, SourceError>>,
    url: &str,
    bounds: Bounds,
    is_over: &AtomicBool,
) {
    let answer = get(url, bounds, is_over);
    // Nobody takes it if the statement has ended.
    give.send(answer).ok();
}

fn get(url: &str, bounds: Bounds, is_over: &AtomicBool) -> Result<Vec<u8>, SourceError> {
    let told = |error: Error| told(error, bounds);
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .build();
    let mut config = Agent::config_builder()
        .tls_config(tls)
        // Nothing that began with TLS goes on without.
        .https_only(
            url.get(..6)
                .is_some_and(|it| it.eq_ignore_ascii_case("https:")),
        )
        .max_redirects(REDIRECTS_MAX)
        .timeout_global(Some(bounds.time))
        .timeout_connect(Some(CONNECT_TIME.min(bounds.time)))
        .user_agent(concat!("allod/", env!("CARGO_PKG_VERSION")))
        .accept("application/json, application/x-ndjson;q=0.9, */*;q=0.1");
    if !bounds.by_proxy {
        config = config.proxy(None);
    }
    let agent: Agent = config.build().new_agent();
    let response = agent.get(url).call().map_err(told)?;
    let too_large = || {
        let text = format!("the answer has more than {} bytes", bounds.bytes);
        Err(SourceError::Limit(text))
    };
    let body = response.into_body();
    if body
        .content_length()
        .is_some_and(|bytes| bytes > bounds.bytes)
    {
        return too_large();
    }
    let mut reader = body.into_reader();
    let (mut all, mut buffer) = (Vec::new(), vec![0; READ_BYTES]);
    loop {
        let read = reader.read(&mut buffer);
        let read = read.map_err(|error| told(Error::from(error)))?;
        if read == 0 {
            return Ok(all);
        }
        all.extend(buffer.get(..read).unwrap_or_default());
        if all.len() as u64 > bounds.bytes {
            return too_large();
        }
        if is_over.load(Ordering::Relaxed) {
            return Err(SourceError::Stopped);
        }
    }
}

fn told(error: Error, bounds: Bounds) -> SourceError {
    match error {
        Error::StatusCode(code) => SourceError::Unreachable(format!("the server answers {code}")),
        Error::TooManyRedirects => {
            SourceError::Limit(format!("more than {REDIRECTS_MAX} redirects"))
        }
        Error::Timeout(what) => {
            let seconds = bounds.time.as_secs_f64();
            SourceError::Limit(format!("no whole answer within {seconds} s ({what})"))
        }
        other => SourceError::Unreachable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A server that answers each request by `answer`, which gets the path. Its address.
    fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                let path = first.split(' ').nth(1).unwrap().to_owned();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                answer(&path, &mut stream);
            }
        });
        format!("http://{addr}")
    }

    fn ok(body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    fn source(url: String) -> HttpSource {
        let bounds = Bounds {
            bytes: 1000,
            time: Duration::from_millis(1500),
            by_proxy: false,
        };
        HttpSource {
            url,
            bounds,
            body: Mutex::default(),
        }
    }

    fn read(source: &HttpSource, should_stop: &dyn Fn() -> bool) -> Result<String, SourceError> {
        let mut text = String::new();
        source.open(should_stop)?.read_to_string(&mut text)?;
        Ok(text)
    }

    fn refused(source: &HttpSource) -> String {
        read(source, &|| false).unwrap_err().to_string()
    }

    #[test]
    fn an_answer_is_fetched_once() {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let url = serve(move |_, stream| {
            let number = count.fetch_add(1, Ordering::Relaxed).to_string();
            stream.write_all(ok(&number).as_bytes()).unwrap();
        });
        let (one, two) = (source(url.clone()), source(url));
        for _ in 0..2 {
            assert_eq!(read(&one, &|| false).unwrap(), "0");
        }
        assert_eq!(read(&two, &|| false).unwrap(), "1");
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let url = serve(|path, stream| {
            let answer = match path {
                "/here" => ok("[]"),
                "/moved" => "HTTP/1.1 302 Found\r\nLocation: /here\r\nContent-Length: 0\r\n\r\n".into(),
                "/loop" => "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n".into(),
                "/file" => "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n".into(),
                "/cut" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1".into(),
                "/large" => "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".into(),
                "/mad" => "NONSENSE\r\n\r\n".into(),
                _ => "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned(),
            };
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let at = |path: &str| source(format!("{url}{path}"));
        assert_eq!(read(&at("/moved"), &|| false).unwrap(), "[]");
        assert_eq!(refused(&at("/else?token=1")), "the server answers 500");
        assert!(!at("/else?token=1").place().contains("token"));
        assert!(refused(&at("/loop")).contains("more than 3 redirects"));
        assert!(refused(&at("/large")).contains("more than 1000 bytes"));
        for path in ["/file", "/cut", "/mad"] {
            let error = read(&at(path), &|| false).unwrap_err();
            assert!(
                matches!(error, SourceError::Unreachable(_)),
                "{path} {error}"
            );
        }
        let gone = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert!(refused(&source(format!("http://{gone}"))).contains("refused"));
    }

    #[test]
    fn an_endless_or_slow_answer_ends() {
        let url = serve(|path, stream| {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            let chunk: &[u8] = b"8\r\n[1,2,3,4\r\n";
            while stream.write_all(chunk).is_ok() {
                if path == "/slow" {
                    thread::sleep(Duration::from_millis(100));
                }
            }
        });
        assert!(refused(&source(format!("{url}/endless"))).contains("more than 1000 bytes"));
        let slow = source(format!("{url}/slow"));
        assert!(
            refused(&slow).contains("within 1.5 s"),
            "{}",
            refused(&slow)
        );
        let started = std::time::Instant::now();
        assert_eq!(read(&slow, &|| true).unwrap_err(), SourceError::Stopped);
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn only_servers_are_asked() {
        for url in [
            "file:///etc/passwd",
            "ftp://a/b",
            "a/b",
            "http://",
            "http:///x",
            "https://u:p@a/",
            "http://a/ b",
            "",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
        for url in ["http://a", "HTTPS://a/b?c=@d#e", "http://[::1]:80/"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
    }
}
