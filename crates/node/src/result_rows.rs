//! What a statement gave, and how that differs from what it gave before.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use allod_sql::{Scalar, ScalarRef};

/// What is not the same in two results of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultChange {
    /// Rows that are there, or so many times more.
    Added {
        /// The row.
        row: Vec<Scalar>,
        /// How many times more than before.
        count: u64,
    },
    /// Rows that are gone, or so many times fewer.
    Removed {
        /// The row.
        row: Vec<Scalar>,
        /// How many times fewer than before.
        count: u64,
    },
    /// A row that is another now, and known by its key to be the same one.
    Modified {
        /// What it was.
        before: Vec<Scalar>,
        /// What it is.
        after: Vec<Scalar>,
    },
}

/// A result as a multiset of rows: their order is not a part of it (TAB-13).
#[derive(Clone, Debug, Default)]
pub(crate) struct ResultRows {
    rows: BTreeMap<Row, u64>,
    /// How many bytes they take.
    bytes: usize,
}

/// A value takes so much beside its text or bytes.
const VALUE_BYTES: usize = size_of::<Scalar>();

/// A row takes so much beside its values.
const ROW_BYTES: usize = 64;

impl ResultRows {
    pub(crate) fn add(&mut self, row: Vec<Scalar>) {
        let of_value = |value: &Scalar| match value {
            Scalar::Text(text) => text.len() + VALUE_BYTES,
            Scalar::Blob(bytes) => bytes.len() + VALUE_BYTES,
            Scalar::Null | Scalar::Integer(_) | Scalar::Real(_) => VALUE_BYTES,
        };
        let bytes = ROW_BYTES + row.iter().map(of_value).sum::<usize>();
        let times = self.rows.entry(Row(row)).or_insert(0);
        if *times == 0 {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        *times += 1;
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What differs from this result (before) to another, in the order of the rows: what was removed, what
    /// was modified, what was added.
    ///
    /// A row is modified if there is a column to know it by, and in both results it alone has its value there
    /// (TAB-14).
    pub(crate) fn changes(&self, after: &Self, key: Option<usize>) -> Vec<ResultChange> {
        let mut removed = lacking(&self.rows, &after.rows);
        let mut added = lacking(&after.rows, &self.rows);
        let mut modified = Vec::new();
        if let Some(key) = key {
            let mut pairs: BTreeMap<Row, Pair> = BTreeMap::new();
            for (row, _) in &removed {
                pairs.entry(row.key(key)).or_default().0 = Some(Row::clone(row));
            }
            for (row, _) in &added {
                pairs.entry(row.key(key)).or_default().1 = Some(Row::clone(row));
            }
            pairs.retain(|key, pair| {
                !matches!(key.0[..], [Scalar::Null]) && pair.0.is_some() && pair.1.is_some()
            });
            for rows in [&self.rows, &after.rows] {
                let mut held: BTreeMap<Row, u64> = BTreeMap::new();
                for (row, times) in rows {
                    let key = row.key(key);
                    if pairs.contains_key(&key) {
                        *held.entry(key).or_default() += times;
                    }
                }
                pairs.retain(|key, _| held.get(key) == Some(&1));
            }
            let is_alone = |row: &Row| !pairs.contains_key(&row.key(key));
            removed.retain(|(row, _)| is_alone(row));
            added.retain(|(row, _)| is_alone(row));
            for (before, after) in pairs.into_values() {
                if let (Some(before), Some(after)) = (before, after) {
                    modified.push(ResultChange::Modified {
                        before: before.0,
                        after: after.0,
                    });
                }
            }
        }
        let removed = removed.into_iter().map(|(row, count)| {
            let row = row.0.clone();
            ResultChange::Removed { row, count }
        });
        let added = added.into_iter().map(|(row, count)| {
            let row = row.0.clone();
            ResultChange::Added { row, count }
        });
        removed.chain(modified).chain(added).collect()
    }
}

/// What a row was and is.
type Pair = (Option<Row>, Option<Row>);

/// The rows that one result has more often than another, and how much more.
fn lacking<'a>(more: &'a BTreeMap<Row, u64>, less: &BTreeMap<Row, u64>) -> Vec<(&'a Row, u64)> {
    let over = more.iter().filter_map(|(row, times)| {
        let over = times.saturating_sub(less.get(row).copied().unwrap_or(0));
        (over > 0).then_some((row, over))
    });
    over.collect()
}

/// Values in the order of the engine; those that it takes for equal are told apart by their kind, as 1 and 1.0.
#[derive(Clone, Debug)]
struct Row(Vec<Scalar>);

impl Row {
    /// The value by which it is known.
    fn key(&self, at: usize) -> Self {
        Self(self.0.get(at).cloned().into_iter().collect())
    }
}

impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        let kind = |value: ScalarRef<'_>| matches!(value, ScalarRef::Real(_));
        let values = self.0.iter().zip(&other.0).map(|(one, two)| {
            let (one, two) = (one.borrow(), two.borrow());
            one.compare(two).then_with(|| kind(one).cmp(&kind(two)))
        });
        let mut unlike = values.filter(|order| order.is_ne());
        unlike
            .next()
            .unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Row {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[i64]]) -> ResultRows {
        let mut all = ResultRows::default();
        for row in rows {
            all.add(row.iter().map(|value| Scalar::Integer(*value)).collect());
        }
        all
    }

    fn row(values: &[i64]) -> Vec<Scalar> {
        values.iter().map(|value| Scalar::Integer(*value)).collect()
    }

    #[test]
    fn rows_are_counted() {
        let before = rows(&[&[1], &[1], &[2]]);
        let after = rows(&[&[1], &[3], &[3]]);
        let changes = before.changes(&after, None);
        assert_eq!(
            changes,
            [
                ResultChange::Removed {
                    row: row(&[1]),
                    count: 1
                },
                ResultChange::Removed {
                    row: row(&[2]),
                    count: 1
                },
                ResultChange::Added {
                    row: row(&[3]),
                    count: 2
                },
            ]
        );
    }

    #[test]
    fn a_row_is_modified_if_it_alone_has_its_key() {
        let before = rows(&[&[1, 10], &[2, 20], &[3, 30]]);
        let after = rows(&[&[1, 11], &[2, 20], &[2, 21], &[3, 31], &[3, 32]]);
        let changes = before.changes(&after, Some(0));
        let modified = ResultChange::Modified {
            before: row(&[1, 10]),
            after: row(&[1, 11]),
        };
        assert!(changes.contains(&modified), "{changes:?}");
        assert_eq!(changes.len(), 5, "{changes:?}");
        // Null is the key of nothing.
        let (mut before, mut after) = (ResultRows::default(), ResultRows::default());
        before.add(vec![Scalar::Null, 1.into()]);
        after.add(vec![Scalar::Null, 2.into()]);
        assert_eq!(before.changes(&after, Some(0)).len(), 2);
    }

    #[test]
    fn numbers_of_both_kinds_are_two_rows() {
        let (mut before, mut after) = (ResultRows::default(), ResultRows::default());
        before.add(vec![1.into()]);
        after.add(vec![1.0.into()]);
        assert_eq!(before.changes(&after, None).len(), 2);
        assert_eq!(before.changes(&before, None), []);
    }
}
