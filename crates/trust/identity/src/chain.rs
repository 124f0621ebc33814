//! The keys that an agent has one after another, all committed to before the first is used (IDENT-30 to IDENT-32).
//!
//! A commitment binds a key *and* the commitment after it, so the whole chain is fixed when a log begins. Whoever
//! steals a key can use it, but cannot lead the log to keys of their own.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::key::PublicKey;
use crate::secret::SecretKey;

/// How often a key of one chain can be changed (IDENT-31): once a year for a lifetime.
pub const ROTATIONS_MAX: u32 = 64;

/// A commitment to a key and to all that come after it.
pub type Commitment = [u8; 32];

/// What commits to nothing: the end of a chain.
const END: Commitment = [0; 32];

/// A chain of keys, made from one secret. Its keys have the numbers from 1 on; number 0 is the key that begins the log
/// and is no part of it.
pub struct KeyChain {
    secret: SecretKey,
    /// Of each number, what commits to the keys after it.
    commitments: Vec<Commitment>,
}

impl std::fmt::Debug for KeyChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyChain")
    }
}

impl KeyChain {
    /// The chain of a secret. Takes as long as making [`ROTATIONS_MAX`] keys, a few milliseconds.
    #[must_use]
    pub fn new(secret: SecretKey) -> Self {
        let mut commitments = vec![END];
        for number in (1..=ROTATIONS_MAX).rev() {
            let after = commitments.last().unwrap_or(&END);
            let key = derive(&secret, number).public();
            let before = commit(&key, after);
            commitments.push(before);
        }
        commitments.reverse();
        Self {
            secret,
            commitments,
        }
    }

    /// The key of a number, from 1 to [`ROTATIONS_MAX`].
    #[must_use]
    pub fn key(&self, number: u32) -> Option<SecretKey> {
        let is_one = (1..=ROTATIONS_MAX).contains(&number);
        is_one.then(|| derive(&self.secret, number))
    }

    /// What commits to the keys after that of a number.
    #[must_use]
    pub fn commitment(&self, number: u32) -> Commitment {
        let found = self.commitments.get(number as usize);
        found.copied().unwrap_or(END)
    }

    /// The number of the key that a commitment binds; `None` if it binds no key of this chain.
    #[must_use]
    pub fn bound_by(&self, commitment: &Commitment) -> Option<u32> {
        let found = self
            .commitments
            .iter()
            .position(|known| known == commitment);
        let number = found.and_then(|at| u32::try_from(at + 1).ok());
        number.filter(|number| *number <= ROTATIONS_MAX)
    }

    /// The key of this chain whose public half this is, with its number.
    #[must_use]
    pub fn find(&self, key: &PublicKey) -> Option<(u32, SecretKey)> {
        let keys = (1..=ROTATIONS_MAX).map(|number| (number, derive(&self.secret, number)));
        keys.into_iter().find(|(_, found)| found.public() == *key)
    }

    /// The secret that the chain is made of.
    #[must_use]
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

fn derive(secret: &SecretKey, number: u32) -> SecretKey {
    let seed = secret.to_seed();
    let digest = Sha256::new()
        .chain_update(b"allod/chain/1\0")
        .chain_update(&seed[..])
        .chain_update(number.to_be_bytes())
        .finalize();
    let seed = Zeroizing::new(<[u8; 32]>::from(digest));
    SecretKey::from_seed(*seed)
}

/// What commits to a key, and by `after` to all that come after it (IDENT-30).
pub(crate) fn commit(key: &PublicKey, after: &Commitment) -> Commitment {
    Sha256::new()
        .chain_update(b"allod/next/1\0")
        .chain_update(key.as_bytes())
        .chain_update(after)
        .finalize()
        .into()
}
