//! The values of a column of a leaf, as small as they are alike.

use allod_sql::ScalarRef;

/// The values of a column.
#[derive(Debug)]
pub(crate) enum Cells {
    /// Whole numbers, all of them.
    Integers(Vec<i64>),
    /// Texts, all of them, one behind the other, and where each ends.
    Texts(String, Vec<u32>),
    /// Anything.
    Mixed(Vec<Cell>, Vec<u8>),
}

/// A value among others of all kinds: texts and bytes are parts of what stands beside them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(u32, u32),
    Blob(u32, u32),
}

/// Where a part that is added to bytes ends. A leaf has far less than 4 GiB, also with what it links to.
fn end_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl Cells {
    /// None yet; there will be about as many.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self::Integers(Vec::with_capacity(rows))
    }

    pub(crate) fn push(&mut self, value: ScalarRef<'_>) {
        match (&mut *self, value) {
            (Self::Integers(cells), ScalarRef::Integer(whole)) => cells.push(whole),
            (Self::Integers(cells), ScalarRef::Text(text)) if cells.is_empty() => {
                let mut ends = Vec::with_capacity(cells.capacity());
                ends.push(end_of(text.len()));
                *self = Self::Texts(text.to_owned(), ends);
            }
            (Self::Texts(texts, ends), ScalarRef::Text(text)) => {
                texts.push_str(text);
                ends.push(end_of(texts.len()));
            }
            (Self::Mixed(cells, bytes), value) => {
                let mut part = |part: &[u8], cell: fn(u32, u32) -> Cell| {
                    let start = end_of(bytes.len());
                    bytes.extend_from_slice(part);
                    cell(start, end_of(bytes.len()))
                };
                let cell = match value {
                    ScalarRef::Null => Cell::Null,
                    ScalarRef::Integer(whole) => Cell::Integer(whole),
                    ScalarRef::Real(real) => Cell::Real(real),
                    ScalarRef::Text(text) => part(text.as_bytes(), Cell::Text),
                    ScalarRef::Blob(blob) => part(blob, Cell::Blob),
                };
                cells.push(cell);
            }
            (Self::Integers(_) | Self::Texts(..), value) => {
                let mut mixed = Self::Mixed(Vec::new(), Vec::new());
                for row in 0..self.len() {
                    mixed.push(self.get(row));
                }
                mixed.push(value);
                *self = mixed;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Integers(cells) => cells.len(),
            Self::Texts(_, ends) => ends.len(),
            Self::Mixed(cells, _) => cells.len(),
        }
    }

    /// How many bytes they take.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Integers(cells) => cells.capacity() * size_of::<i64>(),
            Self::Texts(texts, ends) => texts.capacity() + ends.capacity() * size_of::<u32>(),
            Self::Mixed(cells, bytes) => cells.capacity() * size_of::<Cell>() + bytes.capacity(),
        }
    }

    /// The value of a row; null where there is no row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> ScalarRef<'_> {
        match self {
            Self::Integers(cells) => cells
                .get(row)
                .map_or(ScalarRef::Null, |whole| ScalarRef::Integer(*whole)),
            Self::Texts(texts, ends) => {
                text(texts, ends, row).map_or(ScalarRef::Null, ScalarRef::Text)
            }
            Self::Mixed(cells, bytes) => {
                let part = |start: u32, end: u32| {
                    bytes.get(start as usize..end as usize).unwrap_or_default()
                };
                match cells.get(row) {
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
    }
}

/// The text of a row, of texts one behind the other.
fn text<'a>(texts: &'a str, ends: &[u32], row: usize) -> Option<&'a str> {
    let end = *ends.get(row)?;
    let start = row.checked_sub(1).and_then(|before| ends.get(before));
    texts.get(start.map_or(0, |start| *start as usize)..end as usize)
}

/// How the values of some rows are written.
const INTEGERS: u8 = 0;
const TEXTS: u8 = 1;
const MIXED: u8 = 2;

/// What stands before each value among others of all kinds.
const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

impl Cells {
    /// Writes the values: whole numbers from the least of them on, in as many bytes as the
    /// greatest needs; lengths of texts likewise, and the texts behind them.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integers(cells) => {
                let least = cells.iter().min().copied().unwrap_or_default();
                out.push(INTEGERS);
                out.extend(least.to_le_bytes());
                let above = |whole: &i64| whole.wrapping_sub(least).cast_unsigned();
                write_numbers(cells.iter().map(above), out);
            }
            Self::Texts(texts, ends) => {
                out.push(TEXTS);
                let starts = std::iter::once(&0).chain(ends);
                let lengths = ends.iter().zip(starts).map(|(end, start)| end - start);
                write_numbers(lengths.map(u64::from), out);
                out.extend(texts.as_bytes());
            }
            Self::Mixed(..) => {
                out.push(MIXED);
                for row in 0..self.len() {
                    let mut part = |kind: u8, part: &[u8]| {
                        out.push(kind);
                        out.extend(end_of(part.len()).to_le_bytes());
                        out.extend(part);
                    };
                    match self.get(row) {
                        ScalarRef::Null => out.push(NULL),
                        ScalarRef::Integer(whole) => {
                            out.push(INTEGER);
                            out.extend(whole.to_le_bytes());
                        }
                        ScalarRef::Real(real) => {
                            out.push(REAL);
                            out.extend(real.to_le_bytes());
                        }
                        ScalarRef::Text(text) => part(TEXT, text.as_bytes()),
                        ScalarRef::Blob(blob) => part(BLOB, blob),
                    }
                }
            }
        }
    }

    /// What was written of so many rows; none if it was something else.
    pub(crate) fn read(mut bytes: &[u8], rows: usize) -> Option<Self> {
        let bytes = &mut bytes;
        let [kind] = take(bytes)?;
        let cells = match kind {
            INTEGERS => {
                let least = i64::from_le_bytes(take(bytes)?);
                let mut cells = Vec::with_capacity(rows);
                read_numbers(bytes, rows, |above| {
                    cells.push(least.wrapping_add_unsigned(above));
                })?;
                Self::Integers(cells)
            }
            TEXTS => {
                let mut ends = Vec::with_capacity(rows);
                let mut end = 0u64;
                read_numbers(bytes, rows, |length| {
                    end = end.saturating_add(length);
                    ends.push(u32::try_from(end).unwrap_or(u32::MAX));
                })?;
                let texts = std::str::from_utf8(std::mem::take(bytes)).ok()?;
                let are_whole = ends.iter().all(|end| texts.is_char_boundary(*end as usize));
                (are_whole && texts.len() as u64 == end).then_some(())?;
                Self::Texts(texts.to_owned(), ends)
            }
            MIXED => {
                let mut cells = Self::Mixed(Vec::with_capacity(rows), Vec::new());
                for _ in 0..rows {
                    let [kind] = take(bytes)?;
                    cells.push(match kind {
                        NULL => ScalarRef::Null,
                        INTEGER => ScalarRef::Integer(i64::from_le_bytes(take(bytes)?)),
                        REAL => ScalarRef::Real(f64::from_le_bytes(take(bytes)?)),
                        TEXT => ScalarRef::Text(std::str::from_utf8(take_part(bytes)?).ok()?),
                        BLOB => ScalarRef::Blob(take_part(bytes)?),
                        _ => return None,
                    });
                }
                cells
            }
            _ => return None,
        };
        bytes.is_empty().then_some(cells)
    }
}

/// Takes so many bytes.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Takes bytes behind their length.
fn take_part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(bytes)?);
    let (part, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(part)
}

/// Writes how many bytes each number takes, and the numbers.
fn write_numbers(numbers: impl Iterator<Item = u64> + Clone, out: &mut Vec<u8>) {
    let width = match numbers.clone().max().unwrap_or_default() {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    out.push(width);
    for number in numbers {
        out.extend(&number.to_le_bytes()[..usize::from(width)]);
    }
}

/// Reads so many numbers.
fn read_numbers(bytes: &mut &[u8], count: usize, mut each: impl FnMut(u64)) -> Option<()> {
    let [width] = take(bytes)?;
    let (numbers, rest) = bytes.split_at_checked(count.checked_mul(usize::from(width))?)?;
    *bytes = rest;
    match width {
        0 => (0..count).for_each(|_| each(0)),
        1 => numbers.iter().for_each(|byte| each(u64::from(*byte))),
        2 | 4 | 8 => {
            for number in numbers.chunks_exact(usize::from(width)) {
                let mut whole = [0; 8];
                whole[..number.len()].copy_from_slice(number);
                each(u64::from_le_bytes(whole));
            }
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use allod_sql::Scalar;
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            3 => any::<i64>().prop_map(Scalar::Integer),
            3 => "[a\u{e4}]{0,3}".prop_map(Scalar::Text),
            1 => Just(Scalar::Null),
            1 => (-9.0..9.0).prop_map(Scalar::Real),
            1 => prop::collection::vec(any::<u8>(), 0..3).prop_map(Scalar::Blob),
        ]
    }

    proptest! {
        #[test]
        fn what_was_put_in_comes_out(
            alike in prop::collection::vec(prop_oneof![any::<i64>().prop_map(Scalar::Integer)], 0..5),
            texts in prop::collection::vec("[a\u{e4}]{0,3}".prop_map(Scalar::Text), 0..5),
            others in prop::collection::vec(value(), 0..8),
            begins in any::<bool>(),
        ) {
            let mut values = if begins { alike } else { texts };
            values.extend(others);
            let mut cells = Cells::with_capacity(3);
            for value in &values {
                cells.push(value.borrow());
            }
            prop_assert_eq!(cells.len(), values.len());
            for (row, value) in values.iter().enumerate() {
                prop_assert_eq!(cells.get(row), value.borrow());
            }
            prop_assert_eq!(cells.get(values.len()), ScalarRef::Null);
            let mut written = Vec::new();
            cells.write(&mut written);
            let read = Cells::read(&written, values.len()).unwrap();
            for (row, value) in values.iter().enumerate() {
                prop_assert_eq!(read.get(row), value.borrow());
            }
            // Nor is a part of it the same.
            for end in 0..written.len() {
                prop_assert!(Cells::read(&written[..end], values.len()).is_none());
            }
            // Of other rows it is nothing, or so many: numbers may take no bytes.
            for rows in 0..values.len() + 3 {
                if let Some(cells) = Cells::read(&written, rows) {
                    prop_assert_eq!(cells.len(), rows);
                }
            }
        }

        /// What somebody else wrote, or a disk changed, never panics, and is never more rows.
        #[test]
        fn hostile_bytes_are_nothing_or_so_many_rows(
            kind in 0u8..4,
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..64),
            rows in 0usize..40,
        ) {
            let bytes = [&[kind], &bytes[..]].concat();
            if let Some(cells) = Cells::read(&bytes, rows) {
                prop_assert_eq!(cells.len(), rows);
                for row in 0..rows + 2 {
                    let value = cells.get(row);
                    prop_assert!(row < rows || value == ScalarRef::Null);
                }
                let mut again = Vec::new();
                cells.write(&mut again);
                let read = Cells::read(&again, rows).unwrap();
                for row in 0..rows {
                    // As text, in which no number is another and NaN is itself.
                    prop_assert_eq!(format!("{:?}", read.get(row)), format!("{:?}", cells.get(row)));
                }
            }
        }
    }
}
