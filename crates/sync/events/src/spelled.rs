//! The texts that all events of a commit have, spelled once.

use std::sync::{Arc, Mutex, PoisonError};

use allod_feed::{ChangedBy, Event, Told};
use allod_identity::{DeviceId, Verified};
use allod_repo::{BranchName, Commit, CommitId, SpaceId, Stamp};
use allod_views::format_timestamp;

use crate::name;

/// Texts of an event that do not depend on its key.
#[derive(Debug)]
pub(crate) struct Spelled {
    of: (SpaceId, BranchName, Option<CommitId>),
    pub(crate) space: String,
    /// The source of its events.
    pub(crate) source: String,
    /// The branch, with its space: how keys of partitions begin.
    pub(crate) part: String,
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
pub(crate) struct Speller {
    last: Mutex<Option<Arc<Spelled>>>,
    /// A time, in milliseconds.
    time: Mutex<Option<(u64, String)>>,
}

impl Speller {
    /// The time of a stamp: what was written together has one.
    pub(crate) fn time(&self, stamp: Stamp) -> String {
        let ms = stamp.millis();
        let mut last = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, text)) if *at == ms => text.clone(),
            _ => {
                let micros = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000);
                let text = format_timestamp(micros);
                *last = Some((ms, text.clone()));
                text
            }
        }
    }

    /// The texts of an event that a node (`AGENT/DEVICE`) tells of.
    pub(crate) fn spell(&self, event: &Event, node: &str) -> Arc<Spelled> {
        let commit = commit_of(event);
        let id = commit.map(|(id, _)| id);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spelled) = &*last
            && (&spelled.of.0, &spelled.of.1, &spelled.of.2) == (&event.space, &event.branch, &id)
        {
            return Arc::clone(spelled);
        }
        let branch = event.branch.as_str();
        let (space, segment) = (event.space.to_string(), name::branch_segment(branch));
        let by = commit.map(|(id, commit)| SpelledCommit {
            id: id.to_string(),
            author: commit.payload().author.to_string(),
            device: DeviceId::from(*commit.signer()).to_string(),
        });
        let part = format!("{space}/{segment}");
        let spelled = Arc::new(Spelled {
            of: (event.space, event.branch.clone(), id),
            source: match &by {
                None => format!("allod://{part}/{node}"),
                Some(by) => format!("allod://{part}/{}/{}", by.author, by.device),
            },
            space,
            part,
            subject: name::branch(branch),
            by,
        });
        *last = Some(Arc::clone(&spelled));
        spelled
    }
}
