//! The binary mode: attributes as headers, data as it is (EVENT-41).

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::value::RawValue;

use crate::cloud::{CloudEvent, Data, EventError, Extension, SPECVERSION, check_name};
use crate::json::EVENT_BYTES_MAX;

/// What the HTTP binding spells by `%` beside all that is not ASCII.
const SPELLED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Whose headers they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Headers {
    /// HTTP, and NATS which does as HTTP: `ce-`, values percent-encoded, the content type in `content-type`.
    Http,
    /// Kafka: `ce_`, values as they are.
    Kafka,
}

impl Headers {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "ce-",
            Self::Kafka => "ce_",
        }
    }
}

impl CloudEvent {
    /// Its attributes as headers: names in lower case, and values. The data goes as it is ([`CloudEvent::data_bytes`]).
    #[must_use]
    pub fn to_headers(&self, headers: Headers) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut put = |name: &str, value: &str| {
            let value = match headers {
                Headers::Http => utf8_percent_encode(value, SPELLED).to_string(),
                Headers::Kafka => value.to_owned(),
            };
            found.push((format!("{}{name}", headers.prefix()), value));
        };
        put("specversion", SPECVERSION);
        put("id", &self.id);
        put("source", &self.source);
        put("type", &self.kind);
        for (name, value) in [
            ("subject", &self.subject),
            ("time", &self.time),
            ("dataschema", &self.dataschema),
        ] {
            if let Some(value) = value {
                put(name, value);
            }
        }
        for (name, value) in &self.extensions {
            put(name, &value.to_text());
        }
        if let Some(content_type) = &self.datacontenttype {
            found.push(("content-type".to_owned(), content_type.clone()));
        }
        found
    }

    /// Reads an event whose attributes are headers. Names are compared without regard to case; headers that are none
    /// of an event are passed over.
    pub fn from_headers<'a>(
        headers: Headers,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        data: Bytes,
    ) -> Result<Self, EventError> {
        if data.len() > EVENT_BYTES_MAX {
            let words = format!("its data is longer than {EVENT_BYTES_MAX} bytes");
            return Err(EventError::new(words));
        }
        let mut event = Self::unread();
        let mut seen = std::collections::BTreeSet::new();
        for (name, value) in pairs {
            let name = name.to_ascii_lowercase();
            let name = if name == "content-type" {
                "datacontenttype"
            } else if let Some(name) = name.strip_prefix(headers.prefix()) {
                name
            } else {
                continue;
            };
            let value = match headers {
                Headers::Http if name != "datacontenttype" => percent_decoded(value)?,
                Headers::Http | Headers::Kafka => value.to_owned(),
            };
            if !seen.insert(name.to_owned()) {
                return Err(EventError::new(format!("{name} is there twice")));
            }
            if name == "specversion" {
                if value != SPECVERSION {
                    return Err(EventError::new("its specversion is not 1.0"));
                }
            } else if !event.set(name, value.clone()) {
                check_name(name)?;
                event
                    .extensions
                    .insert(name.to_owned(), Extension::Text(value));
            }
        }
        if !seen.contains("specversion") {
            return Err(EventError::new("it has no specversion"));
        }
        event.check()?;
        if !data.is_empty() {
            // What says that it is JSON and is not stays what it is.
            let says_json = event.is_json() && event.datacontenttype.is_some();
            let text = std::str::from_utf8(&data).ok().filter(|_| says_json);
            let json = text.and_then(|text| RawValue::from_string(text.to_owned()).ok());
            event.data = Some(json.map_or(Data::Bytes(data), Data::Json));
        }
        Ok(event)
    }
}

fn percent_decoded(text: &str) -> Result<String, EventError> {
    let bad = || EventError::new("a header is not UTF-8, percent-encoded");
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next().ok_or_else(bad)?, bytes.next().ok_or_else(bad)?];
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(bad());
        }
        let digits = std::str::from_utf8(&digits).map_err(|_error| bad())?;
        out.push(u8::from_str_radix(digits, 16).map_err(|_error| bad())?);
    }
    String::from_utf8(out).map_err(|_error| bad())
}
