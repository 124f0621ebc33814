//! A CloudEvent of version 1.0, whatever it is about.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

/// Extensions of an event at most (EVENT, "Limits"): more is no metadata.
pub const EXTENSIONS_MAX: usize = 64;

/// The version that is written and read.
pub(crate) const SPECVERSION: &str = "1.0";

/// Names that are no extensions.
pub(crate) const ATTRIBUTES: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
];

/// Why something is no CloudEvent (EVENT-40). Blame: whoever made it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is no CloudEvent: {0}")]
pub struct EventError(pub(crate) String);

impl EventError {
    /// The registered error code.
    pub const CODE: &'static str = "E_EVENT";

    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// The value of an extension.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Extension {
    /// A boolean.
    Boolean(bool),
    /// An integer of 32 bits.
    Integer(i32),
    /// Any text.
    Text(String),
}

impl Extension {
    /// Its canonical text.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// What an event says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Data {
    /// A value of JSON, as text.
    Json(Box<RawValue>),
    /// Bytes of the event's content type.
    Bytes(Bytes),
}

/// A CloudEvent. Times and URIs are texts, and not looked into.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CloudEvent {
    /// With the source, its name.
    pub id: String,
    /// Where it happened.
    pub source: String,
    /// Its type.
    pub kind: String,
    /// What of the source it is about.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Option<String>,
    /// Of the data.
    pub datacontenttype: Option<String>,
    /// Where the schema of the data is.
    pub dataschema: Option<String>,
    /// Other attributes, by name.
    pub extensions: BTreeMap<String, Extension>,
    /// What it says.
    pub data: Option<Data>,
}

impl CloudEvent {
    /// An event without anything that it need not have.
    pub fn new(
        id: impl Into<String>,
        source: impl Into<String>,
        kind: impl Into<String>,
    ) -> Result<Self, EventError> {
        let event = Self {
            id: id.into(),
            source: source.into(),
            kind: kind.into(),
            ..Self::unread()
        };
        event.check()?;
        Ok(event)
    }

    pub(crate) fn check(&self) -> Result<(), EventError> {
        let is_empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        if self.id.is_empty() || self.source.is_empty() || self.kind.is_empty() {
            return Err(EventError::new("id, source and type are not empty"));
        }
        if is_empty(&self.subject)
            || is_empty(&self.time)
            || is_empty(&self.datacontenttype)
            || is_empty(&self.dataschema)
        {
            return Err(EventError::new("an attribute that is there is not empty"));
        }
        if self.extensions.len() > EXTENSIONS_MAX {
            let words = format!("it has more than {EXTENSIONS_MAX} extensions");
            return Err(EventError::new(words));
        }
        Ok(())
    }

    /// Whether its data is JSON by what it says of itself; so is that of an event which says nothing.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.datacontenttype.as_deref().is_none_or(is_json)
    }

    /// Its data as bytes of its content type.
    #[must_use]
    pub fn data_bytes(&self) -> Option<Bytes> {
        match self.data.as_ref()? {
            Data::Json(json) => Some(Bytes::copy_from_slice(json.get().as_bytes())),
            Data::Bytes(bytes) => Some(bytes.clone()),
        }
    }

    /// Sets an attribute that is no extension and no data, by its name; `false` if it is none of these.
    pub(crate) fn set(&mut self, name: &str, value: String) -> bool {
        match name {
            "id" => self.id = value,
            "source" => self.source = value,
            "type" => self.kind = value,
            "subject" => self.subject = Some(value),
            "time" => self.time = Some(value),
            "datacontenttype" => self.datacontenttype = Some(value),
            "dataschema" => self.dataschema = Some(value),
            _ => return false,
        }
        true
    }

    /// One that is yet to be read.
    pub(crate) const fn unread() -> Self {
        Self {
            id: String::new(),
            source: String::new(),
            kind: String::new(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: BTreeMap::new(),
            data: None,
        }
    }
}

/// Whether a content type is one of JSON.
fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    media == "application/json" || media == "text/json" || media.ends_with("+json")
}

/// Refuses what is no name of an attribute (EVENT-40).
pub(crate) fn check_name(name: &str) -> Result<(), EventError> {
    let is_one = (1..=20).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && !ATTRIBUTES.contains(&name);
    if is_one {
        Ok(())
    } else {
        let shown: String = name.chars().take(32).collect();
        Err(EventError::new(format!(
            "{shown:?} is no name of an extension"
        )))
    }
}
