//! Errors of spaces as errors of tables.

use allod_repo::RepoError;
use allod_sql::TableError;
use allod_views::ViewError;

/// What went wrong below a table.
pub(crate) fn fault(error: impl Into<ViewError>) -> TableError {
    let error = error.into();
    let code = match &error {
        ViewError::Cancelled => "E_SQL_CANCELLED",
        _ => "E_FAULT",
    };
    TableError::Fault {
        code,
        message: error.to_string(),
    }
}

/// There is no such state.
pub(crate) fn no_state(text: impl Into<String>) -> TableError {
    TableError::State(text.into())
}

/// What went wrong with a commit or branch that was named.
pub(crate) fn state_fault(error: RepoError) -> TableError {
    match error {
        RepoError::NoCommit(_) => no_state(error.to_string()),
        other => fault(other),
    }
}
