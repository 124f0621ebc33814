//! A block: bytes and the CID they were checked against.

use bytes::Bytes;
use cid::Cid;
use multihash::Multihash;
use sha2::{Digest as _, Sha256};

/// The largest block, in bytes (BLOCKS-4).
///
/// 2 MiB: the limit other IPFS implementations put on a block on the wire, and room for the 1 MiB
/// leaves of a file plus any index block.
pub const BLOCK_BYTES_MAX: usize = 2 * 1024 * 1024;

const SHA2_256: u64 = 0x12;
const BLAKE3: u64 = 0x1e;

/// How a block's bytes are to be read (BLOCKS-2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Codec {
    /// Bytes without structure (0x55).
    Raw,
    /// DAG-PB, the UnixFS file index (0x70).
    DagPb,
    /// DAG-CBOR (0x71).
    DagCbor,
}

impl Codec {
    /// The multicodec number.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Raw => 0x55,
            Self::DagPb => 0x70,
            Self::DagCbor => 0x71,
        }
    }

    /// The codec with this multicodec number, if it is one that blocks may have.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0x55 => Some(Self::Raw),
            0x70 => Some(Self::DagPb),
            0x71 => Some(Self::DagCbor),
            _ => None,
        }
    }
}

/// Why bytes are not the block they claim to be. Blame: whoever supplied the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The bytes do not hash to the CID (BLOCKS-3).
    #[error("the bytes do not hash to the name {cid}")]
    HashMismatch {
        /// The name that was claimed.
        cid: Cid,
    },
    /// The CID uses a hash function that blocks may not have (BLOCKS-1).
    #[error("hash function 0x{code:x} is not supported; use sha2-256 or blake3")]
    UnsupportedHash {
        /// The multihash code.
        code: u64,
    },
    /// The CID names a codec that blocks may not have (BLOCKS-2).
    #[error("codec 0x{code:x} is not supported; use raw, dag-pb or dag-cbor")]
    UnsupportedCodec {
        /// The multicodec number.
        code: u64,
    },
    /// The block exceeds [`BLOCK_BYTES_MAX`] (BLOCKS-4).
    #[error("a block of {got} bytes exceeds the limit of {BLOCK_BYTES_MAX}")]
    TooLarge {
        /// Its size in bytes.
        got: usize,
    },
}

impl BlockError {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::HashMismatch { .. } => "E_BLOCK_MISMATCH",
            Self::UnsupportedHash { .. } => "E_BLOCK_HASH",
            Self::UnsupportedCodec { .. } => "E_BLOCK_CODEC",
            Self::TooLarge { .. } => "E_BLOCK_SIZE",
        }
    }
}

/// Bytes whose hash is known to be right. Cheap to clone.
#[derive(Clone, Eq, PartialEq)]
pub struct Block {
    cid: Cid,
    bytes: Bytes,
}

impl Block {
    /// Names `bytes` by their sha2-256 digest.
    pub fn new(codec: Codec, bytes: impl Into<Bytes>) -> Result<Self, BlockError> {
        let bytes = bytes.into();
        check_size(&bytes)?;
        Ok(Self {
            cid: sha256_cid(codec, &bytes),
            bytes,
        })
    }

    /// Checks `bytes` against the name they are claimed to have (BLOCKS-1 to BLOCKS-4). A CIDv0
    /// becomes the CIDv1 of the same digest.
    pub fn verify(cid: Cid, bytes: impl Into<Bytes>) -> Result<Self, BlockError> {
        let cid = to_v1(cid);
        let bytes = bytes.into();
        check_size(&bytes)?;
        if Codec::from_code(cid.codec()).is_none() {
            return Err(BlockError::UnsupportedCodec { code: cid.codec() });
        }
        let matches = match cid.hash().code() {
            SHA2_256 => Sha256::digest(&bytes).as_slice() == cid.hash().digest(),
            BLAKE3 => blake3::hash(&bytes).as_bytes() == cid.hash().digest(),
            code => return Err(BlockError::UnsupportedHash { code }),
        };
        if matches {
            Ok(Self { cid, bytes })
        } else {
            Err(BlockError::HashMismatch { cid })
        }
    }

    /// The block of the same content that is to be read by another codec: the digest in its name is the same.
    #[must_use]
    pub fn read_as(&self, codec: Codec) -> Self {
        Self {
            cid: Cid::new_v1(codec.code(), *self.cid.hash()),
            bytes: self.bytes.clone(),
        }
    }

    /// The block's name.
    #[must_use]
    pub const fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The block's content.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The content alone.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({}, {} bytes)", self.cid, self.bytes.len())
    }
}

/// The CIDv1 of `bytes` under sha2-256, without a size check.
#[must_use]
pub fn sha256_cid(codec: Codec, bytes: &[u8]) -> Cid {
    let digest = Sha256::digest(bytes);
    #[expect(
        clippy::expect_used,
        reason = "32 bytes always fit a 64-byte multihash"
    )]
    let hash = Multihash::wrap(SHA2_256, digest.as_slice()).expect("32 <= 64");
    Cid::new_v1(codec.code(), hash)
}

/// The one name that a block has here: a CIDv0 as the CIDv1 it stands for (BLOCKS-5).
pub(crate) fn to_v1(cid: Cid) -> Cid {
    match cid.version() {
        cid::Version::V0 => Cid::new_v1(Codec::DagPb.code(), *cid.hash()),
        cid::Version::V1 => cid,
    }
}

/// The CID that takes up all of `bytes`; the parser by itself passes over what follows one.
pub(crate) fn exact_cid(bytes: &[u8]) -> Option<Cid> {
    Cid::try_from(bytes)
        .ok()
        .filter(|cid| cid.to_bytes() == bytes)
}

fn check_size(bytes: &Bytes) -> Result<(), BlockError> {
    if bytes.len() > BLOCK_BYTES_MAX {
        return Err(BlockError::TooLarge { got: bytes.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_named_by_its_hash() {
        let block = Block::new(Codec::Raw, &b"hello"[..]).unwrap();
        // `ipfs block put` of "hello" gives this name.
        assert_eq!(
            block.cid().to_string(),
            "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
        );
        assert_eq!(
            Block::verify(*block.cid(), &b"hello"[..]),
            Ok(block.clone())
        );
        assert_eq!(
            Block::verify(*block.cid(), &b"hellp"[..]),
            Err(BlockError::HashMismatch { cid: *block.cid() })
        );
    }

    #[test]
    fn blake3_names_are_accepted() {
        let hash = Multihash::wrap(BLAKE3, blake3::hash(b"hello").as_bytes()).unwrap();
        let cid = Cid::new_v1(Codec::Raw.code(), hash);
        assert!(Block::verify(cid, &b"hello"[..]).is_ok());
        assert!(Block::verify(cid, &b"hellp"[..]).is_err());
    }

    #[test]
    fn other_hashes_codecs_and_sizes_are_refused() {
        let sha1 = Cid::new_v1(0x55, Multihash::wrap(0x11, &[0; 20]).unwrap());
        assert_eq!(
            Block::verify(sha1, &b""[..]),
            Err(BlockError::UnsupportedHash { code: 0x11 })
        );
        let json = Cid::new_v1(0x0129, *sha256_cid(Codec::Raw, b"").hash());
        assert_eq!(
            Block::verify(json, &b""[..]),
            Err(BlockError::UnsupportedCodec { code: 0x0129 })
        );
        let large = vec![0; BLOCK_BYTES_MAX + 1];
        assert_eq!(
            Block::new(Codec::Raw, large),
            Err(BlockError::TooLarge {
                got: BLOCK_BYTES_MAX + 1
            })
        );
    }
}
