//! The columns of a type (TAB-2, TAB-3).

use std::collections::BTreeSet;

use allod_sql::{Column, ColumnType};
use allod_views::{FieldKind, Type};

/// The key of a record.
pub(crate) const KEY: usize = 0;
/// What is behind the colon of its key.
pub(crate) const ID: usize = 1;
/// The first field.
pub(crate) const FIELDS: usize = 2;

/// How many columns a type has.
pub(crate) fn width_of(kind: &Type) -> usize {
    FIELDS + kind.definition().fields.len()
}

/// The columns of a type: key, ID, and its fields.
pub(crate) fn columns_of(kind: &Type) -> Vec<Column> {
    let mut names = Names::default();
    let mut columns = vec![
        Column::new(names.free("_key"), ColumnType::Text),
        Column::new(names.free("_id"), ColumnType::Text),
    ];
    for field in &kind.definition().fields {
        let kind = if field.list {
            ColumnType::Json
        } else {
            column_type(&field.kind)
        };
        columns.push(Column::new(names.free(&field.name), kind));
    }
    columns
}

/// What the values of a field are in SQL.
pub(crate) const fn column_type(kind: &FieldKind) -> ColumnType {
    match kind {
        FieldKind::String | FieldKind::Ref(_) | FieldKind::Timestamp => ColumnType::Text,
        FieldKind::Number | FieldKind::Integer => ColumnType::Numeric,
        FieldKind::Float => ColumnType::Real,
        FieldKind::Boolean => ColumnType::Boolean,
        FieldKind::Bytes => ColumnType::Blob,
    }
}

/// Names that differ without regard to ASCII case.
#[derive(Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// The name, or it with a number behind if another column has it.
    pub(crate) fn free(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut number = 2;
        while !self.0.insert(free.to_ascii_lowercase()) {
            free = format!("{name}_{number}");
            number += 1;
        }
        free
    }
}
