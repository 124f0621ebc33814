//! The sources of a node, and what they keep beside their positions.

use std::sync::Arc;

use allod_blocks::{Batch, BatchOutcome, Expect, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::register::{DEAD_MAX, check_name, of};
use crate::source::definition::{BadSource, SourceDefinition};
use crate::source::position::Position;

/// Sources of a node at most: each is a thread.
pub const SOURCES_MAX: usize = 64;

/// How often a change is tried beside others.
const TRIES: usize = 16;

const DEFINITIONS: &[u8] = b"source/def/";
const STATES: &[u8] = b"source/state/";
const DEAD: &[u8] = b"source/dead/";

/// What a source could not do with what it keeps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No definition, or no name. Blame: the caller.
    #[error(transparent)]
    Bad(#[from] BadSource),
    /// There is one of this name. Blame: the caller.
    #[error("there is a source {0} already")]
    Exists(String),
    /// There is none of this name. Blame: the caller.
    #[error("there is no source {0}")]
    Unknown(String),
    /// Somebody else changed it at the same time. Blame: nobody; what is read again can be changed.
    #[error("the source {0} was changed by somebody else at the same time; try again")]
    Changed(String),
    /// What is kept of a source cannot be read. Blame: the environment.
    #[error("what is kept of the source {0} cannot be read")]
    Damaged(String),
    /// The store failed. Blame: the environment.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a source keeps beside its position, which is in the space.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SourceState {
    /// The SHA-256 of the position in the space, beyond which nothing but what was passed over was read.
    pub base: Option<String>,
    /// How far that was: it counts as long as the space has the base (SRC-13).
    pub seen: Option<Position>,
    /// Where somebody has said to go on from: `true` is the beginning, `false` the end.
    pub sought: Option<bool>,
    /// Entries that were written or removed.
    pub imported: u64,
    /// Events that were passed over.
    pub passed: u64,
    /// Events that were passed over as they have the name of a value alone.
    pub links: u64,
    /// Dead letters that are kept.
    pub dead: u64,
    /// When something was imported last, in milliseconds since 1970.
    pub imported_ms: Option<u64>,
    /// How often it has failed since.
    pub failures: u32,
    /// Why, the last time.
    pub words: Option<String>,
    /// Whether it has stopped until somebody does something (SRC-12, SRC-26).
    pub stopped: bool,
}

/// A record that became nothing, and should have.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SourceDead {
    /// The part that the record is in.
    pub part: u32,
    /// Where it is there.
    pub at: u64,
    /// The check of the record: another one may come to its place.
    #[serde(default)]
    pub check: String,
    /// The event's id, or the place of the record.
    pub id: String,
    /// The event's source.
    pub source: String,
    /// Why.
    pub words: String,
}

/// The name of a source, and what it is.
pub type ListedSource = (String, Result<SourceDefinition, SourceError>);

/// The sources of a store. Clones are handles to the same ones.
#[derive(Clone, Debug)]
pub struct SourceRegister {
    store: Arc<dyn Store>,
}

impl SourceRegister {
    /// Of a store.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Adds a source that begins at the beginning, at the end, or where its space says that one of its name has come.
    pub fn add(
        &self,
        name: &str,
        definition: &SourceDefinition,
        sought: Option<bool>,
    ) -> Result<(), SourceError> {
        check_name(name).map_err(|bad| BadSource::new(bad.0))?;
        definition.check()?;
        if self.list()?.len() >= SOURCES_MAX {
            return Err(BadSource::new(format!("a node has at most {SOURCES_MAX}")).into());
        }
        let state = SourceState {
            sought,
            ..SourceState::default()
        };
        let mut batch = Batch::new();
        let text = encode(name, definition)?;
        batch.set_ref(of(DEFINITIONS, name), Expect::Absent, Some(text));
        batch.set_ref(of(STATES, name), Expect::Any, Some(encode(name, &state)?));
        match self.store.commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { .. } => Err(SourceError::Exists(name.to_owned())),
        }
    }

    /// The sources, by name. One that cannot be read hides no other.
    pub fn list(&self) -> Result<Vec<ListedSource>, SourceError> {
        let found = self.store.scan_refs(DEFINITIONS, None, SOURCES_MAX)?;
        let read = found.into_iter().map(|(name, value)| {
            let name = name.get(DEFINITIONS.len()..).unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            let definition = decode(&name, &value);
            (name, definition)
        });
        Ok(read.collect())
    }

    /// A source and what it keeps.
    pub fn get(&self, name: &str) -> Result<(SourceDefinition, SourceState), SourceError> {
        let unknown = || SourceError::Unknown(name.to_owned());
        let read = |kind| self.store.get_ref(&of(kind, name));
        let definition = read(DEFINITIONS)?.ok_or_else(unknown)?;
        let state = read(STATES)?.ok_or_else(unknown)?;
        Ok((decode(name, &definition)?, decode(name, &state)?))
    }

    /// Lets a source rest, or go on; one that stopped goes on too.
    pub fn pause(&self, name: &str, paused: bool) -> Result<(), SourceError> {
        let before = self.store.get_ref(&of(DEFINITIONS, name))?;
        let before = before.ok_or_else(|| SourceError::Unknown(name.to_owned()))?;
        let mut definition: SourceDefinition = decode(name, &before)?;
        if definition.paused != paused {
            definition.paused = paused;
            let text = encode(name, &definition)?;
            let mut batch = Batch::new();
            batch.set_ref(of(DEFINITIONS, name), Expect::Value(before), Some(text));
            self.done(name, batch)?;
        }
        if paused {
            return Ok(());
        }
        self.change(name, go_on)
    }

    /// Lets a source go on from the beginning, or from the end, of what is there.
    pub fn seek(&self, name: &str, is_beginning: bool) -> Result<(), SourceError> {
        self.change(name, |state| {
            go_on(state);
            state.sought = Some(is_beginning);
        })
    }

    /// Changes what a source keeps, as often as it takes.
    fn change(&self, name: &str, change: impl Fn(&mut SourceState)) -> Result<(), SourceError> {
        for _ in 0..TRIES {
            let (_, before) = self.get(name)?;
            let mut state = before.clone();
            change(&mut state);
            match self.keep(name, (&before, &state), &[]) {
                Err(SourceError::Changed(_)) => {}
                kept => return kept,
            }
        }
        Err(SourceError::Changed(name.to_owned()))
    }

    /// Keeps what a source has come to from what it kept before, with dead letters by the places of their records.
    ///
    /// # Errors
    /// [`SourceError::Changed`] if it keeps something else by now; [`SourceError::Unknown`] if it is gone.
    pub fn keep(
        &self,
        name: &str,
        (before, state): (&SourceState, &SourceState),
        dead: &[SourceDead],
    ) -> Result<(), SourceError> {
        let mut batch = Batch::new();
        let before = Expect::Value(encode(name, before)?.into());
        batch.set_ref(of(STATES, name), before, Some(encode(name, state)?));
        for letter in dead {
            let (text, place) = (encode(name, letter)?, (letter.part, letter.at));
            batch.set_ref(dead_ref(name, place), Expect::Any, Some(text));
        }
        self.done(name, batch)
    }

    /// The dead letters of a source, by the places of their records.
    pub fn dead(&self, name: &str) -> Result<Vec<SourceDead>, SourceError> {
        let prefix = [&of(DEAD, name)[..], b"\0"].concat();
        let limit = usize::try_from(DEAD_MAX).unwrap_or(usize::MAX);
        let found = self.store.scan_refs(&prefix, None, limit)?;
        found.iter().map(|(_, value)| decode(name, value)).collect()
    }

    /// The dead letter of a place, if there is one.
    pub fn dead_at(
        &self,
        name: &str,
        place: (u32, u64),
    ) -> Result<Option<SourceDead>, SourceError> {
        let found = self.store.get_ref(&dead_ref(name, place))?;
        found.map(|text| decode(name, &text)).transpose()
    }

    /// Drops the dead letters of a source; how many there were. One that had stopped for them goes on.
    pub fn drop_dead(&self, name: &str) -> Result<usize, SourceError> {
        for _ in 0..TRIES {
            let (_, before) = self.get(name)?;
            let mut batch = Batch::new();
            let count = self.without_dead(name, &mut batch)?;
            let mut state = before.clone();
            if before.dead >= DEAD_MAX {
                go_on(&mut state);
            }
            state.dead = 0;
            let before = Expect::Value(encode(name, &before)?.into());
            batch.set_ref(of(STATES, name), before, Some(encode(name, &state)?));
            match self.done(name, batch) {
                Err(SourceError::Changed(_)) => {}
                dropped => return dropped.map(|()| count),
            }
        }
        Err(SourceError::Changed(name.to_owned()))
    }

    /// Removes a source and what it keeps here. What it has written, and its position in the space, stay.
    pub fn remove(&self, name: &str) -> Result<(), SourceError> {
        for _ in 0..TRIES {
            let before = match self.get(name) {
                Ok((_, state)) => Expect::Value(encode(name, &state)?.into()),
                // What nobody can read nobody writes.
                Err(SourceError::Damaged(_)) => Expect::Any,
                Err(error) => return Err(error),
            };
            let mut batch = Batch::new();
            self.without_dead(name, &mut batch)?;
            batch.set_ref(of(DEFINITIONS, name), Expect::Any, None::<Vec<u8>>);
            batch.set_ref(of(STATES, name), before, None::<Vec<u8>>);
            match self.done(name, batch) {
                Err(SourceError::Changed(_)) => {}
                removed => return removed,
            }
        }
        Err(SourceError::Changed(name.to_owned()))
    }

    fn without_dead(&self, name: &str, batch: &mut Batch) -> Result<usize, SourceError> {
        let dead = self.dead(name)?;
        for letter in &dead {
            let at = dead_ref(name, (letter.part, letter.at));
            batch.set_ref(at, Expect::Any, None::<Vec<u8>>);
        }
        Ok(dead.len())
    }

    fn done(&self, name: &str, batch: Batch) -> Result<(), SourceError> {
        match self.store.commit(batch)? {
            BatchOutcome::Done { .. } => Ok(()),
            BatchOutcome::Moved { current: None, .. } => Err(SourceError::Unknown(name.to_owned())),
            BatchOutcome::Moved { .. } => Err(SourceError::Changed(name.to_owned())),
        }
    }
}

fn go_on(state: &mut SourceState) {
    state.stopped = false;
    state.failures = 0;
    state.words = None;
}

fn dead_ref(name: &str, (part, at): (u32, u64)) -> Vec<u8> {
    let place = [&part.to_be_bytes()[..], &at.to_be_bytes()].concat();
    [&of(DEAD, name)[..], b"\0", &place].concat()
}

fn encode(name: &str, value: &impl Serialize) -> Result<Vec<u8>, SourceError> {
    serde_json::to_vec(value).map_err(|_error| SourceError::Damaged(name.to_owned()))
}

fn decode<T: for<'de> Deserialize<'de>>(name: &str, bytes: &[u8]) -> Result<T, SourceError> {
    serde_json::from_slice(bytes).map_err(|_error| SourceError::Damaged(name.to_owned()))
}
