//! Hyperschemas: what of the deltas around an object makes a view of it (DELTA-40 to DELTA-42).

use std::collections::{BTreeMap, BTreeSet};

use allod_identity::canonical;
use cid::Cid;
use multihash::Multihash;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::delta::Delta;
use crate::filter::DeltaFilter;
use crate::json::{Members, is_shallow, put_text};
use crate::pointer::Pointer;

/// The property of a delta that is selected without a name.
pub(crate) const PROPERTY_DEFAULT: &str = "_default";

/// The largest schema, in bytes of JSON.
pub(crate) const SCHEMA_BYTES_MAX: usize = 64 * 1024;

/// The most patterns, and the most rules, of a schema.
pub(crate) const SCHEMA_RULES_MAX: usize = 256;

/// The longest chain of schemas that use each other: views are nested no deeper (DELTA-41).
pub(crate) const SCHEMA_DEPTH_MAX: usize = 16;

/// The most schemas of a set.
pub(crate) const SCHEMAS_MAX: usize = 1024;

/// How a view of an object is made. Declarative, so that its hash is the same everywhere (DELTA-40).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HyperSchema {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Which deltas, under which properties.
    pub select: Select,
    /// Which references become views of their own.
    pub transform: Vec<Transform>,
    /// The number of the version, as its author counts.
    pub version: u32,
}

/// Which of the deltas that refer to an object are selected, and as what.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Select {
    /// Each under the contexts of its references to the object; under `_default` if one has none.
    #[default]
    TargetContext,
    /// Each under the property of every pattern that a pointer to the object meets.
    Patterns(Vec<Pattern>),
}

/// What a pointer to the object is to be like.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pattern {
    /// Its role is one of these; any if `None`.
    pub roles: Option<BTreeSet<String>>,
    /// Its context is one of these; any or none if `None`.
    pub contexts: Option<BTreeSet<String>>,
    /// The property; the context, or `_default`, if `None`.
    pub property: Option<String>,
}

/// A reference that becomes a view.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transform {
    /// Which references.
    pub on: On,
    /// The schema of the view.
    pub schema: String,
    /// Only in deltas that meet this.
    pub when: Option<DeltaFilter>,
}

/// Which references a rule is about. Those to the viewed object itself never are.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum On {
    /// Those in this role.
    Role(String),
    /// Those of deltas under this property.
    Context(String),
}

/// Why something is no schema, or no set of them. Blame: whoever wrote it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Not JSON of the form of a schema.
    #[error("{0} of a schema is missing or of another type")]
    Form(&'static str),
    /// Larger than a schema may be.
    #[error("a schema is too large")]
    Size,
    /// Schemas that use each other in a circle, or in a chain longer than [`SCHEMA_DEPTH_MAX`].
    #[error("schemas use each other in a circle or too deep: {0}")]
    Circle(String),
    /// A schema uses one that is not there.
    #[error("no schema {0}")]
    Missing(String),
}

impl SchemaError {
    /// The registered error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form(_) | Self::Size | Self::Circle(_) | Self::Missing(_) => "E_DELTA_SCHEMA",
        }
    }
}

impl HyperSchema {
    /// A schema that selects by target context, without nested views.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            select: Select::default(),
            transform: Vec::new(),
            version: 1,
        }
    }

    /// Adds a rule, in place of one about the same references.
    #[must_use]
    pub fn with(mut self, on: On, schema: impl Into<String>) -> Self {
        self.set(Transform {
            on,
            schema: schema.into(),
            when: None,
        });
        self
    }

    pub(crate) fn set(&mut self, rule: Transform) {
        self.transform.retain(|known| known.on != rule.on);
        self.transform.push(rule);
        self.transform.sort_by(|a, b| a.on.cmp(&b.on));
    }

    /// Reads a schema from JSON (DELTA-40).
    pub fn decode(json: &str) -> Result<Self, SchemaError> {
        let mut members = object(json, "schema")?;
        let id = required(&mut members, "id")?;
        let name = required(&mut members, "name")?;
        let version = members.optional("version");
        let version: Option<u32> = version.map_err(|_error| SchemaError::Form("version"))?;
        let mut schema = Self {
            version: version.unwrap_or(1),
            ..Self::new(id, name)
        };
        if let Some(select) = members.take("select") {
            schema.select = Select::decode(select.get())?;
        }
        for (field, on) in [
            ("transform", On::Role as fn(String) -> On),
            ("onContext", On::Context),
        ] {
            if let Some(rules) = members.take(field) {
                for rule in Transform::decode_all(rules.get(), on)? {
                    schema.set(rule);
                }
            }
        }
        schema.check()?;
        Ok(schema)
    }

    pub(crate) fn check(&self) -> Result<(), SchemaError> {
        let patterns = match &self.select {
            Select::TargetContext => 0,
            Select::Patterns(patterns) => patterns.len(),
        };
        if self.transform.len() > SCHEMA_RULES_MAX || patterns > SCHEMA_RULES_MAX {
            return Err(SchemaError::Size);
        }
        Ok(())
    }

    /// The schema as JSON, in one form: what is hashed as well.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::from("{\"id\":");
        put_text(&mut out, &self.id);
        out.push_str(",\"name\":");
        put_text(&mut out, &self.name);
        out.push_str(&format!(",\"version\":{},\"select\":", self.version));
        self.select.put(&mut out);
        for (field, is_role) in [("transform", true), ("onContext", false)] {
            out.push_str(&format!(",\"{field}\":"));
            let rules = self.transform.iter();
            let rules: Vec<_> = rules
                .filter(|rule| matches!(rule.on, On::Role(_)) == is_role)
                .collect();
            out.push_str(&Transform::encode_all(&rules));
        }
        out.push('}');
        out
    }

    /// The name of what the schema says: the same wherever it is computed (DELTA-40).
    #[must_use]
    pub fn hash(&self) -> Cid {
        hash_of(&self.encode())
    }

    /// The properties under which a delta appears at an object, each once.
    #[must_use]
    pub fn properties(&self, object: &str, delta: &Delta) -> BTreeSet<String> {
        let to_object = |pointer: &&Pointer| {
            pointer
                .reference()
                .is_some_and(|reference| reference.id() == object)
        };
        let pointers = delta.pointers().iter().filter(to_object);
        pointers
            .flat_map(|pointer| self.select.properties(pointer))
            .collect()
    }

    /// The rule for a pointer of a delta under a property: that of its role, or else of the property.
    pub(crate) fn rule(&self, property: &str, role: &str, delta: &Delta) -> Option<&Transform> {
        let is_about = |rule: &&Transform| match &rule.on {
            On::Role(of) => of == role,
            On::Context(of) => of == property,
        };
        let meets = |rule: &&Transform| rule.when.as_ref().is_none_or(|when| when.matches(delta));
        // Rules of roles come first in the order of rules.
        self.transform.iter().filter(is_about).find(meets)
    }
}

impl Select {
    pub(crate) fn decode(json: &str) -> Result<Self, SchemaError> {
        const FORM: SchemaError = SchemaError::Form("select");
        if json.len() > SCHEMA_BYTES_MAX || !is_shallow(json) {
            return Err(SchemaError::Size);
        }
        if let Ok(name) = serde_json::from_str::<String>(json) {
            return Self::named(&name).ok_or(FORM);
        }
        let patterns: Vec<&RawValue> = serde_json::from_str(json).map_err(|_error| FORM)?;
        let patterns = patterns.into_iter().map(|raw| {
            let mut members = Members::read(raw.get()).ok_or(FORM)?;
            Ok(Pattern {
                roles: members.optional("roles").map_err(|_error| FORM)?,
                contexts: members.optional("contexts").map_err(|_error| FORM)?,
                property: members.optional("property").map_err(|_error| FORM)?,
            })
        });
        Ok(Self::Patterns(
            patterns.collect::<Result<_, SchemaError>>()?,
        ))
    }

    /// A selector that has a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        (name == crate::schema_deltas::SELECT_BY_TARGET_CONTEXT).then_some(Self::TargetContext)
    }

    pub(crate) fn encode(&self) -> String {
        let mut out = String::new();
        self.put(&mut out);
        out
    }

    fn put(&self, out: &mut String) {
        let Self::Patterns(patterns) = self else {
            put_text(out, crate::schema_deltas::SELECT_BY_TARGET_CONTEXT);
            return;
        };
        out.push('[');
        for (at, pattern) in patterns.iter().enumerate() {
            out.push_str(if at > 0 { ",{" } else { "{" });
            let mut comma = "";
            for (name, list) in [("roles", &pattern.roles), ("contexts", &pattern.contexts)] {
                let Some(list) = list else { continue };
                out.push_str(&format!("{comma}\"{name}\":["));
                for (at, text) in list.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    put_text(out, text);
                }
                out.push(']');
                comma = ",";
            }
            if let Some(property) = &pattern.property {
                out.push_str(&format!("{comma}\"property\":"));
                put_text(out, property);
            }
            out.push('}');
        }
        out.push(']');
    }

    fn properties(&self, pointer: &Pointer) -> BTreeSet<String> {
        let context = pointer
            .reference()
            .and_then(|reference| reference.context());
        let or_default = |name: Option<&str>| name.unwrap_or(PROPERTY_DEFAULT).to_owned();
        let Self::Patterns(patterns) = self else {
            return BTreeSet::from([or_default(context)]);
        };
        let meets = |pattern: &&Pattern| {
            let role = pattern.roles.as_ref();
            let contexts = pattern.contexts.as_ref();
            role.is_none_or(|roles| roles.contains(pointer.role()))
                && contexts.is_none_or(|all| context.is_some_and(|context| all.contains(context)))
        };
        let met = patterns.iter().filter(meets);
        met.map(|pattern| or_default(pattern.property.as_deref().or(context)))
            .collect()
    }
}

impl Transform {
    /// Reads rules: an object of what they are about to `{schema | schemaId, when?}`.
    pub(crate) fn decode_all(json: &str, on: fn(String) -> On) -> Result<Vec<Self>, SchemaError> {
        const FORM: SchemaError = SchemaError::Form("transform");
        let rules = object(json, "transform")?.0.into_iter();
        let rules = rules.map(|(name, raw)| {
            let mut members = Members::read(raw.get()).ok_or(FORM)?;
            let schema = members
                .take("schema")
                .or(members.take("schemaId"))
                .ok_or(FORM)?;
            let when = members.take("when").filter(|when| when.get() != "null");
            Ok(Self {
                on: on(name),
                schema: serde_json::from_str(schema.get()).map_err(|_error| FORM)?,
                when: when.map(|when| Self::decode_when(when.get())).transpose()?,
            })
        });
        rules.collect()
    }

    pub(crate) fn decode_when(json: &str) -> Result<DeltaFilter, SchemaError> {
        DeltaFilter::decode(json).map_err(|_error| SchemaError::Form("when"))
    }

    /// Rules as [`decode_all`](Self::decode_all) reads them.
    pub(crate) fn encode_all(rules: &[&Self]) -> String {
        let mut out = String::from("{");
        for (at, rule) in rules.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            rule.put(&mut out);
        }
        out.push('}');
        out
    }

    fn put(&self, out: &mut String) {
        let (On::Role(name) | On::Context(name)) = &self.on;
        put_text(out, name);
        out.push_str(":{\"schema\":");
        put_text(out, &self.schema);
        if let Some(when) = &self.when {
            out.push_str(",\"when\":");
            out.push_str(&when.encode());
        }
        out.push('}');
    }
}

/// Schemas that use no others than each other, and never in a circle (DELTA-41).
#[derive(Clone, Debug, Default)]
pub struct Schemas(BTreeMap<String, HyperSchema>);

impl Schemas {
    /// Checks that every schema that is used is there, and that there is no circle.
    pub fn new(schemas: impl IntoIterator<Item = HyperSchema>) -> Result<Self, SchemaError> {
        let mut all = BTreeMap::new();
        for schema in schemas {
            schema.check()?;
            all.insert(schema.id.clone(), schema);
        }
        if all.len() > SCHEMAS_MAX {
            return Err(SchemaError::Size);
        }
        let schemas = Self(all);
        schemas.check_depth()?;
        Ok(schemas)
    }

    /// The schema of an id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&HyperSchema> {
        self.0.get(id)
    }

    /// Takes away, in rounds, the schemas that use none that is left: a circle never goes, a chain goes one
    /// at a time.
    fn check_depth(&self) -> Result<(), SchemaError> {
        let mut left: BTreeSet<&str> = self.0.keys().map(String::as_str).collect();
        for _ in 0..SCHEMA_DEPTH_MAX {
            let mut open = BTreeSet::new();
            for id in &left {
                for rule in self.0.get(*id).iter().flat_map(|schema| &schema.transform) {
                    if !self.0.contains_key(&rule.schema) {
                        return Err(SchemaError::Missing(rule.schema.clone()));
                    }
                    if left.contains(rule.schema.as_str()) {
                        open.insert(*id);
                    }
                }
            }
            left = open;
        }
        match left.first() {
            Some(id) => Err(SchemaError::Circle((*id).to_owned())),
            None => Ok(()),
        }
    }
}

/// The members of a text that is to be an object.
pub(crate) fn object<'a>(json: &'a str, what: &'static str) -> Result<Members<'a>, SchemaError> {
    if json.len() > SCHEMA_BYTES_MAX {
        return Err(SchemaError::Size);
    }
    if !is_shallow(json) {
        return Err(SchemaError::Form(what));
    }
    Members::read(json).ok_or(SchemaError::Form(what))
}

fn required(members: &mut Members<'_>, name: &'static str) -> Result<String, SchemaError> {
    let text: Option<String> = members
        .optional(name)
        .map_err(|_error| SchemaError::Form(name))?;
    text.filter(|text| !text.is_empty())
        .ok_or(SchemaError::Form(name))
}

/// The CIDv1 (dag-cbor, sha2-256) of the text of a schema (DELTA-40).
pub(crate) fn hash_of(text: &str) -> Cid {
    #[derive(Serialize)]
    struct Said<'a> {
        schema: &'a str,
    }
    // A map with a text always has an encoding, and a digest always fits.
    let bytes = canonical::encode(&Said { schema: text }).unwrap_or_default();
    let hash = Multihash::wrap(0x12, &Sha256::digest(bytes)).unwrap_or_default();
    Cid::new_v1(0x71, hash)
}
