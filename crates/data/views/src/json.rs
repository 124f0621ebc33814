//! The fields of an object of JSON where they stand (RFC 8259): what most of the time of a scan goes to.

use std::borrow::Cow;

/// A field: its name, and the text of its value without space around it.
pub(crate) type RawField<'a> = (Cow<'a, str>, &'a str);

/// Why a text is no object of JSON with different names, and where: in bytes from its beginning.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadObject {
    #[error("an object is expected at byte {0}")]
    NoObject(usize),
    #[error("{0:?} is there twice")]
    Repeated(String),
}

/// The fields of an object, in their order. Values are checked as JSON and not read.
pub(crate) fn object(text: &str) -> Result<Vec<RawField<'_>>, BadObject> {
    let mut reader = Reader { text, at: 0 };
    let fields = reader.object().ok_or(BadObject::NoObject(reader.at))?;
    match repeated(&fields) {
        Some(name) => Err(BadObject::Repeated(name)),
        None => Ok(fields),
    }
}

/// Up to so many names are compared each with each; more are sorted first.
const FEW: usize = 16;

fn repeated(fields: &[RawField<'_>]) -> Option<String> {
    if fields.len() <= FEW {
        let mut later = fields.iter().enumerate();
        let found =
            later.find(|(at, (name, _))| fields[..*at].iter().any(|(known, _)| known == name));
        return found.map(|(_, (name, _))| name.clone().into_owned());
    }
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    let pair = names.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(pair[0].to_owned())
}

/// A place in a text. What fails returns none, and leaves the place where it failed.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.byte() == Some(byte)).then(|| self.at += 1)
    }

    fn object(&mut self) -> Option<Vec<RawField<'a>>> {
        // Most records have few.
        let mut fields = Vec::with_capacity(FEW / 2);
        self.space();
        self.take(b'{')?;
        self.space();
        if self.take(b'}').is_none() {
            loop {
                self.space();
                let name = self.name()?;
                self.space();
                self.take(b':')?;
                self.space();
                let start = self.at;
                self.value()?;
                fields.push((name, &self.text[start..self.at]));
                self.space();
                if self.take(b',').is_none() {
                    self.take(b'}')?;
                    break;
                }
            }
        }
        self.space();
        (self.at == self.text.len()).then_some(fields)
    }

    fn name(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let has_escapes = self.string()?;
        let quoted = &self.text[start..self.at];
        if has_escapes {
            return serde_json::from_str(quoted).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
    }

    /// Passes a text; whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        let bytes = self.text.as_bytes();
        let mut has_escapes = false;
        loop {
            self.at += plain(&bytes[self.at..]);
            match self.byte()? {
                b'"' => {
                    self.at += 1;
                    return Some(has_escapes);
                }
                b'\\' => {
                    has_escapes = true;
                    self.at += 1;
                    match self.byte()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            let digits = bytes.get(self.at + 1..self.at + 5)?;
                            digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                            self.at += 5;
                        }
                        _ => return None,
                    }
                }
                // Characters below space are escaped.
                _ => return None,
            }
        }
    }

    /// Passes a value. What is open is kept as bits, and on the heap beyond 64 levels.
    fn value(&mut self) -> Option<()> {
        let mut open = Open::default();
        loop {
            match self.byte()? {
                b'"' => drop(self.string()?),
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                bracket @ (b'[' | b'{') => {
                    self.at += 1;
                    self.space();
                    let is_object = bracket == b'{';
                    let end = if is_object { b'}' } else { b']' };
                    if self.take(end).is_none() {
                        open.push(is_object);
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => return None,
            }
            // Behind a value: what it is in goes on, or ends.
            loop {
                let Some(is_object) = open.last() else {
                    return Some(());
                };
                self.space();
                if self.take(b',').is_some() {
                    self.space();
                    if is_object {
                        self.key()?;
                    }
                    break;
                }
                self.take(if is_object { b'}' } else { b']' })?;
                open.pop();
            }
        }
    }

    /// Passes a name and the colon behind it.
    fn key(&mut self) -> Option<()> {
        self.string()?;
        self.space();
        self.take(b':')?;
        self.space();
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        rest.starts_with(word.as_bytes())
            .then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        // A sign is no number.
        self.take(b'-').unwrap_or(());
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

/// How many bytes there are before a quote, a backslash, or one below space: eight at a time.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    // In each byte that is zero, the highest bit; above the first of them perhaps others.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let quote = zeros(word ^ (ONES * u64::from(b'"')));
        let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
        let found = below_space | quote | backslash;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes[at..].iter();
    at + rest
        .take_while(|byte| **byte >= 0x20 && **byte != b'"' && **byte != b'\\')
        .count()
}

/// Arrays and objects that are open, the innermost last.
#[derive(Default)]
struct Open {
    bits: u64,
    depth: usize,
    beyond: Vec<bool>,
}

impl Open {
    fn push(&mut self, is_object: bool) {
        if self.depth < 64 {
            self.bits = self.bits << 1 | u64::from(is_object);
        } else {
            self.beyond.push(is_object);
        }
        self.depth += 1;
    }

    fn last(&self) -> Option<bool> {
        match self.depth {
            0 => None,
            1..=64 => Some(self.bits & 1 == 1),
            _ => self.beyond.last().copied(),
        }
    }

    fn pop(&mut self) {
        if self.depth > 64 {
            self.beyond.pop();
        } else {
            self.bits >>= 1;
        }
        self.depth = self.depth.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
