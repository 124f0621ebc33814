//! The sources of a node, and what they keep beside their positions.

use std::sync::Arc;

use allod_blocks::{Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::kept::{Kept, KeptFault, Kind, check_name};
use crate::source::definition::{BadSource, SourceDefinition};
use crate::source::position::Position;

/// Sources of a node at most: each is a thread.
pub const SOURCES_MAX: usize = 64;

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

impl From<KeptFault> for SourceError {
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

/// Sources, as they are kept.
#[derive(Clone, Debug)]
struct Sources;

impl Kind for Sources {
    const DEFINITIONS: &'static [u8] = b"source/def/";
    const STATES: &'static [u8] = b"source/state/";
    const DEAD: &'static [u8] = b"source/dead/";
    const MAX: usize = SOURCES_MAX;
    type Definition = SourceDefinition;
    type State = SourceState;
    type Dead = SourceDead;

    fn paused(definition: &mut SourceDefinition) -> &mut bool {
        &mut definition.paused
    }

    fn dead(state: &mut SourceState) -> &mut u64 {
        &mut state.dead
    }

    fn go_on(state: &mut SourceState) {
        state.stopped = false;
        state.failures = 0;
        state.words = None;
    }
}

/// The sources of a store. Clones are handles to the same ones.
#[derive(Clone, Debug)]
pub struct SourceRegister {
    kept: Kept<Sources>,
}

/// What the reference of a dead letter ends with.
fn place_of(part: u32, at: u64) -> Vec<u8> {
    [&part.to_be_bytes()[..], &at.to_be_bytes()].concat()
}

impl SourceRegister {
    /// Of a store.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self {
            kept: Kept::new(store),
        }
    }

    /// Adds a source that begins at the beginning, at the end, or where its space says that one of its name has come.
    pub fn add(
        &self,
        name: &str,
        definition: &SourceDefinition,
        sought: Option<bool>,
    ) -> Result<(), SourceError> {
        check_name(name).map_err(BadSource::new)?;
        definition.check()?;
        if self.list()?.len() >= SOURCES_MAX {
            return Err(BadSource::new(format!("a node has at most {SOURCES_MAX}")).into());
        }
        let state = SourceState {
            sought,
            ..SourceState::default()
        };
        Ok(self.kept.add(name, definition, &state)?)
    }

    /// The sources, by name. One that cannot be read hides no other.
    pub fn list(&self) -> Result<Vec<ListedSource>, SourceError> {
        let listed = self.kept.list()?.into_iter();
        let listed = listed.map(|(name, definition)| (name, definition.map_err(Into::into)));
        Ok(listed.collect())
    }

    /// A source and what it keeps.
    pub fn get(&self, name: &str) -> Result<(SourceDefinition, SourceState), SourceError> {
        Ok(self.kept.get(name)?)
    }

    /// Lets a source rest, or go on; one that stopped goes on too.
    pub fn pause(&self, name: &str, paused: bool) -> Result<(), SourceError> {
        Ok(self.kept.pause(name, paused)?)
    }

    /// Lets a source go on from the beginning, or from the end, of what is there.
    pub fn seek(&self, name: &str, is_beginning: bool) -> Result<(), SourceError> {
        Ok(self.kept.change(name, |state| {
            Sources::go_on(state);
            state.sought = Some(is_beginning);
        })?)
    }

    /// Keeps what a source has come to from what it kept before, with dead letters by the places of their records.
    ///
    /// # Errors
    /// [`SourceError::Changed`] if it keeps something else by now; [`SourceError::Unknown`] if it is gone.
    pub fn keep(
        &self,
        name: &str,
        states: (&SourceState, &SourceState),
        dead: &[SourceDead],
    ) -> Result<(), SourceError> {
        let places: Vec<_> = dead
            .iter()
            .map(|letter| place_of(letter.part, letter.at))
            .collect();
        let dead: Vec<_> = places.iter().map(Vec::as_slice).zip(dead).collect();
        Ok(self.kept.keep(name, states, &dead)?)
    }

    /// The dead letters of a source, by the places of their records.
    pub fn dead(&self, name: &str) -> Result<Vec<SourceDead>, SourceError> {
        let read = self.kept.dead(name)?.into_iter();
        Ok(read.map(|(_, letter)| letter).collect())
    }

    /// The dead letter of a place, if there is one.
    pub fn dead_at(
        &self,
        name: &str,
        (part, at): (u32, u64),
    ) -> Result<Option<SourceDead>, SourceError> {
        Ok(self.kept.dead_at(name, &place_of(part, at))?)
    }

    /// Drops the dead letters of a source; how many there were. One that had stopped for them goes on.
    pub fn drop_dead(&self, name: &str) -> Result<usize, SourceError> {
        Ok(self.kept.drop_dead(name)?)
    }

    /// Removes a source and what it keeps here. What it has written, and its position in the space, stay.
    pub fn remove(&self, name: &str) -> Result<(), SourceError> {
        Ok(self.kept.remove(name)?)
    }
}
