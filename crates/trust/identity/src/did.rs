//! DID documents: how an agent looks to software that knows decentralised identifiers (DID-1 to DID-3).

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use crate::key::{AgentId, KeyError, PublicKey};
use crate::keylog::KeyLog;
use crate::text::is_name;

/// What every document says of its vocabulary: W3C Decentralized Identifiers 1.0 and Controlled Identifiers 1.0.
const CONTEXT: [&str; 2] = [
    "https://www.w3.org/ns/did/v1",
    "https://w3id.org/security/multikey/v1",
];

/// Services of a document at most (DID-3): more than a person has.
const SERVICES_MAX: usize = 16;

/// The longest type of a service, and the longest endpoint, in bytes.
const TYPE_BYTES_MAX: usize = 64;
const ENDPOINT_BYTES_MAX: usize = 1024;

/// A service that a document cannot have (DID-3). Blame: the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a document has at most 16 services, each with a name of its own, a type and a URI")]
pub struct ServiceError;

impl ServiceError {
    /// The registered error code.
    #[expect(
        clippy::unused_self,
        reason = "all errors tell their code in the same way"
    )]
    #[must_use]
    pub const fn code(self) -> &'static str {
        "E_DID_SERVICE"
    }
}

/// Where an agent can be found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// By which name the document has it, after the `#`.
    pub name: String,
    /// Of which type it is, as `AllodNode`.
    pub kind: String,
    /// Where: a URI.
    pub endpoint: String,
}

impl Service {
    fn is_good(&self) -> bool {
        let is_type = |byte: u8| byte.is_ascii_alphanumeric();
        let is_printable = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\'`".contains(&byte);
        let scheme = self.endpoint.split_once(':').map(|(scheme, _)| scheme);
        let is_scheme = scheme.is_some_and(|scheme| {
            let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(rest)
        });
        is_name(&self.name)
            && (1..=TYPE_BYTES_MAX).contains(&self.kind.len())
            && self.kind.bytes().all(is_type)
            && (3..=ENDPOINT_BYTES_MAX).contains(&self.endpoint.len())
            && self.endpoint.bytes().all(is_printable)
            && is_scheme
    }
}

/// The document of an agent. Serialised as JSON it is the document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DidDocument {
    agent: AgentId,
    /// The current key first, if there is one; then the devices.
    keys: Vec<PublicKey>,
    services: Vec<Service>,
}

impl DidDocument {
    /// The document that the method `did:key` makes of a name (DID-1).
    pub fn resolve(did: &str) -> Result<Self, KeyError> {
        let agent: AgentId = did.parse()?;
        Ok(Self {
            agent,
            keys: vec![*agent.key()],
            services: Vec::new(),
        })
    }

    /// The document of an agent, as its key log has it (DID-2), with where it can be found (DID-3).
    pub fn of(log: &KeyLog, services: Vec<Service>) -> Result<Self, ServiceError> {
        let names: BTreeSet<&str> = services.iter().map(|it| it.name.as_str()).collect();
        let are_good = services.iter().all(Service::is_good);
        if services.len() > SERVICES_MAX || names.len() < services.len() || !are_good {
            return Err(ServiceError);
        }
        let devices = log.devices().map(|(device, _)| *device.key());
        let keys = log.key().map_or_else(Vec::new, |key| {
            let others = devices.filter(|device| device != key);
            [*key].into_iter().chain(others).collect()
        });
        Ok(Self {
            agent: *log.agent(),
            keys,
            services,
        })
    }

    /// Whose document it is.
    #[must_use]
    pub const fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// The keys that speak for the agent: its own, then those of its devices.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(rename = "@context")]
    context: [&'a str; 2],
    id: String,
    verification_method: Vec<Method<'a>>,
    authentication: &'a [String],
    assertion_method: &'a [String],
    capability_delegation: &'a [String],
    capability_invocation: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    service: Vec<Endpoint<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Method<'a> {
    id: &'a str,
    r#type: &'a str,
    controller: &'a str,
    public_key_multibase: String,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    id: String,
    r#type: &'a str,
    #[serde(rename = "serviceEndpoint")]
    uri: &'a str,
}

impl Serialize for DidDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let did = self.agent.to_string();
        let names: Vec<String> = self.keys.iter().map(|key| key.to_multibase()).collect();
        let ids: Vec<String> = names.iter().map(|name| format!("{did}#{name}")).collect();
        let methods = ids.iter().zip(names).map(|(id, name)| Method {
            id,
            r#type: "Multikey",
            controller: &did,
            public_key_multibase: name,
        });
        let current = ids.get(..1).unwrap_or_default();
        let services = self.services.iter().map(|service| Endpoint {
            id: format!("{did}#{}", service.name),
            r#type: &service.kind,
            uri: &service.endpoint,
        });
        Shown {
            context: CONTEXT,
            id: did.clone(),
            verification_method: methods.collect(),
            authentication: &ids,
            assertion_method: &ids,
            capability_delegation: current,
            capability_invocation: current,
            service: services.collect(),
        }
        .serialize(serializer)
    }
}
