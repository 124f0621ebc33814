//! Any bytes as CSV and JSON: what is found is read, twice alike, and never more than there is.

#![no_main]

use std::io::{Cursor, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use allod_adapters::{Format, OutsideTable, Source, SourceError, find};
use allod_sql::{At, Catalog, Limits, Session, Table, TableError};
use libfuzzer_sys::fuzz_target;

struct Bytes(Vec<u8>);

impl Source for Bytes {
    fn place(&self) -> String {
        "bytes".to_owned()
    }

    fn open(&self, _: &dyn Fn() -> bool) -> Result<Box<dyn Read>, SourceError> {
        Ok(Box::new(Cursor::new(self.0.clone())))
    }
}

struct One(Arc<dyn Table>);

impl Catalog for One {
    fn table(&self, name: &str, _: &At) -> Result<Option<Arc<dyn Table>>, TableError> {
        Ok((name == "t").then(|| Arc::clone(&self.0)))
    }

    fn diff(&self, _: &str, _: &str, _: &str) -> Result<Option<Arc<dyn Table>>, TableError> {
        Ok(None)
    }

    fn names(&self) -> Vec<String> {
        vec!["t".to_owned()]
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((form, bytes)) = data.split_first() else {
        return;
    };
    let json = |pointer: Option<&str>| Format::Json {
        pointer: pointer.map(str::to_owned),
    };
    let format = match form % 6 {
        0 => Format::Csv {
            delimiter: b',',
            has_names: true,
        },
        1 => Format::Csv {
            delimiter: b'\t',
            has_names: false,
        },
        2 => json(None),
        3 => json(Some("/a")),
        4 => json(Some("/0/a")),
        _ => json(Some("")),
    };
    let source = Arc::new(Bytes(bytes.to_vec()));
    let Ok(found) = find(&format, source.as_ref(), &[], &|| false) else {
        return;
    };
    assert!(found.rows <= bytes.len() as u64, "TAB-22");
    let columns = found.columns.len();
    let table = OutsideTable::new(format, source, found.columns);
    let mut session = Session::new(Arc::new(One(Arc::new(table))), Limits::default(), || 0).unwrap();
    // What was found fits (TAB-21), and is the same each time (TAB-20).
    for _ in 0..2 {
        let mut statement = session.prepare("SELECT * FROM t").unwrap();
        let mut rows = 0;
        let done = statement.query(&[], &mut |row| {
            assert_eq!(row.len(), columns);
            rows += 1;
            ControlFlow::Continue(())
        });
        done.unwrap();
        assert_eq!(rows, found.rows);
    }
});
