//! TLS bound to device keys: the certificate of the libp2p TLS specification, judged by an own
//! verifier (TRANS-2 to TRANS-6).

use std::sync::{Arc, OnceLock};

use allod_identity::{DeviceId, SecretKey};
use libp2p_tls::certificate::{self, P2pCertificate};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};

use crate::error::BindError;

/// The protocol that native sessions negotiate (TRANS-2).
pub const ALPN: &[u8] = b"allod/1";

/// An ed25519 key as a peer id: a multihash that holds the key itself, as a protobuf.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The certificate of a device, and all that both sides of a handshake need beside it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    provider: Arc<CryptoProvider>,
    certified: Arc<SingleCertAndKey>,
}

impl Identity {
    /// Makes a certificate that binds a fresh TLS key to the device's key (TRANS-3).
    pub(crate) fn new(key: &SecretKey) -> Result<Self, BindError> {
        let mut seed = key.to_seed();
        let keypair = libp2p_identity::Keypair::ed25519_from_bytes(&mut seed[..])
            .map_err(|_error| BindError::Certificate)?;
        let (certificate, tls_key) =
            certificate::generate(&keypair).map_err(|_error| BindError::Certificate)?;
        let provider = Arc::new(provider());
        let tls_key = provider
            .key_provider
            .load_private_key(tls_key)
            .map_err(|_error| BindError::Certificate)?;
        let certified = CertifiedKey::new(vec![certificate], tls_key);
        Ok(Self {
            provider,
            certified: Arc::new(SingleCertAndKey::from(certified)),
        })
    }

    /// The configuration to dial with. `verifier` also tells who answered.
    pub(crate) fn client(&self, verifier: Arc<Verifier>) -> Result<QuicClientConfig, BindError> {
        let mut config = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|_error| BindError::Certificate)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(self.certified.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        // TRANS-6: neither resumption nor early data.
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.key_log = Arc::new(rustls::NoKeyLog);
        QuicClientConfig::try_from(config).map_err(|_error| BindError::Certificate)
    }

    /// The configuration to accept with: any device, as long as it proves its key.
    pub(crate) fn server(&self) -> Result<QuicServerConfig, BindError> {
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|_error| BindError::Certificate)?
            .with_client_cert_verifier(Arc::new(Verifier::default()))
            .with_cert_resolver(self.certified.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Other implementations put the slower cipher first.
        config.ignore_client_order = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.key_log = Arc::new(rustls::NoKeyLog);
        QuicServerConfig::try_from(config).map_err(|_error| BindError::Certificate)
    }
}

/// TLS 1.3 suites, the fastest for this processor first (TRANS-4).
fn provider() -> CryptoProvider {
    let mut cipher_suites = vec![
        TLS13_AES_128_GCM_SHA256,
        TLS13_AES_256_GCM_SHA384,
        TLS13_CHACHA20_POLY1305_SHA256,
    ];
    if !has_aes() {
        cipher_suites.rotate_right(1);
    }
    CryptoProvider {
        cipher_suites,
        ..aws_lc_rs::default_provider()
    }
}

/// Whether the processor has instructions for AES; without them ChaCha20 is the faster.
fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        std::arch::is_x86_feature_detected!("aes")
    }
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("aes")
    }
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

/// Judges the other side's certificate.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    expected: Option<DeviceId>,
    seen: OnceLock<DeviceId>,
}

impl Verifier {
    /// Takes `expected` and nobody else (TRANS-5).
    pub(crate) fn expecting(expected: DeviceId) -> Arc<Self> {
        Arc::new(Self {
            expected: Some(expected),
            seen: OnceLock::new(),
        })
    }

    /// The device that the certificate named, once one came and if one was expected.
    pub(crate) fn seen(&self) -> Option<DeviceId> {
        self.seen.get().copied()
    }

    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        if !intermediates.is_empty() {
            return Err(CertificateError::BadEncoding.into());
        }
        let device = device_of(certificate)?;
        let Some(expected) = self.expected else {
            return Ok(());
        };
        let seen = *self.seen.get_or_init(|| device);
        if device == expected && seen == expected {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}

/// The device whose key signed the certificate's own key.
pub(crate) fn device_of(certificate: &CertificateDer<'_>) -> Result<DeviceId, rustls::Error> {
    let peer_id = parse(certificate)?.peer_id().to_bytes();
    peer_id
        .strip_prefix(&PEER_ID_PREFIX)
        .and_then(|key| <[u8; 32]>::try_from(key).ok())
        .and_then(|key| DeviceId::from_bytes(key).ok())
        .ok_or_else(|| CertificateError::BadEncoding.into())
}

fn parse<'a>(certificate: &'a CertificateDer<'a>) -> Result<P2pCertificate<'a>, rustls::Error> {
    certificate::parse(certificate).map_err(|_error| CertificateError::BadEncoding.into())
}

fn verify_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    parse(certificate)?
        .verify_signature(signed.scheme, message, signed.signature())
        .map_err(|_error| CertificateError::BadSignature)?;
    Ok(HandshakeSignatureValid::assertion())
}

/// What certificates may be signed with: elliptic curves alone, as the keys are ours to make.
fn schemes() -> Vec<SignatureScheme> {
    vec![
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureScheme::ED25519,
    ]
}
