//! Keys as they are typed.

use bytes::Bytes;

use crate::cli::Usage;

pub(crate) use allod::shown::key_text;

/// The key, or the beginning of keys, that is spelled so.
pub(crate) fn key_bytes(text: &str) -> Result<Bytes, Usage> {
    allod::shown::key_bytes(text.as_bytes()).map_err(|error| Usage(error.to_string()))
}
