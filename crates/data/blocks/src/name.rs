//! The spellings of a block's name: one parser for all of them, one canonical output per place.

use cid::Cid;
use multihash::Multihash;

use crate::block::{Codec, exact_cid, to_v1};

/// The longest spelling the parser looks at, in bytes (BLOCKS-8).
const NAME_BYTES_MAX: usize = 256;

/// Why a text is not the name of a block. Blame: whoever wrote the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("an empty text names nothing")]
    Empty,
    /// The text is longer than any name.
    #[error("the text is longer than any name")]
    TooLong,
    /// A digest is not 64 hexadecimal digits.
    #[error("a sha-256 digest is 64 hexadecimal digits")]
    BadDigest,
    /// The text is no CID.
    #[error(
        "not a CID; names look like bafy..., allod://bafy..., proto://<sha256>, sha256-<sha256>"
    )]
    BadCid,
    /// A path, query or fragment follows the CID.
    #[error("a name ends with the CID; paths are not part of it")]
    Trailing,
    /// The CID is of a kind that blocks may not have (BLOCKS-1, BLOCKS-2).
    #[error("the CID's codec or hash function is not supported")]
    Unsupported,
}

impl NameError {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "E_NAME_EMPTY",
            Self::TooLong => "E_NAME_LENGTH",
            Self::BadDigest => "E_NAME_DIGEST",
            Self::BadCid => "E_NAME_CID",
            Self::Trailing => "E_NAME_TRAILING",
            Self::Unsupported => "E_NAME_KIND",
        }
    }
}

/// Parses any accepted spelling of a block's name (BLOCKS-8).
///
/// Accepted: a bare CID (v0 or v1, any multibase), `allod://CID`, `ipfs://CID`,
/// `proto://<sha256 hex>`, `sha256-<hex>` and 64 bare hex digits. The digest spellings carry no
/// codec and name a raw block.
///
/// ```
/// let cid = allod_blocks::parse_cid(
///     "sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
/// )?;
/// assert_eq!(cid.to_string(), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
/// # Ok::<(), allod_blocks::NameError>(())
/// ```
pub fn parse_cid(text: &str) -> Result<Cid, NameError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    if let Some(hex) = text
        .strip_prefix("proto://")
        .or_else(|| text.strip_prefix("sha256-"))
    {
        return from_digest(hex);
    }
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return from_digest(text);
    }
    let rest = text
        .strip_prefix("allod://")
        .or_else(|| text.strip_prefix("ipfs://"))
        .unwrap_or(text);
    let bare = rest.strip_suffix('/').unwrap_or(rest);
    if bare.contains(['/', '?', '#']) {
        return Err(NameError::Trailing);
    }
    let cid = to_v1(decode(bare).ok_or(NameError::BadCid)?);
    let hash_fits = matches!(cid.hash().code(), 0x12 | 0x1e) && cid.hash().digest().len() == 32;
    if Codec::from_code(cid.codec()).is_none() || !hash_fits {
        return Err(NameError::Unsupported);
    }
    Ok(cid)
}

/// `proto://<sha256 hex>`, the spelling that carries the digest alone; `None` for other hashes.
#[must_use]
pub fn proto_uri(cid: &Cid) -> Option<String> {
    (cid.hash().code() == 0x12).then(|| {
        let hex = cid
            .hash()
            .digest()
            .iter()
            .fold(String::new(), |mut hex, byte| {
                use std::fmt::Write as _;
                // Writing to a String cannot fail.
                write!(hex, "{byte:02x}").ok();
                hex
            });
        format!("proto://{hex}")
    })
}

/// The CID that takes up the whole text; a CIDv0 is base58btc without a prefix.
fn decode(text: &str) -> Option<Cid> {
    if text.len() == 46 && text.starts_with("Qm") {
        return Cid::try_from(text).ok();
    }
    let (_, bytes) = multibase::decode(text).ok()?;
    exact_cid(&bytes)
}

fn from_digest(hex: &str) -> Result<Cid, NameError> {
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(NameError::BadDigest);
    }
    let mut digest = [0u8; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let nibble = |c: u8| char::from(c).to_digit(16).ok_or(NameError::BadDigest);
        let value = nibble(pair[0])? * 16 + nibble(pair[1])?;
        *byte = u8::try_from(value).map_err(|_error| NameError::BadDigest)?;
    }
    let hash = Multihash::wrap(0x12, &digest).map_err(|_error| NameError::BadDigest)?;
    Ok(Cid::new_v1(Codec::Raw.code(), hash))
}
