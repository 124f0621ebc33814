//! Putting a document together from changes that strangers made (CRDT-17).

use std::collections::{BTreeMap, BTreeSet};

use automerge::{AutoCommit, Change, TextEncoding};

use super::weigh::{OPERATIONS_MAX, weigh};
use super::{DocumentError, guarded};
use crate::document::{Document as Changes, Hash};

/// How often Automerge may refuse some of the changes before all of them are given up: each time costs a
/// copy of the document.
const REFUSALS_MAX: usize = 64;

/// A document without anything. Positions in texts count code points.
pub(super) fn blank() -> AutoCommit {
    AutoCommit::new_with_encoding(TextEncoding::UnicodeCodePoint)
}

/// The document, and how many changes were left out.
pub(super) fn load(changes: &Changes) -> Result<(AutoCommit, usize), DocumentError> {
    let sound = in_order(changes);
    let mut left_out = changes.0.len() - sound.len();
    let mut doc = blank();
    // Halves, until those are found that are refused.
    let mut open = vec![sound.as_slice()];
    let mut refusals = 0;
    while let Some(some) = open.pop() {
        let mut next = doc.clone();
        let applied = guarded(|| {
            let applied = next.apply_changes(some.iter().cloned());
            applied.map_err(|_error| DocumentError::Unreadable)?;
            // Those that wait for one that was refused are as if they were not there.
            let there = some
                .iter()
                .filter(|it| next.get_change_by_hash(&it.hash()).is_some());
            Ok(there.count())
        });
        match applied {
            Ok(count) => {
                left_out += some.len() - count;
                doc = next;
            }
            Err(_) if some.len() == 1 => left_out += 1,
            Err(_) if refusals == REFUSALS_MAX => return Err(DocumentError::Unreadable),
            Err(_) => {
                refusals += 1;
                let (first, second) = some.split_at(some.len() / 2);
                open.extend([second, first]);
            }
        }
    }
    Ok((doc, left_out))
}

/// What is sound, each change after those that it depends on, as many operations as may be.
///
/// Of those whose turn it is, the one with the least hash is next. Of an actor each has the next number.
fn in_order(changes: &Changes) -> Vec<Change> {
    let mut waiting: BTreeMap<Hash, (Change, u64)> = BTreeMap::new();
    for (hash, chunk) in &changes.0 {
        let Some(weight) = weigh(chunk.as_slice()) else {
            continue;
        };
        let read = guarded(|| {
            let change = Change::from_bytes(chunk.as_slice().to_vec());
            change.map_err(|_error| DocumentError::Unreadable)
        });
        if let Ok(change) = read {
            waiting.insert(*hash, (change, weight));
        }
    }
    let mut missing: BTreeMap<Hash, usize> = BTreeMap::new();
    let mut needed_by: BTreeMap<Hash, Vec<Hash>> = BTreeMap::new();
    for (hash, (change, _)) in &waiting {
        let needs: BTreeSet<Hash> = change.deps().iter().map(|dep| dep.0).collect();
        missing.insert(*hash, needs.len());
        for dep in needs {
            needed_by.entry(dep).or_default().push(*hash);
        }
    }
    let ready = missing.iter().filter(|(_, count)| **count == 0);
    let mut ready: BTreeSet<Hash> = ready.map(|(hash, _)| *hash).collect();
    let (mut taken, mut operations) = (Vec::new(), 0);
    let mut last: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    while let Some(hash) = ready.pop_first() {
        let Some((change, weight)) = waiting.remove(&hash) else {
            continue;
        };
        let seq = last
            .entry(change.actor_id().to_bytes().to_vec())
            .or_default();
        let is_next = seq.checked_add(1) == Some(change.seq());
        if !is_next || operations + weight > OPERATIONS_MAX {
            continue;
        }
        *seq = change.seq();
        operations += weight;
        for dependent in needed_by.remove(&hash).unwrap_or_default() {
            if let Some(count) = missing.get_mut(&dependent) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(dependent);
                }
            }
        }
        taken.push(change);
    }
    taken
}
