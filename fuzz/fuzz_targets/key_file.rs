//! Files of secret keys from any bytes: no panic, and a seed is read as what it is.

#![no_main]

use allod_identity::SecretKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let read = SecretKey::import(data);
    if let Ok(seed) = <[u8; 32]>::try_from(data) {
        let key = read.as_ref().expect("DID-10");
        assert_eq!(key.public(), SecretKey::from_seed(seed).public());
    }
    if let Ok(key) = read {
        let again = SecretKey::import(&key.to_seed()[..]).expect("DID-10");
        assert_eq!(again.public(), key.public());
    }
});
