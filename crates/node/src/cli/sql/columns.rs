//! Rows as files of columns, in builds that have Arrow and Parquet (TAB-27).

use std::path::Path;

use anyhow::Result;

use crate::cli::sql::format::Sink;
use crate::cli::sql_args::RowFormat;

/// Why there is no Arrow and no Parquet.
#[cfg(any(test, not(feature = "arrow")))]
const ABSENT: &str = "this build has no Arrow and no Parquet; `cargo build --release --features arrow` makes one that has";

/// Writes rows into a file, which is there when all rows are in it.
#[cfg(not(feature = "arrow"))]
pub(crate) fn sink(_format: RowFormat, _path: &Path) -> Result<Box<dyn Sink>> {
    Err(crate::cli::Usage(ABSENT.to_owned()).into())
}

/// Writes rows into a file, which is there when all rows are in it.
#[cfg(feature = "arrow")]
pub(crate) fn sink(format: RowFormat, path: &Path) -> Result<Box<dyn Sink>> {
    use allod_adapters::ColumnForm;

    let form = match format {
        RowFormat::Arrow => ColumnForm::Arrow,
        RowFormat::Parquet => ColumnForm::Parquet,
        _ => return Err(crate::cli::Usage("is no file of columns".to_owned()).into()),
    };
    let path = path.to_owned();
    Ok(Box::new(present::Columns::new(form, path)))
}

#[cfg(feature = "arrow")]
mod present {
    use std::path::PathBuf;

    use allod_adapters::{ColumnForm, ColumnWriter};
    use allod_sql::{ResultColumn, Scalar};
    use anyhow::Result;

    use crate::cli::sql::format::{Sink, distinct};

    /// Rows on their way into a file.
    #[derive(Debug)]
    pub(super) struct Columns {
        form: ColumnForm,
        path: PathBuf,
        declared: Vec<Option<String>>,
        writer: Option<ColumnWriter>,
    }

    impl Columns {
        pub(super) fn new(form: ColumnForm, path: PathBuf) -> Self {
            Self {
                form,
                path,
                declared: Vec::new(),
                writer: None,
            }
        }
    }

    impl Sink for Columns {
        fn declared(&mut self, declared: &[Option<String>]) {
            self.declared = declared.to_vec();
        }

        fn begin(&mut self, names: &[String], _out: &mut Vec<u8>) -> Result<()> {
            if names.is_empty() {
                return Ok(());
            }
            let names = distinct(names).into_iter();
            let columns: Vec<ResultColumn> = names
                .zip(&self.declared)
                .map(|(name, declared)| ResultColumn {
                    name,
                    declared: declared.clone(),
                })
                .collect();
            self.writer = Some(ColumnWriter::new(&self.path, self.form, &columns)?);
            Ok(())
        }

        fn row(&mut self, row: &[Scalar], _out: &mut Vec<u8>) -> Result<()> {
            match &mut self.writer {
                Some(writer) => writer.row(row).map_err(told),
                None => Ok(()),
            }
        }

        fn end(&mut self, are_all: bool, _out: &mut Vec<u8>) -> Result<()> {
            if let Some(writer) = self.writer.take()
                && are_all
            {
                writer.finish().map_err(told)?;
            }
            Ok(())
        }
    }

    fn told(error: allod_adapters::AdapterError) -> anyhow::Error {
        anyhow::anyhow!("{error} ({})", error.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_the_feature_names_it() {
        assert!(ABSENT.contains("--features arrow"));
        let sink = sink(RowFormat::Parquet, Path::new("x"));
        assert_eq!(sink.is_err(), !cfg!(feature = "arrow"));
        assert!(!Path::new("x").exists());
    }
}
