//! Columns on disk: what was decoded of leaves, for whoever opens the space next (TAB-19).

use std::collections::BTreeMap;

use allod_sql::ColumnSet;
use allod_tree::{Cursor, Leaf, VALUE_BYTES_MAX};
use bytes::Bytes;

use crate::cells::{Cells, take};
use crate::leaf::LeafRows;
use crate::records::Inner;

/// What the name of the tree of a column begins with; another way to write columns has another.
const FORMAT: &[u8] = b"allod columns 1\0";

/// Fewer records than this are decoded again: that takes a millisecond, as storing them does.
const RECORDS_MIN: usize = 4096;

/// A scan that asks for more columns than this gets least from columns, and would store the records a
/// second time.
const COLUMNS_MAX: usize = 8;

/// Bytes of columns that one scan gathers; the next stores what is left.
const GATHERED_MAX: usize = 64 * 1024 * 1024;

/// Stands for the question which entries are records, where a scan asks for no column.
const NO_COLUMN: usize = usize::MAX;

/// The stored columns that a scan asks for, read in step with its leaves, and what it will store.
pub(crate) struct Stored {
    columns: Vec<StoredColumn>,
    /// Records that are gathered, and the bytes of their columns.
    records: usize,
    bytes: usize,
}

struct StoredColumn {
    index: usize,
    /// The digest of its name.
    name: [u8; 32],
    entries: Entries,
    /// What changes in its tree.
    edits: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// The entries of the tree of a column.
enum Entries {
    /// Nobody asked for one.
    Unopened,
    Before(Box<Cursor>),
    /// There are none, or they cannot be read.
    Over,
}

/// The digest of a leaf.
type LeafDigest = [u8; 32];

impl Stored {
    pub(crate) fn new(inner: &Inner, used: ColumnSet) -> Self {
        let mut indexes: Vec<usize> = (0..inner.width())
            .filter(|index| used.contains(*index))
            .collect();
        if indexes.is_empty() {
            indexes.push(NO_COLUMN);
        }
        if indexes.len() > COLUMNS_MAX {
            indexes.clear();
        }
        let columns = indexes.into_iter().map(|index| StoredColumn {
            index,
            name: inner.column_name(FORMAT, index),
            entries: Entries::Unopened,
            edits: BTreeMap::new(),
        });
        Self {
            columns: columns.collect(),
            records: 0,
            bytes: 0,
        }
    }

    /// What is known of a leaf, with what is stored of it. Leaves are asked for in their order.
    pub(crate) fn find(
        &mut self,
        inner: &Inner,
        leaf: &Leaf,
        known: Option<&LeafRows>,
    ) -> Option<LeafRows> {
        let (last, digest) = identity(leaf)?;
        let mut found: Option<LeafRows> = None;
        for column in &mut self.columns {
            let before = found.as_ref().or(known);
            if before.is_some_and(|rows| rows.column(column.index).is_some()) {
                column.pass(&last, &digest);
                continue;
            }
            if matches!(column.entries, Entries::Unopened) {
                column.entries = Entries::open(inner, column.name, &last);
            }
            let width = inner.width();
            let rows = column.take(&last, &digest, |value, index| {
                read(value, (width, index), before)
            });
            found = rows.or(found);
        }
        found
    }

    /// Passes what is stored of a leaf that nobody needs to find: it stays.
    pub(crate) fn pass(&mut self, leaf: &Leaf) {
        let mut columns = self.columns.iter_mut();
        if columns.any(|column| matches!(column.entries, Entries::Before(_)))
            && let Some((last, digest)) = identity(leaf)
        {
            for column in &mut self.columns {
                column.pass(&last, &digest);
            }
        }
    }

    /// Gathers what was decoded of a leaf.
    pub(crate) fn add(&mut self, leaf: &Leaf, rows: &LeafRows) {
        let Some((last, digest)) = identity(leaf).filter(|_| self.bytes < GATHERED_MAX) else {
            return;
        };
        for column in &mut self.columns {
            let value = write(&digest, rows, column.index);
            // A tree has no longer values.
            if value.len() <= VALUE_BYTES_MAX {
                self.bytes += last.len() + value.len();
                column.edits.insert(last.to_vec(), Some(value));
            }
        }
        self.records += rows.len();
    }

    /// Stores what was gathered. What cannot be stored is decoded again.
    pub(crate) fn save(&mut self, inner: &Inner) {
        let is_worth_it = std::mem::take(&mut self.records) >= RECORDS_MIN;
        self.bytes = 0;
        for column in &mut self.columns {
            let edits = std::mem::take(&mut column.edits);
            if is_worth_it && !edits.is_empty() {
                drop(inner.snapshot.edit_beside(column.name, edits));
            }
        }
    }
}

/// The last key and the digest of a leaf. The only leaf of a tree has none, and is small.
fn identity(leaf: &Leaf) -> Option<(Bytes, LeafDigest)> {
    let digest = leaf.cid().hash().digest().try_into().ok()?;
    Some((leaf.last_key()?, digest))
}

impl StoredColumn {
    /// Leaves what is stored of a leaf as it is.
    fn pass(&mut self, last: &[u8], leaf: &LeafDigest) {
        self.take(last, leaf, |_value, _index| Some(()));
    }

    /// What is stored of a leaf, read.
    fn take<T>(
        &mut self,
        last: &[u8],
        leaf: &LeafDigest,
        read: impl FnOnce(&[u8], usize) -> Option<T>,
    ) -> Option<T> {
        while let Entries::Before(cursor) = &mut self.entries {
            match cursor.next() {
                Ok(Some((key, value))) if *key == *last && value.starts_with(leaf) => {
                    return read(value, self.index);
                }
                // Of a leaf that is no longer there.
                Ok(Some((key, _))) if *key <= *last => {
                    self.edits.insert(key.to_vec(), None);
                }
                Ok(Some(_)) => {
                    if cursor.prev().is_err() {
                        self.entries = Entries::Over;
                    }
                    return None;
                }
                Ok(None) | Err(_) => self.entries = Entries::Over,
            }
        }
        None
    }
}

impl Entries {
    /// Those of a tree from a key on.
    fn open(inner: &Inner, name: [u8; 32], first: &[u8]) -> Self {
        let Ok(Some(tree)) = inner.snapshot.beside(name) else {
            return Self::Over;
        };
        let mut cursor = tree.cursor();
        match cursor.seek(first) {
            Ok(()) => Self::Before(Box::new(cursor)),
            Err(_) => Self::Over,
        }
    }
}

/// Writes the digest of a leaf, how many rows it has, which of its entries they are unless all are, and
/// the values of a column.
fn write(leaf: &LeafDigest, rows: &LeafRows, column: usize) -> Vec<u8> {
    let mut out = leaf.to_vec();
    let count = u16::try_from(rows.len()).unwrap_or(u16::MAX);
    out.extend(count.to_le_bytes());
    let places = rows.places();
    out.push(u8::from(places.is_some()));
    for place in places.unwrap_or_default() {
        out.extend(place.to_le_bytes());
    }
    if let Some(cells) = rows.column(column) {
        cells.write(&mut out);
    }
    out
}

/// What was written of a column of a leaf, with what is known of the leaf; none if it was something else.
fn read(
    mut bytes: &[u8],
    (width, column): (usize, usize),
    known: Option<&LeafRows>,
) -> Option<LeafRows> {
    let bytes = &mut bytes;
    let _leaf: LeafDigest = take(bytes)?;
    let count = usize::from(u16::from_le_bytes(take(bytes)?));
    let places = match take(bytes)? {
        [0] => None,
        [1] => {
            let (places, rest) = bytes.split_at_checked(count * 2)?;
            *bytes = rest;
            let places = places.chunks_exact(2);
            let places: Vec<u16> = places
                .filter_map(|pair| Some(u16::from_le_bytes(*pair.first_chunk()?)))
                .collect();
            Some(places.into())
        }
        _ => return None,
    };
    let rows = LeafRows::new((count, places), width, known);
    if column == NO_COLUMN {
        return bytes.is_empty().then_some(rows);
    }
    Some(rows.with(column, Cells::read(bytes, count)?))
}
