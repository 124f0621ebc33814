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
        }
    }
}
