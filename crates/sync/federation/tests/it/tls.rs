//! Links over TLS: the server is given a stream, the client a configuration.

use std::sync::Arc;

use allod_federation::{ConnectError, Dial};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::network::{delta, open};
use crate::sockets::{fast, federation, until};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn believing(certificate: CertificateDer<'static>) -> Dial {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Dial {
        tls: Some(Arc::new(config)),
        ..Dial::default()
    }
}

#[tokio::test]
async fn a_link_over_tls_believes_the_certificates_that_it_was_given() {
    let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (ours, other) = (made(), made());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(ours.key_pair.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![ours.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (server, of_server) = federation("server", open());
    let serving = server.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), serving.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    server.serve(stream).await;
                }
            });
        }
    });
    let (client, of_client) = federation("client", open());
    let url = format!("wss://localhost:{port}/federation");
    let stranger = believing(other.cert.der().clone());
    let refused = client.connect_to_remote(&url, fast(), stranger).await;
    assert!(
        matches!(refused, Err(ConnectError::Unreachable(_))),
        "{refused:?}"
    );
    let dial = believing(ours.cert.der().clone());
    client.connect_to_remote(&url, fast(), dial).await.unwrap();
    client.append(vec![delta("c", 1)]).await.unwrap();
    server.append(vec![delta("s", 1)]).await.unwrap();
    until(|| of_server.len() == 2 && of_client.len() == 2).await;
    client.close();
    server.close();
}
