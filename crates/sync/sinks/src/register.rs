//! The sinks of a node, and what they keep.

use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Cid, Expect, Store, StoreError};
use allod_feed::Cursor;
use allod_payloads::{Format, Schema};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::definition::{BadSink, Definition};

/// Sinks of a node at most: each is a thread.
pub const SINKS_MAX: usize = 64;

/// Dead letters of a sink at most (SINK-5).
pub const DEAD_MAX: u64 = 1000;

/// How often a change is tried beside others.
const TRIES: usize = 16;

const DEFINITIONS: &[u8] = b"sink/def/";
const STATES: &[u8] = b"sink/state/";
const DEAD: &[u8] = b"sink/dead/";
const SCHEMAS: &[u8] = b"schema/";

/// Bytes of words that are kept.
const WORDS_BYTES_MAX: usize = 1024;

/// Bytes of a schema in one reference, which may have 64 KiB.
const SCHEMA_PART_BYTES: usize = 48 * 1024;

/// Parts of a schema at most: far more than a type has words for.
const SCHEMA_PARTS_MAX: usize = 64;

/// What a sink could not do with what it keeps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// No definition, or no name. Blame: the caller.
    #[error(transparent)]
    Bad(#[from] BadSink),
    /// There is one of this name. Blame: the caller.
    #[error("there is a sink {0} already")]
    Exists(String),
    /// There is none of this name. Blame: the caller.
    #[error("there is no sink {0}")]
    Unknown(String),
    /// Somebody else changed it at the same time. Blame: nobody; what is read again can be changed.
    #[error("the sink {0} was changed by somebody else at the same time; try again")]
    Changed(String),
    /// What is kept of a sink cannot be read. Blame: the environment.
    #[error("what is kept of the sink {0} cannot be read")]
    Damaged(String),
    /// The store failed. Blame: the environment.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a sink keeps.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct State {
    /// What its target has.
    #[serde(with = "text")]
    pub cursor: Cursor,
    /// Whether somebody has said to go on from the cursor, whatever the target has.
    pub sought: bool,
    /// Where it began: a target that has lost all gets it from here.
    #[serde(with = "text")]
    pub began: Cursor,
    /// The cursor of the last event that its target took, as text: what was refused after it is not tried again.
    pub taken: Option<String>,
    /// Events that were delivered.
    pub delivered: u64,
    /// Dead letters that are kept.
    pub dead: u64,
    /// The number of the next one.
    pub next_dead: u64,
    /// When the last one was delivered, in milliseconds since 1970.
    pub delivered_ms: Option<u64>,
    /// How often it has failed since.
    pub failures: u32,
    /// Why, the last time.
    pub words: Option<String>,
    /// Whether it has stopped until somebody does something (SINK-5, SINK-6).
    pub stopped: bool,
    /// What each part of its target has had, where it has parts (SINK-41).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartState>,
}

/// What a sink keeps of a part of its target.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartState {
    /// How many records it has had at least: a part that has had fewer has lost some.
    pub end: u64,
    /// How many it had when somebody gave the sink another cursor: what they say does not count.
    pub since: u64,
}

/// An event that its target refused for good.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The event's id.
    pub id: String,
    /// Its source.
    pub source: String,
    /// The cursor after it.
    pub cursor: String,
    /// What the target said.
    pub words: String,
}

mod text {
    use allod_feed::Cursor;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(cursor: &Cursor, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(cursor)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Cursor, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The name of a sink, and what it is.
pub type Listed = (String, Result<Definition, SinkError>);

/// The sinks of a store. Clones are handles to the same ones.
#[derive(Clone, Debug)]
pub struct Register {
    store: Arc<dyn Store>,
}

pub(crate) fn check_name(name: &str) -> Result<(), BadSink> {
    let fits = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if fits {
        Ok(())
    } else {
        Err(BadSink("a name is 1 to 64 of a-z A-Z 0-9 _ -".to_owned()))
    }
}

/// Words as they are kept for a person: what others say has no end (SINK, "Limits").
pub(crate) fn short(words: &str) -> String {
    let end = words.floor_char_boundary(WORDS_BYTES_MAX);
    words.get(..end).unwrap_or_default().to_owned()
}

pub(crate) fn of(kind: &[u8], name: &str) -> Vec<u8> {
    [kind, name.as_bytes()].concat()
}

fn dead_ref(name: &str, number: u64) -> Vec<u8> {
    [&of(DEAD, name)[..], b"\0", &number.to_be_bytes()].concat()
}

impl Register {
    /// Of a store.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Adds a sink that begins at a cursor.
    pub fn add(&self, name: &str, definition: &Definition, from: Cursor) -> Result<(), SinkError> {
        check_name(name)?;
        definition.check()?;
        let others = self.list()?;
        if others.len() >= SINKS_MAX {
            return Err(BadSink(format!("a node has at most {SINKS_MAX}")).into());
        }
        for (other, its) in others {
            let is_same = its.is_ok_and(|its| its.to.is_same_place(&definition.to));
            if other != name && is_same {
                return Err(BadSink(format!("the sink {other} has this target")).into());
            }
        }
        let state = State {
            began: from.clone(),
            cursor: from,
            sought: false,
            taken: None,
            delivered: 0,
            dead: 0,
            next_dead: 0,
            delivered_ms: None,
            failures: 0,
            words: None,
            stopped: false,
            parts: Vec::new(),
        };
        let mut batch = Batch::new();
        let text = encode(name, definition)?;
        batch.set_ref(of(DEFINITIONS, name), Expect::Absent, Some(text));
        batch.set_ref(of(STATES, name), Expect::Any, Some(encode(name, &state)?));
        match self.store.commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { .. } => Err(SinkError::Exists(name.to_owned())),
        }
    }

    /// The sinks, by name. One that cannot be read hides no other.
    pub fn list(&self) -> Result<Vec<Listed>, SinkError> {
        let found = self.store.scan_refs(DEFINITIONS, None, SINKS_MAX)?;
        let read = found.into_iter().map(|(name, value)| {
            let name = name.get(DEFINITIONS.len()..).unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            let definition = decode(&name, &value);
            (name, definition)
        });
        Ok(read.collect())
    }

    /// A sink and what it keeps.
    pub fn get(&self, name: &str) -> Result<(Definition, State), SinkError> {
        let unknown = || SinkError::Unknown(name.to_owned());
        let read = |kind| self.store.get_ref(&of(kind, name));
        let definition = read(DEFINITIONS)?.ok_or_else(unknown)?;
        let state = read(STATES)?.ok_or_else(unknown)?;
        Ok((decode(name, &definition)?, decode(name, &state)?))
    }

    /// Changes how a sink is set up.
    pub fn define(&self, name: &str, definition: &Definition) -> Result<(), SinkError> {
        definition.check()?;
        let before = self.store.get_ref(&of(DEFINITIONS, name))?;
        let before = before.ok_or_else(|| SinkError::Unknown(name.to_owned()))?;
        let mut batch = Batch::new();
        let text = encode(name, definition)?;
        batch.set_ref(of(DEFINITIONS, name), Expect::Value(before), Some(text));
        self.done(name, batch)
    }

    /// Lets a sink rest, or go on; one that stopped goes on too, and one that waits to try again does so at once.
    pub fn pause(&self, name: &str, paused: bool) -> Result<(), SinkError> {
        let (mut definition, _) = self.get(name)?;
        if definition.paused != paused {
            definition.paused = paused;
            self.define(name, &definition)?;
        }
        if paused {
            return Ok(());
        }
        self.change(name, |state| {
            state.stopped = false;
            state.failures = 0;
            state.words = None;
        })
    }

    /// Lets a sink go on from another cursor, whatever its target has.
    pub fn go_on_from(&self, name: &str, cursor: &Cursor) -> Result<(), SinkError> {
        self.change(name, |state| {
            state.cursor = cursor.clone();
            state.began = cursor.clone();
            state.sought = true;
            state.failures = 0;
            state.words = None;
            state.stopped = false;
        })
    }

    /// Changes what a sink keeps, as often as it takes.
    fn change(&self, name: &str, change: impl Fn(&mut State)) -> Result<(), SinkError> {
        for _ in 0..TRIES {
            let (_, before) = self.get(name)?;
            let mut state = before.clone();
            change(&mut state);
            match self.keep(name, (&before, &state), None) {
                Err(SinkError::Changed(_)) => {}
                kept => return kept,
            }
        }
        Err(SinkError::Changed(name.to_owned()))
    }

    /// Removes a sink and all that it keeps. What its target has stays there.
    pub fn remove(&self, name: &str) -> Result<(), SinkError> {
        for _ in 0..TRIES {
            let before = match self.get(name) {
                Ok((_, state)) => Expect::Value(encode(name, &state)?.into()),
                // What nobody can read nobody writes.
                Err(SinkError::Damaged(_)) => Expect::Any,
                Err(error) => return Err(error),
            };
            let mut batch = Batch::new();
            self.without_dead(name, &mut batch)?;
            batch.set_ref(of(DEFINITIONS, name), Expect::Any, None::<Vec<u8>>);
            batch.set_ref(of(STATES, name), before, None::<Vec<u8>>);
            match self.done(name, batch) {
                Err(SinkError::Changed(_)) => {}
                removed => return removed,
            }
        }
        Err(SinkError::Changed(name.to_owned()))
    }

    /// Keeps what a sink has come to from what it kept before, with a dead letter if there is one.
    ///
    /// # Errors
    /// [`SinkError::Changed`] if it keeps something else by now; [`SinkError::Unknown`] if it is gone.
    pub fn keep(
        &self,
        name: &str,
        (before, state): (&State, &State),
        dead: Option<&DeadLetter>,
    ) -> Result<(), SinkError> {
        let mut batch = Batch::new();
        let before = Expect::Value(encode(name, before)?.into());
        batch.set_ref(of(STATES, name), before, Some(encode(name, state)?));
        if let Some(dead) = dead {
            let number = state.next_dead.saturating_sub(1);
            let text = encode(name, dead)?;
            batch.set_ref(dead_ref(name, number), Expect::Any, Some(text));
        }
        self.done(name, batch)
    }

    /// The dead letters of a sink, the oldest first, with their numbers.
    pub fn dead(&self, name: &str) -> Result<Vec<(u64, DeadLetter)>, SinkError> {
        let prefix = [&of(DEAD, name)[..], b"\0"].concat();
        let limit = usize::try_from(DEAD_MAX).unwrap_or(usize::MAX);
        let found = self.store.scan_refs(&prefix, None, limit)?;
        let read = found.into_iter().map(|(at, value)| {
            let number = at
                .get(prefix.len()..)
                .and_then(|number| number.try_into().ok());
            let number = number.map(u64::from_be_bytes);
            let number = number.ok_or_else(|| SinkError::Damaged(name.to_owned()))?;
            Ok((number, decode(name, &value)?))
        });
        read.collect()
    }

    /// Drops the dead letters of a sink; how many there were. One that had stopped for them goes on.
    pub fn drop_dead(&self, name: &str) -> Result<usize, SinkError> {
        for _ in 0..TRIES {
            let (_, before) = self.get(name)?;
            let mut batch = Batch::new();
            let count = self.without_dead(name, &mut batch)?;
            let mut state = before.clone();
            if before.dead >= DEAD_MAX {
                state.stopped = false;
                state.failures = 0;
                state.words = None;
            }
            state.dead = 0;
            let before = Expect::Value(encode(name, &before)?.into());
            batch.set_ref(of(STATES, name), before, Some(encode(name, &state)?));
            match self.done(name, batch) {
                Err(SinkError::Changed(_)) => {}
                dropped => return dropped.map(|()| count),
            }
        }
        Err(SinkError::Changed(name.to_owned()))
    }

    /// Adds to a batch that the dead letters of a sink go; how many there are.
    fn without_dead(&self, name: &str, batch: &mut Batch) -> Result<usize, SinkError> {
        let dead = self.dead(name)?;
        for (number, _) in &dead {
            batch.set_ref(dead_ref(name, *number), Expect::Any, None::<Vec<u8>>);
        }
        Ok(dead.len())
    }

    /// Keeps a schema, which others then find by its CID (EVENT-5).
    pub fn keep_schema(&self, schema: &Schema) -> Result<(), SinkError> {
        if self.schema(schema.cid())?.is_none() {
            let mut batch = Batch::new();
            let parts = schema.bytes().chunks(SCHEMA_PART_BYTES);
            for (number, part) in (0_u8..).zip(parts) {
                let mut name = schema_ref(schema.format(), schema.cid());
                name.push(number);
                batch.set_ref(name, Expect::Any, Some(part.to_vec()));
            }
            let _outcome = self.store.commit(batch)?;
        }
        Ok(())
    }

    /// The schema of a CID, as bytes, and what it is of.
    pub fn schema(&self, cid: &Cid) -> Result<Option<(Format, Bytes)>, SinkError> {
        for format in [Format::Avro, Format::Protobuf] {
            let name = schema_ref(format, cid);
            let parts = self.store.scan_refs(&name, None, SCHEMA_PARTS_MAX)?;
            if !parts.is_empty() {
                let bytes = parts.into_iter().flat_map(|(_, part)| part);
                return Ok(Some((format, bytes.collect())));
            }
        }
        Ok(None)
    }

    fn done(&self, name: &str, batch: Batch) -> Result<(), SinkError> {
        match self.store.commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { current: None, .. } => Err(SinkError::Unknown(name.to_owned())),
            BatchOutcome::Moved { .. } => Err(SinkError::Changed(name.to_owned())),
        }
    }
}

fn schema_ref(format: Format, cid: &Cid) -> Vec<u8> {
    let format = match format {
        Format::Protobuf => "protobuf",
        _ => "avro",
    };
    let cid = cid.to_string();
    [SCHEMAS, format.as_bytes(), b"/", cid.as_bytes(), b"/"].concat()
}

fn encode(name: &str, value: &impl Serialize) -> Result<Vec<u8>, SinkError> {
    serde_json::to_vec(value).map_err(|_error| SinkError::Damaged(name.to_owned()))
}

fn decode<T: for<'de> Deserialize<'de>>(name: &str, bytes: &[u8]) -> Result<T, SinkError> {
    serde_json::from_slice(bytes).map_err(|_error| SinkError::Damaged(name.to_owned()))
}
