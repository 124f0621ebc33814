//! The tokens of SQL, where SQLite sees them.
//!
//! What is a comment, a literal or a name here and something else to the engine would let a
//! statement mean one thing to the pass and another to the engine, so this follows the engine's own
//! tokenizer byte by byte.

use crate::error::SqlError;

/// What a token is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A keyword or a name without quotes.
    Word,
    /// A name in `"..."`, `` `...` `` or `[...]`.
    Quoted,
    /// A text, `'...'`.
    Text,
    /// A number.
    Number,
    /// Bytes, `x'...'`.
    Blob,
    /// A parameter.
    Parameter,
    /// One byte of punctuation or of an operator.
    Mark(u8),
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    /// Its text.
    pub(crate) fn text(self, sql: &str) -> &str {
        &sql[self.start..self.end]
    }

    /// Whether it is this keyword.
    pub(crate) fn is_word(self, sql: &str, word: &str) -> bool {
        self.kind == Kind::Word && self.text(sql).eq_ignore_ascii_case(word)
    }

    /// What a name or a text is without its quotes.
    pub(crate) fn unquoted(self, sql: &str) -> String {
        let text = self.text(sql);
        let quote = match text.as_bytes().first() {
            Some(b'[') => return text[1..text.len() - 1].to_owned(),
            Some(b'"') => "\"",
            Some(b'`') => "`",
            Some(b'\'') => "'",
            _ => return text.to_owned(),
        };
        let inner = &text[1..text.len() - 1];
        inner.replace(&quote.repeat(2), quote)
    }
}

/// The tokens of a text, without space and comments.
pub(crate) fn tokens(sql: &str) -> Result<Vec<Token>, SqlError> {
    let bytes = sql.as_bytes();
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let rest = &bytes[start..];
        if let Some(length) = space(rest) {
            start += length;
            continue;
        }
        let Some((kind, length)) = token(rest) else {
            return Err(SqlError::Syntax {
                message: "unrecognized token".to_owned(),
                offset: Some(start),
            });
        };
        let end = start + length;
        tokens.push(Token { kind, start, end });
        start = end;
    }
    Ok(tokens)
}

/// The length of the space or comment that begins here.
fn space(rest: &[u8]) -> Option<usize> {
    let length = match rest {
        [b' ' | b'\t' | b'\n' | 0x0c | b'\r', ..] => 1,
        [0xef, 0xbb, 0xbf, ..] => 3,
        [b'-', b'-', ..] => count(rest, |byte| *byte != b'\n'),
        [b'/', b'*', inner @ ..] if !inner.is_empty() => inner
            .windows(2)
            .position(|two| two == b"*/")
            .map_or(rest.len(), |at| 2 + at + 2),
        _ => return None,
    };
    Some(length)
}

/// The kind and length of the token that begins here, if it is one.
fn token(rest: &[u8]) -> Option<(Kind, usize)> {
    match *rest.first()? {
        quote @ (b'\'' | b'"' | b'`') => {
            let kind = if quote == b'\'' {
                Kind::Text
            } else {
                Kind::Quoted
            };
            Some((kind, quoted(rest, quote)?))
        }
        b'[' => {
            let end = rest.iter().position(|byte| *byte == b']')?;
            Some((Kind::Quoted, end + 1))
        }
        b'x' | b'X' if rest.get(1) == Some(&b'\'') => {
            let digits = count(&rest[2..], u8::is_ascii_hexdigit);
            let is_blob = digits % 2 == 0 && rest.get(2 + digits) == Some(&b'\'');
            is_blob.then_some((Kind::Blob, digits + 3))
        }
        b'0'..=b'9' => Some((Kind::Number, number(rest)?)),
        b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => Some((Kind::Number, number(rest)?)),
        b'?' => Some((Kind::Parameter, 1 + count(&rest[1..], u8::is_ascii_digit))),
        b':' | b'@' | b'$' | b'#' => Some((Kind::Parameter, parameter(rest)?)),
        first if is_name(first) => Some((Kind::Word, count(rest, |byte| is_name(*byte)))),
        mark @ (b'(' | b')' | b',' | b';' | b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'='
        | b'<' | b'>' | b'!' | b'|' | b'&' | b'~') => Some((Kind::Mark(mark), 1)),
        _ => None,
    }
}

/// Whether a name may have this byte behind its first one.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn count(bytes: &[u8], holds: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| holds(byte)).count()
}

/// The length of something in quotes, which are doubled within it.
fn quoted(rest: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += rest.get(at..)?.iter().position(|byte| *byte == quote)?;
        if rest.get(at + 1) != Some(&quote) {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The length of a number, if no name goes on where it ends.
fn number(rest: &[u8]) -> Option<usize> {
    let digits = |from: usize| count(&rest[from..], |byte| byte.is_ascii_digit() || *byte == b'_');
    let length = match rest {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => {
            2 + count(&rest[2..], |byte| byte.is_ascii_hexdigit() || *byte == b'_')
        }
        _ => {
            let mut end = digits(0);
            if rest.get(end) == Some(&b'.') {
                end += 1;
                end += digits(end);
            }
            let power = match rest.get(end..) {
                Some([b'e' | b'E', digit, ..]) if digit.is_ascii_digit() => 1,
                Some([b'e' | b'E', b'+' | b'-', digit, ..]) if digit.is_ascii_digit() => 2,
                _ => 0,
            };
            if power > 0 {
                end += power;
                end += digits(end);
            }
            end
        }
    };
    let goes_on = rest.get(length).is_some_and(|byte| is_name(*byte));
    (!goes_on).then_some(length)
}

/// The length of a named parameter, with the parts that it may have in Tcl.
fn parameter(rest: &[u8]) -> Option<usize> {
    let (mut at, mut named) = (1, 0);
    loop {
        match rest.get(at..) {
            Some([byte, ..]) if is_name(*byte) => {
                at += 1;
                named += 1;
            }
            Some([b'(', inner @ ..]) if named > 0 => {
                let length = count(inner, |byte| {
                    !matches!(*byte, b')' | b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0)
                });
                return (inner.get(length) == Some(&b')')).then_some(at + length + 2);
            }
            Some([b':', b':', ..]) => at += 2,
            _ => return (named > 0).then_some(at),
        }
    }
}
