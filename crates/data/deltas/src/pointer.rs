//! Pointers: the parts of what a delta says (DELTA-1).

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::delta::DeltaError;
use crate::json::{Extras, Members, put_text};
use crate::number::Number;

/// The longest id, context, role, author and system, in bytes (DELTA-2): three of them and a time fit into
/// a key of a space.
pub const NAME_BYTES_MAX: usize = 512;

/// Members of one object that nobody here knows, at most (DELTA-5).
pub(crate) const EXTRAS_MAX: usize = 64;

/// The role of a pointer that negates (DELTA-20).
pub(crate) const ROLE_NEGATES: &str = "negates";

/// The context of a pointer that negates (DELTA-20).
pub(crate) const CONTEXT_NEGATED_BY: &str = "negated_by";

/// One part of what a delta says: what it is about in a role.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointer {
    role: String,
    target: Target,
    extras: Extras,
}

/// What a pointer points to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// A text.
    Text(String),
    /// A number.
    Number(Number),
    /// True or false.
    Bool(bool),
    /// An object, or a delta.
    Reference(Reference),
}

/// An object or a delta by its id, and the property of it under which the delta appears.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    id: String,
    context: Option<String>,
    extras: Extras,
}

impl Pointer {
    /// A pointer.
    pub fn new(role: impl Into<String>, target: Target) -> Result<Self, DeltaError> {
        Ok(Self {
            role: name(role.into(), "role")?,
            target,
            extras: Extras::default(),
        })
    }

    /// A pointer to an object without a context.
    pub fn to(role: impl Into<String>, id: impl Into<String>) -> Result<Self, DeltaError> {
        Self::new(role, Target::Reference(Reference::new(id, None)?))
    }

    /// A pointer to an object under a context.
    pub fn under(
        role: impl Into<String>,
        id: impl Into<String>,
        context: impl Into<String>,
    ) -> Result<Self, DeltaError> {
        let reference = Reference::new(id, Some(context.into()))?;
        Self::new(role, Target::Reference(reference))
    }

    /// A pointer to a text.
    pub fn text(role: impl Into<String>, text: impl Into<String>) -> Result<Self, DeltaError> {
        Self::new(role, Target::Text(text.into()))
    }

    /// A pointer that negates a delta.
    pub fn negates(id: impl Into<String>) -> Result<Self, DeltaError> {
        Self::under(ROLE_NEGATES, id, CONTEXT_NEGATED_BY)
    }

    /// What the target is to the delta.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// What it points to.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The object that it points to, if it is one.
    #[must_use]
    pub const fn reference(&self) -> Option<&Reference> {
        match &self.target {
            Target::Reference(reference) => Some(reference),
            Target::Text(_) | Target::Number(_) | Target::Bool(_) => None,
        }
    }

    /// Members that nobody here knows.
    #[must_use]
    pub const fn extras(&self) -> &Extras {
        &self.extras
    }

    pub(crate) fn read(raw: &RawValue) -> Result<Self, DeltaError> {
        let mut members = Members::read(raw.get()).ok_or(DeltaError::Field("pointers"))?;
        let role = text(members.take("role"), "role")?;
        let target = members.take("target").ok_or(DeltaError::Target)?;
        Ok(Self {
            role: name(role, "role")?,
            target: Target::read(target)?,
            extras: extras(members)?,
        })
    }

    pub(crate) fn put(&self, out: &mut String) {
        out.push_str("{\"role\":");
        put_text(out, &self.role);
        out.push_str(",\"target\":");
        self.target.put(out);
        self.extras.put(out);
        out.push('}');
    }
}

impl Target {
    fn read(raw: &RawValue) -> Result<Self, DeltaError> {
        let json = raw.get();
        match json.as_bytes().first() {
            Some(b'"') => Ok(Self::Text(text(Some(raw), "target")?)),
            Some(b'{') => Reference::read(json).map(Self::Reference),
            Some(b't') => Ok(Self::Bool(true)),
            Some(b'f') => Ok(Self::Bool(false)),
            Some(b'-' | b'0'..=b'9') => Ok(Self::Number(Number::parse(json)?)),
            _ => Err(DeltaError::Target),
        }
    }

    /// Writes it as JSON.
    pub(crate) fn put(&self, out: &mut String) {
        match self {
            Self::Text(text) => put_text(out, text),
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Self::Reference(reference) => reference.put(out),
        }
    }
}

impl Reference {
    /// A reference.
    pub fn new(id: impl Into<String>, context: Option<String>) -> Result<Self, DeltaError> {
        Ok(Self {
            id: name(id.into(), "target")?,
            context: context
                .map(|context| name(context, "context"))
                .transpose()?,
            extras: Extras::default(),
        })
    }

    /// The object or delta.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The property under which the delta appears there.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    fn read(json: &str) -> Result<Self, DeltaError> {
        let mut members = Members::read(json).ok_or(DeltaError::Target)?;
        let id = text(members.take("id"), "target")?;
        let context = match members.take("context") {
            None => None,
            raw => Some(text(raw, "context")?),
        };
        let mut reference = Self::new(id, context)?;
        reference.extras = extras(members)?;
        Ok(reference)
    }

    fn put(&self, out: &mut String) {
        out.push_str("{\"id\":");
        put_text(out, &self.id);
        if let Some(context) = &self.context {
            out.push_str(",\"context\":");
            put_text(out, context);
        }
        self.extras.put(out);
        out.push('}');
    }
}

/// As DAG-CBOR has it (DELTA-6): members in the order of their length.
impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Said<'a> {
            id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            context: Option<&'a str>,
        }
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => number.serialize(serializer),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Reference(reference) => Said {
                id: reference.id(),
                context: reference.context(),
            }
            .serialize(serializer),
        }
    }
}

/// A name of 1 to [`NAME_BYTES_MAX`] bytes without a zero.
pub(crate) fn name(name: String, field: &'static str) -> Result<String, DeltaError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return Err(DeltaError::Field(field));
    }
    Ok(name)
}

/// The text of a member that is to be a string.
pub(crate) fn text(raw: Option<&RawValue>, field: &'static str) -> Result<String, DeltaError> {
    let raw = raw.ok_or(DeltaError::Field(field))?;
    serde_json::from_str(raw.get()).map_err(|_error| DeltaError::Field(field))
}

pub(crate) fn extras(members: Members<'_>) -> Result<Extras, DeltaError> {
    let extras = Extras::of(members);
    if extras.len() > EXTRAS_MAX {
        return Err(DeltaError::Extras);
    }
    Ok(extras)
}
