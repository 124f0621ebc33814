//! Patterns of `like` (ACCESS-4): text in which `*` stands for any bytes.

use serde::{Deserialize, Serialize};

use crate::policy::{PolicyError, Truth};

/// A pattern in which `*` stands for any number of bytes, and a backslash makes what it is before mean itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: String,
    /// What is between the stars: one more than there are of these.
    pieces: Vec<Vec<u8>>,
}

impl Glob {
    /// A pattern of all that begins with a text.
    #[must_use]
    pub fn prefix(prefix: &str) -> Self {
        let text = prefix.replace('\\', "\\\\").replace('*', "\\*") + "*";
        Self {
            text,
            pieces: vec![prefix.as_bytes().to_vec(), Vec::new()],
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The steps that it takes to look at so many bytes, beside that of the statement (ACCESS-24).
    pub(crate) const fn cost(&self, bytes: usize) -> usize {
        bytes.saturating_mul(self.pieces.len() - 1)
    }

    /// Whether bytes have this form.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let [first, middle @ .., last] = &*self.pieces else {
            return self.pieces.first().is_some_and(|all| all == bytes);
        };
        let Some(mut rest) = bytes.strip_prefix(&**first) else {
            return false;
        };
        for piece in middle {
            let Some(place) = place_of(piece, rest) else {
                return false;
            };
            rest = &rest[place + piece.len()..];
        }
        rest.ends_with(last)
    }

    /// Whether all bytes that begin with these have this form.
    pub(crate) fn of_all(&self, prefix: &[u8]) -> Truth {
        let first = &*self.pieces[0];
        let is_prefix = matches!(&*self.pieces, [_, last] if last.is_empty());
        if is_prefix && prefix.starts_with(first) {
            Truth::True
        } else if prefix.starts_with(first) || first.starts_with(prefix) {
            if self.pieces.len() == 1 && prefix.len() > first.len() {
                return Truth::False;
            }
            Truth::Open
        } else {
            Truth::False
        }
    }
}

fn place_of(piece: &[u8], bytes: &[u8]) -> Option<usize> {
    if piece.is_empty() {
        return Some(0);
    }
    bytes.windows(piece.len()).position(|it| it == piece)
}

impl TryFrom<String> for Glob {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, PolicyError> {
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'*' => pieces.push(std::mem::take(&mut piece)),
                b'\\' => match bytes.next() {
                    Some(meant @ (b'*' | b'\\')) => piece.push(meant),
                    _ => return Err(PolicyError),
                },
                byte => piece.push(byte),
            }
        }
        pieces.push(piece);
        Ok(Self { text, pieces })
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.text
    }
}
