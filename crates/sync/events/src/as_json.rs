//! What an event says, as JSON (EVENT-10, EVENT-11).

use allod_feed::{Event, Told};
use allod_identity::Verified;
use allod_repo::{Commit, CommitId, Repo, RepoError, Stamp, State};
use bytes::Bytes;
use multibase::Base;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::render::{is_shown, unlikely};
use crate::spelled::{Spelled, SpelledCommit};
use crate::value::{VALUE_BYTES_MAX, Value};

/// Changes in the data of a commit at most (EVENT, "Limits").
const CHANGES_MAX: usize = 256;

#[derive(Serialize)]
struct CommitData<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    #[serde(flatten)]
    by: By<'a>,
    parents: Vec<String>,
    generation: u64,
    message: &'a str,
    stamp: StampText,
    changes: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "is_false")]
    more: bool,
    #[serde(skip_serializing_if = "is_false")]
    bare: bool,
}

#[derive(Serialize)]
struct ChangeData<'a> {
    #[serde(flatten)]
    place: Option<Place<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(flatten)]
    by: Option<By<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamp: Option<StampText>,
    value: Option<Value>,
    #[serde(skip_serializing_if = "is_false")]
    snapshot: bool,
}

#[derive(Serialize)]
struct Place<'a> {
    space: &'a str,
    branch: &'a str,
}

#[derive(Serialize)]
struct By<'a> {
    commit: &'a str,
    author: &'a str,
    device: &'a str,
}

#[derive(Serialize)]
struct MoveData<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    from: Vec<String>,
    to: Vec<String>,
}

#[derive(Serialize)]
struct StampText {
    ms: u64,
    count: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl StampText {
    const fn of(stamp: Stamp) -> Self {
        let (ms, count) = stamp_parts(stamp);
        Self { ms, count }
    }
}

/// Of two stamps, the greater pair is the later one.
pub(crate) const fn stamp_parts(stamp: Stamp) -> (u64, u64) {
    (stamp.millis(), stamp.bits() & 0xffff)
}

impl<'a> By<'a> {
    fn of(by: &'a SpelledCommit) -> Self {
        Self {
            commit: &by.id,
            author: &by.author,
            device: &by.device,
        }
    }
}

/// Commits as texts.
pub(crate) fn texts(ids: &[CommitId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// What an event says.
pub(crate) fn data(
    repo: &Repo,
    event: &Event,
    spelled: &Spelled,
) -> Result<Box<RawValue>, RepoError> {
    let place = Place {
        space: &spelled.space,
        branch: event.branch.as_str(),
    };
    let by = spelled.by.as_ref().map(By::of);
    match &event.told {
        Told::Commit {
            id,
            commit,
            is_bare,
        } => {
            let by = by.ok_or_else(unlikely)?;
            commit_data((place, by), repo, (*id, commit), *is_bare)
        }
        Told::Change {
            key, state, stamp, ..
        } => {
            let mut data = change_data(repo, key, *stamp, state)?;
            (data.place, data.by) = (Some(place), by);
            data.snapshot = is_shown(event);
            json(&data)
        }
        Told::Move { from, to, .. } => json(&MoveData {
            place,
            from: texts(from),
            to: texts(to),
        }),
        _ => Err(unlikely()),
    }
}

fn json(value: &impl Serialize) -> Result<Box<RawValue>, RepoError> {
    serde_json::value::to_raw_value(value).map_err(|_error| unlikely())
}

fn change_data<'a>(
    repo: &Repo,
    key: &'a [u8],
    stamp: Option<Stamp>,
    state: &State,
) -> Result<ChangeData<'a>, RepoError> {
    let text = std::str::from_utf8(key).ok();
    Ok(ChangeData {
        place: None,
        key: text,
        key_base64: text.is_none().then(|| Base::Base64Pad.encode(key)),
        by: None,
        stamp: stamp.map(StampText::of),
        value: Value::of(repo, state)?,
        snapshot: false,
    })
}

fn commit_data(
    (place, by): (Place<'_>, By<'_>),
    repo: &Repo,
    (id, commit): (CommitId, &Verified<Commit>),
    is_bare: bool,
) -> Result<Box<RawValue>, RepoError> {
    let said = commit.payload();
    let told = changes_of(repo, id, is_bare)?;
    json(&CommitData {
        place,
        by,
        parents: texts(&said.parents),
        generation: said.generation,
        message: &said.message,
        stamp: StampText::of(said.stamp),
        changes: told.first.into_iter().map(|change| change.json).collect(),
        more: told.more,
        bare: told.is_bare,
    })
}

/// The changes that a commit's event has.
pub(crate) struct Changes {
    pub(crate) first: Vec<Change>,
    /// Whether there are more.
    pub(crate) more: bool,
    /// Whether only the statement of the commit is here.
    pub(crate) is_bare: bool,
}

/// One of them.
pub(crate) struct Change {
    pub(crate) key: Bytes,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) state: State,
    json: Box<RawValue>,
}

/// The first changes of a commit, as far as they are within bounds as JSON.
pub(crate) fn changes_of(
    repo: &Repo,
    id: CommitId,
    mut is_bare: bool,
) -> Result<Changes, RepoError> {
    let (mut changes, mut bytes, mut more) = (Vec::new(), 0, false);
    if !is_bare {
        match repo.changes(id) {
            Err(RepoError::Bare(_)) => is_bare = true,
            found => {
                for change in found? {
                    let (key, entry) = change?;
                    let (stamp, state) = match entry {
                        Some(entry) => (Some(entry.stamp), entry.state),
                        None => (None, State::Tombstone),
                    };
                    let json = json(&change_data(repo, &key, stamp, &state)?)?;
                    bytes += json.get().len();
                    if changes.len() == CHANGES_MAX || bytes > VALUE_BYTES_MAX {
                        more = true;
                        break;
                    }
                    changes.push(Change {
                        key,
                        stamp,
                        state,
                        json,
                    });
                }
            }
        }
    }
    Ok(Changes {
        first: changes,
        more,
        is_bare,
    })
}
