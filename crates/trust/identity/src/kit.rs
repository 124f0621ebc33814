//! Recovery kits: what gives an agent its next key, on one line of paper (IDENT-45).

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::crockford;
use crate::key::AgentId;
use crate::secret::SecretKey;

/// The version of the text.
const VERSION: u8 = 1;

/// Bytes that check the others: 40 bits.
const CHECK_BYTES: usize = 5;

/// The version, the agent, the secret and the check: 560 bits, 112 characters.
const KIT_BYTES: usize = 1 + 32 + 32 + CHECK_BYTES;

/// Characters of a kit without what separates groups.
const KIT_CHARS: usize = KIT_BYTES * 8 / 5;

/// The agent, and the secret of the chain of its keys. Erased when dropped; its debug form does not show the secret.
pub struct Kit {
    /// Whose it is.
    pub agent: AgentId,
    /// What a [`KeyChain`](crate::KeyChain) is made of.
    pub secret: SecretKey,
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kit(of {})", self.agent)
    }
}

/// Why a text is no kit. Blame: whoever wrote it down or typed it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// It has other characters, or more or fewer than a kit.
    #[error("a recovery kit has 28 groups of four letters and digits")]
    Shape,
    /// A character was lost or changed.
    #[error("a character of the recovery kit is wrong; compare it with what was written down")]
    Check,
    /// Made by a newer version.
    #[error("a recovery kit of version {got} is not supported; this is version {VERSION}")]
    Version {
        /// The version found.
        got: u8,
    },
}

impl KitError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Shape | Self::Check => "E_KIT",
            Self::Version { .. } => "E_KIT_VERSION",
        }
    }
}

impl Kit {
    /// The kit as text: 28 groups of four characters.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(KIT_BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(self.agent.key().as_bytes());
        bytes.extend_from_slice(&self.secret.to_seed()[..]);
        let check = check_of(&bytes);
        bytes.extend_from_slice(&check);
        let symbols = Zeroizing::new(crockford::from_bytes(&bytes));
        Zeroizing::new(crockford::text(&symbols))
    }
}

fn check_of(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = Sha256::new()
        .chain_update(b"allod/kit/1\0")
        .chain_update(bytes)
        .finalize();
    digest.first_chunk().copied().unwrap_or_default()
}

impl FromStr for Kit {
    type Err = KitError;

    fn from_str(text: &str) -> Result<Self, KitError> {
        let symbols = crockford::symbols(text, KIT_CHARS).ok_or(KitError::Shape)?;
        let symbols = Zeroizing::new(symbols);
        let bytes = crockford::to_bytes(&symbols).ok_or(KitError::Shape)?;
        let bytes = Zeroizing::new(bytes);
        let (said, check) = bytes
            .split_last_chunk::<CHECK_BYTES>()
            .filter(|_| bytes.len() == KIT_BYTES)
            .ok_or(KitError::Shape)?;
        if check_of(said) != *check {
            return Err(KitError::Check);
        }
        let (version, said) = said.split_first().ok_or(KitError::Shape)?;
        if *version != VERSION {
            return Err(KitError::Version { got: *version });
        }
        let (agent, secret) = said.split_first_chunk::<32>().ok_or(KitError::Shape)?;
        let secret: Zeroizing<[u8; 32]> =
            Zeroizing::new(secret.try_into().map_err(|_error| KitError::Shape)?);
        Ok(Self {
            agent: AgentId::from_bytes(*agent).map_err(|_error| KitError::Check)?,
            secret: SecretKey::from_seed(*secret),
        })
    }
}
