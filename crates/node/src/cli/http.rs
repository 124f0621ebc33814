//! `http`, and what `up` does about it.

use std::sync::Arc;

use allod::http::{HttpListener, HttpOptions, HttpToken, TlsOptions};
use allod::{Home, Node};
use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::sync::mpsc;

use crate::cli::http_args::{HttpArgs, HttpCommand, TokenCommand};
use crate::cli::io::Io;
use crate::cli::token;

/// Faults that wait to be said; whoever reads them learns as much from a few.
const FAULTS_WAITING: usize = 16;

/// What went wrong inside the listener, to be said by whoever runs the node.
pub(crate) type Faults = mpsc::Receiver<String>;

pub(crate) fn http(node: &Node, command: &HttpCommand, io: &mut Io<'_>) -> Result<()> {
    let HttpCommand::Token { command } = command;
    let token = match command {
        TokenCommand::New => HttpToken::make(node.home())?,
        TokenCommand::Show => HttpToken::of(node.home())?
            .context("this home has no token; `allod http token new` makes one")?,
        TokenCommand::Issue(args) => return token::issue(node, args, io),
    };
    io.data(&json!({ "token": token.text() }), || {
        token.text().to_owned()
    })
}

/// Binds the listener that was asked for.
pub(crate) fn bind(
    node: &Node,
    args: &HttpArgs,
    io: &Io<'_>,
) -> Result<(Option<HttpListener>, Faults)> {
    let (give, take) = mpsc::channel(FAULTS_WAITING);
    let Some(listen) = args.http else {
        return Ok((None, take));
    };
    let mut options = HttpOptions::new(listen);
    options.token = own_token(node.home(), args, io)?;
    options.tls = match (&args.http_tls_cert, &args.http_tls_key) {
        (Some(certificate), Some(key)) => Some(TlsOptions::Files {
            certificate: io.path(certificate),
            key: io.path(key),
        }),
        _ => args.http_tls.map(|_self_signed| TlsOptions::SelfSigned),
    };
    options.allow_plain = args.http_insecure;
    options.hosts.clone_from(&args.http_host);
    options.origins.clone_from(&args.http_origin);
    // What there is no room for is like what is said already.
    options.faults = Arc::new(move |cause| drop(give.try_send(cause.to_owned())));
    Ok((Some(HttpListener::bind(node, options)?), take))
}

fn own_token(home: &Home, args: &HttpArgs, io: &Io<'_>) -> Result<Option<HttpToken>> {
    Ok(match &args.http_token_file {
        Some(file) => Some(HttpToken::read(&io.path(file))?),
        None => HttpToken::of(home)?,
    })
}
