//! The statement: the one signed envelope for everything anyone says (STMT).
//!
//! ```text
//! [ domain, signer, payload, signature ]
//! 84 | text <= 23 bytes | 58 20 + 32 bytes | map | 58 40 + 64 bytes
//! ```
//!
//! The signature is over `allod/`, the domain, `/1`, a zero byte, and the canonical bytes of
//! `[domain, signer, payload]`. Those are the statement's own bytes without the signature and with
//! `83` for `84`, so nothing is encoded again to verify.

use std::fmt;

use bytes::Bytes;
use cid::Cid;
use multihash::Multihash;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::canonical::{self, CanonicalError};
use crate::key::{KeyError, PublicKey};
use crate::secret::SecretKey;

/// The largest statement, in bytes (STMT-4).
///
/// 64 KiB: a statement names things and does not carry them, so the largest (a commit with many
/// parents, a delegation with its policy) stay far below; and a receiver can hold hundreds of
/// unverified ones without harm.
pub const STATEMENT_BYTES_MAX: usize = 64 * 1024;

/// The longest domain, in bytes (STMT-2): its CBOR head is then always one byte.
const DOMAIN_BYTES_MAX: usize = 23;

const ARRAY_OF_4: u8 = 0x84;
const ARRAY_OF_3: u8 = 0x83;
const SIGNER_HEAD: [u8; 2] = [0x58, 32];
const SIGNATURE_HEAD: [u8; 2] = [0x58, 64];
const SIGNATURE_BYTES: usize = 2 + 64;

/// What a statement says: one type for each domain.
///
/// The type is read with `serde`; mark it `#[serde(deny_unknown_fields)]`. It encodes as a map.
pub trait Payload: Serialize + DeserializeOwned {
    /// The domain, unique to the type: 1 to 23 of `a-z`, `0-9`, `-` (STMT-2).
    const DOMAIN: &'static str;

    /// The largest statement of the domain, in bytes: [`STATEMENT_BYTES_MAX`] or less (STMT-4).
    const BYTES_MAX: usize = STATEMENT_BYTES_MAX;

    /// Checks what the types of the members cannot say (STMT-9). Called before signing and after
    /// the signature was found good.
    fn check(&self, signer: &PublicKey) -> Result<(), CheckError>;

    /// Reads the payload from canonical DAG-CBOR. A type with kinds that may grow refuses those it
    /// does not know with [`DecodeError::UnknownKind`].
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(canonical::decode(bytes, STATEMENT_BYTES_MAX)?)
    }
}

/// Why a payload breaks an invariant of its type. Blame: the signer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct CheckError {
    code: &'static str,
    text: &'static str,
}

impl CheckError {
    /// A fault with the code that its page registers, in words that fit after "refused:".
    #[must_use]
    pub const fn new(code: &'static str, text: &'static str) -> Self {
        Self { code, text }
    }

    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.code
    }
}

/// Why bytes are not a statement of the type asked for. Blame: whoever supplied the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not the canonical encoding of a statement (STMT-1, STMT-3 to STMT-5).
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// A statement of another domain (STMT-2).
    #[error("a statement of another domain")]
    Domain,
    /// The signer is no usable key (IDENT-1).
    #[error("the signer is no usable key: {0}")]
    Signer(#[source] KeyError),
    /// The payload is of a kind that this version does not know (STMT-10).
    #[error("the payload is of an unknown kind")]
    UnknownKind,
}

impl DecodeError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Encoding(error) => error.code(),
            Self::Domain => "E_DOMAIN",
            Self::Signer(error) => error.code(),
            Self::UnknownKind => "E_KIND",
        }
    }
}

/// Why a decoded statement is not to be believed. Blame: the signer, or whoever changed the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The signature does not hold (STMT-7).
    #[error("the signature does not hold")]
    Signature,
    /// The payload breaks an invariant of its type (STMT-9).
    #[error("the statement is refused: {0}")]
    Payload(#[from] CheckError),
}

impl VerifyError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Signature => "E_SIGNATURE",
            Self::Payload(error) => error.code(),
        }
    }
}

/// Why a payload cannot be signed. Blame: the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The payload has no canonical encoding, or is no map, or too large.
    #[error("the payload cannot be encoded: {0}")]
    Encoding(#[from] CanonicalError),
    /// The payload breaks an invariant of its type (STMT-9).
    #[error("the payload is refused: {0}")]
    Payload(#[from] CheckError),
}

impl SignError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Encoding(error) => error.code(),
            Self::Payload(error) => error.code(),
        }
    }
}

/// A statement that was decoded, and whose signature nobody checked yet. Shows only its size.
pub struct Signed<T> {
    bytes: Bytes,
    signer: PublicKey,
    payload: T,
}

impl<T: Payload> Signed<T> {
    /// Reads a statement of domain `T::DOMAIN` (STMT-1 to STMT-5).
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self, DecodeError> {
        let bytes = bytes.into();
        check_size(&bytes, T::BYTES_MAX)?;
        let envelope = Envelope::parse(&bytes)?;
        if envelope.domain != T::DOMAIN {
            return Err(DecodeError::Domain);
        }
        let signer = PublicKey::from_bytes(envelope.signer).map_err(DecodeError::Signer)?;
        let payload = T::decode(envelope.payload)?;
        Ok(Self {
            bytes,
            signer,
            payload,
        })
    }

    /// Checks the signature strictly and the payload's invariants (STMT-6, STMT-7, STMT-9).
    pub fn verify(self) -> Result<Verified<T>, VerifyError> {
        let (said, tail) = self.bytes.split_at(self.bytes.len() - SIGNATURE_BYTES);
        let mut signature = [0; 64];
        signature.copy_from_slice(&tail[SIGNATURE_HEAD.len()..]);
        let input = signature_input(T::DOMAIN, said);
        if !self.signer.verifies(&input, &signature) {
            return Err(VerifyError::Signature);
        }
        self.payload.check(&self.signer)?;
        Ok(Verified::new(self.bytes, self.signer, self.payload))
    }
}

impl<T> Signed<T> {
    /// What it claims, to find out whether it is worth a verification. Nothing is to be believed of it.
    pub(crate) const fn claims(&self) -> (&PublicKey, &T) {
        (&self.signer, &self.payload)
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed(unverified, {} bytes)", self.bytes.len())
    }
}

/// A statement whose signature holds over exactly the bytes it keeps.
#[derive(Clone, Eq, PartialEq)]
pub struct Verified<T> {
    bytes: Bytes,
    signer: PublicKey,
    payload: T,
    cid: Cid,
}

impl<T: Payload> Verified<T> {
    /// Signs `payload` (STMT-6).
    pub fn sign(key: &SecretKey, payload: T) -> Result<Self, SignError> {
        let signer = key.public();
        payload.check(&signer)?;
        let body = canonical::encode(&payload).map_err(|_error| CanonicalError::Shape)?;
        let mut bytes = Vec::with_capacity(body.len() + 128);
        bytes.push(ARRAY_OF_4);
        bytes.push(0x60 | Self::DOMAIN_LEN);
        bytes.extend_from_slice(T::DOMAIN.as_bytes());
        bytes.extend_from_slice(&SIGNER_HEAD);
        bytes.extend_from_slice(signer.as_bytes());
        bytes.extend_from_slice(&body);
        let signature = key.sign(&signature_input(T::DOMAIN, &bytes));
        bytes.extend_from_slice(&SIGNATURE_HEAD);
        bytes.extend_from_slice(&signature);
        // What nobody could read must not leave: size, depth, and that the payload is a map.
        check_size(&bytes, T::BYTES_MAX)?;
        Envelope::parse(&bytes)?;
        Ok(Self::new(bytes.into(), signer, payload))
    }

    /// The length of the domain, checked when the type is compiled (STMT-2).
    const DOMAIN_LEN: u8 = {
        let domain = T::DOMAIN.as_bytes();
        assert!(
            domain_is_valid(domain),
            "a domain is 1 to 23 of a-z, 0-9 and -"
        );
        domain.len() as u8
    };
}

impl<T> Verified<T> {
    fn new(bytes: Bytes, signer: PublicKey, payload: T) -> Self {
        let cid = statement_cid(&bytes);
        Self {
            bytes,
            signer,
            payload,
            cid,
        }
    }

    /// What is said.
    #[must_use]
    pub const fn payload(&self) -> &T {
        &self.payload
    }

    /// Who says it.
    #[must_use]
    pub const fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// The whole statement.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The statement's name (STMT-8).
    #[must_use]
    pub const fn cid(&self) -> &Cid {
        &self.cid
    }

    /// What is said, alone.
    #[must_use]
    pub fn into_payload(self) -> T {
        self.payload
    }
}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("cid", &format_args!("{}", self.cid))
            .field("signer", &self.signer)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

/// The domain that bytes claim, to choose the type to decode them with. Checks the envelope only.
pub fn domain_of(bytes: &[u8]) -> Result<&str, DecodeError> {
    Ok(Envelope::parse(bytes)?.domain)
}

/// The parts of a statement's bytes.
struct Envelope<'a> {
    domain: &'a str,
    signer: [u8; 32],
    payload: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Checks size and canonical form of the whole, then takes the parts from where they must be.
    fn parse(bytes: &'a [u8]) -> Result<Self, CanonicalError> {
        check_size(bytes, STATEMENT_BYTES_MAX)?;
        canonical::check(bytes)?;
        Self::parts(bytes).ok_or(CanonicalError::Shape)
    }

    fn parts(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[ARRAY_OF_4])?;
        let (head, rest) = rest.split_first()?;
        // 0x60 to 0x77: a text of up to 23 bytes.
        let domain_len = usize::from(head.checked_sub(0x60)?);
        if domain_len > DOMAIN_BYTES_MAX {
            return None;
        }
        let (domain, rest) = rest.split_at_checked(domain_len)?;
        if !domain_is_valid(domain) {
            return None;
        }
        let rest = rest.strip_prefix(&SIGNER_HEAD)?;
        let (signer, rest) = rest.split_first_chunk()?;
        let (payload, tail) = rest.split_at_checked(rest.len().checked_sub(SIGNATURE_BYTES)?)?;
        // The payload is a map, and the fourth element starts where the tail does: the check below
        // makes sure that no byte of the payload belongs to another element.
        let is_map = payload.first().is_some_and(|head| head >> 5 == 5);
        if !is_map || !tail.starts_with(&SIGNATURE_HEAD) || canonical::check(payload).is_err() {
            return None;
        }
        Some(Self {
            domain: std::str::from_utf8(domain).ok()?,
            signer: *signer,
            payload,
        })
    }
}

/// Before anything else (STMT-4).
const fn check_size(bytes: &[u8], max: usize) -> Result<(), CanonicalError> {
    let got = bytes.len();
    if got > max {
        return Err(CanonicalError::TooLarge { got, max });
    }
    Ok(())
}

const fn domain_is_valid(domain: &[u8]) -> bool {
    let mut at = 0;
    while at < domain.len() {
        if !matches!(domain[at], b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        at += 1;
    }
    !domain.is_empty() && domain.len() <= DOMAIN_BYTES_MAX
}

/// What is signed: the context, then `[domain, signer, payload]` (STMT-6). `said` is the statement
/// up to its signature.
fn signature_input(domain: &str, said: &[u8]) -> Vec<u8> {
    let mut input = Vec::with_capacity(said.len() + domain.len() + 9);
    input.extend_from_slice(b"allod/");
    input.extend_from_slice(domain.as_bytes());
    input.extend_from_slice(b"/1\0");
    input.push(ARRAY_OF_3);
    input.extend_from_slice(&said[1..]);
    input
}

/// CIDv1, dag-cbor, sha2-256 (STMT-8).
fn statement_cid(bytes: &[u8]) -> Cid {
    const DAG_CBOR: u64 = 0x71;
    const SHA2_256: u64 = 0x12;
    let digest = Sha256::digest(bytes);
    #[expect(
        clippy::expect_used,
        reason = "32 bytes always fit a 64-byte multihash"
    )]
    let hash = Multihash::wrap(SHA2_256, digest.as_slice()).expect("32 <= 64");
    Cid::new_v1(DAG_CBOR, hash)
}
