//! What is no table, and what is none any more.

use std::io::Read;
use std::sync::Arc;

use allod_adapters::{AdapterError, FileSource, Format, OutsideTable, Source, SourceError, find};

use crate::world::{CSV, JSON, Outside, at, session};

fn refused(format: Format, content: impl AsRef<[u8]>) -> AdapterError {
    Outside::new(format, content).find().unwrap_err()
}

#[test]
fn what_is_no_csv_is_told_with_its_line() {
    for (content, line, words) in [
        (&b"a,b\n1,2\n\"x\n,y"[..], 3, "not closed"),
        (b"a,b\n1,2\n\"x\"y,2", 3, "within a field"),
        (b"a,b\n1,2\n\n1\n", 4, "1 fields, and not 2"),
        (b"a,b\n1,2,3\n", 2, "3 fields, and not 2"),
        (b"a,b\n1,\xff\n", 2, "no UTF-8"),
        (b"a,b,a\n", 1, "two columns are called \"a\""),
        (b"\n\na,\"a\"\n", 3, "two columns"),
    ] {
        let error = refused(CSV, content);
        assert_eq!(error.code(), "E_TAB_FORMAT", "{error}");
        let text = error.to_string();
        assert!(
            text.contains(&format!("line {line}: ")) && text.contains(words),
            "{text}"
        );
        assert!(text.starts_with("CSV /"), "{text}");
    }
    let error = Outside::new(CSV, "a\n1\n").declaring(&["b:text"]).find();
    assert!(error.unwrap_err().to_string().contains("\"b\" is missing"));
}

#[test]
fn what_is_no_json_is_told_with_its_line() {
    for (content, line) in [
        ("[{\"a\":1},\n{\"a\":2}", 2),
        ("[{\"a\":1}\n{\"a\":2}]", 2),
        ("[{\"a\":1},\n\n7]", 3),
        ("{\"a\":1}\n{\"a\":", 2),
        ("{\"a\":1}\n}", 2),
        ("{\"a\":1,\n\"a\":2}", 1),
        ("[{\"a\":1},]", 1),
        ("[{\"a\":1}] 1", 1),
        ("{\"a\":\"x\ny\"}", 1),
        ("{\"a\":1}\n{\"a\":01}", 2),
        ("[,{\"a\":1}]", 1),
        (":", 1),
        ("nul", 1),
        ("\"", 1),
    ] {
        let error = refused(JSON, content);
        assert_eq!(error.code(), "E_TAB_FORMAT", "{content:?} {error}");
        let text = error.to_string();
        assert!(
            text.contains(&format!(", line {line}: ")),
            "{content:?} {text}"
        );
    }
    for content in [
        "[:]",
        "{\"a\" 1}",
        "{1:2}",
        "[1 2",
        "[[",
        "{\"a\":{\"a\"",
        "7",
    ] {
        let error = refused(at("/a/0"), content);
        assert_eq!(error.code(), "E_TAB_FORMAT", "{content:?} {error}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_told_and_never_converted() {
    let values = [
        (
            CSV,
            "a\n1\n\"1,5\"\n",
            "a:integer",
            "line 3: \"1,5\" in the column a is no integer",
        ),
        (CSV, "a\n1.0\n", "a:integer", "line 2"),
        (CSV, "a\n9223372036854775808\n", "a:integer", "line 2"),
        (CSV, "a\nyes\n", "a:boolean", "is no boolean"),
        (CSV, "a\n1e999\n", "a:real", "is no real"),
        (CSV, "a\n{\n", "a:json", "is no json"),
        (
            JSON,
            "{\"a\":1}\n{\"a\":\"2\"}",
            "a:integer",
            "line 2: \"\\\"2\\\"\" in the column a",
        ),
        (JSON, "{\"a\":1.0}", "a:integer", "is no integer"),
        (JSON, "{\"a\":1}", "a:text", "is no text"),
        (JSON, "{\"a\":\"\\ud800\"}", "a:text", "is no text"),
        (JSON, "{\"a\":1}", "a:boolean", "is no boolean"),
    ];
    for (format, content, declared, words) in values {
        let error = Outside::new(format, content).declaring(&[declared]).find();
        let error = error.unwrap_err();
        assert_eq!(error.code(), "E_TAB_VALUE");
        assert!(error.to_string().contains(words), "{error}");
    }
    let bytes = Outside::new(CSV, "a\n00\n").declaring(&["a:bytes"]).find();
    assert_eq!(bytes.unwrap_err().code(), "E_TAB_DEFINITION");
}

/// What never ends.
struct Endless(&'static [u8], &'static [u8]);

struct Reader(Vec<u8>, &'static [u8]);

impl Source for Endless {
    fn place(&self) -> String {
        "endless".to_owned()
    }

    fn open(&self, _: &dyn Fn() -> bool) -> Result<Box<dyn Read>, SourceError> {
        Ok(Box::new(Reader(self.0.to_vec(), self.1)))
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            self.0 = self.1.repeat(1000);
        }
        let bytes = buffer.len().min(self.0.len());
        buffer[..bytes].copy_from_slice(&self.0[..bytes]);
        self.0.drain(..bytes);
        Ok(bytes)
    }
}

#[test]
fn what_never_ends_is_bounded() {
    let csv = |start, rest| (CSV, Endless(start, rest));
    let json = |start, rest| (JSON, Endless(start, rest));
    for (format, source) in [
        csv(b"", b"a"),
        csv(b"a\n\"", b"\"\""),
        csv(b"a\n\"", b"\n"),
        csv(b"", b","),
        csv(b"a\n", b"x,"),
        json(b"[{\"a\":\"", b"x\\\""),
        json(b"{\"a\":", b"1"),
        json(b"[", b"["),
        json(b"{\"a\":", b"{\"a\":"),
        json(b"{", b"\"a\":1,"),
        (at("/rows"), Endless(b"", b"{\"rows\":[")),
    ] {
        let error = find(&format, &source, &[], &|| false).unwrap_err();
        let is_bounded = matches!(error.code(), "E_TAB_LIMIT" | "E_TAB_FORMAT");
        assert!(is_bounded, "{error}");
    }
    // What may go on for ever is ended by whoever waits.
    let looks = std::cell::Cell::new(0);
    let is_enough = || looks.replace(looks.get() + 1) > 3;
    for (format, source) in [csv(b"a\n", b"1\n"), json(b"", b"{\"a\":1}")] {
        looks.set(0);
        let error = find(&format, &source, &[], &is_enough).unwrap_err();
        assert_eq!(error.code(), "E_SQL_CANCELLED");
    }
}

#[test]
fn too_many_columns_are_refused() {
    let name = |at: usize| format!("\"n{at}\":0");
    let columns = |count| (0..count).map(name).collect::<Vec<_>>().join("},{");
    let rows = |count| format!("[{{{}}}]", columns(count));
    assert_eq!(
        Outside::new(JSON, rows(1000)).find().unwrap().columns.len(),
        1000
    );
    assert_eq!(refused(JSON, rows(1001)).code(), "E_TAB_LIMIT");
    assert_eq!(refused(CSV, ",".repeat(1000)).code(), "E_TAB_LIMIT");
}

#[test]
fn a_file_that_is_gone_or_none_is_named() {
    let file = Outside::new(CSV, "a\n1\n");
    let mut session = file.session();
    std::fs::remove_file(&file.path).unwrap();
    let error = session
        .prepare("SELECT * FROM t")
        .unwrap()
        .rows(&[])
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("t failed: CSV /") && text.contains("No such file"),
        "{text}"
    );
    assert!(text.contains("E_TAB_SOURCE"), "{text}");
    std::fs::create_dir(&file.path).unwrap();
    let error = file.find().unwrap_err();
    assert!(error.to_string().ends_with("is not a file"), "{error}");
}

#[test]
fn a_file_that_changes_is_an_error_until_it_is_bound_anew() {
    let file = Outside::new(CSV, "a\n1\n2\n");
    let mut session = file.session();
    let ask = |session: &mut allod_sql::Session| {
        let rows = session.prepare("SELECT sum(a) FROM t").unwrap().rows(&[]);
        rows.map(|rows| rows[0][0].clone())
    };
    assert_eq!(ask(&mut session).unwrap(), 3.into());
    assert_eq!(ask(&mut session).unwrap(), 3.into());
    std::fs::write(&file.path, "a\n1\n2\n3\n").unwrap();
    let error = ask(&mut session).unwrap_err().to_string();
    assert!(
        error.contains("changed while it was read") && error.contains("E_TAB_CHANGED"),
        "{error}"
    );
    assert_eq!(ask(&mut file.session()).unwrap(), 6.into());
    // A value that does not fit the columns that were found is told.
    let table = Arc::new(file.table());
    std::fs::write(&file.path, "a\n1\nx\n").unwrap();
    let error = ask(&mut self::session(table)).unwrap_err().to_string();
    assert!(
        error.contains("line 3") && error.contains("E_TAB_VALUE"),
        "{error}"
    );
    let table = Arc::new(OutsideTable::new(
        CSV,
        Arc::new(FileSource::new(&file.path)),
        Outside::new(CSV, "b\n1\n").find().unwrap().columns,
    ));
    let error = session_error(table);
    assert!(error.contains("the column \"b\" is missing"), "{error}");
}

fn session_error(table: Arc<OutsideTable>) -> String {
    let mut session = session(table);
    let mut statement = session.prepare("SELECT * FROM t").unwrap();
    statement.rows(&[]).unwrap_err().to_string()
}

/// A file that somebody writes to while a statement reads it.
#[test]
fn a_file_that_changes_beneath_a_statement_gives_no_rows_of_both() {
    let mut content = String::from("a,b\n");
    for number in 0..100_000 {
        content += &format!("{number},x\n");
    }
    let file = Outside::new(CSV, content);
    let mut session = file.session();
    let mut statement = session.prepare("SELECT a FROM t").unwrap();
    let mut count = 0;
    let done = statement.query(&[], &mut |_| {
        count += 1;
        if count == 10 {
            // In place, and of the same length.
            let content = std::fs::read_to_string(&file.path).unwrap();
            std::fs::write(&file.path, content.replace('x', "y")).unwrap();
        }
        std::ops::ControlFlow::Continue(())
    });
    assert!(done.unwrap_err().to_string().contains("E_TAB_CHANGED"));
}

#[test]
fn nothing_is_written() {
    let file = Outside::new(CSV, "a\n1\n");
    for sql in [
        "INSERT INTO t VALUES (2)",
        "UPDATE t SET a = 2",
        "DELETE FROM t",
    ] {
        let error = file.ask(sql).unwrap_err();
        assert_eq!(error.code(), "E_SQL_READ_ONLY", "{sql}");
    }
    assert_eq!(std::fs::read_to_string(&file.path).unwrap(), "a\n1\n");
}
