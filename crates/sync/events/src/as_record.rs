//! What an event says, as a record of Avro or Protobuf (EVENT-20 to EVENT-22).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use allod_feed::{Event, Told};
use allod_identity::Verified;
use allod_payloads::{Field, Format, Kind, RecordShape, Schema, Value};
use allod_repo::{Commit, CommitId, Repo, RepoError, Stamp, State};
use allod_views::{Name, Record, Type};
use bytes::Bytes;

use crate::as_json::{self, stamp_parts, texts};
use crate::render::{is_shown, unlikely};
use crate::spelled::{Spelled, commit_of};
use crate::typed::{Typed, Under, record_of, record_shape};
use crate::value::{Held, held, kind_of};

/// The package of all records.
const PACKAGE: &str = "org.allod.v1";

/// Schemas that are kept, at most: a type that changes has another one each time.
const SCHEMAS_KEPT: usize = 256;

/// Makes records of events, and their schemas.
#[derive(Debug, Default)]
pub(crate) struct Records {
    schemas: Mutex<BTreeMap<Key, Arc<Schema>>>,
    typed: Typed,
}

/// What a schema is made of: the definition of a type, as bytes, tells it from what it was before.
type Key = (Format, &'static str, Option<(Name, Vec<u8>)>);

impl Records {
    /// The datum of an event, and its schema.
    pub(crate) fn data(
        &self,
        (repo, event): (&Repo, &Event),
        spelled: &Spelled,
        format: Format,
    ) -> Result<(Bytes, Arc<Schema>), RepoError> {
        let (record, schema) = match &event.told {
            Told::Commit {
                id,
                commit,
                is_bare,
            } => (
                commit_record((event, spelled), repo, (*id, commit), *is_bare)?,
                self.schema(format, "Commit", None, commit_shape)?,
            ),
            Told::Change {
                key, state, stamp, ..
            } => {
                let under = commit_of(event).map_or(Under::Now, |(_, commit)| {
                    commit
                        .payload()
                        .policy
                        .map_or(Under::Nothing, Under::Policy)
                });
                let kind = self.typed.of(repo, under, key)?;
                let kind = kind.as_ref().map(|(name, kind)| (name, &**kind));
                (
                    change_record((event, spelled), repo, (key, *stamp, state), kind)?,
                    self.schema(format, "Change", kind, || change_shape(kind))?,
                )
            }
            Told::Move { from, to, .. } => (
                Value::Record(vec![
                    Value::Text(spelled.space.clone()),
                    Value::Text(event.branch.to_string()),
                    list(texts(from)),
                    list(texts(to)),
                ]),
                self.schema(format, "Move", None, move_shape)?,
            ),
            _ => return Err(unlikely()),
        };
        let datum = schema.encode(&record).map_err(|_error| unlikely())?;
        Ok((datum, schema))
    }

    fn schema(
        &self,
        format: Format,
        name: &'static str,
        kind: Option<(&Name, &Type)>,
        shape: impl FnOnce() -> RecordShape,
    ) -> Result<Arc<Schema>, RepoError> {
        let kind = kind.map(|(name, kind)| (name.clone(), kind.encode()));
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (format, name, kind);
        if let Some(schema) = schemas.get(&key) {
            return Ok(Arc::clone(schema));
        }
        let schema = Schema::new(format, &shape()).map_err(|_error| unlikely())?;
        let schema = Arc::new(schema);
        if schemas.len() >= SCHEMAS_KEPT {
            schemas.clear();
        }
        schemas.insert(key, Arc::clone(&schema));
        Ok(schema)
    }
}

fn place_fields() -> Vec<Field> {
    vec![
        Field::new("space", Kind::Text),
        Field::new("branch", Kind::Text),
    ]
}

/// What a key holds, of whatever has told of it.
fn held_fields() -> Vec<Field> {
    vec![
        Field::new("stamp_ms", Kind::Integer).optional(),
        Field::new("stamp_count", Kind::Integer).optional(),
        Field::new("kind", Kind::Text).optional(),
        Field::new("value", Kind::Bytes).optional(),
        Field::new("link", Kind::Text).optional(),
        Field::new("link_bytes", Kind::Integer).optional(),
    ]
}

fn change_shape(kind: Option<(&Name, &Type)>) -> RecordShape {
    let mut fields = place_fields();
    fields.push(Field::new("key", Kind::Bytes));
    for name in ["commit", "author", "device"] {
        fields.push(Field::new(name, Kind::Text).optional());
    }
    fields.extend(held_fields());
    fields.push(Field::new("snapshot", Kind::Boolean));
    let Some((name, kind)) = kind else {
        return RecordShape::new(format!("{PACKAGE}.Change"), fields);
    };
    let own = format!("{PACKAGE}.change.{name}");
    let record = record_shape(format!("{own}.Record"), kind);
    fields.push(Field::new("record", Kind::Record(record)).optional());
    RecordShape::new(own, fields)
}

fn commit_shape() -> RecordShape {
    let own = format!("{PACKAGE}.Commit");
    let mut change = vec![Field::new("key", Kind::Bytes)];
    change.extend(held_fields());
    let change = RecordShape::new(format!("{own}.Change"), change);
    let mut fields = place_fields();
    for name in ["commit", "author", "device"] {
        fields.push(Field::new(name, Kind::Text));
    }
    fields.extend([
        Field::new("parents", Kind::Text).list(),
        Field::new("generation", Kind::Integer),
        Field::new("message", Kind::Text),
        Field::new("stamp_ms", Kind::Integer),
        Field::new("stamp_count", Kind::Integer),
        Field::new("changes", Kind::Record(change)).list(),
        Field::new("more", Kind::Boolean),
        Field::new("bare", Kind::Boolean),
    ]);
    RecordShape::new(own, fields)
}

fn move_shape() -> RecordShape {
    let mut fields = place_fields();
    for name in ["from", "to"] {
        fields.push(Field::new(name, Kind::Text).list());
    }
    RecordShape::new(format!("{PACKAGE}.Move"), fields)
}

fn list(texts: Vec<String>) -> Value {
    Value::List(texts.into_iter().map(Value::Text).collect())
}

fn text_or_none(text: Option<impl Into<String>>) -> Value {
    text.map_or(Value::None, |text| Value::Text(text.into()))
}

/// Counts of Allod are far below 2^63.
fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn integer_or_none(number: Option<u64>) -> Value {
    number.map_or(Value::None, integer)
}

/// The values of [`held_fields`], and what the key holds.
fn held_values(
    repo: &Repo,
    stamp: Option<Stamp>,
    state: &State,
) -> Result<(Vec<Value>, Held), RepoError> {
    let held = held(repo, state)?;
    let (value, link, bytes) = match &held {
        Held::Nothing => (Value::None, None, None),
        Held::Bytes(bytes) => (Value::Bytes(bytes.clone()), None, None),
        Held::Link(cid, bytes) => (Value::None, Some(cid.to_string()), *bytes),
    };
    let stamp = stamp.map(stamp_parts);
    let values = vec![
        integer_or_none(stamp.map(|(ms, _)| ms)),
        integer_or_none(stamp.map(|(_, count)| count)),
        text_or_none(kind_of(state)),
        value,
        text_or_none(link),
        integer_or_none(bytes),
    ];
    Ok((values, held))
}

fn change_record(
    (event, spelled): (&Event, &Spelled),
    repo: &Repo,
    (key, stamp, state): (&Bytes, Option<Stamp>, &State),
    kind: Option<(&Name, &Type)>,
) -> Result<Value, RepoError> {
    let by = spelled.by.as_ref();
    let (held_values, held) = held_values(repo, stamp, state)?;
    let mut values = vec![
        Value::Text(spelled.space.clone()),
        Value::Text(event.branch.to_string()),
        Value::Bytes(key.clone()),
        text_or_none(by.map(|by| &by.id)),
        text_or_none(by.map(|by| &by.author)),
        text_or_none(by.map(|by| &by.device)),
    ];
    values.extend(held_values);
    values.push(Value::Boolean(is_shown(event)));
    if let Some((_, kind)) = kind {
        let record = match &held {
            Held::Bytes(bytes) => Record::parse(bytes, Some(kind)).ok(),
            _ => None,
        };
        let record = record.and_then(|record| record_of(&record, kind));
        values.push(record.unwrap_or(Value::None));
    }
    Ok(Value::Record(values))
}

fn commit_record(
    (event, spelled): (&Event, &Spelled),
    repo: &Repo,
    (id, commit): (CommitId, &Verified<Commit>),
    is_bare: bool,
) -> Result<Value, RepoError> {
    let (said, by) = (commit.payload(), spelled.by.as_ref().ok_or_else(unlikely)?);
    let told = as_json::changes_of(repo, id, is_bare)?;
    let mut changes = Vec::with_capacity(told.first.len());
    for change in told.first {
        let (held, _) = held_values(repo, change.stamp, &change.state)?;
        let mut values = vec![Value::Bytes(change.key)];
        values.extend(held);
        changes.push(Value::Record(values));
    }
    let (ms, count) = stamp_parts(said.stamp);
    Ok(Value::Record(vec![
        Value::Text(spelled.space.clone()),
        Value::Text(event.branch.to_string()),
        Value::Text(by.id.clone()),
        Value::Text(by.author.clone()),
        Value::Text(by.device.clone()),
        list(texts(&said.parents)),
        integer(said.generation),
        Value::Text(said.message.clone()),
        integer(ms),
        integer(count),
        Value::List(changes),
        Value::Boolean(told.more),
        Value::Boolean(told.is_bare),
    ]))
}
