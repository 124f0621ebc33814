//! What joins: the one law that all kinds share (CRDT-3), and maps whose values join key by key.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::error::BadState;

/// A part of a state that joins with another one of its type.
///
/// Joining is commutative, associative and idempotent, for all values of the type.
pub(crate) trait Join: Clone {
    /// Makes `self` the least that has what both have.
    fn join(&mut self, other: &Self);

    /// Whether joining `other` would change nothing.
    fn includes(&self, other: &Self) -> bool;

    /// A part that joined with `since` gives what `self` joined with `since` gives; `None` if nothing
    /// is new.
    fn delta(&self, since: &Self) -> Option<Self> {
        (!since.includes(self)).then(|| self.clone())
    }
}

/// The later of two things in a total order.
pub(crate) fn later<T: Clone + Ord>(ours: &mut T, theirs: &T) {
    if *ours < *theirs {
        ours.clone_from(theirs);
    }
}

/// Joins key by key. A key that is not there is less than anything that could be there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct JoinMap<K, V>(pub(crate) BTreeMap<K, V>);

impl<K, V> Default for JoinMap<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Clone + Ord, V: Join> Join for JoinMap<K, V> {
    fn join(&mut self, other: &Self) {
        for (key, theirs) in &other.0 {
            match self.0.entry(key.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(theirs.clone());
                }
                Entry::Occupied(mut entry) => entry.get_mut().join(theirs),
            }
        }
    }

    fn includes(&self, other: &Self) -> bool {
        let mut others = other.0.iter();
        others.all(|(key, theirs)| self.0.get(key).is_some_and(|ours| ours.includes(theirs)))
    }

    fn delta(&self, since: &Self) -> Option<Self> {
        let new = |(key, ours): (&K, &V)| {
            let new = match since.0.get(key) {
                Some(theirs) => ours.delta(theirs)?,
                None => ours.clone(),
            };
            Some((key.clone(), new))
        };
        let new: BTreeMap<K, V> = self.0.iter().filter_map(new).collect();
        (!new.is_empty()).then_some(Self(new))
    }
}

/// What was read as a list, if it strictly ascends.
pub(crate) fn ascending<K: Ord, V>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> Result<BTreeMap<K, V>, BadState> {
    let pairs: Vec<(K, V)> = pairs.into_iter().collect();
    let mut neighbours = pairs.iter().zip(pairs.iter().skip(1));
    if !neighbours.all(|((one, _), (next, _))| one < next) {
        return Err(BadState::Order);
    }
    // In order, so that this is linear.
    Ok(pairs.into_iter().collect())
}
