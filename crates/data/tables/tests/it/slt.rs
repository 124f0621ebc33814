//! Suites of statements, each run by the tables of a space and by the engine's own tables.
//!
//! A suite is a file of sqllogictest in `tests/slt/`. Before the language begins, these words make
//! tables and history on both sides; what the engine has no word for does nothing there:
//!
//! ```text
//! define TYPE field:kind ...      a type, or a table with the same columns
//! index NAME ON TYPE field ...    an index of a type, or of a table
//! commit, branch NAME, switch NAME, tag NAME, merge NAME, join NAME, put KEY VALUE, delete KEY
//! ```
//!
//! A suite runs three times: `allod` with all writes staged, `allod` with each committed, and `sqlite`.

use std::path::{Path, PathBuf};

use allod_repo::{BranchName, MergeOptions};
use allod_sql::{Scalar, SqlError};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner, strict_column_validator};

use crate::world::{World, gone, main, put, session};

/// Why a statement failed, in words: what suites match against.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

impl From<SqlError> for Failed {
    fn from(error: SqlError) -> Self {
        Self(format!("{error} ({})", error.code()))
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

type Output = Result<DBOutput<DefaultColumnType>, Failed>;

fn output(width: usize, rows: &[Vec<Value>]) -> DBOutput<DefaultColumnType> {
    let kind = |at: usize| {
        let mut kinds = rows.iter().map(|row| match &row[at] {
            Value::Null => None,
            Value::Integer(_) => Some(DefaultColumnType::Integer),
            Value::Real(_) => Some(DefaultColumnType::FloatingPoint),
            Value::Text(_) => Some(DefaultColumnType::Text),
            Value::Blob(_) => Some(DefaultColumnType::Any),
        });
        let first = kinds.find_map(|kind| kind)?;
        kinds.flatten().all(|kind| kind == first).then_some(first)
    };
    DBOutput::Rows {
        types: (0..width)
            .map(|at| kind(at).unwrap_or(DefaultColumnType::Any))
            .collect(),
        rows: rows
            .iter()
            .map(|row| row.iter().map(shown).collect())
            .collect(),
    }
}

/// A value, told apart from all others: texts in quotes, whole numbers without a point.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(whole) => whole.to_string(),
        Value::Real(real) => format!("{real:?}"),
        Value::Text(text) => format!("'{text}'"),
        Value::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{digits}'")
        }
    }
}

fn value(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Integer(whole) => Value::Integer(whole),
        Scalar::Real(real) => Value::Real(real),
        Scalar::Text(text) => Value::Text(text),
        Scalar::Blob(bytes) => Value::Blob(bytes),
    }
}

/// A space, and the branch that statements are about.
struct Space {
    world: World,
    on: BranchName,
    /// Whether each statement that writes is committed at once.
    commits: bool,
}

impl Space {
    fn new(commits: bool) -> Self {
        Self {
            world: World::new(),
            on: main(),
            commits,
        }
    }

    fn written(&mut self) {
        let is_staged = !self.world.repo.staged(&self.on).unwrap().is_empty();
        if self.commits && is_staged {
            self.world.commit_staged(&self.on);
        }
    }

    /// Does what one of the words of suites says. None if it is no such word.
    fn word(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["define", of, fields @ ..] => self.world.define(of, fields),
            ["index", name, "ON", of, by @ ..] => {
                self.world.index(name, &format!("{of}:*"), by);
            }
            ["commit"] => {
                if !self.world.repo.staged(&self.on).unwrap().is_empty() {
                    self.world.commit_staged(&self.on);
                }
            }
            ["branch", name] => {
                let heads = self.world.repo.heads(&self.on).unwrap();
                let name = name.parse().unwrap();
                self.world.repo.create_branch(&name, &heads).unwrap();
            }
            ["switch", name] => self.on = name.parse().unwrap(),
            ["tag", name] => self.world.tag(&self.on, name),
            ["merge", name] => {
                let theirs = self.world.repo.heads(&name.parse().unwrap()).unwrap();
                let repo = self.world.repo.clone();
                let (author, now) = self.world.by();
                let options = MergeOptions::default();
                repo.merge(&self.on, &theirs, author, &options, now)
                    .unwrap();
            }
            // As when the changes of another node arrive.
            ["join", name] => {
                let theirs = self.world.repo.heads(&name.parse().unwrap()).unwrap();
                self.world.repo.join_branch(&self.on, &theirs).unwrap();
            }
            ["put", key, value @ ..] => {
                let edit = put(key, &value.join(" "));
                self.world.stage(&self.on, &[edit]);
                self.written();
            }
            ["delete", key] => {
                self.world.stage(&self.on, &[gone(key)]);
                self.written();
            }
            _ => return None,
        }
        Some(())
    }
}

impl DB for Space {
    type Error = Failed;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Output {
        let words: Vec<&str> = sql.split_ascii_whitespace().collect();
        if self.word(&words).is_some() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let now = self.world.now + 1;
        let own = allod_tables::Own::Working(self.on.clone());
        let catalog = self.world.catalog(own);
        let mut session = session(catalog.writable(std::sync::Arc::new(move || now)));
        let mut statement = session.prepare(sql)?;
        let width = statement.columns().len();
        let rows = statement.rows(&[])?;
        drop(statement);
        if width > 0 {
            let rows = rows
                .into_iter()
                .map(|row| row.into_iter().map(value).collect());
            return Ok(output(width, &rows.collect::<Vec<_>>()));
        }
        self.written();
        Ok(DBOutput::StatementComplete(0))
    }

    fn engine_name(&self) -> &'static str {
        "allod"
    }
}

/// The engine with tables of its own.
struct Engine(rusqlite::Connection);

impl Engine {
    fn new() -> Self {
        let engine = rusqlite::Connection::open_in_memory().unwrap();
        // As in a session: a name in double quotes is a name.
        for config in [
            DbConfig::SQLITE_DBCONFIG_DQS_DML,
            DbConfig::SQLITE_DBCONFIG_DQS_DDL,
        ] {
            engine.set_db_config(config, false).unwrap();
        }
        Self(engine)
    }

    fn word(&self, words: &[&str]) -> Option<Result<(), rusqlite::Error>> {
        let sql = match words {
            ["define", of, fields @ ..] => {
                let columns = fields.iter().map(|field| {
                    let (name, kind) = field.split_once(':').unwrap();
                    let kind = match kind {
                        "integer" | "number" => "NUMERIC",
                        "float" => "REAL",
                        "boolean" => "BOOLEAN",
                        "bytes" => "BLOB",
                        _ => "TEXT",
                    };
                    format!(", \"{name}\" {kind}")
                });
                let columns: String = columns.collect();
                let behind = of.len() + 2;
                format!(
                    "CREATE TABLE \"{of}\" (_key TEXT PRIMARY KEY NOT NULL, \
                     _id TEXT AS (substr(_key, {behind})) STORED{columns}) WITHOUT ROWID"
                )
            }
            ["index", name, "ON", of, by @ ..] => {
                format!("CREATE INDEX \"{name}\" ON \"{of}\" ({})", by.join(", "))
            }
            ["commit"]
            | [
                "branch" | "switch" | "tag" | "merge" | "join" | "put" | "delete",
                _,
                ..,
            ] => return Some(Ok(())),
            _ => return None,
        };
        Some(self.0.execute_batch(&sql))
    }
}

impl DB for Engine {
    type Error = Failed;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Output {
        let words: Vec<&str> = sql.split_ascii_whitespace().collect();
        if let Some(done) = self.word(&words) {
            done?;
            return Ok(DBOutput::StatementComplete(0));
        }
        let mut statement = self.0.prepare(sql)?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..width).map(|at| row.get::<_, Value>(at));
            all.push(values.collect::<Result<Vec<_>, _>>()?);
        }
        if width > 0 {
            return Ok(output(width, &all));
        }
        Ok(DBOutput::StatementComplete(0))
    }

    fn engine_name(&self) -> &'static str {
        "sqlite"
    }
}

/// The files of the suites, in the order of their names.
fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    files
}

/// Runs every suite, each over new tables.
fn run<D>(make: impl Fn() -> D + Copy)
where
    D: DB<ColumnType = DefaultColumnType> + Send,
    D::Error: Send + Sync + 'static,
{
    let mut wrong = Vec::new();
    for file in files() {
        let mut runner = Runner::new(|| async move { Ok(make()) });
        // Values are compared as they are shown, spaces and all.
        runner.with_normalizer(String::clone);
        runner.with_column_validator(strict_column_validator);
        if let Err(error) = runner.run_file(&file) {
            wrong.push(error.to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn suites_hold_for_what_is_staged() {
    run(|| Space::new(false));
}

#[test]
fn suites_hold_for_what_is_committed() {
    run(|| Space::new(true));
}

#[test]
fn suites_hold_for_the_engines_own_tables() {
    run(Engine::new);
}

/// What is left out on one side says why, in a comment above.
#[test]
fn exceptions_have_a_reason() {
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_exception = line.starts_with("skipif ") || line.starts_with("onlyif ");
            let has_reason = at > 0 && lines[at - 1].starts_with("# ");
            let of_group = at > 0
                && lines[..at]
                    .iter()
                    .any(|line| line.starts_with("# For allod alone"));
            assert!(
                !is_exception || has_reason || of_group,
                "{}:{}: no reason",
                file.display(),
                at + 1
            );
        }
    }
}
