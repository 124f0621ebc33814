//! Any text as a statement: what names a state is bound or refused, and the rest names none.

#![no_main]

use std::sync::Arc;

use allod_sql::{
    Ask, At, Catalog, Column, ColumnType, Limits, Open, Outline, Plan, Rows, ScalarRef, Session,
    Table, TableError, Wanted,
};
use libfuzzer_sys::fuzz_target;

/// A table whose one row has the state that it was asked for in.
struct Of(Vec<Column>, String);

struct One(String, bool);

impl Table for Of {
    fn columns(&self) -> &[Column] {
        &self.0
    }

    fn plan(&self, _: &Ask<'_>) -> Plan {
        Plan::scan(1)
    }

    fn open(&self, _: &Open<'_>) -> Result<Box<dyn Rows>, TableError> {
        Ok(Box::new(One(self.1.clone(), false)))
    }
}

impl Rows for One {
    fn next(&mut self) -> Result<bool, TableError> {
        Ok(!std::mem::replace(&mut self.1, true))
    }

    fn column(&self, _: usize) -> Result<ScalarRef<'_>, TableError> {
        Ok(ScalarRef::Text(&self.0))
    }
}

struct States;

impl Catalog for States {
    fn table(&self, name: &str, at: &At) -> Result<Option<Arc<dyn Table>>, TableError> {
        let columns = vec![Column::new("state", ColumnType::Text)];
        let table = Of(columns, format!("{at:?}"));
        Ok(name.eq_ignore_ascii_case("t").then(|| Arc::new(table) as _))
    }

    fn diff(&self, _: &str, _: &str, _: &str) -> Result<Option<Arc<dyn Table>>, TableError> {
        Ok(None)
    }

    fn names(&self) -> Vec<String> {
        vec!["t".to_owned()]
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let outline = match Outline::read(text) {
        Ok(outline) => outline,
        Err(error) => {
            assert!(error.offset().is_none_or(|at| text.is_char_boundary(at)));
            return;
        }
    };
    // With its tables replaced by names, it has no states left.
    let (mut rest, mut at) = (String::new(), 0);
    for source in outline.sources() {
        rest.push_str(&text[at..source.span.start]);
        rest.push_str(match source.wanted {
            Wanted::Diff { .. } if text[source.span.clone()].starts_with(['d', 'D']) => {
                "SELECT * FROM x AS y"
            }
            _ => "x",
        });
        at = source.span.end;
    }
    rest.push_str(&text[at..]);
    if let Ok(again) = Outline::read(&rest) {
        for source in again.sources() {
            let is_own = matches!(&source.wanted, Wanted::Table { at, .. } if at.is_own());
            assert!(
                is_own || matches!(source.wanted, Wanted::Function { .. }),
                "SQL-5: {text}"
            );
        }
    }
    let limits = Limits {
        rows: 100,
        value_bytes: 10_000,
        ..Limits::default()
    };
    let clock = std::sync::atomic::AtomicU64::new(0);
    // Ten milliseconds pass at each look.
    let clock = move || clock.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
    let mut session = Session::new(Arc::new(States), limits, clock).unwrap();
    if let Ok(mut statement) = session.prepare(text)
        && statement.parameters().is_empty()
    {
        drop(statement.rows(&[]));
    }
});
