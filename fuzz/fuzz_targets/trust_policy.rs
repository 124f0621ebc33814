//! Policies and decisions from any bytes: what is read is written so that it reads the same; an evaluation ends, and asks no
//! more than it may.

#![no_main]

use std::cell::Cell;
use std::sync::LazyLock;

use allod_identity::{AgentId, Decision, SecretKey, What};
use allod_trust::{
    About, Answer, Authors, Facts, Ground, Level, Outcome, POLICY_BYTES_MAX, Policy, STEPS_MAX, Signer, Subject,
};
use cid::Cid;
use libfuzzer_sys::fuzz_target;

/// Who claims things: made once, as that takes longer than all else.
static AUTHORS: LazyLock<[AgentId; 4]> = LazyLock::new(|| {
    [0, 1, 2, 3].map(|number| SecretKey::from_seed([number; 32]).agent_id())
});

/// Facts that follow from the question, and how often one was asked.
struct Asked(Cell<u32>);

impl Asked {
    fn answer(&self, number: usize) -> Answer {
        self.0.set(self.0.get() + 1);
        match number % 3 {
            0 => Answer::Yes(Vec::new()),
            1 => Answer::No,
            _ => Answer::Unknown,
        }
    }
}

impl Facts for Asked {
    fn attested(&self, by: &AgentId, _about: &About, category: &str, claim: Option<&str>) -> Answer {
        let number = usize::from(by.key().as_bytes()[0]);
        self.answer(number + category.len() + claim.map_or(0, str::len))
    }

    fn authors<'a>(&'a self, _about: &About, category: &str) -> Option<Authors<'a>> {
        if category.len() % 4 == 3 {
            return None;
        }
        Some(Box::new(AUTHORS.iter().copied().take(category.len() % 5)))
    }

    fn related(&self, _to: &AgentId, within: u8, _least: Level) -> Answer {
        self.answer(usize::from(within))
    }

    fn member(&self, _agent: &AgentId, _circle: &Cid, role: Option<&str>) -> Answer {
        self.answer(role.map_or(0, str::len))
    }

    fn custom(&self, name: &str, _subject: &Subject) -> Answer {
        self.answer(name.len())
    }
}

fn check(policy: &Policy) {
    let bytes = policy.encode().expect("it is encoded");
    assert!(bytes.len() <= POLICY_BYTES_MAX, "TRUST-40");
    assert_eq!(Policy::decode(&bytes).as_ref(), Ok(policy));
    let author = SecretKey::from_seed([1; 32]).agent_id();
    for device in [Signer::Agent, Signer::Unknown, Signer::Device((*author.key()).into())] {
        let asked = Asked(Cell::new(0));
        let verdict = policy.evaluate(&Subject { author, device }, &asked);
        // For the authors of claims about a device one more question in each condition.
        assert!(asked.0.get() <= STEPS_MAX + 256, "TRUST-44");
        match verdict.ground {
            Ground::Rule(at) => assert_eq!(verdict.outcome, policy.rules()[at].then),
            Ground::Otherwise => assert_eq!(verdict.outcome, policy.otherwise()),
            _ => assert_eq!(verdict.outcome, Outcome::Quarantine, "TRUST-43, TRUST-44"),
        }
        let decision = verdict.decision(1, author, What::new("commit"));
        let bytes = decision.encode().expect("it is encoded");
        assert_eq!(Decision::decode(&bytes), Ok(decision), "TRUST-51");
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(policy) = Policy::decode(data) {
        assert_eq!(policy.encode().as_deref(), Ok(data));
        check(&policy);
    }
    if let Ok(policy) = serde_json::from_slice::<Policy>(data) {
        check(&policy);
    }
    if let Ok(decision) = Decision::decode(data) {
        assert_eq!(decision.encode().as_deref(), Ok(data));
    }
});
