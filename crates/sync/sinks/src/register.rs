//! The sinks of a node, and what they keep.

use std::sync::Arc;

use allod_blocks::{Batch, Cid, Expect, Store, StoreError};
use allod_feed::Cursor;
use allod_payloads::{Format, Schema};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::definition::{BadSink, Definition};
use crate::kept::{Kept, KeptFault, Kind, check_name};

/// Sinks of a node at most: each is a thread.
pub const SINKS_MAX: usize = 64;

const SCHEMAS: &[u8] = b"schema/";

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

impl From<KeptFault> for SinkError {
    fn from(fault: KeptFault) -> Self {
        match fault {
            KeptFault::Exists(name) => Self::Exists(name),
            KeptFault::Unknown(name) => Self::Unknown(name),
            KeptFault::Changed(name) => Self::Changed(name),
            KeptFault::Damaged(name) => Self::Damaged(name),
            KeptFault::Store(error) => error.into(),
        }
    }
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

/// Sinks, as they are kept.
#[derive(Clone, Debug)]
struct Sinks;

impl Kind for Sinks {
    const DEFINITIONS: &'static [u8] = b"sink/def/";
    const STATES: &'static [u8] = b"sink/state/";
    const DEAD: &'static [u8] = b"sink/dead/";
    const MAX: usize = SINKS_MAX;
    type Definition = Definition;
    type State = State;
    type Dead = DeadLetter;

    fn paused(definition: &mut Definition) -> &mut bool {
        &mut definition.paused
    }

    fn dead(state: &mut State) -> &mut u64 {
        &mut state.dead
    }

    fn go_on(state: &mut State) {
        state.stopped = false;
        state.failures = 0;
        state.words = None;
    }
}

/// The sinks of a store. Clones are handles to the same ones.
#[derive(Clone, Debug)]
pub struct Register {
    kept: Kept<Sinks>,
}

impl Register {
    /// Of a store.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self {
            kept: Kept::new(store),
        }
    }

    /// Adds a sink that begins at a cursor.
    pub fn add(&self, name: &str, definition: &Definition, from: Cursor) -> Result<(), SinkError> {
        check_name(name).map_err(BadSink)?;
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
        Ok(self.kept.add(name, definition, &state)?)
    }

    /// The sinks, by name. One that cannot be read hides no other.
    pub fn list(&self) -> Result<Vec<Listed>, SinkError> {
        let listed = self.kept.list()?.into_iter();
        let listed = listed.map(|(name, definition)| (name, definition.map_err(Into::into)));
        Ok(listed.collect())
    }

    /// A sink and what it keeps.
    pub fn get(&self, name: &str) -> Result<(Definition, State), SinkError> {
        Ok(self.kept.get(name)?)
    }

    /// Changes how a sink is set up.
    pub fn define(&self, name: &str, definition: &Definition) -> Result<(), SinkError> {
        definition.check()?;
        Ok(self.kept.define(name, |_| Some(definition.clone()))?)
    }

    /// Lets a sink rest, or go on; one that stopped goes on too, and one that waits to try again does so at once.
    pub fn pause(&self, name: &str, paused: bool) -> Result<(), SinkError> {
        Ok(self.kept.pause(name, paused)?)
    }

    /// Lets a sink go on from another cursor, whatever its target has.
    pub fn go_on_from(&self, name: &str, cursor: &Cursor) -> Result<(), SinkError> {
        Ok(self.kept.change(name, |state| {
            Sinks::go_on(state);
            state.cursor = cursor.clone();
            state.began = cursor.clone();
            state.sought = true;
        })?)
    }

    /// Removes a sink and all that it keeps. What its target has stays there.
    pub fn remove(&self, name: &str) -> Result<(), SinkError> {
        Ok(self.kept.remove(name)?)
    }

    /// Keeps what a sink has come to from what it kept before, with a dead letter if there is one.
    ///
    /// # Errors
    /// [`SinkError::Changed`] if it keeps something else by now; [`SinkError::Unknown`] if it is gone.
    pub fn keep(
        &self,
        name: &str,
        states: (&State, &State),
        dead: Option<&DeadLetter>,
    ) -> Result<(), SinkError> {
        let number = states.1.next_dead.saturating_sub(1).to_be_bytes();
        let dead: Vec<_> = dead
            .map(|letter| (&number[..], letter))
            .into_iter()
            .collect();
        Ok(self.kept.keep(name, states, &dead)?)
    }

    /// The dead letters of a sink, the oldest first, with their numbers.
    pub fn dead(&self, name: &str) -> Result<Vec<(u64, DeadLetter)>, SinkError> {
        let read = self.kept.dead(name)?.into_iter().map(|(place, letter)| {
            let number = <[u8; 8]>::try_from(&place[..]);
            let number = number.map_err(|_error| SinkError::Damaged(name.to_owned()))?;
            Ok((u64::from_be_bytes(number), letter))
        });
        read.collect()
    }

    /// Drops the dead letters of a sink; how many there were. One that had stopped for them goes on.
    pub fn drop_dead(&self, name: &str) -> Result<usize, SinkError> {
        Ok(self.kept.drop_dead(name)?)
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
            let _outcome = self.kept.store.commit(batch)?;
        }
        Ok(())
    }

    /// The schema of a CID, as bytes, and what it is of.
    pub fn schema(&self, cid: &Cid) -> Result<Option<(Format, Bytes)>, SinkError> {
        for format in [Format::Avro, Format::Protobuf] {
            let name = schema_ref(format, cid);
            let parts = self.kept.store.scan_refs(&name, None, SCHEMA_PARTS_MAX)?;
            if !parts.is_empty() {
                let bytes = parts.into_iter().flat_map(|(_, part)| part);
                return Ok(Some((format, bytes.collect())));
            }
        }
        Ok(None)
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
