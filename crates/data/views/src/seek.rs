//! Looking up in an index: ranges of its order.

use std::fmt;

use allod_blocks::prefix_end;
use allod_tree::Cursor;

use crate::definition::Shape;
use crate::entries::{BEGINNING_BYTES, RECORD, field_key};
use crate::error::ViewError;
use crate::key::{push_key, skip};
use crate::value::Value;
use crate::views::Projected;

/// Which entries of an index are looked up: those with some first values, and with the next one in a
/// range.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lookup<'a> {
    /// The first values.
    pub first: &'a [Value],
    /// The next value is not less than this.
    pub low: Option<&'a Value>,
    /// Nor greater than this.
    pub high: Option<&'a Value>,
    /// From the last to the first.
    pub reverse: bool,
}

/// Entries of an index in its order, lent one after the other.
pub struct IndexScan {
    cursor: Cursor,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    by: usize,
    reverse: bool,
}

impl fmt::Debug for IndexScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexScan")
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}

/// An entry of an index.
#[derive(Clone, Copy, Debug)]
pub struct IndexEntry<'a> {
    /// The field key of what the index is in the order of.
    pub by: &'a [u8],
    /// The key of the record.
    pub record: &'a [u8],
    /// The field key of the values beside; empty if there are none, or they were too long to be kept.
    pub values: &'a [u8],
}

impl Projected {
    /// The entries of an index in a range. Where values are so long that the index has only their
    /// beginning (PROJ-4), there may be more than asked for.
    ///
    /// # Errors
    /// [`ViewError::Query`] if it is no index, or has not so many values.
    pub fn look_up(&self, lookup: &Lookup<'_>) -> Result<IndexScan, ViewError> {
        let Shape::Index { by, .. } = &self.projection.shape else {
            return Err(ViewError::Query("only an index is looked up in".to_owned()));
        };
        let has_range = lookup.low.is_some() || lookup.high.is_some();
        if lookup.first.len() + usize::from(has_range) > by.len() {
            return Err(ViewError::Query(
                "the index has not so many values".to_owned(),
            ));
        }
        let prefix = field_key(lookup.first);
        let bound = |value: &Value| [&prefix[..], &beginning(value)].concat();
        let start = lookup.low.map_or_else(|| prefix.clone(), bound);
        let end = lookup.high.map_or_else(|| prefix.clone(), bound);
        let mut scan = IndexScan {
            cursor: self.tree.cursor(),
            start,
            end: prefix_end(&end),
            by: by.len(),
            reverse: lookup.reverse,
        };
        match &scan.end {
            _ if !lookup.reverse => scan.cursor.seek(&scan.start)?,
            Some(end) => scan.cursor.seek(end)?,
            None => scan.cursor.seek_end(),
        }
        Ok(scan)
    }
}

/// A character has at most so many bytes more than its first.
const CHARACTER_BYTES_MAX: usize = 3;

/// What the keys of a value, and of all that are cut to the same, begin with.
fn beginning(value: &Value) -> Vec<u8> {
    let mut key = Vec::new();
    match value {
        // Others may be cut a little before, at a character.
        Value::Text(text) if text.len() > BEGINNING_BYTES - CHARACTER_BYTES_MAX => {
            let end = text.floor_char_boundary(BEGINNING_BYTES - CHARACTER_BYTES_MAX);
            push_key(&mut key, &Value::text(&text[..end]));
            // Without what ends a text.
            key.pop();
        }
        Value::Bytes(bytes) if bytes.len() > BEGINNING_BYTES => {
            push_key(&mut key, &Value::Bytes(bytes[..BEGINNING_BYTES].to_vec()));
            key.pop();
        }
        _ => push_key(&mut key, value),
    }
    key
}

impl IndexScan {
    /// The next entry.
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends from the cursor, which Iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<IndexEntry<'_>>, ViewError> {
        let entry = if self.reverse {
            self.cursor.prev()?
        } else {
            self.cursor.next()?
        };
        let Some((key, values)) = entry else {
            return Ok(None);
        };
        let is_within = if self.reverse {
            key >= &self.start[..]
        } else {
            self.end.as_deref().is_none_or(|end| key < end)
        };
        if !is_within {
            return Ok(None);
        }
        let mut rest = key;
        for _ in 0..self.by {
            rest = skip(rest).ok_or(ViewError::Damaged)?;
        }
        let (by, _) = key.split_at(key.len() - rest.len());
        let record = rest.strip_prefix(&[RECORD]).ok_or(ViewError::Damaged)?;
        Ok(Some(IndexEntry { by, record, values }))
    }
}
