//! A space in memory, and who owns it.

use std::ops::ControlFlow;
use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, CommitId, Edit, Genesis, Repo, SpaceClass};
use allod_views::{
    FieldDefinition, FieldKind, Function, Name, OnStale, Projected, ProjectionDefinition, Received,
    ShapeDefinition, Snapshot, TypeDefinition, create_projection, define_type,
};
use bytes::Bytes;

pub(crate) const START: u64 = 1_700_000_000_000;

/// The size of test runs, for nightly ones.
pub(crate) fn scale() -> u32 {
    let scale = std::env::var("ALLOD_TEST_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// A space with a clock.
pub(crate) struct World {
    pub(crate) key: SecretKey,
    pub(crate) repo: Repo,
    pub(crate) now: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let key = SecretKey::from_seed([1; 32]);
        let genesis = Genesis {
            at: START,
            class: SpaceClass::Convergent,
            name: "test".into(),
            nonce: [0; 16],
            owner: key.agent_id(),
        };
        let author = Author {
            agent: key.agent_id(),
            key: &key,
        };
        let repo = Repo::create(Arc::new(MemoryStore::new()), genesis, author).unwrap();
        Self {
            key,
            repo,
            now: START,
        }
    }

    pub(crate) fn by(&mut self) -> (Author<'_>, u64) {
        self.now += 1;
        let author = Author {
            agent: self.key.agent_id(),
            key: &self.key,
        };
        (author, self.now)
    }

    /// Commits values, or removals, to a branch.
    pub(crate) fn commit(&mut self, on: &BranchName, edits: &[(&str, Option<&str>)]) -> CommitId {
        let repo = self.repo.clone();
        let (author, now) = self.by();
        let edits = edits.iter().map(|(key, value)| {
            let edit = value.map_or(Edit::Delete, |value| {
                Edit::Put(Bytes::copy_from_slice(value.as_bytes()))
            });
            (Bytes::copy_from_slice(key.as_bytes()), edit)
        });
        repo.stage(on, edits, now).unwrap();
        repo.commit_staged(on, author, "test", now).unwrap()
    }

    pub(crate) fn define(&mut self, of: &str, definition: TypeDefinition) {
        let repo = self.repo.clone();
        define_type(&repo, &name(of), definition, false, self.by()).unwrap();
    }

    pub(crate) fn create(&mut self, called: &str, definition: ProjectionDefinition) {
        let repo = self.repo.clone();
        create_projection(&repo, &name(called), definition, self.by()).unwrap();
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn main() -> BranchName {
    BranchName::main()
}

/// A projection of a state, computed if need be.
pub(crate) fn projected(snapshot: &Snapshot, called: &str) -> Projected {
    let go_on = &mut |_| ControlFlow::Continue(());
    snapshot
        .projection(&name(called), OnStale::Block, go_on)
        .unwrap()
}

/// `name:kind`, a list with `[]` behind, required with `!`.
pub(crate) fn typed(fields: &[&str]) -> TypeDefinition {
    let fields = fields.iter().map(|field| {
        let (field, required) = match field.strip_suffix('!') {
            Some(field) => (field, true),
            None => (*field, false),
        };
        let (name, kind) = field.split_once(':').unwrap();
        let (kind, list) = match kind.strip_suffix("[]") {
            Some(kind) => (kind, true),
            None => (kind, false),
        };
        FieldDefinition {
            list,
            required,
            ..FieldDefinition::new(name, kind.parse::<FieldKind>().unwrap())
        }
    });
    TypeDefinition {
        check: None,
        closed: false,
        fields: fields.collect(),
        received: Received::Flag,
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn named(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn of(source: &str, filter: Option<&str>, shape: ShapeDefinition) -> ProjectionDefinition {
    ProjectionDefinition {
        shape,
        source: source.to_owned(),
        filter: filter.map(str::to_owned),
    }
}

pub(crate) fn index(
    source: &str,
    filter: Option<&str>,
    by: &[&str],
    values: &[(&str, &str)],
) -> ProjectionDefinition {
    let shape = ShapeDefinition::Index {
        by: texts(by),
        values: named(values),
    };
    of(source, filter, shape)
}

pub(crate) fn group(
    source: &str,
    by: &[(&str, &str)],
    totals: &[(&str, Function, Option<&str>)],
) -> ProjectionDefinition {
    let totals = totals
        .iter()
        .map(|(name, function, of)| ((*name).to_owned(), *function, of.map(str::to_owned)));
    let shape = ShapeDefinition::Group {
        by: named(by),
        totals: totals.collect(),
    };
    of(source, None, shape)
}

pub(crate) fn join(
    (source, on): (&str, &str),
    (other, to): (&str, &str),
    left: &[(&str, &str)],
    right: &[(&str, &str)],
    outer: bool,
) -> ProjectionDefinition {
    let shape = ShapeDefinition::Join {
        on: on.to_owned(),
        other: other.to_owned(),
        to: to.to_owned(),
        left: named(left),
        right: named(right),
        outer,
    };
    of(source, None, shape)
}

pub(crate) fn words(source: &str, fields: &[&str]) -> ProjectionDefinition {
    of(source, None, ShapeDefinition::Words { of: texts(fields) })
}
