//! What a request spells, as text alone: ranges, names in conditions, parameters, paths, tokens (HTTP-10, HTTP-11,
//! HTTP-20). It knows nothing of the node or of what carries it, so that it can be tried apart from both.

use super::percent;

/// Names in one condition: a client has a few.
const TAGS_MAX: usize = 64;

/// A range of bytes as it is asked for (RFC 9110, 14).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Range {
    /// From one byte on, up to and with another if it is said.
    From(u64, Option<u64>),
    /// The last so many.
    Last(u64),
}

impl Range {
    /// `bytes=first-last`, of which one may be missing. Several ranges, and what is none of bytes, are `None`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
        let number = |text: &str| -> Option<Option<u64>> {
            if text.is_empty() {
                return Some(None);
            }
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| Some(text.parse().unwrap_or(u64::MAX)))
        };
        match (number(first)?, number(last)?) {
            (None, None) => None,
            (Some(first), Some(last)) if last < first => None,
            (Some(first), last) => Some(Self::From(first, last)),
            (None, Some(count)) => Some(Self::Last(count)),
        }
    }

    /// The first byte of so many, and how many follow with it; `None` if there is none of them.
    pub(crate) fn of(self, size: u64) -> Option<(u64, u64)> {
        let end = size.checked_sub(1)?;
        let (first, last) = match self {
            Self::From(first, last) => (first, last.unwrap_or(end).min(end)),
            Self::Last(count) => (size.saturating_sub(count), end),
        };
        (first <= last).then(|| (first, last - first + 1))
    }
}

/// What the text of a condition can be wrong in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BadTags {
    /// It is neither `*` nor a list of names in quotes.
    Form,
    /// More names than are looked at.
    Many,
}

/// Adds the names that a condition lists, each with whether it is weak; `true` if it is `*`.
pub(crate) fn tags(text: &str, tags: &mut Vec<(String, bool)>) -> Result<bool, BadTags> {
    let mut rest = text.trim();
    if rest == "*" {
        return Ok(true);
    }
    while !rest.is_empty() {
        if tags.len() == TAGS_MAX {
            return Err(BadTags::Many);
        }
        let is_weak = rest.starts_with("W/");
        let text = rest.strip_prefix("W/").unwrap_or(rest);
        let text = text.strip_prefix('"').ok_or(BadTags::Form)?;
        let (tag, behind) = text.split_once('"').ok_or(BadTags::Form)?;
        tags.push((tag.to_owned(), is_weak));
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(behind) => behind.trim_start(),
            None if behind.is_empty() => behind,
            None => return Err(BadTags::Form),
        };
    }
    Ok(false)
}

/// What the parameters of a request can be wrong in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum BadPairs {
    /// A `%` is not followed by two digits.
    Percent,
    /// This one is there twice.
    Twice(String),
}

/// The parameters of a request, decoded, in their order.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, Vec<u8>)>, BadPairs> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent::decode(name, true).ok_or(BadPairs::Percent)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        if all.iter().any(|(known, _)| *known == name) {
            return Err(BadPairs::Twice(name));
        }
        let value = percent::decode(value, true).ok_or(BadPairs::Percent)?;
        all.push((name, value));
    }
    Ok(all)
}

/// Of `/v1/spaces/{space}/{what}/{rest}` the space and the rest, decoded; `None` if a `%` is not followed by two digits.
pub(crate) fn path(path: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut segments = path.splitn(6, '/').skip(3);
    let space = percent::decode(segments.next().unwrap_or_default(), false)?;
    let rest = percent::decode(segments.nth(1).unwrap_or_default(), false)?;
    Some((space, rest))
}

/// The token of `Authorization: Bearer TOKEN`.
pub(crate) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}
