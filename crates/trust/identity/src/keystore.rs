//! Secret keys at rest: sealed under a secret with argon2id and XChaCha20-Poly1305 (IDENT-20 to
//! IDENT-25).

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, Payload as Sealing};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::canonical::{self, CanonicalError};
use crate::secret::SecretKey;

/// The largest sealed keystore that is read, in bytes (IDENT-22): one has about 220.
const KEYSTORE_BYTES_MAX: usize = 4096;

/// More than the three keys take in the sealed part, in bytes.
const KEYS_BYTES_MAX: usize = 192;

/// The bounds of the cost that a file may ask for (IDENT-23): four times the interactive cost in
/// memory, so that a crafted file can neither exhaust the machine nor hold it for minutes.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 4;

/// The least memory argon2 works with, per lane.
const MEMORY_KIB_PER_LANE_MIN: u32 = 8;

const VERSION: u64 = 1;
const ALGORITHM: &str = "argon2id";
const CONTEXT: &[u8] = b"allod/keystore/1\0";

/// Why a keystore cannot be sealed or opened. Blame: the file, but for `WrongSecret` (whoever
/// typed it) and `Params` when sealing (the caller).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// Not the canonical encoding of a sealed keystore (IDENT-21).
    #[error("the keystore is damaged: {0}")]
    Damaged(#[from] CanonicalError),
    /// A keystore of a version this one does not know (IDENT-21).
    #[error("keystore version {got} is not supported; this is version {VERSION}")]
    Version {
        /// The version found.
        got: u64,
    },
    /// The key derivation is not argon2id or its cost is out of bounds (IDENT-23).
    #[error("the key derivation is not argon2id within bounds")]
    Params,
    /// The secret does not open it; or the sealed part or its header was changed, which cannot be
    /// told apart (IDENT-24).
    #[error("wrong secret, or the keystore was changed")]
    WrongSecret,
}

impl KeystoreError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Damaged(error) => error.code(),
            Self::Version { .. } => "E_KEYSTORE_VERSION",
            Self::Params => "E_KEYSTORE_PARAMS",
            Self::WrongSecret => "E_KEYSTORE_SECRET",
        }
    }
}

/// The cost of deriving a key from a secret with argon2id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KdfParams {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfParams {
    /// A cost within the bounds that [`Keystore::open`] accepts (IDENT-23); memory in KiB.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, KeystoreError> {
        let memory_min = MEMORY_KIB_PER_LANE_MIN.saturating_mul(lanes);
        if lanes == 0
            || lanes > LANES_MAX
            || passes == 0
            || passes > PASSES_MAX
            || memory_kib < memory_min
            || memory_kib > MEMORY_KIB_MAX
        {
            return Err(KeystoreError::Params);
        }
        Ok(Self {
            memory_kib,
            passes,
            lanes,
        })
    }

    /// For a passphrase that a person types: 64 MiB, 3 passes, 1 lane; about 0.1 s.
    #[must_use]
    pub const fn interactive() -> Self {
        Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 1,
        }
    }

    /// For a random secret of 32 bytes in a file: the least cost. Nobody can guess such a secret,
    /// so making each guess dear adds nothing, and a node should start at once.
    #[must_use]
    pub const fn high_entropy() -> Self {
        Self {
            memory_kib: MEMORY_KIB_PER_LANE_MIN,
            passes: 1,
            lanes: 1,
        }
    }
}

/// The secret keys of one device, and of its agent if this is where the agent's keys live.
#[derive(Clone, Debug)]
pub struct Keystore {
    /// The agent's current key; `None` on a device that acts for an agent kept elsewhere.
    pub agent: Option<SecretKey>,
    /// The key that the agent's log committed to as the next one.
    pub next_agent: Option<SecretKey>,
    /// The device's key.
    pub device: SecretKey,
}

impl Keystore {
    /// Seals the keys under `secret`. `salt` and `nonce` are fresh random bytes each time.
    pub fn seal(
        &self,
        secret: &[u8],
        params: KdfParams,
        salt: [u8; 16],
        nonce: [u8; 24],
    ) -> Result<Vec<u8>, KeystoreError> {
        let header = Header {
            v: VERSION,
            kdf: Kdf::new(params, salt),
            nonce,
        };
        let keys = Keys {
            agent: self.agent.as_ref().map(seed_of),
            next: self.next_agent.as_ref().map(seed_of),
            device: seed_of(&self.device),
        };
        // Room for all of it at once: a buffer that grows leaves copies of the keys behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(KEYS_BYTES_MAX));
        serde_ipld_dagcbor::to_writer(&mut *plain, &keys)
            .map_err(|_error| CanonicalError::Shape)?;
        let sealing = Sealing {
            msg: &plain,
            aad: &header.context()?,
        };
        let ct = cipher(secret, &header.kdf)?
            .encrypt(&nonce.into(), sealing)
            .map_err(|_error| KeystoreError::Params)?;
        encode(&Sealed {
            v: header.v,
            kdf: header.kdf,
            nonce,
            ct,
        })
    }

    /// Opens what [`seal`](Self::seal) made. Checks every bound before it spends memory or time.
    pub fn open(bytes: &[u8], secret: &[u8]) -> Result<Self, KeystoreError> {
        if bytes.len() <= KEYSTORE_BYTES_MAX && canonical::check(bytes).is_ok() {
            let peek: Peek =
                serde_ipld_dagcbor::from_slice(bytes).map_err(|_error| CanonicalError::Shape)?;
            if peek.v != VERSION {
                return Err(KeystoreError::Version { got: peek.v });
            }
        }
        let sealed: Sealed = canonical::decode(bytes, KEYSTORE_BYTES_MAX)?;
        let header = Header {
            v: sealed.v,
            kdf: sealed.kdf,
            nonce: sealed.nonce,
        };
        let sealing = Sealing {
            msg: &sealed.ct,
            aad: &header.context()?,
        };
        let plain = cipher(secret, &header.kdf)?
            .decrypt(&header.nonce.into(), sealing)
            .map_err(|_error| KeystoreError::WrongSecret)?;
        let plain = Zeroizing::new(plain);
        canonical::check(&plain)?;
        let keys: Keys =
            serde_ipld_dagcbor::from_slice(&plain).map_err(|_error| CanonicalError::Shape)?;
        Ok(Self {
            agent: keys.agent.map(Seed::into_key),
            next_agent: keys.next.map(Seed::into_key),
            device: keys.device.into_key(),
        })
    }
}

/// The file: the header's members and what is sealed under them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    v: u64,
    kdf: Kdf,
    #[serde(with = "serde_bytes")]
    nonce: [u8; 24],
    #[serde(with = "serde_bytes")]
    ct: Vec<u8>,
}

/// The version of a file, whatever else it has.
#[derive(Deserialize)]
struct Peek {
    v: u64,
}

#[derive(Serialize)]
struct Header {
    v: u64,
    kdf: Kdf,
    #[serde(with = "serde_bytes")]
    nonce: [u8; 24],
}

impl Header {
    /// What is authenticated beside the sealed part (IDENT-24).
    fn context(&self) -> Result<Vec<u8>, KeystoreError> {
        let mut context = CONTEXT.to_vec();
        context.extend(encode(self)?);
        Ok(context)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    alg: String,
    m: u32,
    t: u32,
    p: u32,
    #[serde(with = "serde_bytes")]
    salt: [u8; 16],
}

impl Kdf {
    fn new(params: KdfParams, salt: [u8; 16]) -> Self {
        Self {
            alg: ALGORITHM.to_owned(),
            m: params.memory_kib,
            t: params.passes,
            p: params.lanes,
            salt,
        }
    }
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    agent: Option<Seed>,
    next: Option<Seed>,
    device: Seed,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Seed(#[serde(with = "serde_bytes")] [u8; 32]);

impl Seed {
    fn into_key(self) -> SecretKey {
        SecretKey::from_seed(self.0)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn seed_of(key: &SecretKey) -> Seed {
    Seed(*key.to_seed())
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, KeystoreError> {
    Ok(canonical::encode(value).map_err(|_error| CanonicalError::Shape)?)
}

/// Derives the key; refuses a cost out of bounds first (IDENT-23).
fn cipher(secret: &[u8], kdf: &Kdf) -> Result<XChaCha20Poly1305, KeystoreError> {
    KdfParams::new(kdf.m, kdf.t, kdf.p)?;
    if kdf.alg != ALGORITHM {
        return Err(KeystoreError::Params);
    }
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(kdf.m, kdf.t, kdf.p, Some(key.len()))
        .map_err(|_error| KeystoreError::Params)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret, &kdf.salt, key.as_mut())
        .map_err(|_error| KeystoreError::Params)?;
    Ok(XChaCha20Poly1305::new(&(*key).into()))
}
