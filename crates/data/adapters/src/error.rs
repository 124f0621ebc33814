//! Why a table of outside data failed, and whose fault it was.

use allod_sql::TableError;

use crate::kind::Kind;
use crate::limits::SHOWN_CHARS;

/// Why a source gives no bytes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It is not there, or does not answer. Blame: the environment, or whoever registered it.
    #[error("{0}")]
    Unreachable(String),
    /// It is not what it was when the statement began. Blame: whoever changed it.
    #[error("changed while it was read; ask again")]
    Changed,
    /// It is larger, or slower, than what is taken. Blame: whoever made it.
    #[error("{0}")]
    Limit(String),
    /// The statement has to end. Blame: nobody.
    #[error("the statement has to end")]
    Stopped,
}

impl From<SourceError> for std::io::Error {
    fn from(error: SourceError) -> Self {
        Self::other(error)
    }
}

impl From<std::io::Error> for SourceError {
    fn from(error: std::io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => Self::Unreachable(error.to_string()),
        }
    }
}

/// Why a table of outside data failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The source gives no bytes.
    #[error("{place}: {error}")]
    Source {
        /// The adapter and its source, as in `CSV file /home/ada/prices.csv`.
        place: String,
        /// Why.
        error: SourceError,
    },
    /// The bytes are not of the format. Blame: whoever made them.
    #[error("{place}, line {line}: {fault}")]
    Format {
        /// The adapter and its source.
        place: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        fault: String,
    },
    /// A value is not of the type of its column (TAB-21). Blame: whoever made it.
    #[error("{place}, line {line}: {value} in the column {column} is no {kind}")]
    Value {
        /// The adapter and its source.
        place: String,
        /// The line, or in a format without lines the row, from 1.
        line: u64,
        /// The column.
        column: String,
        /// The beginning of the value.
        value: String,
        /// What it should be.
        kind: Kind,
    },
    /// A value of a result is of another kind than its column (TAB-27). Blame: whoever wrote the
    /// statement.
    #[error("row {row}, column {column}: {what}; CAST makes them one kind")]
    Mixed {
        /// The row, from 1.
        row: u64,
        /// The column.
        column: String,
        /// What does not go together.
        what: String,
    },
    /// More than is taken (TAB-22). Blame: whoever made the bytes.
    #[error("{place}, line {line}: {what}, at most {most}")]
    Limit {
        /// The adapter and its source.
        place: String,
        /// The line, from 1.
        line: u64,
        /// What is too large, in words.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// The table cannot be as it was asked for. Blame: the caller.
    #[error("{0}")]
    Definition(String),
}

impl AdapterError {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Source { error, .. } => match error {
                SourceError::Unreachable(_) => "E_TAB_SOURCE",
                SourceError::Changed => "E_TAB_CHANGED",
                SourceError::Limit(_) => "E_TAB_LIMIT",
                SourceError::Stopped => "E_SQL_CANCELLED",
            },
            Self::Format { .. } => "E_TAB_FORMAT",
            Self::Value { .. } | Self::Mixed { .. } => "E_TAB_VALUE",
            Self::Limit { .. } => "E_TAB_LIMIT",
            Self::Definition(_) => "E_TAB_DEFINITION",
        }
    }
}

impl From<AdapterError> for TableError {
    fn from(error: AdapterError) -> Self {
        Self::Fault {
            code: error.code(),
            message: error.to_string(),
        }
    }
}

/// The beginning of a value, on one line.
pub(crate) fn shown(value: &str) -> String {
    let mut chars = value.chars();
    let start: String = chars.by_ref().take(SHOWN_CHARS).collect();
    let rest = if chars.next().is_some() { "..." } else { "" };
    format!("{start:?}{rest}")
}
