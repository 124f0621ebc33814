//! Statements and key events from any bytes: no panic, and what is accepted is canonical.

#![no_main]

use allod_identity::{AgentId, GuardianSays, KeyEvent, KeyLog, Keystore, Signed, canonical, domain_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let canonical = canonical::check(data).is_ok();
    if domain_of(data).is_ok() {
        assert!(canonical, "an envelope that is not canonical");
    }
    if let Ok(signed) = Signed::<KeyEvent>::decode(data.to_vec()) {
        assert!(canonical, "a statement that is not canonical");
        if let Ok(event) = signed.verify() {
            assert_eq!(event.bytes().as_ref(), data);
            let mut log = KeyLog::new(event.payload().agent);
            if log.append(event.clone()).is_ok() {
                assert!(
                    log.append(event).is_ok(),
                    "the same event is accepted again"
                );
            }
        }
    }
    if let Ok(signed) = Signed::<GuardianSays>::decode(data.to_vec()) {
        assert!(canonical, "a statement that is not canonical");
        drop(signed.verify());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(agent) = text.parse::<AgentId>() {
            assert_eq!(agent.to_string(), text, "an agent has one name");
        }
    }
    // Parsing only: a file that asks for a high cost would make the run slow, not wrong.
    if data.len() < 64 {
        assert!(Keystore::open(data, b"").is_err());
    }
});
