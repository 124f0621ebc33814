//! What all clients of HTTP share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use ureq::Agent;
use ureq::tls::{TlsConfig, TlsProvider};

use crate::target::Fault;

/// How long a request may take (SINK, "Limits").
const TIME: Duration = Duration::from_secs(30);

/// A client that follows no redirects, and takes any status for an answer.
pub(super) fn agent() -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(TIME))
        .http_status_as_error(false)
        .max_redirects(0);
    config.build().into()
}

/// A secret in a file, without the end of its line.
pub(super) fn read_line(path: &Path) -> Result<String, Fault> {
    let read = std::fs::read_to_string(path);
    let read = read.map_err(|error| Fault::Stopped(format!("{}: {error}", path.display())))?;
    Ok(read.trim().to_owned())
}
