//! Objects of JSON by their members, and how they are written again.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The deepest nesting that is read (DELTA-2): several times what a delta needs, and what a reader in any
/// language takes without care.
pub const JSON_DEPTH_MAX: usize = 32;

/// The members of an object as they stand, by name. A name that is there twice is refused: readers
/// differ in which they take.
#[derive(Debug)]
pub struct Members<'a>(pub(crate) BTreeMap<String, &'a RawValue>);

/// A member is of another type. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a member is of another type")]
pub struct BadMember;

impl<'a> Members<'a> {
    /// Reads an object; `None` if the text is none, or has a name twice.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Takes a member out.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        self.0.remove(name)
    }

    /// Takes a member out that may be absent or null, and otherwise is to be a `T`.
    pub fn optional<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, BadMember> {
        match self.take(name) {
            None => Ok(None),
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_error| BadMember),
        }
    }

    /// What was not taken.
    #[must_use]
    pub fn rest(self) -> Extras {
        Extras::of(self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, raw)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.insert(name, raw).is_some() {
                        return Err(A::Error::custom("a name twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// Members that nobody here knows, kept as they were written (DELTA-5).
#[derive(Clone, Debug, Default)]
pub struct Extras(BTreeMap<String, Box<RawValue>>);

impl Extras {
    pub(crate) fn of(members: Members<'_>) -> Self {
        let owned = |(name, raw): (String, &RawValue)| (name, raw.to_owned());
        Self(members.0.into_iter().map(owned).collect())
    }

    /// The JSON of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|raw| raw.get())
    }

    /// The text of a member that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// Sets a member to a string.
    pub(crate) fn set_text(&mut self, name: &str, text: &str) {
        let mut json = String::new();
        put_text(&mut json, text);
        if let Ok(raw) = RawValue::from_string(json) {
            self.0.insert(name.to_owned(), raw);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes each as `,"name":value`.
    pub fn put(&self, out: &mut String) {
        for (name, raw) in &self.0 {
            out.push(',');
            put_text(out, name);
            out.push(':');
            out.push_str(raw.get());
        }
    }
}

impl PartialEq for Extras {
    fn eq(&self, other: &Self) -> bool {
        let texts = |extras: &Self| {
            let mut out = String::new();
            extras.put(&mut out);
            out
        };
        texts(self) == texts(other)
    }
}

/// Writes a string with the escapes of RFC 8785.
pub fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether a text nests no deeper than [`JSON_DEPTH_MAX`]. Looks at brackets outside of strings alone, so
/// that it costs nothing to ask first.
#[must_use]
pub fn is_shallow(text: &str) -> bool {
    is_within(text, JSON_DEPTH_MAX)
}

/// Whether a text nests no deeper than `depth_max`.
#[must_use]
pub fn is_within(text: &str, depth_max: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > depth_max {
                    return false;
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}
