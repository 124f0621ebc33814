//! How the key of an entry is made of an event (SRC-21).

use std::str::FromStr;

use crate::source::definition::BadSource;

/// The longest template, in bytes: what a key may have, nearly.
const TEMPLATE_BYTES_MAX: usize = 1024;

/// Text with names of attributes in braces, such as `events/{type}/{id}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Text(String),
    Name(String),
}

impl FromStr for Template {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        let bad = |words: &str| BadSource::new(format!("a key {words}"));
        if text.is_empty() || text.len() > TEMPLATE_BYTES_MAX {
            return Err(bad(&format!("has 1 to {TEMPLATE_BYTES_MAX} bytes")));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let inside = from.strip_prefix('{').and_then(|from| from.split_once('}'));
            let (name, after) = inside.ok_or_else(|| bad("has a brace that is open"))?;
            let is_name = (1..=20).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            if !is_name {
                return Err(bad("has names of attributes in its braces, of a-z 0-9"));
            }
            pieces.push(Piece::Name(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

impl Template {
    /// The key, with what names stand for.
    ///
    /// # Errors
    /// The name that stands for nothing.
    pub fn key(&self, value_of: impl Fn(&str) -> Option<String>) -> Result<String, String> {
        let mut key = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => key.push_str(text),
                Piece::Name(name) => {
                    key.push_str(&value_of(name).ok_or_else(|| name.clone())?);
                }
            }
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn keys_are_made_of_attributes() {
        let value_of = |name: &str| match name {
            "id" => Some("7".to_owned()),
            "type" => Some("a{id}".to_owned()),
            _ => None,
        };
        for (template, key) in [
            ("events/{type}/{id}", Ok("events/a{id}/7")),
            ("{id}{id}", Ok("77")),
            ("plain", Ok("plain")),
            ("x/{subject}", Err("subject")),
        ] {
            let made = template.parse::<Template>().unwrap().key(value_of);
            let made = made.as_ref().map(String::as_str);
            assert_eq!(made.map_err(String::as_str), key, "{template}");
        }
        for bad in [
            "",
            "{",
            "}",
            "a{}",
            "{ID}",
            "{a-b}",
            "x}y",
            "{a",
            &"x".repeat(1025),
        ] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
    }
}
