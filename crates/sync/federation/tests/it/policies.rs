//! Whose deltas are taken (FED-22, FED-23).

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_deltas::{Delta, Number};
use allod_federation::{Event, Rules, Signatures, TrustLists, TrustPolicy, Verdict};
use allod_identity::SecretKey;
use serde_json::json;

use crate::network::{delta, open};
use crate::scripts::{Scripted, json_of};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn signed(seed: u8) -> Delta {
    let key = SecretKey::from_seed([seed; 32]);
    Delta::sign(&key, Number::of(5), "laptop", vec![])
        .unwrap()
        .into_delta()
}

#[test]
fn a_link_narrows_what_the_server_allows_and_never_widens_it() {
    let alice = delta("d", 1);
    let lists = [
        None,
        Some(set(&[])),
        Some(set(&["alice"])),
        Some(set(&["bob"])),
    ];
    for of_server in &lists {
        for of_link in &lists {
            let policy = TrustPolicy {
                trusted_authors: of_server.clone(),
                ..TrustPolicy::open()
            };
            let link = TrustLists {
                authors: of_link.clone(),
                systems: None,
            };
            let allows = |list: &Option<BTreeSet<String>>| {
                list.as_ref().is_none_or(|list| list.contains("alice"))
            };
            let expected = allows(of_server) && allows(of_link);
            let verdict = policy.judge(&alice, &link);
            assert_eq!(
                verdict == Verdict::Accept,
                expected,
                "{of_server:?} {of_link:?}"
            );
        }
    }
    let link = |systems: &[&str]| TrustLists {
        systems: Some(set(systems)),
        ..TrustLists::default()
    };
    let open_to_all = TrustPolicy::open();
    assert_eq!(
        open_to_all.judge(&alice, &link(&["phone"])),
        Verdict::Reject
    );
    assert_eq!(
        open_to_all.judge(&alice, &link(&["phone", "laptop"])),
        Verdict::Accept
    );
    // A client that says nothing of trust turns nothing off.
    for config in [
        json!({}),
        json!({ "trustPolicy": {} }),
        json!({ "trustPolicy": null }),
    ] {
        let rules = Rules {
            trust: TrustPolicy {
                trusted_systems: Some(set(&["server"])),
                ..TrustPolicy::open()
            },
            ..Rules::default()
        };
        let mut server = Scripted::greeted(rules, config);
        server.hear(json!({ "type": "delta", "delta": json_of(&alice) }));
        let nack = server.next();
        assert_eq!(nack["reason"], "Failed trust policy verification");
        assert!(server.store.is_empty());
    }
    let config = json!({ "trustPolicy": { "trustedAuthors": [] } });
    let mut server = Scripted::greeted(open(), config);
    server.hear(json!({ "type": "delta", "delta": json_of(&alice) }));
    assert_eq!(
        server.next()["type"],
        "delta_nack",
        "an empty list trusts nobody"
    );
}

#[test]
fn who_is_denied_is_denied() {
    let policy = TrustPolicy {
        trusted_authors: Some(set(&["alice"])),
        denied_systems: set(&["laptop"]),
        ..TrustPolicy::open()
    };
    assert_eq!(
        policy.judge(&delta("d", 1), &TrustLists::default()),
        Verdict::Reject
    );
    let policy = TrustPolicy {
        denied_authors: set(&["alice"]),
        ..TrustPolicy::open()
    };
    assert_eq!(
        policy.judge(&delta("d", 1), &TrustLists::default()),
        Verdict::Reject
    );
}

#[test]
fn signatures_are_asked_for_unless_somebody_says_otherwise() {
    let (bare, good) = (delta("d", 1), signed(1));
    let forged = good.encode().replace("\"sig\":\"", "\"sig\":\"0000");
    let forged = Delta::decode(&forged).unwrap();
    let posed = Delta::content_addressed(Number::of(5), good.author(), "laptop", vec![]).unwrap();
    for (signatures, of_bare) in [
        (Signatures::Required, Verdict::Reject),
        (Signatures::Quarantined, Verdict::Quarantine),
        (Signatures::Optional, Verdict::Accept),
    ] {
        let policy = TrustPolicy {
            signatures,
            ..TrustPolicy::default()
        };
        let judge = |delta: &Delta| policy.judge(delta, &TrustLists::default());
        assert_eq!(judge(&good), Verdict::Accept);
        assert_eq!(judge(&bare), of_bare);
        assert_eq!(
            judge(&forged),
            Verdict::Reject,
            "a forgery is one under {signatures:?}"
        );
        assert_eq!(
            judge(&posed),
            Verdict::Reject,
            "nobody writes as a key under {signatures:?}"
        );
    }
    assert_eq!(TrustPolicy::default().signatures, Signatures::Required);
}

#[test]
fn a_rule_of_the_program_is_asked_last() {
    let policy = TrustPolicy {
        judge: Some(Arc::new(|delta: &Delta, verified: bool| {
            match (delta.id(), verified) {
                ("no", _) => Verdict::Reject,
                (_, true) => Verdict::Accept,
                _ => Verdict::Quarantine,
            }
        })),
        ..TrustPolicy::open()
    };
    let judge = |delta: &Delta| policy.judge(delta, &TrustLists::default());
    assert_eq!(judge(&delta("no", 1)), Verdict::Reject);
    assert_eq!(judge(&delta("d", 1)), Verdict::Quarantine);
    assert_eq!(judge(&signed(1)), Verdict::Accept);
}

#[test]
fn what_is_set_aside_is_shown_and_not_kept() {
    let rules = Rules {
        trust: TrustPolicy {
            signatures: Signatures::Quarantined,
            ..TrustPolicy::default()
        },
        ..Rules::default()
    };
    let mut server = Scripted::greeted(rules, json!({}));
    server.hear(json!({ "type": "delta", "delta": json_of(&delta("d", 1)) }));
    assert_eq!(server.next()["type"], "delta_nack");
    assert!(server.store.is_empty());
    let is_aside =
        |event: &Event| matches!(event, Event::DeltaQuarantined { delta } if delta.id() == "d");
    assert!(server.events.iter().any(is_aside));
}
