//! What a statement names, as the pass finds it.

use std::ops::Range;

use crate::error::SqlError;
use crate::pass;
use crate::table::At;
use crate::value::Scalar;

/// Names that begin so are this crate's own, for tables in states.
pub(crate) const OWN_NAMES: &str = "allod:";

/// What a statement names: the tables, and their states.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// In the order of the text; their spans do not touch each other.
    pub(crate) sources: Vec<Source>,
    /// Where the statement begins behind EXPLAIN, if it has that.
    pub(crate) explained: Option<usize>,
    /// Behind the statement, where a semicolon may be.
    pub(crate) end: usize,
}

/// A table that a statement names.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Where.
    pub span: Range<usize>,
    /// What it is.
    pub wanted: Wanted,
    /// The name by which the rest of the statement knows it, if it gives it no other.
    pub(crate) alias: Option<String>,
    /// What the engine needs before it.
    pub(crate) before: &'static str,
}

/// What a statement wants of the catalog.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Wanted {
    /// A table in a state. In the session's own, the name may as well be that of a common table expression.
    Table {
        /// Its name.
        name: String,
        /// Its state.
        at: At,
    },
    /// What differs in a table between two states.
    Diff {
        /// Its name.
        name: String,
        /// The older state.
        from: String,
        /// The newer state.
        to: String,
    },
    /// What a function gives, of the catalog or of the engine.
    Function {
        /// Its name.
        name: String,
        /// Its arguments, if they are literals.
        arguments: Option<Vec<Scalar>>,
    },
}

impl Outline {
    /// Reads a statement. Fails with [`SqlError::Syntax`], [`SqlError::State`], [`SqlError::Denied`] for another
    /// kind of statement, or [`SqlError::NoTable`] for a name that no table can have.
    pub fn read(sql: &str) -> Result<Self, SqlError> {
        pass::read(sql)
    }

    /// The tables that it names, in the order of the text.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Whether it begins with EXPLAIN.
    #[must_use]
    pub const fn is_explained(&self) -> bool {
        self.explained.is_some()
    }
}
