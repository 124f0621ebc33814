//! What differs between a projection of one state and of another: what a watcher is told.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::definition::{Shape, ShapeDefinition};
use crate::entries::GROUP;
use crate::error::ViewError;
use crate::query::{Page, Row, take_values};
use crate::value::Value;
use crate::views::Projected;

/// A row that is not the same in two states.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RowChange {
    /// It is only in the second.
    Added(Row),
    /// It is only in the first.
    Removed(Row),
    /// It is in both, with other values.
    Modified {
        /// What it was.
        before: Row,
        /// What it is.
        after: Row,
    },
}

/// What makes two rows the same one: the keys of its records, and of a group or word its first values.
type Identity = (Option<Bytes>, Option<Bytes>, Vec<Value>);

impl Projected {
    /// The rows that differ between this state (before) and `after`, by the keys of their records. Reads
    /// what differs only, and holds it.
    ///
    /// # Errors
    /// [`ViewError::Query`] if more than `limit` rows differ, or the projections are not the same one.
    pub fn changes(&self, after: &Self, limit: usize) -> Result<Vec<RowChange>, ViewError> {
        if self.projection.definition() != after.projection.definition() {
            return Err(ViewError::Query(
                "two projections are not compared".to_owned(),
            ));
        }
        let too_many = || ViewError::Query(format!("more than {limit} rows differ"));
        let mut units = BTreeSet::new();
        for change in self.tree.diff(&after.tree) {
            units.insert(self.unit(&change?.key)?);
            if units.len() > limit.saturating_mul(2) {
                return Err(too_many());
            }
        }
        let mut rows: BTreeMap<Identity, (Option<Row>, Option<Row>)> = BTreeMap::new();
        for unit in &units {
            for (state, is_after) in [(self, false), (after, true)] {
                for row in state.rows_of_unit(unit)? {
                    let (_, row) = row?;
                    let pair = rows.entry(self.identity(&row)).or_default();
                    let side = if is_after { &mut pair.1 } else { &mut pair.0 };
                    *side = Some(row);
                }
                if rows.len() > limit.saturating_mul(2) {
                    return Err(too_many());
                }
            }
        }
        let changes = rows.into_values().filter_map(|pair| match pair {
            (None, Some(row)) => Some(RowChange::Added(row)),
            (Some(row), None) => Some(RowChange::Removed(row)),
            (Some(before), Some(after)) if before != after => {
                Some(RowChange::Modified { before, after })
            }
            _ => None,
        });
        let changes: Vec<RowChange> = changes.collect();
        if changes.len() > limit {
            return Err(too_many());
        }
        Ok(changes)
    }

    /// What an entry is a part of: rows are made of all entries that begin with it.
    fn unit(&self, key: &[u8]) -> Result<Vec<u8>, ViewError> {
        Ok(match &self.projection.shape {
            Shape::Index { .. } | Shape::Words { .. } => key.to_vec(),
            Shape::Group { by, .. } => {
                let inner = key.get(1..).ok_or(ViewError::Damaged)?;
                let (_, rest) = take_values(inner, by.len())?;
                [&[GROUP], &inner[..inner.len() - rest.len()]].concat()
            }
            Shape::Join { .. } => {
                let (_, rest) = take_values(key, 1)?;
                key[..key.len() - rest.len()].to_vec()
            }
        })
    }

    /// What is the same of a row while it is modified. Of an index that spreads lists, each element is a
    /// row of its own.
    fn identity(&self, row: &Row) -> Identity {
        let first = match &self.projection.definition().shape {
            ShapeDefinition::Index { .. } if self.spreads() => row.values.len(),
            ShapeDefinition::Index { .. } | ShapeDefinition::Join { .. } => 0,
            ShapeDefinition::Group { by, .. } => by.len(),
            ShapeDefinition::Words { .. } => 1,
        };
        let values = row.values.iter().take(first).cloned().collect();
        (row.key.clone(), row.other.clone(), values)
    }

    /// Whether a record may have several rows of an index.
    fn spreads(&self) -> bool {
        let Shape::Index { by, .. } = &self.projection.shape else {
            return false;
        };
        let resolved = self.types.resolve(&self.projection);
        let is_list = |name: &String| {
            let field = resolved.own.and_then(|kind| kind.field(name));
            field.is_some_and(|(_, field)| field.list)
        };
        let mut fields = by.iter().filter_map(|by| by.as_field());
        fields.any(|path| matches!(path.names(), [name] if is_list(name)))
    }

    /// The rows of a unit: of an index or of words the one entry, which others may begin with.
    fn rows_of_unit(&self, unit: &[u8]) -> Result<crate::query::Rows<'_>, ViewError> {
        match &self.projection.shape {
            Shape::Index { .. } | Shape::Words { .. } => {
                let entry = self.tree.get(unit)?;
                let row = entry.map(|kept| self.row_of(unit.to_vec(), &kept));
                Ok(Box::new(row.into_iter()))
            }
            Shape::Group { .. } | Shape::Join { .. } => self.rows_under(unit, &Page::default()),
        }
    }
}
