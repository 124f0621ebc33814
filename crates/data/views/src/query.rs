//! Reading projections.

use std::ops::Bound;

use allod_repo::Content;
use allod_tree::Tree;
use bytes::Bytes;

use crate::definition::{Function, Shape, ShapeDefinition};
use crate::derive::{KeptSum, decode};
use crate::entries::{
    GROUP, OTHER, OWN, RECORD, Side, compute, elements, extreme_start, field_key, group_key,
    may_be_cut, split_words,
};
use crate::error::ViewError;
use crate::expr::Expr;
use crate::key::take;
use crate::record::Record;
use crate::value::Value;
use crate::views::Projected;

/// Records of the other side of a join that are held for one value at a time: a bound on memory.
const PARTNERS_MAX: usize = 100_000;

/// A row of a projection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// The key of the record it belongs to, of a join that of the source; none for a group.
    pub key: Option<Bytes>,
    /// Of a join, the key of the other record, if there is one.
    pub other: Option<Bytes>,
    /// The values, in the order of [`Projection::columns`](crate::Projection::columns).
    pub values: Vec<Value>,
}

/// Where to begin reading, and in which direction.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Behind the row of this cursor.
    pub after: Option<Vec<u8>>,
    /// From the last row to the first.
    pub reverse: bool,
}

/// Rows, each with a cursor that a later [`Page`] begins behind. A cursor belongs to the projection,
/// not to a state of it.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<(Vec<u8>, Row), ViewError>> + 'a>;

impl Projected {
    /// The rows whose first values are these: of an index or group in the order of `by`, of a join by
    /// the value that both sides have, of words by one of them. Without values, all rows.
    ///
    /// # Errors
    /// [`ViewError::Query`] if there are more values than the projection is in the order of.
    pub fn rows(&self, first: &[Value], page: &Page) -> Result<Rows<'_>, ViewError> {
        let most = match &self.projection.shape {
            Shape::Index { by, .. } | Shape::Group { by, .. } => by.len(),
            Shape::Join { .. } | Shape::Words { .. } => 1,
        };
        if first.len() > most {
            let got = first.len();
            return Err(query(&format!(
                "the projection is in the order of {most} values, not {got}"
            )));
        }
        let prefix = match &self.projection.shape {
            Shape::Group { .. } => group_key(&field_key(first)),
            _ => field_key(first),
        };
        self.rows_under(&prefix, page)
    }

    /// The rows made of the entries that begin with a prefix.
    pub(crate) fn rows_under(&self, prefix: &[u8], page: &Page) -> Result<Rows<'_>, ViewError> {
        if page.reverse && matches!(self.projection.shape, Shape::Join { .. }) {
            return Err(query("a join is read forwards"));
        }
        let entries = entries(&self.tree, prefix, page);
        Ok(match &self.projection.shape {
            Shape::Index { .. } | Shape::Words { .. } => Box::new(entries.map(|entry| {
                let (key, kept) = entry?;
                self.row_of(key, &kept)
            })),
            Shape::Group { by, totals } => Box::new(entries.filter_map(move |entry| {
                let read = entry.and_then(|(key, _)| self.group_row(key, (by.len(), totals)));
                read.transpose()
            })),
            Shape::Join { .. } => Box::new(self.pairs(prefix, page)),
        })
    }

    /// The keys of records that have all words of a text, in key order, each with how often it has them.
    ///
    /// # Errors
    /// [`ViewError::Query`] if the projection is none of words, or the text has no word.
    pub fn search(&self, text: &str) -> Result<Vec<(Bytes, u64)>, ViewError> {
        if !matches!(self.projection.shape, Shape::Words { .. }) {
            return Err(query("only a projection of words is searched"));
        }
        let mut words: Vec<String> = split_words(text).collect();
        words.sort_unstable();
        words.dedup();
        let Some((first, rest)) = words.split_first() else {
            return Err(query("there is no word to search for"));
        };
        let prefix = |word: &String| field_key(&[Value::Text(word.clone())]);
        let mut found = Vec::new();
        for entry in entries(&self.tree, &prefix(first), &Page::default()) {
            let (key, count) = entry?;
            let record = split(&key, 1)?.1;
            let mut times: u64 = decode(&count)?;
            let mut has_all = true;
            for word in rest {
                let key = [&prefix(word)[..], &[RECORD], &record].concat();
                match self.tree.get(&key)? {
                    Some(count) => times += decode::<u64>(&count)?,
                    None => has_all = false,
                }
            }
            if has_all {
                found.push((record, times));
            }
        }
        Ok(found)
    }

    /// The row that one entry of an index or of words is.
    pub(crate) fn row_of(&self, key: Vec<u8>, kept: &[u8]) -> Result<(Vec<u8>, Row), ViewError> {
        if let Shape::Index { by, values } = &self.projection.shape {
            return self.index_row(key, kept, (by, values));
        }
        let (mut values, record) = split(&key, 1)?;
        values.push(number(decode(kept)?)?);
        let row = Row {
            key: Some(record),
            other: None,
            values,
        };
        Ok((key, row))
    }

    fn index_row(
        &self,
        key: Vec<u8>,
        kept: &[u8],
        (by, values): (&[Expr], &[Expr]),
    ) -> Result<(Vec<u8>, Row), ViewError> {
        let (mut row, record) = split(&key, by.len())?;
        for (value, of) in row.iter_mut().zip(by) {
            self.restore(value, &record, of)?;
        }
        row.extend(self.beside(kept, &record, Side::Own, values)?);
        let row = Row {
            key: Some(record),
            other: None,
            values: row,
        };
        Ok((key, row))
    }

    /// The values beside a key; what was too long to be kept is computed from the record.
    fn beside(
        &self,
        kept: &[u8],
        record: &[u8],
        side: Side,
        values: &[Expr],
    ) -> Result<Vec<Value>, ViewError> {
        if !kept.is_empty() || values.is_empty() {
            return values_of(kept, values.len());
        }
        let computed =
            |record: &Record<'_>| values.iter().map(|value| compute(value, record)).collect();
        self.with_record(record, side, computed)
    }

    /// Puts the whole value in the place of one that was cut to fit a key (PROJ-4).
    fn restore(&self, value: &mut Value, record: &[u8], of: &Expr) -> Result<(), ViewError> {
        if !may_be_cut(value) {
            return Ok(());
        }
        let short = field_key(std::slice::from_ref(value));
        let whole = self.with_record(record, Side::Own, |record| {
            // An element of a list, or of a least or greatest the list as its text.
            let mut values = elements(of, record)
                .into_iter()
                .chain([compute(of, record)]);
            values.find(|value| field_key(std::slice::from_ref(value)) == short)
        })?;
        *value = whole.ok_or(ViewError::Damaged)?;
        Ok(())
    }

    fn with_record<T>(
        &self,
        key: &[u8],
        side: Side,
        read: impl FnOnce(&Record<'_>) -> T,
    ) -> Result<T, ViewError> {
        let resolved = self.types.resolve(&self.projection);
        let kind = match side {
            Side::Own => resolved.own,
            Side::Other => resolved.other,
        };
        let Some(Content::Bytes(bytes)) = self.source.get(key)? else {
            return Err(ViewError::Damaged);
        };
        let record = Record::parse(&bytes, kind.map(|kind| &**kind))
            .map_err(|_malformed| ViewError::Damaged)?;
        Ok(read(&record))
    }

    /// The group of an entry, if the entry is the one that says how many records it has.
    fn group_row(
        &self,
        key: Vec<u8>,
        (by, totals): (usize, &[(Function, Option<Expr>)]),
    ) -> Result<Option<(Vec<u8>, Row)>, ViewError> {
        if key.first() != Some(&GROUP) {
            return Ok(None);
        }
        let (mut values, rest) = take_values(&key[1..], by)?;
        if !rest.is_empty() {
            return Ok(None);
        }
        let of = |place: u8| self.tree.get(&[&key[..], &[place]].concat());
        for (place, (function, of_expr)) in (0u8..).zip(totals) {
            values.push(match function {
                Function::Count => {
                    let kept = if of_expr.is_some() {
                        of(place)?
                    } else {
                        self.tree.get(&key)?
                    };
                    number(kept.map_or(Ok(0), |kept| decode(&kept))?)?
                }
                Function::Sum | Function::Avg => {
                    let kept = of(place)?
                        .map(|kept| decode::<KeptSum>(&kept))
                        .transpose()?;
                    let sum = kept.map(|kept| kept.sum()).transpose()?.unwrap_or_default();
                    if *function == Function::Sum {
                        sum.total()
                    } else {
                        sum.average()
                    }
                }
                Function::Min | Function::Max => match of_expr {
                    Some(of) => self.extreme((&key[1..], place), of, *function == Function::Max)?,
                    None => Value::Null,
                },
            });
        }
        let row = Row {
            key: None,
            other: None,
            values,
        };
        Ok(Some((key, row)))
    }

    fn extreme(
        &self,
        (group, place): (&[u8], u8),
        of: &Expr,
        greatest: bool,
    ) -> Result<Value, ViewError> {
        let start = extreme_start(group, place);
        let page = Page {
            after: None,
            reverse: greatest,
        };
        let Some(entry) = entries(&self.tree, &start, &page).next() else {
            return Ok(Value::Null);
        };
        let (key, _) = entry?;
        let (mut values, record) = split(&key[start.len()..], 1)?;
        let mut value = values.pop().unwrap_or_default();
        self.restore(&mut value, &record, of)?;
        Ok(value)
    }

    /// The pairs of a join, by the value that both sides have.
    fn pairs<'a>(
        &'a self,
        prefix: &[u8],
        page: &Page,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Row), ViewError>> + use<'a> {
        // A cursor is the key of the entry of the source and that of the other record. Partners are read
        // anew where a page begins within a value.
        Pairs {
            projected: self,
            entries: entries(
                &self.tree,
                prefix,
                &Page {
                    // From the value on that the cursor is in: its partners are read anew.
                    after: page.after.as_deref().and_then(value_of),
                    reverse: false,
                },
            ),
            value: Vec::new(),
            partners: Vec::new(),
            pending: std::collections::VecDeque::new(),
            after: page.after.clone(),
        }
    }

    fn join_parts(&self) -> Option<(&[Expr], &[Expr], bool)> {
        match (&self.projection.shape, &self.projection.definition().shape) {
            (Shape::Join { left, right, .. }, ShapeDefinition::Join { outer, .. }) => {
                Some((left, right, *outer))
            }
            _ => None,
        }
    }
}

type Entries = Box<dyn Iterator<Item = Result<(Vec<u8>, Bytes), ViewError>> + Send>;

/// The pairs of a join. For each value the other side comes first.
struct Pairs<'a> {
    projected: &'a Projected,
    entries: Entries,
    /// The value that the partners have, as a field key.
    value: Vec<u8>,
    partners: Vec<(Bytes, Vec<Value>)>,
    pending: std::collections::VecDeque<(Vec<u8>, Row)>,
    after: Option<Vec<u8>>,
}

impl Pairs<'_> {
    fn take(&mut self, entry: (Vec<u8>, Bytes)) -> Result<(), ViewError> {
        let (key, kept) = entry;
        let Some((left, right, outer)) = self.projected.join_parts() else {
            return Err(ViewError::Damaged);
        };
        let (values, rest) = take_values(&key, 1)?;
        let value = &key[..key.len() - rest.len()];
        if self.value != value {
            self.value = value.to_vec();
            self.partners.clear();
        }
        let is_null = values.first() == Some(&Value::Null);
        let [RECORD, side @ (OTHER | OWN), record @ ..] = rest else {
            return Err(ViewError::Damaged);
        };
        let record = Bytes::copy_from_slice(record);
        if *side == OTHER {
            if is_null {
                return Ok(());
            }
            if self.partners.len() >= PARTNERS_MAX {
                return Err(query(&format!(
                    "more than {PARTNERS_MAX} records have one value"
                )));
            }
            let values = self.projected.beside(&kept, &record, Side::Other, right)?;
            self.partners.push((record, values));
            return Ok(());
        }
        let own = self.projected.beside(&kept, &record, Side::Own, left)?;
        let none = (Bytes::new(), vec![Value::Null; right.len()]);
        let partners = if self.partners.is_empty() && outer {
            std::slice::from_ref(&none)
        } else {
            &self.partners[..]
        };
        for (other, values) in partners {
            let length = u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes();
            let cursor = [&key[..], other, &length].concat();
            let row = Row {
                key: Some(record.clone()),
                other: (!other.is_empty()).then(|| other.clone()),
                values: [&own[..], values].concat(),
            };
            self.pending.push_back((cursor, row));
        }
        Ok(())
    }

    /// Whether a row is not behind the cursor that the page begins behind.
    fn is_past(&self, cursor: &[u8]) -> bool {
        let parts = |cursor: &[u8]| -> Option<(Vec<u8>, Vec<u8>)> {
            let (rest, length) = cursor.split_last_chunk::<2>()?;
            let (key, other) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
            Some((key.to_vec(), other.to_vec()))
        };
        self.after
            .as_deref()
            .is_none_or(|after| parts(cursor) > parts(after))
    }
}

impl Iterator for Pairs<'_> {
    type Item = Result<(Vec<u8>, Row), ViewError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some((cursor, row)) = self.pending.pop_front() {
                if self.is_past(&cursor) {
                    return Some(Ok((cursor, row)));
                }
            }
            let taken = self.entries.next()?.and_then(|entry| self.take(entry));
            if let Err(error) = taken {
                return Some(Err(error));
            }
        }
    }
}

/// The field key of the value that a cursor of a join is in.
fn value_of(cursor: &[u8]) -> Option<Vec<u8>> {
    let (_, rest) = take_values(cursor, 1).ok()?;
    Some(cursor[..cursor.len() - rest.len()].to_vec())
}

/// The entries that begin with a prefix.
fn entries(tree: &Tree, prefix: &[u8], page: &Page) -> Entries {
    // What goes on behind these values begins with less; ff is the rest of a longer text.
    let end = (!prefix.is_empty()).then(|| [prefix, &[0xff]].concat());
    let (mut from, mut to) = (
        Bound::Included(prefix),
        end.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
    );
    match page.after.as_deref().filter(|after| *after >= prefix) {
        Some(after) if !page.reverse => from = Bound::Excluded(after),
        Some(after) if end.as_deref().is_none_or(|end| after < end) => to = Bound::Excluded(after),
        _ => {}
    }
    let range = tree.range((from, to));
    let owned = |entry: Result<(Bytes, Bytes), allod_tree::TreeError>| {
        let (key, value) = entry?;
        Ok((key.to_vec(), value))
    };
    if page.reverse {
        Box::new(range.rev().map(owned))
    } else {
        Box::new(range.map(owned))
    }
}

/// The values that a key begins with, and the key of the record behind them.
pub(crate) fn split(key: &[u8], values: usize) -> Result<(Vec<Value>, Bytes), ViewError> {
    let (values, rest) = take_values(key, values)?;
    let record = rest.strip_prefix(&[RECORD]).ok_or(ViewError::Damaged)?;
    Ok((values, Bytes::copy_from_slice(record)))
}

pub(crate) fn take_values(mut key: &[u8], count: usize) -> Result<(Vec<Value>, &[u8]), ViewError> {
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let (value, rest) = take(key).ok_or(ViewError::Damaged)?;
        values.push(value);
        key = rest;
    }
    Ok((values, key))
}

fn values_of(kept: &[u8], count: usize) -> Result<Vec<Value>, ViewError> {
    let (values, rest) = take_values(kept, count)?;
    rest.is_empty().then_some(values).ok_or(ViewError::Damaged)
}

fn number(count: u64) -> Result<Value, ViewError> {
    let count = i64::try_from(count).map_err(|_error| ViewError::Damaged)?;
    Ok(Value::Number(count.into()))
}

fn query(text: &str) -> ViewError {
    ViewError::Query(text.to_owned())
}
