//! What differs in a type between two states, as a table (TAB-11).

use std::sync::Arc;

use allod_repo::{Differences, Span};
use allod_sql::{Ask, Column, ColumnType, Open, Plan, Rows, Scalar, ScalarRef, Table, TableError};
use allod_views::{Name, RecordReader, Snapshot, Type};
use bytes::Bytes;

use crate::columns::{FIELDS, Names, columns_of};
use crate::fault::fault;
use crate::keys::key_text;
use crate::leaf::{field, readable};
use crate::visibility::Visibility;

/// A table of the records that differ: how, their fields in the second state, and in the first.
pub(crate) fn diff(
    (name, kind): &(Name, Arc<Type>),
    (from, to): (&Snapshot, &Snapshot),
    visibility: &Arc<dyn Visibility>,
) -> Arc<dyn Table> {
    let mut columns = columns_of(kind);
    let mut names = Names::default();
    for column in &columns {
        names.free(&column.name);
    }
    columns.insert(FIELDS, Column::new(names.free("_change"), ColumnType::Text));
    let before: Vec<Column> = columns[FIELDS + 1..]
        .iter()
        .map(|column| Column::new(names.free(&format!("old_{}", column.name)), column.kind))
        .collect();
    columns.extend(before);
    Arc::new(Diff {
        prefix: format!("{name}:").into_bytes(),
        kind: Arc::clone(kind),
        from: from.clone(),
        to: to.clone(),
        visibility: Arc::clone(visibility),
        columns,
    })
}

struct Diff {
    prefix: Vec<u8>,
    kind: Arc<Type>,
    from: Snapshot,
    to: Snapshot,
    visibility: Arc<dyn Visibility>,
    columns: Vec<Column>,
}

/// Rows that differ are guessed to be few.
const ROWS_GUESSED: u64 = 1000;

impl Table for Diff {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn plan(&self, _ask: &Ask<'_>) -> Plan {
        Plan::scan(ROWS_GUESSED)
    }

    fn open(&self, _open: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        let span = Span::prefix(&self.prefix);
        Ok(Box::new(DiffRows {
            differences: self.from.view().diff(self.to.view(), &span),
            prefix: self.prefix.clone(),
            reader: RecordReader::new(Some(Arc::clone(&self.kind))),
            width: FIELDS + self.kind.definition().fields.len(),
            from: self.from.clone(),
            to: self.to.clone(),
            visibility: Arc::clone(&self.visibility),
            current: Vec::new(),
        }))
    }
}

struct DiffRows {
    differences: Differences,
    prefix: Vec<u8>,
    reader: RecordReader,
    /// How many columns the type has.
    width: usize,
    from: Snapshot,
    to: Snapshot,
    visibility: Arc<dyn Visibility>,
    current: Vec<Scalar>,
}

impl DiffRows {
    /// The fields of a record; none if there is none. Both sides are read as the second state reads
    /// them, so that they compare.
    fn fields(&mut self, bytes: Option<Bytes>) -> Option<Vec<Scalar>> {
        let bytes = bytes?;
        let record = readable(&mut self.reader, &bytes)?;
        Some(
            (FIELDS..self.width)
                .map(|column| field(&record, column))
                .collect(),
        )
    }
}

impl Rows for DiffRows {
    fn next(&mut self) -> Result<bool, TableError> {
        while let Some(difference) = self.differences.next() {
            let difference = difference.map_err(fault)?;
            if !self.visibility.sees(&difference.key) {
                continue;
            }
            let before = self.from.bytes_of(&difference.before).map_err(fault)?;
            let before = self.fields(before);
            let after = self.to.bytes_of(&difference.after).map_err(fault)?;
            let after = self.fields(after);
            let change = match (&before, &after) {
                (None, Some(_)) => "added",
                (Some(_), None) => "removed",
                (Some(before), Some(after)) if before != after => "modified",
                // What differs is not in the fields.
                _ => continue,
            };
            let id = difference.key.get(self.prefix.len()..).unwrap_or_default();
            let nulls = vec![Scalar::Null; self.width - FIELDS];
            let mut row = vec![
                Scalar::Text(key_text(&difference.key).into_owned()),
                Scalar::Text(key_text(id).into_owned()),
                Scalar::Text(change.to_owned()),
            ];
            row.extend(after.unwrap_or_else(|| nulls.clone()));
            row.extend(before.unwrap_or(nulls));
            self.current = row;
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
