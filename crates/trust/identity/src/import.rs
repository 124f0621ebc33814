//! Secret keys that are there already: seeds, PKCS#8, OpenSSH (DID-10, DID-11).

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, PrivateKeyInfoRef};
use multibase::Base;
use ssh_key::{Algorithm, PrivateKey};
use zeroize::Zeroizing;

use crate::secret::SecretKey;

/// The longest file that is looked at, in bytes: one of RSA, which is refused by its kind, has 4 KiB.
const FILE_BYTES_MAX: usize = 16 * 1024;

/// The algorithm of a key of PKCS#8 (RFC 8410).
const OID_ED25519: &str = "1.3.101.112";

/// Why a file is no secret key. Blame: as each variant says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Not a file of a secret key. Blame: whoever made it.
    #[error(
        "not a secret key: it may be a seed of 32 bytes (as it is, in hex or base64), PKCS#8, or OpenSSH's"
    )]
    File,
    /// Sealed by a passphrase. Blame: nobody; it has to be opened first.
    #[error(
        "the key is sealed by a passphrase: take that off a copy first, as with \"ssh-keygen -p\" or \"openssl pkcs8\""
    )]
    Sealed,
    /// Another kind of key. Blame: whoever chose it.
    #[error("not an ed25519 key")]
    Foreign,
    /// The halves of the key do not belong together. Blame: whoever made the file.
    #[error("the public half of the key is not that of the secret half")]
    Halves,
}

impl ImportError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::File => "E_KEY_FILE",
            Self::Sealed => "E_KEY_SEALED",
            Self::Foreign => "E_KEY_FOREIGN",
            Self::Halves => "E_KEY_HALVES",
        }
    }
}

impl SecretKey {
    /// Reads a secret key from the content of a file: a seed of 32 bytes, as it is or in hex or base64; PKCS#8, as DER or
    /// PEM; or a private key of OpenSSH (DID-10).
    pub fn import(file: &[u8]) -> Result<Self, ImportError> {
        if file.len() > FILE_BYTES_MAX {
            return Err(ImportError::File);
        }
        if let Ok(seed) = <[u8; 32]>::try_from(file) {
            return Ok(Self::from_seed(seed));
        }
        // A text that is DER as well does not exist: DER has bytes that no text has in front.
        match std::str::from_utf8(file) {
            Ok(text) if text.trim().starts_with("-----BEGIN ") => armoured(text.trim()),
            Ok(text) if let Some(seed) = seed_of(text.trim()) => Ok(Self::from_seed(*seed)),
            _ => der(file),
        }
    }
}

fn armoured(text: &str) -> Result<SecretKey, ImportError> {
    let label = |name: &str| text.starts_with(&format!("-----BEGIN {name}-----"));
    if label("OPENSSH PRIVATE KEY") {
        openssh(text)
    } else if label("PRIVATE KEY") {
        let (_, document) = ed25519_dalek::pkcs8::SecretDocument::from_pem(text)
            .map_err(|_error| ImportError::File)?;
        der(document.as_bytes())
    } else if label("ENCRYPTED PRIVATE KEY") {
        Err(ImportError::Sealed)
    } else if ["RSA", "EC", "DSA"]
        .iter()
        .any(|kind| label(&format!("{kind} PRIVATE KEY")))
    {
        Err(ImportError::Foreign)
    } else {
        Err(ImportError::File)
    }
}

/// A seed in hex or base64.
fn seed_of(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bases: &[Base] = match text.len() {
        64 => &[Base::Base16Lower, Base::Base16Upper],
        44 => &[Base::Base64Pad, Base::Base64UrlPad],
        43 => &[Base::Base64, Base::Base64Url],
        _ => return None,
    };
    let text = Zeroizing::new(if text.len() == 64 {
        text.to_ascii_lowercase()
    } else {
        text.to_owned()
    });
    let seeds = bases
        .iter()
        .filter_map(|base| base.decode(text.as_str()).ok());
    let mut seeds = seeds.map(Zeroizing::new);
    let seed = seeds.find_map(|seed| <[u8; 32]>::try_from(seed.as_slice()).ok());
    seed.map(Zeroizing::new)
}

fn der(bytes: &[u8]) -> Result<SecretKey, ImportError> {
    if let Ok(key) = SigningKey::from_pkcs8_der(bytes) {
        return Ok(SecretKey::from_seed(key.to_bytes()));
    }
    // Why not, for who has to find out.
    let Ok(info) = PrivateKeyInfoRef::try_from(bytes) else {
        let is_sealed = is_sealed_der(bytes);
        return Err(if is_sealed {
            ImportError::Sealed
        } else {
            ImportError::File
        });
    };
    if info.algorithm.oid.to_string() != OID_ED25519 {
        return Err(ImportError::Foreign);
    }
    Err(if info.public_key.is_some() {
        ImportError::Halves
    } else {
        ImportError::File
    })
}

/// Whether bytes begin as the sealed form of PKCS#8: a sequence of which the first is the algorithm, one of PKCS#5, and not a
/// version.
fn is_sealed_der(bytes: &[u8]) -> bool {
    const PKCS5: [u8; 10] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05];
    let content = |bytes: &[u8]| -> Option<Vec<u8>> {
        let rest = bytes.strip_prefix(&[0x30])?;
        let (first, rest) = rest.split_first()?;
        let long = usize::from(first.checked_sub(0x80).unwrap_or_default());
        Some(rest.get(long..)?.to_vec())
    };
    let inner = content(bytes).and_then(|outer| content(&outer));
    inner.is_some_and(|inner| inner.starts_with(&PKCS5))
}

fn openssh(text: &str) -> Result<SecretKey, ImportError> {
    let key = PrivateKey::from_openssh(text).map_err(|error| match error {
        ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. } => {
            ImportError::Foreign
        }
        _ => ImportError::File,
    })?;
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(ImportError::Foreign);
    }
    if key.is_encrypted() {
        return Err(ImportError::Sealed);
    }
    let pair = key.key_data().ed25519().ok_or(ImportError::Foreign)?;
    let secret = SecretKey::from_seed(pair.private.to_bytes());
    if secret.public().as_bytes() != &pair.public.0 {
        return Err(ImportError::Halves);
    }
    Ok(secret)
}
