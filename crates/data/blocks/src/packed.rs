//! How a store on disk writes a block down: as it is, or compressed (BLOCKS-60 to BLOCKS-63).

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use crate::block::BLOCK_BYTES_MAX;
use crate::lock::lock;

/// The levels of zstd that a store takes (BLOCKS-61): beyond 19 it needs more memory to read.
const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

/// Blocks below this are written as they are: with its header, nothing gets smaller.
const PACK_BYTES_MIN: usize = 64;

/// A compressed block is kept if it saves at least one part in so many (BLOCKS-62); otherwise
/// every read would pay for nothing.
const SAVED_PART: usize = 16;

/// The header of a compressed block: its kind, and the length of the content (u32).
const HEADER_BYTES: usize = 5;

/// Readers kept for the next read, each 150 KiB: as many as threads usually read at once.
const READERS_KEPT: usize = 4;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const SNAPPY: u8 = 2;

/// How new blocks are compressed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Quickly, and less.
    Snappy,
    /// Better the higher the level, from 1 to 19, and slower to write; reading is equally fast.
    Zstd(i32),
}

/// Not a way to compress. Blame: the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a compression; use none, snappy, zstd, or zstd:LEVEL with a level from 1 to 19")]
pub struct BadCompression;

/// Why what is stored is no block. Blame: the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// An unknown kind, or no header.
    #[error("its header is not one of a stored block")]
    Header,
    /// More content is announced than a block may have (BLOCKS-63).
    #[error("it announces {0} bytes, more than a block may have")]
    TooLarge(u32),
    /// What is compressed does not give what was announced.
    #[error("what is compressed is damaged")]
    Content,
}

impl UnpackError {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Header => "E_STORED_HEADER",
            Self::TooLarge(_) => "E_BLOCK_SIZE",
            Self::Content => "E_STORED_CONTENT",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Snappy => f.write_str("snappy"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

impl FromStr for Compression {
    type Err = BadCompression;

    fn from_str(text: &str) -> Result<Self, BadCompression> {
        match text {
            "none" => Ok(Self::None),
            "snappy" => Ok(Self::Snappy),
            "zstd" => Ok(Self::Zstd(zstd::DEFAULT_COMPRESSION_LEVEL)),
            _ => {
                let level = text.strip_prefix("zstd:").ok_or(BadCompression)?;
                let level = level.parse().map_err(|_error| BadCompression)?;
                if LEVELS.contains(&level) {
                    Ok(Self::Zstd(level))
                } else {
                    Err(BadCompression)
                }
            }
        }
    }
}

/// What packs the blocks of a store. Clones share it, so that one may change how it compresses
/// while another is in use; what is stored already stays as it is and readable.
#[derive(Clone, Default)]
pub struct Packing {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    // A setting, and contexts that begin anew with each use.
    compression: Mutex<Compression>,
    /// Contexts are costly to make and need not be kept by thread.
    writer: Mutex<Option<(i32, Compressor<'static>)>>,
    readers: Mutex<Vec<Decompressor<'static>>>,
}

impl fmt::Debug for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Packing").field(&self.compression()).finish()
    }
}

impl Packing {
    /// Packs as `compression` says.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        let packing = Self::default();
        packing.set(compression);
        packing
    }

    /// How new blocks are compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        *lock(&self.inner.compression)
    }

    /// Compresses new blocks differently from now on.
    pub fn set(&self, compression: Compression) {
        *lock(&self.inner.compression) = compression;
    }

    /// The stored form of a block's content, which has at most [`BLOCK_BYTES_MAX`].
    #[must_use]
    pub fn pack(&self, content: &[u8]) -> Vec<u8> {
        let packed = if content.len() < PACK_BYTES_MIN {
            None
        } else {
            match self.compression() {
                Compression::None => None,
                Compression::Snappy => snap::raw::Encoder::new()
                    .compress_vec(content)
                    .ok()
                    .map(|packed| (SNAPPY, packed)),
                Compression::Zstd(level) => self.zstd(level, content).map(|packed| (ZSTD, packed)),
            }
        };
        let room = content.len() - content.len() / SAVED_PART;
        match packed {
            Some((kind, packed)) if packed.len() + HEADER_BYTES <= room => {
                let mut stored = Vec::with_capacity(HEADER_BYTES + packed.len());
                stored.push(kind);
                stored.extend_from_slice(&(content.len() as u32).to_le_bytes());
                stored.extend_from_slice(&packed);
                stored
            }
            _ => {
                let mut stored = Vec::with_capacity(1 + content.len());
                stored.push(PLAIN);
                stored.extend_from_slice(content);
                stored
            }
        }
    }

    /// The content of a stored block; no more memory is taken than a block may have.
    pub fn unpack(&self, stored: Bytes) -> Result<Bytes, UnpackError> {
        let (&kind, rest) = stored.split_first().ok_or(UnpackError::Header)?;
        if kind == PLAIN {
            return Ok(stored.slice(1..));
        }
        let (length, packed) = rest.split_first_chunk().ok_or(UnpackError::Header)?;
        let announced = u32::from_le_bytes(*length);
        let length = announced as usize;
        if length > BLOCK_BYTES_MAX {
            return Err(UnpackError::TooLarge(announced));
        }
        let content = match kind {
            ZSTD => self.unzstd(packed, length),
            SNAPPY => match snap::raw::decompress_len(packed) {
                Ok(says) if says == length => snap::raw::Decoder::new().decompress_vec(packed).ok(),
                _ => None,
            },
            _ => return Err(UnpackError::Header),
        };
        match content {
            Some(content) if content.len() == length => Ok(content.into()),
            _ => Err(UnpackError::Content),
        }
    }

    fn zstd(&self, level: i32, content: &[u8]) -> Option<Vec<u8>> {
        let mut writer = lock(&self.inner.writer);
        if writer.as_ref().is_none_or(|(made, _)| *made != level) {
            *writer = Some((level, Compressor::new(level).ok()?));
        }
        let (_, compressor) = writer.as_mut()?;
        compressor.compress(content).ok()
    }

    fn unzstd(&self, packed: &[u8], length: usize) -> Option<Vec<u8>> {
        let kept = lock(&self.inner.readers).pop();
        let mut reader = match kept {
            Some(reader) => reader,
            None => Decompressor::new().ok()?,
        };
        // The length is the room that there is: a frame with more in it fails.
        let content = reader.decompress(packed, length).ok();
        let mut readers = lock(&self.inner.readers);
        if readers.len() < READERS_KEPT {
            readers.push(reader);
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Compression; 4] = [
        Compression::None,
        Compression::Snappy,
        Compression::Zstd(1),
        Compression::Zstd(19),
    ];

    fn contents() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..3000),
            (any::<u8>(), 0..200_000usize).prop_map(|(byte, length)| vec![byte; length]),
            "([a-z]{1,8} ){0,500}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked_whatever_the_setting_is_now(content in contents()) {
            let packing = Packing::default();
            for compression in ALL {
                packing.set(compression);
                let stored = packing.pack(&content);
                prop_assert!(stored.len() <= content.len() + 1);
                for now in ALL {
                    packing.set(now);
                    prop_assert_eq!(packing.unpack(stored.clone().into()), Ok(content.clone().into()));
                }
            }
        }

        #[test]
        fn damage_never_panics_and_never_gives_more_than_a_block(
            content in contents(),
            which in 0..4usize,
            at in any::<prop::sample::Index>(),
            flip in 1..=255u8,
        ) {
            let packing = Packing::new(ALL[which]);
            let mut stored = packing.pack(&content);
            let at = at.index(stored.len());
            let cut = packing.unpack(Bytes::copy_from_slice(&stored[..at]));
            prop_assert_ne!(cut.ok(), Some(Bytes::from(content)));
            stored[at] ^= flip;
            if let Ok(bytes) = packing.unpack(stored.into()) {
                prop_assert!(bytes.len() <= BLOCK_BYTES_MAX);
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_by_what_it_announces() {
        let packing = Packing::default();
        let large = vec![0; BLOCK_BYTES_MAX + 1];
        for (kind, packed) in [
            (ZSTD, zstd::bulk::compress(&large, 3).unwrap()),
            (
                SNAPPY,
                snap::raw::Encoder::new().compress_vec(&large).unwrap(),
            ),
        ] {
            let stored = |length: usize| {
                let length = (length as u32).to_le_bytes();
                Bytes::from([&[kind], &length[..], &packed].concat())
            };
            assert_eq!(
                packing.unpack(stored(large.len())),
                Err(UnpackError::TooLarge(large.len() as u32))
            );
            // Announcing less than there is does not help it, nor does announcing more.
            for length in [0, 1, BLOCK_BYTES_MAX] {
                assert_eq!(packing.unpack(stored(length)), Err(UnpackError::Content));
            }
        }
        for stored in [&b""[..], b"\x03\0\0\0\0", b"\x01\0\0"] {
            let refused = packing.unpack(Bytes::from_static(stored));
            assert_eq!(refused, Err(UnpackError::Header));
        }
    }

    #[test]
    fn little_that_is_saved_is_not_worth_it() {
        let packing = Packing::new(Compression::Zstd(3));
        let noise: Vec<u8> = (0..1000u32)
            .flat_map(|number| {
                crate::block::sha256_cid(crate::Codec::Raw, &number.to_le_bytes())
                    .hash()
                    .digest()
                    .to_vec()
            })
            .collect();
        assert_eq!(packing.pack(&noise)[0], PLAIN);
        assert_eq!(packing.pack(&[7; 63])[0], PLAIN);
        assert_eq!(packing.pack(&[7; 64])[0], ZSTD);
    }

    #[test]
    fn the_settings_have_one_spelling_each() {
        for compression in ALL {
            assert_eq!(compression.to_string().parse(), Ok(compression));
        }
        assert_eq!("zstd".parse(), Ok(Compression::Zstd(3)));
        for bad in [
            "", "gzip", "zstd:0", "zstd:20", "zstd:", "zstd:x", "snappy:1", "Zstd",
        ] {
            assert_eq!(bad.parse::<Compression>(), Err(BadCompression), "{bad}");
        }
    }
}
