//! What a path names: a space, and something in it (HTTP-10).

use allod_repo::KEY_BYTES_MAX;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use bytes::Bytes;

use super::percent;
use super::problem::Problem;
use super::spelled;
use crate::shown::key_bytes;

/// `/v1/spaces/{space}` and what follows its next segment.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    space: String,
    rest: Vec<u8>,
}

impl<S: Sync> FromRequestParts<S> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::read(parts.uri.path())
    }
}

impl Target {
    fn read(path: &str) -> Result<Self, Problem> {
        let bad = || Problem::request("a % in the path is not followed by two digits");
        let (space, rest) = spelled::path(path).ok_or_else(bad)?;
        Ok(Self {
            space: text(space)?,
            rest,
        })
    }

    /// The name of the space here, or its id.
    pub(crate) fn space_name(&self) -> &str {
        &self.space
    }

    /// How the space is called in the path.
    pub(crate) fn space(&self) -> String {
        percent::encode(self.space.as_bytes())
    }

    /// What is named in the space, as a key.
    pub(crate) fn key(&self) -> Result<Bytes, Problem> {
        spelled_key(&self.rest)
    }

    /// What is named in the space, as text.
    pub(crate) fn name(&self) -> Result<String, Problem> {
        text(self.rest.clone())
    }
}

/// The key, or the beginning of keys, that is spelled so.
pub(crate) fn spelled_key(spelling: &[u8]) -> Result<Bytes, Problem> {
    let bad = |words: String| Problem::new("E_HTTP_KEY", words);
    let key = key_bytes(spelling).map_err(|error| bad(error.to_string()))?;
    if key.len() > KEY_BYTES_MAX {
        return Err(bad(format!("a key has at most {KEY_BYTES_MAX} bytes")));
    }
    Ok(key)
}

fn text(bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|_error| Problem::request("a name in the path is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_after_it_was_split() {
        let read = |path| Target::read(path).unwrap();
        let target = read("/v1/spaces/a%2Fb/entries/notes/to%2Fday%252F");
        assert_eq!(target.space, "a/b");
        assert_eq!(target.key().unwrap(), "notes/to/day%2F");
        assert_eq!(target.space(), "a%2Fb");
        let target = read("/v1/spaces/s/entries/%FF+");
        assert_eq!(target.key().unwrap(), &b"\xff+"[..]);
        assert_eq!(target.name().unwrap_err().code(), "E_HTTP_REQUEST");
        assert_eq!(read("/v1/spaces/s/entries/hex:2e2e").key().unwrap(), "..");
        let bad = read("/v1/spaces/s/entries/hex:2").key().unwrap_err();
        assert_eq!(bad.code(), "E_HTTP_KEY");
        for bad in ["/v1/spaces/%FF/x", "/v1/spaces/%zz/x", "/v1/spaces/s/x/%"] {
            assert_eq!(
                Target::read(bad).unwrap_err().code(),
                "E_HTTP_REQUEST",
                "{bad}"
            );
        }
    }
}
