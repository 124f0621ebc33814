//! Tests of the crate through its public interface.

mod chains;
mod naive;
mod oracle;
mod patterns;
mod policies;
mod rules;
mod tokens;
mod vectors;
mod verdicts;
mod worlds;

use std::sync::LazyLock;

use allod_access::{
    Answer, Authorizer, Facts, Ground, Op, Principal, Request, Rule, Target, Verdict,
};
use allod_identity::{AgentId, SecretKey};
use cid::Cid;
use cid::multihash::Multihash;
use proptest::test_runner::Config;

/// Cases per property, scaled by `ALLOD_TEST_SCALE`.
fn cases(base: u32) -> Config {
    let scale = std::env::var("ALLOD_TEST_SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok())
        .unwrap_or(1);
    Config {
        cases: base.saturating_mul(scale),
        failure_persistence: None,
        ..Config::default()
    }
}

/// A time, in milliseconds since 1970.
const NOW: u64 = 1_800_000_000_000;

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32])
}

/// Making a key takes longer than most that is tested here.
static AGENTS: LazyLock<Vec<AgentId>> =
    LazyLock::new(|| (0..16).map(|n| key(n).agent_id()).collect());

/// An agent; the first owns the spaces here.
fn agent(n: u8) -> AgentId {
    AGENTS[usize::from(n)]
}

/// A name for a statement: which it is, is for who keeps them to know.
fn link(n: u8) -> Cid {
    let digest = Multihash::wrap(0x12, &[n; 32]).expect("it fits");
    Cid::new_v1(0x71, digest)
}

/// The space of the tests.
fn space() -> Cid {
    link(255)
}

/// Adds a rule to the facts, from its parts in JSON.
fn rule(facts: &mut Facts, parts: serde_json::Value) {
    let rule: Rule = serde_json::from_value(parts).expect("it is a rule");
    facts
        .rules
        .insert(format!("{:03}", facts.rules.len()), rule);
}

fn authorizer(facts: &Facts) -> Authorizer {
    Authorizer::new(agent(0), space(), facts)
}

/// What is said of an operation on a branch and a key.
fn ask(facts: &Facts, who: &Principal, op: Op, branch: &str, target: Target<'_>) -> Verdict {
    authorizer(facts).check(&Request {
        who,
        op,
        branch,
        target,
        at: NOW,
    })
}

/// What is said of an operation of an agent, in short.
fn short(facts: &Facts, who: u8, op: Op, branch: &str, key: &str) -> (Answer, Ground) {
    let target = if key.is_empty() {
        Target::Branch
    } else {
        Target::Key(key.as_bytes())
    };
    let verdict = ask(facts, &Principal::agent(agent(who)), op, branch, target);
    assert!(!verdict.words().is_empty());
    (verdict.answer, verdict.ground)
}
