//! Tests of the crate through its public interface.

mod counting;
mod limits;
mod paths;
mod policies;
mod vectors;

use std::sync::LazyLock;

use allod_identity::{AgentId, Payload, SecretKey, Verified};
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
    LazyLock::new(|| (0..=u8::MAX).map(|n| key(n).agent_id()).collect());

fn agent(n: u8) -> AgentId {
    AGENTS[usize::from(n)]
}

fn said<T: Payload>(by: u8, payload: T) -> Verified<T> {
    Verified::sign(&key(by), payload).expect("it is signed")
}
