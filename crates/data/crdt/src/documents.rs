//! Documents of Automerge: read, edited, and begun anew (CRDT-17, CRDT-20).

mod convert;
mod difference;
mod edit;
mod load;
mod weigh;

use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::transaction::CommitOptions;
use automerge::{ActorId, AutoCommit, ROOT};
use serde_json::Value as Json;

pub use self::edit::Edit;
use crate::document::{Document as Changes, Hash, change_hash};
use crate::error::TooLarge;
use crate::item::Item;
use crate::kind::{Kind, Writer};
use crate::state::{Body, State};

/// The deepest nesting that is read and written: as deep as anything else here (CONV-1).
const DEPTH_MAX: usize = 64;

/// A document that was put together from the changes of a state.
#[derive(Clone, Debug)]
pub struct Document {
    state: State,
    doc: AutoCommit,
    left_out: usize,
}

/// Who edits, when, and why.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "complete by the format of Automerge"
)]
pub struct Authorship<'a> {
    /// The actor of the change.
    pub writer: Writer,
    /// The time of the change, in seconds since 1970.
    pub time_s: i64,
    /// What the change is about.
    pub message: Option<&'a str>,
}

/// What is known of a change of a document.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ChangeInfo {
    /// Its hash, by which it is named.
    pub hash: [u8; 32],
    /// Who made it: the eight bytes of a writer, unless it was made elsewhere.
    pub actor: Vec<u8>,
    /// The how many-th change of the actor.
    pub seq: u64,
    /// When, in seconds since 1970, as the actor said.
    pub time_s: i64,
    /// What it is about.
    pub message: Option<String>,
    /// The number of operations.
    pub operations: u64,
}

/// Why a document cannot be read or edited.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The state is of another kind. Blame: the caller.
    #[error("a {0} is no document")]
    Kind(Kind),
    /// Nested too deep. Blame: whoever made it so.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// An edit names what is not there, or what it cannot be done to. Blame: the caller.
    #[error("edit {index} names nothing that it could be done to")]
    NoSuchPlace {
        /// Which of the edits, from 0.
        index: usize,
    },
    /// A document is an object. Blame: the caller.
    #[error("a document is an object")]
    NoObject,
    /// Automerge failed. Blame: whoever made the changes.
    #[error("the document cannot be put together")]
    Unreadable,
    /// The state would be too large. Blame: whoever let it grow; compaction helps.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// Runs what may panic on changes that a stranger made.
fn guarded<T>(run: impl FnOnce() -> Result<T, DocumentError>) -> Result<T, DocumentError> {
    // What it works on is given up after a panic.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(DocumentError::Unreadable))
}

impl Document {
    /// Puts a document together. Changes that are not sound, that the others refuse, or that depend on one
    /// that is not there, are left out, and stay in the state.
    pub fn open(state: &State) -> Result<Self, DocumentError> {
        let Body::Document(changes) = &state.body else {
            return Err(DocumentError::Kind(state.kind()));
        };
        let (doc, left_out) = load::load(changes)?;
        Ok(Self {
            state: state.clone(),
            doc,
            left_out,
        })
    }

    /// The state, with all edits that were made.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How many changes were left out.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// What the document says. Bytes are shown as `{"base64": "..."}`, times and counters as numbers.
    pub fn value(&self) -> Result<Json, DocumentError> {
        guarded(|| convert::read(&self.doc))
    }

    /// The changes that were not left out, each after those that it depends on.
    #[must_use]
    pub fn history(&mut self) -> Vec<ChangeInfo> {
        let changes = self.doc.get_changes(&[]).into_iter();
        let info = |change: automerge::Change| ChangeInfo {
            hash: change.hash().0,
            actor: change.actor_id().to_bytes().to_vec(),
            seq: change.seq(),
            time_s: change.timestamp(),
            message: change.message().map(str::to_owned),
            operations: change.len() as u64,
        };
        changes.map(info).collect()
    }

    /// Makes edits as one change; says whether there was anything to change. After an error everything is
    /// as it was.
    pub fn edit(&mut self, edits: &[Edit], by: Authorship<'_>) -> Result<bool, DocumentError> {
        let mut doc = self.doc.clone();
        let made = guarded(|| {
            doc.set_actor(ActorId::from(&by.writer.0[..]));
            for (index, edit) in edits.iter().enumerate() {
                edit::apply(&mut doc, edit, index)?;
            }
            commit(&mut doc, by)
        })?;
        let Some((hash, change)) = made else {
            return Ok(false);
        };
        let mut next = self.state.clone();
        if let Body::Document(changes) = &mut next.body {
            changes.0.insert(hash, change);
        }
        next.weigh()?;
        (self.state, self.doc) = (next, doc);
        Ok(true)
    }

    /// Makes the document say this, with as few edits as are found: what both have stays untouched.
    pub fn replace(&mut self, value: &Json, by: Authorship<'_>) -> Result<bool, DocumentError> {
        let edits = Self::difference(&self.value()?, value)?;
        self.edit(&edits, by)
    }

    /// The edits that lead from one value of a document to another. Made elsewhere, they are a cherry-pick.
    pub fn difference(from: &Json, to: &Json) -> Result<Vec<Edit>, DocumentError> {
        if !from.is_object() || !to.is_object() {
            return Err(DocumentError::NoObject);
        }
        difference::of(from, to)
    }
}

/// Ends a change. None if there is nothing in it.
fn commit(doc: &mut AutoCommit, by: Authorship<'_>) -> Result<Option<(Hash, Item)>, DocumentError> {
    let mut options = CommitOptions::default().with_time(by.time_s);
    if let Some(message) = by.message {
        options = options.with_message(message);
    }
    let Some(hash) = doc.commit_with(options) else {
        return Ok(None);
    };
    change(doc, &hash).map(Some)
}

/// A change as it is kept.
fn change(
    doc: &mut AutoCommit,
    hash: &automerge::ChangeHash,
) -> Result<(Hash, Item), DocumentError> {
    let change = doc.get_change_by_hash(hash);
    let change = change.ok_or(DocumentError::Unreadable)?;
    let hash = change_hash(change.raw_bytes()).map_err(|_error| DocumentError::Unreadable)?;
    Ok((hash, Item::from(change.raw_bytes())))
}

/// A document with the same contents in a single change. Who wrote what, and marks in texts, are gone.
pub(crate) fn compact(changes: &Changes, writer: Writer) -> Result<Changes, DocumentError> {
    let (old, _left_out) = load::load(changes)?;
    guarded(|| {
        let mut doc = load::blank();
        doc.set_actor(ActorId::from(&writer.0[..]));
        convert::copy(&old, &ROOT, &mut doc, &ROOT, 0)?;
        let by = Authorship {
            writer,
            time_s: 0,
            message: None,
        };
        let made = match commit(&mut doc, by)? {
            Some(made) => made,
            None => {
                let hash = doc.empty_change(CommitOptions::default().with_time(0));
                change(&mut doc, &hash)?
            }
        };
        let mut changes = Changes::default();
        changes.0.insert(made.0, made.1);
        Ok(changes)
    })
}
