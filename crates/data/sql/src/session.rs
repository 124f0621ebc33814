//! Sessions and their statements.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OpenFlags};

use crate::bind::Translated;
use crate::bound::{Bound, quoted};
use crate::error::{SqlError, StateFault, TableError};
use crate::faults::Faults;
use crate::guard::{Cancel, Shared};
use crate::limits::{Limit, Limits};
use crate::module::{caught, install, module_of, scalar};
use crate::outline::{OWN_NAMES, Outline, Source, Wanted};
use crate::table::{Catalog, Table};
use crate::value::{Scalar, ScalarRef};

/// Statements that a session keeps prepared: a program has a few dozen that it runs again.
const PREPARED_MAX: usize = 64;

/// The longest statement that is kept prepared; longer ones are made for one time.
const PREPARED_BYTES_MAX: usize = 16 << 10;

/// Statements over the tables of a catalog, one at a time.
///
/// What a session has bound once, it keeps: statements see one state of each table, until
/// [`refresh`](Self::refresh) (SQL-8).
pub struct Session {
    connection: Connection,
    catalog: Arc<dyn Catalog>,
    shared: Arc<Shared>,
    /// What is bound to a state, and the engine's name for it.
    states: BTreeMap<String, String>,
    /// How many tables the engine has.
    tables: u32,
    prepared: BTreeMap<String, Arc<Translated>>,
    /// To begin anew before the next statement.
    is_full: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("shared", &self.shared)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session whose statements see what the catalog has. The clock tells milliseconds, and never
    /// goes back.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        limits: Limits,
        clock: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, SqlError> {
        let shared = Arc::new(Shared::new(limits, Box::new(clock)));
        Ok(Self {
            connection: connect(&shared)?,
            catalog,
            shared,
            states: BTreeMap::new(),
            tables: 0,
            prepared: BTreeMap::new(),
            is_full: false,
        })
    }

    /// What ends a statement from another thread.
    #[must_use]
    pub fn canceller(&self) -> Cancel {
        self.shared.cancel.clone()
    }

    /// Forgets all tables: the catalog is asked for each again.
    pub fn refresh(&mut self) -> Result<(), SqlError> {
        self.connection = connect(&self.shared)?;
        self.shared.remove_tables();
        self.states.clear();
        self.prepared.clear();
        self.tables = 0;
        self.is_full = false;
        Ok(())
    }

    /// Makes a statement ready. One that was prepared lately costs next to nothing.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement<'_>, SqlError> {
        let translated = self.translate(sql)?;
        self.statement("", translated)
    }

    /// How the engine would read the tables of a statement.
    pub fn explain(&mut self, sql: &str) -> Result<Vec<PlanRow>, SqlError> {
        if Outline::read(sql)?.is_explained() {
            return Err(SqlError::Syntax {
                message: "the statement explains already".to_owned(),
                offset: Some(0),
            });
        }
        let translated = self.translate(sql)?;
        if let (Some(shape), [table]) = (&translated.totals, &translated.tables[..]) {
            let plan = table.table.totals_plan(&shape.totals);
            return Ok(vec![PlanRow {
                id: 1,
                parent: 0,
                detail: format!("TOTALS {} ({})", table.name, plan.unwrap_or_default()),
            }]);
        }
        let mut statement = self.statement("EXPLAIN QUERY PLAN ", translated)?;
        let nulls = vec![Scalar::Null; statement.parameters().len()];
        let mut rows = Vec::new();
        statement.query(&nulls, &mut |row| {
            let number = |at| match row.get(at) {
                ScalarRef::Integer(number) => number,
                _ => 0,
            };
            let detail = match row.get(3) {
                ScalarRef::Text(text) => text.to_owned(),
                _ => String::new(),
            };
            rows.push(PlanRow {
                id: number(0),
                parent: number(1),
                detail,
            });
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    fn statement(
        &self,
        before: &str,
        translated: Arc<Translated>,
    ) -> Result<Statement<'_>, SqlError> {
        let faults = Faults {
            shared: &self.shared,
            catalog: self.catalog.as_ref(),
            translated: &translated,
            before: before.len(),
        };
        let inner = if before.is_empty() {
            self.connection.prepare_cached(&translated.sql)
        } else {
            self.connection
                .prepare_cached(&format!("{before}{}", translated.sql))
        };
        let inner = inner.map_err(|error| faults.of(error))?;
        Ok(Statement {
            inner,
            session: self,
            translated,
        })
    }

    fn translate(&mut self, sql: &str) -> Result<Arc<Translated>, SqlError> {
        if sql.len() > self.shared.limits.sql_bytes as usize {
            return Err(SqlError::Limit(Limit::Statement));
        }
        if self.is_full || self.tables > self.shared.limits.tables {
            self.refresh()?;
        }
        self.shared.start()?;
        if let Some(prepared) = self.prepared.get(sql) {
            return Ok(Arc::clone(prepared));
        }
        let outline = Outline::read(sql)?;
        if outline.sources().len() > self.shared.limits.tables as usize {
            return Err(SqlError::Limit(Limit::Tables));
        }
        let translated = Translated::new(sql, &outline, |source| self.bind(source))?;
        self.is_full |= translated.tables.iter().any(|table| table.is_crowded());
        let translated = Arc::new(translated);
        if sql.len() <= PREPARED_BYTES_MAX {
            if self.prepared.len() >= PREPARED_MAX {
                self.prepared.clear();
            }
            self.prepared
                .insert(sql.to_owned(), Arc::clone(&translated));
        }
        Ok(translated)
    }

    /// The engine's name for what a statement names, and the table; `None` if that is the engine's affair.
    fn bind(&mut self, source: &Source) -> Result<Option<(String, Arc<Bound>)>, SqlError> {
        let key = match &source.wanted {
            Wanted::Table { name, at } if at.is_own() => name.clone(),
            wanted => {
                let key = format!("{wanted:?}");
                self.states.get(&key).cloned().unwrap_or(key)
            }
        };
        if let Some(table) = self.shared.table(&key) {
            return Ok(Some((key, table)));
        }
        let Some(table) = self.ask(source)? else {
            return Ok(None);
        };
        let (Wanted::Table { name, .. }
        | Wanted::Diff { name, .. }
        | Wanted::Function { name, .. }) = &source.wanted;
        let bound = Arc::new(Bound::new(name.clone(), table));
        self.tables += 1;
        let is_own = matches!(&source.wanted, Wanted::Table { at, .. } if at.is_own());
        let engine_name = if is_own {
            key
        } else {
            let engine_name = format!("{OWN_NAMES}{}", self.tables);
            self.states.insert(key, engine_name.clone());
            engine_name
        };
        self.create(&engine_name, &bound)?;
        Ok(Some((engine_name, bound)))
    }

    /// Asks the catalog for what a statement names.
    fn ask(&self, source: &Source) -> Result<Option<Arc<dyn Table>>, SqlError> {
        let offset = source.span.start;
        let catalog = self.catalog.as_ref();
        let (name, table) = match &source.wanted {
            Wanted::Table { name, at } => (name, catalog.table(name, at)),
            Wanted::Diff { name, from, to } => (name, catalog.diff(name, from, to)),
            Wanted::Function { name, arguments } => {
                let is_known = catalog
                    .functions()
                    .iter()
                    .any(|other| other.eq_ignore_ascii_case(name));
                if !is_known {
                    return Ok(None);
                }
                let Some(arguments) = arguments else {
                    let fault = StateFault::Arguments(name.clone(), "('...', ...)".to_owned());
                    return Err(SqlError::State { fault, offset });
                };
                (name, catalog.function(name, arguments))
            }
        };
        match table {
            Err(TableError::State(why)) => Err(SqlError::State {
                fault: StateFault::Unknown(why),
                offset,
            }),
            Err(error) => Err(SqlError::of_table(name, error)),
            Ok(Some(table)) => Ok(Some(table)),
            Ok(None) => match &source.wanted {
                // It may be the name of a common table expression.
                Wanted::Table { at, .. } if at.is_own() => Ok(None),
                Wanted::Function { .. } => Err(SqlError::State {
                    fault: StateFault::Arguments(name.clone(), "others than these".to_owned()),
                    offset,
                }),
                Wanted::Table { .. } | Wanted::Diff { .. } => {
                    Err(Faults::no_table(catalog, name, Some(offset)))
                }
            },
        }
    }

    /// Gives the engine a table.
    fn create(&self, name: &str, bound: &Arc<Bound>) -> Result<(), SqlError> {
        if bound.columns.len() > self.shared.limits.columns_max() as usize {
            return Err(SqlError::Limit(Limit::Columns));
        }
        self.shared.add_table(name, Arc::clone(bound));
        let sql = format!(
            "CREATE VIRTUAL TABLE {} USING {}",
            quoted(name),
            module_of(bound)
        );
        let made = self.shared.as_own(|| self.connection.execute_batch(&sql));
        made.map_err(|error| {
            self.shared.remove_table(name);
            let translated = Translated::default();
            let faults = Faults {
                shared: &self.shared,
                catalog: self.catalog.as_ref(),
                translated: &translated,
                before: 0,
            };
            match faults.of(error) {
                SqlError::Syntax { message, .. } => {
                    SqlError::of_table(&bound.name, TableError::broken(message))
                }
                error => error,
            }
        })
    }
}

/// An engine without tables, files or ways out.
fn connect(shared: &Arc<Shared>) -> Result<Connection, SqlError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_MEMORY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_in_memory_with_flags(flags)?;
        connection.set_prepared_statement_cache_capacity(PREPARED_MAX);
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // A name in double quotes is a name, and no text if there is none like it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        connection.execute_batch("PRAGMA temp_store = MEMORY")?;
        shared.limits.set(&connection)?;
        install(&connection, shared)?;
        shared.watch(&mut connection)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| SqlError::Table {
        table: "the engine".to_owned(),
        code: "E_SQL_TABLE_FAULT",
        message: error.to_string(),
    })
}

/// A statement that is ready to run, as often as one likes.
pub struct Statement<'s> {
    inner: CachedStatement<'s>,
    session: &'s Session,
    translated: Arc<Translated>,
}

impl fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("sql", &self.translated.sql)
            .finish_non_exhaustive()
    }
}

/// A column of a result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResultColumn {
    /// Its name.
    pub name: String,
    /// The type that the column of a table was declared with, if it is one.
    pub declared: Option<String>,
}

/// How a statement ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Done {
    /// How many rows it gave.
    pub rows: u64,
    /// How many rows it wrote.
    pub written: u64,
    /// Whether the caller had enough before its end.
    pub is_stopped: bool,
}

/// A line of how the engine reads tables.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlanRow {
    /// Its number.
    pub id: i64,
    /// The number of the line that it belongs to, or 0.
    pub parent: i64,
    /// What it does.
    pub detail: String,
}

/// A row of a result.
#[derive(Debug)]
pub struct Row<'a> {
    inner: Origin<'a>,
    length: usize,
}

/// Where a row comes from.
#[derive(Debug)]
enum Origin<'a> {
    Engine(&'a rusqlite::Row<'a>),
    /// A table that gave totals.
    Table(&'a [Scalar]),
}

impl Row<'_> {
    /// How many values it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A value; null beyond the last. A text that is not UTF-8 comes as its bytes.
    #[must_use]
    pub fn get(&self, at: usize) -> ScalarRef<'_> {
        let row = match self.inner {
            Origin::Engine(row) => row,
            Origin::Table(row) => return row.get(at).map_or(ScalarRef::Null, Scalar::borrow),
        };
        let Ok(value) = row.get_ref(at) else {
            return ScalarRef::Null;
        };
        scalar(value).unwrap_or_else(|| ScalarRef::Blob(value.as_bytes().unwrap_or_default()))
    }

    /// All values, owned.
    #[must_use]
    pub fn to_scalars(&self) -> Vec<Scalar> {
        (0..self.length)
            .map(|at| self.get(at).to_scalar())
            .collect()
    }
}

/// Gives rows that are all there.
fn given(
    rows: &[Vec<Scalar>],
    limit: u64,
    on_row: &mut dyn FnMut(&Row<'_>) -> ControlFlow<()>,
) -> Result<Done, SqlError> {
    let mut done = Done {
        rows: 0,
        written: 0,
        is_stopped: false,
    };
    for row in rows {
        if done.rows == limit {
            return Err(SqlError::Limit(Limit::Rows));
        }
        done.rows += 1;
        let inner = Origin::Table(row);
        let length = row.len();
        if on_row(&Row { inner, length }).is_break() {
            done.is_stopped = true;
            break;
        }
    }
    Ok(done)
}

impl Statement<'_> {
    /// The columns of its result; none if it gives no rows.
    #[must_use]
    pub fn columns(&self) -> Vec<ResultColumn> {
        let column = |column: rusqlite::Column<'_>| ResultColumn {
            name: column.name().to_owned(),
            declared: column.decl_type().map(str::to_owned),
        };
        self.inner.columns().map(column).collect()
    }

    /// Its parameters, in order, with the names that they have.
    #[must_use]
    pub fn parameters(&self) -> Vec<Option<String>> {
        let name = |at| self.inner.parameter_name(at).map(str::to_owned);
        (1..=self.inner.parameter_count()).map(name).collect()
    }

    /// Whether it only reads.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.inner.readonly()
    }

    /// Runs it with a value for each parameter, and gives its rows until there are no more or the
    /// caller has enough.
    pub fn query(
        &mut self,
        parameters: &[Scalar],
        on_row: &mut dyn FnMut(&Row<'_>) -> ControlFlow<()>,
    ) -> Result<Done, SqlError> {
        let shared = &self.session.shared;
        let expected = self.inner.parameter_count();
        if parameters.len() != expected {
            let given = parameters.len();
            return Err(SqlError::Parameters { expected, given });
        }
        shared.start()?;
        if let Some(rows) = self.totals()? {
            return given(&rows, shared.limits.rows, on_row);
        }
        let faults = Faults {
            shared,
            catalog: self.session.catalog.as_ref(),
            translated: &self.translated,
            before: 0,
        };
        for (at, value) in (1_usize..).zip(parameters) {
            let bound = self.inner.raw_bind_parameter(at, value.borrow());
            bound.map_err(|error| faults.of(error))?;
        }
        let length = self.inner.column_count();
        let is_read_only = self.inner.readonly();
        let mut done = Done {
            rows: 0,
            written: 0,
            is_stopped: false,
        };
        let mut rows = self.inner.raw_query();
        while let Some(inner) = rows.next().map_err(|error| faults.of(error))? {
            if done.rows == shared.limits.rows {
                return Err(SqlError::Limit(Limit::Rows));
            }
            done.rows += 1;
            let inner = Origin::Engine(inner);
            if on_row(&Row { inner, length }).is_break() {
                done.is_stopped = true;
                break;
            }
        }
        drop(rows);
        // Rows that the engine has dropped may have failed even so.
        if let Some(fault) = shared.take_fault() {
            return Err(fault);
        }
        if !is_read_only {
            done.written = self.session.connection.changes();
        }
        Ok(done)
    }

    /// Its rows, if they are totals that its table gives.
    fn totals(&self) -> Result<Option<Vec<Vec<Scalar>>>, SqlError> {
        let (Some(shape), [table]) = (&self.translated.totals, &self.translated.tables[..]) else {
            return Ok(None);
        };
        let shared = &self.session.shared;
        let stop = shared.asked();
        let rows = caught(|| table.table.totals(&shape.totals, &stop));
        if let Some(stop) = shared.stopped() {
            return Err(stop.error());
        }
        let mut rows = rows.map_err(|error| SqlError::of_table(&table.name, error))?;
        if let Some(rows) = &mut rows {
            shape.arrange(rows);
        }
        Ok(rows)
    }

    /// Runs it, and keeps all its rows.
    pub fn rows(&mut self, parameters: &[Scalar]) -> Result<Vec<Vec<Scalar>>, SqlError> {
        let mut all = Vec::new();
        self.query(parameters, &mut |row| {
            all.push(row.to_scalars());
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }
}
