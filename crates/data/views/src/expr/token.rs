//! The words of an expression (VIEW-10).

use super::error::{BadExpr, ExprFault};
use crate::number::Number;

/// Operators and brackets, and what begins a comment in SQL.
const SYMBOLS: [&str; 20] = [
    "||", "==", "!=", "<>", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ",", ".",
    "--", "/*",
];

/// A word of an expression.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    /// A name, a word of the language or a function.
    Word(&'a str),
    /// A name between `"`.
    Quoted(String),
    /// A text between `'`.
    Text(String),
    /// Bytes as `x'00ff'`.
    Bytes(Vec<u8>),
    /// A number, without a sign.
    Number(Number),
    /// An operator or a bracket.
    Symbol(&'static str),
    /// The end of the text.
    End,
}

/// Reads one word after the other.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// A fault at a byte of the text.
    pub(super) fn fault(&self, at: usize, fault: ExprFault) -> BadExpr {
        BadExpr::new(self.text, at, fault)
    }

    /// The next word, and where it begins.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), BadExpr> {
        let text = self.text;
        let rest = text.get(self.at..).unwrap_or_default();
        let rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
        let at = text.len() - rest.len();
        self.at = at;
        let Some(first) = rest.chars().next() else {
            return Ok((at, Token::End));
        };
        let is_fraction = || rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let token = match first {
            '\'' => Token::Text(self.quoted('\'', "' at the end of a text")?),
            '"' => Token::Quoted(self.quoted('"', "\" at the end of a name")?),
            'x' | 'X' if rest.as_bytes().get(1) == Some(&b'\'') => {
                self.at += 1;
                let digits = self.quoted('\'', "' at the end of the bytes")?;
                let bytes = bytes(&digits).ok_or_else(|| {
                    self.fault(at, ExprFault::Expected("pairs of hexadecimal digits"))
                })?;
                Token::Bytes(bytes)
            }
            '0'..='9' => Token::Number(self.number()?),
            '.' if is_fraction() => Token::Number(self.number()?),
            _ if is_name(first) => {
                let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                self.at += end;
                Token::Word(rest.get(..end).unwrap_or_default())
            }
            _ => self.symbol(rest)?,
        };
        Ok((at, token))
    }

    /// What stands between two quotation marks; one that is doubled stands for itself.
    fn quoted(&mut self, mark: char, end: &'static str) -> Result<String, BadExpr> {
        let mut content = String::new();
        let start = self.at;
        let mut chars = self
            .text
            .get(start + 1..)
            .unwrap_or_default()
            .chars()
            .peekable();
        let mut size = 1;
        while let Some(c) = chars.next() {
            size += c.len_utf8();
            if c == mark {
                if chars.next_if_eq(&mark).is_none() {
                    self.at = start + size;
                    return Ok(content);
                }
                size += 1;
            }
            content.push(c);
        }
        Err(self.fault(self.text.len(), ExprFault::Expected(end)))
    }

    fn number(&mut self) -> Result<Number, BadExpr> {
        let (start, rest) = (self.at, self.text.get(self.at..).unwrap_or_default());
        let mut end = rest
            .find(|c: char| !(is_name(c) || c == '.'))
            .unwrap_or(rest.len());
        // The sign of a power of ten is part of it.
        let before = rest.get(..end).unwrap_or_default();
        if before.ends_with(['e', 'E'])
            && let Some(power) = rest
                .get(end..)
                .and_then(|rest| rest.strip_prefix(['+', '-']))
        {
            let size = power.find(|c| !is_name(c)).unwrap_or(power.len());
            end += 1 + size;
        }
        self.at += end;
        let text = rest.get(..end).unwrap_or_default();
        let read = if text.starts_with('.') {
            format!("0{text}").parse()
        } else {
            text.parse()
        };
        read.map_err(|error| self.fault(start, ExprFault::Number(error)))
    }

    fn symbol(&mut self, rest: &str) -> Result<Token<'a>, BadExpr> {
        let found = SYMBOLS
            .into_iter()
            .filter(|symbol| rest.starts_with(symbol))
            .max_by_key(|symbol| symbol.len());
        match found {
            // What is a comment elsewhere must not be read as something else here.
            Some("--" | "/*") => {
                let expected = ExprFault::Expected("no comment, and a space between two signs");
                Err(self.fault(self.at, expected))
            }
            Some(symbol) => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            None => {
                let expected = "a value or an operator; other names stand between \"";
                Err(self.fault(self.at, ExprFault::Expected(expected)))
            }
        }
    }
}

/// Whether it is part of a name that needs no quotation marks, or of a number.
pub(super) const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |[high, low]: &[u8; 2]| u8::try_from(16 * digit(*high)? + digit(*low)?).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(pair).collect())
        .flatten()
}
