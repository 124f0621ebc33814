//! Signed deltas (DELTA-10 to DELTA-12).

use std::ops::Deref;

use allod_identity::{CheckError, Payload, PublicKey, SecretKey, SignError, Signed, Verified};
use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::delta::{Delta, DeltaError};
use crate::number::Number;
use crate::pointer::Pointer;

/// The member that has the signature: 128 digits.
const SIG: &str = "sig";

/// The member that names the signer.
const KEY: &str = "key";

/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// What the author of a delta signs: the name of its content. The payload of domain `delta`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    delta: Cid,
}

impl Payload for Names {
    const DOMAIN: &'static str = "delta";

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        Ok(())
    }
}

/// A delta whose author is known to have said it: its id is its content id, and the signature over that holds
/// under the key that its author is (DELTA-11).
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedDelta(Delta);

/// Why the author of a delta is not known to have said it. Blame: whoever supplied it; `Unsigned` is nobody's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotVerified {
    /// It has no signature.
    #[error("it is not signed")]
    Unsigned,
    /// Its id is not its content id.
    #[error("its id is not its content id")]
    Id,
    /// Its author is not the key that signed.
    #[error("its author is not who signed it")]
    Author,
    /// Its signature is malformed, or does not hold.
    #[error("its signature does not hold")]
    Signature,
}

impl NotVerified {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unsigned => "E_DELTA_UNSIGNED",
            Self::Id => "E_DELTA_CONTENT",
            Self::Author => "E_DELTA_AUTHOR",
            Self::Signature => "E_SIGNATURE",
        }
    }
}

/// Why a delta cannot be signed. Blame: the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaSignError {
    /// It would be no delta.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// The statement cannot be made.
    #[error(transparent)]
    Statement(#[from] SignError),
}

impl Delta {
    /// Says something as the holder of a key: the author is the `did:key` of it, the id the content id.
    pub fn sign(
        key: &SecretKey,
        timestamp: Number,
        system: impl Into<String>,
        pointers: Vec<Pointer>,
    ) -> Result<VerifiedDelta, DeltaSignError> {
        let author = key.public().to_string();
        let mut delta = Self::content_addressed(timestamp, author.as_str(), system, pointers)?;
        let names = Names {
            delta: delta.content_id(),
        };
        let statement = Verified::sign(key, names)?;
        let signature = statement.bytes().len() - SIGNATURE_BYTES;
        let hex: String = statement.bytes()[signature..]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        delta.extras.set_text(KEY, &author);
        delta.extras.set_text(SIG, &hex);
        // With its signature it is to be one that others read.
        Ok(VerifiedDelta(Self::decode(&delta.encode())?))
    }

    /// Whether it carries a signature, good or not.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.extras.get(SIG).is_some()
    }

    /// Checks that its author said it (DELTA-11).
    pub fn verify(&self) -> Result<VerifiedDelta, NotVerified> {
        if !self.is_signed() {
            return Err(NotVerified::Unsigned);
        }
        if !self.is_content_addressed() {
            return Err(NotVerified::Id);
        }
        let is_other = |key: String| key != self.author();
        if self.extras.get(KEY).is_some() && self.extras.text(KEY).is_none_or(is_other) {
            return Err(NotVerified::Author);
        }
        let signer: PublicKey = self
            .author()
            .parse()
            .map_err(|_error| NotVerified::Author)?;
        let signature = self.extras.text(SIG).and_then(|hex| unhex(&hex));
        let signature = signature.ok_or(NotVerified::Signature)?;
        let statement = statement(&signer, &self.content_id(), &signature);
        let signed = Signed::<Names>::decode(statement).map_err(|_error| NotVerified::Signature)?;
        signed.verify().map_err(|_error| NotVerified::Signature)?;
        Ok(VerifiedDelta(self.clone()))
    }
}

impl VerifiedDelta {
    /// The delta, alone.
    #[must_use]
    pub fn into_delta(self) -> Delta {
        self.0
    }
}

impl Deref for VerifiedDelta {
    type Target = Delta;

    fn deref(&self) -> &Delta {
        &self.0
    }
}

/// The bytes of the statement that a signature belongs to: those that its signer made (DELTA-10, STMT).
fn statement(signer: &PublicKey, content: &Cid, signature: &[u8; SIGNATURE_BYTES]) -> Vec<u8> {
    let link = content.to_bytes();
    let mut bytes = vec![0x84, 0x65];
    bytes.extend_from_slice(b"delta");
    bytes.extend_from_slice(&[0x58, 32]);
    bytes.extend_from_slice(signer.as_bytes());
    // { "delta": 42(h'00' + the name) }
    bytes.extend_from_slice(&[0xa1, 0x65]);
    bytes.extend_from_slice(b"delta");
    bytes.extend_from_slice(&[0xd8, 42, 0x58, link.len() as u8 + 1, 0]);
    bytes.extend_from_slice(&link);
    bytes.extend_from_slice(&[0x58, SIGNATURE_BYTES as u8]);
    bytes.extend_from_slice(signature);
    bytes
}

fn unhex(hex: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hex.len() != 2 * SIGNATURE_BYTES || !hex.bytes().all(is_digit) {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
