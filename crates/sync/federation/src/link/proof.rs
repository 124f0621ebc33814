//! Proofs of keys: a peer signs a challenge of the other (FED-33).

use allod_identity::{CheckError, Payload, PublicKey, SecretKey, Signed, Verified, canonical};
use serde::{Deserialize, Serialize};

use crate::message::Proof;

const SIGNATURE_BYTES: usize = 64;

/// What is signed: that the holder of a key answers a challenge of a peer. The payload of domain `federation`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// What the challenger sent.
    pub(crate) nonce: String,
    /// Who the challenger says that it is.
    pub(crate) peer: String,
    /// `client` or `server`: which side answers.
    pub(crate) role: String,
    /// Who the signer says that it is.
    pub(crate) system: String,
}

impl Payload for Answer {
    const DOMAIN: &'static str = "federation";

    fn check(&self, _signer: &PublicKey) -> Result<(), CheckError> {
        Ok(())
    }
}

/// Signs an answer; none if it is too large to be a statement.
pub(crate) fn prove(key: &SecretKey, answer: Answer) -> Option<Proof> {
    let statement = Verified::sign(key, answer).ok()?;
    let bytes = statement.bytes();
    let signature = bytes.get(bytes.len().checked_sub(SIGNATURE_BYTES)?..)?;
    Some(Proof {
        key: key.public().to_string(),
        sig: hex(signature),
    })
}

/// The key whose holder gave this answer.
pub(crate) fn check(proof: &Proof, answer: &Answer) -> Option<PublicKey> {
    let key: PublicKey = proof.key.parse().ok()?;
    let payload = canonical::encode(answer).ok()?;
    let mut bytes = vec![0x84, 0x60 | Answer::DOMAIN.len() as u8];
    bytes.extend_from_slice(Answer::DOMAIN.as_bytes());
    bytes.extend_from_slice(&[0x58, 32]);
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(&payload);
    bytes.extend_from_slice(&[0x58, SIGNATURE_BYTES as u8]);
    bytes.extend_from_slice(&unhex(&proof.sig)?);
    let verified = Signed::<Answer>::decode(bytes).ok()?.verify().ok()?;
    Some(*verified.signer())
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    if text.len() != 2 * SIGNATURE_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
