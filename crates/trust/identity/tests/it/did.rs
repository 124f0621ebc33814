//! DID documents.

use allod_identity::{DidDocument, KeyError, KeyLog, Service};
use serde_json::{Value, json};

use crate::key;

fn json_of(document: &DidDocument) -> Value {
    serde_json::to_value(document).expect("it is JSON")
}

/// What the method `did:key` gives for this key, as its page shows it.
#[test]
fn a_key_has_the_document_of_its_method() {
    let name = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
    let did = format!("did:key:{name}");
    let document = DidDocument::resolve(&did).expect("a key");
    let method = format!("{did}#{name}");
    assert_eq!(
        json_of(&document),
        json!({
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
            "id": did,
            "verificationMethod": [{
                "id": method, "type": "Multikey", "controller": did, "publicKeyMultibase": name,
            }],
            "authentication": [method],
            "assertionMethod": [method],
            "capabilityDelegation": [method],
            "capabilityInvocation": [method],
        })
    );
    let log = KeyLog::new(*document.agent());
    assert_eq!(DidDocument::of(&log, Vec::new()), Ok(document));
    assert_eq!(
        DidDocument::resolve("did:web:example.org").map_err(KeyError::code),
        Err("E_DID")
    );
}

#[test]
fn a_service_is_a_uri_with_a_name() {
    let log = KeyLog::new(key(1).agent_id());
    let service = |name: &str, kind: &str, endpoint: &str| Service {
        name: name.to_owned(),
        kind: kind.to_owned(),
        endpoint: endpoint.to_owned(),
    };
    let good = service("node", "AllodNode", "https://example.org/");
    let many = |count: usize| -> Vec<Service> {
        (0..count)
            .map(|n| service(&format!("n{n}"), "Node", "a:b"))
            .collect()
    };
    assert!(DidDocument::of(&log, many(16)).is_ok());
    let refused = [
        many(17),
        vec![good.clone(), good.clone()],
        vec![service("Node", "AllodNode", "https://example.org/")],
        vec![service("node", "", "https://example.org/")],
        vec![service("node", "Allod Node", "https://example.org/")],
        vec![service("node", "AllodNode", "//example.org/")],
        vec![service("node", "AllodNode", "1a:b")],
        vec![service("node", "AllodNode", "https://example.org/ x")],
        vec![service("node", "AllodNode", "https://example.org/\"")],
        vec![service(
            "node",
            "AllodNode",
            &format!("a:{}", "b".repeat(1023)),
        )],
    ];
    for services in refused {
        let error = DidDocument::of(&log, services).expect_err("no service");
        assert_eq!(error.code(), "E_DID_SERVICE");
    }
}
