//! Numbers as bytes.

/// Bytes are not what they should be. Blame: the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// They end too early, or go on, or are no number.
    #[error("the bytes of a sketch or estimate are malformed")]
    Malformed,
    /// More symbols than the caller takes.
    #[error("too many symbols")]
    TooMany,
}

/// A zigzag LEB128 number (SKETCH-5).
pub(crate) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = (value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Takes a number off the front; only its shortest form.
pub(crate) fn take(bytes: &mut &[u8]) -> Result<i64, CodeError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(CodeError::Malformed)?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return Err(CodeError::Malformed);
        }
        value |= part << shift;
        if byte < 0x80 {
            if byte == 0 && shift > 0 {
                return Err(CodeError::Malformed);
            }
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(CodeError::Malformed)
}

/// Takes bytes off the front.
pub(crate) fn take_bytes<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], CodeError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(CodeError::Malformed)?;
    *bytes = rest;
    Ok(*head)
}
