//! What changes in the result of a statement, commit by commit (TAB-12 to TAB-17).

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use allod_repo::{BranchName, Heads, Repo, RepoError, Span};
use allod_sql::{Catalog as _, Limits, Outline, Scalar, Session, SqlError, StateFault, Wanted};
use allod_tables::{Kept, Own, SpaceCatalog};
use allod_views::{Definitions, Name, Projection, ShapeDefinition, ViewError, Views};

use crate::course::Course;
use crate::error::NodeError;
use crate::node::{Node, Position};
use crate::result_rows::{ResultChange, ResultRows};

/// Rows of a result that is watched, unless it is said otherwise: the last one is kept, so this bounds memory,
/// and more than that nobody reads row by row.
const ROWS_MAX: u64 = 100_000;

/// Bytes of a result that is watched: rows of 600 bytes, as many as there may be. While two results are
/// compared there are two.
const BYTES_MAX: usize = 64 << 20;

/// The column that tells the rows of a type apart.
const KEY: &str = "_key";

/// Whether whoever watches has gone, asked while a statement runs.
pub type ShouldStop = Arc<dyn Fn() -> bool + Send + Sync>;

/// A statement that is watched.
#[derive(Clone, Debug)]
pub struct WatchedQuery {
    /// The statement: it reads, and what it reads is of the state at hand.
    pub sql: String,
    /// A value for each of its parameters.
    pub parameters: Vec<Scalar>,
    /// The column by which a row is known when it changes; else `_key`, if one column of the result has that
    /// name.
    pub key: Option<String>,
    /// How much one run of it may take. Its rows are kept, so they are fewer than those of a statement that is
    /// run once.
    pub limits: Limits,
}

impl WatchedQuery {
    /// A statement without parameters.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            parameters: Vec::new(),
            key: None,
            limits: Limits {
                rows: ROWS_MAX,
                ..Limits::default()
            },
        }
    }
}

/// Why a statement cannot be watched, or not any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The statement fails, or is none that can be watched. Blame: whoever wrote it.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// No column of the result, or more than one, has the name of the key. Blame: the caller.
    #[error("the result has not one column {0:?} to know rows by")]
    Key(String),
    /// The result takes more memory than may be kept of it. Blame: whoever wrote the statement.
    #[error("the result has more than {} MiB, the most that is kept of one that is watched", BYTES_MAX >> 20)]
    Large,
    /// Types were defined anew, and the result has other columns. Blame: nobody; it can be watched anew.
    #[error("the columns of the result are others since types were defined anew; watch it again")]
    Columns,
    /// The space failed. Blame: the environment.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The definitions of the space failed. Blame: the environment.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The tables of the space failed. Blame: the environment.
    #[error(transparent)]
    Table(#[from] allod_sql::TableError),
}

/// What a state changed in the result.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchStep {
    /// The branch that the space stands on; none at a commit.
    pub branch: Option<BranchName>,
    /// The state: a commit, or several together. It is a cursor: a watch from it goes on here.
    pub heads: Heads,
    /// Whether the statement was run, or nothing that it reads had changed.
    pub is_computed: bool,
    /// What differs from the state before.
    pub changes: Vec<ResultChange>,
}

/// Watches a statement. Each step is computed when it is asked for, and none before.
pub struct QueryWatch {
    views: Views,
    kept: Kept,
    query: WatchedQuery,
    should_stop: ShouldStop,
    course: Course,
    definitions: Arc<Definitions>,
    reads: Reads,
    columns: Vec<String>,
    key: Option<usize>,
    result: ResultRows,
}

impl fmt::Debug for QueryWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryWatch")
            .field("query", &self.query)
            .field("course", &self.course)
            .finish_non_exhaustive()
    }
}

impl QueryWatch {
    /// Runs the statement in the state of these commits together, from which the changes are told.
    pub fn new(
        (views, kept): (&Views, &Kept),
        query: WatchedQuery,
        from: Heads,
        should_stop: ShouldStop,
    ) -> Result<Self, WatchError> {
        let outline = Outline::read(&query.sql)?;
        if outline.is_explained() {
            return Err(SqlError::Syntax {
                message: "a plan is not watched".to_owned(),
                offset: Some(0),
            }
            .into());
        }
        let definitions = views.definitions()?;
        let mut watch = Self {
            views: views.clone(),
            kept: kept.clone(),
            should_stop,
            course: Course::new(views.repo().clone(), from),
            reads: Reads::of(&outline, &definitions),
            definitions,
            columns: Vec::new(),
            key: None,
            result: ResultRows::default(),
            query,
        };
        watch.check(&outline)?;
        let (columns, result) = watch.run(watch.course.at())?;
        watch.key = key_of(&columns, watch.query.key.as_deref())?;
        (watch.columns, watch.result) = (columns, result);
        Ok(watch)
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The state that was told of last.
    #[must_use]
    pub const fn at(&self) -> &Heads {
        self.course.at()
    }

    /// What the next state on the way to where the space stands changes; `None` if it is there, or
    /// whoever watches has gone. After an error the state is the one before, and it may be asked again.
    pub fn next(&mut self, position: &Position) -> Result<Option<WatchStep>, WatchError> {
        let branch = match position {
            Position::Branch(branch) => Some(branch.clone()),
            Position::Detached(_) => None,
        };
        if (self.should_stop)() {
            return Ok(None);
        }
        let anew = self.defined_anew()?;
        let next = self.course.next(position)?.cloned();
        let heads = match next {
            Some(heads) => heads,
            None if anew.is_some() => self.course.at().clone(),
            None => return Ok(None),
        };
        let is_computed = anew.is_some() || self.is_changed(&heads)?;
        let mut changes = Vec::new();
        let anew = match anew {
            Some(definitions) => {
                let reads = Reads::of(&Outline::read(&self.query.sql)?, &definitions);
                Some((definitions, reads))
            }
            None => None,
        };
        if is_computed {
            let (columns, result) = match self.run(&heads) {
                Err(_) if (self.should_stop)() => return Ok(None),
                other => other?,
            };
            if columns != self.columns {
                return Err(WatchError::Columns);
            }
            changes = self.result.changes(&result, self.key);
            self.result = result;
        }
        // What is defined while the statement runs is seen by the next step.
        if let Some((definitions, reads)) = anew {
            (self.definitions, self.reads) = (definitions, reads);
        }
        if heads != *self.course.at() {
            self.course.advance();
        }
        Ok(Some(WatchStep {
            branch,
            heads,
            is_computed,
            changes,
        }))
    }

    /// What may be read, and how, if it is not what it was. Other keys of `meta`, as tags, are none of it
    /// (TAB-15).
    fn defined_anew(&mut self) -> Result<Option<Arc<Definitions>>, WatchError> {
        let now = self.views.definitions()?;
        if Arc::ptr_eq(&now, &self.definitions) {
            return Ok(None);
        }
        if is_same(&now, &self.definitions) {
            self.definitions = now;
            return Ok(None);
        }
        Ok(Some(now))
    }

    /// Whether anything that the statement reads is not the same in another state (TAB-16).
    fn is_changed(&self, heads: &Heads) -> Result<bool, WatchError> {
        let repo: &Repo = self.views.repo();
        let (before, after) = (repo.together(self.course.at())?, repo.together(heads)?);
        if before.tree().root() == after.tree().root() {
            return Ok(false);
        }
        let Reads::Prefixes(prefixes) = &self.reads else {
            return Ok(true);
        };
        for prefix in prefixes {
            let mut differences = before.diff(&after, &Span::prefix(prefix));
            if differences.next().transpose()?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn catalog(&self, heads: &Heads) -> Result<SpaceCatalog, WatchError> {
        let own = Own::Commits(heads.clone());
        Ok(SpaceCatalog::new(&self.views, own)?.with_kept(&self.kept))
    }

    /// Refuses what is of another state (TAB-12).
    fn check(&self, outline: &Outline) -> Result<(), WatchError> {
        let functions = self.catalog(self.course.at())?.functions();
        let is_other = |wanted: &Wanted| match wanted {
            Wanted::Table { at, .. } => !at.is_own(),
            Wanted::Function { name, .. } => functions
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name)),
            _ => true,
        };
        let mut sources = outline.sources().iter();
        let Some(other) = sources.find(|source| is_other(&source.wanted)) else {
            return Ok(());
        };
        let why = "a watch reads types and projections of the state at hand, and nothing else";
        Err(SqlError::State {
            fault: StateFault::Unknown(why.to_owned()),
            offset: other.span.start,
        }
        .into())
    }

    /// What the statement gives in a state: the names of its columns, and its rows.
    fn run(&self, heads: &Heads) -> Result<(Vec<String>, ResultRows), WatchError> {
        const AGE_MS: u64 = 1 << 40;
        let catalog = self.catalog(heads)?;
        let (started, should_stop) = (Instant::now(), Arc::clone(&self.should_stop));
        // For somebody who has gone each look at the clock is an age later, so that time is up whenever
        // the statement began.
        let ages = AtomicU64::new(0);
        let clock = move || {
            let now = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let gone = u64::from(should_stop());
            let ages = ages.fetch_add(gone, Ordering::Relaxed) + gone;
            now.saturating_add(ages.saturating_mul(AGE_MS))
        };
        let mut session = Session::new(Arc::new(catalog), self.query.limits.clone(), clock)?;
        let mut statement = session.prepare(&self.query.sql)?;
        if !statement.is_read_only() {
            return Err(SqlError::Denied {
                what: "writing in a watch".to_owned(),
                offset: Some(0),
            }
            .into());
        }
        let columns = statement.columns().into_iter().map(|column| column.name);
        let columns = columns.collect();
        let mut result = ResultRows::default();
        let has_gone = &self.should_stop;
        statement.query(&self.query.parameters, &mut |row| {
            result.add(row.to_scalars());
            if result.bytes() > BYTES_MAX || has_gone() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if result.bytes() > BYTES_MAX {
            return Err(WatchError::Large);
        }
        if has_gone() {
            return Err(SqlError::Cancelled.into());
        }
        Ok((columns, result))
    }
}

impl Node {
    /// Watches a statement from the state of some commits together on, or else from where the space stands.
    pub fn watch_query(
        &self,
        repo: &Repo,
        query: WatchedQuery,
        from: Option<Heads>,
        should_stop: ShouldStop,
    ) -> Result<QueryWatch, NodeError> {
        let from = match from {
            Some(heads) => heads,
            None => self.heads(repo)?,
        };
        let views = self.views(repo)?;
        let tables = (&views, &self.all_views().kept);
        Ok(QueryWatch::new(tables, query, from, should_stop)?)
    }

    /// The commits that a space stands at.
    pub fn heads(&self, repo: &Repo) -> Result<Heads, NodeError> {
        Ok(match self.position(repo)? {
            Position::Branch(branch) => repo.heads(&branch)?,
            Position::Detached(id) => Heads::from([id]),
        })
    }
}

/// What of a state a statement reads.
#[derive(Debug)]
enum Reads {
    /// Anything may be read.
    All,
    /// Keys that begin so.
    Prefixes(Vec<Vec<u8>>),
}

impl Reads {
    /// What the names stand for (TAB-2). A name that is none of these is that of a common table expression.
    fn of(outline: &Outline, definitions: &Definitions) -> Self {
        let mut prefixes = Vec::new();
        for source in outline.sources() {
            let Wanted::Table { name, .. } = &source.wanted else {
                continue;
            };
            let is_called = |known: &Name| known.as_str().eq_ignore_ascii_case(name);
            if let Some((name, _)) = definitions.types().find(|(known, _)| is_called(known)) {
                prefixes.push(format!("{name}:").into_bytes());
            } else if name.eq_ignore_ascii_case(allod_tables::ENTRIES) {
                return Self::All;
            } else if let Some((_, projection)) = definitions
                .projections()
                .find(|(known, _)| is_called(known))
            {
                prefixes.extend(sources_of(projection));
            }
        }
        Self::Prefixes(prefixes)
    }
}

/// What the patterns of a projection begin with.
fn sources_of(projection: &Projection) -> Vec<Vec<u8>> {
    let definition = projection.definition();
    let mut patterns = vec![&definition.source];
    if let ShapeDefinition::Join { other, .. } = &definition.shape {
        patterns.push(other);
    }
    let prefix = |pattern: &&String| pattern.trim_end_matches('*').as_bytes().to_vec();
    patterns.iter().map(prefix).collect()
}

fn is_same(one: &Definitions, two: &Definitions) -> bool {
    let types = |of: &Definitions| -> Vec<(Name, Vec<u8>)> {
        let all = of.types();
        all.map(|(name, kind)| (name.clone(), kind.encode()))
            .collect()
    };
    let projections = |of: &Definitions| -> Vec<(Name, Arc<Projection>)> {
        let all = of.projections();
        all.map(|(name, projection)| (name.clone(), Arc::clone(projection)))
            .collect()
    };
    let (left, right) = (projections(one), projections(two));
    let mut pairs = left.iter().zip(&right);
    types(one) == types(two)
        && left.len() == right.len()
        && pairs.all(|(one, two)| one.0 == two.0 && one.1.definition() == two.1.definition())
}

/// The column to know rows by.
fn key_of(columns: &[String], wanted: Option<&str>) -> Result<Option<usize>, WatchError> {
    let name = wanted.unwrap_or(KEY);
    let places = columns.iter().enumerate();
    let mut called = places.filter(|(_, column)| column.eq_ignore_ascii_case(name));
    match (called.next(), called.next(), wanted) {
        (Some((place, _)), None, _) => Ok(Some(place)),
        (_, _, None) => Ok(None),
        (_, _, Some(name)) => Err(WatchError::Key(name.to_owned())),
    }
}
