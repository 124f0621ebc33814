//! How much a statement may take (SQL-14).

use std::fmt;

use rusqlite::Connection;
use rusqlite::limits::Limit as Engine;

/// The longest that a statement runs unless its session says otherwise: long for a person who waits,
/// short for a thread that others need.
const TIME_MS: u64 = 30_000;

/// Rows of a result: more than anybody reads, and a page of them at a time is still possible.
const ROWS: u64 = 1_000_000;

/// Memory of the engine, in all sessions of the process: a sort of a million rows fits.
const MEMORY_BYTES: u64 = 512 << 20;

/// Text of a statement: generated ones are long, and a megabyte is still parsed in milliseconds.
const SQL_BYTES: u32 = 1 << 20;

/// Depth of an expression: the engine recurses over it, and a thread has 2 MiB of stack.
const EXPRESSION_DEPTH: u32 = 250;

/// Columns of a table or a result: the engine allocates them for each row.
const COLUMNS: u32 = 1000;

/// Fewer columns than this are not enough for the engine's own tables.
const COLUMNS_MIN: u32 = 16;

/// Parts of a compound SELECT: the engine recurses over them.
const COMPOUND_SELECTS: u32 = 100;

/// Pattern of LIKE and GLOB: the time to match is that of the text times the pattern.
const PATTERN_BYTES: u32 = 1000;

/// A text, bytes or a row within the engine: what functions work on between two looks at the clock. An
/// entry has no longer value outside a file.
const VALUE_BYTES: u32 = 1 << 20;

/// Parameters: a whole row of the widest table, many times.
const VARIABLES: u32 = 32_766;

/// Tables in states that a session keeps bound: each costs an entry of the schema.
const TABLES: u32 = 256;

/// Instructions of a program: a statement of the longest text needs fewer.
const INSTRUCTIONS: i32 = 1 << 20;

/// Arguments of a function: the most that the engine allows by itself.
const ARGUMENTS: i32 = 127;

/// How much a statement may take. The defaults are those of the specification.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long it runs, in milliseconds of the session's clock.
    pub time_ms: u64,
    /// How many rows it gives.
    pub rows: u64,
    /// How many bytes the engine has in use, in all sessions of the process together.
    pub memory_bytes: u64,
    /// How many bytes its text has.
    pub sql_bytes: u32,
    /// How deep an expression is.
    pub expression_depth: u32,
    /// How many columns a table or a result has; 16 at least.
    pub columns: u32,
    /// How many SELECTs are combined.
    pub compound_selects: u32,
    /// How many bytes a pattern of LIKE or GLOB has.
    pub pattern_bytes: u32,
    /// How many bytes a value or a row has.
    pub value_bytes: u32,
    /// How many parameters it has.
    pub variables: u32,
    /// How many tables, each in one state, it names.
    pub tables: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_ms: TIME_MS,
            rows: ROWS,
            memory_bytes: MEMORY_BYTES,
            sql_bytes: SQL_BYTES,
            expression_depth: EXPRESSION_DEPTH,
            columns: COLUMNS,
            compound_selects: COMPOUND_SELECTS,
            pattern_bytes: PATTERN_BYTES,
            value_bytes: VALUE_BYTES,
            variables: VARIABLES,
            tables: TABLES,
        }
    }
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::time_ms`].
    Time,
    /// [`Limits::rows`].
    Rows,
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::sql_bytes`], or the engine's own on the length of a program or of a list.
    Statement,
    /// [`Limits::expression_depth`].
    Depth,
    /// [`Limits::columns`].
    Columns,
    /// [`Limits::compound_selects`].
    CompoundSelects,
    /// [`Limits::pattern_bytes`].
    Pattern,
    /// [`Limits::value_bytes`].
    Value,
    /// [`Limits::variables`].
    Variables,
    /// [`Limits::tables`], or the engine's own on the tables of a join.
    Tables,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "time",
            Self::Rows => "rows",
            Self::Memory => "memory",
            Self::Statement => "the length of a statement",
            Self::Depth => "the depth of an expression",
            Self::Columns => "columns",
            Self::CompoundSelects => "combined selects",
            Self::Pattern => "the length of a pattern",
            Self::Value => "the length of a value",
            Self::Variables => "parameters",
            Self::Tables => "tables",
        })
    }
}

impl Limits {
    /// The columns that a table may have.
    pub(crate) fn columns_max(&self) -> u32 {
        self.columns.max(COLUMNS_MIN)
    }

    /// Sets what the engine watches by itself.
    pub(crate) fn set(&self, connection: &Connection) -> rusqlite::Result<()> {
        let number = |limit: u32| i32::try_from(limit).unwrap_or(i32::MAX);
        for (limit, value) in [
            (Engine::SQLITE_LIMIT_LENGTH, number(self.value_bytes)),
            // The text that the engine gets has the names of bound tables in it.
            (Engine::SQLITE_LIMIT_SQL_LENGTH, i32::MAX),
            (Engine::SQLITE_LIMIT_COLUMN, number(self.columns_max())),
            (
                Engine::SQLITE_LIMIT_EXPR_DEPTH,
                number(self.expression_depth),
            ),
            (
                Engine::SQLITE_LIMIT_COMPOUND_SELECT,
                number(self.compound_selects),
            ),
            (Engine::SQLITE_LIMIT_VDBE_OP, INSTRUCTIONS),
            (Engine::SQLITE_LIMIT_FUNCTION_ARG, ARGUMENTS),
            (Engine::SQLITE_LIMIT_ATTACHED, 0),
            (
                Engine::SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
                number(self.pattern_bytes),
            ),
            (Engine::SQLITE_LIMIT_VARIABLE_NUMBER, number(self.variables)),
            (Engine::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
            (Engine::SQLITE_LIMIT_WORKER_THREADS, 0),
        ] {
            connection.set_limit(limit, value)?;
        }
        Ok(())
    }
}

/// Which limit a message of the engine is about.
pub(crate) fn limit_of(message: &str) -> Option<Limit> {
    [
        ("Expression tree is too large", Limit::Depth),
        ("Recursion limit", Limit::Depth),
        ("parser stack overflow", Limit::Depth),
        ("too many terms in compound SELECT", Limit::CompoundSelects),
        ("too many columns", Limit::Columns),
        ("too many terms in", Limit::Columns),
        ("too many SQL variables", Limit::Variables),
        ("variable number must be between", Limit::Variables),
        ("LIKE or GLOB pattern too complex", Limit::Pattern),
        ("string or blob too big", Limit::Value),
        ("too many arguments on", Limit::Statement),
        ("too many FROM clause terms", Limit::Tables),
    ]
    .into_iter()
    .find_map(|(begins, limit)| message.starts_with(begins).then_some(limit))
    .or_else(|| {
        message
            .ends_with("tables in a join")
            .then_some(Limit::Tables)
    })
}
