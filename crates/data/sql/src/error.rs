//! Why a statement failed, and whose fault it was.

use crate::limits::Limit;

/// Why a statement was not run, or not to its end.
///
/// Offsets are in bytes of the statement as it was given.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// It is not SQL as the engine has it, or more than one statement. Blame: whoever wrote it.
    #[error("{message}")]
    Syntax {
        /// What the engine says.
        message: String,
        /// Where, if that is known.
        offset: Option<usize>,
    },
    /// No table has this name in this state. Blame: whoever wrote it.
    #[error("no such table: {name}{}", suggestion(nearest.as_deref()))]
    NoTable {
        /// The name.
        name: String,
        /// Where, if that is known.
        offset: Option<usize>,
        /// The name of a table that is nearest to it.
        nearest: Option<String>,
    },
    /// No table of the statement has a column of this name. Blame: whoever wrote it.
    #[error("no such column: {name}{}", suggestion(nearest.as_deref()))]
    NoColumn {
        /// The name.
        name: String,
        /// Where, if that is known.
        offset: Option<usize>,
        /// The name of a column that is nearest to it.
        nearest: Option<String>,
    },
    /// A table cannot be bound to the state that is asked for (SQL-5). Blame: whoever wrote it.
    #[error("{fault}")]
    State {
        /// Why not.
        fault: StateFault,
        /// Where the clause begins.
        offset: usize,
    },
    /// The statement does what no statement may. Blame: whoever wrote it.
    #[error("{what} is not allowed")]
    Denied {
        /// What it does.
        what: String,
        /// Where, if that is known.
        offset: Option<usize>,
    },
    /// A limit was reached. Blame: whoever wrote it.
    #[error("the limit of {0} is reached")]
    Limit(Limit),
    /// It was cancelled. Blame: nobody.
    #[error("cancelled")]
    Cancelled,
    /// It has another number of parameters than values were given. Blame: the caller.
    #[error("{given} values for {expected} parameters")]
    Parameters {
        /// How many it has.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// It writes to what cannot be written. Blame: whoever wrote it.
    #[error("{table} cannot be written")]
    ReadOnly {
        /// The table.
        table: String,
    },
    /// A row breaks a rule of the table. Blame: whoever wrote it.
    #[error("{table}: {message}")]
    Constraint {
        /// The table.
        table: String,
        /// Which rule, in words.
        message: String,
    },
    /// It writes to what was changed since the catalog was made. Blame: nobody; it can be run over a new one.
    #[error("{table} was changed meanwhile")]
    Moved {
        /// The table.
        table: String,
    },
    /// A table failed. Blame: the table, or what is below it.
    #[error("{table} failed: {message} ({code})")]
    Table {
        /// The table.
        table: String,
        /// The registered code of what failed below.
        code: &'static str,
        /// What happened.
        message: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; is it {name}?"))
}

impl SqlError {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "E_SQL",
            Self::NoTable { .. } => "E_SQL_TABLE",
            Self::NoColumn { .. } => "E_SQL_COLUMN",
            Self::State { .. } => "E_SQL_STATE",
            Self::Denied { .. } => "E_SQL_DENIED",
            Self::Limit(_) => "E_SQL_LIMIT",
            Self::Cancelled => "E_SQL_CANCELLED",
            Self::Parameters { .. } => "E_SQL_PARAMETERS",
            Self::ReadOnly { .. } => "E_SQL_READ_ONLY",
            Self::Constraint { .. } => "E_SQL_CONSTRAINT",
            Self::Moved { .. } => "E_SQL_MOVED",
            Self::Table { .. } => "E_SQL_TABLE_FAULT",
        }
    }

    /// Where in the statement, if that is known.
    #[must_use]
    pub const fn offset(&self) -> Option<usize> {
        match self {
            Self::Syntax { offset, .. }
            | Self::NoTable { offset, .. }
            | Self::NoColumn { offset, .. }
            | Self::Denied { offset, .. } => *offset,
            Self::State { offset, .. } => Some(*offset),
            Self::Limit(_)
            | Self::Cancelled
            | Self::Parameters { .. }
            | Self::ReadOnly { .. }
            | Self::Constraint { .. }
            | Self::Moved { .. }
            | Self::Table { .. } => None,
        }
    }

    /// What a table says, as an error of the statement.
    pub(crate) fn of_table(table: &str, error: TableError) -> Self {
        let table = table.to_owned();
        match error {
            TableError::ReadOnly => Self::ReadOnly { table },
            TableError::Constraint(message) => Self::Constraint { table, message },
            TableError::Moved => Self::Moved { table },
            TableError::State(message) => Self::Table {
                table,
                code: "E_SQL_STATE",
                message,
            },
            TableError::Fault { code, message } => Self::Table {
                table,
                code,
                message,
            },
        }
    }
}

/// Why a table cannot be bound to a state.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StateFault {
    /// The state is not written as a text in single quotes.
    #[error("a state is written in single quotes, as in AS OF 'main'")]
    NotALiteral,
    /// Two states, or two branches, for one table.
    #[error("one table has one state")]
    Twice,
    /// The clause does not stand directly behind the name of a table.
    #[error("AS OF and ON BRANCH stand directly behind the name of a table")]
    NotATable,
    /// The name has a schema before it.
    #[error("a name with a schema has no states")]
    Schema,
    /// The arguments of a function over states are not literals, or not those that it takes.
    #[error("{0} takes literals: {1}")]
    Arguments(String, String),
    /// The catalog knows no such state; what it says.
    #[error("{0}")]
    Unknown(String),
}

/// Why a table, or a catalog, failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The table cannot be written, or not so. Blame: whoever wrote the statement.
    #[error("cannot be written")]
    ReadOnly,
    /// There is no such state; the text says why. Blame: whoever wrote the statement.
    #[error("{0}")]
    State(String),
    /// A row breaks a rule of the table. Blame: whoever wrote the statement.
    #[error("{0}")]
    Constraint(String),
    /// What would be written over was changed since the table was made. Blame: nobody.
    #[error("changed meanwhile")]
    Moved,
    /// The table cannot give what it has. Blame: the environment.
    #[error("{message} ({code})")]
    Fault {
        /// The registered code of what failed.
        code: &'static str,
        /// What happened.
        message: String,
    },
}

impl TableError {
    /// A fault of this crate's own: a table that broke the contract, or panicked.
    pub(crate) fn broken(message: impl Into<String>) -> Self {
        Self::Fault {
            code: "E_SQL_TABLE_FAULT",
            message: message.into(),
        }
    }
}
