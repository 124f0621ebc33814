//! How the servers of links are reached: tokens and certificates from files.

use std::sync::Arc;

use allod_federation::Dial;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::settings::{BadSetting, LinkDefinition, Shared};
use crate::http::HttpToken;

/// How the server of a link is reached, as its files say at the time.
pub(super) fn dial(definition: &LinkDefinition, shared: &Shared) -> Result<Dial, BadSetting> {
    definition.check()?;
    let token = definition.token.as_ref().map(|path| HttpToken::read(path));
    let token = token.transpose();
    let token = token.map_err(|error| BadSetting(error.to_string()))?;
    let is_tls = definition.url.starts_with("wss:");
    Ok(Dial {
        tls: is_tls.then(|| tls(definition)).transpose()?,
        token: token.map(|token| token.text().to_owned()),
        rules: Some(definition.rules(shared)?),
    })
}

/// Certificates of the authority that is named, or else of those that browsers believe.
fn tls(definition: &LinkDefinition) -> Result<Arc<ClientConfig>, BadSetting> {
    let mut roots = RootCertStore::empty();
    match &definition.authority {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let words =
                |error: &dyn std::fmt::Display| BadSetting(format!("{}: {error}", path.display()));
            let read = CertificateDer::pem_file_iter(path).map_err(|error| words(&error))?;
            for certificate in read {
                let certificate = certificate.map_err(|error| words(&error))?;
                roots.add(certificate).map_err(|error| words(&error))?;
            }
        }
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BadSetting(error.to_string()))?;
    Ok(Arc::new(
        config.with_root_certificates(roots).with_no_client_auth(),
    ))
}
