//! Hyperviews: the deltas around an object, by property (DELTA-44).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::delta::Delta;
use crate::json::put_text;
use crate::negation::MayNegate;
use crate::number::Number;
use crate::pointer::Target;
use crate::schema::{HyperSchema, Schemas};
use crate::store::{DeltaStore, StoreFault, only_visible};

/// The most parts of a view as it is written: deltas and nested views, each as often as it is there
/// (DELTA-44).
pub(crate) const VIEW_PARTS_MAX: usize = 100_000;

/// The most bytes of the deltas of a view, each as often as it is written (DELTA-44): a view is held as a whole.
const VIEW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Deltas that are read at a time: 256 of the largest are as much as a view may have.
const PAGE: usize = 256;

/// How somebody looks: when, and whose negations count.
#[derive(Clone, Debug, Default)]
pub struct Looking {
    /// The time that is looked at; all that is there if `None`.
    pub at: Option<Number>,
    /// Whose negations count.
    pub who: MayNegate,
}

/// The visible deltas around an object, by property, and what of them is viewed in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct HyperView {
    /// The object.
    pub id: String,
    /// The deltas of each property, in their order.
    pub properties: BTreeMap<String, Vec<ViewedDelta>>,
    /// About the view.
    pub metadata: Metadata,
    /// Deltas and nested views, as often as they are written.
    parts: usize,
    /// Bytes of its deltas, as often.
    bytes: usize,
}

/// A delta in a view.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewedDelta {
    /// The delta.
    pub delta: Arc<Delta>,
    /// Views in the place of references, by the place of the pointer.
    pub nested: BTreeMap<usize, Arc<HyperView>>,
}

/// About a view.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Metadata {
    /// The greatest timestamp of its deltas.
    pub last_updated: Option<Number>,
    /// How many deltas it has, each once, nested views apart.
    pub delta_count: usize,
    /// The schema.
    pub schema_id: String,
    /// Its hash.
    pub schema_hash: String,
    /// Its version.
    pub schema_version: u32,
}

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// No such schema. Blame: the caller.
    #[error("no schema {0}")]
    NoSchema(String),
    /// More than [`VIEW_PARTS_MAX`] parts, or 64 MiB of deltas. Blame: whoever made them.
    #[error("a view of more than {VIEW_PARTS_MAX} parts or {VIEW_BYTES_MAX} bytes")]
    Budget,
    /// Deltas were brought to a prefix with other schemas than these. Blame: whoever sets them up.
    #[error(
        "{0} has what was brought with other schemas; who brings by command makes all of it again with these"
    )]
    Brought(String),
    /// The store failed, or there are too many negations.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl ViewError {
    /// The registered error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSchema(_) => "E_DELTA_SCHEMA",
            Self::Budget => "E_DELTA_BUDGET",
            Self::Brought(_) => "E_DELTA_BROUGHT",
            Self::Store(fault) => fault.code(),
        }
    }
}

impl HyperView {
    /// The view of an object by a schema (DELTA-44).
    pub fn of(
        store: &dyn DeltaStore,
        schemas: &Schemas,
        schema: &str,
        object: &str,
        looking: &Looking,
    ) -> Result<Arc<Self>, ViewError> {
        Viewing::new(store, schemas, looking).view(schema, object)
    }

    /// The view as JSON (DELTA-45).
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.put(&mut out, None);
        out
    }

    // As deep as schemas use each other, which is bounded (DELTA-41).
    fn put(&self, out: &mut String, context: Option<&str>) {
        out.push_str("{\"id\":");
        put_text(out, &self.id);
        if let Some(context) = context {
            out.push_str(",\"_context\":");
            put_text(out, context);
        }
        for (property, deltas) in &self.properties {
            out.push(',');
            put_text(out, &written(property));
            out.push_str(":[");
            for (at, viewed) in deltas.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                viewed.put(out);
            }
            out.push(']');
        }
        let metadata = &self.metadata;
        out.push_str(",\"_metadata\":{");
        if let Some(last) = metadata.last_updated {
            out.push_str(&format!("\"lastUpdated\":{last},"));
        }
        out.push_str(&format!(
            "\"deltaCount\":{},\"schemaId\":",
            metadata.delta_count
        ));
        put_text(out, &metadata.schema_id);
        out.push_str(",\"schemaHash\":");
        put_text(out, &metadata.schema_hash);
        out.push_str(&format!(
            ",\"schemaVersion\":{}}}}}",
            metadata.schema_version
        ));
    }
}

impl ViewedDelta {
    fn put(&self, out: &mut String) {
        let delta = &self.delta;
        out.push_str("{\"id\":");
        put_text(out, delta.id());
        out.push_str(&format!(",\"timestamp\":{},\"author\":", delta.timestamp()));
        put_text(out, delta.author());
        out.push_str(",\"system\":");
        put_text(out, delta.system());
        out.push_str(",\"pointers\":[");
        for (at, pointer) in delta.pointers().iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            match self.nested.get(&at) {
                None => pointer.put(out),
                Some(view) => {
                    out.push_str("{\"role\":");
                    put_text(out, pointer.role());
                    out.push_str(",\"target\":");
                    view.put(out, pointer.reference().and_then(|to| to.context()));
                    out.push('}');
                }
            }
        }
        out.push_str("]}");
    }
}

/// The member of a property: one that would be another member gets a line before it (DELTA-45).
fn written(property: &str) -> String {
    let is_taken = property == "id" || property.starts_with('_') && property != "_default";
    let line = if is_taken { "_" } else { "" };
    format!("{line}{property}")
}

/// Views that are made together: each object is viewed once by each schema.
pub(crate) struct Viewing<'a> {
    store: &'a dyn DeltaStore,
    schemas: &'a Schemas,
    looking: &'a Looking,
    made: BTreeMap<(String, String), Arc<HyperView>>,
    /// The ids whose deltas were asked for: another delta that refers to one of them may change a view.
    pub(crate) looked: BTreeSet<String>,
}

impl<'a> Viewing<'a> {
    pub(crate) const fn new(
        store: &'a dyn DeltaStore,
        schemas: &'a Schemas,
        looking: &'a Looking,
    ) -> Self {
        Self {
            store,
            schemas,
            looking,
            made: BTreeMap::new(),
            looked: BTreeSet::new(),
        }
    }

    /// The view of an object. Goes as deep as schemas use each other (DELTA-41).
    pub(crate) fn view(&mut self, schema: &str, object: &str) -> Result<Arc<HyperView>, ViewError> {
        let name = (schema.to_owned(), object.to_owned());
        if let Some(made) = self.made.get(&name) {
            return Ok(Arc::clone(made));
        }
        let schemas = self.schemas;
        let Some(by) = schemas.get(schema) else {
            return Err(ViewError::NoSchema(schema.to_owned()));
        };
        let mut view = HyperView {
            id: object.to_owned(),
            properties: BTreeMap::new(),
            metadata: Metadata {
                last_updated: None,
                delta_count: 0,
                schema_id: by.id.clone(),
                schema_hash: by.hash().to_string(),
                schema_version: by.version,
            },
            parts: 1,
            bytes: 0,
        };
        for delta in self.around(object)? {
            let properties = by.properties(object, &delta);
            if properties.is_empty() {
                continue;
            }
            view.metadata.delta_count += 1;
            view.metadata.last_updated = view.metadata.last_updated.max(Some(delta.timestamp()));
            for property in properties {
                let viewed = self.viewed(by, object, &property, &delta)?;
                view.parts = view.parts.saturating_add(1);
                view.bytes = view.bytes.saturating_add(delta.size());
                for nested in viewed.nested.values() {
                    view.parts = view.parts.saturating_add(nested.parts);
                    view.bytes = view.bytes.saturating_add(nested.bytes);
                }
                if view.parts > VIEW_PARTS_MAX || view.bytes > VIEW_BYTES_MAX {
                    return Err(ViewError::Budget);
                }
                view.properties.entry(property).or_default().push(viewed);
            }
        }
        let view = Arc::new(view);
        self.made.insert(name, Arc::clone(&view));
        Ok(view)
    }

    /// The visible deltas that refer to an object, in order.
    fn around(&mut self, object: &str) -> Result<Vec<Arc<Delta>>, ViewError> {
        self.looked.insert(object.to_owned());
        let (mut deltas, mut bytes, mut after) = (Vec::new(), 0, None);
        loop {
            let page = self.store.targeting(object, None, after.as_ref(), PAGE)?;
            let at = self.looking.at;
            for delta in page.deltas {
                if at.is_none_or(|at| delta.timestamp() <= at) {
                    bytes += delta.size();
                    deltas.push(delta);
                }
            }
            if deltas.len() > VIEW_PARTS_MAX || bytes > VIEW_BYTES_MAX {
                return Err(ViewError::Budget);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let looked = &mut self.looked;
        let looking = (self.looking.at, &self.looking.who);
        Ok(only_visible(self.store, deltas, looking, &mut |id| {
            looked.insert(id.to_owned());
        })?)
    }

    fn viewed(
        &mut self,
        by: &HyperSchema,
        object: &str,
        property: &str,
        delta: &Arc<Delta>,
    ) -> Result<ViewedDelta, ViewError> {
        let mut nested = BTreeMap::new();
        for (at, pointer) in delta.pointers().iter().enumerate() {
            if let Target::Reference(to) = pointer.target()
                && to.id() != object
                && let Some(rule) = by.rule(property, pointer.role(), delta)
            {
                nested.insert(at, self.view(&rule.schema, to.id())?);
            }
        }
        let delta = Arc::clone(delta);
        Ok(ViewedDelta { delta, nested })
    }
}
