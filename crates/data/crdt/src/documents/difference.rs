//! The edits between two values of JSON.

use serde_json::{Map, Value as Json};

use super::edit::joined;
use super::{DEPTH_MAX, DocumentError, Edit};

/// What is compared item by item in a table: the product of two lengths.
///
/// What is more is taken as replaced, so that no difference takes more than this.
const TABLE_MAX: usize = 1 << 20;

/// The edits that lead from one object to another.
pub(super) fn of(from: &Json, to: &Json) -> Result<Vec<Edit>, DocumentError> {
    let mut edits = Vec::new();
    values(from, to, "", 0, &mut edits)?;
    Ok(edits)
}

fn values(
    from: &Json,
    to: &Json,
    path: &str,
    depth: usize,
    edits: &mut Vec<Edit>,
) -> Result<(), DocumentError> {
    if depth > DEPTH_MAX {
        return Err(DocumentError::TooDeep);
    }
    match (from, to) {
        (Json::Object(from), Json::Object(to)) => fields(from, to, path, depth, edits),
        (Json::Array(from), Json::Array(to)) => elements(from, to, path, depth, edits),
        (Json::String(from), Json::String(to)) => {
            texts(from, to, path, edits);
            Ok(())
        }
        _ if from == to => Ok(()),
        _ => {
            let (path, value) = (path.to_owned(), to.clone());
            edits.push(Edit::Set { path, value });
            Ok(())
        }
    }
}

fn fields(
    from: &Map<String, Json>,
    to: &Map<String, Json>,
    path: &str,
    depth: usize,
    edits: &mut Vec<Edit>,
) -> Result<(), DocumentError> {
    for field in from.keys().filter(|field| !to.contains_key(*field)) {
        let path = joined(path, field);
        edits.push(Edit::Delete { path });
    }
    for (field, value) in to {
        let path = joined(path, field);
        match from.get(field) {
            Some(old) => values(old, value, &path, depth + 1, edits)?,
            None => edits.push(Edit::Set {
                path,
                value: value.clone(),
            }),
        }
    }
    Ok(())
}

/// From the end to the start, so that the places before an edit keep their numbers.
fn elements(
    from: &[Json],
    to: &[Json],
    path: &str,
    depth: usize,
    edits: &mut Vec<Edit>,
) -> Result<(), DocumentError> {
    for run in runs(from, to).into_iter().rev() {
        let old = from.iter().skip(run.at).take(run.removed);
        let new = to.iter().skip(run.to).take(run.added);
        let both = run.removed.min(run.added);
        for index in (run.at + both..run.at + run.removed).rev() {
            let path = joined(path, &index.to_string());
            edits.push(Edit::Delete { path });
        }
        for (index, value) in (run.at..).zip(new.clone()).skip(both) {
            let (path, value) = (joined(path, &index.to_string()), value.clone());
            edits.push(Edit::Insert { path, value });
        }
        for (index, (old, new)) in (run.at..).zip(old.zip(new)) {
            let path = joined(path, &index.to_string());
            values(old, new, &path, depth + 1, edits)?;
        }
    }
    Ok(())
}

fn texts(from: &str, to: &str, path: &str, edits: &mut Vec<Edit>) {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    for run in runs(&from, &to).into_iter().rev() {
        edits.push(Edit::Splice {
            path: path.to_owned(),
            at: run.at,
            delete: run.removed,
            insert: to.iter().skip(run.to).take(run.added).collect(),
        });
    }
}

/// A part of one sequence that is replaced by a part of another.
#[derive(Clone, Copy, Debug)]
struct Run {
    at: usize,
    removed: usize,
    to: usize,
    added: usize,
}

/// What differs, in order: what both begin and end with stays, and a longest common part of what is
/// between, if that is not too long.
fn runs<T: PartialEq>(from: &[T], to: &[T]) -> Vec<Run> {
    let same = |(one, two): &(&T, &T)| one == two;
    let start = from.iter().zip(to).take_while(same).count();
    let (old, new) = (from.iter().skip(start), to.iter().skip(start));
    let end = old
        .clone()
        .rev()
        .zip(new.clone().rev())
        .take_while(same)
        .count();
    let old: Vec<&T> = old.take(from.len() - start - end).collect();
    let new: Vec<&T> = new.take(to.len() - start - end).collect();
    let whole = Run {
        at: start,
        removed: old.len(),
        to: start,
        added: new.len(),
    };
    if old.is_empty() && new.is_empty() {
        return Vec::new();
    }
    if old.len().saturating_mul(new.len()) > TABLE_MAX {
        return vec![whole];
    }
    between(&old, &new, start)
}

/// What differs around a longest common part.
fn between<T: PartialEq>(old: &[&T], new: &[&T], start: usize) -> Vec<Run> {
    // How long the common part of what is left of both is, from each place on.
    let width = new.len() + 1;
    let mut table = vec![0_u32; (old.len() + 1) * width];
    let common = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, one) in old.iter().enumerate().rev() {
        for (j, two) in new.iter().enumerate().rev() {
            let longest = if one == two {
                common(&table, i + 1, j + 1) + 1
            } else {
                common(&table, i + 1, j).max(common(&table, i, j + 1))
            };
            if let Some(cell) = table.get_mut(i * width + j) {
                *cell = longest;
            }
        }
    }
    let mut runs: Vec<Run> = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if let (Some(one), Some(two)) = (old.get(i), new.get(j))
            && one == two
        {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let (at, to) = (start + i, start + j);
        let is_removed = i < old.len() && common(&table, i + 1, j) >= common(&table, i, j + 1);
        let (removed, added) = (usize::from(is_removed), usize::from(!is_removed));
        (i, j) = (i + removed, j + added);
        match runs.last_mut() {
            Some(run) if run.at + run.removed == at && run.to + run.added == to => {
                run.removed += removed;
                run.added += added;
            }
            _ => runs.push(Run {
                at,
                removed,
                to,
                added,
            }),
        }
    }
    runs
}
