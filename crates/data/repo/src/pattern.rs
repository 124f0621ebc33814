//! Which keys a rule is for (MERGE-12).

use std::fmt;
use std::str::FromStr;

/// A set of keys, as people write it: a key, `prefix*`, or `*` for all.
///
/// Ordered from the most specific to the least: keys, then prefixes from the longest to the
/// shortest, each in byte order.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Pattern {
    is_prefix: bool,
    length: std::cmp::Reverse<usize>,
    text: String,
}

/// A text is not a pattern. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a pattern is a key, a prefix with * at its end, or *; it has 1 to 1,018 bytes")]
pub struct BadPattern;

/// Sixteen of them, with what they decide, fit the record of a merge that waits; with `merge/`
/// before it, one is a key.
const PATTERN_BYTES_MAX: usize = 1018;

impl Pattern {
    /// Whether the pattern has `key`.
    #[must_use]
    pub fn matches(&self, key: &[u8]) -> bool {
        if self.is_prefix {
            key.starts_with(self.text.as_bytes())
        } else {
            key == self.text.as_bytes()
        }
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let (text, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        let fits = text.len() + usize::from(is_prefix) <= PATTERN_BYTES_MAX;
        if !fits || text.contains('*') || (text.is_empty() && !is_prefix) {
            return Err(BadPattern);
        }
        Ok(Self {
            is_prefix,
            length: std::cmp::Reverse(text.len()),
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn patterns_are_keys_prefixes_or_all() {
        assert!(pattern("*").matches(b"anything"));
        assert!(pattern("user:*").matches(b"user:1"));
        assert!(pattern("user:*").matches(b"user:"));
        assert!(!pattern("user:*").matches(b"use"));
        assert!(pattern("user").matches(b"user"));
        assert!(!pattern("user").matches(b"users"));
        for text in ["*", "a*", "a"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        let long = "k".repeat(1018);
        assert!(long.parse::<Pattern>().is_ok());
        for bad in ["", "*a", "a*b", "a**", &format!("{long}*")] {
            assert_eq!(bad.parse::<Pattern>(), Err(BadPattern), "{bad}");
        }
    }

    #[test]
    fn the_most_specific_comes_first() {
        let mut all = ["*", "a*", "ab*", "ab", "zz"].map(pattern);
        all.sort();
        assert_eq!(
            all.map(|one| one.to_string()),
            ["ab", "zz", "ab*", "a*", "*"]
        );
    }
}
