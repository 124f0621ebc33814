//! Definitions of projections (PROJ-1).

use std::collections::BTreeSet;

use allod_identity::canonical;
use allod_repo::Pattern;
use serde::{Deserialize, Serialize};

use crate::definitions::Definitions;
use crate::expr::Expr;
use crate::record::FieldKind;
use crate::types::{DEFINITION_BYTES_MAX, Name};

/// Expressions that an index or a group is in the order of.
pub const BY_MAX: usize = 8;

/// Other expressions of a projection: more than anybody looks at side by side.
const VALUES_MAX: usize = 64;

/// The definition of a projection as `meta` has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectionDefinition {
    /// What it is.
    pub shape: ShapeDefinition,
    /// Of which keys: a prefix with `*` at its end.
    pub source: String,
    /// Which records: an expression, or all.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// The shapes of a projection.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase", deny_unknown_fields)]
pub enum ShapeDefinition {
    /// Records in an order, with computed values beside.
    Index {
        /// Expressions.
        by: Vec<String>,
        /// Names and expressions.
        values: Vec<(String, String)>,
    },
    /// Records with the same values, counted and summed.
    Group {
        /// Names and expressions.
        by: Vec<(String, String)>,
        /// Names, functions and expressions.
        totals: Vec<(String, Function, Option<String>)>,
    },
    /// Pairs of records.
    Join {
        /// An expression over the source.
        on: String,
        /// The keys of the other side: a prefix with `*` at its end.
        other: String,
        /// An expression over the other side.
        to: String,
        /// Names and expressions over the source.
        left: Vec<(String, String)>,
        /// Names and expressions over the other side.
        right: Vec<(String, String)>,
        /// Whether records without a partner are pairs with nulls.
        outer: bool,
    },
    /// The words of texts.
    Words {
        /// Expressions.
        of: Vec<String>,
    },
}

/// What a group computes of the values of an expression.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// How many there are.
    Count,
    /// Their sum.
    Sum,
    /// Their sum divided by how many there are.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// Why a definition of a projection is none (`E_PROJECTION`). Blame: whoever made it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct BadProjection(pub String);

impl BadProjection {
    /// The registered code (`specs/registry.md`).
    pub const CODE: &'static str = "E_PROJECTION";
}

/// A definition that was checked, ready to be computed.
#[derive(Clone, Debug)]
pub struct Projection {
    definition: ProjectionDefinition,
    pub(crate) source: Source,
    pub(crate) filter: Option<Expr>,
    pub(crate) shape: Shape,
}

/// A prefix of keys, and the type whose records these are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Source {
    pub(crate) prefix: Vec<u8>,
    pub(crate) kind: Option<Name>,
}

/// [`ShapeDefinition`], parsed.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Index {
        by: Vec<Expr>,
        values: Vec<Expr>,
    },
    Group {
        by: Vec<Expr>,
        totals: Vec<(Function, Option<Expr>)>,
    },
    Join {
        on: Expr,
        other: Source,
        to: Expr,
        left: Vec<Expr>,
        right: Vec<Expr>,
    },
    Words {
        of: Vec<Expr>,
    },
}

impl Projection {
    /// Checks a definition (PROJ-1).
    pub fn new(definition: ProjectionDefinition) -> Result<Self, BadProjection> {
        let made = Self {
            source: source(&definition.source)?,
            filter: definition.filter.as_deref().map(expr).transpose()?,
            shape: shape(&definition.shape)?,
            definition,
        };
        if made.encode().len() > DEFINITION_BYTES_MAX {
            return Err(bad(format!(
                "a definition has at most {DEFINITION_BYTES_MAX} bytes"
            )));
        }
        Ok(made)
    }

    /// The definition that `meta` holds as these bytes; none if it holds something else (PROJ-1).
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let definition = canonical::decode(bytes, DEFINITION_BYTES_MAX).ok()?;
        Self::new(definition).ok()
    }

    /// The definition as `meta` holds it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Texts, lists and booleans always encode.
        canonical::encode(&self.definition).unwrap_or_default()
    }

    /// What it was made of.
    #[must_use]
    pub const fn definition(&self) -> &ProjectionDefinition {
        &self.definition
    }

    /// Of the expressions that its rows are in the order of, what the fields among them are.
    #[must_use]
    pub fn kinds(&self, types: &Definitions) -> Vec<Option<FieldKind>> {
        let kind = types.resolve(self).own;
        let of = |by: &Expr| {
            let [name] = by.as_field()?.names() else {
                return None;
            };
            Some(kind?.field(name)?.1.kind.clone())
        };
        match &self.shape {
            Shape::Index { by, .. } | Shape::Group { by, .. } => by.iter().map(of).collect(),
            Shape::Join { on, .. } => vec![of(on)],
            Shape::Words { .. } => vec![Some(FieldKind::String)],
        }
    }

    /// Of an index, the names of the fields that it is in the order of; none for another expression.
    #[must_use]
    pub fn index_fields(&self) -> Option<Vec<Option<&str>>> {
        let Shape::Index { by, .. } = &self.shape else {
            return None;
        };
        Some(by.iter().map(plain_field).collect())
    }

    /// Of totals by group, the names of the fields by which records are grouped, and of which totals are;
    /// none for another expression.
    #[must_use]
    #[expect(
        clippy::type_complexity,
        reason = "two lists, of which a reader needs no name"
    )]
    pub fn group_fields(
        &self,
    ) -> Option<(Vec<Option<&str>>, Vec<(Function, Option<Option<&str>>)>)> {
        let Shape::Group { by, totals } = &self.shape else {
            return None;
        };
        let totals = totals
            .iter()
            .map(|(function, of)| (*function, of.as_ref().map(plain_field)));
        Some((by.iter().map(plain_field).collect(), totals.collect()))
    }

    /// The names of the columns that its rows have, the key of a record not among them.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let names = |list: &[(String, String)]| -> Vec<String> {
            list.iter().map(|(name, _)| name.clone()).collect()
        };
        match &self.definition.shape {
            ShapeDefinition::Index { by, values } => [by.clone(), names(values)].concat(),
            ShapeDefinition::Group { by, totals } => {
                let totals = totals.iter().map(|(name, ..)| name.clone());
                names(by).into_iter().chain(totals).collect()
            }
            ShapeDefinition::Join { left, right, .. } => [names(left), names(right)].concat(),
            ShapeDefinition::Words { .. } => vec!["word".to_owned(), "times".to_owned()],
        }
    }
}

/// The field that an expression is, if it is one of the record itself.
fn plain_field(expr: &Expr) -> Option<&str> {
    match expr.as_field()?.names() {
        [name] => Some(name),
        _ => None,
    }
}

fn bad(text: impl Into<String>) -> BadProjection {
    BadProjection(text.into())
}

fn source(text: &str) -> Result<Source, BadProjection> {
    let prefix = text.strip_suffix('*').filter(|prefix| !prefix.is_empty());
    let is_pattern = text.parse::<Pattern>().is_ok();
    let prefix = prefix.filter(|_| is_pattern).ok_or_else(|| {
        bad(format!(
            "{text:?} is no source; one is a prefix of keys and a *, as user:*"
        ))
    })?;
    Ok(Source {
        prefix: prefix.as_bytes().to_vec(),
        kind: prefix
            .split_once(':')
            .and_then(|(name, _)| name.parse().ok()),
    })
}

fn expr(text: impl AsRef<str>) -> Result<Expr, BadProjection> {
    let text = text.as_ref();
    text.parse()
        .map_err(|error| bad(format!("{text:?}: {error}")))
}

fn exprs<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<Vec<Expr>, BadProjection> {
    texts.into_iter().map(expr).collect()
}

fn shape(shape: &ShapeDefinition) -> Result<Shape, BadProjection> {
    Ok(match shape {
        ShapeDefinition::Index { by, values } => {
            count("by", by.len(), 1, BY_MAX)?;
            names(values.iter().map(|(name, _)| name).chain(by))?;
            Shape::Index {
                by: exprs(by)?,
                values: named(values)?,
            }
        }
        ShapeDefinition::Group { by, totals } => {
            count("by", by.len(), 0, BY_MAX)?;
            count("totals", totals.len(), 1, VALUES_MAX)?;
            let by_names = by.iter().map(|(name, _)| name);
            names(by_names.chain(totals.iter().map(|(name, ..)| name)))?;
            let totals = totals.iter().map(|(name, function, of)| {
                if of.is_none() && *function != Function::Count {
                    return Err(bad(format!(
                        "{name}: only count does without an expression"
                    )));
                }
                Ok((*function, of.as_deref().map(expr).transpose()?))
            });
            Shape::Group {
                by: named(by)?,
                totals: totals.collect::<Result<_, _>>()?,
            }
        }
        ShapeDefinition::Join {
            on,
            other,
            to,
            left,
            right,
            ..
        } => {
            names(left.iter().chain(right).map(|(name, _)| name))?;
            Shape::Join {
                on: expr(on)?,
                other: source(other)?,
                to: expr(to)?,
                left: named(left)?,
                right: named(right)?,
            }
        }
        ShapeDefinition::Words { of } => {
            count("of", of.len(), 1, BY_MAX)?;
            Shape::Words { of: exprs(of)? }
        }
    })
}

fn named(list: &[(String, String)]) -> Result<Vec<Expr>, BadProjection> {
    count("values", list.len(), 0, VALUES_MAX)?;
    exprs(list.iter().map(|(_, text)| text))
}

fn count(what: &str, got: usize, least: usize, most: usize) -> Result<(), BadProjection> {
    let fits = (least..=most).contains(&got);
    fits.then_some(()).ok_or_else(|| {
        bad(format!(
            "a projection has {least} to {most} expressions in {what:?}, not {got}"
        ))
    })
}

fn names<'a>(names: impl IntoIterator<Item = &'a String>) -> Result<(), BadProjection> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() || !seen.insert(name) {
            return Err(bad(format!(
                "two columns are called {name:?}, or one has no name"
            )));
        }
    }
    Ok(())
}
