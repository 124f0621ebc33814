//! TLS: a certificate of the user's, or one that the node makes and keeps (HTTP-45).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allod_blocks::{Codec, sha256_cid};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::listen::HttpError;
use crate::home::{Home, read_private, write_private};
use crate::shown::hex;

/// The files of the node's own certificate, in its home.
const CERTIFICATE: &str = "http-cert.pem";
const KEY: &str = "http-key.pem";

/// A certificate and its key, ready to be used.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    /// The SHA-256 of the certificate, in hexadecimal digits.
    pub(crate) fingerprint: String,
}

/// Reads a chain of certificates and the key of the first from files.
pub(crate) fn of_files(certificate: &Path, key: &Path) -> Result<Identity, HttpError> {
    let pem = |path: &Path| fs::read(path).map_err(|error| bad(path, &error));
    of_pem((certificate, &pem(certificate)?), (key, &pem(key)?))
}

/// The node's own certificate, made for these names if it is not there yet.
pub(crate) fn of_home(home: &Home, names: Vec<String>) -> Result<Identity, HttpError> {
    let file = |name: &str| home.path().join(name);
    let (certificate, key) = (file(CERTIFICATE), file(KEY));
    if !certificate.exists() {
        let made = rcgen::generate_simple_self_signed(names);
        let made = made.map_err(|error| bad(&certificate, &error))?;
        // The key first: a certificate that is there has its key.
        write_private(&key, made.key_pair.serialize_pem().as_bytes())?;
        write_private(&certificate, made.cert.pem().as_bytes())?;
    }
    let secret = read_private(&key)?;
    let chain = fs::read(&certificate).map_err(|error| bad(&certificate, &error))?;
    of_pem((&certificate, &chain), (&key, &secret))
}

fn of_pem(chain: (&Path, &[u8]), key: (&Path, &[u8])) -> Result<Identity, HttpError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.1).collect();
    let read = read.map_err(|error| bad(chain.0, &error))?;
    let first = read
        .first()
        .ok_or_else(|| bad(chain.0, &"it has no certificate"))?;
    let digest = sha256_cid(Codec::Raw, first).hash().digest().to_vec();
    let secret = PrivateKeyDer::from_pem_slice(key.1).map_err(|error| bad(key.0, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(chain.0, &error))?
        .with_no_client_auth()
        .with_single_cert(read, secret);
    let mut config = config.map_err(|error| bad(chain.0, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity {
        config: Arc::new(config),
        fingerprint: hex(&digest),
    })
}

fn bad(path: &Path, why: &dyn std::fmt::Display) -> HttpError {
    HttpError::Certificate(PathBuf::from(path), why.to_string())
}
