//! The entries that a record has in a projection (PROJ, "Entries").

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::definition::{Function, Projection, Shape};
use crate::expr::{Expr, FieldPath};
use crate::key::push_key;
use crate::record::{Datum, Record, RecordReader};
use crate::sum::Sum;
use crate::types::Type;
use crate::validate::is_record_key;
use crate::value::Value;

/// Behind a field key, before the key of a record: less than what is behind a 00 in a text.
pub(crate) const RECORD: u8 = 0xfe;

/// The states of groups, and the values of their least and greatest.
pub(crate) const GROUP: u8 = 0x01;
pub(crate) const EXTREME: u8 = 0x02;

/// The sides of a join, the other first, so that a reader has it at hand for each of the source.
pub(crate) const OTHER: u8 = 0x00;
pub(crate) const OWN: u8 = 0x01;

/// The longest key of a record that is in a projection, in bytes: with a field key it fits a key of a
/// tree.
pub const RECORD_KEY_BYTES_MAX: usize = 1024;

/// What a text or bytes of a field key has at most, in bytes, and what is left of a longer one besides
/// its digest (PROJ-4).
const SHORT_BYTES_MAX: usize = 128;
pub(crate) const BEGINNING_BYTES: usize = 64;

/// The longest values kept beside a key, in bytes: with the key they fit a leaf. Longer ones are
/// computed from the record.
const VALUES_BYTES_MAX: usize = 1024;

/// Entries that a record has: combinations of lists multiply (PROJ-5).
const KEYS_MAX: usize = 1000;

/// Words of a record: a long chapter (PROJ-8).
const WORDS_MAX: usize = 10_000;

/// The longest word, in bytes (PROJ-8).
const WORD_BYTES_MAX: usize = 64;

/// What a value of a field key takes at most, in bytes: each of those that it has may be written as two,
/// between a mark and an end.
const FIELD_BYTES_MAX: usize = 2 * SHORT_BYTES_MAX + 4;

/// Marks in a key, and how often a word is there, in bytes.
const MARKS_BYTES_MAX: usize = 16;

/// Which records of a projection one is among.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// The source.
    Own,
    /// The other side of a join.
    Other,
}

/// Entries that come or go, one behind the other in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    bytes: Vec<u8>,
    /// Of each, where its key and its value end; none for one that goes.
    ends: Vec<(usize, Option<usize>)>,
}

impl Entries {
    /// Adds the entry with a key of these parts.
    pub(crate) fn put(&mut self, key: &[&[u8]], value: Option<&[u8]>) {
        for part in key {
            self.bytes.extend_from_slice(part);
        }
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends
            .push((key_end, value.map(|_value| self.bytes.len())));
    }

    pub(crate) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Their keys and values, as they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut start = 0;
        self.ends.iter().map(move |(key_end, end)| {
            let key = &self.bytes[start..*key_end];
            let value = end.map(|end| &self.bytes[*key_end..end]);
            start = end.unwrap_or(*key_end);
            (key, value)
        })
    }
}

/// How many entries a record of a type has at most in a projection that is not of groups, and how many
/// bytes one of them.
pub(crate) fn bounds(shape: &Shape, side: Side, kind: Option<&Type>) -> (u64, u64) {
    let (of, values, most): (&[Expr], &[Expr], usize) = match (shape, side) {
        (Shape::Index { by, values }, _) => (by, values, KEYS_MAX),
        (Shape::Group { by, .. }, _) => (by, &[], KEYS_MAX),
        (Shape::Join { on, left, .. }, Side::Own) => (std::slice::from_ref(on), left, KEYS_MAX),
        (Shape::Join { to, right, .. }, Side::Other) => (std::slice::from_ref(to), right, KEYS_MAX),
        (Shape::Words { of }, _) => (of, &[], WORDS_MAX),
    };
    let is_list = |of: &Expr| {
        let path = of.as_field().map(FieldPath::names);
        let Some([name]) = path else { return false };
        let field = kind.and_then(|kind| kind.field(name));
        field.is_some_and(|(_, field)| field.list)
    };
    let is_one = !matches!(shape, Shape::Words { .. }) && !of.iter().any(is_list);
    let beside = if values.is_empty() {
        0
    } else {
        VALUES_BYTES_MAX
    };
    let fields = FIELD_BYTES_MAX * if most == WORDS_MAX { 1 } else { of.len() };
    let bytes = fields + RECORD_KEY_BYTES_MAX + MARKS_BYTES_MAX + beside;
    (if is_one { 1 } else { most as u64 }, bytes as u64)
}

/// What changes in a projection.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Entries that come or go; of several with one key the last counts.
    pub(crate) entries: Entries,
    /// What is added to groups, by their keys.
    pub(crate) groups: BTreeMap<Vec<u8>, GroupChange>,
    /// Where a field key is put together.
    key: Vec<u8>,
}

/// What is added to a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupChange {
    /// Records.
    pub(crate) count: i64,
    /// For each total what is added to it; of a count, only how many.
    pub(crate) totals: Vec<Sum>,
}

impl Changes {
    /// Adds what a record has in a projection (`times` 1), or takes it away (-1). What is malformed
    /// has nothing (PROJ-2).
    pub(crate) fn record(
        &mut self,
        projection: &Projection,
        (side, reader): (Side, &mut RecordReader),
        (key, bytes): (&[u8], &[u8]),
        times: i64,
    ) {
        let Ok(record) = reader.read(bytes) else {
            return;
        };
        if record.is_left_out() || !is_record_key(key) {
            return;
        }
        let filter = projection.filter.as_ref().filter(|_| side == Side::Own);
        if filter.is_some_and(|filter| !matches!(filter.holds(&record), Ok(Some(true)))) {
            return;
        }
        match &projection.shape {
            Shape::Index { by, values } => {
                let beside = kept(values, &record);
                self.put_each(by, &record, (&[RECORD], key), (&beside, times));
            }
            Shape::Group { by, totals } => {
                for group in field_keys(by, &record) {
                    self.group(group, totals, (key, &record), times);
                }
            }
            Shape::Join {
                on,
                to,
                left,
                right,
                ..
            } => {
                let (of, values, mark) = match side {
                    Side::Own => (on, left, OWN),
                    Side::Other => (to, right, OTHER),
                };
                let beside = kept(values, &record);
                let of = std::slice::from_ref(of);
                self.put_each(of, &record, (&[RECORD, mark], key), (&beside, times));
            }
            Shape::Words { of } => {
                for (word, count) in words(of, &record) {
                    let mut start = Vec::new();
                    push_key(&mut start, &Value::Text(word));
                    let count = allod_identity::canonical::encode(&count).unwrap_or_default();
                    self.entries
                        .put(&[&start, &[RECORD], key], (times > 0).then_some(&count));
                }
            }
        }
    }

    /// Puts an entry for each field key of a record: the key, marks, and the key of the record.
    fn put_each(
        &mut self,
        by: &[Expr],
        record: &Record<'_>,
        (marks, key): (&[u8], &[u8]),
        (value, times): (&[u8], i64),
    ) {
        let value = (times > 0).then_some(value);
        self.key.clear();
        for expr in by {
            // Most records have one value in each field, and so one key.
            let Some(one) = element(expr, record) else {
                for start in field_keys(by, record) {
                    self.entries.put(&[&start, marks, key], value);
                }
                return;
            };
            push_short(&mut self.key, &one);
        }
        self.entries.put(&[&self.key, marks, key], value);
    }

    fn group(
        &mut self,
        group: Vec<u8>,
        totals: &[(Function, Option<Expr>)],
        (key, record): (&[u8], &Record<'_>),
        times: i64,
    ) {
        let values: Vec<Value> = totals
            .iter()
            .map(|(_, of)| of.as_ref().map_or(Value::Null, |of| compute(of, record)))
            .collect();
        for (place, ((function, _), value)) in (0u8..).zip(totals.iter().zip(&values)) {
            if matches!(function, Function::Min | Function::Max) && *value != Value::Null {
                let mut start = extreme_start(&group, place);
                push_short(&mut start, value);
                let value = (times > 0).then_some(&[][..]);
                self.entries.put(&[&start, &[RECORD], key], value);
            }
        }
        let state = self.groups.entry(group).or_default();
        state.count += times;
        state.totals.resize(totals.len(), Sum::default());
        for ((total, (function, of)), value) in state.totals.iter_mut().zip(totals).zip(&values) {
            match function {
                Function::Count if of.is_some() && *value != Value::Null => total.count += times,
                Function::Sum | Function::Avg => {
                    total.add(value, times);
                }
                _ => {}
            }
        }
    }
}

/// The key of a group's state.
pub(crate) fn group_key(group: &[u8]) -> Vec<u8> {
    [&[GROUP], group].concat()
}

/// What the values of the total at a place of a group begin with.
pub(crate) fn extreme_start(group: &[u8], place: u8) -> Vec<u8> {
    [&[EXTREME], group, &[place]].concat()
}

/// The field key of values (PROJ-4).
pub(crate) fn field_key(values: &[Value]) -> Vec<u8> {
    let mut key = Vec::new();
    for value in values {
        push_short(&mut key, value);
    }
    key
}

/// Adds a value to a field key.
fn push_short(key: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) if text.len() > SHORT_BYTES_MAX => {
            let beginning = text.floor_char_boundary(BEGINNING_BYTES);
            let mut short = text[..beginning].to_owned();
            for byte in Sha256::digest(text.as_bytes()) {
                short += &format!("{byte:02x}");
            }
            push_key(key, &Value::Text(short));
        }
        Value::Bytes(bytes) if bytes.len() > SHORT_BYTES_MAX => {
            let digest = Sha256::digest(bytes);
            let short = [&bytes[..BEGINNING_BYTES], &digest[..]].concat();
            push_key(key, &Value::Bytes(short));
        }
        _ => push_key(key, value),
    }
}

/// What an expression is for a record; null if it cannot be computed (PROJ-2).
pub(crate) fn compute(expr: &Expr, record: &Record<'_>) -> Value {
    expr.eval(record).unwrap_or_default()
}

/// The values kept beside a key, or nothing if they are too long.
fn kept(values: &[Expr], record: &Record<'_>) -> Vec<u8> {
    let mut kept = Vec::new();
    for value in values {
        push_key(&mut kept, &compute(value, record));
    }
    if kept.len() > VALUES_BYTES_MAX {
        kept.clear();
    }
    kept
}

/// Whether a value of a field key may stand for a longer one (PROJ-4).
pub(crate) const fn may_be_cut(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.len() > BEGINNING_BYTES,
        Value::Bytes(bytes) => bytes.len() > BEGINNING_BYTES,
        _ => false,
    }
}

/// What an expression is for a record: the different elements of a list in their order if it is a field
/// that has one, else one value.
pub(crate) fn elements(of: &Expr, record: &Record<'_>) -> Vec<Value> {
    match of.as_field().map(|path| record.get(path)) {
        Some(Datum::Many(mut elements, _)) => {
            elements.sort_unstable();
            elements.dedup();
            elements
        }
        Some(datum) => vec![datum.into_value()],
        None => vec![compute(of, record)],
    }
}

/// What an expression is for a record, if that is one value and no list.
fn element(of: &Expr, record: &Record<'_>) -> Option<Value> {
    match of.as_field().map(|path| record.get(path)) {
        Some(Datum::Many(..)) => None,
        Some(Datum::One(value)) => Some(value),
        None => Some(compute(of, record)),
    }
}

/// The field keys of a record: one, or one for each combination of the elements of lists (PROJ-5), at
/// most [`KEYS_MAX`].
fn field_keys(by: &[Expr], record: &Record<'_>) -> BTreeSet<Vec<u8>> {
    let mut keys = BTreeSet::from([Vec::new()]);
    for expr in by {
        let elements = elements(expr, record);
        let spread = keys.iter().flat_map(|start| {
            elements.iter().map(|element| {
                let mut key = start.clone();
                push_short(&mut key, element);
                key
            })
        });
        // In the order of starts and elements; elements that are cut may be out of it.
        keys = spread.take(KEYS_MAX).collect();
    }
    keys
}

/// How often a record has which words (PROJ-8).
fn words(of: &[Expr], record: &Record<'_>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let texts = of.iter().flat_map(|of| elements(of, record));
    let texts: Vec<String> = texts
        .filter_map(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
        .collect();
    for word in texts
        .iter()
        .flat_map(|text| split_words(text))
        .take(WORDS_MAX)
    {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// The words of a text (PROJ-8).
pub(crate) fn split_words(text: &str) -> impl Iterator<Item = String> + '_ {
    let is_apart = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric();
    text.split(is_apart)
        .filter(|word| !word.is_empty())
        .map(|word| {
            let end = word.floor_char_boundary(WORD_BYTES_MAX);
            word[..end].to_ascii_lowercase()
        })
}
