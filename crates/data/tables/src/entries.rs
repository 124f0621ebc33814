//! All that has a key, as a table (TAB-2).

use std::sync::Arc;

use allod_blocks::file_size;
use allod_repo::{Content, Entry, RepoError, Span, State};
use allod_sql::{
    Ask, Column, ColumnType, Identity, Op, Open, Plan, Rows, Scalar, ScalarRef, Table, TableError,
};
use allod_views::Snapshot;
use bytes::Bytes;

use crate::convert::moment;
use crate::fault::fault;
use crate::keys::{key_bytes, key_text};
use crate::visibility::Visibility;

const KEY: usize = 0;

/// What a state has under all keys.
pub(crate) struct Entries {
    snapshot: Snapshot,
    visibility: Arc<dyn Visibility>,
    columns: Vec<Column>,
    rows: u64,
}

impl Entries {
    pub(crate) fn new(
        snapshot: &Snapshot,
        visibility: &Arc<dyn Visibility>,
    ) -> Result<Self, TableError> {
        let columns = vec![
            Column::new("_key", ColumnType::Text),
            Column::new("value", ColumnType::Any),
            Column::new("size", ColumnType::Integer),
            Column::new("file", ColumnType::Text),
            Column::new("written", ColumnType::Text),
        ];
        Ok(Self {
            rows: snapshot.view().count(&Span::all()).map_err(fault)?,
            snapshot: snapshot.clone(),
            visibility: Arc::clone(visibility),
            columns,
        })
    }
}

impl Table for Entries {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn identity(&self) -> Identity {
        Identity::Key(KEY)
    }

    fn plan(&self, ask: &Ask<'_>) -> Plan {
        let by_key = ask.constraints.iter().position(|constraint| {
            constraint.column == Some(KEY) && matches!(constraint.op, Op::Eq | Op::Is)
        });
        match by_key {
            Some(place) => Plan {
                number: 1,
                name: "key".to_owned(),
                takes: vec![place],
                ordered: true,
                unique: true,
                cost: 1.0,
                rows: 1,
            },
            None => Plan::scan(self.rows),
        }
    }

    fn open(&self, open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        let view = self.snapshot.view();
        let items: Items = match open.args.first().map(|arg| arg.value) {
            Some(ScalarRef::Text(key)) if open.plan.number == 1 => {
                let key = Bytes::from(key_bytes(key));
                let entry = view.entry(&key).map_err(fault)?.filter(Entry::is_live);
                Box::new(entry.map(|entry| Ok((key, entry))).into_iter())
            }
            Some(_) if open.plan.number == 1 => Box::new(std::iter::empty()),
            _ => view.range(&Span::all(), false),
        };
        Ok(Box::new(EntryRows {
            snapshot: self.snapshot.clone(),
            visibility: Arc::clone(&self.visibility),
            items,
            current: Vec::new(),
        }))
    }
}

type Items = Box<dyn Iterator<Item = Result<(Bytes, Entry), RepoError>> + Send>;

struct EntryRows {
    snapshot: Snapshot,
    visibility: Arc<dyn Visibility>,
    items: Items,
    current: Vec<Scalar>,
}

impl Rows for EntryRows {
    fn next(&mut self) -> Result<bool, TableError> {
        for item in self.items.by_ref() {
            let (key, entry) = item.map_err(fault)?;
            if !self.visibility.sees(&key) {
                continue;
            }
            let written = i64::try_from(entry.stamp.millis()).unwrap_or(i64::MAX);
            let written = Scalar::Text(moment(written.saturating_mul(1000)));
            let (value, size, file) = match (
                &entry.state,
                self.snapshot.view().content(&entry).map_err(fault)?,
            ) {
                (_, Some(Content::Bytes(bytes))) => {
                    let size = bytes.len() as u64;
                    let value = match std::str::from_utf8(&bytes) {
                        Ok(text) => Scalar::Text(text.to_owned()),
                        Err(_) => Scalar::Blob(bytes.to_vec()),
                    };
                    (value, size, Scalar::Null)
                }
                (State::Link(cid), _) => {
                    let store = self.snapshot.repo().store().as_ref();
                    let size = file_size(store, cid).unwrap_or_default();
                    (Scalar::Null, size, Scalar::Text(cid.to_string()))
                }
                _ => continue,
            };
            let size = Scalar::Integer(i64::try_from(size).unwrap_or(i64::MAX));
            let key = Scalar::Text(key_text(&key).into_owned());
            self.current = vec![key, value, size, file, written];
            return Ok(true);
        }
        Ok(false)
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        Ok(self
            .current
            .get(index)
            .map_or(ScalarRef::Null, Scalar::borrow))
    }
}
