//! The JSON event format, structured and in batches.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use multibase::Base;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::cloud::{CloudEvent, Data, EventError, Extension, SPECVERSION, check_name};

/// The largest event that is read, in bytes (EVENT, "Limits"): what brokers carry by default.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Events of a batch that is read, at most (EVENT, "Limits"): a page.
pub const BATCH_EVENTS_MAX: usize = 1024;

/// What the attributes of most events take, in bytes.
const ATTRIBUTES_BYTES: usize = 1024;

/// The content type of an event in the structured mode.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// The content type of a batch.
pub const BATCH: &str = "application/cloudevents-batch+json";

impl Serialize for CloudEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", SPECVERSION)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("type", &self.kind)?;
        for (name, value) in [
            ("subject", &self.subject),
            ("time", &self.time),
            ("datacontenttype", &self.datacontenttype),
            ("dataschema", &self.dataschema),
        ] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, value) in &self.extensions {
            match value {
                Extension::Boolean(value) => map.serialize_entry(name, value)?,
                Extension::Integer(value) => map.serialize_entry(name, value)?,
                Extension::Text(value) => map.serialize_entry(name, value)?,
            }
        }
        match &self.data {
            None => {}
            Some(Data::Json(json)) => map.serialize_entry("data", json)?,
            Some(Data::Bytes(bytes)) => {
                map.serialize_entry("data_base64", &Base::Base64Pad.encode(bytes))?;
            }
        }
        map.end()
    }
}

impl CloudEvent {
    /// It in the structured mode: one line of JSON, without the end of a line.
    pub fn to_json(&self) -> Result<String, EventError> {
        let mut text = Vec::new();
        self.write_json(&mut text)?;
        String::from_utf8(text).map_err(|error| EventError::new(error.to_string()))
    }

    /// Writes the same after what a buffer has. After an error it has the beginning of an event.
    pub fn write_json(&self, to: &mut Vec<u8>) -> Result<(), EventError> {
        // As long as most: it is written without being moved about.
        let data = match &self.data {
            Some(Data::Json(json)) => json.get().len(),
            Some(Data::Bytes(bytes)) => bytes.len().div_ceil(3) * 4,
            None => 0,
        };
        to.reserve(ATTRIBUTES_BYTES + data);
        serde_json::to_writer(to, self).map_err(|error| EventError::new(error.to_string()))
    }

    /// Reads an event in the structured mode.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > EVENT_BYTES_MAX {
            let words = format!("it is longer than {EVENT_BYTES_MAX} bytes");
            return Err(EventError::new(words));
        }
        serde_json::from_slice(bytes).map_err(|error| EventError::new(error.to_string()))
    }
}

/// Several events as one text.
pub fn batch_to_json(events: &[CloudEvent]) -> Result<String, EventError> {
    serde_json::to_string(events).map_err(|error| EventError::new(error.to_string()))
}

/// Reads a batch, of at most `bytes_max` bytes.
pub fn batch_from_json(bytes: &[u8], bytes_max: usize) -> Result<Vec<CloudEvent>, EventError> {
    if bytes.len() > bytes_max {
        let words = format!("the batch is longer than {bytes_max} bytes");
        return Err(EventError::new(words));
    }
    let texts: Vec<&RawValue> =
        serde_json::from_slice(bytes).map_err(|error| EventError::new(error.to_string()))?;
    if texts.len() > BATCH_EVENTS_MAX {
        let words = format!("the batch has more than {BATCH_EVENTS_MAX} events");
        return Err(EventError::new(words));
    }
    let events = texts.into_iter();
    events
        .map(|text| CloudEvent::from_json(text.get().as_bytes()))
        .collect()
}

impl<'de> Deserialize<'de> for CloudEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = CloudEvent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CloudEvent, A::Error> {
                let mut read = Read::default();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    read.member(name, value).map_err(A::Error::custom)?;
                }
                read.finish().map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// An event whose members are being read.
struct Read {
    event: CloudEvent,
    has_version: bool,
    seen: BTreeSet<String>,
    data: Option<Box<RawValue>>,
    base64: Option<String>,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            event: CloudEvent::unread(),
            has_version: false,
            seen: BTreeSet::new(),
            data: None,
            base64: None,
        }
    }
}

impl Read {
    fn member(&mut self, name: String, value: Box<RawValue>) -> Result<(), EventError> {
        if !self.seen.insert(name.clone()) {
            return Err(EventError::new(format!("{name} is there twice")));
        }
        if self.seen.len() > crate::cloud::EXTENSIONS_MAX + crate::cloud::ATTRIBUTES.len() {
            return Err(EventError::new("it has too many members"));
        }
        if name == "data" {
            self.data = Some(value);
            return Ok(());
        }
        // An attribute that is null is none.
        if value.get() == "null" {
            return Ok(());
        }
        let text = || {
            let text: Result<String, _> = serde_json::from_str(value.get());
            text.map_err(|_error| EventError::new(format!("{name} is no text")))
        };
        match &name[..] {
            "specversion" => {
                if text()? != SPECVERSION {
                    return Err(EventError::new("its specversion is not 1.0"));
                }
                self.has_version = true;
            }
            "data_base64" => self.base64 = Some(text()?),
            "id" | "source" | "type" | "subject" | "time" | "datacontenttype" | "dataschema" => {
                let text = text()?;
                self.event.set(&name, text);
            }
            _ => {
                check_name(&name)?;
                let value = extension(value.get()).ok_or_else(|| {
                    EventError::new(format!("{name} has a value that no attribute has"))
                })?;
                self.event.extensions.insert(name, value);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<CloudEvent, EventError> {
        let mut event = self.event;
        if !self.has_version {
            return Err(EventError::new("it has no specversion"));
        }
        event.check()?;
        event.data = match (self.data, self.base64) {
            (Some(_), Some(_)) => return Err(EventError::new("it has data twice")),
            (None, None) => None,
            (None, Some(text)) => {
                let bytes = Base::Base64Pad.decode(text);
                let bytes = bytes.map_err(|_error| EventError::new("data_base64 is no base64"))?;
                Some(Data::Bytes(bytes.into()))
            }
            (Some(json), None) if event.is_json() => Some(Data::Json(json)),
            // A text is what it says; anything else of another content type is JSON all the same.
            (Some(json), None) => Some(match serde_json::from_str::<String>(json.get()) {
                Ok(text) => Data::Bytes(Bytes::from(text)),
                Err(_) => Data::Json(json),
            }),
        };
        Ok(event)
    }
}

fn extension(json: &str) -> Option<Extension> {
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return Some(Extension::Text(text));
    }
    if let Ok(value) = serde_json::from_str::<bool>(json) {
        return Some(Extension::Boolean(value));
    }
    serde_json::from_str::<i32>(json)
        .ok()
        .map(Extension::Integer)
}
