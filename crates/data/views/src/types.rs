//! What a space says of the records of a kind (TYPE-1 to TYPE-4).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use allod_identity::canonical;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::expr::Expr;
use crate::record::{Datum, FieldKind, read_field};

/// The longest name of a type or projection, in bytes (TYPE-1).
const NAME_BYTES_MAX: usize = 64;

/// The longest name of a field, in bytes (TYPE-1).
const FIELD_NAME_BYTES_MAX: usize = 128;

/// Fields of a type: more than tables have that people read (TYPE-1).
pub const FIELDS_MAX: usize = 256;

/// The longest definition, in bytes: it is read with each state of `meta` (TYPE-1).
pub const DEFINITION_BYTES_MAX: usize = 65_536;

/// The name of a type or of a projection: 1 to 64 of `a-z A-Z 0-9 _`, a letter first.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

/// A text is no name of a type or projection. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a name has 1 to 64 of a-z A-Z 0-9 _, and begins with a letter")]
pub struct BadName;

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_name = text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.len() <= NAME_BYTES_MAX
            && text.bytes().all(of_name);
        is_name.then(|| Self(text.to_owned())).ok_or(BadName)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The definition of a type as `meta` has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeDefinition {
    /// An expression that a record must not make false.
    pub check: Option<String>,
    /// Whether a record has no fields but these.
    pub closed: bool,
    /// The fields, in the order in which they are shown.
    pub fields: Vec<FieldDefinition>,
    /// What is done with received commits that break this.
    pub received: Received,
}

/// What is done with received records that are not what their type says (TYPE-8).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Received {
    /// They are shown as broken.
    #[default]
    Flag,
    /// They are in no projection and no table until somebody mends them.
    Quarantine,
    /// The commit is refused.
    Refuse,
}

/// A field of a type.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldDefinition {
    /// An expression that a record must not make false.
    pub check: Option<String>,
    /// JSON: what is read where a record does not have the field.
    pub default: Option<String>,
    /// What it is.
    pub kind: FieldKind,
    /// Whether it is an array of that.
    pub list: bool,
    /// What it is called.
    pub name: String,
    /// Whether a record must have it, and not null.
    pub required: bool,
    /// Whether no two records of a state have the same value.
    pub unique: bool,
    /// What it was called before.
    pub was: Vec<String>,
}

impl FieldDefinition {
    /// A field of a kind, without demands.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: FieldKind) -> Self {
        Self {
            check: None,
            default: None,
            kind,
            list: false,
            name: name.into(),
            required: false,
            unique: false,
            was: Vec::new(),
        }
    }
}

/// Why a definition of a type is none. Blame: whoever made it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadType {
    /// It breaks TYPE-1.
    #[error("{0}")]
    Broken(String),
    /// Records that the former definition accepts could not be read any more (TYPE-9).
    #[error("{0}")]
    Narrowed(String),
}

impl BadType {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Broken(_) => "E_TYPE",
            Self::Narrowed(_) => "E_TYPE_NARROWED",
        }
    }

    pub(crate) fn broken(text: impl Into<String>) -> Self {
        Self::Broken(text.into())
    }
}

/// A definition that was checked, ready to read records by.
#[derive(Clone, Debug)]
pub struct Type {
    definition: TypeDefinition,
    fields: Vec<Field>,
    check: Option<Expr>,
}

/// A field, ready to be read.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) kind: FieldKind,
    pub(crate) list: bool,
    pub(crate) name: String,
    /// The latest first.
    pub(crate) was: Vec<String>,
    pub(crate) required: bool,
    pub(crate) unique: bool,
    pub(crate) default: Datum,
    pub(crate) check: Option<Expr>,
}

impl Type {
    /// Checks a definition (TYPE-1).
    pub fn new(definition: TypeDefinition) -> Result<Self, BadType> {
        let count = definition.fields.len();
        if count == 0 || count > FIELDS_MAX {
            return Err(BadType::broken(format!(
                "a type has 1 to {FIELDS_MAX} fields, not {count}"
            )));
        }
        let mut seen = BTreeSet::new();
        for field in &definition.fields {
            for name in field.was.iter().chain([&field.name]) {
                check_field_name(name)?;
                if !seen.insert(name) {
                    return Err(BadType::broken(format!(
                        "two fields are or were called {name:?}"
                    )));
                }
            }
        }
        let fields = definition
            .fields
            .iter()
            .map(|field| field_of(field, &definition));
        let made = Self {
            fields: fields.collect::<Result<_, _>>()?,
            check: check_of(definition.check.as_deref(), &definition)?,
            definition,
        };
        if made.encode().len() > DEFINITION_BYTES_MAX {
            let text = format!("a definition has at most {DEFINITION_BYTES_MAX} bytes");
            return Err(BadType::Broken(text));
        }
        Ok(made)
    }

    /// The definition that `meta` holds as these bytes; none if it holds something else (TYPE-2).
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
    pub const fn definition(&self) -> &TypeDefinition {
        &self.definition
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) const fn check(&self) -> Option<&Expr> {
        self.check.as_ref()
    }

    /// The field of a name, and its place.
    pub(crate) fn field(&self, name: &str) -> Option<(usize, &Field)> {
        let mut fields = self.fields.iter().enumerate();
        fields.find(|(_, field)| field.name == name)
    }

    /// Whether `next` may take its place (TYPE-9); with `drop`, also if fields go.
    pub fn may_become(&self, next: &Self, drop: bool) -> Result<(), BadType> {
        let mut taken = BTreeSet::new();
        for field in &self.fields {
            let name = &field.name;
            let narrowed = |what: String| Err(BadType::Narrowed(format!("{name}: {what}")));
            let mut successors = next.fields.iter();
            let Some(after) = successors.find(|after| after.is_called(name)) else {
                if drop {
                    continue;
                }
                return narrowed("the field goes; say so, or rename it".to_owned());
            };
            if !drop && !taken.insert(&after.name) {
                let text = format!("two fields become {}; say that one goes", after.name);
                return narrowed(text);
            }
            if !drop && let Some(was) = field.was.iter().find(|was| !after.is_called(was)) {
                let text = format!("records that have it as {was} are not read; say so");
                return narrowed(text);
            }
            let widens = (&field.kind, &after.kind) == (&FieldKind::Integer, &FieldKind::Number);
            if field.list != after.list || (field.kind != after.kind && !widens) {
                let (before, after) = (shown(field), shown(after));
                return narrowed(format!("{before} does not become {after}"));
            }
            if after.must_be_there() && !field.must_be_there() {
                return narrowed("it becomes required without a default".to_owned());
            }
        }
        for after in &next.fields {
            let is_new = |name: &String| self.field(name).is_none();
            let is_new = is_new(&after.name) && after.was.iter().all(is_new);
            if is_new && after.must_be_there() {
                let text = format!("{}: a new field is required without a default", after.name);
                return Err(BadType::Narrowed(text));
            }
        }
        if next.definition.closed && !self.definition.closed && !drop {
            let text = "the type is closed: other fields that records have go; say so".to_owned();
            return Err(BadType::Narrowed(text));
        }
        Ok(())
    }
}

impl Field {
    /// Whether this is its name, or was.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.was.iter().any(|was| was == name)
    }

    /// Whether a record that does not have it breaks its type.
    fn must_be_there(&self) -> bool {
        self.required && self.default == Datum::default()
    }
}

fn shown(field: &Field) -> String {
    let kind = &field.kind;
    if field.list {
        format!("[{kind}]")
    } else {
        kind.to_string()
    }
}

fn check_field_name(name: &str) -> Result<(), BadType> {
    let is_odd = |c: char| c.is_control() || c == '.' || c == '"';
    if name.is_empty() || name.len() > FIELD_NAME_BYTES_MAX || name.contains(is_odd) {
        return Err(BadType::Broken(format!(
            "{name:?} is no name of a field: 1 to {FIELD_NAME_BYTES_MAX} bytes, no control character, dot or quote"
        )));
    }
    Ok(())
}

fn field_of(field: &FieldDefinition, all: &TypeDefinition) -> Result<Field, BadType> {
    let name = &field.name;
    let default = match &field.default {
        None => Datum::default(),
        Some(text) => {
            let broken =
                |error: &dyn fmt::Display| BadType::Broken(format!("{name}: its default: {error}"));
            let json: &RawValue = serde_json::from_str(text).map_err(|error| broken(&error))?;
            let read = read_field(json.get(), &field.kind, field.list);
            let read = read.map_err(|error| broken(&error))?;
            if field.required && read == Datum::default() {
                return Err(BadType::Broken(format!(
                    "{name}: required, and null by default"
                )));
            }
            read
        }
    };
    Ok(Field {
        kind: field.kind.clone(),
        list: field.list,
        name: name.clone(),
        was: field.was.iter().rev().cloned().collect(),
        required: field.required,
        unique: field.unique,
        default,
        check: check_of(field.check.as_deref(), all)?,
    })
}

fn check_of(text: Option<&str>, all: &TypeDefinition) -> Result<Option<Expr>, BadType> {
    let Some(text) = text else { return Ok(None) };
    let check: Expr = text
        .parse()
        .map_err(|error| BadType::Broken(format!("the check {text:?}: {error}")))?;
    for path in check.fields() {
        let known = path.names().first();
        if !known.is_some_and(|first| all.fields.iter().any(|field| field.name == **first)) {
            return Err(BadType::Broken(format!(
                "the check {text:?} names {path}, which is no field"
            )));
        }
    }
    Ok(Some(check))
}
