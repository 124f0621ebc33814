//! The listener: where it is bound, how long it serves.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::door;
use super::gate::Rules;
use super::router::router;
use super::tls::{self, Identity};
use super::token::HttpToken;
use crate::error::NodeError;
use crate::node::Node;

/// Hears what went wrong inside, which whoever asked does not.
pub type FaultSink = Arc<dyn Fn(&str) + Send + Sync>;

/// How the node is served over HTTP.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Where; port 0 is any that is free.
    pub listen: SocketAddr,
    /// What whoever asks must show. Needed but on loopback.
    pub token: Option<HttpToken>,
    /// TLS, or none.
    pub tls: Option<TlsOptions>,
    /// Whether others than this machine may be served without TLS: behind something that has it, or on a network
    /// that is encrypted itself.
    pub allow_plain: bool,
    /// Names under which the node may be asked on loopback, beside its addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Origins whose pages may ask, as `https://app.example`.
    pub origins: Vec<String>,
    /// Who hears what went wrong inside.
    pub faults: FaultSink,
}

impl std::fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpOptions")
            .field("listen", &self.listen)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl HttpOptions {
    /// Without a token and TLS; that is allowed on loopback alone.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            token: None,
            tls: None,
            allow_plain: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            faults: Arc::new(|_cause| {}),
        }
    }
}

/// Where a certificate comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TlsOptions {
    /// The node makes one, and keeps it in its home.
    SelfSigned,
    /// From files in PEM.
    Files {
        /// The certificate and those that lead to its authority.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// Why the node cannot be served over HTTP.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Others than this machine could ask, and nobody would have to show a token (HTTP-41).
    #[error(
        "{0} can be reached by others, and there is no token; `allod http token new` makes one"
    )]
    NoToken(SocketAddr),
    /// Others than this machine could ask, and read along (HTTP-41).
    #[error(
        "{0} can be reached by others, who could read the token and the data on their way; add --http-tls \
         self-signed or a certificate, or --http-insecure if something before the node has TLS"
    )]
    NoTls(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
    /// A certificate or its key cannot be used.
    #[error("{0}: {1}")]
    Certificate(PathBuf, String),
    /// Not what a browser sends as an origin.
    #[error("{0:?} is no origin: a scheme and a host, as https://app.example")]
    Origin(String),
    /// A file of the home could not be read or written.
    #[error(transparent)]
    Home(#[from] NodeError),
}

/// A bound listener that does not answer yet.
pub struct HttpListener {
    node: Node,
    socket: TcpListener,
    addr: SocketAddr,
    identity: Option<Identity>,
    rules: Rules,
    faults: FaultSink,
}

impl std::fmt::Debug for HttpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpListener")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl HttpListener {
    /// Binds the listener, if it would be safe where it is to be.
    pub fn bind(node: &Node, options: HttpOptions) -> Result<Self, HttpError> {
        let asked = options.listen;
        if !asked.ip().is_loopback() {
            if options.token.is_none() {
                return Err(HttpError::NoToken(asked));
            }
            if options.tls.is_none() && !options.allow_plain {
                return Err(HttpError::NoTls(asked));
            }
        }
        if let Some(bad) = options.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(HttpError::Origin(bad.clone()));
        }
        let identity = match &options.tls {
            None => None,
            Some(TlsOptions::Files { certificate, key }) => Some(tls::of_files(certificate, key)?),
            Some(TlsOptions::SelfSigned) => {
                let mut names = vec![
                    "localhost".to_owned(),
                    "127.0.0.1".to_owned(),
                    "::1".to_owned(),
                ];
                names.extend(options.hosts.iter().cloned());
                if !asked.ip().is_unspecified() && !asked.ip().is_loopback() {
                    names.push(asked.ip().to_string());
                }
                Some(tls::of_home(node.home(), names)?)
            }
        };
        let bound = TcpListener::bind(asked).and_then(|socket| {
            socket.set_nonblocking(true)?;
            let addr = socket.local_addr()?;
            Ok((socket, addr))
        });
        let (socket, addr) = bound.map_err(|error| HttpError::Bind(asked, error))?;
        Ok(Self {
            node: node.clone(),
            socket,
            addr,
            rules: Rules {
                bound: addr.ip(),
                is_tls: identity.is_some(),
                token: options.token,
                hosts: options.hosts,
                origins: options.origins,
            },
            identity,
            faults: options.faults,
        })
    }

    /// Where it is bound.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// How it is asked for, as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.rules.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// The SHA-256 of its certificate, in hexadecimal digits, if it has one.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        self.identity
            .as_ref()
            .map(|identity| &identity.fingerprint[..])
    }

    /// Serves until `stop` becomes true, and what is under way then to its end, for ten seconds at most.
    pub async fn serve(self, stop: watch::Receiver<bool>) -> Result<(), HttpError> {
        let socket = tokio::net::TcpListener::from_std(self.socket);
        let socket = socket.map_err(|error| HttpError::Bind(self.addr, error))?;
        let tls = self
            .identity
            .map(|identity| TlsAcceptor::from(identity.config));
        let app = router(self.node, self.rules, (self.faults, stop.clone()));
        door::serve(socket, tls, app, stop).await;
        Ok(())
    }
}

fn is_origin(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|host| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
        !host.is_empty() && host.bytes().all(plain)
    })
}
