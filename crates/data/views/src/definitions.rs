//! What `meta` defines in one state (TYPE-2, TYPE-3, PROJ-1).

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_blocks::{Cid, Codec, sha256_cid};
use allod_identity::canonical;
use allod_repo::{Author, BranchName, CommitId, Content, Repo, RepoError, Span, View};
use bytes::Bytes;

use crate::definition::{Projection, ProjectionDefinition, Shape, Source};
use crate::derive::Resolved;
use crate::error::ViewError;
use crate::types::{Name, Type, TypeDefinition};

/// Before a name, the keys in `meta`.
const TYPE_PREFIX: &str = "type/";
const PROJECTION_PREFIX: &str = "projection/";

/// Types, and projections, of a space that are read: each state of `meta` is read with them. More are
/// passed over.
pub const DEFINITIONS_MAX: usize = 1024;

/// How often a definition is written anew beside other changes of `meta`.
const RETRIES: u32 = 15;

/// The definitions of one state of `meta`.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    types: BTreeMap<Name, Arc<Type>>,
    projections: BTreeMap<Name, Arc<Projection>>,
}

impl Definitions {
    /// Reads what a state of `meta` defines.
    pub fn read(meta: &View) -> Result<Self, RepoError> {
        Ok(Self {
            types: read(meta, TYPE_PREFIX, Type::decode)?,
            projections: read(meta, PROJECTION_PREFIX, Projection::decode)?,
        })
    }

    /// The types, by name.
    pub fn types(&self) -> impl Iterator<Item = (&Name, &Arc<Type>)> {
        self.types.iter()
    }

    /// The projections, by name.
    pub fn projections(&self) -> impl Iterator<Item = (&Name, &Arc<Projection>)> {
        self.projections.iter()
    }

    /// The type of this name.
    #[must_use]
    pub fn kind(&self, name: &Name) -> Option<&Arc<Type>> {
        self.types.get(name)
    }

    /// The projection of this name.
    #[must_use]
    pub fn projection(&self, name: &Name) -> Option<&Arc<Projection>> {
        self.projections.get(name)
    }

    /// The type that a key is a record of.
    #[must_use]
    pub fn kind_of(&self, key: &[u8]) -> Option<(&Name, &Arc<Type>)> {
        let end = key.iter().position(|byte| *byte == b':')?;
        let name: Name = std::str::from_utf8(&key[..end]).ok()?.parse().ok()?;
        self.types.get_key_value(&name)
    }

    fn kind_of_source(&self, source: &Source) -> Option<&Arc<Type>> {
        self.types.get(source.kind.as_ref()?)
    }

    /// A projection with the types of its sources that are in force here.
    pub(crate) fn resolve<'a>(&'a self, projection: &'a Projection) -> Resolved<'a> {
        let other = match &projection.shape {
            Shape::Join { other, .. } => self.kind_of_source(other),
            _ => None,
        };
        Resolved {
            projection,
            own: self.kind_of_source(&projection.source),
            other,
        }
    }
}

impl Resolved<'_> {
    /// Its name (PROJ-10).
    pub(crate) fn name(&self) -> Cid {
        let definition = |kind: Option<&Arc<Type>>| kind.map(|kind| kind.definition().clone());
        let list: (
            u64,
            &ProjectionDefinition,
            Option<TypeDefinition>,
            Option<TypeDefinition>,
        ) = (
            1,
            self.projection.definition(),
            definition(self.own),
            definition(self.other),
        );
        // Texts, lists and booleans always encode.
        let bytes = canonical::encode(&list).unwrap_or_default();
        sha256_cid(Codec::DagCbor, &bytes)
    }
}

fn read<T>(
    meta: &View,
    prefix: &str,
    decode: impl Fn(&[u8]) -> Option<T>,
) -> Result<BTreeMap<Name, Arc<T>>, RepoError> {
    let mut found = BTreeMap::new();
    for item in meta
        .range(&Span::prefix(prefix.as_bytes()), false)
        .take(DEFINITIONS_MAX)
    {
        let (key, entry) = item?;
        let name = std::str::from_utf8(&key[prefix.len()..]).ok();
        let name = name.and_then(|name| name.parse().ok());
        let definition = match meta.content(&entry)? {
            Some(Content::Bytes(bytes)) => decode(&bytes),
            _ => None,
        };
        found.extend(name.zip(definition.map(Arc::new)));
    }
    Ok(found)
}

/// Defines a type, or puts a definition in the place of another (TYPE-9; with `drop`, fields may go):
/// a commit on `meta`, by the owner of the space.
pub fn define_type(
    repo: &Repo,
    name: &Name,
    definition: TypeDefinition,
    drop: bool,
    by: (Author<'_>, u64),
) -> Result<CommitId, ViewError> {
    let wrong = |source| ViewError::Type {
        name: name.clone(),
        source,
    };
    let kind = Type::new(definition).map_err(wrong)?;
    let said = format!("Define type {name}");
    write(repo, by, (TYPE_PREFIX, name), &said, |before| {
        if let Some(before) = before.and_then(Type::decode) {
            before.may_become(&kind, drop).map_err(wrong)?;
        }
        Ok(Some(kind.encode()))
    })
}

/// Takes the definition of a type away: a commit on `meta`, by the owner. Its records stay.
pub fn drop_type(repo: &Repo, name: &Name, by: (Author<'_>, u64)) -> Result<CommitId, ViewError> {
    let said = format!("Drop type {name}");
    write(
        repo,
        by,
        (TYPE_PREFIX, name),
        &said,
        |before| match before {
            Some(_) => Ok(None),
            None => Err(ViewError::NoType(name.clone())),
        },
    )
}

/// Defines a projection: a commit on `meta`, by the owner of the space. It is computed when it is asked
/// for.
pub fn create_projection(
    repo: &Repo,
    name: &Name,
    definition: ProjectionDefinition,
    by: (Author<'_>, u64),
) -> Result<CommitId, ViewError> {
    let projection = Projection::new(definition).map_err(|source| ViewError::Projection {
        name: name.clone(),
        source,
    })?;
    let said = format!("Create projection {name}");
    write(
        repo,
        by,
        (PROJECTION_PREFIX, name),
        &said,
        |before| match before {
            None => Ok(Some(projection.encode())),
            Some(_) => Err(ViewError::Exists(name.clone())),
        },
    )
}

/// Takes the definition of a projection away: a commit on `meta`, by the owner. What was computed of it
/// stays.
pub(crate) fn drop_projection_definition(
    repo: &Repo,
    name: &Name,
    by: (Author<'_>, u64),
) -> Result<CommitId, ViewError> {
    let said = format!("Drop projection {name}");
    write(
        repo,
        by,
        (PROJECTION_PREFIX, name),
        &said,
        |before| match before {
            Some(_) => Ok(None),
            None => Err(ViewError::NoProjection(name.clone())),
        },
    )
}

/// A commit on `meta` that gives a name what `next` makes of what it had.
fn write(
    repo: &Repo,
    (owner, now_ms): (Author<'_>, u64),
    (prefix, name): (&str, &Name),
    said: &str,
    next: impl Fn(Option<&[u8]>) -> Result<Option<Vec<u8>>, ViewError>,
) -> Result<CommitId, ViewError> {
    let key = Bytes::from(format!("{prefix}{name}"));
    let meta = BranchName::meta();
    let made = repo.transact(&meta, owner, said, (RETRIES, now_ms), |tx| {
        let before = match tx.get(&key)? {
            Some(Content::Bytes(bytes)) => Some(bytes),
            _ => None,
        };
        match next(before.as_deref())? {
            Some(definition) => Ok::<(), ViewError>(tx.put(key.clone(), definition)?),
            None => Ok(tx.delete(key.clone())?),
        }
    });
    Ok(made?.0)
}
