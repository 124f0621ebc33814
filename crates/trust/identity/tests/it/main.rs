//! Tests of the crate through its public interface.

mod canonical;
mod decision;
mod did;
mod import;
mod keylog;
mod keystore;
mod pairing;
mod recovery;
mod statement;
mod vectors;

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

fn key(n: u8) -> allod_identity::SecretKey {
    allod_identity::SecretKey::from_seed([n; 32])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
        .collect()
}
