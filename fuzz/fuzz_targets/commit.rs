//! Commits and genesis statements from any bytes, and from any payload that decodes, signed well.

#![no_main]

use allod_identity::{Payload, SecretKey, Signed, Verified, canonical};
use allod_repo::{Commit, Genesis, MESSAGE_BYTES_MAX, PARENTS_MAX};
use libfuzzer_sys::fuzz_target;
use std::fmt::Debug;

fn statement<T: Payload + Clone + Debug + PartialEq>(data: &[u8]) -> Option<Verified<T>> {
    let verified = Signed::<T>::decode(data.to_vec()).ok()?.verify().ok()?;
    assert_eq!(verified.bytes().as_ref(), data);
    Some(verified)
}

/// Signs a payload that an attacker chose: it is accepted as often as its signer may sign it.
fn signed<T: Payload + Clone + Debug + PartialEq>(data: &[u8]) -> Option<T> {
    let payload: T = canonical::decode(data, 65_536).ok()?;
    let key = SecretKey::from_seed([7; 32]);
    let made = Verified::sign(&key, payload.clone()).ok()?;
    let read = statement::<T>(made.bytes()).expect("what is signed verifies");
    assert_eq!(read.cid(), made.cid());
    assert_eq!(read.payload(), &payload);
    Some(payload)
}

fuzz_target!(|data: &[u8]| {
    statement::<Genesis>(data);
    signed::<Genesis>(data);
    let raw = statement::<Commit>(data).map(Verified::into_payload);
    for commit in [raw, signed::<Commit>(data)].into_iter().flatten() {
        // REPO-10
        assert!(commit.message.len() <= MESSAGE_BYTES_MAX);
        assert!(commit.parents.len() <= PARENTS_MAX);
        assert_eq!(commit.generation == 1, commit.parents.is_empty());
        assert!(commit.generation > 0);
        let names: Vec<_> = commit
            .parents
            .iter()
            .map(|id| id.cid().to_bytes())
            .collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
    }
});
