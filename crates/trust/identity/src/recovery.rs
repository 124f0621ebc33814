//! What is passed between a person who lost all keys and the guardians, as text (IDENT-47).

use std::str::FromStr;

use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::canonical;
use crate::chain::Commitment;
use crate::guardian::Says;
use crate::key::{AgentId, PublicKey};
use crate::statement::Verified;

const REQUEST_PREFIX: &str = "allod-recovery:";
const SAID_PREFIX: &str = "allod-said:";

/// The longest text, in characters: a statement that an event carries has 1024 bytes.
const TEXT_CHARS_MAX: usize = 4096;

const CHECKSUM_BYTES: usize = 4;

/// What a check code is of begins with this (IDENT-49).
const CHECK_PREFIX: &[u8] = b"allod/recovery-check/1\0";

/// 80 bits: who makes requests until one has a given code needs 2^80 of them.
const CHECK_BYTES: usize = 10;

const CHECK_GROUP_CHARS: usize = 4;

/// A text is not what it should be. Blame: whoever copied it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryTextError {
    /// No request for a recovery.
    #[error("this is no request for a recovery, or it was not copied whole")]
    Request,
    /// No statement.
    #[error("this is no statement of a guardian, or it was not copied whole")]
    Statement,
}

impl RecoveryTextError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Request | Self::Statement => "E_RECOVERY",
        }
    }
}

/// What guardians are asked for: that an agent has this key from now on. It proves nothing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryRequest {
    /// Whose key it is to be.
    pub agent: AgentId,
    /// The new key.
    pub key: PublicKey,
    /// What commits to the keys after it.
    #[serde(with = "serde_bytes")]
    pub next: Commitment,
    /// The event after which it is the key.
    pub prev: Cid,
}

impl RecoveryRequest {
    fn canonical(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "keys, bytes and a link encode")]
        canonical::encode(self).expect("a request encodes")
    }

    /// What the person who asks reads out, and a guardian compares: 16 characters in groups of four (IDENT-49).
    #[must_use]
    pub fn check_code(&self) -> String {
        let mut hash = Sha256::new_with_prefix(CHECK_PREFIX);
        hash.update(self.canonical());
        let flat = multibase::Base::Base32Lower.encode(&hash.finalize()[..CHECK_BYTES]);
        let mut code = String::new();
        for (at, letter) in flat.chars().enumerate() {
            if at > 0 && at % CHECK_GROUP_CHARS == 0 {
                code.push('-');
            }
            code.push(letter);
        }
        code
    }

    /// Whether what was typed is the check code, in small or capital letters; blanks and `-` are passed over.
    #[must_use]
    pub fn is_check_code(&self, typed: &str) -> bool {
        let letters = |text: &str| -> String {
            let meant = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
            meant.map(|c| c.to_ascii_lowercase()).collect()
        };
        letters(typed) == letters(&self.check_code())
    }

    /// The request as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = self.canonical();
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest[..CHECKSUM_BYTES]);
        written(REQUEST_PREFIX, &bytes)
    }

    /// That a guardian approves this.
    #[must_use]
    pub const fn approve(&self) -> Says {
        Says::Approve {
            key: self.key,
            next: self.next,
            prev: self.prev,
        }
    }

    /// That a guardian who approved it at `since` confirms it.
    #[must_use]
    pub const fn confirm(&self, since: u64) -> Says {
        Says::Confirm {
            key: self.key,
            next: self.next,
            prev: self.prev,
            since,
        }
    }

    /// The request that a guardian approved or confirmed; `None` if it is something else that was said.
    #[must_use]
    pub const fn of(agent: AgentId, says: &Says) -> Option<Self> {
        match *says {
            Says::Approve { key, next, prev }
            | Says::Confirm {
                key, next, prev, ..
            } => Some(Self {
                agent,
                key,
                next,
                prev,
            }),
            Says::Release { .. } => None,
        }
    }
}

impl FromStr for RecoveryRequest {
    type Err = RecoveryTextError;

    fn from_str(text: &str) -> Result<Self, RecoveryTextError> {
        const FAULT: RecoveryTextError = RecoveryTextError::Request;
        let bytes = read(REQUEST_PREFIX, text).ok_or(FAULT)?;
        let end = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(FAULT)?;
        let (content, checksum) = bytes.split_at_checked(end).ok_or(FAULT)?;
        if Sha256::digest(content)[..CHECKSUM_BYTES] != *checksum {
            return Err(FAULT);
        }
        canonical::decode(content, TEXT_CHARS_MAX).map_err(|_error| FAULT)
    }
}

/// A statement as text.
#[must_use]
pub fn said_text<T>(said: &Verified<T>) -> String {
    written(SAID_PREFIX, said.bytes())
}

/// The bytes of a statement that was passed on as text.
pub fn said_bytes(text: &str) -> Result<Bytes, RecoveryTextError> {
    read(SAID_PREFIX, text)
        .map(Bytes::from)
        .ok_or(RecoveryTextError::Statement)
}

fn written(prefix: &str, bytes: &[u8]) -> String {
    let text = multibase::encode(multibase::Base::Base32Lower, bytes);
    format!("{prefix}{text}")
}

fn read(prefix: &str, text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.len() > TEXT_CHARS_MAX {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let body = text.strip_prefix(prefix)?;
    if !body.starts_with('b') {
        return None;
    }
    multibase::decode(body).ok().map(|(_, bytes)| bytes)
}
