//! Statements: signing, verifying, and what a receiver can be made to do.

use allod_identity::canonical::CanonicalError;
use allod_identity::{
    CheckError, DecodeError, KeyEvent, Payload, PublicKey, STATEMENT_BYTES_MAX, SignError, Signed,
    Verified, VerifyError, domain_of,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{cases, key};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
    at: Option<u64>,
}

impl Payload for Note {
    const DOMAIN: &'static str = "note";

    fn check(&self, signer: &PublicKey) -> Result<(), CheckError> {
        if self.text == signer.to_string() {
            return Err(CheckError::new("E_NOTE", "it is about its signer"));
        }
        Ok(())
    }
}

/// The same domain and members, but it forgets one of them.
#[derive(Debug, Serialize, Deserialize)]
struct Forgetful {
    text: String,
}

impl Payload for Forgetful {
    const DOMAIN: &'static str = "note";

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        Ok(())
    }
}

fn note(len: usize) -> Note {
    Note {
        text: "hello".to_owned(),
        data: vec![0; len],
        at: None,
    }
}

#[test]
fn a_type_that_forgets_a_member_cannot_be_read() {
    let bytes = Verified::sign(&key(1), note(1)).unwrap().bytes().clone();
    let error = Signed::<Forgetful>::decode(bytes).unwrap_err();
    assert_eq!(error, DecodeError::Encoding(CanonicalError::Shape));
}

#[test]
fn the_size_limit_is_exact_and_holds_on_both_sides() {
    let overhead = Verified::sign(&key(1), note(60_000)).unwrap().bytes().len() - 60_000;
    let fits = STATEMENT_BYTES_MAX - overhead;
    let largest = Verified::sign(&key(1), note(fits)).unwrap();
    assert_eq!(largest.bytes().len(), STATEMENT_BYTES_MAX);
    let read = Signed::<Note>::decode(largest.bytes().clone()).unwrap();
    assert_eq!(read.size(), STATEMENT_BYTES_MAX);
    assert!(read.verify().is_ok());

    let too_large = CanonicalError::TooLarge {
        got: STATEMENT_BYTES_MAX + 1,
        max: STATEMENT_BYTES_MAX,
    };
    assert_eq!(
        Verified::sign(&key(1), note(fits + 1)).unwrap_err(),
        SignError::Encoding(too_large)
    );
    assert_eq!(
        Signed::<Note>::decode(vec![0; STATEMENT_BYTES_MAX + 1]).unwrap_err(),
        DecodeError::Encoding(too_large)
    );
}

#[test]
fn invariants_hold_before_signing() {
    let mut about_me = note(0);
    about_me.text = key(1).public().to_string();
    assert!(Verified::sign(&key(2), about_me.clone()).is_ok());
    let error = Verified::sign(&key(1), about_me).unwrap_err();
    assert_eq!(error.code(), "E_NOTE");
}

#[test]
fn the_domain_is_known_before_the_type() {
    let bytes = Verified::sign(&key(1), note(3)).unwrap().bytes().clone();
    assert_eq!(domain_of(&bytes), Ok("note"));
    assert_eq!(
        Signed::<KeyEvent>::decode(bytes.clone()).unwrap_err(),
        DecodeError::Domain
    );
    assert_eq!(
        domain_of(&bytes[1..]).unwrap_err().code(),
        "E_TRAILING",
        "the domain alone is a value"
    );
}

#[test]
fn nothing_of_an_unverified_statement_is_shown() {
    let bytes = Verified::sign(&key(1), note(3)).unwrap().bytes().clone();
    let signed = Signed::<Note>::decode(bytes).unwrap();
    assert_eq!(
        format!("{signed:?}"),
        format!("Signed(unverified, {} bytes)", signed.size())
    );
}

#[test]
fn secret_keys_do_not_show() {
    let secret = key(1);
    let shown = format!("{secret:?}");
    assert_eq!(shown, format!("SecretKey(of {})", secret.public()));
    assert!(!shown.contains("0101"));
}

#[test]
fn keys_are_text_in_text_formats_and_bytes_in_binary_ones() {
    let key = key(1).device_id();
    let text = serde_json::to_string(&key).unwrap();
    assert_eq!(text, format!("\"{key}\""));
    assert_eq!(
        serde_json::from_str::<allod_identity::DeviceId>(&text).unwrap(),
        key
    );
    let bytes = allod_identity::canonical::encode(&key).unwrap();
    assert_eq!(bytes[..2], [0x58, 32]);
    assert_eq!(bytes[2..], *key.as_bytes());
}

fn any_note() -> impl Strategy<Value = Note> {
    (any::<String>(), any::<Vec<u8>>(), any::<Option<u64>>()).prop_map(|(text, data, at)| Note {
        text,
        data,
        at,
    })
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn what_is_signed_is_read_and_nothing_else(
        payload in any_note(), seed: [u8; 32], at: prop::sample::Index, bit in 0..8u8,
    ) {
        let secret = allod_identity::SecretKey::from_seed(seed);
        let signed = Verified::sign(&secret, payload.clone()).unwrap();
        let read = Signed::<Note>::decode(signed.bytes().clone()).unwrap().verify().unwrap();
        prop_assert_eq!(&read, &signed);
        prop_assert_eq!(read.payload(), &payload);
        prop_assert_eq!(read.signer(), &secret.public());

        let mut flipped = signed.bytes().to_vec();
        let at = at.index(flipped.len());
        flipped[at] ^= 1 << bit;
        if let Ok(read) = Signed::<Note>::decode(flipped.clone()) {
            prop_assert_eq!(read.verify().unwrap_err(), VerifyError::Signature);
        }
        let cut = signed.bytes().slice(..at);
        prop_assert!(Signed::<Note>::decode(cut).is_err());
        flipped[at] ^= 1 << bit;
        flipped.push(bit);
        let refused = Signed::<Note>::decode(flipped).unwrap_err();
        prop_assert_eq!(refused.code(), "E_TRAILING");
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(Signed::<Note>::decode(bytes.clone()).is_err());
        prop_assert!(Signed::<KeyEvent>::decode(bytes).is_err());
    }
}
