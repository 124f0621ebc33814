//! A space of `user` records on disk, and the same rows in SQLite.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allod_blocks::{Compression, FjallStore, Packing};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, CommitId, Edit, Genesis, Repo, SpaceClass};
use allod_views::{
    FieldDefinition, Function, ProjectionDefinition, Received, ShapeDefinition, TypeDefinition,
    create_projection, define_type,
};
use bytes::Bytes;
use tempfile::TempDir;

const START: u64 = 1_700_000_000_000;

/// Records staged at a time while the space is filled.
const AT_ONCE: usize = 20_000;

pub(crate) struct People {
    key: SecretKey,
    pub(crate) repo: Repo,
    now: u64,
    dir: TempDir,
    size: usize,
}

/// The fields of a record, as they are in SQLite too.
struct Person {
    id: usize,
    role: &'static str,
    age: i64,
    city: String,
    mail: String,
}

fn person(id: usize, version: usize) -> Person {
    // Spread by a multiplication, so that neighbours differ.
    let mixed = (id + version * 7919).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
    Person {
        id,
        role: ["admin", "editor", "user", "guest"][mixed % 4],
        age: (mixed / 4 % 90) as i64,
        city: format!("city {}", mixed / 512 % 1000),
        mail: format!("{id}.{version}@example.org"),
    }
}

impl Person {
    fn key(&self) -> String {
        format!("user:{:08}", self.id)
    }

    fn json(&self) -> String {
        let Self {
            id,
            role,
            age,
            city,
            mail,
        } = self;
        format!(
            r#"{{"id":"{id:08}","role":"{role}","age":{age},"city":"{city}","mail":"{mail}","note":"a person of some kind"}}"#
        )
    }
}

impl People {
    pub(crate) fn new(size: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let packing = Packing::new(Compression::None);
        let store = FjallStore::open_packed(dir.path().join("store"), packing).unwrap();
        let key = SecretKey::from_seed([1; 32]);
        let author = Author {
            agent: key.agent_id(),
            key: &key,
        };
        let genesis = Genesis {
            at: START,
            class: SpaceClass::Convergent,
            name: "people".into(),
            nonce: [0; 16],
            owner: author.agent,
        };
        let repo = Repo::create(Arc::new(store), genesis, author).unwrap();
        let fields = [
            ("id", "string"),
            ("role", "string"),
            ("age", "integer"),
            ("city", "string"),
            ("mail", "string"),
        ];
        let definition = TypeDefinition {
            check: None,
            closed: false,
            fields: fields
                .iter()
                .map(|(name, kind)| FieldDefinition::new(*name, kind.parse().unwrap()))
                .collect(),
            received: Received::Flag,
        };
        define_type(
            &repo,
            &"user".parse().unwrap(),
            definition,
            false,
            (author, START),
        )
        .unwrap();
        for (name, by) in [
            ("by_role", vec!["role"]),
            ("by_age", vec!["age"]),
            ("by_city", vec!["city"]),
            ("by_mail", vec!["mail"]),
            ("by_role_age", vec!["role", "age"]),
        ] {
            let definition = ProjectionDefinition {
                shape: ShapeDefinition::Index {
                    by: by.into_iter().map(str::to_owned).collect(),
                    values: Vec::new(),
                },
                source: "user:*".into(),
                filter: None,
            };
            create_projection(&repo, &name.parse().unwrap(), definition, (author, START)).unwrap();
        }
        let mut people = Self {
            key,
            repo,
            now: START,
            dir,
            size,
        };
        for start in (0..size).step_by(AT_ONCE) {
            let ids = start..size.min(start + AT_ONCE);
            people.stage_people(&BranchName::main(), ids.map(|id| person(id, 0)));
            people.commit();
        }
        people
    }

    fn stage_people(&mut self, on: &BranchName, people: impl Iterator<Item = Person>) {
        self.now += 10;
        let edits =
            people.map(|person| (Bytes::from(person.key()), Edit::Put(person.json().into())));
        self.repo.stage(on, edits, self.now).unwrap();
    }

    /// Stages changes of records all over the space.
    pub(crate) fn stage(&mut self, size: usize, changes: usize, round: usize) {
        self.stage_on(&BranchName::main(), size, changes, round);
    }

    pub(crate) fn stage_on(&mut self, on: &BranchName, size: usize, changes: usize, round: usize) {
        let step = size / changes;
        let ids = (0..changes).map(move |change| (change * step + round * 31) % size);
        self.stage_people(on, ids.map(move |id| person(id, round + 1)));
    }

    pub(crate) fn commit(&mut self) {
        self.commit_on(&BranchName::main());
    }

    pub(crate) fn commit_on(&mut self, on: &BranchName) {
        self.now += 10;
        let author = Author {
            agent: self.key.agent_id(),
            key: &self.key,
        };
        self.repo
            .commit_staged(on, author, "bench", self.now)
            .unwrap();
    }

    pub(crate) fn branch(&self, name: &BranchName) {
        let heads = self.repo.heads(&BranchName::main()).unwrap();
        self.repo.create_branch(name, &heads).unwrap();
    }

    /// The newest commit of the branch main.
    pub(crate) fn head(&self) -> CommitId {
        let heads = self.repo.heads(&BranchName::main()).unwrap();
        *heads.first().unwrap()
    }

    /// Defines sums of ages by city.
    pub(crate) fn group(&mut self) {
        self.now += 10;
        let author = Author {
            agent: self.key.agent_id(),
            key: &self.key,
        };
        let definition = ProjectionDefinition {
            shape: ShapeDefinition::Group {
                by: vec![("city".to_owned(), "city".to_owned())],
                totals: vec![
                    ("n".to_owned(), Function::Count, None),
                    ("total".to_owned(), Function::Sum, Some("age".to_owned())),
                ],
            },
            source: "user:*".into(),
            filter: None,
        };
        let name = "ages_by_city".parse().unwrap();
        create_projection(&self.repo, &name, definition, (author, self.now)).unwrap();
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// The same rows as a file, which other engines read.
    pub(crate) fn csv(&self) -> PathBuf {
        let path = self.dir.path().join("rows.csv");
        let mut out = BufWriter::new(std::fs::File::create(&path).unwrap());
        for id in 0..self.size {
            let Person {
                id,
                role,
                age,
                city,
                mail,
            } = person(id, 0);
            writeln!(
                out,
                "{id:08},{role},{age},{city},{mail},a person of some kind"
            )
            .unwrap();
        }
        out.flush().unwrap();
        path
    }

    /// The same with an index of each field that the space has one of.
    pub(crate) fn sqlite_indexed(&self) -> rusqlite::Connection {
        let sqlite = self.sqlite_as("indexed.db");
        sqlite
            .execute_batch("CREATE INDEX by_city ON user (city); ANALYZE")
            .unwrap();
        sqlite
    }

    /// The file of [`sqlite_indexed`](Self::sqlite_indexed), opened anew.
    pub(crate) fn sqlite_opened(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join("indexed.db")).unwrap()
    }

    /// The same rows as a table of SQLite, in a file.
    pub(crate) fn sqlite(&self) -> rusqlite::Connection {
        self.sqlite_as("peer.db")
    }

    fn sqlite_as(&self, file: &str) -> rusqlite::Connection {
        let mut sqlite = rusqlite::Connection::open(self.dir.path().join(file)).unwrap();
        sqlite
            .execute_batch("CREATE TABLE user (id TEXT PRIMARY KEY, role TEXT, age INTEGER, city TEXT, mail TEXT, note TEXT) WITHOUT ROWID")
            .unwrap();
        let all = sqlite.transaction().unwrap();
        {
            let mut insert = all
                .prepare("INSERT INTO user VALUES (?, ?, ?, ?, ?, 'a person of some kind')")
                .unwrap();
            for id in 0..self.size {
                let Person {
                    role,
                    age,
                    city,
                    mail,
                    ..
                } = person(id, 0);
                insert
                    .execute((format!("{id:08}"), role, age, city, mail))
                    .unwrap();
            }
        }
        all.commit().unwrap();
        sqlite
    }
}
