//! The records of a leaf, decoded column by column (TAB-8).

use std::borrow::Cow;
use std::sync::Arc;

use allod_repo::{Content, Entry, Repo, RepoError, State, StateRef};
use allod_sql::{ColumnSet, Scalar, ScalarRef, TableError};
use allod_tree::Leaf;
use allod_views::{FieldKind, Record, Type, is_record_key, plain_text};

use crate::columns::{FIELDS, ID, KEY};
use crate::convert::datum_scalar;
use crate::fault::fault;
use crate::keys::text_of;

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
    /// Keys, one behind the other, and where each ends.
    keys: Vec<u8>,
    ends: Vec<u32>,
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
            if column.is_none() && used.contains(index) {
                wanted.push((index, Cells::default()));
            }
        }
        let mut made = Self {
            places: Vec::new(),
            keys: Vec::new(),
            ends: Vec::new(),
            columns,
            bytes: OVERHEAD,
        };
        let mut key = Vec::new();
        for index in 0..leaf.node.len() {
            let Some(entry) = leaf.node.entry(index, &mut key) else {
                continue;
            };
            if !key.starts_with(reading.prefix) || !is_record_key(&key) {
                continue;
            }
            let Some(bytes) = record_bytes(reading.repo, entry)? else {
                continue;
            };
            let Some(record) = readable(&bytes, reading.kind) else {
                continue;
            };
            made.places.push(u16::try_from(index).unwrap_or(u16::MAX));
            made.keys.extend_from_slice(&key);
            made.ends
                .push(u32::try_from(made.keys.len()).unwrap_or(u32::MAX));
            for (column, cells) in &mut wanted {
                match *column {
                    KEY => cells.push(ScalarRef::Text(text_of(&key))),
                    ID => cells.push(ScalarRef::Text(text_of(&key[reading.prefix.len()..]))),
                    column => push_field(cells, &record, column),
                }
            }
        }
        for (index, cells) in wanted {
            made.columns[index] = Some(Arc::new(cells));
        }
        let sizes = made.columns.iter().flatten();
        let sizes = sizes.map(|cells| cells.bytes.len() + cells.cells.len() * size_of::<Cell>());
        made.bytes += sizes.sum::<usize>() + made.keys.len() + made.ends.len() * 8;
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
        let end = |row: usize| self.ends.get(row).map_or(0, |end| *end as usize);
        let start = row.checked_sub(1).map_or(0, end);
        self.keys.get(start..end(row)).unwrap_or_default()
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

/// Adds a field to its column, without a copy in between where it stands as it is shown.
fn push_field(cells: &mut Cells, record: &Record<'_>, column: usize) {
    let plain = record
        .raw_at(column - FIELDS)
        .and_then(|(raw, kind)| match kind {
            FieldKind::String | FieldKind::Ref(_) => plain_text(raw).map(ScalarRef::Text),
            FieldKind::Integer | FieldKind::Number => whole(raw).map(ScalarRef::Integer),
            FieldKind::Boolean => match raw {
                "true" => Some(ScalarRef::Integer(1)),
                "false" => Some(ScalarRef::Integer(0)),
                _ => None,
            },
            _ => None,
        });
    match plain {
        Some(value) => cells.push(value),
        None => cells.push(field(record, column).borrow()),
    }
}

/// A whole number of JSON that is as long as any of 64 bits, or shorter.
fn whole(raw: &str) -> Option<i64> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let is_whole = digits.len() < 19 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| raw.parse().ok())?
}

/// What an encoded entry holds; none for a tombstone or a file.
fn record_bytes<'a>(repo: &Repo, entry: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, TableError> {
    let (stamp, state) = StateRef::decode(entry)
        .map_err(|_error| fault(RepoError::Damaged("a stored entry does not decode")))?;
    match state {
        StateRef::Value(bytes) => Ok(Some(Cow::Borrowed(bytes))),
        StateRef::Tombstone => Ok(None),
        StateRef::Link(cid) => {
            let state = State::Link(cid);
            match repo.content(&Entry { stamp, state }).map_err(fault)? {
                Some(Content::Bytes(bytes)) => Ok(Some(Cow::Owned(bytes.to_vec()))),
                _ => Ok(None),
            }
        }
    }
}
