//! The texts that all events of a commit have, spelled once.

use std::sync::{Arc, Mutex, PoisonError};

use allod_feed::{ChangedBy, Event, Told};
use allod_identity::{DeviceId, Verified};
use allod_repo::{BranchName, Commit, CommitId, SpaceId};

use crate::name;

/// Texts of an event that do not depend on its key.
#[derive(Debug)]
pub(crate) struct Spelled {
    of: (SpaceId, BranchName, Option<CommitId>),
    pub(crate) space: String,
    /// The branch as a segment of a source.
    pub(crate) segment: String,
    /// The branch in a subject.
    pub(crate) subject: String,
    /// Of what a commit did.
    pub(crate) by: Option<SpelledCommit>,
}

/// Texts of a commit.
#[derive(Debug)]
pub(crate) struct SpelledCommit {
    pub(crate) id: String,
    pub(crate) author: String,
    pub(crate) device: String,
}

/// The commit that an event is of.
pub(crate) fn commit_of(event: &Event) -> Option<(CommitId, &Verified<Commit>)> {
    match &event.told {
        Told::Commit { id, commit, .. }
        | Told::Change {
            by: ChangedBy::Commit { id, commit },
            ..
        } => Some((*id, commit)),
        _ => None,
    }
}

/// What was spelled last: events of a commit are told one after the other.
#[derive(Debug, Default)]
pub(crate) struct Speller(Mutex<Option<Arc<Spelled>>>);

impl Speller {
    pub(crate) fn spell(&self, event: &Event) -> Arc<Spelled> {
        let commit = commit_of(event);
        let id = commit.map(|(id, _)| id);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spelled) = &*last
            && (&spelled.of.0, &spelled.of.1, &spelled.of.2) == (&event.space, &event.branch, &id)
        {
            return Arc::clone(spelled);
        }
        let branch = event.branch.as_str();
        let spelled = Arc::new(Spelled {
            of: (event.space, event.branch.clone(), id),
            space: event.space.to_string(),
            segment: name::branch_segment(branch),
            subject: name::branch(branch),
            by: commit.map(|(id, commit)| SpelledCommit {
                id: id.to_string(),
                author: commit.payload().author.to_string(),
                device: DeviceId::from(*commit.signer()).to_string(),
            }),
        });
        *last = Some(Arc::clone(&spelled));
        spelled
    }
}
