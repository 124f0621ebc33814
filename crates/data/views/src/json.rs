//! The fields of an object of JSON where they stand (RFC 8259): what most of the time of a scan goes to.

use std::borrow::Cow;

/// Where something stands in a text: from a byte to the one behind it. Records are shorter than 4 GiB.
pub(crate) type Place = (u32, u32);

/// A field: its name, and where its value stands, without space around it.
pub(crate) type RawField<'a> = (Cow<'a, str>, Place);

/// What stands at a place of a text, given as its bytes.
pub(crate) fn at(text: &[u8], (start, end): Place) -> &str {
    let bytes = text.get(start as usize..end as usize);
    bytes.map_or("", |bytes| std::str::from_utf8(bytes).unwrap_or_default())
}

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
    let mut reader = Reader::new(text.as_bytes());
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
    text: &'a [u8],
    at: usize,
    /// Bytes beyond ASCII may have been passed in texts; nowhere else there are any.
    is_beyond_ascii: bool,
}

impl<'a> Reader<'a> {
    const fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            is_beyond_ascii: false,
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
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
                fields.push((name, self.value_at()?));
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
        let quoted = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        if has_escapes {
            return serde_json::from_str(quoted).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
    }

    /// Passes a text; whether it has escapes.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        let bytes = self.text;
        let mut has_escapes = false;
        loop {
            let (passed, is_beyond_ascii) = plain(&bytes[self.at..]);
            self.at += passed;
            self.is_beyond_ascii |= is_beyond_ascii;
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

    /// Passes a value, and tells where it is.
    #[inline]
    fn value_at(&mut self) -> Option<Place> {
        let start = u32::try_from(self.at).ok()?;
        match self.byte()? {
            b'"' => drop(self.string()?),
            b'-' | b'0'..=b'9' => self.number()?,
            _ => self.value()?,
        }
        Some((start, u32::try_from(self.at).ok()?))
    }

    /// Passes a value. What is open is kept as bits, and on the heap beyond 64 levels.
    fn value(&mut self) -> Option<()> {
        let mut open = Open::default();
        loop {
            match self.byte()? {
                b'"' => drop(self.string()?),
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.exactly(b"true")?,
                b'f' => self.exactly(b"false")?,
                b'n' => self.exactly(b"null")?,
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

    /// Passes exactly these bytes.
    #[inline]
    fn exactly(&mut self, bytes: &[u8]) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        rest.starts_with(bytes).then(|| self.at += bytes.len())
    }

    /// Passes a name and the colon behind it.
    fn key(&mut self) -> Option<()> {
        self.string()?;
        self.space();
        self.take(b':')?;
        self.space();
        Some(())
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

/// How an object looks: what its fields are called, and all that stands between their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    names: Vec<Box<str>>,
    /// What stands before each value, and behind the last one.
    between: Vec<Box<[u8]>>,
}

impl Form {
    pub(crate) fn of(text: &[u8], fields: &[RawField<'_>]) -> Self {
        let mut form = Self::default();
        let mut behind = 0;
        for (name, (start, end)) in fields {
            form.names.push(name.as_ref().into());
            form.between
                .push(at(text, (behind, *start)).as_bytes().into());
            behind = *end;
        }
        let last = text.get(behind as usize..);
        form.between.push(last.unwrap_or_default().into());
        form
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Finds the values of another object that looks the same: one with other values. False if the
    /// bytes are not one; whether they are an object at all is then not known.
    ///
    /// What is not a value was checked when the form was made, so only values are.
    pub(crate) fn find(&self, text: &[u8], places: &mut Vec<Place>) -> bool {
        places.clear();
        let found = self.read(text, places);
        found.is_some_and(|is_beyond_ascii| !is_beyond_ascii || std::str::from_utf8(text).is_ok())
    }

    fn read(&self, text: &[u8], places: &mut Vec<Place>) -> Option<bool> {
        let (last, before) = self.between.split_last()?;
        let mut reader = Reader::new(text);
        for between in before {
            reader.exactly(between)?;
            places.push(reader.value_at()?);
        }
        reader.exactly(last)?;
        (reader.at == text.len()).then_some(reader.is_beyond_ascii)
    }
}

/// How many bytes there are before a quote, a backslash, or one below space, eight at a time; and
/// whether there may be one beyond ASCII among them.
#[inline]
fn plain(bytes: &[u8]) -> (usize, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    // In each byte that is zero, the highest bit; above the first of them perhaps others.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    let mut all = 0;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let quote = zeros(word ^ (ONES * u64::from(b'"')));
        let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
        let found = below_space | quote | backslash;
        all |= word;
        if found != 0 {
            return (at + found.trailing_zeros() as usize / 8, all & HIGHS != 0);
        }
        at += 8;
    }
    let rest = bytes[at..].iter();
    let passed = rest.take_while(|byte| **byte >= 0x20 && **byte != b'"' && **byte != b'\\');
    let (count, rest) = passed.fold((0, 0), |(count, all), byte| (count + 1, all | byte));
    (at + count, (all & HIGHS != 0) || rest >= 0x80)
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
