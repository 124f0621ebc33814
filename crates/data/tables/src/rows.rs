//! Records as rows: leaf by leaf, or one by one (TAB-8).

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use allod_repo::Content;
use allod_sql::{ColumnSet, Rows, Scalar, ScalarRef, ShouldStop, TableError};
use allod_tree::Leaf;
use allod_views::{RecordReader, is_record_key};
use bytes::Bytes;

use crate::ahead::{Ahead, Decoded};
use crate::cells::Cells;
use crate::columns::{FIELDS, ID, KEY, width_of};
use crate::fault::fault;
use crate::filter::Filter;
use crate::keys::text_of;
use crate::leaf::{LeafRows, field, readable};
use crate::records::Inner;

/// Records leaf by leaf.
pub(crate) struct LeafScan {
    inner: Arc<Inner>,
    filters: Vec<Filter>,
    leaves: Ahead,
    /// From this key on, up to the other one.
    bounds: (Vec<u8>, Option<Vec<u8>>),
    rows: Option<Arc<LeafRows>>,
    /// Where the rows are.
    leaf: Option<Leaf>,
    /// Their keys, if somebody asked for one.
    keys: OnceCell<Cells>,
    /// Of the rows, those that are given.
    picked: Vec<u16>,
    /// Of the picked, the one behind the one that is given.
    at: usize,
}

impl LeafScan {
    /// The records from a key on, up to another one.
    pub(crate) fn new(
        inner: Arc<Inner>,
        (used, filters): (ColumnSet, Vec<Filter>),
        (low, high): (Vec<u8>, Option<Vec<u8>>),
        stop: &ShouldStop,
    ) -> Self {
        let mut used = filters
            .iter()
            .fold(used, |used, filter| used.with(filter.column));
        if !inner.visibility.sees_all() {
            used = used.with(KEY);
        }
        let leaves = inner.view().tree().leaves(&low, high.as_deref());
        let are_all = low == inner.prefix && high == allod_tree::prefix_end(&low);
        Self {
            leaves: Ahead::new(
                Arc::clone(&inner),
                used,
                (leaves, are_all),
                Arc::clone(stop),
            ),
            inner,
            filters,
            bounds: (low, high),
            rows: None,
            leaf: None,
            keys: OnceCell::new(),
            picked: Vec::new(),
            at: 0,
        }
    }

    /// Goes on to the next leaf; false if there is none.
    fn next_leaf(&mut self) -> Result<bool, TableError> {
        self.rows = None;
        self.leaf = None;
        self.keys = OnceCell::new();
        self.picked.clear();
        let Some(Decoded { leaf, rows }) = self.leaves.next()? else {
            return Ok(false);
        };
        let (mut from, mut to) = (0, rows.len());
        if !leaf.is_within() {
            let node = leaf.node().map_err(fault)?;
            let (low, high) = &self.bounds;
            from = rows.row_at(node.lower_bound(low));
            if let Some(high) = high {
                to = rows.row_at(node.lower_bound(high));
            }
        }
        self.pick(&rows, from..to);
        self.rows = Some(rows);
        self.leaf = Some(leaf);
        Ok(true)
    }

    /// The keys of the rows of this leaf.
    fn keys(&self) -> Result<&Cells, TableError> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let keys = match self.leaf.as_ref().zip(self.rows.as_deref()) {
            Some((leaf, rows)) => rows.keys_in(&leaf.node().map_err(fault)?),
            None => Cells::with_capacity(0),
        };
        Ok(self.keys.get_or_init(|| keys))
    }

    /// The rows of the next leaf that has any, all at once.
    pub(crate) fn next_rows(&mut self) -> Result<Option<(&LeafRows, &[u16])>, TableError> {
        while self.next_leaf()? {
            if !self.picked.is_empty() {
                break;
            }
        }
        let rows = self.rows.as_deref();
        Ok(rows.map(|rows| (rows, &self.picked[..])))
    }

    /// Picks the rows that are given.
    fn pick(&mut self, rows: &LeafRows, within: Range<usize>) {
        // A leaf has fewer entries than 16 bits count.
        self.picked
            .extend(within.filter_map(|row| u16::try_from(row).ok()));
        for filter in &self.filters {
            if let Some(cells) = rows.column(filter.column) {
                filter.keep(cells, &mut self.picked);
            }
        }
        let visibility = &self.inner.visibility;
        if !visibility.sees_all() {
            self.picked
                .retain(|row| match rows.get(usize::from(*row), KEY) {
                    ScalarRef::Text(key) => visibility.sees(key.as_bytes()),
                    _ => false,
                });
        }
    }
}

impl Rows for LeafScan {
    fn next(&mut self) -> Result<bool, TableError> {
        self.at += 1;
        while self.at > self.picked.len() {
            if !self.next_leaf()? {
                return Ok(false);
            }
            self.at = 1;
        }
        Ok(true)
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        let row = self.rows.as_ref().zip(self.picked.get(self.at - 1));
        let Some((rows, row)) = row else {
            return Ok(ScalarRef::Null);
        };
        let row = usize::from(*row);
        match rows.column(index) {
            Some(cells) => Ok(cells.get(row)),
            None if index == KEY => Ok(self.keys()?.get(row)),
            None => Ok(ScalarRef::Null),
        }
    }
}

pub(crate) type Found = Box<dyn Iterator<Item = Result<(Bytes, Option<Content>), TableError>>>;

/// Records one by one.
pub(crate) struct ListRows {
    inner: Arc<Inner>,
    used: ColumnSet,
    records: Found,
    reader: RecordReader,
    current: Vec<Scalar>,
}

impl ListRows {
    pub(crate) fn new(inner: &Arc<Inner>, used: ColumnSet, records: Found) -> Self {
        Self {
            current: vec![Scalar::Null; width_of(&inner.kind)],
            reader: RecordReader::new(Some(Arc::clone(&inner.kind))),
            inner: Arc::clone(inner),
            used,
            records,
        }
    }
}

impl Rows for ListRows {
    fn next(&mut self) -> Result<bool, TableError> {
        for found in self.records.by_ref() {
            let (key, Some(Content::Bytes(bytes))) = found? else {
                continue;
            };
            if !is_record_key(&key) || !self.inner.visibility.sees(&key) {
                continue;
            }
            let Some(record) = readable(&mut self.reader, &bytes) else {
                continue;
            };
            let id = key.get(self.inner.prefix.len()..).unwrap_or_default();
            self.current[KEY] = Scalar::Text(text_of(&key).to_owned());
            self.current[ID] = Scalar::Text(text_of(id).to_owned());
            for (index, value) in self.current.iter_mut().enumerate().skip(FIELDS) {
                if self.used.contains(index) {
                    *value = field(&record, index);
                }
            }
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
