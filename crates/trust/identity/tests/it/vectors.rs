//! The test vectors of STMT, IDENT and DID, and decisions of TRUST.

use std::collections::BTreeSet;

use allod_identity::{
    AgentId, CheckError, Decision, DecisionError, DecodeError, DidDocument, Event, GuardianSays,
    KdfParams, KeyError, KeyEvent, KeyLog, KeyLogError, Keystore, KeystoreError, Kit, KitError,
    Objection, Payload, PublicKey, RecoveryRequest, RecoveryTextError, SecretKey, Service,
    ServiceError, Signed, Standing, Verified, VerifyError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{hex, unhex};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    spec: String,
    revision: u64,
    schema: u64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    rule: Vec<String>,
    comment: String,
    input: Value,
    expect: Value,
}

/// Runs a file's cases; `run` gives what is expected under `ok`, or an error code.
pub(crate) fn check(
    path: &str,
    spec: &str,
    accepts_at_least: usize,
    run: impl Fn(&Value) -> Result<Value, &'static str>,
) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../specs/vectors/");
    let text = std::fs::read_to_string(format!("{root}{path}")).expect(path);
    let document: Document = serde_json::from_str(&text).expect(path);
    assert_eq!((document.spec.as_str(), document.schema), (spec, 1));
    assert_eq!(document.revision, 1);
    let (mut accepts, mut rejects) = (0, 0);
    for case in document.cases {
        assert!(!case.comment.is_empty() && case.id.starts_with(&case.rule[0]));
        let got = match run(&case.input) {
            Ok(value) => json!({ "ok": value }),
            Err(code) => json!({ "error": code }),
        };
        assert_eq!(got, case.expect, "{path} {}", case.id);
        match got.get("ok") {
            Some(_) => accepts += 1,
            None => rejects += 1,
        }
    }
    assert!(
        accepts >= accepts_at_least && rejects >= 3 * accepts_at_least,
        "{accepts}, {rejects}"
    );
}

/// The domain that the vectors of STMT use.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    say: String,
}

impl Payload for Example {
    const DOMAIN: &'static str = "example";

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        if self.say.is_empty() {
            return Err(CheckError::new("E_EXAMPLE", "it says nothing"));
        }
        Ok(())
    }
}

pub(crate) fn text<'a>(input: &'a Value, member: &str) -> &'a str {
    input[member].as_str().expect(member)
}

fn verify<T: Payload>(bytes: Vec<u8>) -> Result<Verified<T>, &'static str> {
    let signed = Signed::<T>::decode(bytes).map_err(DecodeError::code)?;
    signed.verify().map_err(VerifyError::code)
}

fn statement<T: Payload>(input: &Value) -> Result<Value, &'static str> {
    assert_eq!(text(input, "domain"), T::DOMAIN);
    let verified = verify::<T>(unhex(text(input, "bytes")))?;
    let bytes = verified.bytes();
    let said = &bytes[..bytes.len() - 66];
    let payload = &said[1 + 1 + T::DOMAIN.len() + 34..];
    let context = format!("allod/{}/1\0", T::DOMAIN);
    Ok(json!({
        "signer": verified.signer().to_string(),
        "payload": hex(payload),
        "signing_input": hex(&[context.as_bytes(), &[0x83], &said[1..]].concat()),
        "cid": verified.cid().to_string(),
    }))
}

#[test]
fn statements() {
    check("statement/statement.json", "STMT", 2, statement::<Example>);
}

#[test]
fn key_events() {
    check("identity/event.json", "IDENT", 5, statement::<KeyEvent>);
}

#[test]
fn what_is_said_against_a_recovery() {
    check(
        "identity/objection.json",
        "IDENT",
        1,
        statement::<Objection>,
    );
}

#[test]
fn kits() {
    check("identity/kit.json", "IDENT", 2, |input| {
        let kit: Kit = text(input, "text").parse().map_err(KitError::code)?;
        let again: Kit = kit.to_text().parse().map_err(KitError::code)?;
        assert_eq!(again.agent, kit.agent);
        assert!(!format!("{kit:?}").contains(&hex(&kit.secret.to_seed()[..])));
        let secret = hex(&again.secret.to_seed()[..]);
        Ok(json!({ "agent": kit.agent.to_string(), "secret": secret }))
    });
}

#[test]
fn requests_for_a_recovery() {
    check("identity/request.json", "IDENT", 2, |input| {
        let given = text(input, "text");
        let request: RecoveryRequest = given.parse().map_err(RecoveryTextError::code)?;
        assert_eq!(request.to_text(), given.to_ascii_lowercase());
        let check = request.check_code();
        assert!(request.is_check_code(&check.to_ascii_uppercase().replace('-', " ")));
        assert!(!request.is_check_code(&check[1..]) && !request.is_check_code(""));
        Ok(json!({
            "agent": request.agent.to_string(),
            "key": request.key.to_string(),
            "next": hex(&request.next),
            "prev": request.prev.to_string(),
            "check": check,
        }))
    });
}

#[test]
fn what_guardians_say() {
    check(
        "identity/guardian.json",
        "IDENT",
        4,
        statement::<GuardianSays>,
    );
}

#[test]
fn decisions() {
    check("trust/decision.json", "TRUST", 5, |input| {
        let bytes = unhex(text(input, "bytes"));
        let decision = Decision::decode(&bytes).map_err(DecisionError::code)?;
        assert_eq!(decision.encode(), Ok(bytes), "it is written as it was read");
        Ok(serde_json::to_value(decision).expect("it is JSON"))
    });
}

#[test]
fn documents() {
    check("identity/document.json", "DID", 5, |input| {
        let agent: AgentId = text(input, "agent").parse().map_err(KeyError::code)?;
        let mut log = KeyLog::new(agent);
        for event in input["events"].as_array().expect("events") {
            let event = verify::<KeyEvent>(unhex(event.as_str().expect("hex")))?;
            match log.append(event) {
                Ok(()) | Err(KeyLogError::Equivocation(_)) => {}
                Err(error) => return Err(error.code()),
            }
        }
        let services = input["services"].as_array().expect("services").iter();
        let services = services.map(|service| Service {
            name: text(service, "name").to_owned(),
            kind: text(service, "type").to_owned(),
            endpoint: text(service, "endpoint").to_owned(),
        });
        let document = DidDocument::of(&log, services.collect()).map_err(ServiceError::code)?;
        Ok(serde_json::to_value(document).expect("it is JSON"))
    });
}

#[test]
fn names_of_keys() {
    check("identity/did.json", "IDENT", 2, |input| {
        let key: PublicKey = text(input, "text").parse().map_err(KeyError::code)?;
        assert_eq!(key.to_string(), text(input, "text"));
        Ok(json!({ "key": hex(key.as_bytes()), "fingerprint": key.fingerprint() }))
    });
}

#[test]
fn key_logs() {
    check("identity/keylog.json", "IDENT", 3, |input| {
        let agent: AgentId = text(input, "agent").parse().map_err(KeyError::code)?;
        let mut log = KeyLog::new(agent);
        for event in input["events"].as_array().expect("events") {
            let event = verify::<KeyEvent>(unhex(event.as_str().expect("hex")))?;
            // What contradicts or was superseded may count in the end.
            match log.append(event) {
                Ok(()) | Err(KeyLogError::Equivocation(_) | KeyLogError::Superseded) => {}
                Err(error) => return Err(error.code()),
            }
        }
        let Some(key) = log.key() else {
            return Err("E_EQUIVOCATION");
        };
        let devices: serde_json::Map<String, Value> = log
            .devices()
            .map(|(id, device)| (id.to_string(), json!(device.name)))
            .collect();
        let ended = log
            .events()
            .iter()
            .filter_map(|event| match &event.payload().event {
                Event::RemoveDevice { device, .. } => Some(*device.key()),
                Event::Rotate { .. } | Event::Recover { .. } => Some(*event.signer()),
                _ => None,
            });
        let ended = ended.chain([*agent.key()]);
        let past: BTreeSet<String> = ended
            .filter(|key| log.standing(key) == Some(Standing::Before))
            .map(|key| key.to_string())
            .collect();
        Ok(json!({
            "head": log.head().map(ToString::to_string),
            "key": key.to_string(),
            "number": log.number(),
            "past": past,
            "devices": devices,
        }))
    });
}

#[test]
fn keystores() {
    check("identity/keystore.json", "IDENT", 4, |input| {
        let secret = unhex(text(input, "secret"));
        let store =
            Keystore::open(&unhex(text(input, "bytes")), &secret).map_err(KeystoreError::code)?;
        let seed = |key: Option<&SecretKey>| key.map(|key| hex(&key.to_seed()[..]));
        Ok(json!({
            "agent": seed(store.agent.as_ref()),
            "next": seed(store.next_agent.as_ref()),
            "device": seed(Some(&store.device)),
        }))
    });
}

#[test]
fn sealing_gives_the_bytes_of_the_vectors() {
    let store = Keystore {
        agent: Some(crate::key(1)),
        next_agent: Some(crate::key(2)),
        device: crate::key(3),
    };
    let params = KdfParams::new(8, 1, 1).unwrap();
    let sealed = store.seal(b"secret", params, [9; 16], [7; 24]).unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../specs/vectors/");
    let vectors = std::fs::read_to_string(format!("{root}identity/keystore.json")).unwrap();
    assert!(vectors.contains(&hex(&sealed)), "{}", hex(&sealed));
}
