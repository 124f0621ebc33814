//! Secret keys.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::key::{AgentId, DeviceId, PublicKey};

/// An ed25519 secret key. Erased when dropped; its debug form shows the public key only.
///
/// It signs statements and nothing else ([`Verified::sign`](crate::Verified::sign)), so that no
/// signature can be taken for one of another purpose.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a seed. A seed is 32 bytes from the system's source of randomness.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::derived(&self.0.verifying_key())
    }

    /// The public key as the name of an agent.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.public().into()
    }

    /// The public key as the name of a device.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        self.public().into()
    }

    /// The seed: for a keystore, or a protocol that derives its own certificate from it.
    #[must_use]
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}
