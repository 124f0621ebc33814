//! Items that are there under dots, and what was seen: no trace of what was removed (CRDT-13).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{BadState, OpError};
use crate::item::Item;
use crate::kind::Writer;
use crate::lattice::{Join, ascending};

/// The n-th thing that a writer did in an epoch, from 1.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Dot(pub(crate) Writer, pub(crate) u64);

/// The greatest dot of each writer: all smaller ones are seen too.
type Seen = BTreeMap<Writer, u64>;

/// The dots of an item. The greater dot of a writer replaces the smaller one, so there is one of each.
type Dots = BTreeMap<Writer, u64>;

/// Dots that were seen, and the items of those that are still there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Causal {
    seen: Seen,
    /// No item is without a dot, no dot is there twice, and all are seen.
    live: BTreeMap<Item, Dots>,
}

/// The shape of its encoding.
pub(crate) type CausalWire = (Vec<(Writer, u64)>, Vec<(Item, Vec<(Writer, u64)>)>);

impl Causal {
    pub(crate) fn from_wire((seen, items): CausalWire) -> Result<Self, BadState> {
        if seen.iter().any(|(_, seq)| *seq == 0) {
            return Err(BadState::Needless);
        }
        let seen = ascending(seen)?;
        let (mut live, mut all) = (BTreeMap::new(), Vec::new());
        for (item, dots) in ascending(items)? {
            item.check()?;
            if dots.is_empty() {
                return Err(BadState::Needless);
            }
            all.extend(dots.iter().map(|(writer, seq)| Dot(*writer, *seq)));
            live.insert(item, ascending(dots)?);
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        let all_seen = all.iter().all(|dot| dot.1 > 0 && has(&seen, *dot));
        if all.len() < count || !all_seen {
            return Err(BadState::Dot);
        }
        Ok(Self { seen, live })
    }

    pub(crate) fn to_wire(&self) -> CausalWire {
        let pairs = |map: &BTreeMap<Writer, u64>| map.iter().map(|(k, v)| (*k, *v)).collect();
        let live = self.live.iter();
        let live = live.map(|(item, dots)| (item.clone(), pairs(dots)));
        (pairs(&self.seen), live.collect())
    }

    /// Items that one writer has added, and nothing else. Where there are none, it has removed one.
    pub(crate) fn of<'a>(
        writer: Writer,
        items: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, OpError> {
        let mut causal = Self::default();
        for item in items {
            causal.add(writer, item)?;
        }
        if causal.seen.is_empty() {
            causal.seen.insert(writer, 1);
        }
        Ok(causal)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The items that are there.
    pub(crate) fn items(&self) -> BTreeSet<&[u8]> {
        self.live.keys().map(Item::as_slice).collect()
    }

    /// Adds an item under the next dot of a writer, in place of the dots that it has.
    pub(crate) fn add(&mut self, writer: Writer, item: &[u8]) -> Result<(), OpError> {
        let seq = self.seen.entry(writer).or_default();
        *seq = seq.checked_add(1).ok_or(OpError::Overflow)?;
        let item = Item::from(item);
        self.live.insert(item, [(writer, *seq)].into());
        Ok(())
    }

    /// Removes an item; says whether it was there.
    pub(crate) fn remove(&mut self, item: &[u8]) -> bool {
        self.live.remove(item).is_some()
    }

    /// Adds an item in place of all that are there.
    pub(crate) fn replace(&mut self, writer: Writer, item: &[u8]) -> Result<(), OpError> {
        let before = std::mem::take(&mut self.live);
        let added = self.add(writer, item);
        if added.is_err() {
            self.live = before;
        }
        added
    }

    /// All dots here that the other has seen and has not any more, or has for something else.
    fn lost<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Dot> {
        self.live.iter().flat_map(move |(item, dots)| {
            let theirs = other.live.get(item);
            let dots = dots.iter().map(|(writer, seq)| Dot(*writer, *seq));
            dots.filter(move |dot| {
                let is_there = theirs.is_some_and(|theirs| theirs.get(&dot.0) == Some(&dot.1));
                has(&other.seen, *dot) && !is_there
            })
        })
    }
}

/// Whether a version vector has a dot.
fn has(seen: &Seen, dot: Dot) -> bool {
    seen.get(&dot.0).is_some_and(|seq| *seq >= dot.1)
}

impl Join for Causal {
    fn join(&mut self, other: &Self) {
        let removed: Vec<Dot> = self.lost(other).collect();
        if !removed.is_empty() {
            let removed: BTreeSet<Dot> = removed.into_iter().collect();
            self.live.retain(|_, dots| {
                dots.retain(|writer, seq| !removed.contains(&Dot(*writer, *seq)));
                !dots.is_empty()
            });
        }
        for (item, dots) in &other.live {
            // What was seen here and is not there any more has been removed.
            let unseen = dots
                .iter()
                .filter(|(writer, seq)| !has(&self.seen, Dot(**writer, **seq)));
            let unseen: Vec<(Writer, u64)> = unseen.map(|(writer, seq)| (*writer, *seq)).collect();
            if !unseen.is_empty() {
                self.live.entry(item.clone()).or_default().extend(unseen);
            }
        }
        for (writer, theirs) in &other.seen {
            self.seen.entry(*writer).or_default().join(theirs);
        }
    }

    fn includes(&self, other: &Self) -> bool {
        let mut seen = other.seen.iter();
        let has_seen = seen.all(|(writer, seq)| has(&self.seen, Dot(*writer, *seq)));
        has_seen && self.lost(other).next().is_none()
    }

    /// Everything of those writers of whom something is new. What a version vector says of a writer, it
    /// says of all its dots, so less than that cannot be said.
    fn delta(&self, since: &Self) -> Option<Self> {
        let seen = self.seen.iter();
        let added = seen.filter(|(writer, seq)| !has(&since.seen, Dot(**writer, **seq)));
        let mut new: BTreeSet<Writer> = added.map(|(writer, _)| *writer).collect();
        new.extend(since.lost(self).map(|dot| dot.0));
        if new.is_empty() {
            return None;
        }
        let mut delta = self.clone();
        delta.seen.retain(|writer, _| new.contains(writer));
        delta.live.retain(|_, dots| {
            dots.retain(|writer, _| new.contains(writer));
            !dots.is_empty()
        });
        Some(delta)
    }
}
