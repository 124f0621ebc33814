//! Columns on disk: what was decoded of leaves, for whoever opens the space next (TAB-19).

use std::collections::{BTreeMap, BTreeSet};

use allod_sql::ColumnSet;
use allod_tree::{Cursor, Leaf, VALUE_BYTES_MAX};
use allod_views::BesidePart;
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

/// Bytes of columns that one scan gathers. What is left is stored by a scan that has to decode it again: of
/// whoever opens the space next, as here it is in memory.
const GATHERED_MAX: usize = 64 * 1024 * 1024;

/// Stands for the question which entries are records, where a scan asks for no column.
const NO_COLUMN: usize = usize::MAX;

/// The stored columns that a scan asks for, read in step with its leaves, and what it will store.
pub(crate) struct Stored {
    columns: Vec<StoredColumn>,
    /// Whether the scan is over all records of the type. Only such a one stores: it knows all leaves that
    /// there are.
    is_whole: bool,
    /// The leaves that were passed.
    leaves: Vec<LeafDigest>,
    /// Leaves that were looked for to be stored and not passed yet, with the columns that are not stored of
    /// them.
    lacking: BTreeMap<LeafDigest, Lacking>,
    /// Records that are gathered, and the bytes of their columns.
    records: usize,
    bytes: usize,
}

/// A bit for each of the columns of a scan.
type Lacking = u8;

struct StoredColumn {
    index: usize,
    /// The digest of its name.
    name: [u8; 32],
    entries: Entries,
    /// Whether its tree could not be read to its end.
    is_damaged: bool,
    /// What its tree gets.
    gathered: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The entries of the tree of a column.
enum Entries {
    /// Nobody asked for one.
    Unopened,
    Before(Box<Cursor>),
    /// There are none, or they cannot be read.
    Over,
}

/// What is stored of a column of a leaf.
enum Found {
    Nothing,
    /// It is known to be longer than a tree takes.
    TooLong,
    Rows(LeafRows),
}

/// The digest of a leaf.
type LeafDigest = [u8; 32];

impl Stored {
    pub(crate) fn new(inner: &Inner, used: ColumnSet, is_whole: bool) -> Self {
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
            is_damaged: false,
            gathered: BTreeMap::new(),
        });
        Self {
            columns: columns.collect(),
            is_whole,
            leaves: Vec::new(),
            lacking: BTreeMap::new(),
            records: 0,
            bytes: 0,
        }
    }

    /// What is known of a leaf, with what is stored of it. Leaves are asked for in their order; again of one
    /// that was not passed, nothing more is found.
    pub(crate) fn find(
        &mut self,
        inner: &Inner,
        leaf: &Leaf,
        known: Option<&LeafRows>,
    ) -> Option<LeafRows> {
        let digest = digest_of(leaf)?;
        if self.lacking.contains_key(&digest) {
            return None;
        }
        let last = leaf.last_key()?;
        let mut found: Option<LeafRows> = None;
        let mut lacking = 0;
        for (place, column) in self.columns.iter_mut().enumerate() {
            let before = found.as_ref().or(known);
            if before.is_some_and(|rows| rows.column(column.index).is_some()) {
                continue;
            }
            match column.find(inner, (&last, &digest), before) {
                Found::Nothing => lacking |= 1 << place,
                Found::TooLong => {}
                Found::Rows(rows) => found = Some(rows),
            }
        }
        if self.is_whole {
            self.lacking.insert(digest, lacking);
        }
        found
    }

    /// Passes a leaf with its columns; gathers those that were looked for and are not stored.
    pub(crate) fn pass(&mut self, leaf: &Leaf, rows: &LeafRows) {
        let Some(digest) = digest_of(leaf).filter(|_| self.is_whole) else {
            return;
        };
        self.leaves.push(digest);
        let lacking = self.lacking.remove(&digest).unwrap_or_default();
        let last = leaf.last_key().filter(|_| lacking != 0);
        let Some(last) = last.filter(|_| self.bytes < GATHERED_MAX) else {
            return;
        };
        for (place, column) in self.columns.iter_mut().enumerate() {
            if lacking & (1 << place) != 0 {
                let value = write(&digest, rows, column.index);
                self.bytes += last.len() + value.len();
                column.gathered.insert(last.to_vec(), value);
            }
        }
        self.records += rows.len();
    }

    /// Stores what was gathered, at the end of the scan. What cannot be stored is decoded again.
    pub(crate) fn save(&mut self, inner: &Inner) {
        // Else what is damaged would be read again and again, up to where it is.
        let is_worth_it = std::mem::take(&mut self.records) >= RECORDS_MIN
            || self.columns.iter().any(|column| column.is_damaged);
        let columns = std::mem::take(&mut self.columns).into_iter();
        let columns = columns.filter(|column| !column.gathered.is_empty());
        let parts = columns.map(|column| (column.name, column.gathered));
        let parts: Vec<BesidePart> = parts.collect();
        let leaves = std::mem::take(&mut self.leaves).into_iter();
        if is_worth_it && !parts.is_empty() {
            let leaves: BTreeSet<LeafDigest> = leaves.collect();
            let is_of_a_leaf = |value: &[u8]| {
                let digest = value.first_chunk();
                digest.is_some_and(|digest| leaves.contains(digest))
            };
            drop(inner.snapshot.put_beside(&parts, &is_of_a_leaf));
        }
    }
}

/// The digest of a leaf. The only leaf of a tree is small, and nothing is stored of it.
fn digest_of(leaf: &Leaf) -> Option<LeafDigest> {
    leaf.cid().hash().digest().try_into().ok()
}

impl StoredColumn {
    /// What is stored of it of a leaf.
    fn find(
        &mut self,
        inner: &Inner,
        (last, leaf): (&Bytes, &LeafDigest),
        known: Option<&LeafRows>,
    ) -> Found {
        if matches!(self.entries, Entries::Unopened) {
            self.entries = Entries::open(inner, self.name, last);
        }
        while let Entries::Before(cursor) = &mut self.entries {
            match cursor.next() {
                Ok(Some((key, value))) if *key == **last && value.starts_with(leaf) => {
                    return read(value, (inner.width(), self.index), known);
                }
                // Of a leaf that is no longer there, or was not looked for.
                Ok(Some((key, _))) if *key <= **last => {}
                Ok(Some(_)) => {
                    if cursor.prev().is_err() {
                        self.entries = Entries::Over;
                    }
                    return Found::Nothing;
                }
                Ok(None) => self.entries = Entries::Over,
                Err(_) => {
                    self.entries = Entries::Over;
                    self.is_damaged = true;
                }
            }
        }
        Found::Nothing
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
/// the values of a column; or the digest alone if that is longer than a tree takes.
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
    if out.len() > VALUE_BYTES_MAX {
        out.truncate(leaf.len());
    }
    out
}

/// What was written of a column of a leaf, with what is known of the leaf.
fn read(bytes: &[u8], of: (usize, usize), known: Option<&LeafRows>) -> Found {
    if bytes.len() == size_of::<LeafDigest>() {
        return Found::TooLong;
    }
    read_rows(bytes, of, known).map_or(Found::Nothing, Found::Rows)
}

/// The rows that were written; none if it was something else.
fn read_rows(
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
