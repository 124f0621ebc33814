//! Keystores: sealed, opened, and what a crafted file can do.

use allod_identity::{KdfParams, Keystore, KeystoreError};
use proptest::prelude::*;

use crate::{cases, key};

const CHEAP: KdfParams = KdfParams::high_entropy();

fn store() -> Keystore {
    Keystore {
        agent: Some(key(1)),
        next_agent: Some(key(2)),
        device: key(3),
    }
}

fn same(a: &Keystore, b: &Keystore) -> bool {
    let seeds = |store: &Keystore| {
        let seed = |key: &allod_identity::SecretKey| *key.to_seed();
        (
            store.agent.as_ref().map(seed),
            store.next_agent.as_ref().map(seed),
            seed(&store.device),
        )
    };
    seeds(a) == seeds(b)
}

#[test]
fn what_is_sealed_is_opened_by_its_secret_alone() {
    let sealed = store()
        .seal(b"correct horse", CHEAP, [1; 16], [2; 24])
        .unwrap();
    assert!(same(
        &Keystore::open(&sealed, b"correct horse").unwrap(),
        &store()
    ));
    let wrong = Keystore::open(&sealed, b"correct horsf").unwrap_err();
    assert_eq!(wrong, KeystoreError::WrongSecret);
    let empty = Keystore::open(&sealed, b"").unwrap_err();
    assert_eq!(empty, KeystoreError::WrongSecret);
}

#[test]
fn a_device_needs_no_agent_key() {
    let device_only = Keystore {
        agent: None,
        next_agent: None,
        device: key(3),
    };
    let sealed = device_only.seal(&[7; 32], CHEAP, [1; 16], [2; 24]).unwrap();
    assert!(same(
        &Keystore::open(&sealed, &[7; 32]).unwrap(),
        &device_only
    ));
}

#[test]
fn the_interactive_cost_works() {
    let sealed = store()
        .seal(b"s", KdfParams::interactive(), [1; 16], [2; 24])
        .unwrap();
    assert!(same(&Keystore::open(&sealed, b"s").unwrap(), &store()));
}

#[test]
fn costs_out_of_bounds_are_refused() {
    for (memory, passes, lanes) in [
        (7, 1, 1),
        (31, 1, 4),
        (256 * 1024 + 1, 1, 1),
        (u32::MAX, 1, 1),
        (64, 0, 1),
        (64, 17, 1),
        (64, 1, 0),
        (64, 1, 5),
        (64, 1, u32::MAX),
    ] {
        assert_eq!(
            KdfParams::new(memory, passes, lanes),
            Err(KeystoreError::Params)
        );
    }
    assert!(KdfParams::new(256 * 1024, 16, 4).is_ok());
}

proptest! {
    #![proptest_config(cases(128))]

    /// Every byte is authenticated or checked: no changed file opens.
    #[test]
    fn a_changed_file_never_opens(at: prop::sample::Index, bit in 0..8u8) {
        let mut sealed = store().seal(b"s", CHEAP, [1; 16], [2; 24]).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(Keystore::open(&sealed, b"s").is_err());
        sealed.truncate(at);
        prop_assert!(Keystore::open(&sealed, b"s").is_err());
    }
}
