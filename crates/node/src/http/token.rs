//! The token that opens the node over HTTP (HTTP-40).

use std::path::Path;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::NodeError;
use crate::home::{Home, random, read_private, write_private};

/// The file of the token in a home.
pub const TOKEN_FILE: &str = "http-token";

/// The characters of a token: 16 are 96 bits where they are random, and 256 fit into any header.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=256;

/// A token that is none. Blame: whoever wrote the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a token is 16 to 256 characters of a-z A-Z 0-9 . _ ~ + / = -")]
pub struct BadToken;

/// A secret that whoever asks shows.
#[derive(Clone)]
pub struct HttpToken(Zeroizing<String>);

impl std::fmt::Debug for HttpToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpToken(..)")
    }
}

impl HttpToken {
    /// A token of 32 random bytes, written to the home in place of the one that was there.
    pub fn make(home: &Home) -> Result<Self, NodeError> {
        let secret = Zeroizing::new(random::<32>()?);
        let text = multibase::Base::Base64Url.encode(&secret[..]);
        let token = Self(Zeroizing::new(text));
        let line = Zeroizing::new(format!("{}\n", *token.0));
        write_private(&home.path().join(TOKEN_FILE), line.as_bytes())?;
        Ok(token)
    }

    /// The token in a file that only its owner can read; white space around it does not count.
    pub fn read(path: &Path) -> Result<Self, NodeError> {
        let bytes = read_private(path)?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        let token = Self::parse(text);
        token.map_err(|_error| NodeError::KeyFile(path.to_owned(), "has no token in it"))
    }

    /// The token of a home, if it has one.
    pub fn of(home: &Home) -> Result<Option<Self>, NodeError> {
        let path = home.path().join(TOKEN_FILE);
        path.exists().then(|| Self::read(&path)).transpose()
    }

    /// A token from its text.
    pub fn parse(text: &str) -> Result<Self, BadToken> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._~+/=-".contains(&b);
        if LENGTH.contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(BadToken)
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether somebody showed it. How long that takes says nothing but whether the length is the same.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_fits_into_a_header() {
        for bad in [
            "",
            "short",
            "fifteen-of-them",
            "with space in the middle",
            "\u{e9}".repeat(20).as_str(),
        ] {
            assert!(HttpToken::parse(bad).is_err(), "{bad}");
        }
        assert!(HttpToken::parse(&"x".repeat(257)).is_err());
        let token = HttpToken::parse("abcdefghijklmnop").unwrap();
        assert!(token.is(b"abcdefghijklmnop"));
        for other in [
            "abcdefghijklmnoq",
            "abcdefghijklmno",
            "",
            "abcdefghijklmnopq",
        ] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert!(!format!("{token:?}").contains("abc"));
    }
}
