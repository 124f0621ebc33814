//! Records as rows: leaf by leaf, or one by one (TAB-8).

use std::sync::Arc;

use allod_repo::Content;
use allod_sql::{ColumnSet, Op, Rows, Scalar, ScalarRef, TableError};
use allod_tree::Cursor;
use allod_views::is_record_key;
use bytes::Bytes;

use crate::columns::{FIELDS, ID, KEY};
use crate::fault::fault;
use crate::keys::text_of;
use crate::leaf::{LeafRows, Reading, field, readable};
use crate::records::Inner;

/// What a record has to be for the engine to see it: as it compares, so that none is missed.
pub(crate) struct Filter {
    pub(crate) column: usize,
    pub(crate) op: Op,
    pub(crate) value: Scalar,
}

impl Filter {
    fn holds(&self, value: ScalarRef<'_>) -> bool {
        if self.op == Op::IsNull {
            return value.is_null();
        }
        if value.is_null() {
            return false;
        }
        let order = value.compare(self.value.borrow());
        match self.op {
            Op::Eq => order.is_eq(),
            Op::Lt => order.is_lt(),
            Op::Le => order.is_le(),
            Op::Gt => order.is_gt(),
            Op::Ge => order.is_ge(),
            _ => true,
        }
    }
}

/// Records leaf by leaf.
pub(crate) struct LeafScan {
    inner: Arc<Inner>,
    used: ColumnSet,
    filters: Vec<Filter>,
    cursor: Cursor,
    high: Option<Vec<u8>>,
    rows: Option<Arc<LeafRows>>,
    /// The row behind the one that is given.
    at: usize,
    end: usize,
    is_over: bool,
}

impl LeafScan {
    /// The records from where the cursor stands, up to a key.
    pub(crate) fn new(
        inner: Arc<Inner>,
        used: ColumnSet,
        filters: Vec<Filter>,
        (cursor, high): (Cursor, Option<Vec<u8>>),
    ) -> Self {
        Self {
            inner,
            used,
            filters,
            cursor,
            high,
            rows: None,
            at: 0,
            end: 0,
            is_over: false,
        }
    }

    /// Goes on to the next leaf; false if there is none.
    fn next_leaf(&mut self) -> Result<bool, TableError> {
        if self.is_over {
            return Ok(false);
        }
        let Some(leaf) = self.cursor.next_leaf_whole().map_err(fault)? else {
            return Ok(false);
        };
        let end = match &self.high {
            Some(high) => leaf.node.lower_bound(high),
            None => leaf.node.len(),
        };
        self.is_over = end < leaf.node.len();
        let digest = leaf.cid.hash().digest().try_into().unwrap_or_default();
        let name = (digest, self.inner.reading);
        let kept = self.inner.kept.get(&name);
        let rows = match kept {
            Some(rows) if rows.has(self.used) => rows,
            before => {
                let reading = Reading {
                    repo: self.inner.repo(),
                    kind: &self.inner.kind,
                    prefix: &self.inner.prefix,
                };
                let rows = LeafRows::decode(&leaf, &reading, self.used, before.as_deref())?;
                let rows = Arc::new(rows);
                self.inner.kept.keep(name, Arc::clone(&rows));
                rows
            }
        };
        self.at = rows.row_at(leaf.from);
        self.end = rows.row_at(end);
        self.rows = Some(rows);
        Ok(true)
    }
}

impl Rows for LeafScan {
    fn next(&mut self) -> Result<bool, TableError> {
        loop {
            if let Some(rows) = &self.rows {
                while self.at < self.end {
                    let row = self.at;
                    self.at += 1;
                    let is_wanted = self
                        .filters
                        .iter()
                        .all(|filter| filter.holds(rows.get(row, filter.column)));
                    if is_wanted && self.inner.visibility.sees(rows.key(row)) {
                        return Ok(true);
                    }
                }
            }
            if !self.next_leaf()? {
                return Ok(false);
            }
        }
    }

    fn column(&self, index: usize) -> Result<ScalarRef<'_>, TableError> {
        let rows = self.rows.as_ref();
        Ok(rows.map_or(ScalarRef::Null, |rows| rows.get(self.at - 1, index)))
    }
}

pub(crate) type Found = Box<dyn Iterator<Item = Result<(Bytes, Option<Content>), TableError>>>;

/// Records one by one.
pub(crate) struct ListRows {
    inner: Arc<Inner>,
    used: ColumnSet,
    records: Found,
    current: Vec<Scalar>,
}

impl ListRows {
    pub(crate) fn new(inner: &Arc<Inner>, used: ColumnSet, records: Found) -> Self {
        Self {
            current: vec![Scalar::Null; FIELDS + inner.kind.definition().fields.len()],
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
            let Some(record) = readable(&bytes, &self.inner.kind) else {
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
