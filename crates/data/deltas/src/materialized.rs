//! Hyperviews that are kept, and made again only where something changed (DELTA-48).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::delta::Delta;
use crate::hyperview::{HyperView, Looking, ViewError, Viewing};
use crate::negation::MayNegate;
use crate::schema::Schemas;
use crate::store::DeltaStore;

/// Views of objects by one schema, as of all that is in a store.
#[derive(Clone, Debug)]
pub struct Materialized {
    schemas: Schemas,
    schema: String,
    looking: Looking,
    views: BTreeMap<String, Kept>,
    /// The objects whose views asked for the deltas of an id.
    asked_by: BTreeMap<String, BTreeSet<String>>,
    made: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    view: Arc<HyperView>,
    looked: BTreeSet<String>,
}

impl Materialized {
    /// No views yet.
    #[must_use]
    pub fn new(schemas: Schemas, schema: impl Into<String>, who: MayNegate) -> Self {
        Self {
            schemas,
            schema: schema.into(),
            looking: Looking { at: None, who },
            views: BTreeMap::new(),
            asked_by: BTreeMap::new(),
            made: 0,
        }
    }

    /// The view of an object: the one that is kept, or a new one.
    pub fn view(
        &mut self,
        store: &dyn DeltaStore,
        object: &str,
    ) -> Result<Arc<HyperView>, ViewError> {
        if let Some(kept) = self.views.get(object) {
            return Ok(Arc::clone(&kept.view));
        }
        let mut viewing = Viewing::new(store, &self.schemas, &self.looking);
        let view = viewing.view(&self.schema, object)?;
        let looked = viewing.looked;
        for id in &looked {
            let asked_by = self.asked_by.entry(id.clone()).or_default();
            asked_by.insert(object.to_owned());
        }
        let kept = Kept {
            view: Arc::clone(&view),
            looked,
        };
        self.views.insert(object.to_owned(), kept);
        self.made += 1;
        Ok(view)
    }

    /// Hears of deltas that were appended to the store: the objects whose views are let go of, and made again
    /// when they are next asked for.
    pub fn appended<'a>(
        &mut self,
        deltas: impl IntoIterator<Item = &'a Delta>,
    ) -> BTreeSet<String> {
        let mut stale = BTreeSet::new();
        for delta in deltas {
            for (_, reference) in delta.references() {
                stale.extend(
                    self.asked_by
                        .get(reference.id())
                        .into_iter()
                        .flatten()
                        .cloned(),
                );
            }
            // A redaction, or a signature, changes the delta itself.
            stale.extend(self.asked_by.get(delta.id()).into_iter().flatten().cloned());
        }
        for object in &stale {
            self.forget(object);
        }
        stale
    }

    /// Lets go of the view of an object.
    pub fn forget(&mut self, object: &str) {
        let Some(kept) = self.views.remove(object) else {
            return;
        };
        for id in kept.looked {
            if let Some(asked_by) = self.asked_by.get_mut(&id) {
                asked_by.remove(object);
                if asked_by.is_empty() {
                    self.asked_by.remove(&id);
                }
            }
        }
    }

    /// How many views were made so far.
    #[must_use]
    pub const fn made(&self) -> u64 {
        self.made
    }
}
