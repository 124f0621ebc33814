//! Deltas in memory: for tests, and for who keeps nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::delta::Delta;
use crate::filter::DeltaFilter;
use crate::store::{
    Appended, Arrivals, Cursor, DeltaStore, EXAMINED_MAX, PAGE_MAX, Page, Place, StoreFault, meet,
};

/// A store that is gone with the process.
#[derive(Debug, Default)]
pub struct MemoryDeltas(RwLock<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_id: BTreeMap<String, Arc<Delta>>,
    in_order: BTreeMap<Place, Arc<Delta>>,
    /// By target, then by place.
    targets: BTreeMap<String, BTreeMap<Place, Arc<Delta>>>,
    arrived: BTreeMap<u64, Arc<Delta>>,
    next: u64,
    redacted: BTreeSet<(String, [u8; 32])>,
}

impl MemoryDeltas {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many deltas are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // No change is left half done by a panic: each is made of insertions that cannot fail.
    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn insert(&mut self, delta: &Arc<Delta>) {
        let place = Place::of(delta);
        for (_, reference) in delta.references() {
            let under = self.targets.entry(reference.id().to_owned()).or_default();
            under.insert(place.clone(), Arc::clone(delta));
        }
        self.by_id.insert(delta.id().to_owned(), Arc::clone(delta));
        self.in_order.insert(place, Arc::clone(delta));
        self.arrived.insert(self.next, Arc::clone(delta));
        self.next += 1;
    }

    fn append(&mut self, delta: &Arc<Delta>) -> Appended {
        if self
            .redacted
            .contains(&(delta.id().to_owned(), *delta.digest()))
        {
            return Appended::Redacted;
        }
        let said = match self.by_id.get(delta.id()) {
            None => Appended::New,
            Some(kept) => meet(kept, delta),
        };
        if matches!(said, Appended::New | Appended::Signed) {
            self.insert(delta);
        }
        said
    }

    fn redact(&mut self, id: &str) -> bool {
        let Some(delta) = self.by_id.remove(id) else {
            return false;
        };
        let place = Place::of(&delta);
        self.in_order.remove(&place);
        for (_, reference) in delta.references() {
            if let Some(under) = self.targets.get_mut(reference.id()) {
                under.remove(&place);
            }
        }
        self.arrived.retain(|_, arrived| arrived.id() != id);
        self.redacted.insert((id.to_owned(), *delta.digest()))
    }
}

/// The deltas of a map after a place that pass, as a page.
fn page(
    from: &BTreeMap<Place, Arc<Delta>>,
    after: Option<&Place>,
    limit: usize,
    passes: &dyn Fn(&Delta) -> bool,
) -> Page {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut page = Page::default();
    for (examined, (place, delta)) in from.range((start, Bound::Unbounded)).enumerate() {
        if page.deltas.len() >= limit.clamp(1, PAGE_MAX) || examined >= EXAMINED_MAX {
            return page;
        }
        if passes(delta) {
            page.deltas.push(Arc::clone(delta));
        }
        page.next = Some(place.clone());
    }
    page.next = None;
    page
}

impl DeltaStore for MemoryDeltas {
    fn append(&self, deltas: &[Arc<Delta>], _now_ms: u64) -> Result<Vec<Appended>, StoreFault> {
        let mut kept = self.write();
        Ok(deltas.iter().map(|delta| kept.append(delta)).collect())
    }

    fn redact(&self, id: &str, _now_ms: u64) -> Result<bool, StoreFault> {
        Ok(self.write().redact(id))
    }

    fn get(&self, id: &str) -> Result<Option<Arc<Delta>>, StoreFault> {
        Ok(self.read().by_id.get(id).cloned())
    }

    fn targeting(
        &self,
        target: &str,
        context: Option<&str>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Page, StoreFault> {
        let kept = self.read();
        let Some(under) = kept.targets.get(target) else {
            return Ok(Page::default());
        };
        Ok(page(under, after, limit, &|delta| {
            context.is_none_or(|context| {
                let mut references = delta.references();
                references.any(|(_, to)| to.id() == target && to.context() == Some(context))
            })
        }))
    }

    fn scan(
        &self,
        filter: &DeltaFilter,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Page, StoreFault> {
        let passes = |delta: &Delta| filter.matches(delta);
        Ok(page(&self.read().in_order, after, limit, &passes))
    }

    fn arrivals(&self, after: Cursor, limit: usize) -> Result<Arrivals, StoreFault> {
        let kept = self.read();
        let mut arrivals = Arrivals {
            next: after,
            ..Arrivals::default()
        };
        for (number, delta) in kept.arrived.range(after.position..) {
            if arrivals.deltas.len() >= limit.clamp(1, PAGE_MAX) {
                arrivals.more = true;
                break;
            }
            arrivals.deltas.push(Arc::clone(delta));
            arrivals.next.position = number + 1;
        }
        Ok(arrivals)
    }

    fn end(&self) -> Result<Cursor, StoreFault> {
        Ok(Cursor {
            position: self.read().next,
            within: 0,
        })
    }
}
