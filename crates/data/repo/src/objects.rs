//! Values of a program as objects, one key per attribute (OBJ-1 to OBJ-6).

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use allod_identity::canonical;
use bytes::Bytes;
use ipld_core::ipld::Ipld;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::entry::VALUE_BLOCK_BYTES_MAX;
use crate::error::RepoError;
use crate::transaction::Transaction;
use crate::view::{Content, Span, View};

/// The longest kind or id of an object, in bytes.
pub const OBJECT_NAME_BYTES_MAX: usize = 255;

/// The most attributes of an object: reading one stays bounded.
pub const ATTRIBUTES_MAX: usize = 4096;

/// A type whose values are kept as objects: a struct, or a map with texts as keys. Each field is an
/// attribute, a key of its own; what a field holds is one value.
pub trait Object: Serialize + DeserializeOwned {
    /// What objects of this type are called in keys: 1 to [`OBJECT_NAME_BYTES_MAX`] bytes without
    /// `/` and control characters.
    const KIND: &'static str;
}

/// Why an object cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The space could not be read or written.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// A kind or id has no bytes or too many, or one that must not be in it. Blame: the caller.
    #[error(
        "{name:?} is no name of an object: 1 to {OBJECT_NAME_BYTES_MAX} bytes without / and control characters"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The value is no map of attributes, or one of them has no encoding (OBJ-2). Blame: the type.
    #[error("the value cannot be kept as an object: {0}")]
    Value(String),
    /// More than [`ATTRIBUTES_MAX`]. Blame: the caller, or whoever wrote them.
    #[error("{object} has more than {ATTRIBUTES_MAX} attributes")]
    TooMany {
        /// The object.
        object: String,
    },
    /// An attribute is not what its place asks for (OBJ-6). Blame: whoever wrote it.
    #[error("{key}: {fault}")]
    Attribute {
        /// Its key; that of the mark if one is missing.
        key: String,
        /// What is wrong.
        fault: String,
    },
}

/// The name of an object of type `T` (OBJ-5). As an attribute, it is how objects refer to each other.
pub struct Ref<T> {
    id: String,
    kind: PhantomData<fn() -> T>,
}

impl<T: Object> Ref<T> {
    /// The object with this id, there or not.
    pub fn new(id: impl Into<String>) -> Result<Self, ObjectError> {
        check_name(T::KIND)?;
        let id = id.into();
        check_name(&id)?;
        Ok(Self {
            id,
            kind: PhantomData,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key of the mark, with which all keys of the object begin.
    fn mark(&self) -> String {
        format!("{}/{}/", T::KIND, self.id)
    }

    fn attribute(&self, name: &str) -> Result<Bytes, ObjectError> {
        if name.is_empty() {
            return Err(ObjectError::Value("an attribute has no name".to_owned()));
        }
        Ok((self.mark() + name).into())
    }
}

fn check_name(name: &str) -> Result<(), ObjectError> {
    let fits = (1..=OBJECT_NAME_BYTES_MAX).contains(&name.len());
    if fits && !name.contains(|c: char| c == '/' || c.is_control()) {
        return Ok(());
    }
    let name = name.to_owned();
    Err(ObjectError::Name { name })
}

impl View {
    /// The object that a reference names; `None` if there is none (OBJ-1).
    pub fn object<T: Object>(&self, at: &Ref<T>) -> Result<Option<T>, ObjectError> {
        let mut stored = BTreeMap::new();
        for item in self.range(&Span::prefix(at.mark().as_bytes()), false) {
            let (key, entry) = item?;
            stored.insert(key, self.content(&entry)?);
            check_count(stored.len(), at)?;
        }
        assemble(at, &stored)
    }

    /// The objects of a type, in the order of their ids' bytes, each followed by `/`. Costs a seek
    /// per object, however many attributes they have.
    pub fn objects<T: Object>(&self) -> impl Iterator<Item = Result<Ref<T>, ObjectError>> + '_ {
        let kind = format!("{}/", T::KIND);
        let mut rest = Span::prefix(kind.as_bytes());
        std::iter::from_fn(move || {
            loop {
                let (key, _) = match self.range(&rest, false).next()? {
                    Ok(item) => item,
                    Err(error) => {
                        rest.from.clone_from(&rest.to);
                        return Some(Err(error.into()));
                    }
                };
                let name = &key[kind.len()..];
                let end = name.iter().position(|byte| *byte == b'/');
                let Some(end) = end else {
                    // A key of somebody else; the next one is the least that is greater.
                    rest.from = Some([&key[..], b"\0"].concat());
                    continue;
                };
                let mark = &key[..=kind.len() + end];
                rest.from = allod_tree::prefix_end(mark);
                if key.len() == mark.len()
                    && let Ok(id) = std::str::from_utf8(&name[..end])
                    && let Ok(found) = Ref::new(id)
                {
                    return Some(Ok(found));
                }
            }
        })
    }
}

impl Transaction {
    /// The object that a reference names, as this transaction sees it; `None` if there is none
    /// (OBJ-1).
    pub fn object<T: Object>(&mut self, at: &Ref<T>) -> Result<Option<T>, ObjectError> {
        let stored = self.stored(at)?;
        assemble(at, &stored)
    }

    /// Makes the object what `value` is; returns how many attributes that changed (OBJ-3).
    pub fn save<T: Object>(&mut self, at: &Ref<T>, value: &T) -> Result<usize, ObjectError> {
        let unfit = |error: &dyn fmt::Display| ObjectError::Value(error.to_string());
        let attributes = match ipld_core::serde::to_ipld(value) {
            Ok(Ipld::Map(attributes)) => attributes,
            Ok(_) => return Err(unfit(&"it has no attributes")),
            Err(error) => return Err(unfit(&error)),
        };
        check_count(attributes.len() + 1, at)?;
        let mut wanted = BTreeMap::new();
        for (name, attribute) in attributes {
            let bytes = canonical::encode(&attribute).map_err(|error| unfit(&error))?;
            wanted.insert(at.attribute(&name)?, bytes);
        }
        wanted.insert(at.mark().into(), Vec::new());
        let stored = self.stored(at)?;
        let mut changed = 0;
        for key in stored.keys().filter(|key| !wanted.contains_key(*key)) {
            self.delete(key.clone())?;
            changed += 1;
        }
        for (key, bytes) in wanted {
            let same = match stored.get(&key) {
                Some(Some(Content::Bytes(there))) => *there == bytes,
                _ => false,
            };
            if !same {
                // The mark is none.
                changed += usize::from(!bytes.is_empty());
                self.put(key, bytes)?;
            }
        }
        Ok(changed)
    }

    /// Removes the object; returns whether it was there (OBJ-4). Also one that has too many
    /// attributes to be read, as two devices together may have given it.
    pub fn remove<T: Object>(&mut self, at: &Ref<T>) -> Result<bool, ObjectError> {
        let span = Span::prefix(at.mark().as_bytes());
        let mut was_there = false;
        loop {
            let keys = self.keys(&span, ATTRIBUTES_MAX)?;
            if keys.is_empty() {
                return Ok(was_there);
            }
            for key in keys {
                was_there |= key == at.mark().as_bytes();
                self.delete(key)?;
            }
        }
    }

    /// The mark and the attributes as they are stored.
    fn stored<T: Object>(&mut self, at: &Ref<T>) -> Result<Stored, ObjectError> {
        // The mark is one more.
        let span = Span::prefix(at.mark().as_bytes());
        let keys = self.keys(&span, ATTRIBUTES_MAX + 2)?;
        check_count(keys.len(), at)?;
        let mut stored = BTreeMap::new();
        for key in keys {
            let content = self.get(&key)?;
            stored.insert(key, content);
        }
        Ok(stored)
    }
}

/// Keys of an object and what they hold.
type Stored = BTreeMap<Bytes, Option<Content>>;

/// Refuses more keys than an object with its mark may have.
fn check_count<T: Object>(count: usize, at: &Ref<T>) -> Result<(), ObjectError> {
    if count <= ATTRIBUTES_MAX + 1 {
        return Ok(());
    }
    let object = at.to_string();
    Err(ObjectError::TooMany { object })
}

/// The object that keys hold.
fn assemble<T: Object>(at: &Ref<T>, stored: &Stored) -> Result<Option<T>, ObjectError> {
    let mark = at.mark();
    if !stored.contains_key(mark.as_bytes()) {
        return Ok(None);
    }
    let mut attributes = BTreeMap::new();
    for (key, content) in stored.iter().filter(|(key, _)| key.len() > mark.len()) {
        let faulty = |fault: &dyn fmt::Display| ObjectError::Attribute {
            key: String::from_utf8_lossy(key).into_owned(),
            fault: fault.to_string(),
        };
        let Some(Content::Bytes(bytes)) = content else {
            return Err(faulty(&"an attribute is no file"));
        };
        let name = std::str::from_utf8(&key[mark.len()..]).map_err(|error| faulty(&error))?;
        let value: Ipld =
            canonical::decode(bytes, VALUE_BLOCK_BYTES_MAX).map_err(|error| faulty(&error))?;
        attributes.insert(name.to_owned(), value);
    }
    match ipld_core::serde::from_ipld(Ipld::Map(attributes)) {
        Ok(object) => Ok(Some(object)),
        Err(error) => Err(ObjectError::Attribute {
            key: mark,
            fault: error.to_string(),
        }),
    }
}

impl<T: Object> fmt::Display for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", T::KIND, self.id)
    }
}

impl<T: Object> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref({self})")
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        Self {
            id: self.id.clone(),
            kind: PhantomData,
        }
    }
}

impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Ref<T> {}

impl<T> PartialOrd for Ref<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Ref<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

impl<T> Hash for Ref<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T: Object> Serialize for Ref<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: Object> Deserialize<'de> for Ref<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once('/') {
            Some((kind, id)) if kind == T::KIND => Self::new(id).map_err(D::Error::custom),
            _ => Err(D::Error::custom(format_args!(
                "{text:?} refers to no {}",
                T::KIND
            ))),
        }
    }
}
