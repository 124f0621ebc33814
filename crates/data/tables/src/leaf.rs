//! The records of a leaf, decoded column by column (TAB-8).

use std::sync::Arc;

use allod_repo::{Entry, Repo, State};
use allod_sql::{ColumnSet, Scalar, ScalarRef, TableError};
use allod_tree::Leaf;
use allod_views::{Record, Type};
use bytes::Bytes;

use crate::columns::{FIELDS, ID, KEY};
use crate::convert::datum_scalar;
use crate::fault::fault;
use crate::keys::key_text;

/// A value in a column: texts and bytes are parts of the column's own.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(u32, u32),
    Blob(u32, u32),
}

/// A column of a leaf.
#[derive(Debug, Default)]
struct Cells {
    cells: Vec<Cell>,
    bytes: Vec<u8>,
}

impl Cells {
    fn push(&mut self, value: ScalarRef<'_>) {
        let cell = match value {
            ScalarRef::Null => Cell::Null,
            ScalarRef::Integer(whole) => Cell::Integer(whole),
            ScalarRef::Real(real) => Cell::Real(real),
            ScalarRef::Text(text) => self.part(text.as_bytes(), Cell::Text),
            ScalarRef::Blob(bytes) => self.part(bytes, Cell::Blob),
        };
        self.cells.push(cell);
    }

    fn part(&mut self, bytes: &[u8], cell: impl Fn(u32, u32) -> Cell) -> Cell {
        // A leaf has far less than 4 GiB, also with what it links to.
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(bytes);
        cell(start, u32::try_from(self.bytes.len()).unwrap_or(u32::MAX))
    }

    fn get(&self, index: usize) -> ScalarRef<'_> {
        let part = |start: u32, end: u32| {
            self.bytes
                .get(start as usize..end as usize)
                .unwrap_or_default()
        };
        match self.cells.get(index) {
            None | Some(Cell::Null) => ScalarRef::Null,
            Some(Cell::Integer(whole)) => ScalarRef::Integer(*whole),
            Some(Cell::Real(real)) => ScalarRef::Real(*real),
            Some(Cell::Text(start, end)) => {
                // Only texts were put in as such.
                ScalarRef::Text(std::str::from_utf8(part(*start, *end)).unwrap_or_default())
            }
            Some(Cell::Blob(start, end)) => ScalarRef::Blob(part(*start, *end)),
        }
    }
}

/// How the records of a leaf are read.
pub(crate) struct Reading<'a> {
    /// Where values are that the tree only links to.
    pub(crate) repo: &'a Repo,
    pub(crate) kind: &'a Type,
    /// What the keys of records begin with.
    pub(crate) prefix: &'a [u8],
}

/// The records of one leaf, as far as columns of them were asked for.
#[derive(Debug)]
pub(crate) struct LeafRows {
    /// Of each record, which entry of the leaf it is.
    places: Vec<u16>,
    keys: Vec<Bytes>,
    /// By column; the key and the ID are made of the keys.
    columns: Vec<Option<Arc<Cells>>>,
    bytes: usize,
}

/// What a leaf costs besides its columns, in bytes.
const OVERHEAD: usize = 256;

impl LeafRows {
    /// Decodes columns of a leaf, those that `before` has taken from there.
    pub(crate) fn decode(
        leaf: &Leaf,
        reading: &Reading<'_>,
        used: ColumnSet,
        before: Option<&Self>,
    ) -> Result<Self, TableError> {
        let width = FIELDS + reading.kind.definition().fields.len();
        let mut columns: Vec<Option<Arc<Cells>>> = vec![None; width];
        let mut wanted = Vec::new();
        for (index, column) in columns.iter_mut().enumerate() {
            *column = before.and_then(|before| before.columns.get(index)?.clone());
            if column.is_none() && (used.contains(index) || index == KEY || index == ID) {
                wanted.push((index, Cells::default()));
            }
        }
        let mut made = Self {
            places: Vec::new(),
            keys: Vec::new(),
            columns,
            bytes: OVERHEAD,
        };
        let has_fields = wanted.iter().any(|(index, _)| *index >= FIELDS);
        let mut key = Vec::new();
        for index in 0..leaf.node.len() {
            let Some(entry) = leaf.node.entry(index, &mut key) else {
                continue;
            };
            if !key.starts_with(reading.prefix) {
                continue;
            }
            let Some(bytes) = record_bytes(reading.repo, &Bytes::copy_from_slice(entry))? else {
                continue;
            };
            let Some(record) = readable(&bytes, reading.kind) else {
                continue;
            };
            made.places.push(u16::try_from(index).unwrap_or(u16::MAX));
            made.keys.push(Bytes::copy_from_slice(&key));
            for (column, cells) in &mut wanted {
                match *column {
                    KEY => cells.push(ScalarRef::Text(&key_text(&key))),
                    ID => cells.push(ScalarRef::Text(&key_text(&key[reading.prefix.len()..]))),
                    _ if has_fields => cells.push(field(&record, *column).borrow()),
                    _ => {}
                }
            }
        }
        for (index, cells) in wanted {
            made.columns[index] = Some(Arc::new(cells));
        }
        let sizes = made.columns.iter().flatten();
        made.bytes += sizes
            .map(|cells| cells.bytes.len() + cells.cells.len() * size_of::<Cell>())
            .sum::<usize>();
        made.bytes += made
            .keys
            .iter()
            .map(|key| key.len() + size_of::<Bytes>())
            .sum::<usize>();
        Ok(made)
    }

    /// Whether it has all of these columns.
    pub(crate) fn has(&self, used: ColumnSet) -> bool {
        let mut columns = self.columns.iter().enumerate();
        columns.all(|(index, column)| column.is_some() || !used.contains(index))
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn key(&self, row: usize) -> &[u8] {
        self.keys.get(row).map(|key| &key[..]).unwrap_or_default()
    }

    /// The first row that is this entry of the leaf or one behind it.
    pub(crate) fn row_at(&self, place: usize) -> usize {
        self.places
            .partition_point(|known| usize::from(*known) < place)
    }

    pub(crate) fn get(&self, row: usize, column: usize) -> ScalarRef<'_> {
        match self.columns.get(column) {
            Some(Some(cells)) => cells.get(row),
            _ => ScalarRef::Null,
        }
    }
}

/// A record, unless it is malformed or left out (TYPE-5, TYPE-8).
pub(crate) fn readable<'a>(bytes: &'a [u8], kind: &'a Type) -> Option<Record<'a>> {
    let record = Record::parse(bytes, Some(kind)).ok()?;
    (!kind.leaves_out(&record)).then_some(record)
}

/// A field as SQL has it, by the place of its column. What cannot be read is null.
pub(crate) fn field(record: &Record<'_>, column: usize) -> Scalar {
    let datum = record.field_at(column - FIELDS);
    datum.map_or(Scalar::Null, |datum| datum_scalar(&datum))
}

/// What an encoded entry holds; none for a tombstone or a file.
pub(crate) fn record_bytes(repo: &Repo, entry: &Bytes) -> Result<Option<Bytes>, TableError> {
    let entry = Entry::decode(entry).map_err(|_error| {
        fault(allod_repo::RepoError::Damaged(
            "a stored entry does not decode",
        ))
    })?;
    match &entry.state {
        State::Value(bytes) => Ok(Some(bytes.clone())),
        State::Tombstone => Ok(None),
        State::Link(_) => match repo.content(&entry).map_err(fault)? {
            Some(allod_repo::Content::Bytes(bytes)) => Ok(Some(bytes)),
            _ => Ok(None),
        },
    }
}
