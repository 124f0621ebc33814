//! Peers that break the rules: a raw QUIC client with the stock TLS configuration of libp2p, or with
//! a certificate that names nobody.

use std::sync::Arc;
use std::time::Duration;

use allod_identity::SecretKey;
use allod_quic::{ALPN, CloseCode, Endpoint, FRAME_BYTES_MAX, Limits, QuicError, StreamKind};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ConnectionError, ReadError, VarInt};
use tokio::time::timeout;

use crate::{bind, brisk, key, loopback, pair};

fn client_config(key: &SecretKey, alpn: &[u8]) -> quinn::ClientConfig {
    let mut seed = key.to_seed();
    let keypair = libp2p_identity::Keypair::ed25519_from_bytes(&mut seed[..]).expect("a key");
    let mut config = libp2p_tls::make_client_config(&keypair, None).expect("a configuration");
    config.alpn_protocols = vec![alpn.to_vec()];
    let config = QuicClientConfig::try_from(config).expect("a configuration");
    quinn::ClientConfig::new(Arc::new(config))
}

/// Dials with a configuration of its own.
async fn dial(
    there: &Endpoint,
    config: quinn::ClientConfig,
) -> Result<quinn::Connection, ConnectionError> {
    let raw = quinn::Endpoint::client(loopback()).expect("an endpoint");
    let addr = there.local_addr().expect("an address");
    raw.connect_with(config, addr, "l").expect("a dial").await
}

async fn raw_pair(there: &Endpoint) -> (quinn::Connection, allod_quic::Connection) {
    let (raw, accepted) = tokio::join!(dial(there, client_config(&key(1), ALPN)), there.accept());
    (raw.expect("a connection"), accepted.expect("a connection"))
}

/// Opens a stream, writes `bytes`, and gives the code with which the peer stops it.
async fn refused_with(raw: &quinn::Connection, bytes: &[u8]) -> VarInt {
    let (mut send, mut recv) = raw.open_bi().await.expect("a stream");
    send.write_all(bytes).await.expect("room");
    let answer = timeout(Duration::from_secs(5), recv.read_to_end(100))
        .await
        .expect("an answer in time");
    let error = answer.expect_err("not refused");
    let quinn::ReadToEndError::Read(ReadError::Reset(code)) = error else {
        unreachable!("refused otherwise: {error}");
    };
    code
}

#[tokio::test]
async fn a_stock_libp2p_certificate_is_understood() {
    let there = bind(2, brisk());
    let (_raw, accepted) = raw_pair(&there).await;
    assert_eq!(accepted.peer(), key(1).device_id());
}

#[tokio::test]
async fn another_protocol_is_refused_by_tls() {
    let there = bind(2, brisk());
    let Err(ConnectionError::ConnectionClosed(close)) =
        dial(&there, client_config(&key(1), b"allod/2")).await
    else {
        panic!("another protocol was accepted");
    };
    assert_eq!(u64::from(close.error_code), 0x100 + 120);
}

#[tokio::test]
async fn a_certificate_without_a_device_is_refused() {
    let there = bind(2, brisk());
    // A certificate for no purpose of ours, self-signed and otherwise in order.
    let made = rcgen::generate_simple_self_signed(vec!["l".to_owned()]).unwrap();
    let tls_key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.key_pair.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_client_auth_cert(vec![made.cert.into()], tls_key.into())
        .unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = QuicClientConfig::try_from(config).unwrap();
    let outcome = dial(&there, quinn::ClientConfig::new(Arc::new(config))).await;
    let error = match outcome {
        // The client is done before the server has judged its certificate.
        Ok(raw) => raw.closed().await,
        Err(error) => error,
    };
    let ConnectionError::ConnectionClosed(close) = error else {
        panic!("not refused: {error:?}");
    };
    assert!((0x100..0x200).contains(&u64::from(close.error_code)));
    let accepted = timeout(Duration::from_millis(200), there.accept()).await;
    assert!(accepted.is_err(), "a peer without a name was accepted");
}

/// The certificate of a device, with a key that does not belong to it.
fn stolen(from: &SecretKey) -> Arc<rustls::sign::SingleCertAndKey> {
    let made = |key: &SecretKey| {
        let mut seed = key.to_seed();
        let keypair = libp2p_identity::Keypair::ed25519_from_bytes(&mut seed[..]).expect("a key");
        libp2p_tls::certificate::generate(&keypair).expect("a certificate")
    };
    let (certificate, _its_key) = made(from);
    let (_certificate, other_key) = made(&key(66));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let other_key = provider
        .key_provider
        .load_private_key(other_key)
        .expect("a key");
    let certified = rustls::sign::CertifiedKey::new(vec![certificate], other_key);
    Arc::new(rustls::sign::SingleCertAndKey::from(certified))
}

#[tokio::test]
async fn a_stolen_certificate_opens_no_door() {
    let there = bind(2, brisk());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_client_cert_resolver(stolen(&key(1)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = QuicClientConfig::try_from(config).unwrap();
    let error = match dial(&there, quinn::ClientConfig::new(Arc::new(config))).await {
        Ok(raw) => raw.closed().await,
        Err(error) => error,
    };
    assert!(matches!(error, ConnectionError::ConnectionClosed(_)));
    let accepted = timeout(Duration::from_millis(200), there.accept()).await;
    assert!(accepted.is_err(), "a thief was accepted");
}

#[tokio::test]
async fn a_stolen_certificate_answers_no_dial() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(stolen(&key(2)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = QuicServerConfig::try_from(config).unwrap();
    let server = quinn::ServerConfig::with_crypto(Arc::new(config));
    let thief = quinn::Endpoint::server(server, loopback()).unwrap();
    let addr = thief.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let incoming = thief.accept().await.expect("a dial");
        incoming.await.is_err()
    });
    let here = bind(1, brisk());
    let outcome = here.connect(addr, key(2).device_id()).await;
    assert_eq!(outcome.unwrap_err().code(), "E_HANDSHAKE");
    assert!(serving.await.unwrap());
}

#[tokio::test]
async fn no_certificate_at_all_is_refused() {
    let there = bind(2, brisk());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = QuicClientConfig::try_from(config).unwrap();
    let error = match dial(&there, quinn::ClientConfig::new(Arc::new(config))).await {
        Ok(raw) => raw.closed().await,
        Err(error) => error,
    };
    assert!(matches!(error, ConnectionError::ConnectionClosed(_)));
}

#[tokio::test]
async fn a_stream_of_an_unknown_kind_is_refused_and_others_go_on() {
    let there = bind(2, brisk());
    let (raw, accepted) = raw_pair(&there).await;
    let accepting = tokio::spawn(async move { (accepted.accept().await, accepted) });
    let kind = VarInt::from_u32(CloseCode::STREAM_KIND.0);
    for hello in [
        &[3, 0, 0, 0, 0x82, 9, 1][..],
        &[3, 0, 0, 0, 0x82, 1, 2],
        &[4, 0, 0, 0, 0x82, 0x18, 1, 1],
        &[4, 0, 0, 0, 0x82, 1, 1, 0],
        &[0, 0, 0, 0],
        &[33, 0, 0, 0],
        // Nothing more comes: the time limit.
        &[3, 0, 0],
    ] {
        assert_eq!(refused_with(&raw, hello).await, kind, "{hello:?}");
    }

    let (mut send, _recv) = raw.open_bi().await.unwrap();
    send.write_all(&[3, 0, 0, 0, 0x82, 1, 1, 2, 0, 0, 0, 7, 7])
        .await
        .unwrap();
    let (stream, _accepted) = accepting.await.unwrap();
    let mut stream = stream.unwrap();
    assert_eq!(stream.kind(), StreamKind::Sync);
    assert_eq!(stream.recv().await, Ok(Some(vec![7, 7].into())));
}

#[tokio::test]
async fn an_oversized_frame_is_refused_by_its_length_alone() {
    let there = bind(2, brisk());
    let (raw, accepted) = raw_pair(&there).await;
    for len in [FRAME_BYTES_MAX as u32 + 1, u32::MAX] {
        let (mut send, mut recv) = raw.open_bi().await.unwrap();
        send.write_all(&[3, 0, 0, 0, 0x82, 1, 1]).await.unwrap();
        send.write_all(&len.to_le_bytes()).await.unwrap();
        let mut stream = accepted.accept().await.unwrap();
        let got = len.into();
        assert_eq!(stream.recv().await, Err(QuicError::FrameTooLarge { got }));
        drop(stream);
        let stopped = send.stopped().await.unwrap();
        assert_eq!(stopped, Some(VarInt::from_u32(CloseCode::FRAME.0)));
        assert!(recv.read_to_end(10).await.is_err());
    }
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_is_a_fault() {
    let there = bind(2, brisk());
    let (raw, accepted) = raw_pair(&there).await;
    for cut in [
        &[9][..],
        &[9, 0, 0, 0],
        &[9, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
    ] {
        let (mut send, _recv) = raw.open_bi().await.unwrap();
        send.write_all(&[3, 0, 0, 0, 0x82, 1, 1]).await.unwrap();
        send.write_all(cut).await.unwrap();
        send.finish().unwrap();
        let mut stream = accepted.accept().await.unwrap();
        assert_eq!(stream.recv().await, Err(QuicError::FrameCut));
    }
}

#[tokio::test]
async fn one_way_streams_are_not_to_be_had() {
    let there = bind(2, brisk());
    let (raw, _accepted) = raw_pair(&there).await;
    let opened = timeout(Duration::from_millis(200), raw.open_uni()).await;
    assert!(opened.is_err());
    assert_eq!(raw.max_datagram_size(), None);
}

/// TRANS-8: the first packet closes what it would open. QUIC remembers it for the idle timeout, and an endpoint that
/// closes does not wait for that.
#[tokio::test]
async fn a_first_packet_that_closes_holds_nobody_up() {
    let there = bind(2, Limits::default());
    let raw = quinn::Endpoint::client(loopback()).unwrap();
    let config = client_config(&key(1), ALPN);
    let addr = there.local_addr().unwrap();
    drop(raw.connect_with(config.clone(), addr, "l").unwrap());
    // One more, which shows that the packet of the first has arrived.
    let (next, _accepted) =
        tokio::join!(raw.connect_with(config, addr, "l").unwrap(), there.accept());
    drop(next.unwrap());
    timeout(Duration::from_secs(10), there.close())
        .await
        .unwrap();
}

#[tokio::test]
async fn garbage_on_the_port_disturbs_nobody() {
    let (here, there) = (bind(1, brisk()), bind(2, brisk()));
    let noise = std::net::UdpSocket::bind(loopback()).unwrap();
    for n in 0..200u8 {
        let garbage = vec![n | 0xc0; 1 + usize::from(n) * 7];
        noise
            .send_to(&garbage, there.local_addr().unwrap())
            .unwrap();
    }
    let (dialled, _accepted) = pair(&here, &there).await;
    assert_eq!(dialled.peer(), there.device_id());
}

/// Takes any certificate, as an attacker would.
#[derive(Debug)]
struct Anyone;

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &rustls::pki_types::CertificateDer<'_>,
        _intermediates: &[rustls::pki_types::CertificateDer<'_>],
        _server_name: &rustls::pki_types::ServerName<'_>,
        _ocsp_response: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &rustls::pki_types::CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &rustls::pki_types::CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![
            rustls::SignatureScheme::ECDSA_NISTP256_SHA256,
            rustls::SignatureScheme::ED25519,
        ]
    }
}
