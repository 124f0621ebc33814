//! Which CloudEvent stands for which event (EVENT-1 to EVENT-6).

use std::sync::Arc;

use allod_feed::{ChangedBy, Cursor, Epoch, Event, Spaces, Told};
use allod_identity::{AgentId, DeviceId};
use allod_payloads::{Format, Schema};
use allod_repo::{Repo, RepoError, State};

use crate::as_json;
use crate::as_record::Records;
use crate::cloud::{CloudEvent, Data, Extension};
use crate::name;
use crate::schemas::{JsonSchemas, schema_uri};
use crate::spelled::{Spelled, Speller, commit_of};

/// The extension that has the cursor after an event (EVENT-6).
pub const CURSOR: &str = "allodcursor";

/// The content type of JSON.
const JSON: &str = "application/json";

/// The content types of data in a format (EVENT-23, EVENT-30).
const fn content_type(format: Format) -> &'static str {
    match format {
        Format::Protobuf => "application/protobuf",
        _ => "application/avro",
    }
}

/// Makes CloudEvents of what a feed tells. Clones share what they have spelled.
#[derive(Clone, Debug)]
pub struct Renderer {
    epoch: Epoch,
    /// Whose node tells: `AGENT/DEVICE`.
    node: String,
    json: JsonSchemas,
    speller: Arc<Speller>,
    records: Arc<Records>,
}

impl Renderer {
    /// For the log of this epoch, on a device of an agent.
    #[must_use]
    pub fn new(epoch: Epoch, agent: Option<&AgentId>, device: &DeviceId) -> Self {
        let agent = agent.map_or_else(|| "-".to_owned(), ToString::to_string);
        Self {
            epoch,
            node: format!("{agent}/{device}"),
            json: JsonSchemas::new(),
            speller: Arc::default(),
            records: Arc::default(),
        }
    }

    /// The CloudEvent of an event, with its data as JSON.
    pub fn render(&self, repo: &Repo, event: &Event) -> Result<CloudEvent, RepoError> {
        let spelled = self.speller.spell(event, &self.node);
        let mut cloud = self.frame(event, &spelled)?;
        cloud.datacontenttype = Some(JSON.to_owned());
        cloud.dataschema = Some(self.json.uri(&event.told).to_owned());
        cloud.data = Some(Data::Json(as_json::data(repo, event, &spelled)?));
        Ok(cloud)
    }

    /// The CloudEvent of an event, with its data as a record, and the schema of that. Nothing stands before the datum
    /// ([`CloudEvent::frame`]).
    pub fn render_record(
        &self,
        repo: &Repo,
        event: &Event,
        format: Format,
    ) -> Result<(CloudEvent, Arc<Schema>), RepoError> {
        let spelled = self.speller.spell(event, &self.node);
        let mut cloud = self.frame(event, &spelled)?;
        let (datum, schema) = self.records.data((repo, event), &spelled, format)?;
        cloud.datacontenttype = Some(content_type(format).to_owned());
        cloud.dataschema = Some(schema_uri(schema.cid()));
        cloud.data = Some(Data::Bytes(datum));
        Ok((cloud, schema))
    }

    /// The CloudEvent of an event with its data as JSON, and the cursor after the event as the extension [`CURSOR`];
    /// `None` of a space that went away since, as nobody can read what it held.
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
        cloud.set_cursor(cursor);
        Ok(Some(cloud))
    }

    /// The same, with its data as a record.
    pub fn render_record_at(
        &self,
        spaces: &dyn Spaces,
        (event, cursor): (&Event, &Cursor),
        format: Format,
    ) -> Result<Option<(CloudEvent, Arc<Schema>)>, RepoError> {
        let Some(repo) = spaces.repo(event.space)? else {
            return Ok(None);
        };
        let (mut cloud, schema) = self.render_record(&repo, event, format)?;
        cloud.set_cursor(cursor);
        Ok(Some((cloud, schema)))
    }

    /// Its attributes, without data.
    fn frame(&self, event: &Event, spelled: &Spelled) -> Result<CloudEvent, RepoError> {
        let (position, epoch) = (event.order.position, self.epoch);
        let commit = spelled.by.as_ref().map(|by| &by.id[..]);
        let moved = || format!("{epoch}/{position}");
        let (kind, id, time, key) = match &event.told {
            Told::Commit { .. } => (
                "org.allod.commit.v1",
                commit.map_or_else(moved, str::to_owned),
                commit_of(event).map(|(_, commit)| commit.payload().stamp),
                None,
            ),
            Told::Change {
                key,
                state,
                stamp,
                by,
            } => {
                let key = name::key(key);
                let id = match (by, commit) {
                    (_, Some(commit)) => [commit, "/", &key].concat(),
                    (ChangedBy::Snapshot, None) => format!("{epoch}/{position}/snapshot/{key}"),
                    (_, None) => format!("{epoch}/{position}/move/{key}"),
                };
                let kind = match state {
                    State::Tombstone => "org.allod.entry.deleted.v1",
                    _ => "org.allod.entry.put.v1",
                };
                (kind, id, *stamp, Some(key))
            }
            _ => ("org.allod.branch.moved.v1", moved(), None, None),
        };
        let source = spelled.source.clone();
        let mut cloud = CloudEvent::new(id, source, kind).map_err(|_error| unlikely())?;
        let with_key = |text: &String| match &key {
            None => text.clone(),
            Some(key) => [&text[..], "/", key].concat(),
        };
        let (subject, part) = (with_key(&spelled.subject), with_key(&spelled.part));
        cloud.subject = Some(subject);
        cloud.time = time.map(|stamp| self.speller.time(stamp));
        cloud.extend("partitionkey", part);
        if !is_shown(event) {
            let order = event.order;
            let order = [order.position, order.commit, order.change];
            cloud.extend("sequence", sequence(order));
        }
        Ok(cloud)
    }
}

/// Whether it is of a snapshot.
pub(crate) const fn is_shown(event: &Event) -> bool {
    matches!(
        &event.told,
        Told::Change {
            by: ChangedBy::Snapshot,
            ..
        }
    )
}

impl CloudEvent {
    fn extend(&mut self, name: &str, text: String) {
        self.extensions
            .insert(name.to_owned(), Extension::Text(text));
    }

    fn set_cursor(&mut self, cursor: &Cursor) {
        self.extend(CURSOR, cursor.to_string());
    }
}

/// Of an order: texts that ascend as events do (EVENT-4).
fn sequence([position, commit, change]: [u64; 3]) -> String {
    const ZEROS: &str = "00000000000000000000";
    let mut text = String::with_capacity(42);
    for (number, width) in [(position, 20), (commit, 10), (change, 10)] {
        if !text.is_empty() {
            text.push('-');
        }
        let digits = number.to_string();
        let missing = usize::saturating_sub(width, digits.len());
        text += ZEROS.get(..missing).unwrap_or_default();
        text += &digits;
    }
    text
}

/// What is written here is never refused: texts are not empty, and values are JSON.
pub(crate) const fn unlikely() -> RepoError {
    RepoError::Damaged("an event cannot be written")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        /// EVENT-4, as the formatter of the library has it.
        #[test]
        fn sequences_are_filled_up_with_zeros(
            position in 0..=u64::MAX,
            commit in prop_oneof![0..1000_u64, 0..=u64::MAX],
            change in prop_oneof![0..1000_u64, 0..=u64::MAX],
        ) {
            prop_assert_eq!(
                super::sequence([position, commit, change]),
                format!("{position:020}-{commit:010}-{change:010}")
            );
        }
    }
}
