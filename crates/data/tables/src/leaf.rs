//! The records of a leaf, decoded column by column (TAB-8).

use std::borrow::Cow;
use std::sync::Arc;

use allod_repo::{Content, Entry, Repo, RepoError, StateRef};
use allod_sql::{ColumnSet, Scalar, ScalarRef, TableError};
use allod_tree::Node;
use allod_views::{FieldKind, Record, RecordReader, Type, is_record_key, plain_text};

use crate::cells::Cells;
use crate::columns::{FIELDS, ID, KEY, width_of};
use crate::convert::datum_scalar;
use crate::fault::fault;
use crate::keys::text_of;

/// How the records of a leaf are read.
pub(crate) struct Reading<'a> {
    /// Where values are that the tree only links to.
    pub(crate) repo: &'a Repo,
    pub(crate) kind: &'a Type,
    pub(crate) reader: &'a mut RecordReader,
    /// What the keys of records begin with.
    pub(crate) prefix: &'a [u8],
}

/// The records of one leaf, as far as columns of them were asked for.
#[derive(Debug)]
pub(crate) struct LeafRows {
    /// How many there are.
    rows: usize,
    /// Of each record, which entry of the leaf it is; none if every entry is a record.
    places: Option<Box<[u16]>>,
    /// By column.
    columns: Box<[Option<Arc<Cells>>]>,
    bytes: usize,
}

/// What a leaf costs besides its columns, in bytes: what it is kept under, and allocations.
const OVERHEAD: usize = 256;

impl LeafRows {
    /// Decodes columns of a leaf, those that `before` has taken from there.
    pub(crate) fn decode(
        node: &Node,
        reading: &mut Reading<'_>,
        used: ColumnSet,
        before: Option<&Self>,
    ) -> Result<Self, TableError> {
        let width = width_of(reading.kind);
        let mut columns: Box<[Option<Arc<Cells>>]> = vec![None; width].into();
        let mut wanted = Vec::new();
        for (index, column) in columns.iter_mut().enumerate() {
            *column = before.and_then(|before| before.columns.get(index)?.clone());
            if column.is_none() && used.contains(index) {
                wanted.push((index, Cells::with_capacity(node.len())));
            }
        }
        let mut places = Vec::with_capacity(node.len());
        let mut key = Vec::new();
        for index in 0..node.len() {
            let Some(entry) = node.entry(index, &mut key) else {
                continue;
            };
            if !key.starts_with(reading.prefix) || !is_record_key(&key) {
                continue;
            }
            let Some(bytes) = record_bytes(reading.repo, entry)? else {
                continue;
            };
            let Some(record) = readable(reading.reader, &bytes) else {
                continue;
            };
            places.push(u16::try_from(index).unwrap_or(u16::MAX));
            for (column, cells) in &mut wanted {
                match *column {
                    KEY => cells.push(ScalarRef::Text(text_of(&key))),
                    ID => cells.push(ScalarRef::Text(text_of(&key[reading.prefix.len()..]))),
                    column => push_field(cells, &record, column),
                }
            }
        }
        for (index, cells) in wanted {
            columns[index] = Some(Arc::new(cells));
        }
        let rows = places.len();
        Ok(Self {
            bytes: bytes_of(rows, &columns),
            rows,
            places: (rows < node.len()).then(|| places.into()),
            columns,
        })
    }

    /// Rows by which entries of the leaf they are, none if all are, with the columns that are known of
    /// it.
    pub(crate) fn new(
        (rows, places): (usize, Option<Box<[u16]>>),
        width: usize,
        known: Option<&Self>,
    ) -> Self {
        let columns = known.map_or_else(|| vec![None; width].into(), |known| known.columns.clone());
        Self {
            bytes: bytes_of(rows, &columns),
            rows,
            places,
            columns,
        }
    }

    /// It with the values of a column.
    pub(crate) fn with(mut self, column: usize, cells: Cells) -> Self {
        if let Some(place) = self.columns.get_mut(column) {
            *place = Some(Arc::new(cells));
        }
        self.bytes = bytes_of(self.rows, &self.columns);
        self
    }

    /// Of each row, which entry of the leaf it is; none if every entry is a row.
    pub(crate) fn places(&self) -> Option<&[u16]> {
        self.places.as_deref()
    }

    /// The keys of its rows, from the leaf that they are of.
    pub(crate) fn keys_in(&self, node: &Node) -> Cells {
        let mut cells = Cells::with_capacity(self.rows);
        let mut key = Vec::new();
        for row in 0..self.rows {
            let place = match self.places() {
                Some(places) => places.get(row).copied().map_or(usize::MAX, usize::from),
                None => row,
            };
            let key = node.entry(place, &mut key).map(|_value| text_of(&key));
            cells.push(key.map_or(ScalarRef::Null, ScalarRef::Text));
        }
        cells
    }

    /// Whether it has all of these columns.
    pub(crate) fn has(&self, used: ColumnSet) -> bool {
        let mut columns = self.columns.iter().enumerate();
        columns.all(|(index, column)| column.is_some() || !used.contains(index))
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many rows there are.
    pub(crate) const fn len(&self) -> usize {
        self.rows
    }

    /// The first row that is this entry of the leaf or one behind it.
    pub(crate) fn row_at(&self, place: usize) -> usize {
        match &self.places {
            None => place,
            Some(places) => places.partition_point(|known| usize::from(*known) < place),
        }
    }

    /// The values of a column, if it was decoded.
    pub(crate) fn column(&self, column: usize) -> Option<&Cells> {
        self.columns.get(column)?.as_deref()
    }

    #[inline]
    pub(crate) fn get(&self, row: usize, column: usize) -> ScalarRef<'_> {
        match self.columns.get(column) {
            Some(Some(cells)) => cells.get(row),
            _ => ScalarRef::Null,
        }
    }
}

/// What rows with these columns take, in bytes.
fn bytes_of(rows: usize, columns: &[Option<Arc<Cells>>]) -> usize {
    let sizes = columns.iter().flatten().map(|cells| cells.bytes());
    OVERHEAD + size_of_val(columns) + rows * size_of::<u16>() + sizes.sum::<usize>()
}

/// A record, unless it is malformed or left out (TYPE-5, TYPE-8).
pub(crate) fn readable<'a>(reader: &'a mut RecordReader, bytes: &'a [u8]) -> Option<Record<'a>> {
    let record = reader.read(bytes).ok()?;
    (!record.is_left_out()).then_some(record)
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
        StateRef::Link(_) | StateRef::Joining(..) | StateRef::JoiningLink(..) => {
            let state = state.to_state();
            match repo.content(&Entry { stamp, state }).map_err(fault)? {
                Some(Content::Bytes(bytes)) => Ok(Some(Cow::Owned(bytes.to_vec()))),
                _ => Ok(None),
            }
        }
    }
}
