//! Strict DAG-CBOR: one encoding for each value, and nothing else is read (CONV-1, CONV-2).
//!
//! [`check`] judges bytes without knowing their type, so every implementation gives the same
//! verdict; [`decode`] reads a serde type from bytes that passed, and makes sure that the type kept
//! all of them.

use cid::Cid;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The deepest nesting that is read (STMT-5).
///
/// 64: several times what any page needs. Each level of a serde type takes up to three of the 256
/// steps that the parser below allows, so a value that passes [`check`] never runs into those.
pub const DEPTH_MAX: usize = 64;

/// Why bytes are not the canonical DAG-CBOR of what they should say. Blame: whoever wrote them.
///
/// `at` is the offset of the fault in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// More bytes than the page allows (CONV-7).
    #[error("{got} bytes exceed the limit of {max}")]
    TooLarge {
        /// The size in bytes.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Not DAG-CBOR: cut short, or a type, tag, text or link that DAG-CBOR does not have (CONV-1).
    #[error("not DAG-CBOR at byte {at}")]
    Malformed {
        /// The offset.
        at: usize,
    },
    /// DAG-CBOR that says its content in another way than the canonical one (CONV-2).
    #[error("not the canonical encoding at byte {at}")]
    NotCanonical {
        /// The offset.
        at: usize,
    },
    /// Bytes follow the value (CONV-2).
    #[error("bytes follow the value at byte {at}")]
    Trailing {
        /// The offset.
        at: usize,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} levels at byte {at}")]
    TooDeep {
        /// The offset.
        at: usize,
    },
    /// Canonical, but not of the shape expected: a member is missing, unknown or of another type
    /// (CONV-3).
    #[error("not of the expected shape")]
    Shape,
}

impl CanonicalError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "E_SIZE",
            Self::Malformed { .. } => "E_CBOR",
            Self::NotCanonical { .. } => "E_CANONICAL",
            Self::Trailing { .. } => "E_TRAILING",
            Self::TooDeep { .. } => "E_DEPTH",
            Self::Shape => "E_SHAPE",
        }
    }
}

/// A value that DAG-CBOR cannot say: a float that is not finite, a map key that is no text.
/// Blame: the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the value has no DAG-CBOR encoding")]
pub struct EncodeError;

/// The canonical encoding of `value`.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    serde_ipld_dagcbor::to_vec(value).map_err(|_error| EncodeError)
}

/// Reads a `T` of at most `bytes_max` bytes from its canonical encoding, and from nothing else.
///
/// The value is encoded again and compared, so that a type which forgets a member of the input
/// cannot be read from it.
pub fn decode<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    bytes_max: usize,
) -> Result<T, CanonicalError> {
    if bytes.len() > bytes_max {
        return Err(CanonicalError::TooLarge {
            got: bytes.len(),
            max: bytes_max,
        });
    }
    check(bytes)?;
    decode_checked(bytes)
}

/// Reads a `T` from bytes that passed [`check`].
pub(crate) fn decode_checked<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
) -> Result<T, CanonicalError> {
    let value: T = serde_ipld_dagcbor::from_slice(bytes).map_err(|_error| CanonicalError::Shape)?;
    match encode(&value) {
        Ok(again) if again == bytes => Ok(value),
        _ => Err(CanonicalError::Shape),
    }
}

/// Checks that `bytes` are exactly one canonical DAG-CBOR value. Takes no memory.
pub fn check(bytes: &[u8]) -> Result<(), CanonicalError> {
    let mut reader = Reader { bytes, at: 0 };
    reader.item(0)?;
    if reader.at < bytes.len() {
        return Err(CanonicalError::Trailing { at: reader.at });
    }
    Ok(())
}

/// The first byte of a link's byte string: the multibase prefix for "binary".
const LINK_PREFIX: u8 = 0x00;

/// The only tag: a link.
const LINK_TAG: u64 = 42;

#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], CanonicalError> {
        let malformed = CanonicalError::Malformed { at: self.at };
        let len = usize::try_from(len).map_err(|_error| malformed)?;
        let end = self.at.checked_add(len).ok_or(malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(malformed)?;
        self.at = end;
        Ok(taken)
    }

    /// Reads a head: its major type and argument, which has to be in its shortest form.
    fn head(&mut self) -> Result<(u8, u64), CanonicalError> {
        let start = self.at;
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        let (value, least) = match info {
            0..=23 => (u64::from(info), 0),
            24 => (self.argument(1)?, 24),
            25 => (self.argument(2)?, 1 << 8),
            26 => (self.argument(4)?, 1 << 16),
            27 => (self.argument(8)?, 1 << 32),
            // 31 is an indefinite length, which is CBOR, but never canonical.
            31 if (2..=5).contains(&major) => {
                return Err(CanonicalError::NotCanonical { at: start });
            }
            _ => return Err(CanonicalError::Malformed { at: start }),
        };
        if major != 7 && value < least {
            return Err(CanonicalError::NotCanonical { at: start });
        }
        Ok((major, value))
    }

    fn argument(&mut self, len: u64) -> Result<u64, CanonicalError> {
        let bytes = self.take(len)?;
        Ok(bytes
            .iter()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    fn item(&mut self, depth: usize) -> Result<(), CanonicalError> {
        let start = self.at;
        if depth > DEPTH_MAX {
            return Err(CanonicalError::TooDeep { at: start });
        }
        let (major, value) = self.head()?;
        match major {
            0 | 1 => Ok(()),
            2 => self.take(value).map(|_bytes| ()),
            3 => self.text(value).map(|_text| ()),
            4 => {
                for _ in 0..value {
                    self.item(depth + 1)?;
                }
                Ok(())
            }
            5 => self.map(value, depth),
            6 => self.link(start, value),
            _ => self.simple(start),
        }
    }

    fn text(&mut self, len: u64) -> Result<&'a [u8], CanonicalError> {
        let start = self.at;
        let bytes = self.take(len)?;
        match std::str::from_utf8(bytes) {
            Ok(_) => Ok(bytes),
            Err(_) => Err(CanonicalError::Malformed { at: start }),
        }
    }

    /// Keys are texts, unique, sorted by length and then by bytes.
    fn map(&mut self, len: u64, depth: usize) -> Result<(), CanonicalError> {
        let mut last: Option<&[u8]> = None;
        for _ in 0..len {
            let start = self.at;
            let (major, key_len) = self.head()?;
            if major != 3 {
                return Err(CanonicalError::Malformed { at: start });
            }
            let key = self.text(key_len)?;
            if last.is_some_and(|last| (last.len(), last) >= (key.len(), key)) {
                return Err(CanonicalError::NotCanonical { at: start });
            }
            last = Some(key);
            self.item(depth + 1)?;
        }
        Ok(())
    }

    /// Tag 42 around a byte string: a zero byte and a CIDv1 (CONV-4).
    fn link(&mut self, start: usize, tag: u64) -> Result<(), CanonicalError> {
        let malformed = CanonicalError::Malformed { at: start };
        if tag != LINK_TAG {
            return Err(malformed);
        }
        let (major, len) = self.head()?;
        if major != 2 {
            return Err(malformed);
        }
        let Some((&LINK_PREFIX, name)) = self.take(len)?.split_first() else {
            return Err(malformed);
        };
        let cid = Cid::try_from(name).map_err(|_error| malformed)?;
        if cid.version() == cid::Version::V1 && cid.to_bytes() == name {
            Ok(())
        } else {
            Err(malformed)
        }
    }

    /// `false`, `true`, `null`, or a finite 64-bit float other than minus zero.
    fn simple(&mut self, start: usize) -> Result<(), CanonicalError> {
        match self.bytes[start] {
            0xf4..=0xf6 => Ok(()),
            0xf9 | 0xfa => Err(CanonicalError::NotCanonical { at: start }),
            0xfb => {
                let mut bits = [0; 8];
                bits.copy_from_slice(&self.bytes[start + 1..self.at]);
                let value = f64::from_be_bytes(bits);
                if !value.is_finite() {
                    return Err(CanonicalError::Malformed { at: start });
                }
                if value == 0.0 && value.is_sign_negative() {
                    return Err(CanonicalError::NotCanonical { at: start });
                }
                Ok(())
            }
            _ => Err(CanonicalError::Malformed { at: start }),
        }
    }
}
