//! Whether a commit may be made, or accepted, by the types of the space (TYPE-7, TYPE-8).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use allod_repo::{Act, Content, Proposal, Span, View};
use bytes::Bytes;

use crate::definition::{Projection, ProjectionDefinition, Shape, ShapeDefinition};
use crate::definitions::Definitions;
use crate::entries::{RECORD, elements, field_key};
use crate::error::ViewError;
use crate::query::split;
use crate::record::{RECORD_BYTES_MAX, RecordReader};
use crate::types::{Field, Name, Received, Type};
use crate::validate::{BadRecord, Fault};
use crate::value::Value;
use crate::views::{GoOn, Snapshot, Views};

/// Broken records of a commit that are told of; the rest is counted.
const TOLD_MAX: usize = 20;

/// Why a commit must not be made or accepted (`E_RECORD`). Blame: its author.
#[derive(Debug, Default)]
pub struct Broken {
    /// Records that are not what their types say; the first twenty.
    pub records: Vec<BadRecord>,
    /// How many there are.
    pub count: usize,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, record) in self.records.iter().enumerate() {
            write!(f, "{}{record}", if index == 0 { "" } else { "; " })?;
        }
        match self.count.saturating_sub(self.records.len()) {
            0 => Ok(()),
            more => write!(f, "; and {more} records more"),
        }
    }
}

impl Broken {
    fn add(&mut self, record: BadRecord) {
        self.count += 1;
        if self.records.len() < TOLD_MAX {
            self.records.push(record);
        }
    }
}

impl Views {
    /// Judges what is about to be done to a branch: the records that it changes have to be what their
    /// types say. Moves to commits that are there are not judged again, nor is `meta`.
    pub fn judge(&self, proposal: &Proposal<'_>) -> Result<Broken, ViewError> {
        let mut broken = Broken::default();
        if proposal.branch.is_meta() || proposal.author.is_none() {
            return Ok(broken);
        }
        let is_received = proposal.act == Act::Receive;
        let types = match (is_received, proposal.policy) {
            (true, Some(policy)) => self.definitions_at(policy)?,
            (true, None) => return Ok(broken),
            (false, _) => self.definitions()?,
        };
        if types.types().next().is_none() {
            return Ok(broken);
        }
        let mut changed: BTreeMap<Name, Vec<Changed>> = BTreeMap::new();
        // What somebody else made is judged from the state that it was made on, by everybody alike.
        let before = if is_received {
            proposal.made_on()?
        } else {
            proposal.before()?
        };
        let after = proposal.after()?;
        for change in before.diff(&after, &Span::all()) {
            let change = change?;
            let Some((name, kind)) = types.kind_of(&change.key) else {
                continue;
            };
            if is_received && kind.definition().received != Received::Refuse {
                continue;
            }
            let content = proposal.content(&change.after)?;
            let bytes = match content {
                None => continue,
                Some(Content::Bytes(bytes)) => bytes,
                Some(Content::File(_)) => {
                    broken.add(too_large(&change.key));
                    continue;
                }
            };
            match kind.check_record(&change.key, &bytes) {
                Err(bad) => broken.add(bad),
                Ok(()) if !is_received => {
                    let change = Changed {
                        key: change.key,
                        bytes,
                    };
                    changed.entry(name.clone()).or_default().push(change);
                }
                Ok(()) => {}
            }
        }
        for (name, records) in changed {
            if let Some(kind) = types.kind(&name) {
                let states = (&before, &after);
                self.judge_unique((&name, kind), &records, &types, states, &mut broken)?;
            }
        }
        Ok(broken)
    }

    /// Adds records whose value of a unique field another record of the state has too.
    fn judge_unique(
        &self,
        (name, kind): (&Name, &Arc<Type>),
        records: &[Changed],
        types: &Arc<Definitions>,
        (before, after): (&View, &View),
        broken: &mut Broken,
    ) -> Result<(), ViewError> {
        for index in unique_indexes(name, kind) {
            let (field, index) = index?;
            let go_on = &mut |_| ControlFlow::Continue(());
            // That of the state before is kept, so that a commit costs what it changes.
            let stood = self.snapshot_under(before.clone(), types)?;
            let tree = stood.only_tree_of(&index, go_on)?;
            let resolved = types.resolve(&index);
            let tree = resolved.derive(&tree, (before, after), go_on, &mut |_| {})?;
            let mut told = BTreeSet::new();
            let mut reader = RecordReader::new(Some(Arc::clone(kind)));
            for Changed { key, bytes } in records {
                let Ok(record) = reader.read(bytes) else {
                    continue;
                };
                let Shape::Index { by, .. } = &index.shape else {
                    continue;
                };
                for value in by.iter().flat_map(|by| elements(by, &record)) {
                    if value == Value::Null {
                        continue;
                    }
                    let mut prefix = field_key(std::slice::from_ref(&value));
                    prefix.push(RECORD);
                    for entry in tree.prefix(&prefix).take(2) {
                        let other = split(&entry?.0, 1)?.1;
                        if other != *key && told.insert(prefix.clone()) {
                            broken.add(not_unique(key, &field.name, &other));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Snapshot {
    /// The values of unique fields that several records of this state have, of one type or all: the
    /// field and the keys. Two replicas that did not know of each other may both have been right
    /// (TYPE-8).
    pub fn shared_values(
        &self,
        only: Option<&Name>,
        go_on: GoOn<'_>,
    ) -> Result<Vec<(String, Vec<String>)>, ViewError> {
        let mut found = Vec::new();
        for (name, kind) in self.types().types() {
            if only.is_some_and(|only| only != name) {
                continue;
            }
            for index in unique_indexes(name, kind) {
                let (field, index) = index?;
                let tree = self.tree_of(&index, go_on)?;
                let mut last: (Vec<Value>, Vec<String>) = (vec![Value::Null], Vec::new());
                for entry in &tree {
                    let (values, record) = split(&entry?.0, 1)?;
                    if values != last.0 {
                        keep_shared(&field.name, &mut last, &mut found);
                        last.0 = values;
                    }
                    last.1.push(String::from_utf8_lossy(&record).into_owned());
                }
                keep_shared(&field.name, &mut last, &mut found);
            }
        }
        Ok(found)
    }
}

fn keep_shared(
    field: &str,
    (values, keys): &mut (Vec<Value>, Vec<String>),
    found: &mut Vec<(String, Vec<String>)>,
) {
    let keys = std::mem::take(keys);
    if keys.len() > 1 && *values != [Value::Null] {
        found.push((field.to_owned(), keys));
    }
}

/// The unique fields of a type, with the index by which their values are checked.
pub(crate) fn unique_indexes<'a>(
    name: &'a Name,
    kind: &'a Type,
) -> impl Iterator<Item = Result<(&'a Field, Projection), ViewError>> {
    let unique = kind.fields().iter().filter(|field| field.unique);
    unique.map(move |field| Ok((field, unique_index(name, field)?)))
}

/// The records of a type in the order of a field.
fn unique_index(name: &Name, field: &Field) -> Result<Projection, ViewError> {
    let definition = ProjectionDefinition {
        shape: ShapeDefinition::Index {
            by: vec![format!("\"{}\"", field.name)],
            values: Vec::new(),
        },
        source: format!("{name}:*"),
        filter: None,
    };
    Projection::new(definition).map_err(|error| ViewError::Query(error.to_string()))
}

struct Changed {
    key: Bytes,
    bytes: Bytes,
}

fn bad(key: &[u8], field: Option<&str>, what: String) -> BadRecord {
    BadRecord {
        key: String::from_utf8_lossy(key).into_owned(),
        faults: vec![Fault {
            field: field.map(str::to_owned),
            what,
        }],
    }
}

fn too_large(key: &[u8]) -> BadRecord {
    bad(
        key,
        None,
        format!("a record has at most {RECORD_BYTES_MAX} bytes"),
    )
}

fn not_unique(key: &[u8], field: &str, other: &[u8]) -> BadRecord {
    let other = String::from_utf8_lossy(other);
    bad(
        key,
        Some(field),
        format!("unique, and {other} has the same value"),
    )
}
