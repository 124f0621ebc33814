//! What can be said about HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::token::IssueArgs;

/// How a running node is served over HTTP.
#[derive(Debug, Args)]
pub(crate) struct HttpArgs {
    /// Serve the spaces over HTTP there too; port 0 lets the system choose
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// The token that programs must show [default: the file http-token of the home, if it is there]
    #[arg(long, value_name = "FILE", requires = "http")]
    pub(crate) http_token_file: Option<PathBuf>,
    /// Make a certificate, and keep it in the home
    #[arg(
        long,
        value_name = "HOW",
        requires = "http",
        conflicts_with = "http_tls_cert"
    )]
    pub(crate) http_tls: Option<HttpTls>,
    /// A certificate in PEM, with those that lead to its authority
    #[arg(
        long,
        value_name = "FILE",
        requires = "http",
        requires = "http_tls_key"
    )]
    pub(crate) http_tls_cert: Option<PathBuf>,
    /// Its key in PEM
    #[arg(long, value_name = "FILE", requires = "http_tls_cert")]
    pub(crate) http_tls_key: Option<PathBuf>,
    /// Serve others than this machine without TLS: behind something that has it
    #[arg(long, requires = "http")]
    pub(crate) http_insecure: bool,
    /// Another name under which the node may be asked on loopback
    #[arg(long, value_name = "NAME", requires = "http")]
    pub(crate) http_host: Vec<String>,
    /// An origin whose pages may ask, as https://app.example
    #[arg(long, value_name = "ORIGIN", requires = "http")]
    pub(crate) http_origin: Vec<String>,
}

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HttpTls {
    /// The node makes it
    SelfSigned,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HttpCommand {
    /// What programs show that ask over HTTP
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
}

impl HttpCommand {
    /// Whether it needs the keys.
    pub(crate) const fn signs(&self) -> bool {
        let Self::Token { command } = self;
        matches!(command, TokenCommand::Issue(_))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token in place of the one that is there, and print it; a running node takes it when it is started again
    New,
    /// Print the token
    Show,
    /// Issue a session token, by which somebody may do some things for some minutes
    Issue(IssueArgs),
}
