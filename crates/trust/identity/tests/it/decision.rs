//! Decisions: none fails for what it is about.

use allod_identity::{DECISION_BYTES_MAX, Decision, DecisionOutcome, Link, NoLink, What, Who};
use cid::Cid;
use proptest::prelude::*;

use crate::{cases, key};

fn outcomes() -> impl Strategy<Value = DecisionOutcome> {
    prop_oneof![
        Just(DecisionOutcome::Allow),
        Just(DecisionOutcome::Deny),
        Just(DecisionOutcome::Accept),
        Just(DecisionOutcome::Quarantine),
        Just(DecisionOutcome::Refuse),
        ".{0,200}".prop_map(DecisionOutcome::Chose),
    ]
}

/// A CID with a digest of so many bytes.
fn link(len: usize) -> Cid {
    let hash = multihash::Multihash::wrap(0x12, &vec![7; len]).expect("it fits");
    Cid::new_v1(0x71, hash)
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn every_decision_can_be_noted(
        (at, act, on) in (any::<u64>(), any::<String>(), "\\PC{0,700}|.{0,20}"),
        outcome in outcomes(),
        (rule, words) in (any::<String>(), "\\PC{0,1500}|.{0,20}"),
        evidence in prop::collection::vec(0..=64usize, 0..40),
    ) {
        let what = What::new(&act).in_space(Link::from(link(64))).on(&on);
        let decision = Decision::new(at, what, outcome)
            .about(Who::Device(key(1).device_id()))
            .by_rule(&rule)
            .because(&words)
            .resting_on(evidence.iter().map(|len| link(*len)));
        let bytes = decision.encode().expect("it is encoded");
        prop_assert!(bytes.len() <= DECISION_BYTES_MAX);
        prop_assert_eq!(Decision::decode(&bytes), Ok(decision.clone()));
        let text = serde_json::to_string(&decision).expect("it is JSON");
        prop_assert_eq!(serde_json::from_str::<Decision>(&text).expect("it is read"), decision.clone());
        if words.len() <= 1024 && !words.chars().any(char::is_control) {
            prop_assert_eq!(decision.words(), words);
        }
        prop_assert!(decision.evidence().len() <= 32);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(Decision::decode(&bytes).is_err());
    }
}

#[test]
fn a_decision_keeps_what_it_is_given() {
    let space = Link::from(link(32));
    let what = What::new("write").in_space(space).on("user:1");
    let decision = Decision::new(5, what, DecisionOutcome::Chose("ben's".to_owned()))
        .about(Who::Agent(key(1).agent_id()))
        .by_rule("rule 1")
        .because("the newest")
        .resting_on([link(32), link(31)]);
    assert_eq!((decision.at(), decision.rule()), (5, Some("rule 1")));
    assert_eq!(decision.who(), Some(&Who::Agent(key(1).agent_id())));
    assert_eq!(
        decision.outcome(),
        &DecisionOutcome::Chose("ben's".to_owned())
    );
    assert_eq!(
        decision.evidence(),
        [Link::from(link(32)), Link::from(link(31))]
    );
    let what = decision.what();
    assert_eq!((what.act(), what.object()), ("write", "user:1"));
    assert_eq!(what.space(), Some(&space));
    // What people could be deceived with is replaced, and what is too long is cut between characters.
    let odd = Decision::new(5, What::new("Write"), DecisionOutcome::Allow).because("a\u{1b}[2Jb");
    assert_eq!((odd.what().act(), odd.words()), ("act", "a\u{fffd}[2Jb"));
    let long = Decision::new(5, What::new("write"), DecisionOutcome::Allow);
    assert_eq!(
        long.by_rule(&"\u{20ac}".repeat(50)).rule(),
        Some("\u{20ac}".repeat(42).as_str())
    );
}

#[test]
fn a_link_has_one_text() {
    let name = Link::from(link(32));
    let text = name.to_string();
    assert_eq!(text.parse(), Ok(name));
    assert_eq!(serde_json::to_value(name).expect("JSON"), text.as_str());
    let upper = text.to_ascii_uppercase();
    let v0 = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n";
    for other in [
        "",
        "b",
        &text[1..],
        upper.as_str(),
        v0,
        &format!("{text}a"),
        &"b".repeat(500),
    ] {
        assert_eq!(other.parse::<Link>(), Err(NoLink), "{other}");
    }
}
