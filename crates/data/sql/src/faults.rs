//! What the engine says went wrong, in the words of this crate.

use rusqlite::{Error, ErrorCode};

use crate::bind::Translated;
use crate::error::SqlError;
use crate::guard::Shared;
use crate::limits::{Limit, limit_of};
use crate::suggest::nearest;
use crate::table::Catalog;

/// What is known when a statement fails.
pub(crate) struct Faults<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) catalog: &'a dyn Catalog,
    pub(crate) translated: &'a Translated,
    /// The bytes that the engine got before the translation.
    pub(crate) before: usize,
}

impl Faults<'_> {
    /// The error that stands for one of the engine.
    pub(crate) fn of(&self, error: Error) -> SqlError {
        let fault = self.shared.take_fault();
        let denied = self.shared.take_denied();
        if let Some(stop) = self.shared.stopped() {
            return stop.error();
        }
        if let Some(fault) = fault {
            return fault;
        }
        let (code, message, offset) = match error {
            Error::SqlInputError {
                error, msg, offset, ..
            } => (error.code, msg, usize::try_from(offset).ok()),
            Error::SqliteFailure(error, message) => (
                error.code,
                message.unwrap_or_else(|| error.to_string()),
                None,
            ),
            other => (ErrorCode::Unknown, other.to_string(), None),
        };
        let offset = offset
            .and_then(|offset| offset.checked_sub(self.before))
            .map(|offset| self.translated.offset(offset));
        if let Some(what) = denied {
            return SqlError::Denied { what, offset };
        }
        match code {
            ErrorCode::TooBig => SqlError::Limit(Limit::Value),
            ErrorCode::OutOfMemory => SqlError::Limit(Limit::Memory),
            _ => self.of_message(message, offset),
        }
    }

    fn of_message(&self, message: String, offset: Option<usize>) -> SqlError {
        if let Some(limit) = limit_of(&message) {
            return SqlError::Limit(limit);
        }
        if let Some(name) = message.strip_prefix("no such table: ") {
            let name = name.strip_prefix("main.").unwrap_or(name);
            let named = |(other, _): &&(String, usize)| other.eq_ignore_ascii_case(name);
            let offset = offset.or(self.translated.names.iter().find(named).map(|it| it.1));
            return Self::no_table(self.catalog, name, offset);
        }
        if let Some(table) = message
            .strip_prefix("table ")
            .and_then(|rest| rest.strip_suffix(" may not be modified"))
        {
            let what = format!("writing to {table}");
            return SqlError::Denied { what, offset };
        }
        let name = message.strip_prefix("no such column: ").or_else(|| {
            let (_, name) = message.split_once(" has no column named ")?;
            Some(name)
        });
        match name {
            Some(name) => self.no_column(name, offset),
            None => SqlError::Syntax { message, offset },
        }
    }

    /// That there is no such table, with the nearest name that there is.
    pub(crate) fn no_table(catalog: &dyn Catalog, name: &str, offset: Option<usize>) -> SqlError {
        let names = catalog.names().into_iter().chain(catalog.functions());
        SqlError::NoTable {
            name: name.to_owned(),
            offset,
            nearest: nearest(name, names),
        }
    }

    fn no_column(&self, name: &str, offset: Option<usize>) -> SqlError {
        let columns = self
            .translated
            .tables
            .iter()
            .flat_map(|table| &table.columns);
        let bare = name.trim_matches('"');
        let bare = bare.rsplit_once('.').map_or(bare, |(_, column)| column);
        SqlError::NoColumn {
            name: name.to_owned(),
            offset,
            nearest: nearest(bare, columns.map(|column| column.name.clone())),
        }
    }
}
