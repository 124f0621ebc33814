//! What a record becomes in a space (SRC-20 to SRC-25).

use std::str::FromStr as _;

use allod_events::{CloudEvent, Data, Extension, Headers};
use allod_repo::{Edit, KEY_BYTES_MAX, SpaceId, VALUE_BLOCK_BYTES_MAX};
use bytes::Bytes;
use multibase::Base;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::source::definition::{BadSource, SourceDefinition};
use crate::source::origin::{RECORD_BYTES_MAX, Record};
use crate::source::template::Template;

/// What keys of positions begin with: no event writes there (SRC-25).
pub(crate) const POSITIONS: &str = "allod/source/";

/// What Allod's own types of events begin with.
const OWN_TYPES: &str = "org.allod.";

/// How keys are made where a definition does not say it (SRC-21).
const KEY_OF_EVENT: &str = "events/{name}/{source}/{id}";
const KEY_OF_MESSAGE: &str = "events/{name}/{id}";

/// What a record becomes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the page says what there is")]
pub enum Incoming {
    /// An entry that is written, or removed.
    Entry(Bytes, Edit),
    /// Nothing: it says nothing that a space has, or the space has it already.
    Passed,
    /// Nothing, as the event has the name of the value alone.
    Link,
    /// A dead letter: why, in words.
    Dead {
        /// The event's id, or where the record is.
        id: String,
        /// The event's source, if it has one.
        source: String,
        /// Why.
        words: String,
    },
}

/// How records of a source become entries.
#[derive(Debug)]
pub(crate) struct Rules {
    name: String,
    space: SpaceId,
    their_space: Option<String>,
    their_branch: String,
    prefix: String,
    is_whole: bool,
    of_event: Template,
    of_message: Template,
    /// Whether keys are as they are made where nobody says how.
    is_usual: bool,
}

/// What an event of an entry says (EVENT, "Data as JSON").
#[derive(Deserialize)]
struct EntryData {
    space: String,
    branch: String,
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Value {
    json: Option<Box<RawValue>>,
    text: Option<String>,
    base64: Option<String>,
    link: Option<String>,
}

/// What a record becomes by a definition of a source of this name.
///
/// # Errors
/// [`BadSource`] of a definition that makes no sense.
pub fn incoming(
    name: &str,
    definition: &SourceDefinition,
    record: &Record,
) -> Result<Incoming, BadSource> {
    Ok(Rules::of(name, definition)?.incoming(record))
}

impl Rules {
    pub(crate) fn of(name: &str, definition: &SourceDefinition) -> Result<Self, BadSource> {
        let template = definition.template()?;
        let or = |usual: &str| match &template {
            Some(template) => Ok(template.clone()),
            None => Template::from_str(usual),
        };
        Ok(Self {
            name: name.to_owned(),
            space: definition.space_id()?,
            their_space: definition.their_space.clone(),
            their_branch: definition
                .their_branch
                .clone()
                .unwrap_or_else(|| "main".to_owned()),
            prefix: definition.prefix.clone(),
            is_whole: definition.whole,
            of_event: or(KEY_OF_EVENT)?,
            of_message: or(KEY_OF_MESSAGE)?,
            is_usual: template.is_none(),
        })
    }

    pub(crate) fn incoming(&self, record: &Record) -> Incoming {
        let dead = |words: String| dead_record(record, words);
        let Some(payload) = &record.payload else {
            return dead(format!("it is longer than {RECORD_BYTES_MAX} bytes"));
        };
        match event_of(record, payload) {
            Ok(Some(event)) => {
                let made = if event.kind.starts_with(OWN_TYPES) {
                    self.of_allod(&event)
                } else {
                    self.of_other(&event, record)
                };
                made.unwrap_or_else(|words| Incoming::Dead {
                    id: event.id,
                    source: event.source,
                    words,
                })
            }
            Ok(None) => self.of_message(record, payload).unwrap_or_else(dead),
            Err(words) => dead(words),
        }
    }

    /// SRC-20: an event of Allod is what it tells of.
    fn of_allod(&self, event: &CloudEvent) -> Result<Incoming, String> {
        let is_entry = event.kind.starts_with("org.allod.entry.");
        if !is_entry {
            return Ok(Incoming::Passed);
        }
        // SRC-24: what is told of the space itself it has already.
        if event
            .source
            .starts_with(&format!("allod://{}/", self.space))
        {
            return Ok(Incoming::Passed);
        }
        let Some(Data::Json(json)) = &event.data else {
            return Err("an event of an entry has data of JSON".to_owned());
        };
        let read = serde_json::from_str::<EntryData>(json.get());
        let data = read.map_err(|error| format!("its data is none of an entry: {error}"))?;
        let is_theirs = self
            .their_space
            .as_ref()
            .is_none_or(|space| *space == data.space);
        if data.space == self.space.to_string() || !is_theirs || data.branch != self.their_branch {
            return Ok(Incoming::Passed);
        }
        let key = match (data.key, data.key_base64) {
            (Some(key), None) => key.into_bytes(),
            (None, Some(text)) => base64(&text)?,
            _ => return Err("it has one key".to_owned()),
        };
        if key.starts_with(POSITIONS.as_bytes()) {
            return Ok(Incoming::Passed);
        }
        let key = [self.prefix.as_bytes(), &key[..]].concat();
        let edit = match &event.kind[..] {
            "org.allod.entry.deleted.v1" => Edit::Delete,
            "org.allod.entry.put.v1" => match value_of(data.value.unwrap_or_default())? {
                Some(value) => Edit::Put(value),
                None => return Ok(Incoming::Link),
            },
            other => return Err(format!("nothing is known of the type {other}")),
        };
        entry(key, edit)
    }

    /// SRC-21: any other event is an entry of its own.
    fn of_other(&self, event: &CloudEvent, record: &Record) -> Result<Incoming, String> {
        let text = |text: &str| Some(text.to_owned());
        let key = self.of_event.key(|name| match name {
            "name" => text(&self.name),
            "id" => Some(self.segment(&event.id)),
            "source" => Some(self.segment(&event.source)),
            "type" => text(&event.kind),
            "subject" => event.subject.clone().or_else(|| record.subject.clone()),
            "time" => event.time.clone(),
            name => event.extensions.get(name).map(Extension::to_text),
        });
        let key = key.map_err(|name| format!("it has no {name}, which its key is made of"))?;
        let value = if self.is_whole {
            Bytes::from(event.to_json().map_err(|error| error.to_string())?)
        } else {
            event
                .data_bytes()
                .unwrap_or_else(|| Bytes::from_static(b"null"))
        };
        entry(key.into_bytes(), Edit::Put(value))
    }

    /// A value as one segment of a usual key: else two events could have one (SRC-21).
    fn segment(&self, value: &str) -> String {
        if self.is_usual {
            value.replace('%', "%25").replace('/', "%2F")
        } else {
            value.to_owned()
        }
    }

    /// SRC-22: a message that is no event is an entry too.
    fn of_message(&self, record: &Record, payload: &Bytes) -> Result<Incoming, String> {
        let header = |name: &str| {
            let found = record.headers.iter();
            let mut found = found.filter(|(header, _)| header.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.clone())
        };
        let key = self.of_message.key(|name| match name {
            "name" => Some(self.name.clone()),
            "id" => {
                let id = header("nats-msg-id").unwrap_or_else(|| record.place());
                Some(self.segment(&id))
            }
            "subject" => record.subject.clone(),
            _ => None,
        });
        let key = key.map_err(|name| format!("it has no {name}, which its key is made of"))?;
        entry(key.into_bytes(), Edit::Put(payload.clone()))
    }
}

/// A dead letter about a record, by the event that it is if it is one.
pub(crate) fn dead_record(record: &Record, words: String) -> Incoming {
    let event = record.payload.as_ref();
    let event = event.and_then(|payload| event_of(record, payload).ok()?);
    let (id, source) = match event {
        Some(event) => (event.id, event.source),
        None => (record.place(), String::new()),
    };
    Incoming::Dead { id, source, words }
}

/// The CloudEvent that a record is, if it says that it is one.
fn event_of(record: &Record, payload: &Bytes) -> Result<Option<CloudEvent>, String> {
    let headers = || record.headers.iter();
    let content_type = headers().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let is_structured = match content_type {
        Some((_, kind)) => kind.starts_with("application/cloudevents"),
        // Lines of files say it by what they are.
        None => says_version(payload),
    };
    if is_structured {
        let read = CloudEvent::from_json(payload);
        return read.map(Some).map_err(|error| error.to_string());
    }
    for (kind, version) in [
        (Headers::Http, "ce-specversion"),
        (Headers::Kafka, "ce_specversion"),
    ] {
        if headers().any(|(name, _)| name.eq_ignore_ascii_case(version)) {
            let pairs = headers().map(|(name, value)| (&name[..], &value[..]));
            let read = CloudEvent::from_headers(kind, pairs, payload.clone());
            return read.map(Some).map_err(|error| error.to_string());
        }
    }
    Ok(None)
}

/// Whether it is an object of JSON with a version of CloudEvents.
fn says_version(payload: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Version {
        specversion: String,
    }
    payload.first() == Some(&b'{')
        && serde_json::from_slice::<Version>(payload).is_ok_and(|said| !said.specversion.is_empty())
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    let decoded = Base::Base64Pad.decode(text);
    decoded.map_err(|_error| "it has base64 that is none".to_owned())
}

/// What a key holds by an event; `None` if the event has the name of it alone.
fn value_of(value: Value) -> Result<Option<Bytes>, String> {
    match value {
        Value {
            json: Some(json), ..
        } => Ok(Some(Bytes::copy_from_slice(json.get().as_bytes()))),
        Value {
            text: Some(text), ..
        } => Ok(Some(text.into())),
        Value {
            base64: Some(text), ..
        } => base64(&text).map(|bytes| Some(bytes.into())),
        Value { link: Some(_), .. } => Ok(None),
        _ => Err("it has no value".to_owned()),
    }
}

/// An entry, if a space may have it.
fn entry(key: Vec<u8>, edit: Edit) -> Result<Incoming, String> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(format!("its key would have {} bytes", key.len()));
    }
    if key.starts_with(POSITIONS.as_bytes()) {
        return Err(format!("its key would begin with {POSITIONS}"));
    }
    match &edit {
        Edit::Put(value) if value.len() > VALUE_BLOCK_BYTES_MAX => {
            Err(format!("its value would have {} bytes", value.len()))
        }
        _ => Ok(Incoming::Entry(key.into(), edit)),
    }
}
