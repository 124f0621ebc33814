//! Views: one value for each property of a hyperview (DELTA-47).

use std::collections::BTreeMap;

use cid::Cid;

use crate::delta::Delta;
use crate::hyperview::{HyperView, ViewedDelta};
use crate::json::{Members, is_within, put_text};
use crate::number::Number;
use crate::pointer::{Pointer, Target};
use crate::primitive::Primitive;
use crate::schema::{SchemaError, hash_of, object};

/// The deepest nesting of view schemas. Each takes three levels of JSON.
pub(crate) const VIEW_SCHEMA_DEPTH_MAX: usize = 8;

/// How the deltas of a hyperview become one value for each property.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ViewSchema {
    /// By the name that the value gets.
    pub properties: BTreeMap<String, Resolving>,
}

/// How one property is resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resolving {
    /// The property of the hyperview.
    pub source: String,
    /// The role of the pointers that have values; those that do not refer to the object if `None`.
    pub role: Option<String>,
    /// What a value may be; others are passed over.
    pub primitive: Option<Primitive>,
    /// How nested views are resolved; without it a nested view is the id of its object.
    pub nested: Option<ViewSchema>,
    /// How one value is made of all.
    pub strategy: Strategy,
}

/// How one value is made of all (DELTA-47). The order of values is that of their deltas, and within one that
/// of its pointers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Strategy {
    /// The last.
    MostRecent,
    /// The first.
    FirstWrite,
    /// The last of the first of these authors that has one.
    TrustedAuthor(Vec<String>),
    /// The last of the first of these systems that has one.
    TrustedSystem(Vec<String>),
    /// That which is there most often; of several the one that was said last.
    Consensus,
    /// All of them.
    AllValues,
    /// The sum of the numbers in their order, divided by how many there are.
    Average,
    /// The least number.
    Min,
    /// The greatest number.
    Max,
}

/// A value of a view.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ViewValue {
    /// A text, or the id of an object.
    Text(String),
    /// A number.
    Number(Number),
    /// True or false.
    Bool(bool),
    /// Values.
    List(Vec<Self>),
    /// A nested view.
    View(BTreeMap<String, Self>),
}

impl ViewSchema {
    /// The last value of each property that a hyperview has.
    #[must_use]
    pub fn last_of_each(view: &HyperView) -> Self {
        let names = view.properties.keys();
        let all = names.map(|name| (name.clone(), Resolving::most_recent(name.clone())));
        Self {
            properties: all.collect(),
        }
    }

    /// Reads a view schema from JSON (DELTA-47).
    pub fn decode(json: &str) -> Result<Self, SchemaError> {
        if !is_within(json, 3 * VIEW_SCHEMA_DEPTH_MAX) {
            return Err(SchemaError::Size);
        }
        Self::read(json)
    }

    /// Its JSON: names by their bytes, no blanks, members as in DELTA-47.
    // As deep as view schemas nest.
    #[must_use]
    pub fn encode(&self) -> String {
        let properties = self.properties.iter().map(|(name, resolving)| {
            let mut part = String::new();
            put_text(&mut part, name);
            part + ":" + &resolving.encode()
        });
        format!("{{{}}}", properties.collect::<Vec<_>>().join(","))
    }

    /// The name of [`encode`](Self::encode): the CIDv1 of `{schema: text}`, as of a schema (DELTA-40).
    #[must_use]
    pub fn hash(&self) -> Cid {
        hash_of(&self.encode())
    }

    // As deep as JSON nests, which was checked.
    fn read(json: &str) -> Result<Self, SchemaError> {
        let mut properties = BTreeMap::new();
        for (name, raw) in object(json, "a view")?.0 {
            properties.insert(name, Resolving::read(raw.get())?);
        }
        Ok(Self { properties })
    }

    /// The value of each property that has one.
    // As deep as view schemas nest, which was checked.
    #[must_use]
    pub fn resolve(&self, view: &HyperView) -> BTreeMap<String, ViewValue> {
        let resolved = self.properties.iter().filter_map(|(name, resolving)| {
            let deltas = view.properties.get(&resolving.source)?;
            Some((name.clone(), resolving.resolve(&view.id, deltas)?))
        });
        resolved.collect()
    }
}

impl Resolving {
    /// The last value of any kind of a property.
    #[must_use]
    pub fn most_recent(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            role: None,
            primitive: None,
            nested: None,
            strategy: Strategy::MostRecent,
        }
    }

    fn read(json: &str) -> Result<Self, SchemaError> {
        const FORM: SchemaError = SchemaError::Form("a property");
        let mut members = Members::read(json).ok_or(FORM)?;
        let source: Option<String> = members.optional("source").map_err(|_error| FORM)?;
        let primitive: Option<String> = members.optional("type").map_err(|_error| FORM)?;
        let primitive = primitive.map(|name| Primitive::named(&name).ok_or(FORM));
        let nested = members.take("view").map(|raw| ViewSchema::read(raw.get()));
        Ok(Self {
            source: source.ok_or(FORM)?,
            role: members.optional("extract").map_err(|_error| FORM)?,
            primitive: primitive.transpose()?,
            nested: nested.transpose()?,
            strategy: Strategy::read(members.take("resolve").ok_or(FORM)?.get())?,
        })
    }

    fn encode(&self) -> String {
        let mut out = "{\"source\":".to_owned();
        put_text(&mut out, &self.source);
        out += ",\"resolve\":";
        self.strategy.put(&mut out);
        if let Some(role) = &self.role {
            out += ",\"extract\":";
            put_text(&mut out, role);
        }
        if let Some(primitive) = self.primitive {
            out += ",\"type\":";
            put_text(&mut out, primitive.name());
        }
        if let Some(nested) = &self.nested {
            out += ",\"view\":";
            out += &nested.encode();
        }
        out + "}"
    }

    fn resolve(&self, object: &str, deltas: &[ViewedDelta]) -> Option<ViewValue> {
        let mut values = Vec::new();
        for viewed in deltas {
            for (at, pointer) in viewed.delta.pointers().iter().enumerate() {
                if self.takes(object, pointer) {
                    values.push((&*viewed.delta, self.value(viewed, at, pointer)));
                }
            }
        }
        self.strategy.resolve(values)
    }

    fn takes(&self, object: &str, pointer: &Pointer) -> bool {
        let has_role = match &self.role {
            Some(role) => pointer.role() == role,
            None => pointer.reference().is_none_or(|to| to.id() != object),
        };
        has_role
            && self
                .primitive
                .is_none_or(|primitive| primitive.accepts(pointer.target()))
    }

    fn value(&self, viewed: &ViewedDelta, at: usize, pointer: &Pointer) -> ViewValue {
        match pointer.target() {
            Target::Text(text) => ViewValue::Text(text.clone()),
            Target::Number(number) => ViewValue::Number(*number),
            Target::Bool(truth) => ViewValue::Bool(*truth),
            Target::Reference(to) => match (&self.nested, viewed.nested.get(&at)) {
                (Some(schema), Some(view)) => ViewValue::View(schema.resolve(view)),
                _ => ViewValue::Text(to.id().to_owned()),
            },
        }
    }
}

fn put_list(out: &mut String, name: &str, list: &[String]) {
    out.push('{');
    put_text(out, name);
    out.push_str(":[");
    for (at, text) in list.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        put_text(out, text);
    }
    out.push_str("]}");
}

impl Strategy {
    fn read(json: &str) -> Result<Self, SchemaError> {
        const FORM: SchemaError = SchemaError::Form("resolve");
        if let Ok(name) = serde_json::from_str::<String>(json) {
            return Ok(match name.as_str() {
                "mostRecent" => Self::MostRecent,
                "firstWrite" => Self::FirstWrite,
                "consensus" => Self::Consensus,
                "allValues" => Self::AllValues,
                "average" => Self::Average,
                "min" => Self::Min,
                "max" => Self::Max,
                _ => return Err(FORM),
            });
        }
        let mut members = Members::read(json).ok_or(FORM)?;
        let mut list = |name: &str| members.optional::<Vec<String>>(name).map_err(|_error| FORM);
        match (list("trustedAuthor")?, list("trustedSystem")?) {
            (Some(authors), None) => Ok(Self::TrustedAuthor(authors)),
            (None, Some(systems)) => Ok(Self::TrustedSystem(systems)),
            _ => Err(FORM),
        }
    }

    fn put(&self, out: &mut String) {
        let name = match self {
            Self::MostRecent => "mostRecent",
            Self::FirstWrite => "firstWrite",
            Self::Consensus => "consensus",
            Self::AllValues => "allValues",
            Self::Average => "average",
            Self::Min => "min",
            Self::Max => "max",
            Self::TrustedAuthor(list) => return put_list(out, "trustedAuthor", list),
            Self::TrustedSystem(list) => return put_list(out, "trustedSystem", list),
        };
        put_text(out, name);
    }

    fn resolve(&self, values: Vec<(&Delta, ViewValue)>) -> Option<ViewValue> {
        match self {
            Self::MostRecent => values.into_iter().next_back().map(|(_, value)| value),
            Self::FirstWrite => values.into_iter().next().map(|(_, value)| value),
            Self::TrustedAuthor(order) => trusted(values, order, Delta::author),
            Self::TrustedSystem(order) => trusted(values, order, Delta::system),
            Self::Consensus => consensus(values),
            Self::AllValues => {
                let all: Vec<ViewValue> = values.into_iter().map(|(_, value)| value).collect();
                (!all.is_empty()).then_some(ViewValue::List(all))
            }
            Self::Average => {
                let numbers = numbers(&values);
                let sum: f64 = numbers.iter().map(|number| number.get()).sum();
                let average = Number::new(sum / numbers.len() as f64).ok()?;
                Some(ViewValue::Number(average))
            }
            Self::Min => numbers(&values).into_iter().min().map(ViewValue::Number),
            Self::Max => numbers(&values).into_iter().max().map(ViewValue::Number),
        }
    }
}

fn trusted(
    values: Vec<(&Delta, ViewValue)>,
    order: &[String],
    of: fn(&Delta) -> &str,
) -> Option<ViewValue> {
    let last_of = |name: &String| values.iter().rev().find(|(delta, _)| of(delta) == name);
    order
        .iter()
        .find_map(last_of)
        .map(|(_, value)| value.clone())
}

fn numbers(values: &[(&Delta, ViewValue)]) -> Vec<Number> {
    let number = |(_, value): &(&Delta, ViewValue)| match value {
        ViewValue::Number(number) => Some(*number),
        _ => None,
    };
    values.iter().filter_map(number).collect()
}

fn consensus(values: Vec<(&Delta, ViewValue)>) -> Option<ViewValue> {
    // By the one text of a value: how often, and where last.
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (at, (_, value)) in values.iter().enumerate() {
        let count = counts.entry(value.to_json()).or_default();
        *count = (count.0 + 1, at);
    }
    let (_, at) = counts.into_values().max()?;
    values.into_iter().nth(at).map(|(_, value)| value)
}

impl ViewValue {
    /// The value as JSON: names in the order of their bytes, numbers as DELTA-4 has them.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.put(&mut out);
        out
    }

    // As deep as view schemas nest.
    fn put(&self, out: &mut String) {
        match self {
            Self::Text(text) => put_text(out, text),
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Self::List(list) => {
                out.push('[');
                for (at, value) in list.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    value.put(out);
                }
                out.push(']');
            }
            Self::View(view) => {
                out.push('{');
                for (at, (name, value)) in view.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    put_text(out, name);
                    out.push(':');
                    value.put(out);
                }
                out.push('}');
            }
        }
    }
}
