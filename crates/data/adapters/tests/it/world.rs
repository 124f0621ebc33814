//! A file in a directory of its own, as the one table `t`.

use std::path::PathBuf;
use std::sync::Arc;

use allod_adapters::{AdapterError, Declared, FileSource, Format, Found, OutsideTable, find};
use allod_sql::{At, Catalog, Limits, Scalar, Session, SqlError, Table, TableError};
use tempfile::TempDir;

/// CSV as it mostly is.
pub(crate) const CSV: Format = Format::Csv {
    delimiter: b',',
    has_names: true,
};

/// JSON whose rows are not within anything.
pub(crate) const JSON: Format = Format::Json { pointer: None };

pub(crate) fn at(pointer: &str) -> Format {
    Format::Json {
        pointer: Some(pointer.to_owned()),
    }
}

/// A catalog of one table, `t`.
pub(crate) struct One(pub(crate) Arc<dyn Table>);

impl Catalog for One {
    fn table(&self, name: &str, at: &At) -> Result<Option<Arc<dyn Table>>, TableError> {
        assert!(at.is_own());
        Ok((name == "t").then(|| Arc::clone(&self.0)))
    }

    fn diff(&self, _: &str, _: &str, _: &str) -> Result<Option<Arc<dyn Table>>, TableError> {
        Ok(None)
    }

    fn names(&self) -> Vec<String> {
        vec!["t".to_owned()]
    }
}

pub(crate) fn session(table: Arc<dyn Table>) -> Session {
    Session::new(Arc::new(One(table)), Limits::default(), || 0).unwrap()
}

/// A file, and how it is read.
pub(crate) struct Outside {
    _dir: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    pub(crate) declared: Vec<Declared>,
}

impl Outside {
    pub(crate) fn new(format: Format, content: impl AsRef<[u8]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        std::fs::write(&path, content).unwrap();
        Self {
            _dir: dir,
            path,
            format,
            declared: Vec::new(),
        }
    }

    pub(crate) fn declaring(mut self, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|text| text.parse().unwrap());
        self.declared = columns.collect();
        self
    }

    pub(crate) fn find(&self) -> Result<Found, AdapterError> {
        let source = FileSource::new(&self.path);
        find(&self.format, &source, &self.declared, &|| false)
    }

    /// The columns as `name kind`, one after the other.
    pub(crate) fn kinds(&self) -> String {
        let found = self.find().unwrap();
        let columns = found.columns.iter();
        let columns: Vec<String> = columns
            .map(|it| format!("{} {}", it.name, it.kind))
            .collect();
        columns.join(", ")
    }

    pub(crate) fn table(&self) -> OutsideTable {
        let columns = self.find().unwrap().columns;
        let source = FileSource::new(&self.path);
        OutsideTable::new(self.format.clone(), Arc::new(source), columns)
    }

    pub(crate) fn session(&self) -> Session {
        session(Arc::new(self.table()))
    }

    pub(crate) fn ask(&self, sql: &str) -> Result<Vec<Vec<Scalar>>, SqlError> {
        self.session().prepare(sql)?.rows(&[])
    }

    /// All rows, as they stand.
    pub(crate) fn rows(&self) -> Vec<Vec<Scalar>> {
        self.ask("SELECT * FROM t").unwrap()
    }
}
