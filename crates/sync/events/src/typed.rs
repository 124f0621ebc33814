//! Records of types, as records of formats (EVENT-20 to EVENT-22).

use std::sync::{Arc, Mutex, PoisonError};

use allod_blocks::Cid;
use allod_payloads::{Field, Kind, RecordShape, Value, unique_names};
use allod_repo::{BranchName, CommitId, Repo, RepoError, View};
use allod_views::{Datum, Definitions, FieldKind, Name, Record, Type, Value as Read};

/// States of `meta` whose definitions are kept, at most.
const STATES_KEPT: usize = 8;

/// Which state of `meta` says what records have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Under {
    /// None: a commit was made before `meta` said anything.
    Nothing,
    /// That of a commit's policy.
    Policy(CommitId),
    /// What is in force now.
    Now,
}

/// The types that are in force at commits.
#[derive(Debug, Default)]
pub(crate) struct Typed {
    /// By the root of the state; the last one was asked for last.
    kept: Mutex<Vec<(Cid, Arc<Definitions>)>>,
    /// The state that the last commit named, by its space and policy.
    last: Mutex<Option<(Cid, CommitId, Arc<Definitions>)>>,
}

impl Typed {
    /// The type that a key is of; `None` if there is none, or that state is not here.
    pub(crate) fn of(
        &self,
        repo: &Repo,
        under: Under,
        key: &[u8],
    ) -> Result<Option<(Name, Arc<Type>)>, RepoError> {
        let definitions = match under {
            Under::Nothing => return Ok(None),
            Under::Policy(policy) => match self.at(repo, policy) {
                Err(RepoError::NoCommit(_) | RepoError::Bare(_) | RepoError::Missing(_)) => {
                    return Ok(None);
                }
                found => found?,
            },
            Under::Now => self.read(&repo.state(&BranchName::meta())?)?,
        };
        let found = definitions.kind_of(key);
        Ok(found.map(|(name, kind)| (name.clone(), Arc::clone(kind))))
    }

    fn at(&self, repo: &Repo, policy: CommitId) -> Result<Arc<Definitions>, RepoError> {
        let space = *repo.id().cid();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, at, definitions)) = &*last
            && (*of, *at) == (space, policy)
        {
            return Ok(Arc::clone(definitions));
        }
        let definitions = self.read(&repo.at(policy)?)?;
        *last = Some((space, policy, Arc::clone(&definitions)));
        Ok(definitions)
    }

    fn read(&self, meta: &View) -> Result<Arc<Definitions>, RepoError> {
        let root = meta.tree().root();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match kept.iter().position(|(known, _)| *known == root) {
            Some(at) => kept.remove(at).1,
            None => Arc::new(Definitions::read(meta)?),
        };
        if kept.len() >= STATES_KEPT {
            kept.remove(0);
        }
        kept.push((root, Arc::clone(&found)));
        Ok(found)
    }
}

/// The shape of the records of a type.
pub(crate) fn record_shape(name: String, kind: &Type) -> RecordShape {
    let fields = &kind.definition().fields;
    let names = unique_names(fields.iter().map(|field| &field.name[..]));
    let fields = fields.iter().zip(names).map(|(field, name)| {
        let shape = Field::new(name, shape_of(&field.kind)).optional();
        if field.list { shape.list() } else { shape }
    });
    RecordShape::new(name, fields.collect())
}

const fn shape_of(kind: &FieldKind) -> Kind {
    match kind {
        FieldKind::String | FieldKind::Number | FieldKind::Ref(_) => Kind::Text,
        FieldKind::Integer => Kind::Integer,
        FieldKind::Float => Kind::Float,
        FieldKind::Boolean => Kind::Boolean,
        FieldKind::Timestamp => Kind::Timestamp,
        FieldKind::Bytes => Kind::Bytes,
    }
}

/// A record of a type; `None` if an integer is larger than formats have them.
pub(crate) fn record_of(record: &Record<'_>, kind: &Type) -> Option<Value> {
    let fields = kind.definition().fields.iter().enumerate();
    let values = fields.map(
        |(at, field)| match record.field_at(at).unwrap_or_default() {
            Datum::One(value) => value_of(&field.kind, value),
            Datum::Many(values, _) => {
                let values = values.into_iter().map(|value| value_of(&field.kind, value));
                Some(Value::List(values.collect::<Option<_>>()?))
            }
        },
    );
    Some(Value::Record(values.collect::<Option<_>>()?))
}

fn value_of(kind: &FieldKind, value: Read) -> Option<Value> {
    Some(match value {
        Read::Null => Value::None,
        Read::Boolean(value) => Value::Boolean(value),
        Read::Number(number) if *kind == FieldKind::Integer => {
            Value::Integer(number.to_string().parse().ok()?)
        }
        Read::Number(number) => Value::Text(number.to_string()),
        Read::Float(float) => Value::Float(float.get()),
        Read::Timestamp(micros) => Value::Integer(micros),
        Read::Text(text) => Value::Text(text),
        Read::Bytes(bytes) => Value::Bytes(bytes.into()),
    })
}
