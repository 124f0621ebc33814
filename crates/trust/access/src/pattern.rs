//! Which keys or branches a rule is about (ACCESS-10, ACCESS-11).

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::policy::Truth;

/// The longest pattern, in bytes, its most captures, and the longest name of one (ACCESS-10).
const PATTERN_BYTES_MAX: usize = 256;
const CAPTURES_MAX: usize = 4;
const CAPTURE_NAME_BYTES_MAX: usize = 32;

/// A text with captures `{name}`, and `*` at its end for any rest.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
    is_open: bool,
}

#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
enum Part {
    Literal(Vec<u8>),
    Capture(String),
}

/// What captures have, in a key or branch that a pattern matches.
#[derive(Default)]
pub(crate) struct Captured<'a, 'b> {
    all: [(&'a str, &'b [u8]); CAPTURES_MAX],
    count: usize,
}

impl<'a, 'b> Captured<'a, 'b> {
    /// What the capture of a name has.
    pub(crate) fn get(&self, name: &str) -> Option<&'b [u8]> {
        let mut all = self.all[..self.count].iter();
        all.find(|(it, _)| *it == name).map(|(_, value)| *value)
    }

    fn push(&mut self, name: &'a str, value: &'b [u8]) {
        self.all[self.count] = (name, value);
        self.count += 1;
    }
}

/// The text is no pattern. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a pattern has 1 to 256 bytes: text, up to 4 captures {{name}} before a \":\", a \"/\" or the end, and * at its end"
)]
pub struct BadPattern;

impl BadPattern {
    /// The registered error code.
    pub const CODE: &'static str = "E_RULE_PATTERN";
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b':' | b'/')
}

impl Pattern {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has a capture of this name.
    pub(crate) fn has_capture(&self, name: &str) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| matches!(part, Part::Capture(it) if it == name))
    }

    /// The greater, the more specific (ACCESS-11).
    pub(crate) fn specificity(&self) -> (usize, bool, Reverse<usize>) {
        let (mut literal, mut captures) = (0, 0);
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => literal += bytes.len(),
                Part::Capture(_) => captures += 1,
            }
        }
        (literal, !self.is_open, Reverse(captures))
    }

    /// What the captures have in these bytes, if the pattern matches them.
    pub(crate) fn captures<'a, 'b>(&'a self, bytes: &'b [u8]) -> Option<Captured<'a, 'b>> {
        let mut captured = Captured::default();
        let rest = self.go(bytes, &mut captured)?;
        (rest.is_empty() || self.is_open).then_some(captured)
    }

    /// Whether the pattern matches these bytes.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.captures(bytes).is_some()
    }

    fn go<'a, 'b>(&'a self, bytes: &'b [u8], captured: &mut Captured<'a, 'b>) -> Option<&'b [u8]> {
        let mut rest = bytes;
        for part in &self.parts {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(&**literal)?,
                Part::Capture(name) => {
                    let end = rest.iter().position(|byte| is_separator(*byte));
                    let (value, after) = rest.split_at(end.unwrap_or(rest.len()));
                    let known = captured.get(name);
                    if value.is_empty() || known.is_some_and(|it| it != value) {
                        return None;
                    }
                    captured.push(name, value);
                    rest = after;
                }
            }
        }
        Some(rest)
    }

    /// Whether it matches all that begins with these bytes.
    pub(crate) fn of_all(&self, prefix: &[u8]) -> Truth {
        let mut rest = prefix;
        for (place, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => {
                    if let Some(after) = rest.strip_prefix(&**literal) {
                        rest = after;
                    } else if literal.starts_with(rest) {
                        return Truth::Open;
                    } else {
                        return Truth::False;
                    }
                }
                Part::Capture(_) => match rest.iter().position(|byte| is_separator(*byte)) {
                    Some(0) => return Truth::False,
                    Some(end) => rest = &rest[end..],
                    // The capture may go on beyond what is known.
                    None => return Truth::Open,
                },
            }
            let is_last = place + 1 == self.parts.len();
            if is_last && !self.is_open && !rest.is_empty() {
                return Truth::False;
            }
        }
        let mut names: Vec<&String> = Vec::new();
        for part in &self.parts {
            if let Part::Capture(name) = part {
                if names.contains(&name) {
                    // Whether two captures agree is not worth the telling.
                    return Truth::Open;
                }
                names.push(name);
            }
        }
        if self.is_open {
            Truth::True
        } else {
            Truth::Open
        }
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Pattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
            return Err(BadPattern);
        }
        let (mut rest, is_open) = match text.strip_suffix('*') {
            Some(rest) => (rest, true),
            None => (&*text, false),
        };
        let mut parts = Vec::new();
        let mut captures = 0;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or(BadPattern)?;
                captures += 1;
                let ends = match after.bytes().next() {
                    Some(byte) => is_separator(byte),
                    None => !is_open,
                };
                if !is_capture_name(name) || captures > CAPTURES_MAX || !ends {
                    return Err(BadPattern);
                }
                parts.push(Part::Capture(name.to_owned()));
                rest = after;
            } else {
                let end = rest.find('{').unwrap_or(rest.len());
                let (literal, after) = rest.split_at(end);
                if literal.contains(['*', '}']) {
                    return Err(BadPattern);
                }
                parts.push(Part::Literal(literal.as_bytes().to_vec()));
                rest = after;
            }
        }
        Ok(Self {
            text,
            parts,
            is_open,
        })
    }
}

fn is_capture_name(name: &str) -> bool {
    name.len() <= CAPTURE_NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
