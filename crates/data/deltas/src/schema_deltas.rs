//! Schemas that are said by deltas (DELTA-43).

use std::sync::Arc;

use crate::delta::{Delta, DeltaError};
use crate::negation::MayNegate;
use crate::number::Number;
use crate::pointer::{Pointer, Target};
use crate::schema::{HyperSchema, On, SchemaError, Select, Transform};
use crate::store::{DeltaStore, PAGE_MAX, StoreFault, only_visible};

/// The schema of schemas: the one that is not itself said by deltas.
pub const META_SCHEMA: &str = "meta_hyperschema";

/// The selector by the contexts of references to the object.
pub const SELECT_BY_TARGET_CONTEXT: &str = "select_by_target_context";

const ROLE_SCHEMA: &str = "schema";

/// The most deltas about a schema that are read: its history by people fits many times.
const SCHEMA_DELTAS_MAX: usize = 16 * 1024;

/// Why no schema was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadSchemaError {
    /// What the deltas say is no schema. Blame: their authors.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl HyperSchema {
    /// The schema by which schemas are viewed as objects.
    #[must_use]
    pub fn meta() -> Self {
        Self::new(META_SCHEMA, "HyperSchema")
    }

    /// What deltas have to say for this schema: the pointers of each.
    pub fn to_pointers(&self) -> Result<Vec<Vec<Pointer>>, DeltaError> {
        let about = |context: &str| Pointer::under(ROLE_SCHEMA, &self.id, context);
        let mut said = vec![vec![about("name")?, Pointer::text("name", &self.name)?]];
        let pattern = match &self.select {
            Select::TargetContext => Pointer::to("pattern", SELECT_BY_TARGET_CONTEXT)?,
            Select::Patterns(_) => Pointer::text("pattern", self.select.encode())?,
        };
        said.push(vec![about("select")?, pattern]);
        let (by_role, by_context): (Vec<_>, Vec<_>) = self
            .transform
            .iter()
            .partition(|rule| matches!(rule.on, On::Role(_)));
        if !by_role.is_empty() {
            let rules = Transform::encode_all(&by_role);
            said.push(vec![about("transform")?, Pointer::text("rules", rules)?]);
        }
        for rule in by_context {
            let (On::Role(name) | On::Context(name)) = &rule.on;
            let mut pointers = vec![
                about("transform")?,
                Pointer::text("on-context", name)?,
                Pointer::to("apply-schema", &rule.schema)?,
            ];
            if let Some(when) = &rule.when {
                pointers.push(Pointer::text("when", when.encode())?);
            }
            said.push(pointers);
        }
        Ok(said)
    }

    /// What the visible deltas about a schema say at a time; `None` if they do not name it.
    pub fn read(
        store: &dyn DeltaStore,
        id: &str,
        (at, who): (Option<Number>, &MayNegate),
    ) -> Result<Option<Self>, ReadSchemaError> {
        if id == META_SCHEMA {
            return Ok(Some(Self::meta()));
        }
        let mut deltas = Vec::new();
        for context in ["name", "select", "transform"] {
            let mut after = None;
            loop {
                let page = store.targeting(id, Some(context), after.as_ref(), PAGE_MAX)?;
                deltas.extend(page.deltas);
                if deltas.len() > SCHEMA_DELTAS_MAX {
                    return Err(SchemaError::Size.into());
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        deltas.retain(|delta| at.is_none_or(|at| delta.timestamp() <= at));
        deltas.sort_by(|a, b| a.order(b));
        deltas.dedup_by(|a, b| a.id() == b.id());
        let deltas = only_visible(store, deltas, (at, who), &mut |_id| {})?;
        Ok(Self::of_deltas(id, &deltas)?)
    }

    /// What deltas in order say of a schema: the last that says something stands.
    pub fn of_deltas(id: &str, deltas: &[Arc<Delta>]) -> Result<Option<Self>, SchemaError> {
        let mut schema = Self::new(id, "");
        let mut named = false;
        for delta in deltas {
            if is_about(delta, id, "name")
                && let Some(Target::Text(name)) = target(delta, "name")
            {
                schema.name.clone_from(name);
                named = true;
            }
            if is_about(delta, id, "select") {
                match target(delta, "pattern") {
                    Some(Target::Reference(reference)) => {
                        let select = Select::named(reference.id());
                        schema.select = select.ok_or(SchemaError::Form("select"))?;
                    }
                    Some(Target::Text(json)) => schema.select = Select::decode(json)?,
                    _ => {}
                }
            }
            if is_about(delta, id, "transform") {
                schema.transform_by(delta)?;
            }
        }
        schema.check()?;
        Ok(named.then_some(schema))
    }

    fn transform_by(&mut self, delta: &Delta) -> Result<(), SchemaError> {
        if let Some(Target::Text(rules)) = target(delta, "rules") {
            for rule in Transform::decode_all(rules, On::Role)? {
                self.set(rule);
            }
        }
        let (context, applied) = (target(delta, "on-context"), target(delta, "apply-schema"));
        if let (Some(Target::Text(context)), Some(Target::Reference(schema))) = (context, applied) {
            let when = match target(delta, "when") {
                Some(Target::Text(json)) => Some(Transform::decode_when(json)?),
                _ => None,
            };
            self.set(Transform {
                on: On::Context(context.clone()),
                schema: schema.id().to_owned(),
                when,
            });
        }
        Ok(())
    }
}

fn is_about(delta: &Delta, id: &str, context: &str) -> bool {
    delta.references().any(|(role, reference)| {
        role == ROLE_SCHEMA && reference.id() == id && reference.context() == Some(context)
    })
}

/// The target of the first pointer in a role.
fn target<'a>(delta: &'a Delta, role: &str) -> Option<&'a Target> {
    let mut pointers = delta.pointers().iter();
    pointers
        .find(|pointer| pointer.role() == role)
        .map(Pointer::target)
}
