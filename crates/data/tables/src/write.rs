//! INSERT, UPDATE and DELETE into the working set (TAB-7).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allod_repo::{BranchName, Content, Edit, Repo, View};
use allod_sql::{OnConflict, ScalarRef, TableError};
use allod_views::{FieldDefinition, FieldKind, Type, object_of};
use bytes::Bytes;
use multibase::Base;
use serde_json::value::RawValue;

use crate::columns::{FIELDS, ID, KEY};
use crate::fault::fault;
use crate::keys::key_text;
use crate::visibility::Visibility;

/// Tells the time, in milliseconds since 1970.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Where a statement writes, and what it has written so far.
pub(crate) struct Writes {
    repo: Repo,
    branch: BranchName,
    clock: Clock,
    /// Records that a statement writes, or none where one goes.
    pending: Mutex<BTreeMap<Vec<u8>, Option<Bytes>>>,
}

/// The table that is written to.
pub(crate) struct Target<'a> {
    pub(crate) kind: &'a Type,
    pub(crate) prefix: &'a [u8],
    pub(crate) view: &'a View,
    pub(crate) visibility: &'a dyn Visibility,
}

/// The fields of a record in their order, with their JSON.
type Object = Vec<(String, Box<RawValue>)>;

fn constraint(text: impl Into<String>) -> TableError {
    TableError::Constraint(text.into())
}

impl Writes {
    pub(crate) const fn new(repo: Repo, branch: BranchName, clock: Clock) -> Self {
        Self {
            repo,
            branch,
            clock,
            pending: Mutex::new(BTreeMap::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Option<Bytes>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to write over a state, which has to be the working set as it is: what was staged or
    /// committed meanwhile must not be written over.
    pub(crate) fn begin(&self, view: &View) -> Result<(), TableError> {
        self.rollback();
        let now = self.repo.working(&self.branch).map_err(fault)?;
        if !now.is_same(view) {
            return Err(TableError::Moved);
        }
        Ok(())
    }

    /// Forgets what was written.
    pub(crate) fn rollback(&self) {
        self.lock().clear();
    }

    /// Stages what was written, all of it or nothing.
    pub(crate) fn commit(&self) -> Result<(), TableError> {
        let pending = std::mem::take(&mut *self.lock());
        if pending.is_empty() {
            return Ok(());
        }
        let edits = pending
            .into_iter()
            .map(|(key, record)| (Bytes::from(key), record.map_or(Edit::Delete, Edit::Put)));
        let staged = self.repo.stage(&self.branch, edits, (self.clock)());
        staged.map_err(fault)
    }

    /// A record as the statement left it.
    fn current(&self, target: &Target<'_>, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        if let Some(written) = self.lock().get(key) {
            return Ok(written.clone());
        }
        match target.view.get(key).map_err(fault)? {
            Some(Content::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Content::File(_)) => Err(constraint(format!("{} is a file", key_text(key)))),
            None => Ok(None),
        }
    }

    pub(crate) fn insert(
        &self,
        target: &Target<'_>,
        row: &[ScalarRef<'_>],
        conflict: OnConflict,
    ) -> Result<(), TableError> {
        let value = |column: usize| row.get(column).copied().unwrap_or(ScalarRef::Null);
        let key = target.key(value(KEY), value(ID))?;
        if self.current(target, &key)?.is_some() {
            match conflict {
                OnConflict::Replace => {}
                _ => return Err(constraint(format!("{} is there already", key_text(&key)))),
            }
        }
        let mut object = Object::new();
        for (place, field) in target.kind.definition().fields.iter().enumerate() {
            let value = value(place + FIELDS);
            if !value.is_null() {
                set(&mut object, field, value)?;
            }
        }
        self.put(target, key, &object)
    }

    pub(crate) fn update(
        &self,
        target: &Target<'_>,
        id: ScalarRef<'_>,
        row: &[Option<ScalarRef<'_>>],
        conflict: OnConflict,
    ) -> Result<(), TableError> {
        let old = target.key(id, ScalarRef::Null)?;
        let Some(bytes) = self.current(target, &old)? else {
            return Ok(());
        };
        let mut object = fields_in(&bytes)?;
        let change = |column: usize| row.get(column).copied().flatten();
        for (place, field) in target.kind.definition().fields.iter().enumerate() {
            if let Some(value) = change(place + FIELDS) {
                set(&mut object, field, value)?;
            }
        }
        // A key that is given anew may be the one that it has.
        let moved = change(KEY)
            .map(|key| target.key(key, ScalarRef::Null))
            .transpose()?;
        let new = match (moved.filter(|moved| *moved != old), change(ID)) {
            (Some(moved), _) => moved,
            (None, Some(id)) => target.key(ScalarRef::Null, id)?,
            (None, None) => old.clone(),
        };
        if new != old {
            if self.current(target, &new)?.is_some() && conflict != OnConflict::Replace {
                return Err(constraint(format!("{} is there already", key_text(&new))));
            }
            self.lock().insert(old, None);
        }
        self.put(target, new, &object)
    }

    pub(crate) fn delete(&self, target: &Target<'_>, id: ScalarRef<'_>) -> Result<(), TableError> {
        let key = target.key(id, ScalarRef::Null)?;
        self.lock().insert(key, None);
        Ok(())
    }

    fn put(&self, target: &Target<'_>, key: Vec<u8>, object: &Object) -> Result<(), TableError> {
        let bytes = json_of(object);
        let checked = target.kind.check_record(&key, &bytes);
        checked.map_err(|bad| constraint(bad.to_string()))?;
        self.lock().insert(key, Some(bytes));
        Ok(())
    }
}

impl Target<'_> {
    /// The key that a statement means, by the key or the ID.
    fn key(&self, key: ScalarRef<'_>, id: ScalarRef<'_>) -> Result<Vec<u8>, TableError> {
        let whole = match (key, id) {
            (ScalarRef::Text(key), _) => key.as_bytes().to_vec(),
            (ScalarRef::Null, ScalarRef::Text(id)) => [self.prefix, id.as_bytes()].concat(),
            (ScalarRef::Null, ScalarRef::Integer(id)) => {
                [self.prefix, id.to_string().as_bytes()].concat()
            }
            _ => {
                return Err(constraint(
                    "a record needs a _key or an _id, which is a text",
                ));
            }
        };
        let prefix = key_text(self.prefix);
        if !whole.starts_with(self.prefix) || whole.len() == self.prefix.len() {
            return Err(constraint(format!(
                "{} does not begin with {prefix}",
                key_text(&whole)
            )));
        }
        if !self.visibility.sees(&whole) {
            return Err(constraint(format!(
                "{} is not yours to write",
                key_text(&whole)
            )));
        }
        Ok(whole)
    }
}

fn fields_in(bytes: &[u8]) -> Result<Object, TableError> {
    let fields = allod_views::fields_of(bytes);
    fields.map_err(|malformed| constraint(malformed.to_string()))
}

fn json_of(object: &Object) -> Bytes {
    let fields = object
        .iter()
        .map(|(name, raw)| (name.clone(), raw.get().to_owned()));
    object_of(&fields.collect::<Vec<_>>())
}

/// Sets a field; null takes it away. What it was called before goes.
fn set(
    object: &mut Object,
    field: &FieldDefinition,
    value: ScalarRef<'_>,
) -> Result<(), TableError> {
    object.retain(|(name, _)| !field.was.contains(name));
    let place = object.iter().position(|(name, _)| *name == field.name);
    if value.is_null() && field.default.is_none() {
        if let Some(place) = place {
            object.remove(place);
        }
        return Ok(());
    }
    let json = json(field, value)?;
    let raw = RawValue::from_string(json)
        .map_err(|_error| constraint(format!("{}: no JSON", field.name)))?;
    match place {
        Some(place) => object[place].1 = raw,
        None => object.push((field.name.clone(), raw)),
    }
    Ok(())
}

/// The JSON of a value of SQL in a field.
fn json(field: &FieldDefinition, value: ScalarRef<'_>) -> Result<String, TableError> {
    let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let name = &field.name;
    let expected = || {
        let list = if field.list { "a list of " } else { "" };
        constraint(format!("{name}: expected {list}{}", field.kind))
    };
    if field.list {
        return match value {
            ScalarRef::Text(json) => Ok(json.to_owned()),
            ScalarRef::Null => Ok("null".to_owned()),
            _ => Err(expected()),
        };
    }
    Ok(match (&field.kind, value) {
        (_, ScalarRef::Null) => "null".to_owned(),
        (FieldKind::Boolean, ScalarRef::Integer(whole @ (0 | 1))) => (whole == 1).to_string(),
        (FieldKind::Number | FieldKind::Integer | FieldKind::Float, ScalarRef::Integer(whole)) => {
            whole.to_string()
        }
        (FieldKind::Number | FieldKind::Float, ScalarRef::Real(real)) if real.is_finite() => {
            format!("{real:?}")
        }
        (FieldKind::Integer, ScalarRef::Real(real)) if real.fract() == 0.0 => format!("{real:.0}"),
        (FieldKind::Bytes, ScalarRef::Blob(bytes)) => text(&Base::Base64Pad.encode(bytes)),
        (FieldKind::String | FieldKind::Ref(_) | FieldKind::Timestamp, ScalarRef::Text(value)) => {
            text(value)
        }
        (FieldKind::String | FieldKind::Ref(_), ScalarRef::Integer(whole)) => {
            text(&whole.to_string())
        }
        _ => return Err(expected()),
    })
}
