//! A space in memory with a type and indexes, and sessions over it.

use std::sync::Arc;

use allod_blocks::{MemoryStore, Store};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, CommitId, Edit, Genesis, Repo, SpaceClass};
use allod_sql::{Catalog, Limits, Scalar, Session, SqlError};
use allod_tables::{Own, SpaceCatalog};
use allod_views::{
    FieldDefinition, Function, ProjectionDefinition, Received, ShapeDefinition, TypeDefinition,
    Views, create_projection, define_type,
};
use bytes::Bytes;

pub(crate) const START: u64 = 1_700_000_000_000;

pub(crate) struct World {
    key: SecretKey,
    pub(crate) repo: Repo,
    pub(crate) views: Views,
    pub(crate) now: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new()))
    }

    /// In this store.
    pub(crate) fn on(store: Arc<dyn Store>) -> Self {
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
        let repo = Repo::create(store, genesis, author).unwrap();
        Self {
            views: Views::open(&repo).unwrap(),
            key,
            repo,
            now: START,
        }
    }

    /// With the type `item` and indexes of its fields.
    pub(crate) fn with_items() -> Self {
        let mut world = Self::new();
        world.define(
            "item",
            &[
                "name:string",
                "count:integer",
                "price:number",
                "ok:boolean",
                "at:timestamp",
                "raw:bytes",
                "f:float",
                "tags:string[]",
            ],
        );
        for (called, by) in [
            ("by_name", &["name"][..]),
            ("by_count", &["count"]),
            ("by_price", &["price"]),
            ("by_ok_count", &["ok", "count"]),
            ("by_at", &["at"]),
            ("by_raw", &["raw"]),
            ("by_f", &["f"]),
        ] {
            world.index(called, "item:*", by);
        }
        world
    }

    pub(crate) fn by(&mut self) -> (Author<'_>, u64) {
        self.now += 1000;
        let author = Author {
            agent: self.key.agent_id(),
            key: &self.key,
        };
        (author, self.now)
    }

    pub(crate) fn define(&mut self, of: &str, fields: &[&str]) {
        let fields = fields.iter().map(|field| {
            let (name, kind) = field.split_once(':').unwrap();
            let (kind, list) = match kind.strip_suffix("[]") {
                Some(kind) => (kind, true),
                None => (kind, false),
            };
            FieldDefinition {
                list,
                ..FieldDefinition::new(name, kind.parse().unwrap())
            }
        });
        let definition = TypeDefinition {
            check: None,
            closed: false,
            fields: fields.collect(),
            received: Received::Flag,
        };
        let repo = self.repo.clone();
        define_type(&repo, &of.parse().unwrap(), definition, true, self.by()).unwrap();
    }

    pub(crate) fn index(&mut self, called: &str, source: &str, by: &[&str]) {
        let shape = ShapeDefinition::Index {
            by: by.iter().map(|by| (*by).to_owned()).collect(),
            values: Vec::new(),
        };
        self.create(called, source, shape);
    }

    pub(crate) fn group(&mut self, called: &str, source: &str, by: &str, sum: &str) {
        let shape = ShapeDefinition::Group {
            by: vec![(by.to_owned(), by.to_owned())],
            totals: vec![
                ("n".to_owned(), Function::Count, None),
                ("total".to_owned(), Function::Sum, Some(sum.to_owned())),
            ],
        };
        self.create(called, source, shape);
    }

    /// All totals of some fields, by groups.
    pub(crate) fn totals(&mut self, called: &str, source: &str, by: &[&str], of: &[&str]) {
        let own = |name: &&str| format!("\"{name}\"");
        let mut totals = vec![("n".to_owned(), Function::Count, None)];
        for of in of {
            for (name, function) in [
                ("count", Function::Count),
                ("sum", Function::Sum),
                ("min", Function::Min),
                ("max", Function::Max),
            ] {
                totals.push((format!("{name} {of}"), function, Some(own(of))));
            }
        }
        let shape = ShapeDefinition::Group {
            by: by.iter().map(|by| ((*by).to_owned(), own(by))).collect(),
            totals,
        };
        self.create(called, source, shape);
    }

    /// Computes all projections of main.
    pub(crate) fn refresh(&self) {
        let go_on = &mut |_| std::ops::ControlFlow::Continue(());
        self.views.branch(&main()).unwrap().refresh(go_on).unwrap();
    }

    pub(crate) fn create(&mut self, called: &str, source: &str, shape: ShapeDefinition) {
        let definition = ProjectionDefinition {
            shape,
            source: source.to_owned(),
            filter: None,
        };
        let repo = self.repo.clone();
        create_projection(&repo, &called.parse().unwrap(), definition, self.by()).unwrap();
    }

    pub(crate) fn stage(&mut self, on: &BranchName, edits: &[(String, Option<String>)]) {
        let edits = edits.iter().map(|(key, value)| {
            let edit = value
                .clone()
                .map_or(Edit::Delete, |value| Edit::Put(value.into()));
            (Bytes::from(key.clone()), edit)
        });
        let edits: Vec<_> = edits.collect();
        let repo = self.repo.clone();
        let (_, now) = self.by();
        repo.stage(on, edits, now).unwrap();
    }

    pub(crate) fn commit_staged(&mut self, on: &BranchName) -> CommitId {
        let repo = self.repo.clone();
        let (author, now) = self.by();
        repo.commit_staged(on, author, "test", now).unwrap()
    }

    pub(crate) fn commit(
        &mut self,
        on: &BranchName,
        edits: &[(String, Option<String>)],
    ) -> CommitId {
        self.stage(on, edits);
        self.commit_staged(on)
    }

    /// Names the newest commit of a branch.
    pub(crate) fn tag(&mut self, on: &BranchName, name: &str) {
        let repo = self.repo.clone();
        let commit = *repo.heads(on).unwrap().first().unwrap();
        let (author, now) = self.by();
        let name = name.parse().unwrap();
        repo.create_tag(&name, commit, "", author, now).unwrap();
    }

    pub(crate) fn catalog(&self, own: Own) -> SpaceCatalog {
        SpaceCatalog::new(&self.views, own).unwrap()
    }

    /// A session over main with what is staged, that may write.
    pub(crate) fn session(&self) -> Session {
        let now = self.now;
        let catalog = self
            .catalog(Own::Working(main()))
            .writable(Arc::new(move || now + 1));
        session(catalog)
    }
}

pub(crate) fn session(catalog: impl Catalog + 'static) -> Session {
    Session::new(Arc::new(catalog), Limits::default(), || 0).unwrap()
}

pub(crate) fn main() -> BranchName {
    BranchName::main()
}

pub(crate) fn put(key: &str, value: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(value.to_owned()))
}

pub(crate) fn gone(key: &str) -> (String, Option<String>) {
    (key.to_owned(), None)
}

/// The rows of a statement, each as its values with `|` between.
#[track_caller]
pub(crate) fn rows(session: &mut Session, sql: &str) -> Vec<String> {
    try_rows(session, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

pub(crate) fn try_rows(session: &mut Session, sql: &str) -> Result<Vec<String>, SqlError> {
    let rows = session.prepare(sql)?.rows(&[])?;
    Ok(rows
        .iter()
        .map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|"))
        .collect())
}

pub(crate) fn shown(value: &Scalar) -> String {
    match value {
        Scalar::Null => "null".to_owned(),
        Scalar::Integer(whole) => whole.to_string(),
        Scalar::Real(real) => real_text(*real),
        Scalar::Text(text) => format!("'{text}'"),
        Scalar::Blob(bytes) => format!("{bytes:02x?}"),
    }
}

/// A number, in one spelling whether it has a fraction or not: the engine's own tables make whole
/// numbers of such that have none.
pub(crate) fn real_text(real: f64) -> String {
    if real.fract() == 0.0 && real.abs() < 1e18 {
        format!("{real:.0}")
    } else {
        format!("{real:?}")
    }
}

/// How the engine reads the tables of a statement.
pub(crate) fn plan(session: &mut Session, sql: &str) -> String {
    let plan = session.explain(sql).unwrap();
    plan.iter()
        .map(|row| row.detail.clone())
        .collect::<Vec<_>>()
        .join("\n")
}
