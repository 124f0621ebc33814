//! Which CloudEvent stands for which event (EVENT-1 to EVENT-11).

use allod_feed::{ChangedBy, Cursor, Epoch, Event, Order, Spaces, Told};
use allod_identity::{AgentId, DeviceId};
use allod_repo::{BranchName, Commit, CommitId, Repo, RepoError, SpaceId, Stamp, State};
use allod_views::format_timestamp;
use multibase::Base;
use serde::Serialize;

use crate::cloud::{CloudEvent, Data, Extension};
use crate::name;
use crate::value::{VALUE_BYTES_MAX, Value};

/// Changes in the data of a commit at most (EVENT, "Limits").
const CHANGES_MAX: usize = 256;

/// The extension that has the cursor after an event (EVENT-6).
pub const CURSOR: &str = "allodcursor";

/// The content type of JSON.
const JSON: &str = "application/json";

/// Makes CloudEvents of what a feed tells.
#[derive(Clone, Debug)]
pub struct Renderer {
    epoch: Epoch,
    /// Whose node tells: `AGENT/DEVICE`.
    node: String,
}

#[derive(Serialize)]
struct CommitData<'a> {
    space: String,
    branch: &'a str,
    commit: String,
    author: String,
    device: String,
    parents: Vec<String>,
    generation: u64,
    message: &'a str,
    stamp: StampText,
    changes: Vec<Box<serde_json::value::RawValue>>,
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
    by: Option<By>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamp: Option<StampText>,
    value: Option<Value>,
    #[serde(skip_serializing_if = "is_false")]
    snapshot: bool,
}

#[derive(Serialize)]
struct Place<'a> {
    space: String,
    branch: &'a str,
}

#[derive(Serialize)]
struct By {
    commit: String,
    author: String,
    device: String,
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
        Self {
            ms: stamp.millis(),
            count: stamp.bits() & 0xffff,
        }
    }
}

fn device_of(commit: &allod_identity::Verified<Commit>) -> String {
    DeviceId::from(*commit.signer()).to_string()
}

fn texts(ids: &[CommitId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn time_of(stamp: Stamp) -> String {
    let micros = i64::try_from(stamp.millis())
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    format_timestamp(micros)
}

impl Renderer {
    /// For the log of this epoch, on a device of an agent.
    #[must_use]
    pub fn new(epoch: Epoch, agent: Option<&AgentId>, device: &DeviceId) -> Self {
        let agent = agent.map_or_else(|| "-".to_owned(), ToString::to_string);
        Self {
            epoch,
            node: format!("{agent}/{device}"),
        }
    }

    /// The CloudEvent of an event, with its data as JSON.
    pub fn render(&self, repo: &Repo, event: &Event) -> Result<CloudEvent, RepoError> {
        let mut cloud = self.frame(event)?;
        let json = data(repo, event)?;
        cloud.datacontenttype = Some(JSON.to_owned());
        cloud.data = Some(Data::Json(json));
        Ok(cloud)
    }

    /// The same, with the cursor after the event as the extension [`CURSOR`]; `None` of a space that went away
    /// since, as nobody can read what it held.
    pub fn render_at(
        &self,
        spaces: &dyn Spaces,
        event: &Event,
        cursor: &Cursor,
    ) -> Result<Option<CloudEvent>, RepoError> {
        let Some(repo) = spaces.repo(event.space)? else {
            return Ok(None);
        };
        let mut cloud = self.render(&repo, event)?;
        let text = Extension::Text(cursor.to_string());
        cloud.extensions.insert(CURSOR.to_owned(), text);
        Ok(Some(cloud))
    }

    /// Its attributes, without data.
    fn frame(&self, event: &Event) -> Result<CloudEvent, RepoError> {
        let (position, epoch) = (event.order.position, self.epoch);
        let mut key_text = None;
        let (kind, id, time, whose) = match &event.told {
            Told::Commit { id, commit, .. } => (
                "org.allod.commit.v1",
                id.to_string(),
                Some(commit.payload().stamp),
                Some(commit),
            ),
            Told::Change {
                key,
                state,
                stamp,
                by,
            } => {
                let key = name::key(key);
                let (id, whose) = match by {
                    ChangedBy::Commit { id, commit } => (format!("{id}/{key}"), Some(commit)),
                    ChangedBy::Move => (format!("{epoch}/{position}/move/{key}"), None),
                    _ => (format!("{epoch}/{position}/snapshot/{key}"), None),
                };
                key_text = Some(key);
                let kind = match state {
                    State::Tombstone => "org.allod.entry.deleted.v1",
                    _ => "org.allod.entry.put.v1",
                };
                (kind, id, *stamp, whose)
            }
            _ => (
                "org.allod.branch.moved.v1",
                format!("{epoch}/{position}"),
                None,
                None,
            ),
        };
        let whose = whose.map_or_else(
            || self.node.clone(),
            |commit| format!("{}/{}", commit.payload().author, device_of(commit)),
        );
        let (space, branch) = (event.space, event.branch.as_str());
        let segment = name::branch_segment(branch);
        let source = format!("allod://{space}/{segment}/{whose}");
        let mut cloud = CloudEvent::new(id, source, kind).map_err(|_error| unlikely())?;
        let subject = name::branch(branch);
        let (subject, part) = match key_text {
            None => (subject, format!("{space}/{segment}")),
            Some(key) => (
                format!("{subject}/{key}"),
                format!("{space}/{segment}/{key}"),
            ),
        };
        cloud.subject = Some(subject);
        cloud.time = time.map(time_of);
        let mut put = |name: &str, text| {
            let text = Extension::Text(text);
            cloud.extensions.insert(name.to_owned(), text);
        };
        put("partitionkey", part);
        let is_shown = matches!(
            &event.told,
            Told::Change {
                by: ChangedBy::Snapshot,
                ..
            }
        );
        if !is_shown {
            put("sequence", sequence(event.order));
        }
        Ok(cloud)
    }
}

/// What an event says, as JSON.
fn data(repo: &Repo, event: &Event) -> Result<Box<serde_json::value::RawValue>, RepoError> {
    let place = || Place {
        space: event.space.to_string(),
        branch: event.branch.as_str(),
    };
    match &event.told {
        Told::Commit {
            id,
            commit,
            is_bare,
        } => commit_data((event.space, &event.branch), repo, (*id, commit), *is_bare),
        Told::Change {
            key,
            state,
            stamp,
            by,
        } => {
            let mut data = change_data(repo, key, *stamp, state)?;
            data.place = Some(place());
            data.snapshot = matches!(by, ChangedBy::Snapshot);
            if let ChangedBy::Commit { id, commit } = by {
                data.by = Some(By {
                    commit: id.to_string(),
                    author: commit.payload().author.to_string(),
                    device: device_of(commit),
                });
            }
            json(&data)
        }
        Told::Move { from, to, .. } => json(&MoveData {
            place: place(),
            from: texts(from),
            to: texts(to),
        }),
        _ => Err(unlikely()),
    }
}

/// Of an order: texts that ascend as events do (EVENT-4).
fn sequence(order: Order) -> String {
    format!(
        "{:020}-{:010}-{:010}",
        order.position, order.commit, order.change
    )
}

fn json(value: &impl Serialize) -> Result<Box<serde_json::value::RawValue>, RepoError> {
    serde_json::value::to_raw_value(value).map_err(|_error| unlikely())
}

/// What is written here is never refused: texts are not empty, and values are JSON.
const fn unlikely() -> RepoError {
    RepoError::Damaged("an event cannot be written")
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
    (space, branch): (SpaceId, &BranchName),
    repo: &Repo,
    (id, commit): (CommitId, &allod_identity::Verified<Commit>),
    mut is_bare: bool,
) -> Result<Box<serde_json::value::RawValue>, RepoError> {
    let said = commit.payload();
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
                    let text = json(&change_data(repo, &key, stamp, &state)?)?;
                    bytes += text.get().len();
                    if changes.len() == CHANGES_MAX || bytes > VALUE_BYTES_MAX {
                        more = true;
                        break;
                    }
                    changes.push(text);
                }
            }
        }
    }
    json(&CommitData {
        space: space.to_string(),
        branch: branch.as_str(),
        commit: id.to_string(),
        author: said.author.to_string(),
        device: device_of(commit),
        parents: texts(&said.parents),
        generation: said.generation,
        message: &said.message,
        stamp: StampText::of(said.stamp),
        changes,
        more,
        bare: is_bare,
    })
}
